/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SYNs that the kernel only tells of: for which servers, and what the engine makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cookie_rows.h"

#include "core/floods.h"

enum {
	TICK_US = 100000,
	BEGIN = FLOODS_BEGIN_PER_S / 10, /* a tick */
	END = FLOODS_END_PER_S / 10,
};

static struct learned_server known(const struct gate *g)
{
	struct tuple t = gate_tuple(g, 0);
	struct learned_server s;

	assert_true(learned_find(engine_shared_learned(g->shared), &t.server, t.server_port, &s));
	return s;
}

static bool all_answered(const struct gate *g)
{
	const struct learned_server s = known(g);

	return floods_all_answered(&g->policy, g->shared, &s);
}

static void where_no_rule_has_an_exception(struct gate *g)
{
	static const struct addr_range office[] = {{{{0}}, {{0}}}};
	static const char lan[][POLICY_IFNAME] = {"eth0"};
	struct policy_rule *r = &g->rules[0];
	struct learned_server s = known(g);

	assert_true(all_answered(g));
	r->from = office;
	r->from_count = 1;
	assert_false(all_answered(g));
	r->from_count = 0;
	r->interface = lan;
	r->interface_count = 1;
	assert_false(all_answered(g));
	r->interface_count = 0;
	r->enforce = false;
	assert_false(all_answered(g));
	r->enforce = true;
	r->mode = MODE_DROP;
	assert_false(all_answered(g));
	r->mode = MODE_GATE;
	r->syncookies = SYNCOOKIES_NEVER;
	assert_false(all_answered(g));
	r->syncookies = SYNCOOKIES_ADAPTIVE;
	assert_false(all_answered(g));
	atomic_store(&g->shared->cookies_on[7], true);
	assert_true(all_answered(g));
	s.port = 81;
	assert_false(floods_all_answered(&g->policy, g->shared, &s));
}

static void where_all_that_matters_is_known(struct gate *g)
{
	struct learned_server s = known(g);

	s.options.ecn = LEARNED_UNKNOWN;
	assert_true(floods_all_answered(&g->policy, g->shared, &s));
	s.options.sack = LEARNED_UNKNOWN;
	assert_false(floods_all_answered(&g->policy, g->shared, &s));
	s.options.sack = LEARNED_NO;
	assert_true(floods_all_answered(&g->policy, g->shared, &s));
	s.options.timestamps = LEARNED_UNKNOWN;
	assert_false(floods_all_answered(&g->policy, g->shared, &s));
	s.options.timestamps = LEARNED_NO;
	s.options.wscale = LEARNED_UNKNOWN;
	assert_false(floods_all_answered(&g->policy, g->shared, &s));
	s.options.wscale = LEARNED_NO;
	s.options.mss = 0;
	assert_false(floods_all_answered(&g->policy, g->shared, &s));
}

/* A tick in which so many SYNs came. */
static bool tick(struct gate *g, struct floods *f, unsigned syns)
{
	struct tuple t = gate_tuple(g, 0);
	struct learned_server s;

	for (unsigned i = 0; i < syns; i++)
		learned_meet(engine_shared_learned(g->shared), &t.server, t.server_port, &s);
	g->now_us += TICK_US;
	return floods_look(f, &g->policy, g->shared, g->now_us);
}

static void while_there_are_many(struct gate *g)
{
	struct floods f = {.looked_us = g->now_us};
	struct tuple t = gate_tuple(g, 0);

	assert_false(tick(g, &f, BEGIN - 1));
	assert_int_equal(f.count, 0);
	assert_true(tick(g, &f, BEGIN));
	assert_int_equal(f.count, 1);
	assert_true(addr_equal(&f.list[0].addr, &t.server));
	assert_int_equal(f.list[0].port, t.server_port);
	for (unsigned i = 0; i < 20; i++)
		assert_false(tick(g, &f, END));
	/* It is over after a second of few. */
	for (unsigned i = 0; i < FLOODS_LAST_US / TICK_US; i++)
		assert_false(tick(g, &f, END - 1));
	assert_true(tick(g, &f, END - 1));
	assert_int_equal(f.count, 0);
	assert_false(tick(g, &f, BEGIN - 1));
}

static void no_longer_than_cookies_are_given(struct gate *g)
{
	struct floods f = {.looked_us = g->now_us};
	struct tuple t = gate_tuple(g, 0);

	g->rules[0].syncookies = SYNCOOKIES_ADAPTIVE;
	assert_false(tick(g, &f, 2 * BEGIN));
	atomic_store(&g->shared->cookies_on[7], true);
	assert_true(tick(g, &f, 2 * BEGIN));
	atomic_store(&g->shared->cookies_on[7], false);
	assert_true(tick(g, &f, 2 * BEGIN));
	assert_int_equal(f.count, 0);
	atomic_store(&g->shared->cookies_on[7], true);
	assert_true(tick(g, &f, 2 * BEGIN));
	learned_forget(engine_shared_learned(g->shared), &t.server, t.server_port);
	assert_true(tick(g, &f, 2 * BEGIN));
	assert_int_equal(f.count, 0);
}

static void logged_syns_are_answered(struct gate *g)
{
	const struct engine_counters *c = engine_counters(g->engine);

	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .fate = FATE_DROPPED);
	/* The rest is as with any cookie. */
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
	assert_int_equal(c->logged, 1);
	assert_int_equal(c->logged_in_vain, 0);
	assert_int_equal(c->cookies_sent, 1);
	assert_int_equal(c->rules[7].matched, 1);
}

/* What the kernel has dropped can't go to the server: it gets a cookie although none is wanted, and
 * although nobody knows whether the server does ECN. */
static void if_need_be_with_less(struct gate *g)
{
	struct tuple t = gate_tuple(g, 0);
	struct learned_server s = known(g);

	g->rules[0].syncookies = SYNCOOKIES_ADAPTIVE;
	s.options.ecn = LEARNED_UNKNOWN;
	learned_recall(engine_shared_learned(g->shared), &s);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, .ecn = true);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .ecn = true, .fate = FATE_DROPPED);
	assert_int_equal(g->sent.flags & (TCP_ECE | TCP_CWR), 0);
	/* Nothing is made of a flow that there may be. */
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, TAKES(SYN_SENT), ASKS, .fate = FATE_DROPPED,
		.effects = "syn_ack>client");
	learned_forget(engine_shared_learned(g->shared), &t.server, t.server_port);
	GATE_EXPECT(
		g, 2, CLIENT, SYN, 0, 0, TAKES(CLOSED), ASKS, .fate = FATE_DROPPED, .effects = "");
	assert_int_equal(engine_counters(g->engine)->logged_in_vain, 1);
}

static void limits_hold(struct gate *g)
{
	g->rules[0].syn_rate = (struct policy_rate){1, 2};
	engine_set_policy(g->engine, &g->policy);
	for (unsigned i = 0; i < 2; i++)
		GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .fate = FATE_DROPPED);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, DROPS(source_rate, CLOSED), ASKS, .fate = FATE_DROPPED,
		.effects = "dropped:source_rate failed:limited");
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, CHALLENGED, ASKS, .fate = FATE_DROPPED);
	assert_int_equal(engine_counters(g->engine)->logged_in_vain, 0);
}

static void what_can_have_no_cookie_is_lost(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, TAKES(CLOSED), ASKS, .md5 = true, .fate = FATE_DROPPED,
		.effects = "");
	GATE_EXPECT(
		g, 0, CLIENT, SYN_ACK, 0, 0, TAKES(CLOSED), .fate = FATE_DROPPED, .effects = "");
	g->rules[0].syncookies = SYNCOOKIES_NEVER;
	GATE_EXPECT(
		g, 0, CLIENT, SYN, 0, 0, TAKES(CLOSED), ASKS, .fate = FATE_DROPPED, .effects = "");
	g->rules[0].mode = MODE_ACCEPT;
	GATE_EXPECT(
		g, 0, CLIENT, SYN, 0, 0, TAKES(CLOSED), ASKS, .fate = FATE_DROPPED, .effects = "");
	assert_int_equal(engine_counters(g->engine)->logged, 4);
	assert_int_equal(engine_counters(g->engine)->logged_in_vain, 4);
}

#define TEST(name)                                                                                 \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		gates_run(gate_gives_cookies, name);                                               \
	}

TEST(where_no_rule_has_an_exception)
TEST(where_all_that_matters_is_known)
TEST(while_there_are_many)
TEST(no_longer_than_cookies_are_given)
TEST(logged_syns_are_answered)
TEST(if_need_be_with_less)
TEST(limits_hold)
TEST(what_can_have_no_cookie_is_lost)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_no_rule_has_an_exception),
		cmocka_unit_test(test_where_all_that_matters_is_known),
		cmocka_unit_test(test_while_there_are_many),
		cmocka_unit_test(test_no_longer_than_cookies_are_given),
		cmocka_unit_test(test_logged_syns_are_answered),
		cmocka_unit_test(test_if_need_be_with_less),
		cmocka_unit_test(test_limits_hold),
		cmocka_unit_test(test_what_can_have_no_cookie_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
