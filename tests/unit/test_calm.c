/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handshakes with our own listeners that the kernel lets pass and only tells of: whose, when, and
 * what the engine makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cookie_rows.h"

#include "core/calm.h"

enum {
	SLOT = 7,
	TICK_US = 100000,
	HALF_OPEN = 1000,
	UNHEARD_OF = 2,
};

static const struct endpoint web[] = {
	{{.b = {[10] = 0xff, 0xff}}, 443},
	{{.b = {0}}, 443},
};
static const bool told[POLICY_RULES_MAX] = {[SLOT] = true};

static void listens(struct gate *g)
{
	struct policy_rule *r = &g->rules[0];

	g->local = true;
	r->mode = MODE_SPLICE;
	r->local = true;
	r->port_count = 0;
	r->listen = web;
	r->listen_count = 2;
	r->syncookies_start = 50;
	r->syncookies_end = 25;
	r->half_open = HALF_OPEN;
	g->limits.half_open = HALF_OPEN;
}

static void listens_and_answers(struct gate *g)
{
	gate_gives_cookies(g);
	listens(g);
	g->rules[0].syncookies = SYNCOOKIES_ADAPTIVE;
}

#define PASSED .fate = FATE_PASSED

/* -- which rules -- */

static bool may_pass(const struct gate *g)
{
	return policy_may_pass(&g->policy, &g->rules[0]);
}

static void rules_that_judge_by_source_may_not(void **state)
{
	static const struct addr_range office[] = {{{{0}}, {{0}}}};
	static const char lan[][POLICY_IFNAME] = {"eth0"};
	struct gate g;
	struct policy_rule *r = &g.rules[0], plain;

	(void)state;
	gate_set_up(&g, false);
	assert_false(may_pass(&g));
	listens(&g);
	assert_true(may_pass(&g));
	plain = *r;
	r->syn_rate = (struct policy_rate){1, 1};
	assert_false(may_pass(&g));
	*r = plain;
	r->connections_per_source = 1;
	assert_false(may_pass(&g));
	*r = plain;
	r->from = office;
	r->from_count = 1;
	assert_false(may_pass(&g));
	*r = plain;
	r->interface = lan;
	r->interface_count = 1;
	assert_false(may_pass(&g));
	*r = plain;
	r->syncookies = SYNCOOKIES_ALWAYS;
	assert_false(may_pass(&g));
	*r = plain;
	r->inspect = INSPECT_FULL;
	assert_false(may_pass(&g));
	*r = plain;
	/* Transparent: the places are others'. */
	r->listen_count = 0;
	assert_false(may_pass(&g));
}

static void an_earlier_rule_keeps_its_say(void **state)
{
	static const struct port_range ports[] = {{440, 443}};
	static const struct addr_range net10[] = {
		{{{[10] = 0xff, 0xff, 10}}, {{[10] = 0xff, 0xff, 10, 255, 255, 255}}}};
	static const struct endpoint at[] = {{{{[10] = 0xff, 0xff, 11, 0, 0, 1}}, 443}};
	static const struct endpoint v6[] = {{{{0xfd, [15] = 1}}, 443}};
	struct gate g;
	struct policy_rule *earlier = &g.rules[0], *r = &g.rules[1];

	(void)state;
	gate_set_up(&g, false);
	listens(&g);
	*r = *earlier;
	r->slot = SLOT + 1;
	r->listen = at;
	r->listen_count = 1;
	g.policy.rule_count = 2;
	/* All of a family's addresses, this one among them. */
	assert_false(policy_may_pass(&g.policy, r));
	earlier->listen = v6;
	earlier->listen_count = 1;
	assert_true(policy_may_pass(&g.policy, r));
	/* And the other way round. */
	r->listen = web;
	r->listen_count = 1;
	assert_true(policy_may_pass(&g.policy, r));
	r->listen_count = 2;
	assert_false(policy_may_pass(&g.policy, r));
	r->listen = at;
	r->listen_count = 1;
	*earlier = (struct policy_rule){
		.mode = MODE_DROP, .port = ports, .port_count = 1, .to = net10, .to_count = 1};
	assert_true(policy_may_pass(&g.policy, r));
	earlier->to_count = 0;
	assert_false(policy_may_pass(&g.policy, r));
}

/* -- when -- */

static bool look(struct gate *g, struct calm *c)
{
	g->now_us += TICK_US;
	return calm_look(c, &g->policy, g->shared, g->now_us);
}

static void engine_tell_missed(struct gate *g)
{
	static const bool all[POLICY_RULES_MAX] = {[SLOT] = true};

	engine_missed(g->engine, g->now_us);
	assert_int_equal(engine_shared_missed(g->shared), 0);
	engine_tell(g->engine, all, g->now_us);
	assert_int_equal(calm_unheard_of(g->shared, g->now_us), CALM_UNHEARD_OF);
	engine_missed(g->engine, g->now_us);
	assert_int_equal(calm_unheard_of(g->shared, g->now_us), CALM_HALF_OPEN);
}

static void wait_for_calm(struct gate *g, struct calm *c)
{
	for (unsigned i = 1; i < CALM_AFTER_US / TICK_US; i++)
		assert_false(look(g, c));
	assert_true(look(g, c));
	assert_true(c->told[SLOT]);
}

static void disturbed(struct gate *g, struct calm *c)
{
	assert_true(look(g, c));
	assert_false(c->told[SLOT]);
}

static void only_while_nothing_would_be_refused(void **state)
{
	struct calm c = {0};
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	listens(&g);
	gate_open(&g);
	assert_true(look(&g, &c));
	assert_true(c.told[SLOT]);
	assert_false(look(&g, &c));

	engine_shared_backend_down(g.shared, SLOT, true);
	disturbed(&g, &c);
	engine_shared_backend_down(g.shared, SLOT, false);
	wait_for_calm(&g, &c);

	atomic_store(&g.shared->cookies_on[SLOT], true);
	disturbed(&g, &c);
	atomic_store(&g.shared->cookies_on[SLOT], false);
	wait_for_calm(&g, &c);

	/* Half of what cookies begin at. */
	atomic_store(&g.shared->half_open[SLOT], HALF_OPEN / 4 - 1);
	assert_false(look(&g, &c));
	atomic_store(&g.shared->half_open[SLOT], HALF_OPEN / 4);
	disturbed(&g, &c);
	atomic_store(&g.shared->half_open[SLOT], 0);
	wait_for_calm(&g, &c);

	/* There were more than could be told of. */
	engine_tell_missed(&g);
	disturbed(&g, &c);
	for (unsigned i = 2; i < CALM_AFTER_US / TICK_US; i++)
		assert_false(look(&g, &c));
	wait_for_calm(&g, &c);

	/* As many as the kernel itself lets wait. */
	g.rules[0].half_open = 100 * CALM_HALF_OPEN;
	atomic_store(&g.shared->half_open[SLOT], CALM_HALF_OPEN);
	disturbed(&g, &c);
	atomic_store(&g.shared->half_open[SLOT], 0);
	gate_close(&g);
}

/* -- what becomes of them -- */

static void tell(struct gate *g)
{
	engine_tell(g->engine, told, g->now_us);
}

static void tell_no_more(struct gate *g)
{
	engine_shared_unheard_of(g->shared, SLOT, UNHEARD_OF);
	engine_tell(g->engine, NULL, g->now_us);
}

static void handshakes_are_followed(struct gate *g)
{
	const struct engine_counters *c = engine_counters(g->engine);

	tell(g);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	assert_true(g->decision.passed);
	assert_int_equal(engine_shared_half_open(g->shared, SLOT), 1);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), PASSED);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED), PASSED);
	assert_int_equal(engine_shared_half_open(g->shared, SLOT), 0);
	assert_int_equal(c->started, 1);
	assert_int_equal(c->completed, 1);
	assert_int_equal(c->rules[SLOT].matched, 1);
	assert_int_equal(c->rules[SLOT].admitted, 1);
	/* Of no handshake: it has gone on already, and nothing is made of it. */
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, PASSES(CLOSED), PASSED);
	GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, PASSES(CLOSED), PASSED);
	assert_int_equal(c->drops[REASON_no_flow], 0);
}

static void failures_are_explained(struct gate *g)
{
	const struct engine_counters *c = engine_counters(g->engine);

	tell(g);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(
		g, 0, SERVER, RST_ACK, 0, 1, PASSES(CLOSED), PASSED, .effects = "failed:refused");
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), PASSED);
	GATE_EXPECT(
		g, 1, CLIENT, RST, 1, 0, PASSES(CLOSED), PASSED, .effects = "failed:client_reset");
	/* It may stand although we have not heard so: nothing is done to it. */
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 2, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), PASSED);
	assert_string_equal(gate_wait_ms(g, 31000), "failed:no_ack");
	assert_int_equal(c->failed[CAUSE_no_ack], 1);
	/* What would be dropped has gone on. */
	GATE_EXPECT(g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 3, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), PASSED);
	GATE_EXPECT(g, 3, CLIENT, ACK, 1, 5, PASSES(SYN_RCVD), PASSED, .effects = "");
	assert_int_equal(c->drops[REASON_bad_ack], 0);
	assert_int_equal(c->observed[REASON_bad_ack], 0);
}

/* What was not told may have been an ACK. */
static void lost_words_fail_nobody(struct gate *g)
{
	tell(g);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), PASSED);
	engine_missed(g->engine, g->now_us);
	assert_int_equal(gate_state(g, 0), HS_CLOSED);
	assert_int_equal(gate_state(g, 1), HS_CLOSED);
	assert_int_equal(engine_shared_half_open(g->shared, SLOT), 0);
	assert_string_equal(gate_wait_ms(g, 61000), "");
}

/* It is with its listener: a cookie besides would confuse its client. But it says that others
 * should get one. */
static void no_cookie_for_what_has_passed(struct gate *g)
{
	tell(g);
	for (unsigned i = 0; i < HALF_OPEN / 2; i++)
		GATE_EXPECT(g, i, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, PASSED);
	GATE_EXPECT(g, HALF_OPEN, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS, PASSED,
		.effects = "cookies_on");
	GATE_EXPECT(g, HALF_OPEN + 1, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	assert_int_equal(engine_counters(g->engine)->cookies_sent, 1);
}

/* The queue is faster than the log. */
static void a_reset_that_comes_before_the_ack(struct gate *g)
{
	tell(g);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 0, SERVER, RST, 1, 0, PASSES(OFFLOADED), .admitted = true);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(OFFLOADED), PASSED);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PASSES(OFFLOADED), PASSED);
	assert_int_equal(engine_counters(g->engine)->completed, 1);
	GATE_EXPECT(g, 1, SERVER, RST, 1, 0, PASSES(CLOSED), .admitted = true);
	assert_string_equal(gate_wait_ms(g, 61000), "");
}

/* What the kernel was asked about may go on without us, and is not cut. */
static void from_being_asked_to_being_told(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	tell(g);
	GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), PASSED);
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(g, 2, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	assert_string_equal(gate_wait_ms(g, 31000), "failed:no_ack failed:no_ack failed:no_ack");
}

/* Somebody has flushed the kernel's rules, and it does not know any more that it is only to tell.
 */
static void asked_although(struct gate *g)
{
	tell(g);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(g, 2, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED));
	GATE_EXPECT(g, 3, CLIENT, SYN_ACK, 1, 1, DROPS(no_flow, CLOSED));
}

static void are_several(struct gate *g)
{
	listens(g);
	g->limits.shards = 2;
}

/* What is asked about and what is told of may come to different shards: nothing is made of half a
 * handshake, and nobody is said to have failed. */
static void between_shards(struct gate *g)
{
	const struct engine_counters *c = engine_counters(g->engine);

	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	tell(g);
	assert_int_equal(gate_state(g, 0), HS_CLOSED);
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(CLOSED));
	GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, PASSES(CLOSED));
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, PASSES(CLOSED), .marked = true);
	GATE_EXPECT(g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 4, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 4, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), PASSED);
	tell_no_more(g);
	assert_int_equal(gate_state(g, 3), HS_CLOSED);
	assert_int_equal(gate_state(g, 4), HS_CLOSED);
	GATE_EXPECT(g, 3, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(g, 3, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(g, 4, CLIENT, ACK, 1, 1, ADMITS(CLOSED));
	assert_int_equal(c->started, 3);
	assert_int_equal(c->completed, 2);
	assert_string_equal(gate_wait_ms(g, 61000), "");
}

/* The rule's name stands for something else now: its servers are others' hosts. */
static void a_listener_that_becomes_a_gate(struct gate *g)
{
	struct policy_rule gate = g->rules[0];
	struct policy next = g->policy;

	tell(g);
	tell_no_more(g);
	gate.mode = MODE_GATE;
	gate.local = false;
	gate.listen_count = 0;
	next.rules = &gate;
	engine_set_policy(g->engine, &next);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED));
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, DROPS(no_flow, CLOSED));
	g->local = false;
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED));
	engine_set_policy(g->engine, &g->policy);
}

static void from_being_told_to_being_asked(struct gate *g)
{
	tell(g);
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	tell_no_more(g);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	/* The queue is faster than the log: the SYN-ACK is still to be heard of. */
	GATE_EXPECT(g, 6, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 6, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(g, 6, SERVER, SYN_ACK, 0, 1, PASSES(OFFLOADED), PASSED);
	/* But not for long. */
	GATE_EXPECT(g, 7, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
	GATE_EXPECT(g, 7, CLIENT, ACK, 1, 1, DROPS(not_established, SYN_SENT), .after_ms = 1000);
	/* Another shard heard of their SYNs, and of one's SYN-ACK. */
	GATE_EXPECT(g, 1, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	GATE_EXPECT(g, 2, CLIENT, ACK, 1, 1, ADMITS(CLOSED));
	/* No client has a SYN-ACK to send. */
	GATE_EXPECT(g, 3, CLIENT, SYN_ACK, 1, 1, DROPS(no_flow, CLOSED));
	assert_string_equal(gate_wait_ms(g, 61000), "failed:no_syn_ack");
	GATE_EXPECT(g, 4, SERVER, SYN_ACK, 0, 1, DROPS(no_flow, CLOSED));
	GATE_EXPECT(g, 5, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED));
}

/* Of no more than there were: a flood of ACKs is none of them. */
static void as_many_go_on_as_were_under_way(struct gate *g)
{
	const struct engine_counters *c = engine_counters(g->engine);
	unsigned i = 10;

	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(g, 1, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	tell(g);
	/* It was asked before the kernel knew that it was only to tell. */
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, ADMITS(CLOSED));
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, ADMITS(CLOSED));
	GATE_EXPECT(g, 1, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED));
	for (unsigned times = 1; times <= 2; times++) {
		tell(g);
		GATE_EXPECT(g, ++i, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), PASSED);
		tell_no_more(g);
		for (unsigned n = 0; n < 1 + UNHEARD_OF; n++)
			GATE_EXPECT(g, ++i, CLIENT, ACK, 1, 1, ADMITS(CLOSED));
		GATE_EXPECT(g, ++i, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED));
		GATE_EXPECT(g, ++i, CLIENT, RST, 1, 0, DROPS(no_flow, CLOSED));
		assert_int_equal(c->completed, 2 + times * (1 + UNHEARD_OF));
	}
	/* The listener asks once more, and is heard. */
	GATE_EXPECT(g, ++i, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(g, i, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
}

#define TEST(name, prepare)                                                                        \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		for (int v6 = 0; v6 < 2; v6++) {                                                   \
			struct gate g;                                                             \
			gate_set_up(&g, v6);                                                       \
			prepare(&g);                                                               \
			gate_open(&g);                                                             \
			name(&g);                                                                  \
			gate_close(&g);                                                            \
		}                                                                                  \
	}

TEST(handshakes_are_followed, listens)
TEST(failures_are_explained, listens)
TEST(lost_words_fail_nobody, listens)
TEST(no_cookie_for_what_has_passed, listens_and_answers)
TEST(a_reset_that_comes_before_the_ack, listens)
TEST(from_being_asked_to_being_told, listens)
TEST(asked_although, listens)
TEST(between_shards, are_several)
TEST(as_many_go_on_as_were_under_way, are_several)
TEST(a_listener_that_becomes_a_gate, listens)
TEST(from_being_told_to_being_asked, listens)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_that_judge_by_source_may_not),
		cmocka_unit_test(an_earlier_rule_keeps_its_say),
		cmocka_unit_test(only_while_nothing_would_be_refused),
		cmocka_unit_test(test_handshakes_are_followed),
		cmocka_unit_test(test_failures_are_explained),
		cmocka_unit_test(test_lost_words_fail_nobody),
		cmocka_unit_test(test_no_cookie_for_what_has_passed),
		cmocka_unit_test(test_a_reset_that_comes_before_the_ack),
		cmocka_unit_test(test_from_being_asked_to_being_told),
		cmocka_unit_test(test_asked_although),
		cmocka_unit_test(test_between_shards),
		cmocka_unit_test(test_as_many_go_on_as_were_under_way),
		cmocka_unit_test(test_a_listener_that_becomes_a_gate),
		cmocka_unit_test(test_from_being_told_to_being_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
