/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one rule says, for the connections that were accepted under it: immutable, and there for as
 * long as one of them or a listener holds it, whatever a reload does meanwhile.
 */
#ifndef ACKGATE_SPLICE_ROUTE_H
#define ACKGATE_SPLICE_ROUTE_H

#include "config/splicing.h"
#include "core/policy.h"
#include "splice/backend.h"

#include <stdatomic.h>

/* A rule's figures, which a rule of the same name takes over at a reload. */
struct route_tally {
	atomic_uint refs;
	atomic_uint open; /* connections now */
	atomic_uint_fast64_t total;
	atomic_uint_fast64_t bytes_in; /* of those that have ended */
	atomic_uint_fast64_t bytes_out;
	atomic_bool refused; /* a listener waits for one of them to end */
};

struct route {
	atomic_uint refs;
	char *name;
	uint16_t slot;
	uint16_t mss;             /* 0: off */
	bool fast_open;           /* Fast Open is let through, so both sides may use it */
	bool silent;              /* over_limit = drop: who can't be served is told nothing */
	struct config_splice set; /* the lists are its own; `backend` and `found` are not kept */
	struct backend *backend;  /* NULL: the address the client asked for */
	struct route_tally *tally;
	uint16_t ports[2]; /* where intercepted connections are taken: IPv6, IPv4; 0: nowhere */
};

/* Takes references of `backend` (may be NULL) and of old->tally; `old` may be NULL. NULL without
 * memory. */
struct route *route_new(const struct policy_rule *rule, const struct config_splice *set,
	struct backend *backend, const struct route *old);
struct route *route_ref(struct route *r);
void route_unref(struct route *r);

/* Whether the rule has as many connections as it may. */
bool route_full(const struct route *r);

#endif
