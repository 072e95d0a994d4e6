/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections that began with a cookie, until the kernel translates them, and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cookie_rows.h"

static void full(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].inspect = INSPECT_FULL;
}

static void clamps(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].mss = 1200;
}

static void adaptive_in_full(struct gate *g)
{
	full(g);
	g->rules[0].syncookies = SYNCOOKIES_ADAPTIVE;
	g->rules[0].syncookies_start = 75;
}

static void openings(void **state)
{
	const struct scenario list[] = {
		SCENARIO("nothing passes meanwhile", gate_gives_cookies, OPENS,
			{CLIENT, ACK, 1, 1, DROPS(not_established, OPENING), PROVES},
			{CLIENT, ACK, 0, 1, DROPS(not_established, OPENING), PROVES},
			{CLIENT, ACK, 1, 1, DROPS(not_established, OPENING), PROVES, .len = 1000},
			{CLIENT, ACK, 1001, 1, DROPS(not_established, OPENING), PROVES,
				.len = 1000},
			{CLIENT, FIN_ACK, 1, 1, DROPS(not_established, OPENING), PROVES},
			{CLIENT, ACK, 1, 2, DROPS(bad_cookie, OPENING), PROVES},
			{CLIENT, ACK, 1, 3, DROPS(bad_cookie, OPENING), PROVES},
			{CLIENT, ACK, 70000, 1, DROPS(bad_cookie, OPENING), PROVES},
			{CLIENT, FIN_ACK, 1, 2, DROPS(bad_ack, OPENING), PROVES},
			{CLIENT, SYN, 0, 0, DROPS(not_established, OPENING), ASKS},
			{CLIENT, SYN_ACK, 0, 1, DROPS(bad_flags, OPENING), PROVES},
			{SERVER, SYN, 0, 0, DROPS(bad_flags, OPENING), ANSWERS},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS}),
		SCENARIO("the client resets it", gate_gives_cookies, OPENS,
			{CLIENT, RST, 0, 0, DROPS(bad_seq, OPENING)},
			{CLIENT, RST, 2, 0, DROPS(bad_seq, OPENING)},
			{CLIENT, RST, 1, 0, TAKES(CLOSED),
				.effects = "delete rst>server failed:client_reset"}),
		SCENARIO("the server refuses it", gate_gives_cookies, OPENS,
			{SERVER, RST_ACK, 0, 2, DROPS(bad_ack, OPENING)},
			{SERVER, RST, 0, 0, DROPS(bad_ack, OPENING)},
			{SERVER, RST_ACK, -1, 1, TAKES(CLOSED),
				.effects = "delete rst>client failed:refused"}),
		SCENARIO("the server speaks of an older connection", gate_gives_cookies, OPENS,
			{SERVER, ACK, 9, 70000, REBUKES},
			{SERVER, ACK, 9, 70000, REBUKES, .len = 100},
			{SERVER, FIN_ACK, 9, 70000, REBUKES},
			{SERVER, SYN_ACK, 0, 0, REBUKES, ANSWERS},
			{SERVER, SYN_ACK, 0, 2, REBUKES, ANSWERS},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS}),
		SCENARIO("the client begins anew", gate_gives_cookies, OPENS,
			{CLIENT, SYN, 70000, 0, TAKES(OPENING), .effects = "syn_ack>client", ASKS},
			/* The older still stands until that comes back. */
			{CLIENT, ACK, 1, 1, DROPS(bad_cookie, OPENING), PROVES},
			{CLIENT, ACK, 70001, 1, TAKES(OPENING), PROVES,
				.effects = "rst>server failed:client_reset delete syn>server"},
			{SERVER, SYN_ACK, 0, 1, REBUKES, ANSWERS},
			{SERVER, SYN_ACK, 0, 70001, TRANSLATED, ANSWERS}),
		SCENARIO("said to be unreachable, but it is not", gate_gives_cookies, OPENS,
			{CLIENT, SYN, 0, 0, PASSES(OPENING), .unreachable = true,
				.effects = "failed:unreachable"},
			{CLIENT, SYN, 0, 0, PASSES(OPENING), .unreachable = true},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS}),
		SCENARIO("unreachable, and given up", gate_gives_cookies, OPENS,
			{CLIENT, SYN, 1, 0, PASSES(OPENING), .unreachable = true},
			{CLIENT, SYN, 0, 0, PASSES(OPENING), .unreachable = true,
				.effects = "failed:unreachable"},
			{CLIENT, RST, 1, 0, TAKES(CLOSED), .effects = "delete rst>server"}),
		SCENARIO("unreachable, and begun anew", gate_gives_cookies, OPENS,
			{CLIENT, SYN, 0, 0, PASSES(OPENING), .unreachable = true,
				.effects = "failed:unreachable"},
			{CLIENT, SYN, 9, 0, TAKES(OPENING), .effects = "syn_ack>client", ASKS},
			{CLIENT, ACK, 10, 1, TAKES(OPENING), PROVES,
				.effects = "rst>server delete syn>server"}),
		SCENARIO("unreachable, and the server says less", gate_gives_cookies, OPENS,
			{CLIENT, SYN, 0, 0, PASSES(OPENING), .unreachable = true,
				.effects = "failed:unreachable"},
			{SERVER, SYN_ACK, 0, 1, TAKES(CLOSED),
				.effects = "relearned rst>server delete rst>client", .mss = 1400}),
		SCENARIO("a connection that was handed over begins anew", gate_gives_cookies, OPENS,
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS},
			{CLIENT, SYN, 70000, 0, CHALLENGED, ASKS, .marked = true},
			{CLIENT, ACK, 70001, 1, PROVEN, PROVES}, {SERVER, ACK, 1, 1, REBUKES},
			{SERVER, SYN_ACK, 5, 70001, TRANSLATED, ANSWERS}),
	};

	(void)state;
	scenarios_run(list, sizeof(list) / sizeof(list[0]));
}

/* It answers with less than it did: it is learned anew, and the next client gets what it does. */
static void broken_promises(void **state)
{
	const struct scenario list[] = {
		/* It depends on the path to each client. */
		SCENARIO("a smaller MSS", gate_gives_cookies, OPENS,
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1399, .wscale = 9, .sack = true,
				.tsval = 900}),
		SCENARIO("a greater one", gate_gives_cookies, OPENS,
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1460, .wscale = 9, .sack = true,
				.tsval = 900}),
		SCENARIO("no MSS", gate_gives_cookies, OPENS,
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .wscale = 9, .sack = true,
				.tsval = 900}),
		SCENARIO("another window scale", gate_gives_cookies, OPENS,
			{SERVER, SYN_ACK, 0, 1, BROKEN, .mss = 1400, .wscale = 8, .sack = true,
				.tsval = 900},
			OPENS,
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1400, .wscale = 8, .sack = true,
				.tsval = 900}),
		SCENARIO("no window scale", gate_gives_cookies, OPENS,
			{SERVER, SYN_ACK, 0, 1, BROKEN, .mss = 1400, .sack = true, .tsval = 900},
			OPENS,
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1400, .sack = true,
				.tsval = 900}),
		SCENARIO("no SACK", gate_gives_cookies, OPENS,
			{SERVER, SYN_ACK, 0, 1, BROKEN, .mss = 1400, .wscale = 9, .tsval = 900},
			OPENS,
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1400, .wscale = 9,
				.tsval = 900}),
		SCENARIO("no timestamps", gate_gives_cookies, OPENS,
			{SERVER, SYN_ACK, 0, 1, BROKEN, .mss = 1400, .wscale = 9, .sack = true},
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, ACK, 1, 1, PROVEN, .cookie = true, .lane = LANE_PROOFS},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1400, .wscale = 9,
				.sack = true}),
		SCENARIO("what was not asked for is forgotten", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460, .sack = true},
			{CLIENT, ACK, 1, 1, PROVEN, .cookie = true, .lane = LANE_PROOFS},
			{SERVER, SYN_ACK, 0, 1, BROKEN, .mss = 1400},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS}),
		SCENARIO("no more is promised than the clamp leaves", clamps, OPENS,
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1300, .wscale = 9, .sack = true,
				.tsval = 900}),
		SCENARIO("what was not asked for may be missing", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460},
			{CLIENT, ACK, 1, 1, PROVEN, .cookie = true, .lane = LANE_PROOFS},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1400}),
	};

	(void)state;
	scenarios_run(list, sizeof(list) / sizeof(list[0]));
}

static void ecn_is_promised(struct gate *g)
{
	gate_learn(g, &(const struct row){SERVER, SYN_ACK, ANSWERS, .ecn = true});
	for (unsigned answers = 0; answers < 2; answers++) {
		GATE_EXPECT(g, answers, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .ecn = true);
		GATE_EXPECT(g, answers, CLIENT, ACK, 1, 1, PROVEN, PROVES);
		assert_int_equal(g->sent.flags, TCP_SYN | TCP_ECE | TCP_CWR);
		if (!answers)
			GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS, .ecn = true);
		else
			GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, BROKEN, ANSWERS);
	}
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .ecn = true);
	assert_int_equal(g->sent.flags, SYN_ACK);
}

static void ecn_is_kept_too(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, ecn_is_promised);
}

/* The cookie was another gate's, or of an earlier process: what it promised is not known. */
static void promised_by_others(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	gate_restart(g, false);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1200, .wscale = 3, .sack = true,
		.tsval = 5);
	/* And is known from then on. */
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	assert_int_equal(g->sent.opt.mss, 1200);
	assert_int_equal(g->sent.opt.wscale, 3);
}

static void what_others_promised_is_taken_as_it_comes(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, promised_by_others);
}

static void all_numbers(struct gate *g)
{
	struct tuple tuple = gate_tuple(g, 0);
	const struct segment *s = &g->sent;
	const struct translation *t = &g->translation;

	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES, .window = 502);
	assert_memory_equal(&s->src, &tuple.client, sizeof(s->src));
	assert_memory_equal(&s->dst, &tuple.server, sizeof(s->dst));
	assert_int_equal(s->src_port, tuple.client_port);
	assert_int_equal(s->dst_port, tuple.server_port);
	assert_int_equal(s->flags, SYN);
	assert_int_equal(s->seq, g->isn[CLIENT]);
	assert_int_equal(s->window, 502 << 7);
	assert_int_equal(s->opt.mss, 1460);
	assert_true(s->opt.sack_permitted);
	assert_true(s->opt.has_wscale && s->opt.wscale == 7);
	assert_true(s->opt.has_timestamp);
	assert_int_equal(s->opt.tsval, 78);
	assert_int_equal(s->opt.tsecr, 0);

	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS, .window = 65160);
	assert_memory_equal(&t->tuple, &tuple, sizeof(tuple));
	assert_memory_equal(&t->public_addr, &tuple.server, sizeof(t->public_addr));
	assert_int_equal(t->public_port, tuple.server_port);
	assert_int_equal(t->slot, 7);
	assert_int_equal(t->client_isn, g->isn[CLIENT]);
	assert_int_equal(t->cookie_isn, g->cookie_isn);
	assert_int_equal(t->server_isn, g->isn[SERVER]);
	assert_true(t->scales && t->sack && t->timestamps);
	assert_int_equal(t->client_wscale, 7);
	assert_int_equal(t->server_wscale, 9);
	assert_int_equal(t->cookie_tsval, g->cookie_tsval);
	assert_int_equal(t->server_tsval, 900);
	assert_int_equal(t->client_tsval, 78);
	assert_int_equal(t->client_window, 502);
	assert_int_equal(t->server_window, 65160);

	/* A large window can't be said in a SYN; a client without options. */
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED);
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, PROVEN, .cookie = true, .lane = LANE_PROOFS);
	assert_int_equal(s->window, 64240);
	assert_int_equal(s->opt.mss, g->v6 ? 1220 : 536);
	assert_true(!s->opt.sack_permitted && !s->opt.has_wscale && !s->opt.has_timestamp);
	GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1400);
	assert_true(!t->scales && !t->sack && !t->timestamps);
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 2, CLIENT, ACK, 1, 1, PROVEN, PROVES, .window = 600);
	assert_int_equal(s->window, 65535);
}

static void what_the_server_and_the_kernel_are_told(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, all_numbers);
}

static void resets(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 9, 70000, REBUKES, ANSWERS);
	gate_effects(g, &(struct effects){.count = 1, .list = {g->decision.effects.list[0]}});
	assert_int_equal(g->sent.flags, RST);
	assert_int_equal(g->sent.seq, g->isn[CLIENT] + 70000);
	GATE_EXPECT(g, 0, SERVER, RST_ACK, 0, 1, TAKES(CLOSED),
		.effects = "delete rst>client failed:refused");
	assert_int_equal(g->sent.flags, RST_ACK);
	assert_int_equal(g->sent.seq, g->cookie_isn + 1);
	assert_int_equal(g->sent.ack, g->isn[CLIENT] + 1);

	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 1, CLIENT, RST, 1, 0, TAKES(CLOSED),
		.effects = "delete rst>server failed:client_reset");
	assert_int_equal(g->sent.flags, RST);
	assert_int_equal(g->sent.seq, g->isn[CLIENT] + 1);
}

static void resets_are_at_the_number_that_is_obeyed(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, resets);
}

static void silence(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	assert_string_equal(gate_wait_ms(g, 999), "");
	for (unsigned second = 1; second < 60; second++) {
		assert_string_equal(gate_wait_ms(g, second > 1 ? 1000 : 1), "syn>server");
		assert_string_equal(gate_wait_ms(g, 0), "");
		assert_int_equal(g->sent.seq, g->isn[CLIENT]);
		assert_int_equal(gate_state(g, 0), HS_OPENING);
	}
	assert_string_equal(gate_wait_ms(g, 999), "");
	assert_string_equal(gate_wait_ms(g, 1), "delete rst>client failed:no_syn_ack");
	assert_int_equal(g->sent.seq, g->cookie_isn + 1);
	assert_int_equal(gate_state(g, 0), HS_CLOSED);
}

static void takes_long(struct gate *g)
{
	gate_gives_cookies(g);
	g->policy.timeouts.syn_sent = 300;
}

static void long_silence(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	for (unsigned second = 1; second < 300; second++)
		assert_string_equal(gate_wait_ms(g, 1000), "syn>server");
	assert_string_equal(gate_wait_ms(g, 1000), "delete rst>client failed:no_syn_ack");
}

static void a_silent_server_is_asked_each_second(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, silence);
	gates_run(takes_long, long_silence);
}

/* The kernel could not do it: both ends hear of it, wherever the flow is by now. */
static void not_translated(struct gate *g)
{
	static const enum hs_state left[] = {HS_CLOSED, HS_CLOSED, HS_OPENING, HS_OFFLOADED};
	const struct engine_counters *c = engine_counters(g->engine);
	struct effects effects;

	for (unsigned when = 0; when < 4; when++) {
		struct translation failed;

		GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
		GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
		failed = g->translation;
		if (when == 1) {
			gate_wait_ms(g, 2000); /* it is forgotten */
		} else if (when >= 2) {
			GATE_EXPECT(g, 0, CLIENT, SYN, 70000, 0, CHALLENGED, ASKS);
			GATE_EXPECT(g, 0, CLIENT, ACK, 70001, 1, PROVEN, PROVES);
		}
		if (when == 3)
			GATE_EXPECT(g, 0, SERVER, SYN_ACK, 9, 70001, TRANSLATED, ANSWERS);
		engine_untranslated(g->engine, &failed, &effects);
		assert_string_equal(
			gate_effects(g, &effects), "rst>server rst>client failed:limited");
		assert_int_equal(g->sent.seq, failed.cookie_isn + 1);
		assert_int_equal(gate_state(g, 0), left[when]);
		assert_int_equal(c->completed, when == 3);
		assert_int_equal(c->failed[CAUSE_limited], when + 1);
		assert_int_equal(c->rules[7].admitted, when == 3);
		assert_int_equal(effects.list[2].report.slot, 7);
		gate_check_sums(g);
		if (when == 2)
			GATE_EXPECT(g, 0, CLIENT, RST, 70001, 0, TAKES(CLOSED),
				.effects = "delete rst>server failed:client_reset");
	}
}

static void both_ends_hear_that_nothing_translates(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, not_translated);
}

/* The server's numbers are its own at the hook, the client's acknowledgements those of the cookie.
 */
static void followed(void **state)
{
	const struct scenario list[] = {
		SCENARIO("in full", full, OPENS,
			{SERVER, SYN_ACK, 0, 1, TAKES(ESTABLISHED), ANSWERS, .effects = "translate",
				.window = 65160},
			/* Copies of the proof are none of its packets, nor is what the kernel does
			 * not know, which it would not translate. */
			{CLIENT, ACK, 1, 2, DROPS(out_of_window, ESTABLISHED), PROVES, .len = 9},
			{CLIENT, ACK, 1, 1, DROPS(not_established, ESTABLISHED), PROVES},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .cookie = true, .len = 1000},
			{SERVER, ACK, 1, 1001, PASSES(ESTABLISHED), .len = 1000},
			{CLIENT, ACK, 1001, 1001, PASSES(ESTABLISHED), .cookie = true},
			/* Acknowledging what the server has not sent, or in its own numbers. */
			{CLIENT, ACK, 1001, 3000, DROPS(out_of_window, ESTABLISHED),
				.cookie = true},
			{SERVER, ACK, 1001, 5000, DROPS(out_of_window, ESTABLISHED)},
			{SERVER, ACK, 0x40000000, 1001, DROPS(out_of_window, ESTABLISHED)},
			{CLIENT, ACK, 0x8000000, 1001, DROPS(out_of_window, ESTABLISHED),
				.cookie = true, .len = 1400},
			{CLIENT, RST, 1000, 0, PASSES(ESTABLISHED)},
			{SERVER, RST, 900, 0, PASSES(ESTABLISHED)},
			{CLIENT, FIN_ACK, 1001, 1001, PASSES(FIN_CLIENT), .cookie = true},
			{SERVER, ACK, 1001, 1002, PASSES(HALF_CLIENT), .len = 500},
			{SERVER, FIN_ACK, 1501, 1002, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 1002, 1501, PASSES(LAST_ACK_SERVER), .cookie = true},
			{CLIENT, ACK, 1002, 1502, PASSES(TIME_WAIT), .cookie = true},
			{CLIENT, SYN, 70000, 0, CHALLENGED, ASKS, .marked = true}),
		SCENARIO("the server resets", full, OPENS,
			{SERVER, SYN_ACK, 0, 1, TAKES(ESTABLISHED), ANSWERS,
				.effects = "translate"},
			{SERVER, RST, 1, 0, PASSES(RESET)}),
		SCENARIO("the server asks again", full, OPENS,
			{SERVER, SYN_ACK, 0, 1, TAKES(ESTABLISHED), ANSWERS,
				.effects = "translate"},
			{SERVER, SYN_ACK, 0, 1, PASSES(ESTABLISHED), ANSWERS},
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED), .len = 100}),
		SCENARIO("what is not translated is judged by its window alone", adaptive_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED), .tsval = 78},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .lane = LANE_PROOFS, .len = 9},
			{CLIENT, ACK, 0x40000000, 1, DROPS(out_of_window, ESTABLISHED),
				.lane = LANE_PROOFS}),
		SCENARIO("a window below the scale's unit", full, OPENS,
			{SERVER, SYN_ACK, 0, 1, TAKES(ESTABLISHED), ANSWERS, .effects = "translate",
				.window = 100},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .cookie = true, .len = 512},
			{CLIENT, ACK, 513, 1, DROPS(out_of_window, ESTABLISHED), .cookie = true,
				.len = 2}),
		SCENARIO("the server takes a new SYN on the live flow", full, OPENS,
			{SERVER, SYN_ACK, 0, 1, TAKES(ESTABLISHED), ANSWERS,
				.effects = "translate"},
			{CLIENT, SYN, 70000, 0, PASSES(ESTABLISHED), ASKS, .marked = true},
			{SERVER, SYN_ACK, 9000, 70001, PASSES(SYN_RCVD), ANSWERS,
				.effects = "unmark"},
			/* The kernel goes on translating. */
			{CLIENT, ACK, 70001, 9001, ADMITS(ESTABLISHED), .cookie = true},
			{SERVER, ACK, 9001, 70001, PASSES(ESTABLISHED), .len = 10},
			{CLIENT, ACK, 70001, 9011, PASSES(ESTABLISHED), .cookie = true}),
	};

	(void)state;
	scenarios_run(list, sizeof(list) / sizeof(list[0]));
}

static void handed_over(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	/* Packets passed by us: it is asked on. */
	engine_hand_over(g->engine, true);
	assert_string_equal(gate_wait_ms(g, 1000), "syn>server");
	/* Nobody would see the answer. */
	g->policy.rule_count = 0;
	engine_set_policy(g->engine, &g->policy);
	engine_hand_over(g->engine, false);
	assert_string_equal(gate_wait_ms(g, 1000), "delete rst>client failed:no_syn_ack");
	assert_int_equal(gate_state(g, 0), HS_CLOSED);
}

static void rule_is_gone(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	g->policy.rule_count = 0;
	engine_set_policy(g->engine, &g->policy);
	GATE_EXPECT(g, 0, CLIENT, SYN, 70000, 0, DROPS(not_established, OPENING), ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 2, DROPS(not_established, OPENING), PROVES);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
}

static void killed(struct gate *g)
{
	struct tuple t = gate_tuple(g, 0);
	struct effects effects;

	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	engine_ended(g->engine, &t);
	engine_reconcile_begin(g->engine);
	assert_int_equal(engine_reconcile_end(g->engine), 0);
	assert_int_equal(gate_state(g, 0), HS_OPENING);
	assert_true(engine_kill(g->engine, &t, &effects));
	assert_string_equal(gate_effects(g, &effects), "delete rst>client failed:no_syn_ack");
	assert_int_equal(gate_state(g, 0), HS_CLOSED);
}

static void other_ways_out(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, handed_over);
	gates_run(gate_gives_cookies, rule_is_gone);
	gates_run(gate_gives_cookies, killed);
}

static void rsts_and_sizes(void **state)
{
	const struct scenario list[] = {
		SCENARIO("a server's RST on what the kernel carries", gate_gives_cookies,
			{SERVER, RST, 5, 0, PASSES(CLOSED), .admitted = true,
				.effects = "server_rst"},
			{SERVER, RST_ACK, 5, 9, PASSES(CLOSED), .admitted = true,
				.effects = "server_rst"},
			{SERVER, ACK, 5, 9, PASSES(CLOSED), .admitted = true}),
		SCENARIO("errors about sizes", gate_gives_cookies,
			{SERVER, ACK, 5, 9, PASSES(CLOSED), .too_big = true, .lane = LANE_PROOFS,
				.effects = "too_big"},
			{CLIENT, ACK, 5, 9, PASSES(CLOSED), .too_big = true, .lane = LANE_PROOFS,
				.effects = "too_big"},
			{CLIENT, ACK, 5, 9, PASSES(CLOSED), .too_big = true}),
		SCENARIO("they change nothing", gate_gives_cookies, OPENS,
			{CLIENT, SYN, 0, 0, PASSES(OPENING), .too_big = true, .lane = LANE_PROOFS,
				.effects = "too_big"},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS}),
		SCENARIO("where nothing is translated", NULL,
			{SERVER, RST, 5, 0, PASSES(CLOSED), .admitted = true},
			{SERVER, ACK, 5, 9, PASSES(CLOSED), .too_big = true, .lane = LANE_PROOFS}),
	};

	(void)state;
	scenarios_run(list, sizeof(list) / sizeof(list[0]));
}

static void what_is_told_of_them(struct gate *g)
{
	struct tuple t = gate_tuple(g, 0);
	const struct effect *e = &g->decision.effects.list[0];

	GATE_EXPECT(g, 0, SERVER, RST_ACK, 5, 9, PASSES(CLOSED), .admitted = true,
		.effects = "server_rst");
	assert_memory_equal(&e->rst.tuple, &t, sizeof(t));
	assert_int_equal(e->rst.seq, g->isn[SERVER] + 5);
	assert_int_equal(e->rst.ack, g->isn[CLIENT] + 9);
	assert_true(e->rst.has_ack);
	GATE_EXPECT(g, 0, SERVER, ACK, 5, 9, PASSES(CLOSED), .too_big = true, .lane = LANE_PROOFS,
		.effects = "too_big");
	assert_memory_equal(&e->too_big.quoted.client, &t.server, sizeof(t.server));
	assert_memory_equal(&e->too_big.quoted.server, &t.client, sizeof(t.client));
	assert_int_equal(e->too_big.quoted.client_port, t.server_port);
	assert_int_equal(e->too_big.seq, g->isn[SERVER] + 5);
	assert_int_equal(e->too_big.mtu, 1300);
	assert_false(e->too_big.arrived);

	/* Of what is inspected here, in the server's own numbers. */
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(
		g, 0, SERVER, SYN_ACK, 0, 1, TAKES(ESTABLISHED), ANSWERS, .effects = "translate");
	GATE_EXPECT(g, 0, SERVER, RST, 0x40000000, 0, DROPS(out_of_window, ESTABLISHED),
		.admitted = true);
	GATE_EXPECT(g, 0, CLIENT, RST, 0, 0, PASSES(ESTABLISHED), .admitted = true);
	GATE_EXPECT(
		g, 0, SERVER, RST, 1, 0, PASSES(RESET), .admitted = true, .effects = "server_rst");
	assert_int_equal(e->rst.seq, g->isn[SERVER] + 1);
}

static void what_the_kernel_would_miswrite(void **state)
{
	(void)state;
	gates_run(full, what_is_told_of_them);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openings),
		cmocka_unit_test(broken_promises),
		cmocka_unit_test(ecn_is_kept_too),
		cmocka_unit_test(what_others_promised_is_taken_as_it_comes),
		cmocka_unit_test(what_the_server_and_the_kernel_are_told),
		cmocka_unit_test(resets_are_at_the_number_that_is_obeyed),
		cmocka_unit_test(a_silent_server_is_asked_each_second),
		cmocka_unit_test(both_ends_hear_that_nothing_translates),
		cmocka_unit_test(followed),
		cmocka_unit_test(other_ways_out),
		cmocka_unit_test(rsts_and_sizes),
		cmocka_unit_test(what_the_kernel_would_miswrite),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
