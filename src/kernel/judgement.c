/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * One bit, in two marks. In the connection mark it means: admitted, handed over to the kernel. In
 * the packet mark, on the way up, it is a hint: with SYN, the connection's entry is marked;
 * without, the packet comes from the server's side. On the way down user space repeats the hook
 * with the bit set to say: admit. On packets that conntrack was told to leave alone, and on SYNs
 * that this host sends, it means: injected by us. What SYN cookies add to all this is in
 * judgement_cookies.c.
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
 * Rules about this host alone, those of splice mode, stand at INPUT and OUTPUT: OUTPUT then has a
 * chain of mirrored rules of its own. What TPROXY delivers here shows the address its client asked
 * for at both.
 *
 * Every way to a judging chain is a goto from a hook's chain, so "return" anywhere leaves our
 * chains and the host's own go on. Jumps lead to chains that queue within a limit, and come back
 * when it is exceeded.
 */
#include "config.h"

#include "kernel/judgement.h"

#include "kernel/judgement_cookies.h"
#include "kernel/steps.h"

enum {
	STRAYS_PER_S = 1000, /* packets out of any connection that user space names the reason of */
	REFUSED_PER_S = 100, /* SYNs that user space logs and answers with RST */
	ICMP_PER_S = 200,
};

static bool is_full(const struct policy_rule *r)
{
	return policy_gates(r) && r->inspect == INSPECT_FULL;
}

/* All rules in the file's order, each leading to its own chain; `local`: those about this host
 * alone too. */
static void add_rules(struct chains *c, size_t chain, enum chain_side side, bool local)
{
	const struct policy *p = c->plan->policy;
	bool mark_passed = side == CHAIN_CLIENT_SIDE && p->by_interface;

	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];
		struct chain_match m = steps_rule(c, r, side);
		if (steps_passed_over(r, side) || (r->local && !local))
			continue;
		if (r->mode != MODE_ACCEPT)
			steps_goto(c, chain, m,
				steps_chain_of(c, r,
					side == CHAIN_CLIENT_SIDE ? CHAIN_OF_CLIENT
								  : CHAIN_OF_SERVER));
		else if (mark_passed)
			steps_goto(c, chain, m, CHAIN_PASS);
		else
			steps_do(c, chain, m, CHAIN_DO_RETURN);
	}
}

static void add_admitted(struct chains *c, size_t chain, struct chain_match m, enum chain_id full)
{
	m.connection_bit = CHAIN_BIT_SET;
	if (c->any_full)
		steps_goto(c, chain, m, full);
	else
		steps_do(c, chain, m, CHAIN_DO_RETURN);
}

/* First of all at the three hooks is what there is most of: segments of admitted connections, out
 * of the way by one rule. */
static void add_most(struct chains *c, size_t chain, enum chain_id full)
{
	const struct chain_match most = {
		.packet_bit = CHAIN_BIT_CLEAR, .flags_of = TCP_SYN | TCP_RST, .flags = 0};

	add_admitted(c, chain, most, full);
}

/* Then those of connections that this host opens. `direction`: as seen at the hook. */
static void add_own(struct chains *c, size_t chain, enum chain_direction direction)
{
	steps_do(c, chain,
		(struct chain_match){.packet_bit = CHAIN_BIT_CLEAR,
			.connection_bit = CHAIN_BIT_CLEAR,
			.direction = direction,
			.states = CHAIN_ESTABLISHED | CHAIN_RELATED},
		CHAIN_DO_RETURN);
}

/* What else is decided already. */
static void add_decided(struct chains *c, size_t chain, enum chain_id full, bool replies)
{
	steps_do(c, chain,
		(struct chain_match){.packet_bit = CHAIN_BIT_SET, .states = CHAIN_UNTRACKED},
		CHAIN_DO_RETURN);
	steps_goto(
		c, chain, (struct chain_match){.packet_bit = CHAIN_BIT_SET, NO_SYN}, CHAIN_ADMIT);

	if (replies)
		judgement_cookies_resets(c, chain);
	add_admitted(c, chain, (struct chain_match){NO_SYN}, full);
}

static void build_input(struct chains *c)
{
	size_t in = CHAIN_INPUT;
	add_most(c, in, CHAIN_FULL_INPUT);
	add_own(c, in, CHAIN_REPLY);
	steps_goto(c, in,
		(struct chain_match){.protocol = CHAIN_NOT_TCP, .direction = CHAIN_ORIGINAL},
		CHAIN_ICMP);
	steps_do(c, in, (struct chain_match){.protocol = CHAIN_NOT_TCP}, CHAIN_DO_RETURN);
	add_decided(c, in, CHAIN_FULL_INPUT, false);
	/* Our own opening of a local server: judged already, and no connection to be left alone. */
	steps_goto(c, in,
		(struct chain_match){.packet_bit = CHAIN_BIT_SET, IS_SYN, .lo = CHAIN_LO_IN},
		CHAIN_SETTLED);
	/* Told of, by unqueued.c. */
	if (c->any_passing)
		steps_goto(c, in,
			(struct chain_match){.packet_bit = CHAIN_BIT_SET,
				.connection_bit = CHAIN_BIT_CLEAR,
				IS_SYN},
			CHAIN_SETTLED);
	if (!c->lo_named)
		steps_do(c, in, (struct chain_match){.lo = CHAIN_LO_IN}, CHAIN_DO_RETURN);
	/* Replies to connections that this host opened. */
	steps_do(c, in, (struct chain_match){.direction = CHAIN_REPLY}, CHAIN_DO_RETURN);
	add_rules(c, in, CHAIN_CLIENT_SIDE, true);
	if (c->plan->policy->by_interface)
		steps_goto(c, in, (struct chain_match){IS_SYN}, CHAIN_PASS);
}

static void build_forward(struct chains *c)
{
	size_t fwd = CHAIN_FORWARD;
	add_most(c, fwd, CHAIN_FULL_FORWARD);
	steps_goto(c, fwd, (struct chain_match){.protocol = CHAIN_NOT_TCP}, CHAIN_ICMP);
	add_decided(c, fwd, CHAIN_FULL_FORWARD, true);
	steps_goto(c, fwd, (struct chain_match){.direction = CHAIN_REPLY}, CHAIN_REPLIES);
	add_rules(c, fwd, CHAIN_CLIENT_SIDE, false);
	if (c->plan->policy->by_interface)
		steps_goto(c, fwd, (struct chain_match){IS_SYN}, CHAIN_PASS);
	else
		steps_do(c, fwd, (struct chain_match){IS_SYN}, CHAIN_DO_RETURN);
	steps_goto(
		c, fwd, (struct chain_match){.states = CHAIN_NEW | CHAIN_INVALID}, CHAIN_REPLIES);
}

/* The answers to a flood: untracked, all of them, as build_injected has it. Others are those that
 * unqueued.c tells of. */
static void add_answers(struct chains *c, size_t chain)
{
	const struct chain_match answers = {.packet_bit = CHAIN_BIT_SET,
		.flags_of = TCP_SYN | TCP_ACK,
		.flags = TCP_SYN | TCP_ACK};
	struct chain_match told = answers;

	told.connection_bit = CHAIN_BIT_CLEAR;
	told.direction = CHAIN_REPLY;
	if (c->any_passing)
		steps_goto(c, chain, told, CHAIN_SETTLED);
	steps_do(c, chain, answers, CHAIN_DO_RETURN);
}

static void build_output(struct chains *c)
{
	size_t out = CHAIN_OUTPUT;
	add_most(c, out, CHAIN_FULL_OUTPUT);
	add_own(c, out, CHAIN_ORIGINAL);
	add_answers(c, out);
	steps_goto(c, out,
		(struct chain_match){.protocol = CHAIN_NOT_TCP, .direction = CHAIN_REPLY},
		CHAIN_ICMP);
	steps_do(c, out, (struct chain_match){.protocol = CHAIN_NOT_TCP}, CHAIN_DO_RETURN);
	add_decided(c, out, CHAIN_FULL_OUTPUT, true);
	steps_do(
		c, out, (struct chain_match){.packet_bit = CHAIN_BIT_SET, IS_SYN}, CHAIN_DO_RETURN);
	if (!c->lo_named)
		steps_do(c, out, (struct chain_match){.lo = CHAIN_LO_OUT}, CHAIN_DO_RETURN);
	steps_do(c, out, (struct chain_match){.states = CHAIN_UNTRACKED}, CHAIN_DO_RETURN);
	/* Connections that this host opens; what stays is new in the middle: older than conntrack,
	 * perhaps a server's. */
	steps_do(c, out,
		(struct chain_match){
			.direction = CHAIN_ORIGINAL, .states = CHAIN_ESTABLISHED | CHAIN_RELATED},
		CHAIN_DO_RETURN);
	steps_do(c, out, (struct chain_match){.states = CHAIN_NEW, HAS_SYN}, CHAIN_DO_RETURN);
	steps_goto(c, out, (struct chain_match){0},
		c->any_local ? CHAIN_REPLIES_OUTPUT : CHAIN_REPLIES);
}

/*
 * What we inject is kept from conntrack by its kind. The rest keeps being tracked: a hint may have
 * stayed on a packet that passed for want of a daemon, and a tunnel's outer packet inherits it. Our
 * own SYNs are tracked, so that the host's NAT has its say.
 */
static void build_injected(struct chains *c)
{
	static const struct chain_match kinds[] = {
		{NO_SYN},
		{.flags_of = TCP_SYN | TCP_ACK, .flags = TCP_SYN | TCP_ACK},
		{.protocol = CHAIN_TOO_BIG},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		steps_do(c, CHAIN_INJECTED, kinds[i], CHAIN_DO_NOTRACK);
}

static void build_raw(struct chains *c)
{
	struct chain_match ours = {.packet_bit = CHAIN_BIT_SET};

	build_injected(c);
	steps_goto(c, CHAIN_RAW_OUTPUT, ours, CHAIN_INJECTED);
	ours.lo = CHAIN_LO_IN;
	steps_goto(c, CHAIN_RAW_PREROUTING, ours, CHAIN_INJECTED);
	judgement_cookies_sizes(c, CHAIN_RAW_OUTPUT);
	judgement_cookies_sizes(c, CHAIN_RAW_PREROUTING);
}

static void build_decided(struct chains *c)
{
	steps_do(c, CHAIN_ADMIT, (struct chain_match){0}, CHAIN_DO_SET_CONNECTION_BIT);
	steps_do(c, CHAIN_ADMIT, (struct chain_match){0}, CHAIN_DO_CLEAR_PACKET_BIT);
	/* A socket may inherit the mark, and others may look at it. */
	steps_do(c, CHAIN_SETTLED, (struct chain_match){0}, CHAIN_DO_CLEAR_PACKET_BIT);
	steps_do(c, CHAIN_PASS, (struct chain_match){.states = CHAIN_NEW, IS_SYN},
		CHAIN_DO_SET_CONNECTION_BIT);
	steps_goto(c, CHAIN_ICMP,
		(struct chain_match){.protocol = CHAIN_UNREACHABLE,
			.states = CHAIN_RELATED,
			.connection_bit = CHAIN_BIT_CLEAR,
			.per_s = ICMP_PER_S},
		CHAIN_ASK_OPEN);
	add_rules(c, CHAIN_REPLIES, CHAIN_SERVER_SIDE, false);
	if (c->any_local)
		add_rules(c, CHAIN_REPLIES_OUTPUT, CHAIN_SERVER_SIDE, true);
}

/* One pair of chains per variant, all rules share them. */
static void build_ask(struct chains *c, bool bypass)
{
	const struct chain_match any = {0};
	const size_t v = bypass;

	steps_do(c, CHAIN_ASK + v, any, CHAIN_DO_CLEAR_PACKET_BIT);
	steps_queue(c, CHAIN_ASK + v, any, LANE_HANDSHAKES, bypass);

	steps_do(c, CHAIN_ASK_SYN + v, any, CHAIN_DO_CLEAR_PACKET_BIT);
	steps_do(c, CHAIN_ASK_SYN + v, (struct chain_match){.connection_bit = CHAIN_BIT_SET},
		CHAIN_DO_SET_PACKET_BIT);
	steps_queue(c, CHAIN_ASK_SYN + v, any, LANE_HANDSHAKES, bypass);

	/* In a queue that a flood keeps full, a server's SYN-ACKs would be lost as well. */
	steps_do(c, CHAIN_ASK_SERVER + v, any, CHAIN_DO_CLEAR_PACKET_BIT);
	steps_do(c, CHAIN_ASK_SERVER + v,
		(struct chain_match){HAS_SYN, .connection_bit = CHAIN_BIT_SET},
		CHAIN_DO_SET_PACKET_BIT);
	/* Only FORWARD needs the hint; over lo a bypassed packet would come back as one of ours. */
	steps_do(c, CHAIN_ASK_SERVER + v, (struct chain_match){NO_SYN, .lo = CHAIN_LO_NOT_OUT},
		CHAIN_DO_SET_PACKET_BIT);
	steps_queue(c, CHAIN_ASK_SERVER + v, any, LANE_ANSWERS, bypass);

	steps_goto(c, CHAIN_STRAYS + v, (struct chain_match){.per_s = STRAYS_PER_S}, CHAIN_ASK + v);
	steps_goto(c, CHAIN_STRAYS_SERVER + v, (struct chain_match){.per_s = STRAYS_PER_S},
		CHAIN_ASK_SERVER + v);
	steps_goto(
		c, CHAIN_REFUSED + v, (struct chain_match){.per_s = REFUSED_PER_S}, CHAIN_ASK + v);
}

static void add_full(
	struct chains *c, size_t chain, const struct policy_rule *r, enum chain_side side)
{
	struct chain_match m = steps_rule(c, r, side);
	if (is_full(r))
		steps_queue(c, chain, m, LANE_ADMITTED, true);
	else
		steps_do(c, chain, m, CHAIN_DO_RETURN);
}

/* Admitted flows of rules with inspect = full; a rule before them that matches keeps its flows out
 * of it. */
static void build_full(struct chains *c, enum chain_id chain, bool client, bool server)
{
	const struct policy *p = c->plan->policy;

	size_t count = p->rule_count;
	while (count > 0 && !is_full(&p->rules[count - 1]))
		count--;
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *r = &p->rules[i];
		if (r->local && client && server)
			continue;
		if (client)
			add_full(c, chain, r, CHAIN_CLIENT_SIDE);
		if (server && (is_full(r) || steps_count_lo(r) == r->interface_count))
			add_full(c, chain, r, CHAIN_SERVER_SIDE);
	}
}

static void build_gate_client(struct chains *c, const struct policy_rule *r)
{
	size_t to = steps_chain_of(c, r, CHAIN_OF_CLIENT);

	chains_add(c, to,
		(struct chain_step){
			.match.states = CHAIN_UNTRACKED,
			.action = CHAIN_DO_RETURN,
			.tally = {CHAIN_UNTRACKED_SEEN, REASON_NONE, r->slot},
		});
	if (steps_gives_cookies(c, r))
		judgement_cookies_syns(c, to, r);
	steps_goto(c, to, (struct chain_match){IS_SYN}, steps_ask_of(c, r, CHAIN_ASK_SYN));
	steps_drop(c, to, r, (struct chain_match){IS_SYN_ACK, .states = CHAIN_NEW | CHAIN_INVALID},
		REASON_no_flow);
	steps_goto(c, to, (struct chain_match){IS_SYN_ACK}, steps_ask_of(c, r, CHAIN_ASK_SYN));

	/* The complement of packet_flags_ok. */
	static const uint8_t bad[][2] = {
		{TCP_SYN, TCP_SYN},
		{STEPS_HANDSHAKE_FLAGS, 0},
		{STEPS_HANDSHAKE_FLAGS, TCP_FIN},
		{TCP_FIN | TCP_RST, TCP_FIN | TCP_RST},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		steps_drop(c, to, r,
			(struct chain_match){.flags_of = bad[i][0], .flags = bad[i][1]},
			REASON_bad_flags);

	/* The client gives up while its server is asked: a reply has not been seen yet. */
	if (steps_gives_cookies(c, r))
		steps_jump(c, to, (struct chain_match){HAS_RST, .states = CHAIN_NEW},
			steps_ask_of(c, r, CHAIN_STRAYS));
	/* A client's word alone; conntrack's loose pickup calls it new. */
	steps_drop(c, to, r, (struct chain_match){.states = CHAIN_NEW}, REASON_no_flow);
	steps_jump(c, to, (struct chain_match){.states = CHAIN_INVALID},
		steps_ask_of(c, r, CHAIN_STRAYS));
	steps_drop(c, to, r, (struct chain_match){.states = CHAIN_INVALID}, REASON_no_flow);
	steps_goto(c, to, (struct chain_match){0}, steps_ask_of(c, r, CHAIN_ASK));
}

static void build_gate_server(struct chains *c, const struct policy_rule *r)
{
	size_t to = steps_chain_of(c, r, CHAIN_OF_SERVER);

	/* The third ACK was lost behind us; or the server takes a SYN that came over a standing
	 * connection, and user space has to unmark the entry. Nobody is cut if user space is gone.
	 */
	steps_goto(c, to, (struct chain_match){IS_SYN_ACK, .connection_bit = CHAIN_BIT_SET},
		CHAIN_ASK_SERVER_OPEN);
	/* Bad flags among them; a SYN-ACK that answers an older SYN, which must reach the client
	 * (RFC 9293, 3.5.1). The kernel translates no other, so they must go nowhere. */
	struct chain_match strays = {.states = CHAIN_INVALID};
	struct chain_match older = {.states = CHAIN_INVALID, IS_SYN_ACK};
	bool cookies = steps_gives_cookies(c, r);
	steps_jump(c, to, cookies ? older : strays, steps_ask_of(c, r, CHAIN_STRAYS_SERVER));
	if (cookies) {
		steps_drop(c, to, r, older, REASON_no_flow);
		steps_drop(c, to, r, strays, REASON_out_of_window);
	} else {
		steps_drop(c, to, r, strays, REASON_no_flow);
	}
	steps_goto(c, to, (struct chain_match){0}, steps_ask_of(c, r, CHAIN_ASK_SERVER));
}

static void build_refusal(struct chains *c, const struct policy_rule *r)
{
	size_t client = steps_chain_of(c, r, CHAIN_OF_CLIENT);
	size_t server = steps_chain_of(c, r, CHAIN_OF_SERVER);

	steps_jump(c, client, (struct chain_match){IS_SYN}, CHAIN_REFUSED + (r->enforce ? 0u : 1u));
	steps_drop(c, client, r, (struct chain_match){IS_SYN}, REASON_rule);
	/* Without conntrack the rest may be replies to this host. */
	steps_do(c, client, (struct chain_match){.states = CHAIN_UNTRACKED}, CHAIN_DO_RETURN);
	steps_drop(c, client, r, (struct chain_match){0}, REASON_rule);

	/* Of a connection that stood before the rule did. */
	steps_do(c, server, (struct chain_match){IS_SYN_ACK, .connection_bit = CHAIN_BIT_SET},
		CHAIN_DO_RETURN);
	/* The server's word that the connection stood before conntrack did. */
	steps_jump(c, server, (struct chain_match){.states = CHAIN_NEW},
		steps_ask_of(c, r, CHAIN_STRAYS_SERVER));
	steps_drop(c, server, r, (struct chain_match){0}, REASON_rule);
}

static void build_rules(struct chains *c)
{
	const struct policy *p = c->plan->policy;

	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];
		if (policy_gates(r)) {
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
	for (size_t i = 0; i < p->rule_count; i++)
		c->any_full |= is_full(&p->rules[i]);
	c->lo_named = steps_lo_named(p);
	c->any_local = steps_any_local(p);
	for (size_t i = 0; i < p->rule_count; i++)
		c->any_passing |= policy_may_pass(p, &p->rules[i]);

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
	judgement_cookies_build(c);
}
