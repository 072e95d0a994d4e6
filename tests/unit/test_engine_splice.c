/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Splice rules: what comes to this host is gated like any other, and what passes by is left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

static const struct endpoint web[] = {
	{{.b = {[10] = 0xff, 0xff}}, 443},
	{{.b = {0}}, 443},
};

static void splices(struct gate *g)
{
	struct policy_rule *r = &g->rules[0];

	r->mode = MODE_SPLICE;
	r->local = true;
	r->port_count = 0;
	r->listen = web;
	r->listen_count = 2;
}

static void splices_in_full(struct gate *g)
{
	splices(g);
	gate_inspects_in_full(g);
}

static void splices_with_cookies(struct gate *g)
{
	splices(g);
	gate_gives_cookies(g);
}

static void splices_transparently(struct gate *g)
{
	splices_with_cookies(g);
	g->rules[0].listen_count = 0;
	g->rules[0].port_count = 2;
}

static void passes_by(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(CLOSED));
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(CLOSED));
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PASSES(CLOSED));
	assert_int_equal(engine_counters(g->engine)->started, 0);
}

static void admits(struct gate *g)
{
	if (!g->local) {
		passes_by(g);
		return;
	}
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 9, DROPS(bad_ack, SYN_SENT));
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED));
	assert_int_equal(engine_counters(g->engine)->completed, 1);
	assert_int_equal(engine_counters(g->engine)->rules[7].admitted, 1);
}

static void inspects(struct gate *g)
{
	if (!g->local) {
		passes_by(g);
		return;
	}
	gate_admit(g, 0);
	assert_int_equal(gate_state(g, 0), HS_ESTABLISHED);
	GATE_EXPECT(
		g, 0, CLIENT, RST, 200000, 0, DROPS(out_of_window, ESTABLISHED), .admitted = true);
}

static void answers_for_the_listener(struct gate *g)
{
	if (!g->local) {
		passes_by(g);
		return;
	}
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, TAKES(CLOSED), .effects = "syn_ack>client");
	assert_int_equal(engine_counters(g->engine)->cookies_sent, 1);
}

static void answers_for_nobody_else(struct gate *g)
{
	if (!g->local) {
		passes_by(g);
		return;
	}
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	assert_int_equal(engine_counters(g->engine)->cookies_sent, 0);
}

static void handshakes_are_judged(void **state)
{
	(void)state;
	gates_run(splices, admits);
}

static void connections_are_inspected_in_full(void **state)
{
	(void)state;
	gates_run(splices_in_full, inspects);
}

static void a_listener_gets_cookies(void **state)
{
	(void)state;
	gates_run(splices_with_cookies, answers_for_the_listener);
}

static void transparent_rules_give_none(void **state)
{
	(void)state;
	gates_run(splices_transparently, answers_for_nobody_else);
}

/* The rule becomes one for what is delivered here: what passes by and was half-open goes on. */
static void a_gate_becomes_a_splice_rule(void **state)
{
	struct gate g;
	struct policy next;

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	next = g.policy;
	struct policy_rule rule = g.rules[0];
	splices(&g);
	struct policy_rule spliced = g.rules[0];
	g.rules[0] = rule;
	next.rules = &spliced;
	engine_set_policy(g.engine, &next);
	engine_hand_over(g.engine, false);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(CLOSED));
	gate_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshakes_are_judged),
		cmocka_unit_test(connections_are_inspected_in_full),
		cmocka_unit_test(a_listener_gets_cookies),
		cmocka_unit_test(transparent_rules_give_none),
		cmocka_unit_test(a_gate_becomes_a_splice_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
