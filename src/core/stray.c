/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that are no SYNs and have no flow. Some say that a connection stands, or that a handshake
 * is under way, which began before us or elsewhere, and are taken up; others carry a cookie; the
 * rest is refused.
 */
#include "core/engine_state.h"

const struct policy_rule *engine_rule_for(const struct engine *e, const struct segment *seg,
	enum hs_side side, const struct engine_packet *in)
{
	enum policy_place place = in->hook == HOOK_FORWARD ? POLICY_FORWARDED : POLICY_LOCAL;

	if (side == HS_FROM_CLIENT)
		return policy_match(
			e->policy, &seg->src, &seg->dst, seg->dst_port, in->interface, place);
	return policy_match(e->policy, &seg->dst, &seg->src, seg->src_port, NULL, place);
}

struct tuple engine_tuple_of(const struct segment *seg, enum hs_side side)
{
	if (side == HS_FROM_CLIENT)
		return (struct tuple){seg->src, seg->dst, seg->src_port, seg->dst_port};
	return (struct tuple){seg->dst, seg->src, seg->dst_port, seg->src_port};
}

/* Which end sends a packet that has no flow: the hook says, and in FORWARD the kernel's rules do.
 */
static enum hs_side side_of(const struct engine_packet *in, const struct segment *seg)
{
	if (in->hook == HOOK_OUTPUT)
		return HS_FROM_SERVER;
	if (in->hook == HOOK_INPUT)
		return HS_FROM_CLIENT;
	return in->hint && !(seg->flags & TCP_SYN) ? HS_FROM_SERVER : HS_FROM_CLIENT;
}

const struct policy_rule *engine_rule_of_stray(const struct engine *e,
	const struct engine_packet *in, const struct segment *seg, enum hs_side *side)
{
	const struct policy_rule *rule;

	*side = side_of(in, seg);
	rule = engine_rule_for(e, seg, *side, in);
	if (rule || in->hook != HOOK_FORWARD)
		return rule;
	*side = !*side;
	return engine_rule_for(e, seg, *side, in);
}

/*
 * Whether the server's word proves that its connection stands: any server's soon after a start, and
 * at any time that of a local socket, whose connection conntrack may have forgotten before it. A
 * SYN-ACK says only that a SYN came.
 */
static bool proves_standing(const struct engine *e, const struct engine_packet *in,
	const struct segment *seg, uint64_t now_us)
{
	uint64_t window_us = (uint64_t)e->policy->adopt_window * 1000000;

	if (!e->policy->adopt || seg->flags & TCP_RST)
		return false;
	if (in->hook == HOOK_OUTPUT && !(seg->flags & TCP_SYN))
		return true;
	return now_us - e->started_us < window_us;
}

bool engine_was_told(const struct engine *e, uint16_t slot, uint64_t now_us)
{
	const uint64_t until = e->told_until_us[slot];

	return until && now_us - until < (uint64_t)e->policy->timeouts.syn_received * 1000000;
}

/* Takes one of them; an ACK more than there are handshakes is a stray like any other. */
static bool take_unfollowed(struct engine *e, uint16_t slot)
{
	_Atomic uint32_t *left = &e->shared->unfollowed[slot];
	uint32_t n = atomic_load_explicit(left, memory_order_relaxed);

	while (n && !atomic_compare_exchange_weak_explicit(
			    left, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
		;
	return n;
}

/* Takes up a handshake whose SYN passed unseen: by no daemon, or by another shard. */
static void adopt_half_open(
	struct engine *e, const struct policy_rule *rule, uint64_t now_us, struct decision *out)
{
	struct tuple t = engine_tuple_of(&out->segment, HS_FROM_SERVER);
	uint32_t number;
	struct flow *f;

	if (engine_half_open(e) >= e->limits.half_open)
		return;
	number = flow_insert(e->table, &t, FLOW_SYN_RCVD, now_us);
	if (!number)
		return;
	f = flow_at(e->table, number);
	hs_join_syn_ack(&f->hs, &out->segment);
	f->hs.tag = engine_tag(rule);
	if (e->told[rule->slot])
		f->hs.tag |= ENGINE_TAG_UNSEEN;
	if (rule->inspect == INSPECT_FULL)
		window_join(&e->more[number].window, HS_FROM_SERVER, &out->segment);
	engine_count_half_open(e, f, true);
	e->counters.adopted++;
	if (!engine_was_told(e, rule->slot, now_us))
		e->counters.started++;
}

/*
 * Takes up an admitted connection in its middle, to inspect it in full or to count it for its
 * source. Only a client's segment tells the interface, and with it the rule, if rules go by that.
 */
static void adopt_established(struct engine *e, const struct policy_rule *rule, enum hs_side side,
	uint64_t now_us, struct decision *out)
{
	struct tuple t = engine_tuple_of(&out->segment, side);
	bool full = rule->inspect == INSPECT_FULL;
	uint32_t number;
	struct flow *f;

	if (!full && !rule->connections_per_source)
		return;
	if (side == HS_FROM_SERVER && rule->interface_count)
		return;
	if (out->segment.flags & (TCP_RST | TCP_SYN) || engine_followed(e) >= e->limits.flows)
		return;
	number = flow_insert(e->table, &t, FLOW_ESTABLISHED, now_us);
	if (!number)
		return;
	f = flow_at(e->table, number);
	f->hs.state = HS_ESTABLISHED;
	f->hs.tag = engine_tag(rule);
	if (full)
		window_join(&e->more[number].window, side, &out->segment);
	else
		f->hs.state = HS_OFFLOADED;
	engine_count_standing(e, f, rule, now_us);
	engine_settle(e, number, FLOW_ESTABLISHED, false, now_us);
	e->counters.adopted++;
}

/* Whether this goes on with a handshake that another shard was told of, or nobody. The listener is
 * our own host's, which knows if the ACK is the right one. */
static bool goes_on_here(struct engine *e, const struct engine_packet *in,
	const struct policy_rule *rule, enum hs_side side, uint64_t now_us, struct decision *out)
{
	const uint8_t flags = out->segment.flags;
	const bool was_told = engine_was_told(e, rule->slot, now_us), told = e->told[rule->slot];

	if (!policy_gates(rule) || rule->listen_count == 0 || in->hook == HOOK_FORWARD)
		return false;
	if (side == HS_FROM_SERVER) {
		if (!(flags & TCP_SYN) || (!was_told && !told))
			return false;
		if (!told || e->limits.shards <= 1)
			adopt_half_open(e, rule, now_us, out);
		return true;
	}
	if ((!was_told && !told) || flags & TCP_SYN || !take_unfollowed(e, rule->slot))
		return false;
	if (!(flags & TCP_RST)) {
		out->verdict = VERDICT_ADMIT;
		e->counters.completed++;
		e->counters.rules[rule->slot].admitted++;
	}
	return true;
}

void engine_judge_stray(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out)
{
	const struct segment *seg = &out->segment;
	const struct policy_rule *rule;
	enum hs_side side;
	struct tuple t;

	if (out->passed)
		return;
	/* The kernel knows it as admitted: a SYN-ACK sent again because the third ACK was lost
	 * behind us. */
	if (in->hint && seg->flags & TCP_SYN && in->hook != HOOK_INPUT)
		return;
	rule = engine_rule_of_stray(e, in, seg, &side);
	if (!rule || rule->mode == MODE_ACCEPT)
		return;
	if (in->lane == LANE_PROOFS && policy_gates(rule) && side == HS_FROM_CLIENT) {
		engine_prove(e, rule, now_us, out);
		return;
	}
	if (e->drain == DRAIN_OPEN)
		return;
	if (in->lane == LANE_ADMITTED) {
		adopt_established(e, rule, side, now_us, out);
		return;
	}
	if (side == HS_FROM_SERVER && policy_gates(rule) && proves_standing(e, in, seg, now_us)) {
		if (seg->flags & TCP_SYN) {
			adopt_half_open(e, rule, now_us, out);
		} else {
			out->verdict = VERDICT_ADMIT;
			e->counters.adopted++;
			adopt_established(e, rule, side, now_us, out);
		}
		return;
	}
	/* The kernel may have a connection that nobody goes on with, such as one that was being
	 * opened when the daemon was killed, and take an ACK of a cookie for one of its own. */
	if (side == HS_FROM_CLIENT && policy_gates(rule) &&
		engine_prove_instead(e, rule, now_us, out))
		return;
	if (goes_on_here(e, in, rule, side, now_us, out))
		return;
	t = engine_tuple_of(seg, side);
	/* Where nothing is enforced a connection is let go for good, and so counted once. */
	if (!engine_refuse(e, rule, policy_gates(rule) ? REASON_no_flow : REASON_rule, CAUSE_NONE,
		    &t, out) &&
		!(seg->flags & TCP_SYN))
		out->verdict = VERDICT_ADMIT;
}
