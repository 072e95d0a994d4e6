/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/lists.h"

#include "config/servers.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

struct list_type {
	size_t item_size;
	size_t most;
	const char *(*parse)(const char *text, struct arena *arena, void *out);
	int (*compare)(const void *a, const void *b); /* NULL: the order given stays */
	/* If the later of two sorted items shares something with the earlier, the earlier takes it
	 * in. */
	bool (*join)(void *into, const void *item);
	bool (*same)(const void *a, const void *b); /* where none may stand twice */
};

static const char *addrs_parse(const char *text, struct arena *arena, void *out)
{
	(void)arena;
	return value_parse_addrs(text, out);
}

/* IPv4 first, since mapped addresses lie in the middle of IPv6's. */
static int addrs_compare(const void *a, const void *b)
{
	const struct addr_range *x = a, *y = b;
	bool x4 = addr_is_v4(&x->first), y4 = addr_is_v4(&y->first);
	int order = x4 != y4 ? y4 - x4 : memcmp(x->first.b, y->first.b, 16);

	return order != 0 ? order : memcmp(x->last.b, y->last.b, 16);
}

static bool addrs_join(void *into, const void *item)
{
	struct addr_range *x = into;
	const struct addr_range *y = item;

	if (!addr_in_range(&y->first, x))
		return false;
	if (memcmp(y->last.b, x->last.b, 16) > 0)
		x->last = y->last;
	return true;
}

static const char *ports_parse(const char *text, struct arena *arena, void *out)
{
	(void)arena;
	return value_parse_ports(text, out);
}

static int ports_compare(const void *a, const void *b)
{
	const struct port_range *x = a, *y = b;

	return x->first != y->first ? x->first - y->first : x->last - y->last;
}

static bool ports_join(void *into, const void *item)
{
	struct port_range *x = into;
	const struct port_range *y = item;

	if (y->first > x->last)
		return false;
	if (y->last > x->last)
		x->last = y->last;
	return true;
}

static const char *interfaces_parse(const char *text, struct arena *arena, void *out)
{
	(void)arena;
	return value_parse_interface(text, out);
}

static int interfaces_compare(const void *a, const void *b)
{
	return memcmp(a, b, POLICY_IFNAME);
}

static bool interfaces_join(void *into, const void *item)
{
	return memcmp(into, item, POLICY_IFNAME) == 0;
}

static const char *endpoints_parse(const char *text, struct arena *arena, void *out)
{
	(void)arena;
	return value_parse_endpoint(text, out);
}

static int endpoints_compare(const void *a, const void *b)
{
	const struct endpoint *x = a, *y = b;
	bool x4 = addr_is_v4(&x->addr), y4 = addr_is_v4(&y->addr);
	int order = x4 != y4 ? y4 - x4 : memcmp(x->addr.b, y->addr.b, 16);

	return order != 0 ? order : x->port - y->port;
}

static bool endpoints_join(void *into, const void *item)
{
	return endpoints_compare(into, item) == 0;
}

static const char *hosts_parse(const char *text, struct arena *arena, void *out)
{
	(void)arena;
	return value_parse_host(text, out);
}

static const char *servers_parse(const char *text, struct arena *arena, void *out)
{
	return server_parse(text, arena, out);
}

static bool servers_same(const void *a, const void *b)
{
	const struct config_server *x = a, *y = b;

	return strcmp(x->name, y->name) == 0;
}

static const struct list_type *list_type(enum list_kind kind)
{
	static const struct list_type types[] = {
		[LIST_ADDRS] = {sizeof(struct addr_range), SIZE_MAX, addrs_parse, addrs_compare,
			addrs_join, NULL},
		[LIST_PORTS] = {sizeof(struct port_range), SIZE_MAX, ports_parse, ports_compare,
			ports_join, NULL},
		[LIST_INTERFACES] = {POLICY_IFNAME, SIZE_MAX, interfaces_parse, interfaces_compare,
			interfaces_join, NULL},
		[LIST_ENDPOINTS] = {sizeof(struct endpoint), SIZE_MAX, endpoints_parse,
			endpoints_compare, endpoints_join, NULL},
		[LIST_HOSTS] = {sizeof(struct addr_range), SIZE_MAX, hosts_parse, addrs_compare,
			addrs_join, NULL},
		[LIST_SERVERS] = {sizeof(struct config_server), BACKEND_SERVERS_MAX, servers_parse,
			NULL, NULL, servers_same},
	};

	return &types[kind];
}

struct item {
	char text[LIST_ITEM_MAX];
	uint32_t line;
};

/* Cuts what is too long for an item, not in the middle of a UTF-8 character. */
static void item_shorten(char text[static LIST_ITEM_MAX], const char *from)
{
	size_t len = LIST_ITEM_MAX - sizeof("...");

	while (((unsigned char)from[len] & 0xc0) == 0x80)
		len--;
	memcpy(text, from, len);
	strcpy(text + len, "...");
}

/* The item at *text without the white space around it; *text moves behind its comma, or becomes
 * NULL after the last one. */
static const char *item_next(const char **text, struct item *out)
{
	const char *s = *text, *end;
	size_t len;

	for (; *s == ' ' || *s == '\t' || *s == '\n'; s++)
		out->line += *s == '\n';
	end = s + strcspn(s, ",");
	*text = *end == ',' ? end + 1 : NULL;
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	len = (size_t)(end - s);
	if (len >= LIST_ITEM_MAX) {
		item_shorten(out->text, s);
		return "is too long";
	}
	memcpy(out->text, s, len);
	out->text[len] = '\0';
	return len == 0 ? "has nothing before or after a comma" : NULL;
}

static size_t list_sort(const struct list_type *type, char *items, size_t count)
{
	size_t kept = 1;

	if (type->compare == NULL)
		return count;
	qsort(items, count, type->item_size, type->compare);
	for (size_t i = 1; i < count; i++) {
		const char *item = items + i * type->item_size;

		if (type->join(items + (kept - 1) * type->item_size, item))
			continue;
		memmove(items + kept * type->item_size, item, type->item_size);
		kept++;
	}
	return kept;
}

/* The item that comes after `count` good ones; NULL if it is good too. */
static const char *list_take(const struct list_type *type, const char *text, struct arena *arena,
	char *items, size_t count)
{
	char *item = items + count * type->item_size;
	const char *wrong = type->parse(text, arena, item);

	if (wrong != NULL)
		return wrong;
	for (size_t i = 0; type->same != NULL && i < count; i++) {
		if (type->same(items + i * type->item_size, item))
			return "stands twice";
	}
	return count == type->most ? "is one too many" : NULL;
}

bool list_parse(enum list_kind kind, const char *text, struct arena *arena, struct list *out,
	list_complain complain, void *arg)
{
	const struct list_type *type = list_type(kind);
	struct item item = {.line = 0};
	size_t most = 1, count = 0;
	bool good = true;
	char *items;

	for (const char *s = text; *s != '\0'; s++)
		most += *s == ',';
	items = arena_alloc(arena, most, type->item_size);
	if (items == NULL) {
		complain(arg, 0, "", "does not fit into memory");
		return false;
	}
	while (text != NULL) {
		const char *wrong = item_next(&text, &item);

		if (wrong == NULL)
			wrong = list_take(type, item.text, arena, items, count);
		if (wrong == NULL) {
			count++;
			continue;
		}
		complain(arg, item.line, item.text, wrong);
		good = false;
	}
	if (good)
		*out = (struct list){.items = items, .count = list_sort(type, items, count)};
	return good;
}

static struct addr addr_after(const struct addr *a)
{
	struct addr next = *a;

	for (int i = 15; i >= 0 && ++next.b[i] == 0; i--)
		;
	return next;
}

/* Whether ranges that lie sorted and apart contain one range, end to end. */
static bool addrs_contain(
	const struct addr_range *list, size_t count, const struct addr_range *range)
{
	struct addr need = range->first;

	for (size_t i = 0; i < count; i++) {
		if (!addr_in_range(&need, &list[i]))
			continue;
		if (memcmp(list[i].last.b, range->last.b, 16) >= 0)
			return true;
		need = addr_after(&list[i].last);
	}
	return false;
}

bool list_addrs_cover(
	const struct addr_range *a, size_t a_count, const struct addr_range *b, size_t b_count)
{
	static const struct addr_range everything[] = {
		{.first = {.b = {[10] = 0xff, [11] = 0xff}},
			.last = {.b = {[10] = 0xff,
					 [11] = 0xff,
					 [12] = 0xff,
					 [13] = 0xff,
					 [14] = 0xff,
					 [15] = 0xff}}},
		{.first = {.b = {0}},
			.last = {.b = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}},
	};

	if (a_count == 0)
		return true;
	if (b_count == 0) {
		b = everything;
		b_count = 2;
	}
	for (size_t i = 0; i < b_count; i++) {
		if (!addrs_contain(a, a_count, &b[i]))
			return false;
	}
	return true;
}

static bool ports_contain(
	const struct port_range *list, size_t count, const struct port_range *range)
{
	unsigned need = range->first;

	for (size_t i = 0; i < count; i++) {
		if (need >= list[i].first && need <= list[i].last)
			need = list[i].last + 1u;
	}
	return need > range->last;
}

bool list_ports_cover(
	const struct port_range *a, size_t a_count, const struct port_range *b, size_t b_count)
{
	static const struct port_range everything = {1, UINT16_MAX};

	if (a_count == 0)
		return true;
	if (b_count == 0) {
		b = &everything;
		b_count = 1;
	}
	for (size_t i = 0; i < b_count; i++) {
		if (!ports_contain(a, a_count, &b[i]))
			return false;
	}
	return true;
}

static bool interfaces_contain(const char (*list)[POLICY_IFNAME], size_t count, const char *name)
{
	if (count == 0)
		return strcmp(name, "lo") != 0;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i], name) == 0)
			return true;
	}
	return false;
}

bool list_interfaces_cover(const char (*a)[POLICY_IFNAME], size_t a_count,
	const char (*b)[POLICY_IFNAME], size_t b_count)
{
	if (b_count == 0)
		return a_count == 0;
	for (size_t i = 0; i < b_count; i++) {
		if (!interfaces_contain(a, a_count, b[i]))
			return false;
	}
	return true;
}
