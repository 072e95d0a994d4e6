/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet's way through the engine: parsed, looked up, judged by the handshake's table if its flow
 * is known, else by what may begin a flow.
 *
 * A flow lives in the table from its SYN until it is admitted. Then it lingers for a moment, since
 * packets right behind the third ACK may be in the queue already, and is forgotten: the
 * connection's mark in the kernel is all that remains. It stays in the table if it is inspected in
 * full, or counted for its source.
 */
#include "core/engine_state.h"

#include <stdlib.h>

struct engine_shared *engine_shared_new(uint32_t sources, const struct siphash_key *key)
{
	struct engine_shared *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->limiter = limiter_new(sources, key);
	if (s->limiter)
		return s;
	free(s);
	return NULL;
}

void engine_shared_free(struct engine_shared *s)
{
	if (!s)
		return;
	limiter_free(s->limiter);
	free(s);
}

uint32_t engine_shared_half_open(const struct engine_shared *s, uint16_t slot)
{
	return atomic_load_explicit(&s->half_open[slot], memory_order_relaxed);
}

struct engine *engine_new(const struct engine_limits *limits, const struct policy *policy,
	struct engine_shared *shared, const struct siphash_key *key, uint64_t now_us)
{
	struct engine *e = calloc(1, sizeof(*e));
	uint32_t capacity = limits->half_open + limits->flows;

	if (!e)
		return NULL;
	e->limits = *limits;
	e->shared = shared;
	e->started_us = now_us;
	e->table = flow_table_new(capacity, key);
	e->windows = calloc((size_t)capacity + 1, sizeof(*e->windows));
	engine_set_policy(e, policy);
	if (e->table && e->windows)
		return e;
	engine_free(e);
	return NULL;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	flow_table_free(e->table);
	free(e->windows);
	free(e);
}

void engine_set_policy(struct engine *e, const struct policy *policy)
{
	e->policy = policy;
	memset(e->rule_of, 0, sizeof(e->rule_of));
	for (size_t i = 0; i < policy->rule_count; i++)
		e->rule_of[policy->rules[i].slot] = &policy->rules[i];
}

void engine_drain(struct engine *e, enum engine_drain how)
{
	e->drain = how;
}

const char *engine_rule_name(const struct engine *e, uint16_t slot)
{
	return slot < POLICY_RULES_MAX && e->rule_of[slot] ? e->rule_of[slot]->name : NULL;
}

bool engine_by_interface(const struct engine *e)
{
	return e->policy->by_interface;
}

const struct engine_counters *engine_counters(const struct engine *e)
{
	return &e->counters;
}

/* The rule of a packet that has no flow, whichever end sent it. */
static const struct policy_rule *rule_for(
	const struct engine *e, const struct segment *seg, enum hs_side side, const char *interface)
{
	if (side == HS_FROM_CLIENT)
		return policy_match(e->policy, &seg->src, &seg->dst, seg->dst_port, interface);
	return policy_match(e->policy, &seg->dst, &seg->src, seg->src_port, NULL);
}

static struct tuple tuple_of(const struct segment *seg, enum hs_side side)
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

/* The rule of a packet that is no SYN and has no flow, and which end sent it. */
static const struct policy_rule *rule_of_stray(const struct engine *e,
	const struct engine_packet *in, const struct segment *seg, enum hs_side *side)
{
	const struct policy_rule *rule;

	*side = side_of(in, seg);
	rule = rule_for(e, seg, *side, in->interface);
	if (rule || in->hook != HOOK_FORWARD)
		return rule;
	*side = !*side;
	return rule_for(e, seg, *side, in->interface);
}

/* What is to be changed in a SYN or SYN-ACK on its way. */
static void plan_change(const struct policy_rule *rule, struct decision *out)
{
	const struct segment *seg = &out->segment;

	/* A signature (TCP-MD5, TCP-AO) would not survive. */
	if (!rule || !rule->enforce || !(seg->flags & TCP_SYN) || seg->opt.has_auth)
		return;
	out->change.strip_fastopen = rule->fastopen_strip && seg->opt.has_fastopen;
	out->change.mss_max = rule->mss && seg->opt.mss > rule->mss ? rule->mss : 0;
	out->change_syn = out->change.strip_fastopen || out->change.mss_max;
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

/* Takes up a handshake whose SYN passed while no daemon was there. */
static void adopt_half_open(
	struct engine *e, const struct policy_rule *rule, uint64_t now_us, struct decision *out)
{
	struct tuple t = tuple_of(&out->segment, HS_FROM_SERVER);
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
	if (rule->inspect == INSPECT_FULL)
		window_join(&e->windows[number], HS_FROM_SERVER, &out->segment);
	atomic_fetch_add_explicit(&e->shared->half_open[rule->slot], 1, memory_order_relaxed);
	e->counters.started++;
	e->counters.adopted++;
}

/*
 * Takes up an admitted connection in its middle, to inspect it in full or to count it for its
 * source. Only a client's segment tells the interface, and with it the rule, if rules go by that.
 */
static void adopt_established(struct engine *e, const struct policy_rule *rule, enum hs_side side,
	uint64_t now_us, struct decision *out)
{
	struct tuple t = tuple_of(&out->segment, side);
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
		window_join(&e->windows[number], side, &out->segment);
	else
		f->hs.state = HS_OFFLOADED;
	engine_count_standing(e, f, rule, now_us);
	engine_settle(e, number, FLOW_ESTABLISHED, false, now_us);
	e->counters.adopted++;
}

/* A packet that is no SYN and has no flow. */
static void judge_stray(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out)
{
	const struct segment *seg = &out->segment;
	const struct policy_rule *rule;
	enum hs_side side;
	struct tuple t;

	/* The kernel knows it as admitted: a SYN-ACK sent again because the third ACK was lost
	 * behind us. */
	if (in->hint && seg->flags & TCP_SYN && in->hook != HOOK_INPUT)
		return;
	rule = rule_of_stray(e, in, seg, &side);
	if (!rule || rule->mode == MODE_ACCEPT || e->drain == DRAIN_OPEN)
		return;
	if (in->lane == LANE_ADMITTED) {
		adopt_established(e, rule, side, now_us, out);
		return;
	}
	if (side == HS_FROM_SERVER && rule->mode == MODE_GATE &&
		proves_standing(e, in, seg, now_us)) {
		if (seg->flags & TCP_SYN) {
			adopt_half_open(e, rule, now_us, out);
		} else {
			out->verdict = VERDICT_ADMIT;
			e->counters.adopted++;
			adopt_established(e, rule, side, now_us, out);
		}
		return;
	}
	t = tuple_of(seg, side);
	/* Where nothing is enforced a connection is let go for good, and so counted once. */
	if (!engine_refuse(e, rule, rule->mode == MODE_GATE ? REASON_no_flow : REASON_rule,
		    CAUSE_NONE, &t, out) &&
		!(seg->flags & TCP_SYN))
		out->verdict = VERDICT_ADMIT;
}

/* A SYN that has no flow. */
static void judge_syn(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out)
{
	const struct segment *seg = &out->segment;
	struct tuple t = tuple_of(seg, HS_FROM_CLIENT);
	const struct policy_rule *rule;

	if (in->hook == HOOK_OUTPUT)
		return;
	rule = rule_for(e, seg, HS_FROM_CLIENT, in->interface);
	if (!rule || rule->mode == MODE_ACCEPT || e->drain == DRAIN_OPEN)
		return;
	out->slot = rule->slot;
	if (rule->mode == MODE_GATE && e->drain == DRAIN_OFF) {
		plan_change(rule, out);
		engine_open(e, rule, in->hint, now_us, out);
		return;
	}
	e->counters.rules[rule->slot].matched++;
	if (engine_refuse(e, rule, REASON_rule, CAUSE_NONE, &t, out) && rule->mode == MODE_REJECT)
		engine_reject(e, now_us, out);
}

/* A SYN on a flow that is over, or that the kernel carries on alone: it begins a new one. */
static void open_again(struct engine *e, const struct engine_packet *in, uint32_t number,
	uint64_t now_us, struct decision *out)
{
	struct flow *f = flow_at(e->table, number);
	enum flow_list from = engine_list_of(f);

	if (from != FLOW_COUNTED) {
		struct engine_packet again = *in;

		again.hint = in->hint || f->hs.state == HS_OFFLOADED;
		engine_forget(e, number);
		judge_syn(e, &again, now_us, out);
		return;
	}
	/* Still counted for its source; it goes back to standing if the server does not take the
	 * SYN. */
	engine_make_room(e, &out->effects);
	f->hs.flags |= HS_OVER;
	hs_open(&f->hs, &out->segment, !out->change.strip_fastopen);
	engine_settle(e, number, from, true, now_us);
}

static void begin_again(struct engine *e, uint32_t number, struct decision *out)
{
	struct flow *f = flow_at(e->table, number);
	struct window *w = engine_window_of(e, number);
	bool data_kept = !out->change.strip_fastopen;

	if (f->hs.flags & HS_UNREACHABLE)
		e->counters.started++;
	hs_restart(&f->hs, &out->segment, data_kept);
	if (w)
		window_restart(w, &out->segment, data_kept);
}

/* A server that sends its SYN-ACK has not had the third ACK. */
static bool still_half_open(enum hs_act act)
{
	return act == HS_ANSWER || act == HS_REANSWER || act == HS_ANSWER_NEWER ||
	       act == HS_ANSWER_OLDER;
}

static bool refreshes(enum flow_list list)
{
	return list >= FLOW_ESTABLISHED && list != FLOW_RESET;
}

static void judge_flow(struct engine *e, const struct engine_packet *in, uint32_t number,
	enum hs_side side, uint64_t now_us, struct decision *out)
{
	struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = engine_rule_of(e, f);
	enum flow_list from = engine_list_of(f);
	struct hs_outcome outcome;

	out->slot = engine_slot(f);
	outcome = hs_step(&f->hs, engine_window_of(e, number), side, &out->segment);
	plan_change(rule, out);
	switch (outcome.act) {
	case HS_DROP:
		engine_refuse(e, rule, outcome.reason, CAUSE_NONE, &f->tuple, out);
		return;
	case HS_OPEN:
		open_again(e, in, number, now_us, out);
		return;
	case HS_ADMIT:
		engine_admit(e, number, from, now_us, out);
		return;
	case HS_REFUSED:
	case HS_CLIENT_RESET:
		/* Its state is CLOSED, which is on no list: leave by the one it was on. */
		f->hs.state = from == FLOW_SYN_RCVD ? HS_SYN_RCVD : HS_SYN_SENT;
		engine_taken(e, number, &out->effects);
		engine_failed(e, f, outcome.act == HS_REFUSED ? CAUSE_refused : CAUSE_client_reset,
			NULL, &out->effects);
		engine_forget(e, number);
		return;
	case HS_RESTART:
		begin_again(e, number, out);
		break;
	case HS_REOPEN:
		f->hs.flags |= HS_OVER;
		engine_make_room(e, &out->effects);
		break;
	case HS_PASS:
	case HS_CHALLENGED:
	case HS_ANSWER:
	case HS_REANSWER:
	case HS_RENEW:
	case HS_ANSWER_NEWER:
	case HS_ANSWER_OLDER:
	case HS_FORGO:
	case HS_NOTE_SYN:
	case HS_CROSS:
	case HS_ACTS:
		break;
	}
	if (still_half_open(outcome.act))
		f->hs.tag &= (uint16_t)~ENGINE_TAG_UNSEEN;
	if (engine_list_of(f) == FLOW_SYN_RCVD)
		engine_taken(e, number, &out->effects);
	engine_settle(
		e, number, from, outcome.act == HS_RESTART || refreshes(engine_list_of(f)), now_us);
}

/* False if the SYN is not of this shard. */
static bool take_unreachable(struct engine *e, const struct unreachable *u, struct effects *out)
{
	const struct tuple *t = &u->tuple;
	enum hs_side side = HS_FROM_CLIENT;
	uint32_t number =
		flow_find(e->table, &t->client, t->client_port, &t->server, t->server_port, &side);
	struct flow *f = number ? flow_at(e->table, number) : NULL;

	if (!f || side != HS_FROM_CLIENT)
		return false;
	if (f->hs.state == HS_SYN_SENT && u->seq == f->hs.client_isn &&
		!(f->hs.flags & (HS_OVER | HS_UNREACHABLE))) {
		engine_failed(e, f, CAUSE_unreachable, &u->from, out);
		f->hs.flags |= HS_UNREACHABLE;
	}
	return true;
}

void engine_unreachable(struct engine *e, const struct unreachable *u, struct effects *out)
{
	out->count = 0;
	take_unreachable(e, u, out);
}

/*
 * An ICMP error about a client's SYN: the handshake has failed unless a SYN-ACK still comes, and
 * who says so is known. It travels on in any case.
 */
static void judge_icmp(struct engine *e, const struct addr *from, struct decision *out)
{
	struct unreachable u = {
		.tuple = tuple_of(&out->segment, HS_FROM_CLIENT),
		.seq = out->segment.seq,
		.from = *from,
	};

	if (!take_unreachable(e, &u, &out->effects))
		engine_effect(&out->effects, EFFECT_PASS_ON)->unreachable = u;
}

static void judge_bad_flags(struct engine *e, const struct engine_packet *in, uint32_t number,
	enum hs_side side, struct decision *out)
{
	const struct policy_rule *rule;
	struct tuple t;

	if (number) {
		rule = engine_rule_of(e, flow_at(e->table, number));
	} else {
		rule = rule_of_stray(e, in, &out->segment, &side);
		if (!rule || rule->mode == MODE_ACCEPT || e->drain == DRAIN_OPEN)
			return;
	}
	t = tuple_of(&out->segment, side);
	engine_refuse(e, rule, REASON_bad_flags, CAUSE_NONE, &t, out);
}

static void judge_tcp(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out)
{
	const struct segment *seg = &out->segment;
	enum hs_side side = HS_FROM_CLIENT;
	uint32_t number =
		flow_find(e->table, &seg->src, seg->src_port, &seg->dst, seg->dst_port, &side);

	if (!packet_flags_ok(seg->flags))
		judge_bad_flags(e, in, number, side, out);
	else if (number)
		judge_flow(e, in, number, side, now_us, out);
	else if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		judge_syn(e, in, now_us, out);
	else
		judge_stray(e, in, now_us, out);
}

void engine_packet(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out)
{
	static const struct tuple unknown;
	struct addr from;

	e->counters.packets++;
	out->verdict = VERDICT_ACCEPT;
	out->reason = REASON_NONE;
	out->slot = POLICY_NO_SLOT;
	out->change_syn = false;
	out->change = (struct build_syn_change){0};
	out->effects.count = 0;
	switch (packet_parse(
		in->bytes, in->captured, in->on_wire, in->verify_checksum, &out->segment, &from)) {
	case PACKET_TCP:
		judge_tcp(e, in, now_us, out);
		return;
	case PACKET_ICMP_ERROR:
		judge_icmp(e, &from, out);
		return;
	case PACKET_FRAGMENT:
		engine_refuse(e, NULL, REASON_fragment, CAUSE_NONE, &unknown, out);
		return;
	case PACKET_MALFORMED:
		engine_refuse(e, NULL, REASON_malformed, CAUSE_NONE, &unknown, out);
		return;
	case PACKET_OTHER:
		return;
	}
}
