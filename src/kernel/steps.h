/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Steps as judgement.c, judgement_cookies.c and lasting.c make them: the kinds that come again and
 * again, and what they match. */
#ifndef ACKGATE_KERNEL_STEPS_H
#define ACKGATE_KERNEL_STEPS_H

#include "core/packet.h"
#include "kernel/chains.h"

enum {
	STEPS_HANDSHAKE_FLAGS = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK,
};

#define IS_SYN     .flags_of = STEPS_HANDSHAKE_FLAGS, .flags = TCP_SYN
#define IS_SYN_ACK .flags_of = STEPS_HANDSHAKE_FLAGS, .flags = TCP_SYN | TCP_ACK
#define IS_ACK     .flags_of = STEPS_HANDSHAKE_FLAGS, .flags = TCP_ACK
#define HAS_SYN    .flags_of = TCP_SYN, .flags = TCP_SYN
#define HAS_RST    .flags_of = TCP_RST, .flags = TCP_RST
#define NO_SYN     .flags_of = TCP_SYN, .flags = 0

void steps_do(struct chains *c, size_t chain, struct chain_match match, enum chain_action action);
void steps_goto(struct chains *c, size_t chain, struct chain_match match, size_t target);
void steps_jump(struct chains *c, size_t chain, struct chain_match match, size_t target);
void steps_queue(struct chains *c, size_t chain, struct chain_match match, enum engine_lane lane,
	bool bypass);
/* Drops for `reason` and counts it, or counts only and lets go where the rule does not enforce. */
void steps_drop(struct chains *c, size_t chain, const struct policy_rule *r,
	struct chain_match match, enum reason reason);

/* Once a rule names lo, lo is looked at; rules that do not name it don't mean it. */
bool steps_lo_named(const struct policy *p);
bool steps_any_local(const struct policy *p);
size_t steps_count_lo(const struct policy_rule *r);
/* What falls under a rule, seen from one side. */
struct chain_match steps_rule(
	const struct chains *c, const struct policy_rule *r, enum chain_side side);

/*
 * Which interface a connection came in by is not seen in its replies, so rules that name one are
 * looked at for their replies only if there are any to judge: those of a gate. What such a rule
 * leaves alone is told by the connection's mark.
 */
bool steps_passed_over(const struct policy_rule *r, enum chain_side side);

/* A rule's own chain. */
size_t steps_chain_of(
	const struct chains *c, const struct policy_rule *r, enum chain_of_rule chain);
/* Whether packets of the rule pass while nobody reads the queue. */
bool steps_bypass(const struct chains *c, const struct policy_rule *r);
/* The rule's variant of one of the chains that lead to the queue. */
size_t steps_ask_of(const struct chains *c, const struct policy_rule *r, enum chain_id chain);
/* Whether the rule's SYNs may be answered with cookies, here and now. */
bool steps_gives_cookies(const struct chains *c, const struct policy_rule *r);

#endif
