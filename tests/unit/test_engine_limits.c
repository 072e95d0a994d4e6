/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits of a rule, and bounds of the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

#define LIMITED "dropped:source_connections failed:limited"

/* All clients 0 to 255 are one source. */
static void one_source(struct gate *g)
{
	g->policy.source_prefix4 = 24;
	g->policy.source_prefix6 = 56;
}

static void half_open_holds_for_a_rule(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.rules[0].half_open = 2;
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, DROPS(half_open_full, CLOSED),
		.effects = "dropped:half_open_full failed:limited");
	GATE_EXPECT(&g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, DROPS(half_open_full, CLOSED),
		.effects = "dropped:half_open_full failed:limited");
	GATE_EXPECT(&g, 1, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	gate_check_sums(&g);
	assert_int_equal(engine_counters(g.engine)->failed[CAUSE_limited], 2);
	assert_int_equal(engine_counters(g.engine)->rules[7].matched, 5);
	assert_int_equal(engine_counters(g.engine)->rules[7].dropped, 2);
	assert_int_equal(engine_counters(g.engine)->rules[7].admitted, 1);
	gate_close(&g);
}

static void syn_rate_holds_for_a_source(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	one_source(&g);
	g.rules[0].syn_rate = (struct policy_rate){.per_s = 10, .burst = 3};
	gate_open(&g);
	for (unsigned i = 0; i < 3; i++)
		GATE_EXPECT(&g, i, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 3, CLIENT, SYN, 0, 0, DROPS(source_rate, CLOSED),
		.effects = "dropped:source_rate failed:limited");
	/* A SYN sent again is no new one, and another source has its own rate. */
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 256, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 3, CLIENT, SYN, 0, 0, DROPS(source_rate, CLOSED), .after_ms = 99,
		.effects = "dropped:source_rate failed:limited");
	GATE_EXPECT(&g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .after_ms = 1);
	GATE_EXPECT(&g, 4, CLIENT, SYN, 0, 0, DROPS(source_rate, CLOSED),
		.effects = "dropped:source_rate failed:limited");
	gate_check_sums(&g);
	gate_close(&g);
}

static void connections_per_source_at_the_syn(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	one_source(&g);
	g.rules[0].connections_per_source = 2;
	gate_open(&g);
	gate_admit(&g, 0);
	gate_admit(&g, 1);
	GATE_EXPECT(
		&g, 2, CLIENT, SYN, 0, 0, DROPS(source_connections, CLOSED), .effects = LIMITED);
	gate_admit(&g, 256);
	assert_int_equal(engine_gauges(g.engine).offloaded, 3);

	/* One ends: there is room for another. */
	struct tuple t = gate_tuple(&g, 1);
	engine_ended(g.engine, &t);
	assert_int_equal(gate_state(&g, 1), HS_CLOSED);
	gate_admit(&g, 2);
	GATE_EXPECT(
		&g, 3, CLIENT, SYN, 0, 0, DROPS(source_connections, CLOSED), .effects = LIMITED);
	gate_check_sums(&g);
	gate_close(&g);
}

/* They stand, be they too many; but they count. */
static void adopted_connections_count(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	one_source(&g);
	g.policy.adopt = true;
	g.policy.adopt_window = 30;
	g.rules[0].connections_per_source = 2;
	gate_open(&g);
	for (unsigned n = 0; n < 3; n++)
		GATE_EXPECT(&g, n, SERVER, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(&g, 1, SERVER, ACK, 1, 1, PASSES(OFFLOADED));
	gate_check_sums(&g);
	for (unsigned n = 0; n < 2; n++) {
		struct tuple t = gate_tuple(&g, n);

		GATE_EXPECT(&g, 3, CLIENT, SYN, 0, 0, DROPS(source_connections, CLOSED),
			.effects = LIMITED);
		engine_ended(g.engine, &t);
	}
	gate_admit(&g, 3);
	gate_check_sums(&g);
	gate_close(&g);
}

/* Handshakes of a source race for its last place. */
static void connections_per_source_at_the_third_ack(void **state)
{
	for (unsigned rejects = 0; rejects < 2; rejects++) {
		struct gate g;

		(void)state;
		gate_set_up(&g, rejects);
		one_source(&g);
		g.rules[0].connections_per_source = 2;
		g.rules[0].over_limit = rejects ? OVER_LIMIT_REJECT : OVER_LIMIT_DROP;
		gate_open(&g);
		gate_admit(&g, 2);
		GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
		GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
		GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
		GATE_EXPECT(&g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
		GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
		GATE_EXPECT(&g, 1, CLIENT, ACK, 1, 1, DROPS(source_connections, CLOSED),
			.effects = rejects ? LIMITED " delete rst>server rst>client"
					   : LIMITED " delete rst>server");
		gate_check_sums(&g);
		gate_close(&g);
	}
}

#define HALF_OPEN "dropped:source_half_open failed:limited"

/* A source has no more handshakes under way than it may have connections. */
static void half_open_handshakes_of_a_source(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	one_source(&g);
	g.rules[0].connections_per_source = 2;
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(
		&g, 2, CLIENT, SYN, 0, 0, DROPS(source_half_open, CLOSED), .effects = HALF_OPEN);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 256, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));

	/* One fails, and one is done: each leaves its place. */
	GATE_EXPECT(&g, 1, SERVER, RST_ACK, 0, 1, PASSES(CLOSED), .effects = "failed:refused");
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(
		&g, 3, CLIENT, SYN, 0, 0, DROPS(source_half_open, CLOSED), .effects = HALF_OPEN);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(
		&g, 3, CLIENT, SYN, 0, 0, DROPS(source_half_open, CLOSED), .effects = HALF_OPEN);
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(&g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	gate_check_sums(&g);

	/* So does one that nobody answers. */
	GATE_EXPECT(
		&g, 4, CLIENT, SYN, 0, 0, DROPS(source_half_open, CLOSED), .effects = HALF_OPEN);
	GATE_EXPECT(&g, 4, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .after_ms = 60000);
	gate_check_sums(&g);
	gate_close(&g);
}

/* A limit that is taken away while handshakes are counted by it, and set again, begins anew. */
static void half_open_handshakes_are_counted_anew_by_new_rules(void **state)
{
	struct gate g;
	struct policy_rule other;
	struct policy unlimited;

	(void)state;
	gate_set_up(&g, false);
	one_source(&g);
	g.rules[0].connections_per_source = 1;
	other = g.rules[0];
	other.connections_per_source = 0;
	unlimited = g.policy;
	unlimited.rules = &other;
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	engine_set_policy(g.engine, &unlimited);
	GATE_EXPECT(&g, 0, SERVER, RST_ACK, 0, 1, PASSES(CLOSED), .effects = "failed:refused");
	engine_set_policy(g.engine, &g.policy);
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	gate_close(&g);
}

static void over_limit_may_reject(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.rules[0].half_open = 1;
	g.rules[0].over_limit = OVER_LIMIT_REJECT;
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, DROPS(half_open_full, CLOSED),
		.effects = "dropped:half_open_full failed:limited rst>client");
	gate_close(&g);
}

/* Whoever forges SYNs has no use of the RSTs. */
static void rejections_are_limited(void **state)
{
	for (unsigned by_rule = 0; by_rule < 2; by_rule++) {
		const char *answered = by_rule ? "dropped:rule rst>client"
					       : "dropped:half_open_full failed:limited rst>client";
		const char *silent =
			by_rule ? "dropped:rule" : "dropped:half_open_full failed:limited";
		enum reason reason = by_rule ? REASON_rule : REASON_half_open_full;
		struct row syn = {CLIENT, SYN, 0, 0, .verdict = VERDICT_DROP, .reason = reason};
		struct gate g;

		(void)state;
		gate_set_up(&g, by_rule);
		g.rules[0].mode = by_rule ? MODE_REJECT : MODE_GATE;
		g.rules[0].half_open = 1;
		g.rules[0].over_limit = OVER_LIMIT_REJECT;
		gate_open(&g);
		if (!by_rule)
			GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
		syn.effects = answered;
		for (unsigned n = 1; n <= 100; n++)
			gate_expect(&g, n, &syn);
		syn.effects = silent;
		gate_expect(&g, 101, &syn);
		syn.after_ms = 10;
		syn.effects = answered;
		gate_expect(&g, 102, &syn);
		syn.after_ms = 0;
		syn.effects = silent;
		gate_expect(&g, 103, &syn);
		assert_int_equal(engine_counters(g.engine)->drops[reason], 103);
		gate_close(&g);
	}
}

static void nothing_is_limited_where_nothing_is_enforced(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	one_source(&g);
	gate_observes(&g);
	g.rules[0].half_open = 1;
	g.rules[0].connections_per_source = 1;
	g.rules[0].syn_rate = (struct policy_rate){.per_s = 1, .burst = 1};
	g.rules[0].over_limit = OVER_LIMIT_REJECT;
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, OBSERVES(source_rate, SYN_SENT),
		.effects = "observed:source_rate would_fail:limited");
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, OBSERVES(half_open_full, SYN_SENT), .after_ms = 1000,
		.effects = "observed:half_open_full would_fail:limited");
	for (unsigned i = 0; i < 3; i++)
		GATE_EXPECT(&g, i, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(&g, 1, CLIENT, ACK, 1, 1, .verdict = VERDICT_ADMIT,
		.reason = REASON_source_connections, .state = HS_OFFLOADED,
		.effects = "observed:source_connections would_fail:limited");
	assert_int_equal(engine_counters(g.engine)->failed[CAUSE_limited], 0);
	assert_int_equal(engine_counters(g.engine)->observed[REASON_source_connections], 1);
	gate_check_sums(&g);
	gate_close(&g);
}

/* The table of half-open flows is full: the oldest unanswered goes first, then the oldest answered,
 * whose server hears of it. */
static void the_oldest_unanswered_goes_first(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.limits.half_open = 3;
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(
		&g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .effects = "delete failed:no_syn_ack");
	assert_int_equal(gate_state(&g, 1), HS_CLOSED);
	GATE_EXPECT(&g, 2, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 3, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 4, CLIENT, SYN, 0, 0, PASSES(SYN_SENT),
		.effects = "delete rst>server failed:no_ack");
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	GATE_EXPECT(
		&g, 5, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .effects = "delete failed:no_syn_ack");
	assert_int_equal(gate_state(&g, 4), HS_CLOSED);
	assert_int_equal(engine_counters(g.engine)->evicted, 3);
	assert_int_equal(
		engine_gauges(g.engine).syn_sent + engine_gauges(g.engine).syn_received, 3);
	gate_check_sums(&g);
	gate_close(&g);
}

static void where_nothing_is_enforced_eviction_is_silent(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_observes(&g);
	g.limits.half_open = 1;
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .effects = "would_fail:no_ack");
	gate_close(&g);
}

static void flows_that_are_followed_have_a_bound(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	gate_inspects_in_full(&g);
	g.limits.flows = 2;
	gate_open(&g);
	gate_admit(&g, 0);
	gate_admit(&g, 1);
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, DROPS(table_full, CLOSED),
		.effects = "dropped:table_full failed:limited");

	/* One that has closed makes room, and leaves nothing behind in the kernel. */
	GATE_EXPECT(&g, 0, CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT));
	GATE_EXPECT(&g, 0, SERVER, FIN_ACK, 1, 2, PASSES(LAST_ACK_SERVER));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 2, 2, PASSES(TIME_WAIT));
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .effects = "delete");
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	gate_check_sums(&g);
	gate_close(&g);
}

/* Flows that are handed over only pass through the table: those that linger never stand in the
 * way, nor do the places of those that stay. */
static void flows_that_are_handed_over_need_no_place(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.limits.half_open = 4;
	g.limits.flows = 2;
	g.rules[1] = g.rules[0];
	g.rules[0].slot = 1;
	g.rules[0].inspect = INSPECT_FULL;
	g.rules[0].from = &(struct addr_range){gate_tuple(&g, 0).client, gate_tuple(&g, 1).client};
	g.rules[0].from_count = 1;
	g.policy.rule_count = 2;
	gate_open(&g);
	gate_admit(&g, 0);
	gate_admit(&g, 1);
	for (unsigned i = 2; i < 50; i++)
		gate_admit(&g, i);
	assert_true(flow_used(g.engine->table) <= 6);
	assert_int_equal(gate_state(&g, 0), HS_ESTABLISHED);
	assert_int_equal(gate_state(&g, 1), HS_ESTABLISHED);
	assert_int_equal(gate_state(&g, 49), HS_OFFLOADED);
	gate_check_sums(&g);
	gate_close(&g);
}

static void a_counted_flow_that_opens_again_keeps_the_bound(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.rules[0].connections_per_source = 8;
	g.limits.half_open = 1;
	gate_open(&g);
	gate_admit(&g, 0);
	gate_admit(&g, 1);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 70000, 0, PASSES(SYN_SENT));
	/* What makes room goes back to standing: it was never a handshake of its own. */
	GATE_EXPECT(&g, 1, CLIENT, SYN, 70000, 0, PASSES(SYN_SENT));
	assert_int_equal(gate_state(&g, 0), HS_OFFLOADED);
	assert_int_equal(engine_gauges(g.engine).syn_sent, 1);
	GATE_EXPECT(&g, 1, SERVER, SYN_ACK, 9, 70001, PASSES(SYN_RCVD), .effects = "unmark");
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, PASSES(SYN_SENT),
		.effects = "delete rst>server failed:no_ack");
	assert_int_equal(engine_gauges(g.engine).offloaded, 1);
	gate_check_sums(&g);
	gate_close(&g);
}

static void a_reopened_flow_keeps_the_bound(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	gate_inspects_in_full(&g);
	g.limits.half_open = 1;
	gate_open(&g);
	gate_admit(&g, 0);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 70000, 0, PASSES(ESTABLISHED));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 9, 70001, PASSES(SYN_RCVD),
		.effects = "delete failed:no_syn_ack unmark");
	gate_check_sums(&g);
	gate_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_open_holds_for_a_rule),
		cmocka_unit_test(syn_rate_holds_for_a_source),
		cmocka_unit_test(connections_per_source_at_the_syn),
		cmocka_unit_test(adopted_connections_count),
		cmocka_unit_test(connections_per_source_at_the_third_ack),
		cmocka_unit_test(half_open_handshakes_of_a_source),
		cmocka_unit_test(half_open_handshakes_are_counted_anew_by_new_rules),
		cmocka_unit_test(over_limit_may_reject),
		cmocka_unit_test(rejections_are_limited),
		cmocka_unit_test(nothing_is_limited_where_nothing_is_enforced),
		cmocka_unit_test(the_oldest_unanswered_goes_first),
		cmocka_unit_test(where_nothing_is_enforced_eviction_is_silent),
		cmocka_unit_test(flows_that_are_followed_have_a_bound),
		cmocka_unit_test(flows_that_are_handed_over_need_no_place),
		cmocka_unit_test(a_counted_flow_that_opens_again_keeps_the_bound),
		cmocka_unit_test(a_reopened_flow_keeps_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
