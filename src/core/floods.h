/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which servers are under a flood that is answered with cookies: theirs are the SYNs that the
 * kernel may drop at once and only tell of.
 */
#ifndef ACKGATE_CORE_FLOODS_H
#define ACKGATE_CORE_FLOODS_H

#include "core/engine.h"

enum {
	FLOODS_MAX = 64,
	/* SYNs a second that want a cookie. Telling of them in batches delays the last of one, so
	 * few are better asked about. */
	FLOODS_BEGIN_PER_S = 5000,
	FLOODS_END_PER_S = 1000,
	FLOODS_LAST_US = 1000000, /* below the end's rate, before it is over */
};

struct flood {
	struct addr addr; /* the server's */
	uint16_t port;
	uint64_t high_us; /* when it was above the end's rate */
};

struct floods {
	struct flood list[FLOODS_MAX];
	size_t count;
	uint64_t looked_us;
};

/*
 * Whether any SYN to the server, whoever sends it, is answered with a cookie or refused, but for
 * those that the kernel can tell by themselves. It must have come by no DNAT, and not by lo.
 */
bool floods_all_answered(const struct policy *p, const struct engine_shared *shared,
	const struct learned_server *server);

/* Brings the list up to date; to be called some times a second, by one thread. True if servers have
 * come or gone. */
bool floods_look(
	struct floods *f, const struct policy *p, struct engine_shared *shared, uint64_t now_us);

#endif
