/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One chain at prerouting, right behind DNAT (-100): rules mean the address after it, replies have
 * the client's address back from masquerading, and what checks return paths by mark (firewalld's
 * rpfilter, at -140) looks before ours is set. What it does not mark goes on as if it were not
 * there.
 *
 * A SYN is judged by the rules in their order. What is destined to this host is nobody's to take,
 * so a rule without `to` or `port` locks nobody out. "tproxy" finds the connection's own socket,
 * if it has one, before the listener, and lets the listener take a SYN on TIME-WAIT; if it finds
 * neither it ends its rule, and on_failure decides: the packet is forwarded unmarked, or dropped.
 *
 * All other segments, and ICMP errors about them, are ours if their connection has a transparent
 * socket here. A listener is no connection: without the look at wildcards, one at all addresses
 * would attract whatever is forwarded to its port. Only full sockets can be asked for that, hence
 * the question that sorts out instead of the one that picks.
 */
#include "config.h"

#include "kernel/tproxy_render.h"

#include "kernel/nft_render.h"
#include "kernel/steps.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
	ARRIVING,
	TPROXY_OF_RULES
};

static struct chains *chains_with_names(const struct ruleset_plan *plan)
{
	struct chains *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->plan = plan;
	c->count = TPROXY_OF_RULES + plan->policy->rule_count;
	c->list = calloc(c->count, sizeof(*c->list));
	if (c->list == NULL) {
		chains_free(c);
		return NULL;
	}
	snprintf(c->list[ARRIVING].name, sizeof(c->list[ARRIVING].name), "arriving");
	for (size_t i = 0; i < plan->policy->rule_count; i++) {
		struct chain *chain = &c->list[TPROXY_OF_RULES + i];
		chain->rule = &plan->policy->rules[i];
		snprintf(chain->name, sizeof(chain->name), "rule%u_listener",
			(unsigned)chain->rule->slot);
	}
	return c;
}

static bool takes(const struct tproxy_plan *plan, size_t i)
{
	return plan->policy->rules[i].mode == MODE_SPLICE && plan->splices[i].transparent;
}

/* Other splice rules concern connections to this host alone, and what comes behind the last rule
 * that takes anything is of no interest. */
static void build_arriving(struct chains *c, const struct tproxy_plan *plan)
{
	const struct policy *p = plan->policy;
	size_t count = p->rule_count;

	steps_do(c, ARRIVING, (struct chain_match){.lo = CHAIN_LO_IN}, CHAIN_DO_RETURN);
	steps_do(c, ARRIVING, (struct chain_match){.packet_bit = CHAIN_BIT_SET}, CHAIN_DO_RETURN);
	while (count > 0 && !takes(plan, count - 1))
		count--;
	for (size_t i = 0; i < count; i++) {
		struct chain_match m = steps_rule(c, &p->rules[i], CHAIN_CLIENT_SIDE);
		if (takes(plan, i))
			steps_goto(c, ARRIVING, m, TPROXY_OF_RULES + i);
		else if (p->rules[i].mode != MODE_SPLICE)
			steps_do(c, ARRIVING, m, CHAIN_DO_RETURN);
	}
}

/* "to" says where the listener is; the packet keeps its address. */
static void write_listener(struct nft_render *w, const struct tproxy_plan *plan, bool v4, size_t i)
{
	const struct tproxy_ports *ports = plan->ports != NULL ? &plan->ports[i] : NULL;
	const char *before = ports == NULL ? "# " : "";
	uint16_t port = ports == NULL ? 0 : v4 ? ports->v4 : ports->v6;

	if (ports != NULL && port == 0)
		return;
	fprintf(w->to, "\t\t%smeta nfproto %s meta l4proto tcp tproxy %s to %s:", before,
		v4 ? "ipv4" : "ipv6", v4 ? "ip" : "ip6", v4 ? "127.0.0.1" : "[::1]");
	if (ports == NULL)
		fputs("LISTENER", w->to);
	else
		fprintf(w->to, "%u", port);
	fprintf(w->to, " meta mark set meta mark | 0x%08" PRIx32 " accept\n", plan->mark);
	w->rules += ports != NULL;
	if (plan->fail_open || !plan->policy->rules[i].enforce)
		return;
	fprintf(w->to, "\t\t%smeta nfproto %s drop\n", before, v4 ? "ipv4" : "ipv6");
	w->rules += ports != NULL;
}

static void write_listeners(struct nft_render *w, const struct tproxy_plan *plan)
{
	for (size_t i = 0; i < plan->policy->rule_count; i++) {
		const struct chain *chain = &w->chains->list[TPROXY_OF_RULES + i];
		if (!takes(plan, i))
			continue;
		fprintf(w->to, "\t# rule %s\n\tchain %s {\n", chain->rule->name, chain->name);
		write_listener(w, plan, true, i);
		write_listener(w, plan, false, i);
		fputs("\t}\n", w->to);
	}
}

/* The base chain comes last, since it leads to the others. */
static void write_base(struct nft_render *w, const struct tproxy_plan *plan)
{
	fprintf(w->to,
		"\tchain belonging {\n"
		"\t\tsocket wildcard 1 return\n"
		"\t\tmeta mark set meta mark | 0x%08" PRIx32 "\n\t}\n",
		plan->mark);
	fputs("\tchain prerouting {\n"
	      "\t\ttype filter hook prerouting priority -95; policy accept;\n"
	      "\t\ttcp flags & (fin | syn | rst | ack) == syn fib daddr type != local "
	      "goto arriving\n"
	      "\t\tmeta l4proto { tcp, icmp, ipv6-icmp } socket transparent 1 goto belonging\n"
	      "\t}\n",
		w->to);
	w->rules += 4;
}

long tproxy_render(FILE *to, const char *table, const struct tproxy_plan *plan)
{
	const struct ruleset_plan gate = {.policy = plan->policy, .mark = plan->gate_mark};
	struct chains *c = chains_with_names(&gate);
	struct nft_render w = {.to = to, .chains = c};

	if (c == NULL)
		return -1;
	build_arriving(c, plan);
	fprintf(to, "table %s {\n", table);
	write_listeners(&w, plan);
	nft_render_chain(&w, &c->list[ARRIVING], NULL);
	write_base(&w, plan);
	fputs("}\n", to);
	bool failed = w.failed || c->failed;
	chains_free(c);
	return failed ? -1 : (long)w.rules;
}
