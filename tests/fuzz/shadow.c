/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shadow.h"

#include "core/seq.h"

#include <stdlib.h>

enum {
	LINGER_MS = 2000,
	SEGMENT_MAX = UINT16_MAX, /* as far as a segment may be on, of one that was lost */
};

void shadow_require(bool promise)
{
	if (!promise)
		abort();
}

static struct tuple tuple_of(unsigned n)
{
	struct tuple t = {.client_port = (uint16_t)(1000 + n), .server_port = 80};

	if (n & 1) {
		t.client = (struct addr){.b = {0xfd, 1, [15] = (uint8_t)n}};
		t.server = (struct addr){.b = {0xfd, 2, [15] = 1}};
	} else {
		t.client = addr_v4((const uint8_t[]){10, 1, 0, (uint8_t)n});
		t.server = addr_v4((const uint8_t[]){10, 2, 0, 1});
	}
	return t;
}

void shadow_begin(struct shadow *s, struct engine *e, struct engine_shared *shared,
	const struct engine_limits *limits)
{
	*s = (struct shadow){.engine = e, .shared = shared, .limits = limits};
	for (unsigned i = 0; i < SHADOW_TUPLES; i++)
		s->tuples[i].tuple = tuple_of(i);
}

uint32_t shadow_flow(const struct shadow *s, unsigned tuple)
{
	const struct tuple *t = &s->tuples[tuple].tuple;
	enum hs_side side = HS_FROM_CLIENT;
	uint32_t number = flow_find(
		s->engine->table, &t->client, t->client_port, &t->server, t->server_port, &side);

	shadow_require(side == HS_FROM_CLIENT);
	return number;
}

static void hear(struct shadow_heard *h, uint32_t number, uint32_t data)
{
	if (h->count < SHADOW_SEGMENTS) {
		h->number[h->count] = number;
		h->data[h->count] = data;
	}
	h->count++;
}

static unsigned remembered(const struct shadow_heard *h)
{
	return h->count < SHADOW_SEGMENTS ? h->count : SHADOW_SEGMENTS;
}

/* Whether the server acknowledged this SYN; *took if also some of its data. */
static bool acknowledged(const struct shadow_tuple *t, uint32_t isn, uint32_t data, bool *took)
{
	bool any = false;

	for (unsigned i = 0; i < remembered(&t->server_acks); i++) {
		uint32_t ack = t->server_acks.number[i];

		if (!seq_between(isn + 1, ack, isn + 1 + data))
			continue;
		any = true;
		*took |= ack != isn + 1;
	}
	return any;
}

/* An acknowledgement of the server's SYN, or of what a server with Fast Open said right after. */
static bool answers_server(const struct shadow_tuple *t, uint32_t ack, bool early)
{
	for (unsigned i = 0; i < remembered(&t->server_syns); i++) {
		uint32_t first = t->server_syns.number[i] + 1;

		if (seq_between(first, ack, first + (early ? SEGMENT_MAX : 0)))
			return true;
	}
	return false;
}

/* The one promise that matters: SYN, SYN-ACK and ACK have all gone by, with numbers that match. */
static bool proven(const struct shadow_tuple *t, const struct segment *seg)
{
	for (unsigned i = 0; i < remembered(&t->client_syns); i++) {
		uint32_t isn = t->client_syns.number[i];
		uint32_t data = t->client_syns.data[i];
		bool took = false;

		if (acknowledged(t, isn, data, &took) && answers_server(t, seg->ack, took) &&
			seq_between(isn, seg->seq, isn + 1 + SEGMENT_MAX))
			return true;
	}
	return false;
}

static bool remembers_all(const struct shadow_tuple *t)
{
	return t->client_syns.count <= SHADOW_SEGMENTS && t->server_syns.count <= SHADOW_SEGMENTS &&
	       t->server_acks.count <= SHADOW_SEGMENTS;
}

static void learn(struct shadow_tuple *t, enum hs_side side, const struct decision *d)
{
	const struct segment *seg = &d->segment;
	bool stripped = d->change_syn && d->change.strip_fastopen;
	uint32_t end = seg->seq + packet_seq_len(seg);

	if (side == HS_FROM_CLIENT && (seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		hear(&t->client_syns, seg->seq, stripped ? 0 : seg->data_len);
	if (side == HS_FROM_SERVER && seg->flags & TCP_SYN)
		hear(&t->server_syns, seg->seq, 0);
	if (side == HS_FROM_SERVER && seg->flags & TCP_ACK && !(seg->flags & TCP_RST))
		hear(&t->server_acks, seg->ack, 0);
	if (seg->flags & TCP_SYN || seq_before(t->next[side], end))
		t->next[side] = end;
}

static void forget(struct shadow_tuple *t)
{
	t->client_syns.count = 0;
	t->server_syns.count = 0;
	t->server_acks.count = 0;
	t->joined = false;
}

void shadow_judged(struct shadow *s, unsigned tuple, enum hs_side side,
	const struct policy_rule *rule, const struct decision *d)
{
	struct shadow_tuple *t = &s->tuples[tuple];
	bool enforced = rule && rule->enforce && s->engine->policy->enforce;

	shadow_require(d->verdict != VERDICT_DROP || d->reason != REASON_NONE);
	shadow_require(d->verdict == VERDICT_DROP || !enforced || d->reason == REASON_NONE);
	if (s->engine->policy->adopt)
		t->joined = true;
	if (d->verdict == VERDICT_ADMIT && enforced && !t->joined && remembers_all(t)) {
		shadow_require(side == HS_FROM_CLIENT);
		shadow_require((d->segment.flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK);
		shadow_require(proven(t, &d->segment));
	}
	if (d->verdict != VERDICT_DROP)
		learn(t, side, d);
	if (shadow_flow(s, tuple) == 0)
		forget(t);
}

static void check_list(const struct shadow *s, enum flow_list list, uint32_t *half_open)
{
	struct flow_table *t = s->engine->table;
	uint32_t count = 0;
	uint32_t before = 0;

	for (uint32_t n = flow_oldest(t, list); n; before = n, n = flow_at(t, n)->next) {
		const struct flow *f = flow_at(t, n);

		shadow_require(engine_list_of(f) == list);
		shadow_require(f->prev == before);
		if (before && list != FLOW_COUNTED)
			shadow_require(flow_at(t, before)->since_ms <= f->since_ms);
		shadow_require(f->hs.state != HS_CLOSED && f->hs.state < HS_STATES);
		shadow_require(hs_half_open(&f->hs) == engine_is_half_open(list));
		shadow_require(engine_slot(f) < SHADOW_SLOTS);
		if (engine_is_half_open(list))
			half_open[engine_slot(f)]++;
		count++;
		shadow_require(count <= flow_used(t));
	}
	shadow_require(count == flow_count(t, list));
}

/* A handshake that was counted as begun and not yet as ended. */
static bool pending(const struct flow *f)
{
	return hs_half_open(&f->hs) && !(f->hs.flags & (HS_OVER | HS_UNREACHABLE));
}

static void check_counters(const struct shadow *s)
{
	const struct engine_counters *c = engine_counters(s->engine);
	uint64_t ended = c->completed;

	for (unsigned i = 0; i < CAUSE_COUNT; i++)
		ended += c->failed[i];
	for (unsigned i = 0; i < SHADOW_TUPLES; i++) {
		uint32_t number = shadow_flow(s, i);

		if (number && pending(flow_at(s->engine->table, number)))
			ended++;
	}
	shadow_require(c->started == ended);
	shadow_require(c->failed[CAUSE_NONE] == 0 && c->drops[REASON_NONE] == 0 &&
		       c->observed[REASON_NONE] == 0);
}

/* Each connection that is counted for its source is counted there once. */
static void check_sources(const struct shadow *s, unsigned family)
{
	struct addr source = engine_source(s->engine, &s->tuples[family].tuple.client);
	uint32_t counted = 0;
	uint32_t found = 0;

	for (uint16_t slot = 0; slot < SHADOW_SLOTS; slot++)
		found += limiter_connections(s->shared->limiter, &source, slot);
	for (unsigned i = family; i < SHADOW_TUPLES; i += 2) {
		uint32_t number = shadow_flow(s, i);

		if (number && flow_at(s->engine->table, number)->hs.flags & HS_COUNTED)
			counted++;
	}
	shadow_require(counted == found);
}

void shadow_check(struct shadow *s)
{
	uint32_t half_open[SHADOW_SLOTS] = {0};
	struct engine_gauges g = engine_gauges(s->engine);
	uint32_t used = flow_used(s->engine->table);
	uint32_t listed = 0;

	for (enum flow_list list = 0; list < FLOW_LISTS; list++) {
		check_list(s, list, half_open);
		listed += flow_count(s->engine->table, list);
	}
	shadow_require(listed == used);
	shadow_require(g.syn_sent + g.syn_received <= s->limits->half_open);
	shadow_require(used <= s->limits->half_open + s->limits->flows);
	shadow_require(used == g.syn_sent + g.syn_received + g.established + g.closing +
				       g.offloaded + flow_count(s->engine->table, FLOW_LINGER));
	for (uint16_t slot = 0; slot < SHADOW_SLOTS; slot++)
		shadow_require(half_open[slot] == engine_shared_half_open(s->shared, slot));
	check_counters(s);
	check_sources(s, 0);
	check_sources(s, 1);
	for (unsigned i = 0; i < SHADOW_TUPLES; i++)
		if (shadow_flow(s, i) == 0)
			forget(&s->tuples[i]);
}

void shadow_check_ages(const struct shadow *s, uint64_t now_us)
{
	const struct policy_timeouts *t = &s->engine->policy->timeouts;
	const uint32_t limits[FLOW_LISTS] = {
		[FLOW_SYN_SENT] = t->syn_sent * 1000,
		[FLOW_SYN_RCVD] = t->syn_received * 1000,
		[FLOW_LINGER] = LINGER_MS,
		[FLOW_COUNTED] = UINT32_MAX,
		[FLOW_ESTABLISHED] = t->established * 1000,
		[FLOW_FIN_WAIT] = t->fin_wait * 1000,
		[FLOW_CLOSE_WAIT] = t->close_wait * 1000,
		[FLOW_LAST_ACK] = t->last_ack * 1000,
		[FLOW_TIME_WAIT] = t->time_wait * 1000,
		[FLOW_RESET] = t->closed * 1000,
	};

	for (unsigned i = 0; i < SHADOW_TUPLES; i++) {
		uint32_t number = shadow_flow(s, i);
		struct flow *f = number ? flow_at(s->engine->table, number) : NULL;

		if (f)
			shadow_require(flow_age_ms(f, now_us) < limits[engine_list_of(f)]);
	}
}

static void check_sent(const struct effect *effect)
{
	struct segment seg;
	struct addr from;

	shadow_require(packet_parse(effect->send.bytes, effect->send.len, effect->send.len, true,
			       &seg, &from) == PACKET_TCP);
	shadow_require(seg.flags & TCP_RST && seg.data_len == 0);
}

void shadow_check_effects(const struct effects *effects, size_t most, bool enforced)
{
	shadow_require(effects->count <= most);
	for (size_t i = 0; i < effects->count; i++) {
		const struct effect *effect = &effects->list[i];

		switch (effect->type) {
		case EFFECT_SEND:
			shadow_require(enforced);
			check_sent(effect);
			break;
		case EFFECT_CT_DELETE:
			shadow_require(enforced);
			break;
		case EFFECT_CT_UNMARK:
		case EFFECT_PASS_ON:
			break;
		case EFFECT_REPORT:
			shadow_require(effect->report.reason != REASON_NONE ||
				       effect->report.cause != CAUSE_NONE);
			shadow_require(enforced || effect->report.observed);
			break;
		}
	}
}
