/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

#include <stdio.h>

enum {
	WEB_SLOT = 7,
	CLIENT_PORT = 40000,
	SERVER_PORT = 443,
	START_S = 1000,
	START_UNIX_S = 1700000000,
	ROTATION = 60,
	WINDOW = 64240,
};

static const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
const uint8_t gate_secret[COOKIE_SECRET] = {0x5e, 0xc4, 0x37, [31] = 1};
static const struct port_range web[] = {{80, 80}, {443, 443}};

void gate_set_up(struct gate *g, bool v6)
{
	memset(g, 0, sizeof(*g));
	g->v6 = v6;
	g->isn[CLIENT] = 1000;
	g->isn[SERVER] = 500000;
	g->now_us = (uint64_t)START_S * 1000000;
	g->rules[0] = (struct policy_rule){
		.name = "web",
		.slot = WEB_SLOT,
		.port = web,
		.port_count = 2,
		.mode = MODE_GATE,
		.enforce = true,
		.fastopen_strip = true,
	};
	g->policy = (struct policy){
		.rules = g->rules,
		.rule_count = 1,
		.enforce = true,
		.timeouts =
			{
				.syn_sent = 60,
				.syn_received = 30,
				.established = 7440,
				.fin_wait = 240,
				.close_wait = 3600,
				.last_ack = 40,
				.time_wait = 120,
				.closed = 10,
			},
		.source_prefix4 = 32,
		.source_prefix6 = 64,
	};
	g->limits = (struct engine_limits){.half_open = 64, .flows = 64};
	g->unix_s = START_UNIX_S;
}

static void open_engine(struct gate *g)
{
	g->engine = engine_new(&g->limits, &g->policy, g->shared, &key, g->now_us);
	assert_non_null(g->engine);
	if (g->policy.cookie_rotation)
		engine_cookies(g->engine, gate_secret, g->unix_s);
}

void gate_open(struct gate *g)
{
	g->shared = engine_shared_new(64, &key);
	assert_non_null(g->shared);
	open_engine(g);
	if (g->knows_server)
		gate_learn(g, &(const struct row){.from = SERVER,
				      .flags = SYN_ACK,
				      .mss = 1400,
				      .wscale = 9,
				      .sack = true,
				      .tsval = 900});
}

void gate_restart(struct gate *g, bool keep_shared)
{
	engine_free(g->engine);
	if (!keep_shared) {
		engine_shared_free(g->shared);
		g->shared = engine_shared_new(64, &key);
		assert_non_null(g->shared);
	}
	open_engine(g);
}

void gate_close(struct gate *g)
{
	engine_free(g->engine);
	engine_shared_free(g->shared);
}

void gate_inspects_in_full(struct gate *g)
{
	g->rules[0].inspect = INSPECT_FULL;
}

void gate_gives_cookies(struct gate *g)
{
	g->rules[0].syncookies = SYNCOOKIES_ALWAYS;
	g->policy.cookie_rotation = ROTATION;
	g->policy.half_open = 64;
	g->limits.in_flight = 16;
	g->knows_server = true;
}

void gate_observes(struct gate *g)
{
	g->rules[0].enforce = false;
	g->policy.enforce = false;
}

/* 10.1.0.0/16 and 10.2.0.1, or fd00:1:0:N::1 and fd00:2::1. */
struct tuple gate_tuple(const struct gate *g, unsigned n)
{
	struct tuple t = {.client_port = CLIENT_PORT, .server_port = SERVER_PORT};

	if (!g->v6) {
		t.client = addr_v4((const uint8_t[]){10, 1, (uint8_t)(n >> 8), (uint8_t)n});
		t.server = addr_v4((const uint8_t[]){10, 2, 0, 1});
		return t;
	}
	t.client =
		(struct addr){.b = {0xfd, 0, 0, 1, 0, 0, (uint8_t)(n >> 8), (uint8_t)n, [15] = 1}};
	t.server = (struct addr){.b = {0xfd, 0, 0, 2, [15] = 1}};
	return t;
}

static uint8_t ecn_of(const struct row *row)
{
	if (!row->ecn)
		return 0;
	return row->flags & ACK ? TCP_ECE : TCP_ECE | TCP_CWR;
}

static struct segment_spec spec_of(const struct gate *g, unsigned n, const struct row *row)
{
	struct tuple t = gate_tuple(g, n);
	bool client = row->from == CLIENT;

	return (struct segment_spec){
		.src = client ? t.client : t.server,
		.dst = client ? t.server : t.client,
		.src_port = client ? t.client_port : t.server_port,
		.dst_port = client ? t.server_port : t.client_port,
		.seq = g->isn[row->from] + (uint32_t)row->seq,
		.ack = (row->cookie ? g->cookie_isn : g->isn[!row->from]) + (uint32_t)row->ack,
		.flags = (uint8_t)(row->flags | ecn_of(row)),
		.window = row->window == NO_WINDOW ? 0
						   : (uint16_t)(row->window ? row->window : WINDOW),
		.len = row->len,
		.mss = row->mss,
		.scales = row->wscale > 0,
		.wscale = row->wscale,
		.sack = row->sack,
		.stamped = row->tsval > 0,
		.tsval = row->tsval,
		.tsecr = row->cookie ? g->cookie_tsval : 0,
		.md5 = row->md5,
		.fastopen = row->fastopen > 0,
		.cookie = row->fastopen == FASTOPEN_REQUEST ? 0 : row->fastopen,
	};
}

static enum engine_hook hook_of(const struct gate *g, enum scenario_end from)
{
	if (!g->local)
		return HOOK_FORWARD;
	return from == CLIENT ? HOOK_INPUT : HOOK_OUTPUT;
}

static const struct addr *router(const struct gate *g)
{
	static const struct addr v4 = {
		.b = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 2, [14] = 0, [15] = 254}};
	static const struct addr v6 = {.b = {0xfd, 0, 0, 2, [15] = 0xfe}};

	return g->v6 ? &v6 : &v4;
}

void gate_send(struct gate *g, unsigned n, const struct row *row)
{
	uint8_t bytes[SEGMENTS_MAX];
	struct segment_spec spec = spec_of(g, n, row);
	bool forwarded_by_server = !g->local && row->from == SERVER && !(row->flags & TCP_SYN);
	struct engine_packet in = {
		.bytes = bytes,
		.verify_checksum = true,
		.hook = hook_of(g, row->from),
		.hint = row->marked || forwarded_by_server,
		.fate = row->fate,
		.lane = row->admitted ? LANE_ADMITTED : row->lane,
	};

	if (row->unreachable)
		in.captured = segments_write_unreachable(bytes, router(g), &spec);
	else if (row->too_big)
		in.captured = segments_write_too_big(bytes, router(g), &spec, 1300);
	else
		in.captured = segments_write(bytes, &spec);
	in.on_wire = in.captured;
	engine_packet(g->engine, &in, g->now_us, &g->decision);
}

void gate_learn(struct gate *g, const struct row *syn_ack)
{
	uint8_t bytes[SEGMENTS_MAX];
	struct segment_spec spec = spec_of(g, 0, syn_ack);
	size_t len = segments_write(bytes, &spec);
	struct segment seg;
	struct addr from;

	assert_int_equal(packet_parse(bytes, len, len, true, &seg, &from), PACKET_TCP);
	learned_hear(engine_shared_learned(g->shared), &seg,
		LEARNED_ASKED_WSCALE | LEARNED_ASKED_SACK | LEARNED_ASKED_TIMESTAMPS |
			LEARNED_ASKED_ECN);
}

enum hs_state gate_state(struct gate *g, unsigned n)
{
	struct tuple t = gate_tuple(g, n);
	enum hs_side side;
	uint32_t number = flow_find(
		g->engine->table, &t.client, t.client_port, &t.server, t.server_port, &side);

	return number ? (enum hs_state)flow_at(g->engine->table, number)->hs.state : HS_CLOSED;
}

static void add_word(struct gate *g, const char *kind, const char *word)
{
	size_t used = strlen(g->words);

	snprintf(g->words + used, sizeof(g->words) - used, "%s%s%s", used ? " " : "", kind, word);
}

static void add_report(struct gate *g, const struct report *r)
{
	if (r->reason != REASON_NONE)
		add_word(g, r->observed ? "observed:" : "dropped:", reason_word(r->reason));
	if (r->cause != CAUSE_NONE)
		add_word(g, r->observed ? "would_fail:" : "failed:", cause_word(r->cause));
}

/* Every packet that the engine writes must be readable, and for one of the flow's ends. */
static void add_sent(struct gate *g, const struct effect *effect)
{
	const char *kind = "ack>";
	struct segment seg;
	struct addr from;

	assert_int_equal(packet_parse(effect->send.bytes, effect->send.len, effect->send.len, true,
				 &seg, &from),
		PACKET_TCP);
	if (seg.flags & TCP_RST)
		kind = "rst>";
	else if (seg.flags & TCP_SYN)
		kind = seg.flags & TCP_ACK ? "syn_ack>" : "syn>";
	if ((seg.flags & SYN_ACK) == SYN_ACK) {
		g->cookie_isn = seg.seq;
		g->cookie_tsval = seg.opt.tsval;
	}
	add_word(g, kind, seg.dst_port == SERVER_PORT ? "server" : "client");
	g->sent = seg;
}

static void add_notice(struct gate *g, const struct notice *n)
{
	static const char *const words[] = {
		[NOTICE_COOKIES_ON] = "cookies_on",
		[NOTICE_COOKIES_OFF] = "cookies_off",
		[NOTICE_ROUTE_UNKNOWN] = "route_unknown",
		[NOTICE_RELEARNED] = "relearned",
	};

	add_word(g, words[n->kind], "");
}

const char *gate_effects(struct gate *g, const struct effects *effects)
{
	g->words[0] = '\0';
	for (size_t i = 0; i < effects->count; i++) {
		const struct effect *effect = &effects->list[i];

		switch (effect->type) {
		case EFFECT_CT_DELETE:
			add_word(g, "delete", "");
			break;
		case EFFECT_CT_UNMARK:
			add_word(g, "unmark", "");
			break;
		case EFFECT_SEND:
			add_sent(g, effect);
			break;
		case EFFECT_REPORT:
			add_report(g, &effect->report);
			break;
		case EFFECT_PASS_ON:
			add_word(g, "pass_on", "");
			break;
		case EFFECT_TRANSLATE:
			add_word(g, "translate", "");
			g->translation = effect->translation;
			break;
		case EFFECT_BLOCK:
			add_word(g, "block", "");
			break;
		case EFFECT_NOTICE:
			add_notice(g, &effect->notice);
			break;
		case EFFECT_RST:
			add_word(g, "server_rst", "");
			break;
		case EFFECT_TOO_BIG:
			add_word(g, "too_big", "");
			break;
		}
	}
	return g->words;
}

const char *gate_wait_ms(struct gate *g, uint64_t ms)
{
	g->now_us += ms * 1000;
	assert_false(engine_expire(g->engine, g->now_us, &g->effects));
	return gate_effects(g, &g->effects);
}

static void print_expected(const struct gate *g, const struct row *row, const char *effects)
{
	static const char *const verdicts[] = {"accept", "drop", "admit"};

	print_error("%s, %s, ISNs %08x %08x: %s flags %02x seq %lld ack %lld len %u:\n",
		g->v6 ? "IPv6" : "IPv4", g->local ? "local" : "forwarded", g->isn[0], g->isn[1],
		row->from == CLIENT ? "client" : "server", row->flags, (long long)row->seq,
		(long long)row->ack, row->len);
	print_error("  expected %s (%s), then %s, effects '%s'\n", verdicts[row->verdict],
		reason_word(row->reason), hs_state_word(row->state), effects);
}

void gate_expect(struct gate *g, unsigned n, const struct row *row)
{
	static const char *const verdicts[] = {"accept", "drop", "admit"};
	char dropped[64] = "";
	const char *effects = row->effects ? row->effects : dropped;
	const struct decision *d = &g->decision;

	if (row->after_ms)
		gate_wait_ms(g, row->after_ms);
	if (row->reason != REASON_NONE)
		snprintf(dropped, sizeof(dropped), "%s%s",
			row->verdict == VERDICT_DROP ? "dropped:" : "observed:",
			reason_word(row->reason));
	gate_send(g, n, row);
	if (d->verdict == row->verdict && d->reason == row->reason &&
		gate_state(g, n) == row->state && !strcmp(gate_effects(g, &d->effects), effects))
		return;
	print_expected(g, row, effects);
	fail_msg("  found    %s (%s), then %s, effects '%s'", verdicts[d->verdict],
		reason_word(d->reason), hs_state_word(gate_state(g, n)),
		gate_effects(g, &d->effects));
}

void gate_admit(struct gate *g, unsigned n)
{
	gate_send(g, n, &(struct row){.from = CLIENT, .flags = SYN, .wscale = 7});
	assert_int_equal(g->decision.verdict, VERDICT_ACCEPT);
	gate_send(g, n, &(struct row){.from = SERVER, .flags = SYN_ACK, .ack = 1, .wscale = 7});
	assert_int_equal(g->decision.verdict, VERDICT_ACCEPT);
	gate_send(g, n, &(struct row){.from = CLIENT, .flags = ACK, .seq = 1, .ack = 1});
	assert_int_equal(g->decision.verdict, VERDICT_ADMIT);
}

void gate_check_sums(struct gate *g)
{
	const struct engine_counters *c = engine_counters(g->engine);
	struct engine_gauges gauges = engine_gauges(g->engine);
	uint64_t ended = c->completed;
	uint32_t half_open = 0;
	uint32_t pending = 0;

	for (unsigned i = 0; i < CAUSE_COUNT; i++)
		ended += c->failed[i];
	for (unsigned i = 0; i < POLICY_RULES_MAX; i++)
		half_open += engine_shared_half_open(g->shared, (uint16_t)i);
	for (enum flow_list list = FLOW_SYN_SENT; list <= FLOW_OPENING; list++)
		for (uint32_t n = flow_oldest(g->engine->table, list); n;
			n = flow_at(g->engine->table, n)->next)
			pending += !(flow_at(g->engine->table, n)->hs.flags &
				     (HS_OVER | HS_UNREACHABLE));
	assert_int_equal(c->failed[CAUSE_NONE], 0);
	assert_int_equal(half_open, gauges.syn_sent + gauges.syn_received);
	assert_int_equal(c->started, ended + pending);
}

static void run_rows(struct gate *g, const struct scenario *s)
{
	for (size_t i = 0; i < s->count; i++) {
		gate_expect(g, 0, &s->rows[i]);
		gate_check_sums(g);
	}
}

/* Of a scenario, or a test. */
static void run(
	void (*prepare)(struct gate *), const struct scenario *s, void (*test)(struct gate *))
{
	static const uint32_t isns[][2] = {
		{1000, 500000},
		{0xffffffff, 0xfffffffe},
		{0xfffffffe, 0x7fffffff},
		{0x7fffffff, 0xffffffff},
		{0, 0},
	};
	static struct gate g;

	for (size_t i = 0; i < sizeof(isns) / sizeof(isns[0]); i++)
		for (unsigned variant = 0; variant < 4; variant++) {
			gate_set_up(&g, variant & 1);
			g.local = variant & 2;
			memcpy(g.isn, isns[i], sizeof(g.isn));
			if (prepare)
				prepare(&g);
			gate_open(&g);
			if (s)
				run_rows(&g, s);
			else
				test(&g);
			gate_check_sums(&g);
			gate_close(&g);
		}
}

void gates_run(void (*prepare)(struct gate *), void (*test)(struct gate *))
{
	run(prepare, NULL, test);
}

void scenarios_run(const struct scenario *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		print_message("  %s\n", list[i].name);
		run(list[i].prepare, &list[i], NULL);
	}
}
