/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When cookies are given: adaptive ones begin and end by what goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cookie_rows.h"

/* From 6 half-open handshakes of 8, down to 4. */
static void adaptive(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].syncookies = SYNCOOKIES_ADAPTIVE;
	g->rules[0].syncookies_start = 75;
	g->rules[0].syncookies_end = 50;
	g->rules[0].half_open = 8;
}

static bool is_on(const struct gate *g)
{
	return engine_shared_cookies_on(g->shared, 7);
}

/* As many SYNs as make them begin; clients 0 to 6. */
static void begin(struct gate *g)
{
	for (unsigned n = 0; n < 6; n++) {
		assert_false(is_on(g));
		GATE_EXPECT(g, n, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	}
	assert_false(is_on(g));
	GATE_EXPECT(g, 6, CLIENT, SYN, 0, 0, TAKES(CLOSED), ASKS,
		.effects = "cookies_on syn_ack>client");
	assert_int_equal(g->decision.effects.list[0].notice.half_open, 6);
	assert_int_equal(g->decision.effects.list[0].notice.slot, 7);
	assert_true(is_on(g));
}

static void finish(struct gate *g, unsigned n)
{
	GATE_EXPECT(g, n, SERVER, RST_ACK, 0, 1, PASSES(CLOSED), .effects = "failed:refused");
}

static void on_and_off(struct gate *g)
{
	begin(g);
	GATE_EXPECT(g, 7, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	/* Fewer than the start's share, but more than the end's. */
	finish(g, 0);
	for (unsigned tenth = 0; tenth < 50; tenth++)
		assert_string_equal(gate_wait_ms(g, 100), "");
	assert_true(is_on(g));
	GATE_EXPECT(g, 8, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	finish(g, 1);
	/* The cookie that nobody has answered would be half-open. */
	assert_string_equal(gate_wait_ms(g, 100), "");
	finish(g, 2);
	assert_string_equal(gate_wait_ms(g, 100), "cookies_off");
	assert_int_equal(g->effects.list[0].notice.half_open, 3);
	assert_false(is_on(g));
	assert_string_equal(gate_wait_ms(g, 100), "");
	GATE_EXPECT(g, 9, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
}

/* No SYN of a flood takes a place any more, but it goes on. */
static void during_a_flood(struct gate *g)
{
	begin(g);
	for (unsigned tenth = 0; tenth < 200; tenth++) {
		for (unsigned n = 0; n < 3; n++)
			GATE_EXPECT(g, 100 + tenth * 3 + n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		if (tenth == 10)
			for (unsigned n = 0; n < 6; n++)
				finish(g, n);
		assert_string_equal(gate_wait_ms(g, 100), "");
		assert_true(is_on(g));
	}
	/* It has ended: after two windows of two seconds at most nothing is left of it. */
	assert_string_equal(gate_wait_ms(g, 2000), "");
	assert_string_equal(gate_wait_ms(g, 2000), "cookies_off");
}

/* Clients that come back are no flood, however many they are, and be it in a later round or window.
 */
static void by_a_crowd(struct gate *g, uint64_t rounds_of_100ms)
{
	enum {
		CROWD = 10,
	};
	uint32_t isn[CROWD], tsval[CROWD];

	begin(g);
	for (unsigned n = 0; n < 6; n++)
		finish(g, n);
	for (unsigned n = 0; n < CROWD; n++) {
		GATE_EXPECT(g, 10 + n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		isn[n] = g->cookie_isn;
		tsval[n] = g->cookie_tsval;
	}
	for (uint64_t i = 0; i < rounds_of_100ms; i++)
		assert_string_equal(gate_wait_ms(g, 100), "");
	assert_true(is_on(g));
	for (unsigned n = 0; n < CROWD; n++) {
		g->cookie_isn = isn[n];
		g->cookie_tsval = tsval[n];
		GATE_EXPECT(g, 10 + n, CLIENT, ACK, 1, 1, PROVEN, PROVES);
		GATE_EXPECT(g, 10 + n, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
	}
	assert_string_equal(gate_wait_ms(g, 0), "cookies_off");
}

static void at_once(struct gate *g)
{
	by_a_crowd(g, 0);
}

static void after_a_round(struct gate *g)
{
	by_a_crowd(g, 2);
}

static void after_a_window(struct gate *g)
{
	by_a_crowd(g, 21);
}

static void where_nothing_is_enforced(struct gate *g)
{
	adaptive(g);
	gate_observes(g);
}

static void nothing_begins(struct gate *g)
{
	for (unsigned n = 0; n < 8; n++)
		GATE_EXPECT(g, n, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	assert_false(is_on(g));
}

static void adaptive_cookies_come_and_go(void **state)
{
	(void)state;
	gates_run(adaptive, on_and_off);
	gates_run(adaptive, during_a_flood);
	gates_run(adaptive, at_once);
	gates_run(adaptive, after_a_round);
	gates_run(adaptive, after_a_window);
	gates_run(where_nothing_is_enforced, nothing_begins);
}

static void of_all_rules(struct gate *g)
{
	adaptive(g);
	g->rules[0].half_open = 0;
	g->policy.half_open = 8;
}

static void a_rule_without_a_limit_goes_by_that_of_all(void **state)
{
	(void)state;
	gates_run(of_all_rules, on_and_off);
}

/* The start's share is never reached, but the limit is: a cookie takes no place. */
static void starts_late(struct gate *g)
{
	adaptive(g);
	g->rules[0].half_open = 2;
	g->rules[0].syncookies_start = 100;
	g->rules[0].syncookies_end = 1;
}

#define FULL "dropped:half_open_full failed:limited"

static void instead_of_refusal(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	/* One that can't have a cookie is refused, also while others can. */
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, DROPS(half_open_full, CLOSED), .mss = 100,
		.effects = "cookies_on " FULL);
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, DROPS(half_open_full, CLOSED), .mss = 100,
		.effects = FULL);
	GATE_EXPECT(g, 2, CLIENT, ACK, 1, 1, DROPS(bad_cookie, CLOSED), .cookie = true,
		.lane = LANE_PROOFS);
	GATE_EXPECT(g, 2, CLIENT, ACK, 1, 1, PROVEN, PROVES);
}

static void never(struct gate *g)
{
	starts_late(g);
	g->rules[0].syncookies = SYNCOOKIES_NEVER;
}

static void refusal(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, DROPS(half_open_full, CLOSED), ASKS, .effects = FULL);
	assert_false(is_on(g));
}

static void a_full_rule_gives_cookies_or_refuses(void **state)
{
	(void)state;
	gates_run(starts_late, instead_of_refusal);
	gates_run(never, refusal);
}

/* A source with too many handshakes under way gets a cookie, too. */
static void one_each(struct gate *g)
{
	adaptive(g);
	g->policy.source_prefix4 = 24;
	g->policy.source_prefix6 = 56;
	g->rules[0].connections_per_source = 1;
}

static void a_busy_source(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, DROPS(source_connections, CLOSED), ASKS,
		.effects = "dropped:source_connections failed:limited");
	assert_false(is_on(g));
}

/* This shard's table is full: nobody's place is taken for what a cookie can do. */
static void small_table(struct gate *g)
{
	adaptive(g);
	g->limits.half_open = 2;
}

static void in_a_full_table(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	assert_int_equal(gate_state(g, 0), HS_SYN_SENT);
	assert_false(is_on(g));
	GATE_EXPECT(g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .mss = 100,
		.effects = "delete failed:no_syn_ack");
}

static void cookies_stand_in_where_there_is_no_place(void **state)
{
	(void)state;
	gates_run(one_each, a_busy_source);
	gates_run(small_table, in_a_full_table);
}

/* What one engine meets holds for all. */
static void two_engines(void **state)
{
	static struct gate a, b;
	struct effects effects;

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		gate_set_up(&a, v6);
		adaptive(&a);
		gate_open(&a);
		b = a;
		b.engine = engine_new(&b.limits, &b.policy, b.shared,
			&(const struct siphash_key){1, 2}, b.now_us);
		assert_non_null(b.engine);
		engine_cookies(b.engine, gate_secret, b.unix_s);
		for (unsigned n = 0; n < 6; n++)
			GATE_EXPECT(n & 1 ? &a : &b, n, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
		GATE_EXPECT(&a, 6, CLIENT, SYN, 0, 0, TAKES(CLOSED), ASKS,
			.effects = "cookies_on syn_ack>client");
		GATE_EXPECT(&b, 7, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		/* Its answer may come to either, as after a change of workers. */
		a.cookie_isn = b.cookie_isn;
		a.cookie_tsval = b.cookie_tsval;
		GATE_EXPECT(&a, 7, CLIENT, ACK, 1, 1, PROVEN, PROVES);
		for (unsigned n = 0; n < 6; n++)
			finish(n & 1 ? &a : &b, n);
		/* One tells what it sent, the other hears of it. */
		for (unsigned n = 100; n < 106; n++)
			GATE_EXPECT(&a, n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		a.now_us += 200000;
		assert_false(engine_expire(a.engine, a.now_us, &effects));
		/* Which is behind by a little, and forgets nothing early for that. */
		assert_string_equal(gate_wait_ms(&b, 100), "");
		assert_string_equal(gate_wait_ms(&b, 0), "");
		assert_string_equal(gate_wait_ms(&b, 0), "");
		assert_true(is_on(&b));
		assert_string_equal(gate_wait_ms(&b, 100), "");
		assert_string_equal(gate_wait_ms(&b, 2000), "");
		assert_string_equal(gate_wait_ms(&b, 2000), "cookies_off");
		assert_string_equal(gate_wait_ms(&a, 0), "");
		assert_false(is_on(&a));
		engine_free(b.engine);
		gate_close(&a);
	}
}

static void not_any_more(struct gate *g)
{
	for (unsigned how = 0; how < 4; how++) {
		struct policy_rule rule = g->rules[0];

		if (how == 0)
			begin(g);
		else
			GATE_EXPECT(g, 6, CLIENT, SYN, 0, 0, TAKES(CLOSED), ASKS,
				.effects = "cookies_on syn_ack>client");
		if (how == 0)
			g->rules[0].syncookies = SYNCOOKIES_NEVER;
		else if (how == 1)
			g->rules[0].enforce = false;
		else if (how == 2)
			g->rules[0].syncookies = SYNCOOKIES_ALWAYS;
		else
			engine_cookies(g->engine, NULL, g->unix_s);
		engine_set_policy(g->engine, &g->policy);
		assert_string_equal(gate_wait_ms(g, 100), "cookies_off");
		g->rules[0] = rule;
		engine_set_policy(g->engine, &g->policy);
	}
	GATE_EXPECT(g, 6, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
}

static void a_rule_that_gives_none_has_none_on(void **state)
{
	(void)state;
	gates_run(adaptive, not_any_more);
}

/* More rules change at once than a round has room to tell. */
static void many_notices(void **state)
{
	enum {
		RULES = 60,
	};
	static struct policy_rule rules[RULES];
	struct effects effects;
	struct gate g;
	unsigned told = 0;
	bool more;

	(void)state;
	gate_set_up(&g, false);
	adaptive(&g);
	for (uint16_t i = 0; i < RULES; i++) {
		rules[i] = g.rules[0];
		rules[i].slot = i;
	}
	g.policy.rules = rules;
	g.policy.rule_count = RULES;
	gate_open(&g);
	for (uint16_t i = 0; i < RULES; i++)
		atomic_store(&g.shared->cookies_on[i], true);
	do {
		more = engine_expire(g.engine, g.now_us, &effects);
		for (size_t i = 0; i < effects.count; i++)
			assert_int_equal(effects.list[i].notice.kind, NOTICE_COOKIES_OFF);
		told += (unsigned)effects.count;
	} while (more);
	assert_int_equal(told, RULES);
	gate_close(&g);
}

/* When a cookie was sent for a rule is known to all, within a round. */
static void the_last_cookie_is_known(struct gate *g)
{
	assert_int_equal(engine_shared_cookie_sent(g->shared, 7), 0);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	assert_int_equal(engine_shared_cookie_sent(g->shared, 7), g->now_us);
	gate_wait_ms(g, 1000);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	assert_int_equal(engine_shared_cookie_sent(g->shared, 7), g->now_us);
	assert_int_equal(engine_shared_cookie_sent(g->shared, 8), 0);
}

static void when_cookies_were_sent(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, the_last_cookie_is_known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adaptive_cookies_come_and_go),
		cmocka_unit_test(a_rule_without_a_limit_goes_by_that_of_all),
		cmocka_unit_test(a_full_rule_gives_cookies_or_refuses),
		cmocka_unit_test(cookies_stand_in_where_there_is_no_place),
		cmocka_unit_test(two_engines),
		cmocka_unit_test(a_rule_that_gives_none_has_none_on),
		cmocka_unit_test(many_notices),
		cmocka_unit_test(when_cookies_were_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
