/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of addresses and ports as kernel rules want them: one family, sorted, no overlaps. */
#ifndef ACKGATE_KERNEL_RANGES_H
#define ACKGATE_KERNEL_RANGES_H

#include "core/policy.h"

enum ranges_family {
	RANGES_IPV4,
	RANGES_IPV6
};

/* count 0: `any` tells whether the list asks nothing or can't match. */
struct addr_ranges {
	struct addr_range *list;
	size_t count;
	bool any;
};

struct port_ranges {
	struct port_range *list;
	size_t count; /* 0: any port */
};

enum {
	RANGES_TEXT = 96
};

/* Those of the ranges that are of the family. A list of the other family alone matches nothing.
 * False without memory. */
bool addr_ranges_pick(struct addr_ranges *out, const struct addr_range *ranges, size_t count,
	enum ranges_family family);
void addr_ranges_free(struct addr_ranges *r);

/* "192.0.2.1", "192.0.2.0/24" or "192.0.2.1-192.0.2.9". Returns whether it is the last of these. */
bool addr_range_print(char out[static RANGES_TEXT], const struct addr_range *r);

bool port_ranges_pick(struct port_ranges *out, const struct port_range *ranges, size_t count);
void port_ranges_free(struct port_ranges *p);

#endif
