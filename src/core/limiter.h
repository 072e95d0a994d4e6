/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered of sources, for per-source limits: a fixed-size table shared by all workers,
 * without locks.
 *
 * A source is a prefix under one rule. Each has a rate of SYNs and one of completed handshakes (the
 * generic cell rate algorithm, ITU-T I.371), a count of standing connections, and one of half-open
 * handshakes. Sources share sets of eight places; a new one takes the place of the one whose rate
 * was idle longest, never of one with connections, so addresses that only ever send SYNs cannot
 * push those out that have proven themselves.
 */
#ifndef ACKGATE_CORE_LIMITER_H
#define ACKGATE_CORE_LIMITER_H

#include "core/addr.h"
#include "core/policy.h"
#include "core/siphash.h"

#include <stdbool.h>
#include <stdint.h>

struct limiter;

/* Room for at least `sources`. NULL without memory. */
struct limiter *limiter_new(uint32_t sources, const struct siphash_key *key);
void limiter_free(struct limiter *l);

/* Whether one more SYN of this source fits the rate; if so it is counted. `source` is a prefix
 * (addr_prefix). */
bool limiter_take(struct limiter *l, const struct addr *source, uint16_t slot,
	const struct policy_rate *rate, uint64_t now_us);

/* Whether it would fit; nothing is counted. */
bool limiter_fits(struct limiter *l, const struct addr *source, uint16_t slot,
	const struct policy_rate *rate, uint64_t now_us);

/* Standing connections of a source; 0 if it is not remembered. */
uint32_t limiter_connections(struct limiter *l, const struct addr *source, uint16_t slot);

/* Counts one more unless there are `max` already: false then. Without a place for the source it is
 * let by, uncounted: *counted says. */
bool limiter_connect(struct limiter *l, const struct addr *source, uint16_t slot, uint32_t max,
	uint64_t now_us, bool *counted);
void limiter_disconnect(struct limiter *l, const struct addr *source, uint16_t slot);

/* Whether one more completed handshake of this source fits the rate; if so it is counted. */
bool limiter_complete(struct limiter *l, const struct addr *source, uint16_t slot,
	const struct policy_rate *rate, uint64_t now_us);

/*
 * Half-open handshakes of a source. They keep no place from being taken over, so a count may begin
 * anew; one less than none is none.
 */
uint32_t limiter_half_open(struct limiter *l, const struct addr *source, uint16_t slot);
void limiter_open(struct limiter *l, const struct addr *source, uint16_t slot);
void limiter_settle(struct limiter *l, const struct addr *source, uint16_t slot);
/* All begin anew: for when other rules count them. */
void limiter_forget_half_open(struct limiter *l);

/* How many sources are remembered. */
uint32_t limiter_tracked(const struct limiter *l);

struct limiter_source {
	struct addr source;
	uint16_t slot;
	uint32_t connections;
	uint32_t half_open;
};

/* Calls `each` for every source that is remembered. */
void limiter_each(const struct limiter *l,
	void (*each)(void *arg, const struct limiter_source *source), void *arg);

#endif
