/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists by commas, and which lists contain which. Lists of addresses and ports come out sorted and
 * without overlaps, those of servers as they were given, each only once. */
#ifndef ACKGATE_CONFIG_LISTS_H
#define ACKGATE_CONFIG_LISTS_H

#include "config/arena.h"
#include "core/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LIST_ITEM_MAX = 184, /* bytes with the NUL; a printed line holds one and its key */
};

enum list_kind {
	LIST_ADDRS,
	LIST_PORTS,
	LIST_INTERFACES,
	LIST_ENDPOINTS,
	LIST_HOSTS, /* single addresses */
	LIST_SERVERS
};

struct list {
	const void *items; /* struct addr_range, port_range, endpoint, config_server or
			      char[POLICY_IFNAME] */
	size_t count;
};

/* Told of each item that is wrong: how, as values.h says it, and how many newlines stand before it.
 */
typedef void (*list_complain)(void *arg, uint32_t line, const char *item, const char *wrong);

/* False if there were complaints; *out is untouched then. */
bool list_parse(enum list_kind kind, const char *text, struct arena *arena, struct list *out,
	list_complain complain, void *arg);

/* Whether everything that matches `b` matches `a`. Empty lists match everything; none of interfaces
 * does not match lo. */
bool list_addrs_cover(
	const struct addr_range *a, size_t a_count, const struct addr_range *b, size_t b_count);
bool list_ports_cover(
	const struct port_range *a, size_t a_count, const struct port_range *b, size_t b_count);
bool list_interfaces_cover(const char (*a)[POLICY_IFNAME], size_t a_count,
	const char (*b)[POLICY_IFNAME], size_t b_count);

#endif
