/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flows of one shard: a bounded table, 64 bytes a flow, allocated whole at start and touched as
 * it fills.
 *
 * A flow is known by its number, 1 and up; 0 is none. Each flow is on one list, oldest first, and
 * enters it at the end, so a list whose flows all have the same time to live expires from its head:
 * no timer, no search.
 */
#ifndef ACKGATE_CORE_FLOW_H
#define ACKGATE_CORE_FLOW_H

#include "core/addr.h"
#include "core/handshake.h"
#include "core/siphash.h"

#include <stddef.h>
#include <stdint.h>

enum flow_list {
	FLOW_SYN_SENT, /* half-open, the server has not answered */
	FLOW_SYN_RCVD, /* half-open, it has */
	FLOW_OPENING,  /* begun with a cookie, the server has not answered */
	FLOW_LINGER,   /* handed over: kept a moment for packets that were in the queue already */
	FLOW_COUNTED,  /* handed over, counted until conntrack says it has ended */
	FLOW_ESTABLISHED,
	FLOW_FIN_WAIT,
	FLOW_CLOSE_WAIT,
	FLOW_LAST_ACK,
	FLOW_TIME_WAIT,
	FLOW_RESET,
	FLOW_LISTS
};

struct flow {
	struct tuple tuple;
	struct handshake hs; /* its tag is the rule's slot */
	uint32_t prev;       /* on its list; 0: none */
	uint32_t next;
	uint32_t since_ms; /* when it came on its list; wraps after 49 days */
};

_Static_assert(sizeof(struct flow) <= 64, "a half-open flow takes at most 64 bytes");

struct flow_table;

/* NULL without memory. `capacity`: flows, at most 2^31. */
struct flow_table *flow_table_new(uint32_t capacity, const struct siphash_key *key);
void flow_table_free(struct flow_table *t);

/* The large pieces of memory behind the table, for whoever wants to advise the system on them. */
void flow_table_memory(const struct flow_table *t, void (*each)(void *start, size_t size));

struct flow *flow_at(struct flow_table *t, uint32_t number);

/* The flow between two ends, whichever sent the packet: *side says which. 0 if there is none. */
uint32_t flow_find(struct flow_table *t, const struct addr *src, uint16_t src_port,
	const struct addr *dst, uint16_t dst_port, enum hs_side *side);

/*
 * Asks for what flow_find will touch, so that it is in the cache by then: first the index, and once
 * that can have come, the flow. For batches, where one packet's memory is fetched while others are
 * worked on.
 */
uint64_t flow_expect(const struct flow_table *t, const struct tuple *ends);
void flow_expect_next(const struct flow_table *t, uint64_t hash);

/* A new flow on a list, zeroed but for the tuple; 0 if the table is full. There must be none of
 * that tuple. */
uint32_t flow_insert(
	struct flow_table *t, const struct tuple *tuple, enum flow_list list, uint64_t now_us);
void flow_remove(struct flow_table *t, uint32_t number, enum flow_list list);

/* To the end of `to`, with the time now. */
void flow_move(struct flow_table *t, uint32_t number, enum flow_list from, enum flow_list to,
	uint64_t now_us);

uint32_t flow_oldest(const struct flow_table *t, enum flow_list list);
uint32_t flow_count(const struct flow_table *t, enum flow_list list);
uint32_t flow_used(const struct flow_table *t);

/* Milliseconds since it came on its list. */
uint32_t flow_age_ms(const struct flow *f, uint64_t now_us);

#endif
