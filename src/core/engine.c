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

struct engine *engine_new(const struct engine_limits *limits, const struct policy *policy,
	struct engine_shared *shared, const struct siphash_key *key, uint64_t now_us)
{
	struct engine *e = calloc(1, sizeof(*e));
	uint32_t capacity = limits->half_open + limits->flows + limits->in_flight;

	if (!e)
		return NULL;
	e->limits = *limits;
	e->shared = shared;
	e->started_us = now_us;
	e->table = flow_table_new(capacity, key);
	e->more = calloc((size_t)capacity + 1, sizeof(*e->more));
	engine_set_policy(e, policy);
	if (e->table && e->more)
		return e;
	engine_free(e);
	return NULL;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	flow_table_free(e->table);
	free(e->more);
	free(e);
}

void engine_set_policy(struct engine *e, const struct policy *policy)
{
	if (e->policy)
		limiter_forget_half_open(e->shared->limiter);
	e->policy = policy;
	memset(e->rule_of, 0, sizeof(e->rule_of));
	for (size_t i = 0; i < policy->rule_count; i++)
		e->rule_of[policy->rules[i].slot] = &policy->rules[i];
	for (size_t slot = 0; slot < POLICY_RULES_MAX; slot++) {
		if (e->rule_of[slot])
			continue;
		/* The next rule here begins anew. */
		e->sent[slot] = 0;
		atomic_store_explicit(&e->shared->cookies_on[slot], false, memory_order_relaxed);
	}
	e->can_translate = e->can_translate && policy->cookie_rotation > 0;
	if (e->can_translate && policy->cookie_rotation != e->keys.rotation)
		cookie_keys_init(&e->keys, e->keys.secret, policy->cookie_rotation, e->unix_s);
}

void engine_cookies(struct engine *e, const uint8_t *secret, uint64_t unix_s)
{
	e->unix_s = unix_s;
	e->can_translate = secret && e->policy->cookie_rotation > 0;
	if (e->can_translate)
		cookie_keys_init(&e->keys, secret, e->policy->cookie_rotation, unix_s);
}

void engine_hold_cookies(struct engine *e, const bool *held, bool open)
{
	memset(e->held, 0, sizeof(e->held));
	if (held)
		memcpy(e->held, held, sizeof(e->held));
	e->held_open = open;
}

void engine_clock(struct engine *e, uint64_t unix_s)
{
	e->unix_s = unix_s;
	if (e->can_translate)
		cookie_keys_follow(&e->keys, unix_s);
}

void engine_tell(struct engine *e, const bool *told, uint64_t now_us)
{
	bool changed[POLICY_RULES_MAX];

	e->tells = false;
	for (size_t slot = 0; slot < POLICY_RULES_MAX; slot++) {
		const bool now = told && told[slot];

		changed[slot] = e->told[slot] != now;
		if (e->told[slot] && !now)
			e->told_until_us[slot] = now_us;
		e->told[slot] = now;
		e->tells |= now;
	}
	engine_retell(e, changed);
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

/* A SYN that has no flow. */
static void judge_syn(struct engine *e, const struct engine_packet *in, bool over, uint64_t now_us,
	struct decision *out)
{
	const struct segment *seg = &out->segment;
	struct tuple t = engine_tuple_of(seg, HS_FROM_CLIENT);
	const struct policy_rule *rule;

	if (in->hook == HOOK_OUTPUT)
		return;
	rule = engine_rule_for(e, seg, HS_FROM_CLIENT, in);
	if (!rule || rule->mode == MODE_ACCEPT || e->drain == DRAIN_OPEN)
		return;
	out->slot = rule->slot;
	if (policy_gates(rule) && e->drain == DRAIN_OFF) {
		plan_change(rule, out);
		if (in->lane == LANE_DNAT)
			learned_want_route(e->shared->learned, &seg->dst, seg->dst_port);
		engine_open(e, rule, in, over, now_us, out);
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

	const struct policy_rule *rule = engine_rule_of(e, f);

	if (from != FLOW_COUNTED) {
		bool over = engine_is_over(in) || engine_was_queued(f, now_us);

		engine_forget(e, number);
		judge_syn(e, in, over, now_us, out);
		return;
	}
	/* Still counted for its source; it goes back to standing if the client does not come back
	 * with the cookie, or the server does not take the SYN. */
	if (rule && e->drain == DRAIN_OFF && engine_challenge(e, rule, in, now_us, out))
		return;
	engine_make_room(e, &out->effects);
	f->hs.flags |= HS_OVER;
	hs_open(&f->hs, &out->segment, !out->change.strip_fastopen);
	engine_remember_asked(f, &out->segment);
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
	engine_remember_asked(f, &out->segment);
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

/* What a step makes of a handshake that began with a cookie. */
static void judge_opening(struct engine *e, const struct engine_packet *in, uint32_t number,
	const struct hs_outcome *outcome, uint64_t now_us, struct decision *out)
{
	struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = engine_rule_of(e, f);

	out->verdict = VERDICT_DROP;
	if (outcome->act == HS_REFUSED || outcome->act == HS_CLIENT_RESET) {
		f->hs.state = HS_OPENING; /* CLOSED is on no list: leave by the one it was on */
		engine_opening_failed(e, number,
			outcome->act == HS_REFUSED ? CAUSE_refused : CAUSE_client_reset,
			&out->effects);
	} else if (outcome->act == HS_TRANSLATE) {
		engine_translate(e, number, now_us, out);
	} else if (outcome->act == HS_REBUKE) {
		engine_rebuke(e, number, out);
	} else if (outcome->act == HS_PROVE && rule) {
		engine_prove(e, rule, now_us, out);
	} else if (outcome->act != HS_COOKIE || !rule ||
		   !engine_challenge(e, rule, in, now_us, out)) {
		engine_refuse(e, rule,
			outcome->act == HS_DROP ? outcome->reason : REASON_not_established,
			CAUSE_NONE, &f->tuple, out);
		out->verdict = VERDICT_DROP;
	}
}

/* What of a server's SYN-ACK every later client may be promised. */
static void learn(
	struct engine *e, const struct flow *f, enum hs_act act, const struct segment *syn_ack)
{
	if (act == HS_ANSWER && syn_ack->flags & TCP_ACK && !(f->hs.flags & HS_WAS_CROSSED))
		learned_hear(e->shared->learned, syn_ack, engine_asked(f));
}

/*
 * For the kernel this is no packet of the connection that it carries: a copy of the ACK that proved
 * it, from before the kernel translated, or the answer to another cookie. True if it was either.
 */
static bool judge_late_proof(struct engine *e, const struct engine_packet *in, uint32_t number,
	enum hs_side side, uint64_t now_us, struct decision *out)
{
	const struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = engine_rule_of(e, f);
	const struct window *w = engine_window_of(e, number);

	if (in->lane != LANE_PROOFS || side != HS_FROM_CLIENT || f->hs.state < HS_OFFLOADED ||
		!rule || !policy_gives_cookies(rule) || (w && w->offset == 0) ||
		out->segment.flags & (TCP_SYN | TCP_RST))
		return false;
	out->slot = rule->slot;
	if (out->segment.ack == f->hs.server_isn + 1)
		engine_refuse(e, rule, REASON_not_established, CAUSE_NONE, &f->tuple, out);
	else if (w)
		engine_refuse(e, rule, REASON_out_of_window, CAUSE_NONE, &f->tuple, out);
	else
		engine_prove(e, rule, now_us, out);
	return true;
}

/*
 * Whether the kernel is ahead of what it has told: it has admitted the connection, or asks about
 * the ACK, and the SYN-ACK is still to be heard of. The listener is our own host's, which knows if
 * the ACK is the right one.
 */
static bool is_ahead(const struct engine *e, const struct engine_packet *in, enum hs_side side,
	const struct flow *f, uint64_t now_us, const struct segment *seg)
{
	const uint32_t told_within_ms = 1000;
	const uint16_t slot = engine_slot(f);

	if (!engine_is_half_open(engine_list_of(f)) || !(f->hs.tag & ENGINE_TAG_UNSEEN))
		return false;
	if (in->lane == LANE_ADMITTED)
		return e->told[slot];
	return side == HS_FROM_CLIENT && !(seg->flags & (TCP_SYN | TCP_RST)) &&
	       (e->told[slot] || engine_was_told(e, slot, now_us)) &&
	       flow_age_ms(f, now_us) < told_within_ms;
}

static void judge_flow(struct engine *e, const struct engine_packet *in, uint32_t number,
	enum hs_side side, uint64_t now_us, struct decision *out)
{
	struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = engine_rule_of(e, f);
	struct window *w = engine_window_of(e, number);
	enum flow_list from = engine_list_of(f);
	struct hs_outcome outcome;

	out->slot = engine_slot(f);
	if (!out->passed && is_ahead(e, in, side, f, now_us, &out->segment)) {
		engine_admit(e, number, from, now_us, out);
		if (in->lane == LANE_ADMITTED)
			out->verdict = VERDICT_ACCEPT;
		return;
	}
	if (w && side == HS_FROM_SERVER)
		out->segment.seq += w->offset;
	outcome = hs_step(&f->hs, w, side, &out->segment);
	if (from == FLOW_OPENING) {
		judge_opening(e, in, number, &outcome, now_us, out);
		return;
	}
	plan_change(rule, out);
	learn(e, f, outcome.act, &out->segment);
	switch (outcome.act) {
	case HS_DROP:
		if (outcome.reason == REASON_bad_ack && side == HS_FROM_CLIENT && rule &&
			!out->passed &&
			(in->lane == LANE_PROOFS ||
				(in->lane == LANE_HANDSHAKES && engine_is_half_open(from))) &&
			engine_prove_instead(e, rule, now_us, out))
			return;
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
	case HS_COOKIE:
	case HS_HOLD:
	case HS_PROVE:
	case HS_TRANSLATE:
	case HS_REBUKE:
	case HS_ACTS:
		break;
	}
	if (still_half_open(outcome.act) && !out->passed && !e->told[engine_slot(f)])
		f->hs.tag &= (uint16_t)~ENGINE_TAG_UNSEEN;
	if (engine_list_of(f) == FLOW_SYN_RCVD)
		engine_taken(e, number, &out->effects);
	engine_settle(
		e, number, from, outcome.act == HS_RESTART || refreshes(engine_list_of(f)), now_us);
}

static void judge_bad_flags(struct engine *e, const struct engine_packet *in, uint32_t number,
	enum hs_side side, struct decision *out)
{
	const struct policy_rule *rule;
	struct tuple t;

	if (number) {
		rule = engine_rule_of(e, flow_at(e->table, number));
	} else {
		rule = engine_rule_of_stray(e, in, &out->segment, &side);
		if (!rule || rule->mode == MODE_ACCEPT || e->drain == DRAIN_OPEN)
			return;
	}
	t = engine_tuple_of(&out->segment, side);
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
	else if (number && !judge_late_proof(e, in, number, side, now_us, out))
		judge_flow(e, in, number, side, now_us, out);
	else if (number)
		return;
	else if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		judge_syn(e, in, engine_is_over(in), now_us, out);
	else
		engine_judge_stray(e, in, now_us, out);
}

/* A server's RST on a connection that the kernel carries: whether it gets through unharmed, the
 * shell can tell. */
static void look_after_rst(
	struct engine *e, const struct engine_packet *in, uint32_t seq, struct decision *out)
{
	const struct segment *seg = &out->segment;
	enum hs_side side = HS_FROM_SERVER;
	uint32_t number;

	if (!e->can_translate || in->lane != LANE_ADMITTED || !(seg->flags & TCP_RST) ||
		out->verdict != VERDICT_ACCEPT)
		return;
	number = flow_find(e->table, &seg->src, seg->src_port, &seg->dst, seg->dst_port, &side);
	if (number && side == HS_FROM_CLIENT)
		return;
	engine_effect(&out->effects, EFFECT_RST)->rst = (struct server_rst){
		.tuple = engine_tuple_of(seg, HS_FROM_SERVER),
		.seq = seq,
		.ack = seg->ack,
		.has_ack = seg->flags & TCP_ACK,
	};
}

void engine_packet(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out)
{
	static const struct tuple unknown;
	struct addr from;
	uint32_t seq;

	e->counters.packets++;
	out->verdict = VERDICT_ACCEPT;
	out->passed = in->fate == FATE_PASSED;
	out->reason = REASON_NONE;
	out->slot = POLICY_NO_SLOT;
	out->change_syn = false;
	out->change = (struct build_syn_change){0};
	out->effects.count = 0;
	switch (packet_parse(
		in->bytes, in->captured, in->on_wire, in->verify_checksum, &out->segment, &from)) {
	case PACKET_TCP:
		seq = out->segment.seq;
		(in->fate == FATE_DROPPED ? engine_answer_logged : judge_tcp)(e, in, now_us, out);
		look_after_rst(e, in, seq, out);
		return;
	case PACKET_TOO_BIG:
		engine_judge_too_big(e, in, &from, out);
		return;
	case PACKET_ICMP_ERROR:
		engine_judge_icmp(e, &from, out);
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
