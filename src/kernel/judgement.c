/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * One bit, in two marks. In the connection mark it means: admitted, handed over to the kernel. In
 * the packet mark, on the way up, it is a hint: with SYN, the connection's entry is marked;
 * without, the packet comes from the server's side. On the way down user space repeats the hook
 * with the bit set to say: admit. On packets that conntrack was told to leave alone it means:
 * injected by us.
 *
 * INPUT judges what arrives (conntrack's original direction), OUTPUT the replies of the same
 * connections, FORWARD both. Packets show their addresses after DNAT at all three. A packet of the
 * original direction is held against the rules as they stand, a reply against the rules mirrored;
 * the first match decides. The replies' interface says nothing, so with rules by interface a
 * connection that is left alone gets the bit at its SYN, and its replies are never judged.
 *
 * INVALID packets have no direction. Where a server's segment can only be told by its addresses
 * (FORWARD, and what conntrack picked up in the middle), the rules as they stand go first: whatever
 * could be a client's word is taken for one.
 *
 * Every way to a judging chain is a goto from a hook's chain, so "return" anywhere leaves our
 * chains and the host's own go on. Jumps lead to chains that queue within a limit, and come back
 * when it is exceeded.
 */
#include "config.h"

#include "kernel/judgement.h"

#include "core/packet.h"

enum {
	STRAYS_PER_S = 1000, /* packets out of any connection that user space names the reason of */
	REFUSED_PER_S = 100, /* SYNs that user space logs and answers with RST */
	ICMP_PER_S = 200,

	HANDSHAKE_FLAGS = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK,
};

#define IS_SYN     .flags_of = HANDSHAKE_FLAGS, .flags = TCP_SYN
#define IS_SYN_ACK .flags_of = HANDSHAKE_FLAGS, .flags = TCP_SYN | TCP_ACK
#define HAS_SYN    .flags_of = TCP_SYN, .flags = TCP_SYN
#define HAS_RST    .flags_of = TCP_RST, .flags = TCP_RST
#define NO_SYN     .flags_of = TCP_SYN, .flags = 0

static void add_do(
	struct chains *c, size_t chain, struct chain_match match, enum chain_action action)
{
	chains_add(c, chain, (struct chain_step){.match = match, .action = action});
}

static void add_goto(struct chains *c, size_t chain, struct chain_match match, size_t target)
{
	chains_add(c, chain,
		(struct chain_step){
			.match = match, .action = CHAIN_DO_GOTO, .target = (uint16_t)target});
}

static void add_jump(struct chains *c, size_t chain, struct chain_match match, size_t target)
{
	chains_add(c, chain,
		(struct chain_step){
			.match = match, .action = CHAIN_DO_JUMP, .target = (uint16_t)target});
}

/* Drops for `reason` and counts it, or counts only and lets go where the rule does not enforce. */
static void add_drop(struct chains *c, size_t chain, const struct policy_rule *r,
	struct chain_match match, enum reason reason)
{
	chains_add(c, chain,
		(struct chain_step){
			.match = match,
			.action = r->enforce ? CHAIN_DO_DROP : CHAIN_DO_RETURN,
			.tally = {r->enforce ? CHAIN_DROPS : CHAIN_OBSERVED, reason, r->slot},
		});
}

/* The rule's variant of one of the chains that lead to the queue. */
static size_t ask_of(const struct chains *c, const struct policy_rule *r, enum chain_id chain)
{
	bool bypass = c->plan->fail_open || !r->enforce;
	return chain + (bypass ? 1u : 0u);
}

static size_t rule_chain(const struct chains *c, const struct policy_rule *r, enum chain_side side)
{
	return CHAIN_OF_RULES + 2 * (size_t)(r - c->plan->policy->rules) +
	       (side == CHAIN_SERVER_SIDE);
}

static bool is_full(const struct policy_rule *r)
{
	return r->mode == MODE_GATE && r->inspect == INSPECT_FULL;
}

static bool is_lo(const char *interface)
{
	return strcmp(interface, "lo") == 0;
}

static size_t count_lo(const struct policy_rule *r)
{
	size_t count = 0;
	for (size_t i = 0; i < r->interface_count; i++)
		count += is_lo(r->interface[i]);
	return count;
}

/* Once a rule names lo, lo is looked at; rules that do not name it don't mean it. */
static enum chain_lo lo_of(
	const struct chains *c, const struct policy_rule *r, enum chain_side side)
{
	size_t lo = count_lo(r);
	if (!c->lo_named)
		return CHAIN_LO_ANY;
	if (side == CHAIN_CLIENT_SIDE) /* rules with interfaces name them there */
		return r->interface_count == 0 ? CHAIN_LO_NOT_IN : CHAIN_LO_ANY;
	if (lo == 0)
		return CHAIN_LO_NOT_OUT;
	return lo == r->interface_count ? CHAIN_LO_OUT : CHAIN_LO_ANY;
}

static struct chain_match rule_match(
	const struct chains *c, const struct policy_rule *r, enum chain_side side)
{
	return (struct chain_match){.rule = r, .side = side, .lo = lo_of(c, r, side)};
}

/*
 * Which interface a connection came in by is not seen in its replies, so rules that name one are
 * looked at for their replies only if there are any to judge: those of a gate. What such a rule
 * leaves alone is told by the connection's mark.
 */
static bool passed_over(const struct policy_rule *r, enum chain_side side)
{
	return side == CHAIN_SERVER_SIDE && count_lo(r) < r->interface_count &&
	       r->mode != MODE_GATE;
}

/* All rules in the file's order, each leading to its own chain. */
static void add_rules(struct chains *c, size_t chain, enum chain_side side)
{
	const struct policy *p = c->plan->policy;
	bool mark_passed = side == CHAIN_CLIENT_SIDE && p->by_interface;

	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];
		struct chain_match m = rule_match(c, r, side);
		if (passed_over(r, side))
			continue;
		if (r->mode != MODE_ACCEPT)
			add_goto(c, chain, m, rule_chain(c, r, side));
		else if (mark_passed)
			add_goto(c, chain, m, CHAIN_PASS);
		else
			add_do(c, chain, m, CHAIN_DO_RETURN);
	}
}

/* What the three hooks have in common: what is decided already is out of the way after two
 * comparisons. */
static void add_decided(struct chains *c, size_t chain, enum chain_id full)
{
	add_do(c, chain,
		(struct chain_match){.packet_bit = CHAIN_BIT_SET, .states = CHAIN_UNTRACKED},
		CHAIN_DO_RETURN);
	add_goto(c, chain, (struct chain_match){.packet_bit = CHAIN_BIT_SET, NO_SYN}, CHAIN_ADMIT);

	struct chain_match admitted = {.connection_bit = CHAIN_BIT_SET, NO_SYN};
	if (c->any_full)
		add_goto(c, chain, admitted, full);
	else
		add_do(c, chain, admitted, CHAIN_DO_RETURN);
}

static void build_input(struct chains *c)
{
	size_t in = CHAIN_INPUT;
	add_goto(c, in,
		(struct chain_match){.protocol = CHAIN_NOT_TCP, .direction = CHAIN_ORIGINAL},
		CHAIN_ICMP);
	add_do(c, in, (struct chain_match){.protocol = CHAIN_NOT_TCP}, CHAIN_DO_RETURN);
	add_decided(c, in, CHAIN_FULL_INPUT);
	if (!c->lo_named)
		add_do(c, in, (struct chain_match){.lo = CHAIN_LO_IN}, CHAIN_DO_RETURN);
	/* Replies to connections that this host opened. */
	add_do(c, in, (struct chain_match){.direction = CHAIN_REPLY}, CHAIN_DO_RETURN);
	add_rules(c, in, CHAIN_CLIENT_SIDE);
	if (c->plan->policy->by_interface)
		add_goto(c, in, (struct chain_match){IS_SYN}, CHAIN_PASS);
}

static void build_forward(struct chains *c)
{
	size_t fwd = CHAIN_FORWARD;
	add_goto(c, fwd, (struct chain_match){.protocol = CHAIN_NOT_TCP}, CHAIN_ICMP);
	add_decided(c, fwd, CHAIN_FULL_FORWARD);
	add_goto(c, fwd, (struct chain_match){.direction = CHAIN_REPLY}, CHAIN_REPLIES);
	add_rules(c, fwd, CHAIN_CLIENT_SIDE);
	if (c->plan->policy->by_interface)
		add_goto(c, fwd, (struct chain_match){IS_SYN}, CHAIN_PASS);
	else
		add_do(c, fwd, (struct chain_match){IS_SYN}, CHAIN_DO_RETURN);
	add_goto(c, fwd, (struct chain_match){.states = CHAIN_NEW | CHAIN_INVALID}, CHAIN_REPLIES);
}

static void build_output(struct chains *c)
{
	size_t out = CHAIN_OUTPUT;
	add_goto(c, out, (struct chain_match){.protocol = CHAIN_NOT_TCP, .direction = CHAIN_REPLY},
		CHAIN_ICMP);
	add_do(c, out, (struct chain_match){.protocol = CHAIN_NOT_TCP}, CHAIN_DO_RETURN);
	add_decided(c, out, CHAIN_FULL_OUTPUT);
	if (!c->lo_named)
		add_do(c, out, (struct chain_match){.lo = CHAIN_LO_OUT}, CHAIN_DO_RETURN);
	add_do(c, out, (struct chain_match){.states = CHAIN_UNTRACKED}, CHAIN_DO_RETURN);
	/* Connections that this host opens; what stays is new in the middle: older than conntrack,
	 * perhaps a server's. */
	add_do(c, out,
		(struct chain_match){
			.direction = CHAIN_ORIGINAL, .states = CHAIN_ESTABLISHED | CHAIN_RELATED},
		CHAIN_DO_RETURN);
	add_do(c, out, (struct chain_match){.states = CHAIN_NEW, HAS_SYN}, CHAIN_DO_RETURN);
	add_goto(c, out, (struct chain_match){0}, CHAIN_REPLIES);
}

/* What is injected has RST. The rest keeps being tracked: a hint may have stayed on a packet that
 * passed for want of a daemon, and a tunnel's outer packet inherits it. */
static void build_raw(struct chains *c)
{
	add_do(c, CHAIN_RAW_OUTPUT, (struct chain_match){.packet_bit = CHAIN_BIT_SET, HAS_RST},
		CHAIN_DO_NOTRACK);
	add_do(c, CHAIN_RAW_PREROUTING,
		(struct chain_match){.packet_bit = CHAIN_BIT_SET, HAS_RST, .lo = CHAIN_LO_IN},
		CHAIN_DO_NOTRACK);
}

static void build_decided(struct chains *c)
{
	add_do(c, CHAIN_ADMIT, (struct chain_match){0}, CHAIN_DO_SET_CONNECTION_BIT);
	add_do(c, CHAIN_ADMIT, (struct chain_match){0}, CHAIN_DO_CLEAR_PACKET_BIT);
	add_do(c, CHAIN_PASS, (struct chain_match){.states = CHAIN_NEW, IS_SYN},
		CHAIN_DO_SET_CONNECTION_BIT);
	add_goto(c, CHAIN_ICMP,
		(struct chain_match){.protocol = CHAIN_UNREACHABLE,
			.states = CHAIN_RELATED,
			.connection_bit = CHAIN_BIT_CLEAR,
			.per_s = ICMP_PER_S},
		CHAIN_ASK_OPEN);
	add_rules(c, CHAIN_REPLIES, CHAIN_SERVER_SIDE);
}

/* One pair of chains per variant, all rules share them. */
static void build_ask(struct chains *c, bool bypass)
{
	const struct ruleset_plan *p = c->plan;
	const struct chain_match any = {0};
	const size_t v = bypass;
	const struct chain_step queue = {
		.action = CHAIN_DO_QUEUE,
		.queue = p->queue,
		.queue_last = (uint16_t)(p->queue + p->workers - 1),
		.bypass = bypass,
	};

	add_do(c, CHAIN_ASK + v, any, CHAIN_DO_CLEAR_PACKET_BIT);
	chains_add(c, CHAIN_ASK + v, queue);

	add_do(c, CHAIN_ASK_SYN + v, any, CHAIN_DO_CLEAR_PACKET_BIT);
	add_do(c, CHAIN_ASK_SYN + v, (struct chain_match){.connection_bit = CHAIN_BIT_SET},
		CHAIN_DO_SET_PACKET_BIT);
	chains_add(c, CHAIN_ASK_SYN + v, queue);

	add_goto(c, CHAIN_ASK_SERVER + v, (struct chain_match){HAS_SYN}, CHAIN_ASK_SYN + v);
	add_do(c, CHAIN_ASK_SERVER + v, any, CHAIN_DO_CLEAR_PACKET_BIT);
	/* Only FORWARD needs the hint; over lo a bypassed packet would come back as one of ours. */
	add_do(c, CHAIN_ASK_SERVER + v, (struct chain_match){.lo = CHAIN_LO_NOT_OUT},
		CHAIN_DO_SET_PACKET_BIT);
	chains_add(c, CHAIN_ASK_SERVER + v, queue);

	add_goto(c, CHAIN_STRAYS + v, (struct chain_match){.per_s = STRAYS_PER_S}, CHAIN_ASK + v);
	add_goto(c, CHAIN_STRAYS_SERVER + v, (struct chain_match){.per_s = STRAYS_PER_S},
		CHAIN_ASK_SERVER + v);
	add_goto(c, CHAIN_REFUSED + v, (struct chain_match){.per_s = REFUSED_PER_S}, CHAIN_ASK + v);
}

/* Admitted flows of rules with inspect = full; a rule before them that matches keeps its flows out
 * of it. */
static void build_full(struct chains *c, enum chain_id chain, bool client, bool server)
{
	const struct ruleset_plan *p = c->plan;
	struct chain_step step = {
		.queue = (uint16_t)(p->queue + p->workers),
		.queue_last = (uint16_t)(p->queue + 2 * p->workers - 1),
		.bypass = true,
	};

	size_t count = p->policy->rule_count;
	while (count > 0 && !is_full(&p->policy->rules[count - 1]))
		count--;
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *r = &p->policy->rules[i];
		step.action = is_full(r) ? CHAIN_DO_QUEUE : CHAIN_DO_RETURN;
		if (client) {
			step.match = rule_match(c, r, CHAIN_CLIENT_SIDE);
			chains_add(c, chain, step);
		}
		if (server && (is_full(r) || count_lo(r) == r->interface_count)) {
			step.match = rule_match(c, r, CHAIN_SERVER_SIDE);
			chains_add(c, chain, step);
		}
	}
}

static void build_gate_client(struct chains *c, const struct policy_rule *r)
{
	size_t to = rule_chain(c, r, CHAIN_CLIENT_SIDE);

	chains_add(c, to,
		(struct chain_step){
			.match.states = CHAIN_UNTRACKED,
			.action = CHAIN_DO_RETURN,
			.tally = {CHAIN_UNTRACKED_SEEN, REASON_NONE, r->slot},
		});
	add_goto(c, to, (struct chain_match){IS_SYN}, ask_of(c, r, CHAIN_ASK_SYN));
	add_drop(c, to, r, (struct chain_match){IS_SYN_ACK, .states = CHAIN_NEW | CHAIN_INVALID},
		REASON_no_flow);
	add_goto(c, to, (struct chain_match){IS_SYN_ACK}, ask_of(c, r, CHAIN_ASK_SYN));

	/* The complement of packet_flags_ok. */
	static const uint8_t bad[][2] = {
		{TCP_SYN, TCP_SYN},
		{HANDSHAKE_FLAGS, 0},
		{HANDSHAKE_FLAGS, TCP_FIN},
		{TCP_FIN | TCP_RST, TCP_FIN | TCP_RST},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		add_drop(c, to, r, (struct chain_match){.flags_of = bad[i][0], .flags = bad[i][1]},
			REASON_bad_flags);

	/* A client's word alone; conntrack's loose pickup calls it new. */
	add_drop(c, to, r, (struct chain_match){.states = CHAIN_NEW}, REASON_no_flow);
	add_jump(c, to, (struct chain_match){.states = CHAIN_INVALID}, ask_of(c, r, CHAIN_STRAYS));
	add_drop(c, to, r, (struct chain_match){.states = CHAIN_INVALID}, REASON_no_flow);
	add_goto(c, to, (struct chain_match){0}, ask_of(c, r, CHAIN_ASK));
}

static void build_gate_server(struct chains *c, const struct policy_rule *r)
{
	size_t to = rule_chain(c, r, CHAIN_SERVER_SIDE);

	/* The third ACK was lost behind us; or the server takes a SYN that came over a standing
	 * connection, and user space has to unmark the entry. Nobody is cut if user space is gone.
	 */
	add_goto(c, to, (struct chain_match){IS_SYN_ACK, .connection_bit = CHAIN_BIT_SET},
		CHAIN_ASK_SYN_OPEN);
	/* Bad flags among them; a SYN-ACK that answers an older SYN, which must reach the client
	 * (RFC 9293, 3.5.1). */
	add_jump(c, to, (struct chain_match){.states = CHAIN_INVALID},
		ask_of(c, r, CHAIN_STRAYS_SERVER));
	add_drop(c, to, r, (struct chain_match){.states = CHAIN_INVALID}, REASON_no_flow);
	add_goto(c, to, (struct chain_match){0}, ask_of(c, r, CHAIN_ASK_SERVER));
}

static void build_refusal(struct chains *c, const struct policy_rule *r)
{
	size_t client = rule_chain(c, r, CHAIN_CLIENT_SIDE);
	size_t server = rule_chain(c, r, CHAIN_SERVER_SIDE);

	add_jump(c, client, (struct chain_match){IS_SYN}, CHAIN_REFUSED + (r->enforce ? 0u : 1u));
	add_drop(c, client, r, (struct chain_match){IS_SYN}, REASON_rule);
	/* Without conntrack the rest may be replies to this host. */
	add_do(c, client, (struct chain_match){.states = CHAIN_UNTRACKED}, CHAIN_DO_RETURN);
	add_drop(c, client, r, (struct chain_match){0}, REASON_rule);

	/* Of a connection that stood before the rule did. */
	add_do(c, server, (struct chain_match){IS_SYN_ACK, .connection_bit = CHAIN_BIT_SET},
		CHAIN_DO_RETURN);
	/* The server's word that the connection stood before conntrack did. */
	add_jump(c, server, (struct chain_match){.states = CHAIN_NEW},
		ask_of(c, r, CHAIN_STRAYS_SERVER));
	add_drop(c, server, r, (struct chain_match){0}, REASON_rule);
}

static void build_rules(struct chains *c)
{
	const struct policy *p = c->plan->policy;

	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];
		if (r->mode == MODE_GATE) {
			build_gate_client(c, r);
			build_gate_server(c, r);
		} else if (r->mode != MODE_ACCEPT) {
			build_refusal(c, r);
		}
	}
}

void judgement_build(struct chains *c)
{
	const struct policy *p = c->plan->policy;
	for (size_t i = 0; i < p->rule_count; i++) {
		c->any_full |= is_full(&p->rules[i]);
		c->lo_named |= count_lo(&p->rules[i]) > 0;
	}

	build_input(c);
	build_forward(c);
	build_output(c);
	build_raw(c);
	build_decided(c);
	build_full(c, CHAIN_FULL_INPUT, true, false);
	build_full(c, CHAIN_FULL_FORWARD, true, true);
	build_full(c, CHAIN_FULL_OUTPUT, false, true);
	build_ask(c, false);
	build_ask(c, true);
	build_rules(c);
}
