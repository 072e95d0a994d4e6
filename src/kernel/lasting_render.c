/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks come right before the judging chains, so that a blocked source costs no packet of a queue.
 * Only what it asks of us is dropped: answers to this host's own connections pass. Who blocks
 * nobody pays for no hook: those chains are rendered apart from the sets.
 *
 * INVALID segments are not translated and must go nowhere. Their drop comes behind the judging
 * chains, as a net under them: those name the reasons, and are gone when the daemon is. What may
 * belong to a handshake passes it: SYN-ACKs, and the RSTs that answer them. (The judging chains are
 * at 50, but iptables on nf_tables has its table "security" at 150.)
 */
#include "config.h"

#include "kernel/lasting_render.h"

#include "kernel/nft_render.h"
#include "kernel/steps.h"

#include <stdlib.h>

enum lasting_chain {
	LASTING_BLOCKED_INPUT,
	LASTING_BLOCKED_FORWARD,
	LASTING_INVALID_INPUT,
	LASTING_INVALID_FORWARD,
	LASTING_INVALID_OUTPUT,
	LASTING_AT_HOOKS,

	LASTING_BLOCKED_RULES = LASTING_AT_HOOKS,
	LASTING_BLOCKED_PASSING, /* likewise, without rules about this host alone, if there are any
				  */
	LASTING_CLIENTS,
	LASTING_EITHER,
	LASTING_SERVERS,
	LASTING_CHAINS
};

static struct chains *chains_with_names(const struct ruleset_plan *plan)
{
	static const char *const names[LASTING_CHAINS] = {
		[LASTING_BLOCKED_INPUT] = LASTING_BLOCKED "_input",
		[LASTING_BLOCKED_FORWARD] = LASTING_BLOCKED "_forward",
		[LASTING_INVALID_INPUT] = "invalid_input",
		[LASTING_INVALID_FORWARD] = "invalid_forward",
		[LASTING_INVALID_OUTPUT] = "invalid_output",
		[LASTING_BLOCKED_RULES] = LASTING_BLOCKED,
		[LASTING_BLOCKED_PASSING] = ("passing_" LASTING_BLOCKED),
		[LASTING_CLIENTS] = "invalid_clients",
		[LASTING_EITHER] = "invalid_either",
		[LASTING_SERVERS] = "invalid_servers",
	};
	struct chains *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->plan = plan;
	c->count = LASTING_CHAINS;
	c->lo_named = steps_lo_named(plan->policy);
	c->any_local = steps_any_local(plan->policy);
	c->list = calloc(c->count, sizeof(*c->list));
	if (c->list == NULL) {
		chains_free(c);
		return NULL;
	}
	for (size_t i = 0; i < c->count; i++)
		snprintf(c->list[i].name, sizeof(c->list[i].name), "%s", names[i]);
	return c;
}

static void pass_lo(struct chains *c, size_t chain, enum chain_lo lo)
{
	if (!c->lo_named)
		steps_do(c, chain, (struct chain_match){.lo = lo}, CHAIN_DO_RETURN);
}

static void add_blocked(struct chains *c, size_t chain, bool local)
{
	const struct policy *p = c->plan->policy;

	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];
		struct chain_match m = steps_rule(c, r, CHAIN_CLIENT_SIDE);
		if (r->local && !local)
			continue;
		if (r->mode == MODE_ACCEPT)
			steps_do(c, chain, m, CHAIN_DO_RETURN);
		else
			steps_drop(c, chain, r, m, REASON_blocked);
	}
}

static void build_blocked(struct chains *c)
{
	const enum lasting_chain passing =
		c->any_local ? LASTING_BLOCKED_PASSING : LASTING_BLOCKED_RULES;
	const enum lasting_chain ways[][2] = {
		{LASTING_BLOCKED_INPUT, LASTING_BLOCKED_RULES}, {LASTING_BLOCKED_FORWARD, passing}};

	pass_lo(c, LASTING_BLOCKED_INPUT, CHAIN_LO_IN);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		/* First what there is most of. INVALID segments have no direction. */
		steps_do(c, ways[i][0], (struct chain_match){.direction = CHAIN_REPLY},
			CHAIN_DO_RETURN);
		steps_do(c, ways[i][0], (struct chain_match){.protocol = CHAIN_NOT_TCP},
			CHAIN_DO_RETURN);
		steps_goto(c, ways[i][0], (struct chain_match){.blocked = true}, ways[i][1]);
	}
	add_blocked(c, LASTING_BLOCKED_RULES, true);
	if (c->any_local)
		add_blocked(c, LASTING_BLOCKED_PASSING, false);
}

/* In the rules' order, as the judging chains go; what comes behind the last that gives cookies is
 * of no interest. */
static void add_invalid(struct chains *c, size_t chain, enum chain_side side, bool local)
{
	const struct policy *p = c->plan->policy;

	size_t count = p->rule_count;
	while (count > 0 && !policy_gives_cookies(&p->rules[count - 1]))
		count--;
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *r = &p->rules[i];
		struct chain_match m = steps_rule(c, r, side);
		if (steps_passed_over(r, side) || (r->local && !local))
			continue;
		if (!policy_gives_cookies(r)) {
			steps_do(c, chain, m, CHAIN_DO_RETURN);
			continue;
		}
		m.flags_of = side == CHAIN_CLIENT_SIDE ? TCP_SYN | TCP_RST : TCP_SYN;
		steps_drop(c, chain, r, m, REASON_out_of_window);
	}
}

/* The hooks' own steps are also what keeps conntrack on for both families. */
static void build_invalid(struct chains *c)
{
	const struct chain_match invalid = {.states = CHAIN_INVALID};

	steps_goto(c, LASTING_INVALID_INPUT, invalid, LASTING_CLIENTS);
	steps_goto(c, LASTING_INVALID_FORWARD, invalid, LASTING_EITHER);
	steps_goto(c, LASTING_INVALID_OUTPUT, invalid, LASTING_SERVERS);
	pass_lo(c, LASTING_CLIENTS, CHAIN_LO_IN);
	pass_lo(c, LASTING_SERVERS, CHAIN_LO_OUT);
	add_invalid(c, LASTING_CLIENTS, CHAIN_CLIENT_SIDE, true);
	add_invalid(c, LASTING_EITHER, CHAIN_CLIENT_SIDE, false);
	add_invalid(c, LASTING_EITHER, CHAIN_SERVER_SIDE, false);
	add_invalid(c, LASTING_SERVERS, CHAIN_SERVER_SIDE, true);
}

static void write_chains(struct nft_render *w, struct lasting_parts parts)
{
	static const char *const hooks[LASTING_AT_HOOKS] = {
		[LASTING_BLOCKED_INPUT] = "input priority -160",
		[LASTING_BLOCKED_FORWARD] = "forward priority -160",
		[LASTING_INVALID_INPUT] = "input priority 160",
		[LASTING_INVALID_FORWARD] = "forward priority 160",
		[LASTING_INVALID_OUTPUT] = "output priority 160",
	};

	for (size_t i = 0; i < LASTING_CHAINS; i++) {
		bool of_blocks = i <= LASTING_BLOCKED_FORWARD || i == LASTING_BLOCKED_RULES ||
				 i == LASTING_BLOCKED_PASSING;
		if (i == LASTING_BLOCKED_PASSING && !w->chains->any_local)
			continue;
		if (of_blocks ? parts.guard : parts.translate)
			nft_render_chain(
				w, &w->chains->list[i], i < LASTING_AT_HOOKS ? hooks[i] : NULL);
	}
}

long lasting_render(
	FILE *to, const char *table, const struct policy *policy, struct lasting_parts parts)
{
	const struct ruleset_plan plan = {.policy = policy, .translate = parts.translate};
	struct chains *c = chains_with_names(&plan);
	struct nft_render w = {.to = to, .chains = c};

	if (c == NULL)
		return -1;
	build_blocked(c);
	build_invalid(c);
	fprintf(to, "table %s {\n", table);
	if (parts.translate &&
		!parts.object_there) /* the numbers are for SYNs that it answers: none */
		fputs("\tsynproxy " LASTING_TRANSLATION " {\n"
		      "\t\tmss 1460\n\t\twscale 7\n\t\ttimestamp sack-perm\n\t}\n",
			to);
	if (parts.block)
		fputs("\tset block4 {\n\t\ttype ipv4_addr; flags interval,timeout;\n\t}\n"
		      "\tset block6 {\n\t\ttype ipv6_addr; flags interval,timeout;\n\t}\n",
			to);
	write_chains(&w, parts);
	fputs("}\n", to);
	bool failed = w.failed || c->failed;
	chains_free(c);
	return failed ? -1 : (long)w.rules;
}
