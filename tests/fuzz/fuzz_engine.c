/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sequences of packets, time and commands, fed to an engine of a few flows.
 *
 * Input: three bytes of set-up, then steps. A step's first byte says what it is and to which of
 * eight connections; what follows depends on it (see the functions that read it). Numbers are given
 * relative to one of two ISNs of each side, to the highest that the side has sent, or to the last
 * cookie that was sent in its name, so that matching ones are found easily.
 */
#include "shadow.h"

#include "../unit/segments.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	SETUP = 3,
	STEPS_MAX = 400,
	PACKET_EFFECTS = 10,
	KILL_EFFECTS = 4,
	EXPIRE_ROUNDS = 20, /* a small table is empty long before */
};

enum step {
	STEP_PACKET, /* 0 to 7 */
	STEP_CLOCK = 8,
	STEP_COOKIES,
	STEP_TIME,
	STEP_EXPIRE,
	STEP_POLICY,
	STEP_END,
	STEP_RECONCILE,
	STEP_UNREACHABLE,
};

struct input {
	const uint8_t *data;
	size_t left;
};

struct run {
	struct input in;
	struct engine_limits limits;
	struct policy_rule rules[2][2]; /* the policy in force and the one before */
	struct policy policies[2];
	unsigned current;
	struct engine_shared *shared;
	struct engine *engine;
	uint64_t now_us;
	uint64_t unix_s;
	struct translation translation; /* the last one */
	bool translates;                /* it has not failed yet */
	struct shadow shadow;
	struct decision decision;
	struct effects effects;
};

static const struct siphash_key key = {5, 6};
static const uint8_t secret[COOKIE_SECRET] = {7};
static const struct addr_range families[2] = {
	{{{[10] = 0xff, [11] = 0xff}}, {{[10] = 0xff, [11] = 0xff, 0xff, 0xff, 0xff, 0xff}}},
	{{{0}}, {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff}}},
};

static const struct port_range http = {80, 80};

static uint8_t take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

static void write_rule(struct policy_rule *r, unsigned family, uint8_t a, uint8_t b)
{
	static const enum policy_mode modes[] = {MODE_GATE, MODE_GATE, MODE_GATE, MODE_DROP,
		MODE_SPLICE, MODE_GATE, MODE_ACCEPT, MODE_REJECT};

	static const enum policy_syncookies cookies[] = {
		SYNCOOKIES_NEVER, SYNCOOKIES_ADAPTIVE, SYNCOOKIES_ALWAYS, SYNCOOKIES_ALWAYS};

	*r = (struct policy_rule){
		.name = family ? "six" : "four",
		.slot = (uint16_t)family,
		.from = &families[family],
		.from_count = 1,
		.port = &http,
		.port_count = 1,
		.mode = modes[(a >> 4) & 7],
		.enforce = !(a & 1),
		.inspect = a & 2 ? INSPECT_FULL : INSPECT_HANDSHAKE,
		.fastopen_strip = !(a & 4),
		.mss = a & 8 ? 1000 : 0,
		.half_open = b & 3,
		.connections_per_source = (b >> 2) & 3,
		.over_limit = b >> 6 == 3 ? OVER_LIMIT_BLOCK
			      : b & 16    ? OVER_LIMIT_REJECT
					  : OVER_LIMIT_DROP,
		.block_time = 60,
		.syncookies = cookies[b >> 6],
		.syncookies_start = 75,
		.syncookies_end = 50,
		.syn_rate = {.per_s = b & 32 ? 10 : 0, .burst = 3},
	};
}

/* Five bytes: what the whole does, and two for each rule. */
static void change_policy(struct run *r)
{
	unsigned next = !r->current;
	uint8_t all = take(&r->in);
	uint8_t a[2] = {take(&r->in), take(&r->in)};
	uint8_t b[2] = {take(&r->in), take(&r->in)};

	for (unsigned family = 0; family < 2; family++)
		write_rule(&r->rules[next][family], family, a[family], b[family]);
	r->policies[next] = (struct policy){
		.rules = r->rules[next],
		.rule_count = all & 3 ? 2 : (all >> 2) & 1,
		.enforce = !(all & 8),
		.timeouts = {5, 3, 40, 6, 20, 4, 8, 2},
		.adopt = all & 16,
		.adopt_window = 30,
		.source_prefix4 = 24,
		.source_prefix6 = 64,
		.half_open = 6,
		.cookies_shared = all & 32,
		.cookie_rotation = all & 64    ? 0
				   : all & 128 ? 20
					       : 60,
	};
	r->current = next;
}

/* What was opened under a rule that is gone falls under the policy's own word. */
static bool none_enforced(const struct run *r)
{
	const struct policy *p = &r->policies[r->current];
	bool enforced = p->enforce || p->rule_count < 2;

	for (size_t i = 0; i < p->rule_count; i++)
		enforced = enforced || p->rules[i].enforce;
	return !enforced;
}

/* One byte: bits 0-1 where the number counts from, the rest how far from there, -31 to 31; 32: four
 * bytes more. */
static uint32_t take_number(struct run *r, unsigned tuple, enum hs_side side)
{
	static const uint32_t isns[2][2] = {{0xfffffff0, 0x40000000}, {0x7fffffff, 0xffff0000}};
	uint8_t how = take(&r->in);
	uint32_t off = how >> 2;
	const struct shadow_tuple *t = &r->shadow.tuples[tuple];

	if (off == 32)
		for (unsigned i = 0; i < 4; i++)
			off = off << 8 | take(&r->in);
	else if (off > 32)
		off -= 64;
	switch (how & 3) {
	case 0:
		return isns[side][0] + off;
	case 1:
		return isns[side][1] + off;
	case 2:
		return t->next[side] + off;
	default:
		return (side == HS_FROM_SERVER ? t->cookie_isn : t->next[side]) + off;
	}
}

/* Five bytes and two numbers: flags, length, window, options, where it comes by. */
static size_t take_segment(
	struct run *r, unsigned tuple, enum hs_side side, uint8_t *bytes, uint8_t *where)
{
	const struct tuple *t = &r->shadow.tuples[tuple].tuple;
	bool client = side == HS_FROM_CLIENT;
	uint8_t flags = take(&r->in);
	uint8_t len = take(&r->in);
	uint8_t window = take(&r->in);
	uint8_t options = take(&r->in);
	struct segment_spec spec = {
		.src = client ? t->client : t->server,
		.dst = client ? t->server : t->client,
		.src_port = client ? t->client_port : t->server_port,
		.dst_port = client ? t->server_port : t->client_port,
		.flags = flags,
		.len = len > 200   ? 1400
		       : len > 100 ? len - 100u
				   : 0,
		.window = (uint16_t)(window * window),
		.mss = options & 1 ? 1460 : 0,
		.scales = options & 2,
		.wscale = options >> 4,
		.fastopen = options & 4,
		.cookie = options & 8 ? 8 : 0,
	};

	*where = take(&r->in);
	spec.sack = *where & 32;
	spec.stamped = *where & 64;
	spec.tsval = 1000 + window;
	spec.tsecr = client ? r->shadow.tuples[tuple].cookie_tsval : 1;
	spec.seq = take_number(r, tuple, side);
	spec.ack = take_number(r, tuple, !side);
	return segments_write(bytes, &spec);
}

static const struct policy_rule *rule_of(const struct run *r, unsigned tuple)
{
	uint32_t number = shadow_flow(&r->shadow, tuple);
	const struct tuple *t = &r->shadow.tuples[tuple].tuple;

	if (number)
		return engine_rule_of(r->engine, flow_at(r->engine->table, number));
	return policy_match(&r->policies[r->current], &t->client, &t->server, t->server_port, NULL,
		POLICY_ANYWHERE);
}

/* What a handshake that has completed may be refused for; none if the gate acts in the packet's
 * stead. */
static bool ends_flows(enum reason reason)
{
	return reason == REASON_NONE || reason == REASON_source_connections ||
	       reason == REASON_source_rate || reason == REASON_table_full ||
	       reason == REASON_in_flight_full;
}

/* A segment that is dropped changes nothing in its flow, unless it is what ends it. */
static void check_untouched(const struct run *r, unsigned tuple, const struct handshake *before)
{
	uint32_t number = shadow_flow(&r->shadow, tuple);
	const struct decision *d = &r->decision;

	if (d->verdict != VERDICT_DROP || ends_flows(d->reason) ||
		(d->segment.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return;
	shadow_require(number != 0);
	shadow_require(
		memcmp(&flow_at(r->engine->table, number)->hs, before, sizeof(*before)) == 0);
}

static enum engine_lane lane_of(uint8_t where)
{
	if (where & 4)
		return LANE_ADMITTED;
	if (where & 8)
		return LANE_PROOFS;
	return where & 16 ? LANE_DNAT : LANE_HANDSHAKES;
}

static void note_translation(struct run *r)
{
	for (size_t i = 0; i < r->decision.effects.count; i++)
		if (r->decision.effects.list[i].type == EFFECT_TRANSLATE) {
			r->translation = r->decision.effects.list[i].translation;
			r->translates = true;
		}
}

/* Nothing is enforced, and no end waits for us to speak. */
static bool is_quiet(const struct run *r)
{
	return none_enforced(r) && engine_gauges(r->engine).opening == 0;
}

static void step_packet(struct run *r, unsigned tuple, enum hs_side side)
{
	static const enum engine_hook hooks[2][2] = {
		{HOOK_FORWARD, HOOK_INPUT}, {HOOK_FORWARD, HOOK_OUTPUT}};
	uint8_t bytes[SEGMENTS_MAX];
	uint8_t where;
	struct engine_packet in = {.bytes = bytes, .verify_checksum = true};
	const struct policy_rule *rule = rule_of(r, tuple);
	uint32_t number = shadow_flow(&r->shadow, tuple);
	struct handshake before = {0};
	bool quiet = is_quiet(r);

	in.captured = take_segment(r, tuple, side, bytes, &where);
	in.on_wire = in.captured;
	in.hook = hooks[side][where & 1];
	in.hint = where & 2;
	in.lane = lane_of(where);
	if (number)
		before = flow_at(r->engine->table, number)->hs;
	engine_expect(r->engine, &in, 1);
	engine_packet(r->engine, &in, r->now_us, &r->decision);
	if (number)
		check_untouched(r, tuple, &before);
	if (in.lane == LANE_ADMITTED)
		r->shadow.tuples[tuple].joined = true;
	shadow_check_effects(&r->decision.effects, PACKET_EFFECTS, !quiet);
	if (quiet)
		shadow_require(r->decision.verdict != VERDICT_DROP && !r->decision.change_syn);
	shadow_proven(&r->shadow, tuple, side, in.lane, &before, &r->decision);
	shadow_judged(&r->shadow, tuple, side, rule, &r->decision);
	note_translation(r);
}

static void step_unreachable(struct run *r, unsigned tuple, enum hs_side side)
{
	uint8_t bytes[SEGMENTS_MAX];
	const struct tuple *t = &r->shadow.tuples[tuple].tuple;
	bool client = side == HS_FROM_CLIENT;
	struct segment_spec quoted = {
		.src = client ? t->client : t->server,
		.dst = client ? t->server : t->client,
		.src_port = client ? t->client_port : t->server_port,
		.dst_port = client ? t->server_port : t->client_port,
		.flags = TCP_SYN,
		.seq = take_number(r, tuple, side),
	};
	struct engine_packet in = {.bytes = bytes, .hook = HOOK_FORWARD};

	in.captured = segments_write_unreachable(bytes, &t->server, &quoted);
	in.on_wire = in.captured;
	engine_packet(r->engine, &in, r->now_us, &r->decision);
	shadow_require(r->decision.verdict == VERDICT_ACCEPT);
	shadow_check_effects(&r->decision.effects, 1, true);
}

static void step_expire(struct run *r)
{
	bool quiet = is_quiet(r);
	unsigned rounds = 0;
	bool more;

	do {
		more = engine_expire(r->engine, r->now_us, &r->effects);
		shadow_check_effects(&r->effects, ENGINE_EFFECTS, !quiet);
		shadow_check(&r->shadow);
		shadow_require(++rounds < EXPIRE_ROUNDS);
	} while (more);
	shadow_check_ages(&r->shadow, r->now_us);
}

static void step_end(struct run *r, unsigned tuple, bool kill)
{
	const struct tuple *t = &r->shadow.tuples[tuple].tuple;
	bool known = shadow_flow(&r->shadow, tuple) != 0;

	if (!kill) {
		engine_ended(r->engine, t);
		return;
	}
	shadow_require(engine_kill(r->engine, t, &r->effects) == known);
	shadow_require(shadow_flow(&r->shadow, tuple) == 0);
	shadow_check_effects(&r->effects, KILL_EFFECTS, true);
}

/* One byte: begin, end, or drain; else the tuple is seen. */
static void step_reconcile(struct run *r, unsigned tuple)
{
	static const enum engine_drain drains[] = {DRAIN_OFF, DRAIN_OPEN, DRAIN_CLOSED, DRAIN_OFF};
	uint8_t what = take(&r->in);

	switch (what & 3) {
	case 0:
		engine_reconcile_begin(r->engine);
		return;
	case 1:
		engine_reconcile_end(r->engine);
		return;
	case 2:
		engine_drain(r->engine, drains[(what >> 2) & 3]);
		return;
	default:
		engine_reconcile_seen(r->engine, &r->shadow.tuples[tuple].tuple);
		return;
	}
}

/* The wall clock goes where it likes: one byte, in tens of seconds. */
static void step_clock(struct run *r)
{
	r->unix_s += (uint64_t)((int8_t)take(&r->in) * 10);
	engine_clock(r->engine, r->unix_s);
}

static void step_too_big(struct run *r, unsigned tuple, enum hs_side side)
{
	uint8_t bytes[SEGMENTS_MAX];
	const struct tuple *t = &r->shadow.tuples[tuple].tuple;
	struct segment_spec quoted = {
		.src = side == HS_FROM_CLIENT ? t->client : t->server,
		.dst = side == HS_FROM_CLIENT ? t->server : t->client,
		.src_port = side == HS_FROM_CLIENT ? t->client_port : t->server_port,
		.dst_port = side == HS_FROM_CLIENT ? t->server_port : t->client_port,
		.flags = TCP_ACK,
		.seq = take_number(r, tuple, side),
	};
	struct engine_packet in = {.bytes = bytes, .hook = HOOK_PREROUTING, .lane = LANE_PROOFS};

	in.captured = segments_write_too_big(bytes, &t->server, &quoted, 1400);
	in.on_wire = in.captured;
	engine_packet(r->engine, &in, r->now_us, &r->decision);
	shadow_require(r->decision.verdict == VERDICT_ACCEPT);
	shadow_check_effects(&r->decision.effects, 1, true);
}

static void step_route(struct run *r, unsigned tuple, uint8_t what)
{
	const struct tuple *t = &r->shadow.tuples[tuple].tuple;
	struct addr public = t->server;

	public.b[15] ^= 0x80;
	learned_route(engine_shared_learned(r->shared), &t->server, t->server_port, &public, what);
}

static void step_hand_over(struct run *r, bool unseen)
{
	unsigned before = shadow_pending(&r->shadow);

	engine_hand_over(r->engine, unseen);
	r->shadow.left_alone += before - shadow_pending(&r->shadow);
	for (unsigned i = 0; i < SHADOW_TUPLES; i++)
		r->shadow.tuples[i].joined = true;
}

/* One byte: what is done, and how. */
static void step_cookies(struct run *r, unsigned tuple, enum hs_side side)
{
	uint8_t what = take(&r->in);

	switch (what & 7) {
	case 0:
		if (!r->translates)
			return;
		r->translates = false;
		engine_untranslated(r->engine, &r->translation, &r->effects);
		shadow_check_effects(&r->effects, KILL_EFFECTS, true);
		return;
	case 1:
		engine_cookies(r->engine, what & 8 ? NULL : secret, r->unix_s);
		return;
	case 2:
		step_route(r, tuple, (uint8_t)(1 + (what >> 3)));
		return;
	case 3:
		learned_forget(engine_shared_learned(r->shared),
			&r->shadow.tuples[tuple].tuple.server,
			r->shadow.tuples[tuple].tuple.server_port);
		return;
	case 4:
		step_hand_over(r, what & 8);
		return;
	default:
		step_too_big(r, tuple, side);
		return;
	}
}

static void step(struct run *r)
{
	uint8_t what = take(&r->in);
	unsigned tuple = what >> 5;
	enum hs_side side = what >> 4 & 1 ? HS_FROM_SERVER : HS_FROM_CLIENT;

	switch (what & 15) {
	case STEP_CLOCK:
		step_clock(r);
		break;
	case STEP_COOKIES:
		step_cookies(r, tuple, side);
		break;
	case STEP_TIME:
		r->now_us += (uint64_t)take(&r->in) * take(&r->in) * 1000;
		break;
	case STEP_EXPIRE:
		step_expire(r);
		break;
	case STEP_POLICY:
		change_policy(r);
		engine_set_policy(r->engine, &r->policies[r->current]);
		break;
	case STEP_END:
		step_end(r, tuple, side == HS_FROM_SERVER);
		break;
	case STEP_RECONCILE:
		step_reconcile(r, tuple);
		break;
	case STEP_UNREACHABLE:
		step_unreachable(r, tuple, side);
		break;
	default:
		step_packet(r, tuple, side);
		break;
	}
	shadow_check(&r->shadow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;

	if (size < SETUP)
		return 0;
	r = (struct run){.in = {data, size}, .now_us = 1000000, .unix_s = 1700000000};
	r.limits.half_open = 1 + *data % 8;
	r.limits.in_flight = 1 + take(&r.in) / 64;
	r.limits.flows = 1 + take(&r.in) % 8;
	change_policy(&r);
	r.shared = engine_shared_new(16, &key);
	r.engine = engine_new(&r.limits, &r.policies[r.current], r.shared, &key, r.now_us);
	shadow_require(r.shared && r.engine);
	engine_cookies(r.engine, secret, r.unix_s);
	shadow_begin(&r.shadow, r.engine, r.shared, &r.limits);
	for (unsigned i = 0; i < STEPS_MAX && r.in.left > 0; i++)
		step(&r);
	engine_free(r.engine);
	engine_shared_free(r.shared);
	return 0;
}
