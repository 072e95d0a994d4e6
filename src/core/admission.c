/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a flow comes into the table, and how it leaves half-open: opened, admitted, failed or
 * abandoned. */
#include "core/engine_state.h"

/* RSTs that answer SYNs. */
enum {
	REJECT_EVERY_US = 10000,
	REJECT_BURST = 100,
};

uint32_t engine_half_open(const struct engine *e)
{
	return flow_count(e->table, FLOW_SYN_SENT) + flow_count(e->table, FLOW_SYN_RCVD);
}

uint32_t engine_followed(const struct engine *e)
{
	return flow_used(e->table) - engine_half_open(e) - engine_openings(e);
}

bool engine_table_full(const struct engine *e)
{
	return flow_used(e->table) >= e->limits.half_open + e->limits.flows + e->limits.in_flight;
}

enum flow_list engine_list_of(const struct flow *f)
{
	static const enum flow_list lists[HS_STATES] = {
		[HS_SYN_SENT] = FLOW_SYN_SENT,
		[HS_SYN_CROSSED] = FLOW_SYN_SENT,
		[HS_SYN_RCVD] = FLOW_SYN_RCVD,
		[HS_SYN_RENEWED] = FLOW_SYN_RCVD,
		[HS_OPENING] = FLOW_OPENING,
		[HS_OFFLOADED] = FLOW_LINGER,
		[HS_ESTABLISHED] = FLOW_ESTABLISHED,
		[HS_FIN_CLIENT] = FLOW_FIN_WAIT,
		[HS_FIN_SERVER] = FLOW_FIN_WAIT,
		[HS_HALF_CLIENT] = FLOW_CLOSE_WAIT,
		[HS_HALF_SERVER] = FLOW_CLOSE_WAIT,
		[HS_CLOSING] = FLOW_LAST_ACK,
		[HS_LAST_ACK_CLIENT] = FLOW_LAST_ACK,
		[HS_LAST_ACK_SERVER] = FLOW_LAST_ACK,
		[HS_TIME_WAIT] = FLOW_TIME_WAIT,
		[HS_RESET] = FLOW_RESET,
	};

	if (f->hs.state == HS_OFFLOADED && f->hs.flags & HS_COUNTED)
		return FLOW_COUNTED;
	return lists[f->hs.state];
}

const struct policy_rule *engine_rule_of(const struct engine *e, const struct flow *f)
{
	return e->rule_of[engine_slot(f)];
}

struct window *engine_window_of(struct engine *e, uint32_t number)
{
	return flow_at(e->table, number)->hs.tag & ENGINE_TAG_FULL ? &e->more[number].window : NULL;
}

struct effect *engine_effect(struct effects *out, enum effect_type type)
{
	static struct effect overflow;
	struct effect *effect = out->count < ENGINE_EFFECTS ? &out->list[out->count++] : &overflow;

	effect->type = type;
	return effect;
}

void engine_send(struct effects *out, const uint8_t *bytes, size_t len)
{
	struct effect *effect = engine_effect(out, EFFECT_SEND);

	memcpy(effect->send.bytes, bytes, len);
	effect->send.len = (uint8_t)len;
}

struct addr engine_source(const struct engine *e, const struct addr *a)
{
	return addr_prefix(
		a, addr_is_v4(a) ? e->policy->source_prefix4 : e->policy->source_prefix6);
}

void engine_count_half_open(struct engine *e, const struct flow *f, bool more)
{
	const struct policy_rule *rule = engine_rule_of(e, f);
	_Atomic uint32_t *count = &e->shared->half_open[engine_slot(f)];
	struct addr source;

	if (more)
		atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
	if (!rule || !rule->connections_per_source)
		return;
	source = engine_source(e, &f->tuple.client);
	if (more)
		limiter_open(e->shared->limiter, &source, rule->slot);
	else
		limiter_settle(e->shared->limiter, &source, rule->slot);
}

void engine_forget(struct engine *e, uint32_t number)
{
	struct flow *f = flow_at(e->table, number);
	enum flow_list list = engine_list_of(f);

	if (engine_is_half_open(list))
		engine_count_half_open(e, f, false);
	if (f->hs.flags & HS_COUNTED) {
		struct addr source = engine_source(e, &f->tuple.client);

		limiter_disconnect(e->shared->limiter, &source, engine_slot(f));
	}
	flow_remove(e->table, number, list);
}

void engine_settle(
	struct engine *e, uint32_t number, enum flow_list from, bool refresh, uint64_t now_us)
{
	struct flow *f = flow_at(e->table, number);
	enum flow_list to = engine_list_of(f);

	if (engine_is_half_open(from) && !engine_is_half_open(to))
		engine_count_half_open(e, f, false);
	else if (!engine_is_half_open(from) && engine_is_half_open(to))
		engine_count_half_open(e, f, true);
	if (from != to || refresh)
		flow_move(e->table, number, from, to, now_us);
}

static void report(struct effects *out, const struct tuple *t, uint16_t slot, enum reason reason,
	enum cause cause, bool observed)
{
	struct effect *effect = engine_effect(out, EFFECT_REPORT);

	effect->report = (struct report){
		.tuple = *t, .slot = slot, .reason = reason, .cause = cause, .observed = observed};
}

bool engine_refuse(struct engine *e, const struct policy_rule *rule, enum reason reason,
	enum cause cause, const struct tuple *t, struct decision *out)
{
	bool enforce = rule ? rule->enforce : e->policy->enforce;
	uint16_t slot = rule ? rule->slot : POLICY_NO_SLOT;

	/* It is with its listener, whose host refuses it or not. */
	if (out->passed)
		return false;
	out->reason = reason;
	out->slot = slot;
	report(&out->effects, t, slot, reason, cause, !enforce);
	if (!enforce) {
		e->counters.observed[reason]++;
		return false;
	}
	out->verdict = VERDICT_DROP;
	out->change_syn = false;
	e->counters.drops[reason]++;
	if (cause != CAUSE_NONE)
		e->counters.failed[cause]++;
	if (rule)
		e->counters.rules[slot].dropped++;
	return true;
}

void engine_failed(struct engine *e, const struct flow *f, enum cause cause, const struct addr *who,
	struct effects *out)
{
	const struct policy_rule *rule = engine_rule_of(e, f);
	struct effect *effect = engine_effect(out, EFFECT_REPORT);

	e->counters.failed[cause]++;
	effect->report = (struct report){.tuple = f->tuple,
		.slot = engine_slot(f),
		.cause = cause,
		.observed = rule && !rule->enforce};
	if (who)
		effect->report.from = *who;
}

/* The server has a half-open connection that will never complete: it hears so from "the client". */
static void reset_server(const struct flow *f, struct effects *out)
{
	uint8_t rst[BUILD_RST_MAX];
	const struct tuple *t = &f->tuple;
	size_t len = build_rst(rst, &t->client, t->client_port, &t->server, t->server_port,
		hs_server_waits_for(&f->hs), false, 0);

	engine_send(out, rst, len);
}

void engine_taken(struct engine *e, uint32_t number, struct effects *out)
{
	struct flow *f = flow_at(e->table, number);

	if (f->hs.flags & HS_OVER)
		engine_effect(out, EFFECT_CT_UNMARK)->tuple = f->tuple;
	if (f->hs.flags & (HS_OVER | HS_UNREACHABLE))
		e->counters.started++;
	f->hs.flags &= (uint8_t) ~(HS_OVER | HS_UNREACHABLE);
}

void engine_back_to_standing(struct engine *e, uint32_t number)
{
	struct flow *f = flow_at(e->table, number);
	enum flow_list from = engine_list_of(f);

	if (!(f->hs.flags & HS_COUNTED)) {
		engine_forget(e, number);
		return;
	}
	f->hs.state = HS_OFFLOADED;
	f->hs.flags &= HS_COUNTED | HS_SEEN;
	engine_settle(e, number, from, true, (uint64_t)f->since_ms * 1000);
}

void engine_abandon(struct engine *e, uint32_t number, enum cause cause, struct effects *out)
{
	struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = engine_rule_of(e, f);

	if (f->hs.flags & HS_OVER) {
		engine_back_to_standing(e, number);
		return;
	}
	if ((!rule || rule->enforce) && !(f->hs.tag & ENGINE_TAG_UNSEEN)) {
		engine_effect(out, EFFECT_CT_DELETE)->tuple = f->tuple;
		if (engine_list_of(f) == FLOW_SYN_RCVD)
			reset_server(f, out);
	}
	if (!(f->hs.flags & HS_UNREACHABLE))
		engine_failed(e, f, cause, NULL, out);
	engine_forget(e, number);
}

/*
 * SYNs prove nothing of where they come from, so a rule that blocks does so by the rate of
 * completed handshakes, and SYNs alone are held to twice that.
 */
static struct policy_rate rate_of_syns(const struct policy_rule *rule)
{
	struct policy_rate rate = rule->syn_rate;

	if (rule->over_limit == OVER_LIMIT_BLOCK) {
		rate.per_s *= 2;
		rate.burst *= 2;
	}
	return rate;
}

/* Of the rates and connections of the SYN's source; NONE if it is within them. */
static enum reason over_source_limits(struct engine *e, const struct policy_rule *rule,
	const struct addr *source, uint64_t now_us)
{
	const struct policy_rate rate = rate_of_syns(rule);
	struct limiter *limiter = e->shared->limiter;

	if (rate.per_s && !limiter_take(limiter, source, rule->slot, &rate, now_us))
		return REASON_source_rate;
	if (rule->connections_per_source && rule->over_limit != OVER_LIMIT_BLOCK &&
		limiter_connections(limiter, source, rule->slot) >= rule->connections_per_source)
		return REASON_source_connections;
	return REASON_NONE;
}

/* Of half-open handshakes: the rule's, and the source's. */
static enum reason over_half_open(
	struct engine *e, const struct policy_rule *rule, const struct addr *source)
{
	if (rule->half_open && engine_shared_half_open(e->shared, rule->slot) >= rule->half_open)
		return REASON_half_open_full;
	if (rule->connections_per_source && limiter_half_open(e->shared->limiter, source,
						    rule->slot) >= rule->connections_per_source)
		return REASON_source_half_open;
	return REASON_NONE;
}

void engine_make_room(struct engine *e, struct effects *out)
{
	uint32_t oldest = flow_oldest(e->table, FLOW_SYN_SENT);
	enum cause cause = CAUSE_no_syn_ack;

	if (engine_half_open(e) < e->limits.half_open)
		return;
	if (!oldest) {
		oldest = flow_oldest(e->table, FLOW_SYN_RCVD);
		cause = CAUSE_no_ack;
	}
	if (!oldest)
		return;
	e->counters.evicted++;
	engine_abandon(e, oldest, cause, out);
}

bool engine_has_place(struct engine *e, const struct policy_rule *rule, struct effects *out)
{
	bool to_follow = rule->inspect == INSPECT_FULL || rule->connections_per_source;
	enum flow_list list = FLOW_LINGER;

	if (!engine_table_full(e) && (!to_follow || engine_followed(e) < e->limits.flows))
		return true;
	if (!flow_oldest(e->table, list))
		list = FLOW_TIME_WAIT;
	if (!flow_oldest(e->table, list))
		return false;
	engine_expire_followed(e, flow_oldest(e->table, list), list, out);
	return true;
}

static void answer_with_rst(struct decision *out)
{
	uint8_t rst[BUILD_RST_MAX];
	size_t len = build_rst_answer(rst, &out->segment);

	if (len)
		engine_send(&out->effects, rst, len);
}

/* The generic cell rate algorithm, as in the limiter. */
void engine_reject(struct engine *e, uint64_t now_us, struct decision *out)
{
	uint64_t due = e->rejects_due_us > now_us ? e->rejects_due_us : now_us;

	if (due - now_us > (REJECT_BURST - 1) * REJECT_EVERY_US)
		return;
	e->rejects_due_us = due + REJECT_EVERY_US;
	answer_with_rst(out);
}

static bool refuse_syn(struct engine *e, const struct policy_rule *rule, enum reason reason,
	const struct tuple *t, uint64_t now_us, struct decision *out)
{
	if (!engine_refuse(e, rule, reason, CAUSE_limited, t, out))
		return false;
	e->counters.started++;
	if (rule->over_limit == OVER_LIMIT_REJECT && reason != REASON_table_full)
		engine_reject(e, now_us, out);
	return true;
}

/* A cookie costs no place, so it is given where there is none, or where another's would be taken.
 */
static bool is_challenged(struct engine *e, const struct policy_rule *rule,
	const struct engine_packet *in, bool no_place, uint64_t now_us, struct decision *out)
{
	bool wanted = engine_wants_cookie(e, rule, &out->effects);

	return (wanted || no_place || engine_half_open(e) >= e->limits.half_open) &&
	       engine_challenge(e, rule, in, now_us, out);
}

/* Why the SYN is refused in any case; NONE if it is not. */
static enum reason not_even_a_cookie(struct engine *e, const struct policy_rule *rule,
	const struct addr *source, uint64_t now_us)
{
	return engine_shared_is_backend_down(e->shared, rule->slot)
		       ? REASON_backend_down
		       : over_source_limits(e, rule, source, now_us);
}

/* The source whose rate and connections are limited; the client itself if none are. */
static struct addr limited_source(
	const struct engine *e, const struct policy_rule *rule, const struct addr *client)
{
	bool by_source = rule->syn_rate.per_s || rule->connections_per_source;

	return by_source ? engine_source(e, client) : *client;
}

bool engine_refuse_at_once(struct engine *e, const struct policy_rule *rule, const struct tuple *t,
	uint64_t now_us, struct decision *out)
{
	struct addr source = limited_source(e, rule, &t->client);
	enum reason reason = not_even_a_cookie(e, rule, &source, now_us);

	return reason != REASON_NONE && refuse_syn(e, rule, reason, t, now_us, out);
}

/* True if nothing is left to be done with the SYN: it was refused, or answered with a cookie. */
static bool is_settled(struct engine *e, const struct policy_rule *rule,
	const struct engine_packet *in, bool over, const struct tuple *t, uint64_t now_us,
	struct decision *out)
{
	struct addr source = limited_source(e, rule, &t->client);
	enum reason reason = not_even_a_cookie(e, rule, &source, now_us);

	if (reason == REASON_NONE) {
		reason = over_half_open(e, rule, &source);
		if (is_challenged(e, rule, in, over || reason != REASON_NONE, now_us, out))
			return true;
		if (reason == REASON_NONE && e->held[rule->slot] && !e->held_open &&
			engine_wants_cookie(e, rule, &out->effects))
			reason = REASON_half_open_full;
	}
	if (reason != REASON_NONE && refuse_syn(e, rule, reason, t, now_us, out))
		return true;
	return !engine_has_place(e, rule, &out->effects) &&
	       refuse_syn(e, rule, REASON_table_full, t, now_us, out);
}

void engine_open(struct engine *e, const struct policy_rule *rule, const struct engine_packet *in,
	bool over, uint64_t now_us, struct decision *out)
{
	const struct segment *seg = &out->segment;
	struct tuple t = {seg->src, seg->dst, seg->src_port, seg->dst_port};
	bool data_kept = !out->change.strip_fastopen;
	struct flow *f;
	uint32_t number;

	e->counters.rules[rule->slot].matched++;
	if (is_settled(e, rule, in, over, &t, now_us, out))
		return;
	/* The rest of it is told to whichever shard. */
	if (e->told[rule->slot] && !out->passed && e->limits.shards > 1)
		return;
	engine_make_room(e, &out->effects);
	number = flow_insert(e->table, &t, FLOW_SYN_SENT, now_us);
	if (!number)
		return;
	if (!over)
		e->counters.started++;
	f = flow_at(e->table, number);
	f->hs.tag = engine_tag(rule);
	if (out->passed || e->told[rule->slot])
		f->hs.tag |= ENGINE_TAG_UNSEEN;
	f->hs.flags = over ? HS_OVER : 0;
	engine_remember_asked(f, seg);
	hs_open(&f->hs, seg, data_kept);
	if (rule->inspect == INSPECT_FULL)
		window_syn(&e->more[number].window, seg, data_kept);
	engine_count_half_open(e, f, true);
}

/* The handshake completed, but its source has as many connections as it may: both ends hear that it
 * is over. */
static void refuse_completed(
	struct engine *e, uint32_t number, const struct policy_rule *rule, struct decision *out)
{
	struct flow *f = flow_at(e->table, number);

	engine_effect(&out->effects, EFFECT_CT_DELETE)->tuple = f->tuple;
	reset_server(f, &out->effects);
	if (rule->over_limit == OVER_LIMIT_REJECT)
		answer_with_rst(out); /* to the client itself, which has proven so */
}

bool engine_count_for_source(
	struct engine *e, struct flow *f, const struct policy_rule *rule, uint64_t now_us)
{
	struct addr source = engine_source(e, &f->tuple.client);
	bool counted;

	if (!rule || !rule->connections_per_source || f->hs.flags & HS_COUNTED)
		return true;
	if (!limiter_connect(e->shared->limiter, &source, rule->slot, rule->connections_per_source,
		    now_us, &counted))
		return false;
	if (counted)
		f->hs.flags |= HS_COUNTED;
	return true;
}

void engine_count_standing(
	struct engine *e, struct flow *f, const struct policy_rule *rule, uint64_t now_us)
{
	struct addr source = engine_source(e, &f->tuple.client);
	bool counted = false;

	f->hs.flags |= HS_SEEN;
	if (rule->connections_per_source)
		limiter_connect(
			e->shared->limiter, &source, rule->slot, UINT32_MAX, now_us, &counted);
	if (counted)
		f->hs.flags |= HS_COUNTED;
}

void engine_block(struct engine *e, const struct policy_rule *rule, const struct addr *client,
	struct effects *out)
{
	bool v4 = addr_is_v4(client);
	struct addr last = engine_source(e, client);
	unsigned bits = v4 ? e->policy->source_prefix4 + 96u : e->policy->source_prefix6;
	struct effect *effect;

	if (rule->over_limit != OVER_LIMIT_BLOCK)
		return;
	effect = engine_effect(out, EFFECT_BLOCK);
	effect->block.source.first = last;
	for (unsigned i = bits; i < 128; i++)
		last.b[i / 8] |= (uint8_t)(0x80u >> i % 8);
	effect->block.source.last = last;
	effect->block.slot = rule->slot;
	effect->block.seconds = rule->block_time;
}

bool engine_within_rate(struct engine *e, const struct policy_rule *rule, const struct tuple *t,
	uint64_t now_us, struct decision *out)
{
	struct addr source = engine_source(e, &t->client);

	if (!rule || rule->over_limit != OVER_LIMIT_BLOCK ||
		limiter_complete(
			e->shared->limiter, &source, rule->slot, &rule->syn_rate, now_us) ||
		!engine_refuse(e, rule, REASON_source_rate, CAUSE_limited, t, out))
		return true;
	engine_block(e, rule, &t->client, &out->effects);
	return false;
}

/* False if it has been refused. */
static bool may_stand(struct engine *e, struct flow *f, const struct policy_rule *rule,
	uint64_t now_us, struct decision *out)
{
	if (!engine_within_rate(e, rule, &f->tuple, now_us, out))
		return false;
	if (engine_count_for_source(e, f, rule, now_us) ||
		!engine_refuse(e, rule, REASON_source_connections, CAUSE_limited, &f->tuple, out))
		return true;
	engine_block(e, rule, &f->tuple.client, &out->effects);
	return false;
}

void engine_admit(struct engine *e, uint32_t number, enum flow_list from, uint64_t now_us,
	struct decision *out)
{
	struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = engine_rule_of(e, f);

	if (!may_stand(e, f, rule, now_us, out)) {
		f->hs.state = HS_SYN_RCVD;
		refuse_completed(e, number, rule, out);
		engine_forget(e, number);
		return;
	}
	out->verdict = VERDICT_ADMIT;
	e->counters.completed++;
	e->counters.rules[engine_slot(f)].admitted++;
	f->hs.flags &= (uint8_t)~HS_OVER;
	if (!engine_window_of(e, number))
		f->hs.state = HS_OFFLOADED;
	f->hs.flags |= HS_SEEN;
	engine_settle(e, number, from, true, now_us);
}
