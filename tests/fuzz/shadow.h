/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an observer beside the gate knows, and what must hold whatever it is fed: a model of a few
 * connections that only remembers which packets were let through, and the sums that have to agree.
 * Anything that does not hold aborts.
 */
#ifndef ACKGATE_TESTS_SHADOW_H
#define ACKGATE_TESTS_SHADOW_H

#include "core/engine_state.h"

enum {
	SHADOW_TUPLES = 8,   /* every other one IPv6; clients 0 to 3 of a family are one source */
	SHADOW_SLOTS = 2,    /* rules: 0 of IPv4, 1 of IPv6 */
	SHADOW_SEGMENTS = 32 /* remembered of each kind; a flow that has seen more proves nothing */
};

/* Numbers of segments with SYN, or of acknowledgements. */
struct shadow_heard {
	uint32_t number[SHADOW_SEGMENTS];
	uint32_t data[SHADOW_SEGMENTS]; /* bytes that went on with it */
	unsigned count;
};

struct shadow_tuple {
	struct tuple tuple;
	struct shadow_heard client_syns;
	struct shadow_heard server_syns;
	struct shadow_heard server_acks;
	bool joined;         /* not from its first SYN on: nothing can be said of it */
	uint32_t cookie_isn; /* of the last one that was sent to the client */
	uint32_t cookie_tsval;
	uint32_t next[2]; /* one past the highest that each side has sent */
};

struct shadow {
	struct shadow_tuple tuples[SHADOW_TUPLES];
	const struct engine *engine;
	const struct engine_shared *shared;
	const struct engine_limits *limits;
	unsigned left_alone; /* handshakes that no rule judges any more: nobody knows what came of
				them */
};

void shadow_require(bool promise);

void shadow_begin(struct shadow *s, struct engine *e, struct engine_shared *shared,
	const struct engine_limits *limits);

/* Handshakes that were counted as begun and not yet as ended. */
unsigned shadow_pending(const struct shadow *s);

/* The number of the flow of a tuple; 0: none. */
uint32_t shadow_flow(const struct shadow *s, unsigned tuple);

/*
 * After each packet of a tuple from a side, by a lane, whose flow was `before`: what begins with a
 * cookie has a valid one, and what is translated had begun so.
 */
void shadow_proven(struct shadow *s, unsigned tuple, enum hs_side side, enum engine_lane lane,
	const struct handshake *before, const struct decision *d);

/* After each packet of a tuple from a side, judged under `rule` (NULL: none). */
void shadow_judged(struct shadow *s, unsigned tuple, enum hs_side side,
	const struct policy_rule *rule, const struct decision *d);

/* After anything: gauges, shared counts, lists and counters agree, and bounds hold. */
void shadow_check(struct shadow *s);

/* After an expiry: nothing is left that is due. */
void shadow_check_ages(const struct shadow *s, uint64_t now_us);

/* Effects are no more than `most`, and each is what it should be. */
void shadow_check_effects(const struct effects *effects, size_t most, bool enforced);

#endif
