/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SYNs that are answered with cookies, and ACKs that bring them back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cookie_rows.h"

static void gives_none(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].syncookies = SYNCOOKIES_NEVER;
}

static void knows_nothing(struct gate *g)
{
	gate_gives_cookies(g);
	g->knows_server = false;
}

static void observes(struct gate *g)
{
	gate_gives_cookies(g);
	gate_observes(g);
}

static void is_adaptive(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].syncookies = SYNCOOKIES_ADAPTIVE;
	g->rules[0].syncookies_start = 75;
	g->rules[0].syncookies_end = 50;
}

static void clamps(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].mss = 1200;
}

static void clamps_hard(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].mss = 200;
}

static void takes_new_ones_no_more(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].mode = MODE_DROP;
}

static void cannot_translate(struct gate *g)
{
	gate_gives_cookies(g);
	g->policy.cookie_rotation = 0;
}

/* A busy client comes back on a port that it has just closed: the kernel, which knows that the
 * connection has ended, gives no hint. One that was in the queue meanwhile is told by its time. */
static void ports_come_round(void **state)
{
	const struct scenario list[] = {
		SCENARIO("at once", is_adaptive, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED), .tsval = 78},
			{CLIENT, SYN, 70000, 0, CHALLENGED, ASKS, .after_ms = 50}),
		SCENARIO("soon", is_adaptive, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED), .tsval = 78},
			{CLIENT, SYN, 70000, 0, PASSES(SYN_SENT), ASKS, .after_ms = 150},
			{SERVER, SYN_ACK, 90000, 70001, PASSES(SYN_RCVD), ANSWERS},
			{CLIENT, ACK, 70001, 90001, ADMITS(OFFLOADED), .tsval = 78}),
	};

	(void)state;
	scenarios_run(list, sizeof(list) / sizeof(list[0]));
}

static void challenges(void **state)
{
	const struct scenario list[] = {
		SCENARIO("SYN, ACK, SYN-ACK", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS}, {CLIENT, ACK, 1, 1, PROVEN, PROVES},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS},
			/* What was in the queue behind. */
			{SERVER, ACK, 1, 1, PASSES(OFFLOADED), .tsval = 901},
			{CLIENT, ACK, 1, 1, DROPS(not_established, OFFLOADED), PROVES},
			{CLIENT, ACK, 0, 1, DROPS(not_established, OFFLOADED), PROVES},
			{CLIENT, FIN_ACK, 1, 1, DROPS(not_established, OFFLOADED), PROVES}),
		SCENARIO("each SYN is answered, and none remembered", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, SYN, 9, 0, CHALLENGED, ASKS, .len = 100},
			{CLIENT, SYN, 70000, 0, CHALLENGED, ASKS, .fastopen = 8, .len = 9},
			{CLIENT, ACK, 70001, 1, PROVEN, PROVES}),
		SCENARIO("clients without any option", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED},
			{CLIENT, ACK, 1, 1, PROVEN, .cookie = true, .lane = LANE_PROOFS},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, .mss = 1400}),
		SCENARIO("a server that is not known is asked itself", knows_nothing,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED), .tsval = 78},
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .after_ms = 3000}),
		SCENARIO("what was never asked for is not known", knows_nothing,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .mss = 1460, .sack = true},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .mss = 1400, .sack = true},
			{CLIENT, RST, 1, 0, PASSES(CLOSED), .effects = "failed:client_reset"},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS},
			{CLIENT, RST, 1, 0, PASSES(CLOSED), .effects = "failed:client_reset"},
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, .ecn = true},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS, .ecn = true},
			{CLIENT, RST, 1, 0, PASSES(CLOSED), .effects = "failed:client_reset"},
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .ecn = true}),
		SCENARIO("never", gives_none, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS},
			{CLIENT, ACK, 1, 1, DROPS(not_established, SYN_SENT), PROVES},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, .marked = true}),
		SCENARIO("nothing is given where nothing is enforced", observes,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS}),
		SCENARIO("or where the kernel can't translate", cannot_translate,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS}),
		SCENARIO("or where the rule says drop", takes_new_ones_no_more,
			{CLIENT, SYN, 0, 0, DROPS(rule, CLOSED), ASKS},
			{CLIENT, ACK, 1, 1, DROPS(rule, CLOSED), PROVES}),
		SCENARIO("a signed SYN goes to the server", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .mss = 1460, .md5 = true}),
		SCENARIO("so does one with a tiny MSS", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .mss = COOKIE_MSS_MIN - 1}),
		SCENARIO("the smallest MSS", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, .mss = COOKIE_MSS_MIN},
			{CLIENT, ACK, 1, 1, PROVEN, .cookie = true, .lane = LANE_PROOFS}),
		SCENARIO("a clamped MSS", clamps, {CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, ACK, 1, 1, PROVEN, PROVES},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS}),
		SCENARIO("one clamped to less than fits", clamps_hard,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS}),
		SCENARIO("adaptive, and nothing is wrong", is_adaptive,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS}),
		SCENARIO("a SYN over a connection that stands", is_adaptive,
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .marked = true},
			{CLIENT, ACK, 1, 1, PROVEN, PROVES},
			{SERVER, ACK, 5, 70000, TAKES(OPENING), .effects = "rst>server syn>server"},
			{SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS},
			{CLIENT, SYN, 9000, 0, CHALLENGED, ASKS, .marked = true, .after_ms = 100}),
	};

	(void)state;
	scenarios_run(list, sizeof(list) / sizeof(list[0]));
}

static void proofs(void **state)
{
	const struct scenario list[] = {
		SCENARIO("a probe of the closed window", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS}, {CLIENT, ACK, 0, 1, PROVEN, PROVES}),
		SCENARIO("a probe with a byte of data", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, ACK, 0, 1, PROVEN, PROVES, .len = 1}),
		SCENARIO("no probe has two", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, ACK, 0, 1, DROPS(bad_cookie, CLOSED), PROVES, .len = 2}),
		SCENARIO("with data", gate_gives_cookies, {CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, ACK, 1, 1, PROVEN, PROVES, .len = 700}),
		SCENARIO("with a FIN", gate_gives_cookies, {CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, FIN_ACK, 1, 1, PROVEN, PROVES}),
		SCENARIO("nothing else proves", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, RST_ACK, 1, 1, DROPS(no_flow, CLOSED), PROVES},
			{CLIENT, SYN_ACK, 1, 1, DROPS(no_flow, CLOSED), PROVES},
			{CLIENT, ACK, 1, 2, DROPS(no_flow, CLOSED), .cookie = true, .tsval = 78},
			{SERVER, ACK, 1, 1, DROPS(no_flow, CLOSED), .lane = LANE_PROOFS}),
		SCENARIO("wrong ones", gate_gives_cookies, {CLIENT, SYN, 0, 0, CHALLENGED, ASKS},
			{CLIENT, ACK, 1, 0, DROPS(bad_cookie, CLOSED), PROVES},
			{CLIENT, ACK, 1, 2, DROPS(bad_cookie, CLOSED), PROVES},
			{CLIENT, ACK, 1, 3, DROPS(bad_cookie, CLOSED), PROVES},
			{CLIENT, ACK, 2, 1, DROPS(bad_cookie, CLOSED), PROVES},
			{CLIENT, ACK, -1, 1, DROPS(bad_cookie, CLOSED), PROVES},
			{CLIENT, ACK, 1, 1, DROPS(bad_cookie, CLOSED), .cookie = true,
				.lane = LANE_PROOFS},
			{CLIENT, ACK, 1, 1, DROPS(bad_cookie, CLOSED), .lane = LANE_PROOFS,
				.tsval = 78},
			{CLIENT, ACK, 1, 1, PROVEN, PROVES}),
		SCENARIO("wrong ones without timestamps", gate_gives_cookies,
			{CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460},
			{CLIENT, ACK, 1, 0, DROPS(bad_cookie, CLOSED), .cookie = true,
				.lane = LANE_PROOFS},
			{CLIENT, ACK, 1, 2, DROPS(bad_cookie, CLOSED), .cookie = true,
				.lane = LANE_PROOFS},
			{CLIENT, ACK, 1, 3, DROPS(bad_cookie, CLOSED), .cookie = true,
				.lane = LANE_PROOFS},
			{CLIENT, ACK, 1, 1, DROPS(bad_cookie, CLOSED), PROVES},
			{CLIENT, ACK, 1, 1, PROVEN, .cookie = true, .lane = LANE_PROOFS}),
	};

	(void)state;
	scenarios_run(list, sizeof(list) / sizeof(list[0]));
}

/* From the SYN-ACK alone. */
static void learning(struct gate *g)
{
	struct tuple t = gate_tuple(g, 0);
	struct learned_server server;

	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS);
	GATE_EXPECT(g, 0, SERVER, ACK, 1, 1, PASSES(SYN_RCVD), .len = 9);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(g, 0, SERVER, ACK, 1, 1, PASSES(OFFLOADED), .len = 9);
	assert_true(
		learned_find(engine_shared_learned(g->shared), &t.server, t.server_port, &server));
	assert_int_equal(server.options.mss, 1400);
	assert_int_equal(server.options.wscale, LEARNED_YES);
	assert_int_equal(server.options.wscale_shift, 9);
	assert_int_equal(server.options.sack, LEARNED_YES);
	assert_int_equal(server.options.timestamps, LEARNED_YES);
	assert_int_equal(server.options.ecn, LEARNED_UNKNOWN);
}

static void servers_are_learned(void **state)
{
	(void)state;
	gates_run(knows_nothing, learning);
}

static void learns_ecn(struct gate *g)
{
	gate_learn(g, &(const struct row){SERVER, SYN_ACK, ANSWERS, .ecn = true});
}

static void the_syn_ack_says_what_the_server_would(struct gate *g)
{
	struct tuple t = gate_tuple(g, 0);
	const struct segment *s = &g->sent;

	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	assert_memory_equal(&s->src, &t.server, sizeof(s->src));
	assert_memory_equal(&s->dst, &t.client, sizeof(s->dst));
	assert_int_equal(s->src_port, t.server_port);
	assert_int_equal(s->dst_port, t.client_port);
	assert_int_equal(s->flags, SYN_ACK);
	assert_int_equal(s->ack, g->isn[CLIENT] + 1);
	assert_int_equal(s->window, 0);
	assert_int_equal(s->data_len, 0);
	assert_int_equal(s->opt.mss, 1400);
	assert_true(s->opt.has_wscale && s->opt.wscale == 9);
	assert_true(s->opt.sack_permitted);
	assert_true(s->opt.has_timestamp);
	assert_int_equal(s->opt.tsecr, 77);

	/* No more than was asked for. */
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460, .sack = true);
	assert_true(s->opt.sack_permitted && !s->opt.has_wscale && !s->opt.has_timestamp);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460, .wscale = 3);
	assert_true(!s->opt.sack_permitted && s->opt.has_wscale && !s->opt.has_timestamp);

	/* No more than the server does. */
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .ecn = true);
	assert_int_equal(s->flags, SYN_ACK);
	learns_ecn(g);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .ecn = true);
	assert_int_equal(s->flags, SYN_ACK | TCP_ECE);
	/* Without timestamps there is no room to remember it. */
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460, .ecn = true);
	assert_int_equal(s->flags, SYN_ACK);
	gate_learn(g, &(const struct row){SERVER, SYN_ACK, .mss = 536});
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .ecn = true);
	assert_int_equal(s->flags, SYN_ACK);
	/* But of the MSS the highest, since a lower one is the path's. */
	assert_int_equal(s->opt.mss, 1400);
	assert_true(!s->opt.sack_permitted && !s->opt.has_wscale && !s->opt.has_timestamp);
	assert_int_equal(engine_counters(g->engine)->cookies_sent, 7);
	assert_int_equal(engine_counters(g->engine)->started, 0);
	assert_int_equal(flow_used(g->engine->table), 0);
}

static void what_a_challenge_promises(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, the_syn_ack_says_what_the_server_would);
}

static void both_ends_are_clamped(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	assert_int_equal(g->sent.opt.mss, 1200);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	assert_int_equal(g->sent.opt.mss, 1200);
}

static void a_clamp_holds_for_both_ends(void **state)
{
	(void)state;
	gates_run(clamps, both_ends_are_clamped);
}

/* Nothing is allocated, taken or begun for what is wrong. */
static void guesses_leave_no_trace(struct gate *g)
{
	const struct engine_counters *c = engine_counters(g->engine);

	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	for (uint32_t n = 1; n <= 50; n++)
		GATE_EXPECT(g, n, CLIENT, ACK, 1, 1, DROPS(bad_cookie, CLOSED), PROVES);
	assert_int_equal(flow_used(g->engine->table), 0);
	assert_int_equal(c->started, 0);
	assert_int_equal(c->cookies_accepted, 0);
	assert_int_equal(c->cookies_refused, 50);
	assert_int_equal(c->drops[REASON_bad_cookie], 50);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	assert_int_equal(c->cookies_accepted, 1);
	assert_int_equal(c->started, 1);
}

static void wrong_cookies_leave_no_trace(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, guesses_leave_no_trace);
}

/* 200 at once and 100 a second are looked at, whatever they are; of others, too. */
#define TELLS_NO_TIME .cookie = true, .lane = LANE_PROOFS

static void guesses_of_a_source(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460);
	for (unsigned i = 0; i < 199; i++)
		GATE_EXPECT(g, 0, CLIENT, ACK, 1, 5, DROPS(bad_cookie, CLOSED), TELLS_NO_TIME);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, TELLS_NO_TIME);
	GATE_EXPECT(g, 0, CLIENT, RST, 1, 0, TAKES(CLOSED),
		.effects = "delete rst>server failed:client_reset");
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 5, DROPS(bad_cookie, CLOSED), TELLS_NO_TIME);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 5, DROPS(source_rate, CLOSED), TELLS_NO_TIME);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(source_rate, CLOSED), TELLS_NO_TIME);
	/* Another source. */
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460);
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, PROVEN, TELLS_NO_TIME);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, .mss = 1460);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, TELLS_NO_TIME, .after_ms = 10);
}

/* Nobody guesses 42 bits: who has timestamps is not refused for what others send in his name. */
static void guesses_with_timestamps(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	for (unsigned i = 0; i < 200; i++)
		GATE_EXPECT(g, 0, CLIENT, ACK, 1, 5, DROPS(bad_cookie, CLOSED), TELLS_NO_TIME);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 5, DROPS(source_rate, CLOSED), TELLS_NO_TIME);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 5, DROPS(bad_cookie, CLOSED), PROVES);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
}

static void guesses_are_limited_by_source(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, guesses_of_a_source);
	gates_run(gate_gives_cookies, guesses_with_timestamps);
}

static void tell_time(struct gate *g, uint64_t seconds)
{
	g->unix_s += seconds;
	engine_clock(g->engine, g->unix_s);
	gate_wait_ms(g, seconds * 1000);
}

static void cookies_last_an_epoch_or_two(struct gate *g)
{
	uint64_t left = g->policy.cookie_rotation - g->unix_s % g->policy.cookie_rotation;

	tell_time(g, left);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	tell_time(g, 119);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 0, CLIENT, RST, 1, 0, TAKES(CLOSED),
		.effects = "delete rst>server failed:client_reset");
	/* Late, and others have been sent since. */
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	gate_send(g, 0, &(const struct row){CLIENT, SYN, ASKS});
	gate_effects(g, &g->decision.effects);
	tell_time(g, 119);
	gate_send(g, 1, &(const struct row){CLIENT, SYN, ASKS});
	tell_time(g, 2);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(bad_cookie, CLOSED), PROVES);
	/* None can be under way any more. */
	tell_time(g, 120);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED), PROVES);
	/* The wall clock is set back. */
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	engine_clock(g->engine, g->unix_s - 60);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
}

static void late_cookies_are_bad(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, cookies_last_an_epoch_or_two);
}

static void reloaded(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	g->rules[0].syncookies = SYNCOOKIES_NEVER;
	engine_set_policy(g->engine, &g->policy);
	/* What was given is taken back, while it is good. */
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 0, CLIENT, RST, 1, 0, TAKES(CLOSED),
		.effects = "delete rst>server failed:client_reset");
	g->rules[0].enforce = false;
	engine_set_policy(g->engine, &g->policy);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, OBSERVES(no_flow, CLOSED), PROVES);
	g->rules[0].enforce = true;
	g->rules[0].syncookies = SYNCOOKIES_ADAPTIVE;
	g->rules[0].syncookies_start = 75;
	engine_set_policy(g->engine, &g->policy);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 0, CLIENT, RST, 1, 0, TAKES(CLOSED),
		.effects = "delete rst>server failed:client_reset");
	g->policy.cookie_rotation *= 2;
	engine_set_policy(g->engine, &g->policy);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(bad_cookie, CLOSED), PROVES);
	g->policy.cookie_rotation = 0;
	engine_set_policy(g->engine, &g->policy);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED), PROVES);
	g->policy.rule_count = 0;
	engine_set_policy(g->engine, &g->policy);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PASSES(CLOSED), PROVES);
}

static void a_reload_decides_what_becomes_of_cookies(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, reloaded);
}

static void draining(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	engine_drain(g->engine, DRAIN_OPEN);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(CLOSED), ASKS);
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, PASSES(CLOSED), PROVES);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 7, DROPS(bad_cookie, OPENING), PROVES);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
	engine_drain(g->engine, DRAIN_OFF);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	engine_drain(g->engine, DRAIN_CLOSED);
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, DROPS(rule, CLOSED), ASKS);
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 2, DROPS(bad_cookie, CLOSED), PROVES);
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, PROVEN, PROVES);
}

static void what_is_under_way_is_drained(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, draining);
}

static struct addr public_of(const struct gate *g)
{
	static const struct addr six = {.b = {0xfd, 0, 0, 9, [15] = 9}};

	return g->v6 ? six : addr_v4((const uint8_t[]){203, 0, 113, 9});
}

static void behind_dnat(struct gate *g)
{
	struct learned *l = engine_shared_learned(g->shared);
	struct tuple t = gate_tuple(g, 0);
	struct addr public = public_of(g);

	/* Nobody knows where it was sent: the server is asked itself, and that is told once. */
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, .lane = LANE_DNAT,
		.effects = "route_unknown");
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, .lane = LANE_DNAT);
	/* One over a standing connection does not say whether it came by DNAT. */
	GATE_EXPECT(g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, .marked = true);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);

	learned_route(l, &t.server, t.server_port, &public, 80);
	GATE_EXPECT(g, 4, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, .lane = LANE_DNAT);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .lane = LANE_DNAT, .marked = true);
	assert_memory_equal(&g->sent.src, &public, sizeof(public));
	assert_int_equal(g->sent.src_port, 80);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	assert_memory_equal(&g->sent.dst, &t.server, sizeof(t.server));
	assert_int_equal(g->sent.dst_port, t.server_port);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
	assert_memory_equal(&g->translation.tuple, &t, sizeof(t));
	assert_memory_equal(&g->translation.public_addr, &public, sizeof(public));
	assert_int_equal(g->translation.public_port, 80);

	/* Over what is just over, it is still known to have come that way. */
	GATE_EXPECT(
		g, 0, CLIENT, SYN, 70000, 0, CHALLENGED, ASKS, .lane = LANE_DNAT, .marked = true);
	assert_memory_equal(&g->sent.src, &public, sizeof(public));

	/* One that came to the server itself, beside. */
	GATE_EXPECT(g, 5, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 5, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 5, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
	assert_memory_equal(&g->translation.public_addr, &t.server, sizeof(public));

	learned_route(l, &t.server, t.server_port, &public, 81);
	GATE_EXPECT(
		g, 6, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, .lane = LANE_DNAT, .marked = true);
}

static void the_answer_comes_from_where_the_syn_was_sent(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, behind_dnat);
}

static void give(struct gate *g, const struct segment_spec *spec)
{
	uint8_t bytes[SEGMENTS_MAX];
	struct engine_packet in = {.bytes = bytes, .hook = HOOK_INPUT};

	in.captured = in.on_wire = segments_write(bytes, spec);
	engine_packet(g->engine, &in, g->now_us, &g->decision);
}

static void link_local_clients_get_none(void **state)
{
	const struct addr clients[] = {
		addr_v4((const uint8_t[]){169, 254, 3, 4}),
		{.b = {0xfe, 0x80, [15] = 1}},
		{.b = {0xfe, 0xbf, [15] = 1}},
		addr_v4((const uint8_t[]){169, 253, 3, 4}),
		{.b = {0xfe, 0xc0, [15] = 1}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		struct gate g;
		struct segment_spec syn = {
			.src = clients[i],
			.src_port = 40000,
			.dst_port = 443,
			.flags = SYN,
			.mss = 1460,
		};

		gate_set_up(&g, !addr_is_v4(&clients[i]));
		gate_gives_cookies(&g);
		gate_open(&g);
		syn.dst = gate_tuple(&g, 0).server;
		give(&g, &syn);
		assert_int_equal(g.decision.verdict, i < 3 ? VERDICT_ACCEPT : VERDICT_DROP);
		assert_int_equal(g.decision.effects.count, i < 3 ? 0 : 1);
		gate_close(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(challenges),
		cmocka_unit_test(ports_come_round),
		cmocka_unit_test(proofs),
		cmocka_unit_test(servers_are_learned),
		cmocka_unit_test(what_a_challenge_promises),
		cmocka_unit_test(a_clamp_holds_for_both_ends),
		cmocka_unit_test(wrong_cookies_leave_no_trace),
		cmocka_unit_test(guesses_are_limited_by_source),
		cmocka_unit_test(late_cookies_are_bad),
		cmocka_unit_test(a_reload_decides_what_becomes_of_cookies),
		cmocka_unit_test(what_is_under_way_is_drained),
		cmocka_unit_test(the_answer_comes_from_where_the_syn_was_sent),
		cmocka_unit_test(link_local_clients_get_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
