/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/steps.h"

#include <string.h>

void steps_do(struct chains *c, size_t chain, struct chain_match match, enum chain_action action)
{
	chains_add(c, chain, (struct chain_step){.match = match, .action = action});
}

void steps_goto(struct chains *c, size_t chain, struct chain_match match, size_t target)
{
	chains_add(c, chain,
		(struct chain_step){
			.match = match, .action = CHAIN_DO_GOTO, .target = (uint16_t)target});
}

void steps_jump(struct chains *c, size_t chain, struct chain_match match, size_t target)
{
	chains_add(c, chain,
		(struct chain_step){
			.match = match, .action = CHAIN_DO_JUMP, .target = (uint16_t)target});
}

void steps_queue(struct chains *c, size_t chain, struct chain_match match, enum engine_lane lane,
	bool bypass)
{
	const struct ruleset_plan *p = c->plan;
	unsigned first = p->queue + (unsigned)lane * p->workers;

	chains_add(c, chain,
		(struct chain_step){
			.match = match,
			.action = CHAIN_DO_QUEUE,
			.queue = (uint16_t)first,
			.queue_last = (uint16_t)(first + p->workers - 1),
			.bypass = bypass,
		});
}

void steps_drop(struct chains *c, size_t chain, const struct policy_rule *r,
	struct chain_match match, enum reason reason)
{
	chains_add(c, chain,
		(struct chain_step){
			.match = match,
			.action = r->enforce ? CHAIN_DO_DROP : CHAIN_DO_RETURN,
			.tally = {r->enforce ? CHAIN_DROPS : CHAIN_OBSERVED, reason, r->slot},
		});
}

size_t steps_count_lo(const struct policy_rule *r)
{
	size_t count = 0;
	for (size_t i = 0; i < r->interface_count; i++)
		count += strcmp(r->interface[i], "lo") == 0;
	return count;
}

bool steps_lo_named(const struct policy *p)
{
	for (size_t i = 0; i < p->rule_count; i++)
		if (steps_count_lo(&p->rules[i]) > 0)
			return true;
	return false;
}

bool steps_any_local(const struct policy *p)
{
	for (size_t i = 0; i < p->rule_count; i++)
		if (p->rules[i].local)
			return true;
	return false;
}

static enum chain_lo lo_of(
	const struct chains *c, const struct policy_rule *r, enum chain_side side)
{
	size_t lo = steps_count_lo(r);
	if (!c->lo_named)
		return CHAIN_LO_ANY;
	if (side == CHAIN_CLIENT_SIDE) /* rules with interfaces name them there */
		return r->interface_count == 0 ? CHAIN_LO_NOT_IN : CHAIN_LO_ANY;
	if (lo == 0)
		return CHAIN_LO_NOT_OUT;
	return lo == r->interface_count ? CHAIN_LO_OUT : CHAIN_LO_ANY;
}

struct chain_match steps_rule(
	const struct chains *c, const struct policy_rule *r, enum chain_side side)
{
	return (struct chain_match){.rule = r, .side = side, .lo = lo_of(c, r, side)};
}

bool steps_passed_over(const struct policy_rule *r, enum chain_side side)
{
	return side == CHAIN_SERVER_SIDE && steps_count_lo(r) < r->interface_count &&
	       !policy_gates(r);
}

size_t steps_chain_of(const struct chains *c, const struct policy_rule *r, enum chain_of_rule chain)
{
	return CHAIN_OF_RULES + CHAINS_OF_RULE * (size_t)(r - c->plan->policy->rules) + chain;
}

bool steps_bypass(const struct chains *c, const struct policy_rule *r)
{
	return c->plan->fail_open || !r->enforce;
}

size_t steps_ask_of(const struct chains *c, const struct policy_rule *r, enum chain_id chain)
{
	return chain + (steps_bypass(c, r) ? 1u : 0u);
}

bool steps_gives_cookies(const struct chains *c, const struct policy_rule *r)
{
	const bool *wanted = c->plan->proofs_wanted;

	/* A rule that gave some a moment ago still takes them back. */
	return c->plan->translate &&
	       (policy_gives_cookies(r) ||
		       (policy_gates(r) && !policy_is_transparent(r) && r->enforce &&
			       wanted != NULL && wanted[r->slot]));
}
