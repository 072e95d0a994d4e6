/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How flows end other than by their own packets: by time, by an ICMP error, by conntrack's word, by
 * an administrator's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

static void the_server_is_silent(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .after_ms = 30000);
	assert_string_equal(gate_wait_ms(&g, 29999), "");
	assert_string_equal(gate_wait_ms(&g, 1), "delete failed:no_syn_ack");
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	gate_check_sums(&g);
	gate_close(&g);
}

static void the_client_is_silent(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .after_ms = 50000);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .after_ms = 20000);
	assert_string_equal(gate_wait_ms(&g, 9999), "");
	assert_string_equal(gate_wait_ms(&g, 1), "delete rst>server failed:no_ack");
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	gate_check_sums(&g);
	gate_close(&g);
}

/* The server must obey the RST that it hears in the client's name: the number is the one it waits
 * for. */
static void the_server_hears_an_exact_rst(void **state)
{
	struct gate g;
	struct segment rst;
	struct addr from;

	(void)state;
	gate_set_up(&g, true);
	g.rules[0].fastopen_strip = false;
	gate_open(&g);
	for (uint32_t taken = 0; taken <= 100; taken += 100) {
		GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100);
		GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1 + taken, PASSES(SYN_RCVD));
		assert_string_equal(gate_wait_ms(&g, 30000), "delete rst>server failed:no_ack");
		assert_int_equal(g.effects.list[1].type, EFFECT_SEND);
		assert_int_equal(
			packet_parse(g.effects.list[1].send.bytes, g.effects.list[1].send.len,
				g.effects.list[1].send.len, true, &rst, &from),
			PACKET_TCP);
		assert_int_equal(rst.seq, g.isn[CLIENT] + 1 + taken);
		assert_int_equal(rst.flags, TCP_RST);
	}
	gate_close(&g);
}

static void where_nothing_is_enforced_expiry_is_silent(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	gate_observes(&g);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	assert_string_equal(gate_wait_ms(&g, 30000), "would_fail:no_ack");
	gate_close(&g);
}

static void flows_expire_in_the_order_they_came(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	for (unsigned i = 0; i < 20; i++)
		GATE_EXPECT(&g, i, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .after_ms = 1000);
	for (unsigned i = 0; i < 20; i++) {
		gate_wait_ms(&g, i == 0 ? 60000 - 19000 : 1000);
		for (unsigned k = 0; k < 20; k++)
			assert_int_equal(gate_state(&g, k), k <= i ? HS_CLOSED : HS_SYN_SENT);
	}
	gate_check_sums(&g);
	gate_close(&g);
}

/* More are due than one call has room for. */
static void expiry_returns_early_and_is_called_again(void **state)
{
	struct gate g;
	unsigned calls = 1;

	(void)state;
	gate_set_up(&g, true);
	gate_open(&g);
	for (unsigned i = 0; i < 60; i++) {
		GATE_EXPECT(&g, i, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
		GATE_EXPECT(&g, i, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	}
	g.now_us += 3600ull * 1000000;
	while (engine_expire(g.engine, g.now_us, &g.effects)) {
		assert_true(g.effects.count > 0 && g.effects.count <= ENGINE_EFFECTS);
		calls++;
	}
	assert_int_equal(calls, 8);
	assert_int_equal(flow_used(g.engine->table), 0);
	assert_int_equal(engine_counters(g.engine)->failed[CAUSE_no_ack], 60);
	gate_check_sums(&g);
	gate_close(&g);
}

/* Each state of a flow inspected in full has a time of its own, from its last segment on. */
static void a_followed_flow_expires_by_its_state(void **state)
{
	static const struct {
		struct row row;
		uint32_t seconds; /* of the state that it leads to */
	} steps[] = {
		{{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .len = 10}, 7440},
		{{CLIENT, FIN_ACK, 11, 1, PASSES(FIN_CLIENT)}, 240},
		{{SERVER, ACK, 1, 12, PASSES(HALF_CLIENT)}, 3600},
		{{SERVER, FIN_ACK, 1, 12, PASSES(LAST_ACK_SERVER)}, 40},
		{{CLIENT, ACK, 12, 2, PASSES(TIME_WAIT)}, 120},
	};

	(void)state;
	for (size_t last = 0; last < sizeof(steps) / sizeof(steps[0]); last++) {
		struct gate g;
		uint64_t ms = steps[last].seconds * 1000ull;

		gate_set_up(&g, last & 1);
		gate_inspects_in_full(&g);
		gate_open(&g);
		gate_admit(&g, 0);
		for (size_t i = 0; i <= last; i++)
			gate_expect(&g, 0, &steps[i].row);
		assert_string_equal(gate_wait_ms(&g, ms - 1), "");
		gate_expect(&g, 0, &steps[last].row);
		assert_string_equal(gate_wait_ms(&g, ms - 1), "");
		assert_int_equal(gate_state(&g, 0), steps[last].row.state);
		assert_string_equal(gate_wait_ms(&g, 1), "delete");
		assert_int_equal(gate_state(&g, 0), HS_CLOSED);
		gate_close(&g);
	}
}

static void a_reset_flow_is_forgotten_whatever_comes(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_inspects_in_full(&g);
	gate_open(&g);
	gate_admit(&g, 0);
	GATE_EXPECT(&g, 0, CLIENT, RST, 1, 0, PASSES(RESET));
	GATE_EXPECT(&g, 0, CLIENT, RST, 1, 0, PASSES(RESET), .after_ms = 9999);
	assert_string_equal(gate_wait_ms(&g, 1), "delete");
	gate_close(&g);
}

static void what_is_handed_over_lingers_a_moment(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	gate_admit(&g, 0);
	assert_string_equal(gate_wait_ms(&g, 1999), "");
	assert_int_equal(gate_state(&g, 0), HS_OFFLOADED);
	assert_string_equal(gate_wait_ms(&g, 1), "");
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	gate_close(&g);
}

static void what_is_counted_stays(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.rules[0].connections_per_source = 1;
	gate_open(&g);
	gate_admit(&g, 0);
	/* Longer than 32 bits of milliseconds. */
	assert_string_equal(gate_wait_ms(&g, 5000000000ull), "");
	assert_int_equal(gate_state(&g, 0), HS_OFFLOADED);
	gate_close(&g);
}

/* A SYN over a counted connection that the server does not take changes nothing. */
static void a_counted_connection_stands_through_a_syn(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	g.rules[0].connections_per_source = 1;
	gate_open(&g);
	gate_admit(&g, 0);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 70000, 0, PASSES(SYN_SENT), .marked = true);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 70000, 0, PASSES(SYN_SENT), .unreachable = true);
	assert_string_equal(gate_wait_ms(&g, 60000), "");
	assert_int_equal(gate_state(&g, 0), HS_OFFLOADED);
	assert_int_equal(engine_gauges(g.engine).offloaded, 1);
	assert_int_equal(engine_counters(g.engine)->started, 1);

	/* And if the server takes it, the connection goes on being counted. */
	GATE_EXPECT(&g, 0, CLIENT, SYN, 80000, 0, PASSES(SYN_SENT), .marked = true);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 7, 80001, PASSES(SYN_RCVD), .effects = "unmark");
	GATE_EXPECT(&g, 0, CLIENT, ACK, 80001, 8, ADMITS(OFFLOADED));
	assert_int_equal(engine_gauges(g.engine).offloaded, 1);
	assert_int_equal(engine_counters(g.engine)->started, 2);
	gate_check_sums(&g);

	/* Unless it comes to nothing after that. */
	GATE_EXPECT(&g, 0, CLIENT, SYN, 90000, 0, PASSES(SYN_SENT), .marked = true);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 7, 90001, PASSES(SYN_RCVD), .effects = "unmark");
	assert_string_equal(gate_wait_ms(&g, 30000), "delete rst>server failed:no_ack");
	gate_admit(&g, 0);
	gate_check_sums(&g);
	gate_close(&g);
}

/* The third ACK may have passed while others had taken our rules away. */
static void what_may_have_completed_unseen_is_not_reset(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	for (unsigned n = 1; n < 4; n++) {
		GATE_EXPECT(&g, n, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
		GATE_EXPECT(&g, n, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	}
	engine_hand_over(g.engine, true);
	GATE_EXPECT(&g, 1, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(&g, 2, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 4, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	assert_string_equal(gate_wait_ms(&g, 60000),
		"failed:no_syn_ack delete failed:no_syn_ack "
		"delete rst>server failed:no_ack failed:no_ack");
	gate_check_sums(&g);
	gate_close(&g);
}

static void an_icmp_error_names_the_failure(void **state)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct gate g;
		const struct report *report = &g.decision.effects.list[0].report;

		(void)state;
		gate_set_up(&g, v6);
		gate_open(&g);
		GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(CLOSED), .unreachable = true,
			.effects = "pass_on");
		GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
		GATE_EXPECT(&g, 0, CLIENT, SYN, 1, 0, PASSES(SYN_SENT), .unreachable = true);
		GATE_EXPECT(&g, 0, SERVER, SYN, 0, 0, PASSES(SYN_SENT), .unreachable = true,
			.effects = "pass_on");
		/* Said once, and the place is kept: whoever sent the SYN could have sent this. */
		GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .unreachable = true,
			.effects = "failed:unreachable");
		assert_true(report->from.b[15] == 254);
		GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .unreachable = true);
		gate_check_sums(&g);
		assert_string_equal(gate_wait_ms(&g, 60000), "delete");
		assert_int_equal(engine_counters(g.engine)->failed[CAUSE_unreachable], 1);
		gate_check_sums(&g);
		gate_close(&g);
	}
}

static void an_icmp_error_need_not_be_the_end(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .unreachable = true,
		.effects = "failed:unreachable");
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	gate_check_sums(&g);
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	gate_check_sums(&g);
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .unreachable = true,
		.effects = "failed:unreachable");
	GATE_EXPECT(&g, 1, CLIENT, SYN, 70000, 0, PASSES(SYN_SENT));
	gate_check_sums(&g);
	GATE_EXPECT(&g, 1, SERVER, RST_ACK, 0, 70001, PASSES(CLOSED), .effects = "failed:refused");
	gate_check_sums(&g);
	gate_close(&g);
}

/* The word came to another shard, whose engine knows no such SYN. */
static void an_icmp_error_is_passed_on(void **state)
{
	struct gate here, there;

	(void)state;
	gate_set_up(&here, false);
	gate_set_up(&there, false);
	gate_open(&here);
	gate_open(&there);
	GATE_EXPECT(&here, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&there, 0, CLIENT, SYN, 0, 0, PASSES(CLOSED), .unreachable = true,
		.effects = "pass_on");
	for (unsigned times = 0; times < 2; times++) {
		engine_unreachable(
			here.engine, &there.decision.effects.list[0].unreachable, &here.effects);
		assert_string_equal(
			gate_effects(&here, &here.effects), times == 0 ? "failed:unreachable" : "");
	}
	gate_check_sums(&here);
	gate_close(&here);
	gate_close(&there);
}

static void conntrack_says_what_has_ended(void **state)
{
	struct gate g;
	struct tuple t;

	(void)state;
	gate_set_up(&g, false);
	g.rules[0].connections_per_source = 8;
	gate_open(&g);
	for (unsigned i = 0; i < 4; i++)
		gate_admit(&g, i);
	GATE_EXPECT(&g, 4, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	t = gate_tuple(&g, 4);
	engine_ended(g.engine, &t);
	assert_int_equal(gate_state(&g, 4), HS_SYN_SENT);
	t = gate_tuple(&g, 9);
	engine_ended(g.engine, &t);
	t = gate_tuple(&g, 3);
	engine_ended(g.engine, &t);
	assert_int_equal(engine_gauges(g.engine).offloaded, 3);

	/* A dump has the second alone; the fifth came while it ran. */
	engine_reconcile_begin(g.engine);
	t = gate_tuple(&g, 1);
	engine_reconcile_seen(g.engine, &t);
	t = gate_tuple(&g, 9);
	engine_reconcile_seen(g.engine, &t);
	gate_admit(&g, 5);
	assert_int_equal(engine_reconcile_end(g.engine), 2);
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	assert_int_equal(gate_state(&g, 1), HS_OFFLOADED);
	assert_int_equal(gate_state(&g, 5), HS_OFFLOADED);
	engine_reconcile_begin(g.engine);
	assert_int_equal(engine_reconcile_end(g.engine), 2);
	gate_check_sums(&g);
	gate_close(&g);
}

static void an_administrator_kills(void **state)
{
	struct gate g;
	struct tuple t;

	(void)state;
	gate_set_up(&g, true);
	gate_inspects_in_full(&g);
	gate_open(&g);
	t = gate_tuple(&g, 0);
	assert_false(engine_kill(g.engine, &t, &g.effects));
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	assert_true(engine_kill(g.engine, &t, &g.effects));
	assert_string_equal(gate_effects(&g, &g.effects), "delete rst>client failed:no_syn_ack");
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	assert_true(engine_kill(g.engine, &t, &g.effects));
	assert_string_equal(
		gate_effects(&g, &g.effects), "delete rst>server rst>client failed:no_ack");
	gate_admit(&g, 0);
	assert_true(engine_kill(g.engine, &t, &g.effects));
	assert_string_equal(gate_effects(&g, &g.effects), "delete rst>server rst>client");
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	gate_check_sums(&g);
	gate_close(&g);
}

static void an_administrator_kills_what_the_kernel_carries(void **state)
{
	struct gate g;
	struct tuple t;

	(void)state;
	gate_set_up(&g, false);
	g.rules[0].connections_per_source = 1;
	gate_open(&g);
	t = gate_tuple(&g, 0);
	gate_admit(&g, 0);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 70000, 0, PASSES(SYN_SENT));
	assert_true(engine_kill(g.engine, &t, &g.effects));
	assert_string_equal(gate_effects(&g, &g.effects), "delete");
	gate_check_sums(&g);
	gate_admit(&g, 0);
	assert_true(engine_kill(g.engine, &t, &g.effects));
	assert_string_equal(gate_effects(&g, &g.effects), "delete");
	gate_admit(&g, 0);
	gate_close(&g);
}

struct walk {
	unsigned flows;
	unsigned most;
	struct engine_flow_info last;
};

static bool count_flow(const struct engine_flow_info *flow, void *arg)
{
	struct walk *walk = arg;

	walk->last = *flow;
	return ++walk->flows < walk->most;
}

static void flows_are_shown(void **state)
{
	struct gate g;
	struct walk walk = {.most = 100};

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	gate_wait_ms(&g, 7500);
	engine_flows(g.engine, g.now_us, count_flow, &walk);
	assert_int_equal(walk.flows, 2);
	assert_string_equal(walk.last.client_state, "SYN_SENT");
	assert_string_equal(walk.last.server_state, "SYN_RCVD");
	assert_string_equal(walk.last.flow_state, "half-open");
	assert_int_equal(walk.last.age_s, 7);
	assert_int_equal(walk.last.slot, 7);
	walk = (struct walk){.most = 1};
	engine_flows(g.engine, g.now_us, count_flow, &walk);
	assert_int_equal(walk.flows, 1);
	gate_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_server_is_silent),
		cmocka_unit_test(the_client_is_silent),
		cmocka_unit_test(the_server_hears_an_exact_rst),
		cmocka_unit_test(where_nothing_is_enforced_expiry_is_silent),
		cmocka_unit_test(flows_expire_in_the_order_they_came),
		cmocka_unit_test(expiry_returns_early_and_is_called_again),
		cmocka_unit_test(a_followed_flow_expires_by_its_state),
		cmocka_unit_test(a_reset_flow_is_forgotten_whatever_comes),
		cmocka_unit_test(what_is_handed_over_lingers_a_moment),
		cmocka_unit_test(what_is_counted_stays),
		cmocka_unit_test(a_counted_connection_stands_through_a_syn),
		cmocka_unit_test(what_may_have_completed_unseen_is_not_reset),
		cmocka_unit_test(an_icmp_error_names_the_failure),
		cmocka_unit_test(an_icmp_error_need_not_be_the_end),
		cmocka_unit_test(an_icmp_error_is_passed_on),
		cmocka_unit_test(conntrack_says_what_has_ended),
		cmocka_unit_test(an_administrator_kills),
		cmocka_unit_test(an_administrator_kills_what_the_kernel_carries),
		cmocka_unit_test(flows_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
