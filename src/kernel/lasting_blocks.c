/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/lasting_blocks.h"

#include "kernel/lasting_render.h"
#include "kernel/nft_run.h"
#include "kernel/ranges.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
	COMMAND = 512,
	LINE = 256
};

static const char *set_of(const struct addr_range *range)
{
	return addr_is_v4(&range->first) ? "block4" : "block6";
}

static bool read_addr(const char *text, struct addr *out)
{
	uint8_t octets[4];

	if (text == NULL)
		return false;
	if (inet_pton(AF_INET, text, octets) == 1) {
		*out = addr_v4(octets);
		return true;
	}
	return inet_pton(AF_INET6, text, out->b) == 1;
}

/* The last address of a prefix. */
static struct addr last_of(const struct addr *first, unsigned bits)
{
	struct addr last = *first;
	unsigned keep = addr_is_v4(first) ? bits + 96 : bits;

	for (unsigned i = keep; i < 128; i++)
		last.b[i / 8] |= (uint8_t)(0x80u >> i % 8);
	return last;
}

/* "192.0.2.1", {"prefix": {"addr": ..., "len": 24}} or {"range": [first, last]}. */
static bool read_range(json_t *val, struct addr_range *out)
{
	json_t *prefix = json_object_get(val, "prefix");
	json_t *range = json_object_get(val, "range");
	json_t *first = val;

	if (prefix != NULL)
		first = json_object_get(prefix, "addr");
	else if (range != NULL)
		first = json_array_get(range, 0);
	if (!read_addr(json_string_value(first), &out->first))
		return false;
	if (range != NULL)
		return read_addr(json_string_value(json_array_get(range, 1)), &out->last);
	out->last = out->first;
	if (prefix != NULL)
		out->last = last_of(
			&out->first, (unsigned)json_integer_value(json_object_get(prefix, "len")));
	return true;
}

static void read_elements(json_t *elements,
	void (*each)(void *arg, const struct addr_range *range, uint32_t left_s), void *arg)
{
	size_t i;
	json_t *element;
	struct addr_range range;

	json_array_foreach(elements, i, element)
	{
		json_t *elem = json_object_get(element, "elem");
		json_t *val = elem != NULL ? json_object_get(elem, "val") : element;
		json_int_t left = json_integer_value(json_object_get(elem, "expires"));
		if (read_range(val, &range))
			each(arg, &range, (uint32_t)left);
	}
}

int lasting_blocks_list(
	void (*each)(void *arg, const struct addr_range *range, uint32_t left_s), void *arg)
{
	static const char *const lists[] = {
		"list set " LASTING_TABLE " block4", "list set " LASTING_TABLE " block6"};
	int result = 0;

	for (size_t s = 0; s < sizeof(lists) / sizeof(lists[0]); s++) {
		json_t *root = nft_run_list(lists[s], NFT_RUN_JSON_ELEMENTS);
		size_t i;
		json_t *item;
		if (root == NULL)
			result = -1;
		json_array_foreach(json_object_get(root, "nftables"), i, item)
		{
			json_t *set = json_object_get(item, "set");
			read_elements(json_object_get(set, "elem"), each, arg);
		}
		json_decref(root);
	}
	return result;
}

struct search {
	const struct addr_range *range;
	struct addr_range found;
	bool any;
};

static void look_for_overlap(void *arg, const struct addr_range *range, uint32_t left_s)
{
	struct search *s = arg;

	(void)left_s;
	if (addr_in_range(&s->range->first, range) || addr_in_range(&range->first, s->range)) {
		s->found = *range;
		s->any = true;
	}
}

/* Says which other block shares addresses with the range. False if none does. */
static bool explain_overlap(
	const struct addr_range *range, const char *instead, char *why, size_t why_size)
{
	struct search s = {.range = range};
	char asked[RANGES_TEXT], found[RANGES_TEXT];

	if (lasting_blocks_list(look_for_overlap, &s) != 0 || !s.any)
		return false;
	addr_range_print(asked, range);
	addr_range_print(found, &s.found);
	snprintf(why, why_size, "%s shares addresses with the block of %s: %s", asked, found,
		instead);
	return true;
}

static void explain(const char *said, char *why, size_t why_size)
{
	char line[LINE];

	ruleset_first_line(line, sizeof(line), said);
	snprintf(why, why_size, "nftables did not change the blocks: %s", line);
}

/* An element that is there keeps its timeout when it is added again; deleting what is not there
 * would fail. */
int lasting_blocks_add(const struct addr_range *range, uint32_t seconds, char *why, size_t why_size)
{
	const char *set = set_of(range);
	char text[RANGES_TEXT], command[COMMAND];
	char *said;

	if (seconds == 0) {
		snprintf(why, why_size, "a block lasts a second at least");
		return -1;
	}
	addr_range_print(text, range);
	snprintf(command, sizeof(command),
		"add element " LASTING_TABLE " %s { %s }\n"
		"delete element " LASTING_TABLE " %s { %s }\n"
		"add element " LASTING_TABLE " %s { %s timeout %" PRIu32 "s }\n",
		set, text, set, text, set, text, seconds);
	bool ok = nft_run(command, NFT_RUN_PLAIN, &said);
	if (!ok && !explain_overlap(range, "lift that one first", why, why_size))
		explain(said, why, why_size);
	free(said);
	return ok ? 0 : -1;
}

int lasting_blocks_delete(const struct addr_range *range, char *why, size_t why_size)
{
	char text[RANGES_TEXT], command[COMMAND];
	char *said;
	int result = -1;

	addr_range_print(text, range);
	snprintf(command, sizeof(command), "delete element " LASTING_TABLE " %s { %s }\n",
		set_of(range), text);
	if (nft_run(command, NFT_RUN_PLAIN, &said))
		result = 0;
	else if (explain_overlap(range, "lift that one", why, why_size))
		result = -1;
	else if (said != NULL && (strstr(said, "does not exist") || strstr(said, "No such file")))
		result = 1;
	else
		explain(said, why, why_size);
	free(said);
	return result;
}
