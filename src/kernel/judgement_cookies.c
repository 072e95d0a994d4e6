/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A SYN that is answered with a cookie is dropped, so conntrack knows nothing of the connection:
 * the client's ACK is NEW to it, picked up in the middle, or INVALID. A valid cookie proves that
 * the SYN had passed the host's filter chains, which may refuse such an ACK; hence it is taken
 * before them. What proves nothing is dropped there.
 *
 * The connection that user space then opens to the server begins with a SYN of its own that is
 * tracked, and ends as an entry made through ctnetlink. The kernel miswrites RSTs of such entries'
 * servers, and the segments that ICMP errors quote, so both go by user space.
 */
#include "config.h"

#include "kernel/judgement_cookies.h"

#include "kernel/steps.h"

enum {
	/* ACKs of no connection while the rule sends no cookies: it may have until a moment ago. */
	PROOFS_PER_S = 2000,
	SIZES_PER_S = 500, /* ICMP */
};

static bool proofs_unlimited(const struct chains *c, const struct policy_rule *r)
{
	const bool *wanted = c->plan->proofs_wanted;
	return r->syncookies == SYNCOOKIES_ALWAYS || (wanted != NULL && wanted[r->slot]);
}

/* What exceeds the limit comes to the judging chains, which drop it. */
static void build_proofs_of(struct chains *c, const struct policy_rule *r)
{
	struct chain_match m = {.per_s = proofs_unlimited(c, r) ? 0 : PROOFS_PER_S};
	steps_queue(c, steps_chain_of(c, r, CHAIN_OF_PROOFS), m, LANE_PROOFS, steps_bypass(c, r));
}

/* `local`: with the rules about this host alone. What comes behind the last that gives cookies is
 * of no interest. */
static void add_proofs(struct chains *c, size_t chain, bool local)
{
	const struct policy *p = c->plan->policy;

	size_t count = p->rule_count;
	while (count > 0 && !steps_gives_cookies(c, &p->rules[count - 1]))
		count--;
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *r = &p->rules[i];
		struct chain_match m = steps_rule(c, r, CHAIN_CLIENT_SIDE);
		if (r->local && !local)
			continue;
		if (steps_gives_cookies(c, r))
			steps_goto(c, chain, m, steps_chain_of(c, r, CHAIN_OF_PROOFS));
		else
			steps_do(c, chain, m, CHAIN_DO_RETURN);
	}
}

static void build_proofs(struct chains *c)
{
	const struct policy *p = c->plan->policy;

	for (size_t i = 0; i < p->rule_count; i++)
		if (steps_gives_cookies(c, &p->rules[i]))
			build_proofs_of(c, &p->rules[i]);
	add_proofs(c, CHAIN_PROOFS, true);
	if (c->any_local)
		add_proofs(c, CHAIN_PROOFS_FORWARD, false);
}

static void build_early(struct chains *c)
{
	struct chain_match stray_ack = {
		IS_ACK, .states = CHAIN_NEW | CHAIN_INVALID, .packet_bit = CHAIN_BIT_CLEAR};
	const size_t forward = c->any_local ? CHAIN_PROOFS_FORWARD : CHAIN_PROOFS;

	const struct chain_match admitted = {.connection_bit = CHAIN_BIT_SET};

	/* What there is most of goes by after one comparison. */
	if (c->list[forward].count > 0) {
		steps_do(c, CHAIN_EARLY_FORWARD, admitted, CHAIN_DO_RETURN);
		steps_goto(c, CHAIN_EARLY_FORWARD, stray_ack, forward);
	}
	if (c->list[CHAIN_PROOFS].count == 0)
		return;
	steps_do(c, CHAIN_EARLY_INPUT, admitted, CHAIN_DO_RETURN);
	if (!c->lo_named)
		stray_ack.lo = CHAIN_LO_NOT_IN;
	steps_goto(c, CHAIN_EARLY_INPUT, stray_ack, CHAIN_PROOFS);
}

/* Learned routes may be of servers that no rule is about. */
static bool route_matters(const struct chains *c, const struct ruleset_route *route)
{
	const struct policy *p = c->plan->policy;
	for (size_t i = 0; i < p->rule_count; i++)
		if (steps_gives_cookies(c, &p->rules[i]) &&
			policy_serves(&p->rules[i], &route->server, route->port))
			return true;
	return false;
}

/* Bit set: the SYN came by the one public address that leads to its server. */
static void build_ask_dnat(struct chains *c, size_t chain, bool bypass)
{
	const struct ruleset_plan *p = c->plan;
	const struct chain_match any = {0};

	steps_do(c, chain, any, CHAIN_DO_CLEAR_PACKET_BIT);
	for (size_t i = 0; i < p->route_count; i++)
		if (route_matters(c, &p->routes[i]))
			steps_do(c, chain, (struct chain_match){.route = &p->routes[i]},
				CHAIN_DO_SET_PACKET_BIT);
	steps_queue(c, chain, any, LANE_DNAT, bypass);
}

void judgement_cookies_build(struct chains *c)
{
	if (!c->plan->translate)
		return;
	build_proofs(c);
	build_early(c);
	build_ask_dnat(c, CHAIN_ASK_DNAT, false);
	build_ask_dnat(c, CHAIN_ASK_DNAT_OPEN, true);
}

void judgement_cookies_syns(struct chains *c, size_t chain, const struct policy_rule *r)
{
	/* Over an entry of ours there is never a cookie. */
	steps_goto(c, chain,
		(struct chain_match){IS_SYN, .connection_bit = CHAIN_BIT_CLEAR, .dnat = true},
		steps_ask_of(c, r, CHAIN_ASK_DNAT));
}

void judgement_cookies_resets(struct chains *c, size_t chain)
{
	if (c->plan->translate)
		steps_queue(c, chain,
			(struct chain_match){
				HAS_RST, .connection_bit = CHAIN_BIT_SET, .direction = CHAIN_REPLY},
			LANE_ADMITTED, true);
}

void judgement_cookies_sizes(struct chains *c, size_t chain)
{
	if (c->plan->translate)
		steps_queue(c, chain,
			(struct chain_match){.protocol = CHAIN_TOO_BIG,
				.packet_bit = CHAIN_BIT_CLEAR,
				.per_s = SIZES_PER_S},
			LANE_PROOFS, true);
}
