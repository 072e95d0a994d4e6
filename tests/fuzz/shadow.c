/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shadow.h"

#include "core/seq.h"

#include <stdlib.h>

enum {
	LINGER_MS = 2000,
	ASK_AGAIN_MS = 1000,
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

/* A word of the gate itself, in the stead of the packet. */
static bool acts(const struct decision *d)
{
	for (size_t i = 0; i < d->effects.count; i++)
		if (d->effects.list[i].type == EFFECT_SEND ||
			d->effects.list[i].type == EFFECT_TRANSLATE)
			return true;
	return false;
}

/* Some public address that the client may have meant, and its ISN, make the number a cookie. */
static bool is_cookie(const struct shadow *s, const struct handshake *h, const struct segment *ack)
{
	struct learned_server server = {.route = LEARNED_ROUTE_UNKNOWN};
	struct cookie_options o;
	struct cookie_subject subject = {
		.tuple = {ack->src, ack->dst, ack->src_port, ack->dst_port},
		.public_addr = ack->dst,
		.public_port = ack->dst_port,
		.client_isn = h->client_isn,
	};

	if (cookie_check(&s->engine->keys, &subject, ack->ack - 1, ack->opt.has_timestamp,
		    ack->opt.tsecr, &o))
		return true;
	learned_find(s->shared->learned, &ack->dst, ack->dst_port, &server);
	subject.public_addr = server.public_addr;
	subject.public_port = server.public_port;
	return server.route == LEARNED_ROUTE_ONE &&
	       cookie_check(&s->engine->keys, &subject, ack->ack - 1, ack->opt.has_timestamp,
		       ack->opt.tsecr, &o);
}

static void note_cookie(struct shadow_tuple *t, const struct effect *effect)
{
	struct segment seg;
	struct addr from;

	packet_parse(effect->send.bytes, effect->send.len, effect->send.len, true, &seg, &from);
	if ((seg.flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
		return;
	shadow_require(addr_equal(&seg.dst, &t->tuple.client));
	shadow_require(seg.dst_port == t->tuple.client_port && seg.window == 0);
	t->cookie_isn = seg.seq;
	t->cookie_tsval = seg.opt.tsval;
}

static void check_translation(const struct shadow_tuple *t, const struct translation *made,
	const struct handshake *before, const struct segment *syn_ack)
{
	shadow_require(memcmp(&made->tuple, &t->tuple, sizeof(t->tuple)) == 0);
	shadow_require(before->state == HS_OPENING);
	shadow_require(made->client_isn == before->client_isn);
	shadow_require(made->cookie_isn == before->server_isn);
	shadow_require(made->server_isn == syn_ack->seq);
	shadow_require((syn_ack->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK));
	shadow_require(syn_ack->ack == before->client_isn + 1);
}

void shadow_proven(struct shadow *s, unsigned tuple, enum hs_side side, enum engine_lane lane,
	const struct handshake *before, const struct decision *d)
{
	uint32_t number = shadow_flow(s, tuple);
	const struct handshake *h = &flow_at(s->engine->table, number)->hs;
	const struct segment *seg = &d->segment;

	for (size_t i = 0; i < d->effects.count; i++) {
		const struct effect *effect = &d->effects.list[i];

		if (effect->type == EFFECT_SEND)
			note_cookie(&s->tuples[tuple], effect);
		if (effect->type == EFFECT_TRANSLATE)
			check_translation(&s->tuples[tuple], &effect->translation, before, seg);
	}
	if (before->state == HS_OPENING || (number && h->state == HS_OPENING))
		shadow_require(d->verdict == VERDICT_DROP || !packet_flags_ok(seg->flags));
	if (!number || h->state != HS_OPENING ||
		(before->state == HS_OPENING && before->client_isn == h->client_isn))
		return;
	shadow_require(side == HS_FROM_CLIENT);
	shadow_require(lane != LANE_ADMITTED || before->state == HS_OPENING);
	shadow_require((seg->flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK);
	shadow_require(seg->ack == h->server_isn + 1);
	shadow_require(seg->seq == h->client_isn + 1 || seg->seq == h->client_isn);
	shadow_require(is_cookie(s, h, seg));
}

void shadow_judged(struct shadow *s, unsigned tuple, enum hs_side side,
	const struct policy_rule *rule, const struct decision *d)
{
	struct shadow_tuple *t = &s->tuples[tuple];
	bool enforced = rule && rule->enforce && s->engine->policy->enforce;

	shadow_require(d->verdict != VERDICT_DROP || d->reason != REASON_NONE || acts(d));
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
	return (hs_half_open(&f->hs) || f->hs.state == HS_OPENING) &&
	       !(f->hs.flags & (HS_OVER | HS_UNREACHABLE));
}

unsigned shadow_pending(const struct shadow *s)
{
	unsigned count = 0;

	for (unsigned i = 0; i < SHADOW_TUPLES; i++) {
		uint32_t number = shadow_flow(s, i);

		count += number && pending(flow_at(s->engine->table, number));
	}
	return count;
}

static void check_counters(const struct shadow *s)
{
	const struct engine_counters *c = engine_counters(s->engine);
	uint64_t ended = c->completed + s->left_alone + shadow_pending(s);

	for (unsigned i = 0; i < CAUSE_COUNT; i++)
		ended += c->failed[i];
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

/* A source's half-open handshakes are never counted for more than there are. */
static void check_half_open(const struct shadow *s, uint16_t slot)
{
	struct addr source = engine_source(s->engine, &s->tuples[slot].tuple.client);
	uint32_t there = 0;

	for (unsigned i = slot; i < SHADOW_TUPLES; i += 2) {
		uint32_t number = shadow_flow(s, i);

		there += number && hs_half_open(&flow_at(s->engine->table, number)->hs);
	}
	shadow_require(limiter_half_open(s->shared->limiter, &source, slot) <= there);
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
	shadow_require(g.opening <= s->limits->in_flight);
	shadow_require(used <= s->limits->half_open + s->limits->flows + s->limits->in_flight);
	shadow_require(used == g.syn_sent + g.syn_received + g.opening + g.established + g.closing +
				       g.offloaded + flow_count(s->engine->table, FLOW_LINGER));
	for (uint16_t slot = 0; slot < SHADOW_SLOTS; slot++) {
		shadow_require(half_open[slot] == engine_shared_half_open(s->shared, slot));
		check_half_open(s, slot);
	}
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
		[FLOW_OPENING] = ASK_AGAIN_MS,
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
	shadow_require(seg.flags & (TCP_RST | TCP_SYN) && seg.data_len == 0);
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
		case EFFECT_TRANSLATE:
			shadow_require(enforced);
			break;
		case EFFECT_BLOCK:
			shadow_require(enforced && effect->block.seconds > 0);
			shadow_require(
				addr_in_range(&effect->block.source.first, &effect->block.source));
			shadow_require(
				addr_in_range(&effect->block.source.last, &effect->block.source));
			break;
		case EFFECT_CT_UNMARK:
		case EFFECT_PASS_ON:
		case EFFECT_NOTICE:
		case EFFECT_RST:
		case EFFECT_TOO_BIG:
			break;
		case EFFECT_REPORT:
			shadow_require(effect->report.reason != REASON_NONE ||
				       effect->report.cause != CAUSE_NONE);
			shadow_require(enforced || effect->report.observed);
			break;
		}
	}
}
