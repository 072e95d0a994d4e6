/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a rule says of packets that open or belong to no flow: modes, enforce, adoption, drain,
 * reload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

#define RUN(list) scenarios_run(list, sizeof(list) / sizeof((list)[0]))

static void accepts(struct gate *g)
{
	g->rules[0].mode = MODE_ACCEPT;
}

static void drops(struct gate *g)
{
	g->rules[0].mode = MODE_DROP;
}

static void rejects(struct gate *g)
{
	g->rules[0].mode = MODE_REJECT;
}

static void observes_dropping(struct gate *g)
{
	drops(g);
	gate_observes(g);
}

static void matches_nothing(struct gate *g)
{
	g->policy.rule_count = 0;
}

static void adopts(struct gate *g)
{
	g->policy.adopt = true;
	g->policy.adopt_window = 30;
}

static void adopts_in_full(struct gate *g)
{
	adopts(g);
	gate_inspects_in_full(g);
}

static void adopts_nothing_dropped(struct gate *g)
{
	adopts(g);
	drops(g);
}

/* clang-format off: a row a line */
static void modes(void **state)
{
	const struct scenario list[] = {
		SCENARIO("accept: unjudged", accepts, {CLIENT, SYN, 0, 0, PASSES(CLOSED)},
			{SERVER, SYN_ACK, 0, 9, PASSES(CLOSED)},
			{CLIENT, ACK, 1, 1, PASSES(CLOSED)},
			{CLIENT, TCP_FIN, 1, 1, PASSES(CLOSED)},
			{CLIENT, RST, 1, 0, PASSES(CLOSED)}),
		SCENARIO("no rule: unjudged", matches_nothing, {CLIENT, SYN, 0, 0, PASSES(CLOSED)},
			{SERVER, SYN_ACK, 0, 9, PASSES(CLOSED)},
			{CLIENT, ACK, 1, 1, PASSES(CLOSED)}, {CLIENT, 0, 1, 1, PASSES(CLOSED)}),
		SCENARIO("drop", drops, {CLIENT, SYN, 0, 0, DROPS(rule, CLOSED)},
			{CLIENT, ACK, 1, 1, DROPS(rule, CLOSED)},
			{CLIENT, RST, 1, 0, DROPS(rule, CLOSED)},
			{CLIENT, TCP_FIN, 1, 0, DROPS(bad_flags, CLOSED)}),
		SCENARIO("reject", rejects,
			{CLIENT, SYN, 0, 0, DROPS(rule, CLOSED),
				.effects = "dropped:rule rst>client"},
			{CLIENT, ACK, 1, 1, DROPS(rule, CLOSED)}),
		SCENARIO("drop, not enforced", observes_dropping,
			{CLIENT, SYN, 0, 0, OBSERVES(rule, CLOSED)}),
	};

	(void)state;
	RUN(list);
}

static void nothing_is_dropped_where_nothing_is_enforced(void **state)
{
	const struct scenario list[] = {
		SCENARIO("without a flow; let go for good where it can be", gate_observes,
			{CLIENT, SYN_ACK, 0, 1, OBSERVES(no_flow, CLOSED)},
			{CLIENT, ACK, 1, 1, .verdict = VERDICT_ADMIT, .reason = REASON_no_flow},
			{CLIENT, TCP_FIN, 1, 1, OBSERVES(bad_flags, CLOSED)},
			{CLIENT, 0, 1, 1, OBSERVES(bad_flags, CLOSED)}),
		SCENARIO("within a handshake", gate_observes,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .mss = 9000,
				.len = 10},
			{CLIENT, ACK, 1, 1, OBSERVES(not_established, SYN_SENT)},
			{CLIENT, TCP_FIN, 1, 1, OBSERVES(bad_flags, SYN_SENT)},
			{SERVER, SYN_ACK, 0, 77, OBSERVES(bad_ack, SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 2, OBSERVES(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, 70000, 1, OBSERVES(bad_seq, SYN_RCVD)},
			{CLIENT, RST, 2, 0, OBSERVES(bad_seq, SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)},
			{SERVER, SYN, 0, 0, OBSERVES(bad_flags, OFFLOADED)}),
	};

	(void)state;
	RUN(list);
}

static void standing_connections_are_adopted(void **state)
{
	const struct scenario list[] = {
		SCENARIO("by the server's word", adopts, {SERVER, ACK, 1, 1, ADMITS(CLOSED)}),
		SCENARIO("never by a client's", adopts, {CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED)},
			{CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED), .len = 100},
			{CLIENT, SYN_ACK, 1, 1, DROPS(no_flow, CLOSED)},
			{CLIENT, FIN_ACK, 1, 1, DROPS(no_flow, CLOSED)}),
		SCENARIO("nor by an RST", adopts, {SERVER, RST, 1, 0, DROPS(no_flow, CLOSED)},
			{SERVER, RST_ACK, 1, 1, DROPS(no_flow, CLOSED)}),
		SCENARIO("nor by a SYN-ACK after the window", adopts,
			{SERVER, ACK, 1, 1, ADMITS(CLOSED), .after_ms = 29999},
			{SERVER, SYN_ACK, 1, 1, DROPS(no_flow, CLOSED), .after_ms = 1}),
		SCENARIO("nor what a rule refuses", adopts_nothing_dropped,
			{SERVER, ACK, 1, 1, DROPS(rule, CLOSED)}),
		SCENARIO("a handshake whose SYN nobody saw", adopts,
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 2, DROPS(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, 2, 1, ADMITS(OFFLOADED)}),
		SCENARIO("likewise, in full", adopts_in_full,
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .wscale = 7},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED)},
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED), .len = 1000},
			{SERVER, ACK, 1000000, 1, PASSES(ESTABLISHED), .len = 1000}),
		SCENARIO("in full", adopts_in_full,
			{SERVER, ACK, 1, 1, ADMITS(ESTABLISHED), .len = 100},
			{CLIENT, ACK, 1, 101, PASSES(ESTABLISHED)},
			{CLIENT, FIN_ACK, 1, 101, PASSES(FIN_CLIENT)},
			{SERVER, FIN_ACK, 101, 2, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 2, 102, PASSES(TIME_WAIT)}),
	};

	(void)state;
	RUN(list);
}
/* clang-format on */

/* What conntrack has forgotten since, a local socket still knows. */
static void a_local_socket_is_proof_at_any_time(void **state)
{
	for (unsigned local = 0; local < 2; local++) {
		struct gate g;

		(void)state;
		gate_set_up(&g, false);
		g.local = local;
		adopts(&g);
		gate_open(&g);
		gate_wait_ms(&g, 30000);
		GATE_EXPECT(&g, 0, SERVER, RST_ACK, 1, 1, DROPS(no_flow, CLOSED));
		GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, DROPS(no_flow, CLOSED));
		GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED));
		if (local) {
			GATE_EXPECT(&g, 0, SERVER, ACK, 1, 1, ADMITS(CLOSED));
			GATE_EXPECT(&g, 0, SERVER, FIN_ACK, 1, 1, ADMITS(CLOSED));
		} else {
			GATE_EXPECT(&g, 0, SERVER, ACK, 1, 1, DROPS(no_flow, CLOSED));
		}
		gate_close(&g);
	}
}

/* A server's segment does not say by which interface its connection came in. */
static void rules_by_interface_follow_from_the_client_on(void **state)
{
	static const char names[][POLICY_IFNAME] = {"eth9"};
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	adopts_in_full(&g);
	g.rules[0].interface = names;
	g.rules[0].interface_count = 1;
	gate_open(&g);
	GATE_EXPECT(&g, 0, SERVER, ACK, 1, 1, ADMITS(CLOSED));
	GATE_EXPECT(&g, 0, SERVER, ACK, 1, 1, PASSES(CLOSED), .admitted = true);
	gate_close(&g);
}

static void without_adopt_no_word_is_proof(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	g.local = true;
	gate_open(&g);
	GATE_EXPECT(&g, 0, SERVER, ACK, 1, 1, DROPS(no_flow, CLOSED));
	gate_close(&g);
}

static void draining_lets_handshakes_end(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	engine_drain(g.engine, DRAIN_CLOSED);
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, DROPS(rule, CLOSED));
	GATE_EXPECT(&g, 1, CLIENT, ACK, 0, 0, DROPS(no_flow, CLOSED));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	engine_drain(g.engine, DRAIN_OPEN);
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(CLOSED));
	GATE_EXPECT(&g, 1, SERVER, SYN_ACK, 0, 1, PASSES(CLOSED));
	GATE_EXPECT(&g, 1, CLIENT, ACK, 1, 1, PASSES(CLOSED));
	GATE_EXPECT(&g, 1, CLIENT, TCP_FIN, 1, 1, PASSES(CLOSED));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 2, DROPS(bad_ack, SYN_RCVD));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	engine_drain(g.engine, DRAIN_OFF);
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	gate_check_sums(&g);
	gate_close(&g);
}

/* A second policy of the same rule, changed. */
static struct policy changed(const struct gate *g, struct policy_rule *rule)
{
	struct policy p = g->policy;

	*rule = g->rules[0];
	p.rules = rule;
	return p;
}

static void new_rules_judge_new_handshakes(void **state)
{
	struct gate g;
	struct policy_rule rule;
	struct policy p;

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	p = changed(&g, &rule);
	rule.mode = MODE_DROP;
	engine_set_policy(g.engine, &p);
	GATE_EXPECT(&g, 2, CLIENT, SYN, 0, 0, DROPS(rule, CLOSED));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(&g, 1, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	gate_check_sums(&g);
	gate_close(&g);
}

static void flows_of_a_removed_rule_go_on(void **state)
{
	struct gate g;
	struct policy none;

	(void)state;
	gate_set_up(&g, true);
	g.rules[0].connections_per_source = 1;
	gate_open(&g);
	gate_admit(&g, 2);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	none = g.policy;
	none.rule_count = 0;
	engine_set_policy(g.engine, &none);
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 2, DROPS(bad_ack, SYN_RCVD));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(&g, 3, CLIENT, SYN, 0, 0, PASSES(CLOSED));
	assert_string_equal(gate_wait_ms(&g, 60000), "delete failed:no_syn_ack");
	assert_int_equal(gate_state(&g, 2), HS_OFFLOADED);
	gate_check_sums(&g);
	gate_close(&g);
}

static void inspection_stays_what_it_was_opened_as(void **state)
{
	struct gate g;
	struct policy_rule rule;
	struct policy p;

	(void)state;
	gate_set_up(&g, false);
	gate_inspects_in_full(&g);
	gate_open(&g);
	gate_admit(&g, 0);
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	p = changed(&g, &rule);
	rule.inspect = INSPECT_HANDSHAKE;
	engine_set_policy(g.engine, &p);
	GATE_EXPECT(&g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 1, CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 900000, DROPS(out_of_window, ESTABLISHED));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, PASSES(ESTABLISHED));
	gate_admit(&g, 2);
	assert_int_equal(gate_state(&g, 2), HS_OFFLOADED);
	/* The kernel carries it now: what is forgotten here goes on there. */
	assert_string_equal(gate_wait_ms(&g, 7440000), "");
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);

	/* And the other way. */
	GATE_EXPECT(&g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	engine_set_policy(g.engine, &g.policy);
	GATE_EXPECT(&g, 3, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 3, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	gate_check_sums(&g);
	gate_close(&g);
}

static void what_rules_let_go_is_the_kernels(void **state)
{
	struct gate g;
	struct policy_rule rule;
	struct policy p;

	(void)state;
	gate_set_up(&g, true);
	gate_inspects_in_full(&g);
	g.rules[0].connections_per_source = 1;
	gate_open(&g);
	gate_admit(&g, 0);
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	p = changed(&g, &rule);
	rule.inspect = INSPECT_HANDSHAKE;
	engine_set_policy(g.engine, &p);
	engine_hand_over(g.engine, false);
	/* Still counted, and its window forgotten. */
	assert_int_equal(gate_state(&g, 0), HS_OFFLOADED);
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 900000, PASSES(OFFLOADED));
	assert_int_equal(gate_state(&g, 1), HS_SYN_RCVD);

	/* Its ACK comes by no more: no RST to its server later. */
	rule.mode = MODE_ACCEPT;
	engine_hand_over(g.engine, false);
	assert_int_equal(gate_state(&g, 1), HS_CLOSED);
	assert_string_equal(gate_wait_ms(&g, 60000), "");
	gate_close(&g);
}

static void windows_are_learned_anew_after_a_gap(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_inspects_in_full(&g);
	gate_open(&g);
	gate_admit(&g, 0);
	GATE_EXPECT(&g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	engine_hand_over(g.engine, false);
	assert_int_equal(gate_state(&g, 0), HS_ESTABLISHED);
	engine_hand_over(g.engine, true);
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	assert_int_equal(gate_state(&g, 1), HS_SYN_SENT);
	gate_close(&g);
}

static void timeouts_change_at_once(void **state)
{
	struct gate g;
	struct policy_rule rule;
	struct policy p;

	(void)state;
	gate_set_up(&g, true);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	p = changed(&g, &rule);
	p.timeouts.syn_sent = 5;
	engine_set_policy(g.engine, &p);
	assert_string_equal(gate_wait_ms(&g, 4999), "");
	assert_string_equal(gate_wait_ms(&g, 1), "delete failed:no_syn_ack");
	gate_close(&g);
}

static void a_hosts_own_connections_are_left_alone(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.local = true;
	gate_open(&g);
	/* From this host's port 443 to somebody's: a SYN in OUTPUT is never judged. */
	GATE_EXPECT(&g, 0, SERVER, SYN, 0, 0, PASSES(CLOSED));
	gate_close(&g);
}

static void other_packets_and_unreadable_ones(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t len;
		enum reason reason;
	} packets[] = {
		{{0}, 0, REASON_malformed},
		{{0x45, 0, 0, 44}, 20, REASON_malformed},
		{{0x45, 0, 0, 24, 0, 0, 0x20, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1}, 24,
			REASON_fragment},
		{{0x45, 0, 0, 24, 0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1}, 24,
			REASON_malformed},
		{{0x45, 0, 0, 24, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1}, 24,
			REASON_NONE},
	};

	(void)state;
	for (unsigned enforced = 0; enforced < 2; enforced++) {
		struct gate g;

		gate_set_up(&g, false);
		g.policy.enforce = enforced;
		gate_open(&g);
		for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
			struct engine_packet in = {.bytes = packets[i].bytes,
				.captured = packets[i].len,
				.on_wire = packets[i].len};
			bool drop = enforced && packets[i].reason != REASON_NONE;

			engine_packet(g.engine, &in, g.now_us, &g.decision);
			assert_int_equal(g.decision.reason, packets[i].reason);
			assert_int_equal(g.decision.verdict, drop ? VERDICT_DROP : VERDICT_ACCEPT);
		}
		gate_close(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes),
		cmocka_unit_test(nothing_is_dropped_where_nothing_is_enforced),
		cmocka_unit_test(standing_connections_are_adopted),
		cmocka_unit_test(a_local_socket_is_proof_at_any_time),
		cmocka_unit_test(rules_by_interface_follow_from_the_client_on),
		cmocka_unit_test(without_adopt_no_word_is_proof),
		cmocka_unit_test(draining_lets_handshakes_end),
		cmocka_unit_test(new_rules_judge_new_handshakes),
		cmocka_unit_test(flows_of_a_removed_rule_go_on),
		cmocka_unit_test(inspection_stays_what_it_was_opened_as),
		cmocka_unit_test(what_rules_let_go_is_the_kernels),
		cmocka_unit_test(windows_are_learned_anew_after_a_gap),
		cmocka_unit_test(timeouts_change_at_once),
		cmocka_unit_test(a_hosts_own_connections_are_left_alone),
		cmocka_unit_test(other_packets_and_unreadable_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
