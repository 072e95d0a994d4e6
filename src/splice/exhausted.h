/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source addresses that have used up their local ports towards a server. To find that out the
 * kernel looks at each of them, for milliseconds; it is remembered for a moment, so that not every
 * connection costs such a search. One for each thread. Times are monotonic microseconds.
 */
#ifndef ACKGATE_SPLICE_EXHAUSTED_H
#define ACKGATE_SPLICE_EXHAUSTED_H

#include "core/addr.h"

enum {
	EXHAUSTED_US = 100000,
	EXHAUSTED_PAIRS = 64, /* the oldest is forgotten for one more */
};

struct exhausted {
	struct {
		struct addr source;
		struct endpoint server;
		uint64_t until_us;
	} pairs[EXHAUSTED_PAIRS]; /* a ring: they expire in their order */
	unsigned next;
};

void exhausted_add(struct exhausted *x, const struct addr *source, const struct endpoint *server,
	uint64_t now_us);
bool exhausted_has(const struct exhausted *x, const struct addr *source,
	const struct endpoint *server, uint64_t now_us);

#endif
