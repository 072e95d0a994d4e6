/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/ranges.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static int compare_addr_ranges(const void *a, const void *b)
{
	const struct addr_range *x = a, *y = b;
	return memcmp(x->first.b, y->first.b, sizeof(x->first.b));
}

static int compare_port_ranges(const void *a, const void *b)
{
	const struct port_range *x = a, *y = b;
	return (int)x->first - (int)y->first;
}

static bool is_v4(const struct addr_range *r)
{
	return addr_is_v4(&r->first);
}

/* How many leading bits both ends share, if it is a prefix of that length; -1 if it is none. */
static int prefix_len(const struct addr_range *r)
{
	unsigned bits = 0;
	while (bits < 128 && !((r->first.b[bits / 8] ^ r->last.b[bits / 8]) & (0x80 >> bits % 8)))
		bits++;
	for (unsigned i = bits; i < 128; i++) {
		uint8_t bit = (uint8_t)(0x80 >> i % 8);
		if ((r->first.b[i / 8] & bit) || !(r->last.b[i / 8] & bit))
			return -1;
	}
	return (int)bits - (is_v4(r) ? 96 : 0);
}

static size_t merge_addr_ranges(struct addr_range *list, size_t count)
{
	size_t kept = 0;
	qsort(list, count, sizeof(*list), compare_addr_ranges);
	for (size_t i = 1; i < count; i++) {
		struct addr_range *last = &list[kept];
		if (memcmp(list[i].first.b, last->last.b, sizeof(last->last.b)) > 0)
			list[++kept] = list[i];
		else if (memcmp(list[i].last.b, last->last.b, sizeof(last->last.b)) > 0)
			last->last = list[i].last;
	}
	return kept + 1;
}

bool addr_ranges_pick(struct addr_ranges *out, const struct addr_range *ranges, size_t count,
	enum ranges_family family)
{
	*out = (struct addr_ranges){.any = count == 0};
	if (count == 0)
		return true;
	out->list = calloc(count, sizeof(*out->list));
	if (out->list == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		if (is_v4(&ranges[i]) == (family == RANGES_IPV4))
			out->list[out->count++] = ranges[i];
	if (out->count == 0)
		return true;
	out->count = merge_addr_ranges(out->list, out->count);
	if (prefix_len(&out->list[0]) == 0)
		*out = (struct addr_ranges){.list = out->list, .any = true};
	return true;
}

void addr_ranges_free(struct addr_ranges *r)
{
	free(r->list);
	*r = (struct addr_ranges){0};
}

static void print_addr(char out[static INET6_ADDRSTRLEN], const struct addr *a)
{
	if (addr_is_v4(a))
		inet_ntop(AF_INET, a->b + 12, out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, a->b, out, INET6_ADDRSTRLEN);
}

bool addr_range_print(char out[static RANGES_TEXT], const struct addr_range *r)
{
	char first[INET6_ADDRSTRLEN], last[INET6_ADDRSTRLEN];
	int len = prefix_len(r);

	print_addr(first, &r->first);
	if (addr_equal(&r->first, &r->last)) {
		snprintf(out, RANGES_TEXT, "%s", first);
	} else if (len >= 0) {
		snprintf(out, RANGES_TEXT, "%s/%d", first, len);
	} else {
		print_addr(last, &r->last);
		snprintf(out, RANGES_TEXT, "%s-%s", first, last);
		return true;
	}
	return false;
}

bool port_ranges_pick(struct port_ranges *out, const struct port_range *ranges, size_t count)
{
	*out = (struct port_ranges){0};
	if (count == 0)
		return true;
	out->list = malloc(count * sizeof(*out->list));
	if (out->list == NULL)
		return false;
	memcpy(out->list, ranges, count * sizeof(*out->list));
	qsort(out->list, count, sizeof(*out->list), compare_port_ranges);

	size_t kept = 0;
	for (size_t i = 1; i < count; i++) {
		struct port_range *last = &out->list[kept];
		if (out->list[i].first > (unsigned)last->last + 1)
			out->list[++kept] = out->list[i];
		else if (out->list[i].last > last->last)
			last->last = out->list[i].last;
	}
	out->count = kept + 1;
	if (out->list[0].first == 0 && out->list[0].last == UINT16_MAX)
		out->count = 0;
	return true;
}

void port_ranges_free(struct port_ranges *p)
{
	free(p->list);
	*p = (struct port_ranges){0};
}
