/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits that hold for a source once it has proven itself, and what follows if it goes over them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cookie_rows.h"

static void two_at_a_time(struct gate *g)
{
	gate_gives_cookies(g);
	g->limits.in_flight = 2;
}

#define IN_FLIGHT "dropped:in_flight_full failed:limited"

static void bounded_in_flight(struct gate *g)
{
	for (unsigned n = 0; n < 2; n++) {
		GATE_EXPECT(g, n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		GATE_EXPECT(g, n, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	}
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(g, 2, CLIENT, ACK, 1, 1, DROPS(in_flight_full, CLOSED), PROVES,
		.effects = IN_FLIGHT);
	gate_check_sums(g);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
	GATE_EXPECT(g, 2, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	assert_int_equal(engine_gauges(g->engine).opening, 2);
}

static void openings_have_a_bound(void **state)
{
	(void)state;
	gates_run(two_at_a_time, bounded_in_flight);
}

static void follows_two(struct gate *g)
{
	gate_gives_cookies(g);
	g->rules[0].inspect = INSPECT_FULL;
	g->limits.flows = 2;
}

#define TABLE_FULL "dropped:table_full failed:limited"

static void bounded_table(struct gate *g)
{
	for (unsigned n = 0; n < 2; n++) {
		GATE_EXPECT(g, n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		GATE_EXPECT(g, n, CLIENT, ACK, 1, 1, PROVEN, PROVES);
		GATE_EXPECT(g, n, SERVER, SYN_ACK, 0, 1, TAKES(ESTABLISHED), ANSWERS,
			.effects = "translate");
	}
	GATE_EXPECT(g, 2, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(
		g, 2, CLIENT, ACK, 1, 1, DROPS(table_full, CLOSED), PROVES, .effects = TABLE_FULL);
}

/* What is not followed yet takes none of those places. */
static void unbounded_yet(struct gate *g)
{
	for (unsigned n = 0; n < 3; n++) {
		GATE_EXPECT(g, n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		GATE_EXPECT(g, n, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	}
}

static void lingers(struct gate *g)
{
	gate_gives_cookies(g);
	g->limits = (struct engine_limits){.half_open = 1, .flows = 1, .in_flight = 1};
}

static void lingering_makes_room(struct gate *g)
{
	for (unsigned n = 0; n < 20; n++) {
		GATE_EXPECT(g, n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		GATE_EXPECT(g, n, CLIENT, ACK, 1, 1, PROVEN, PROVES);
		GATE_EXPECT(g, n, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
		assert_true(flow_used(g->engine->table) <= 3);
	}
}

static void the_table_has_a_bound(void **state)
{
	(void)state;
	gates_run(follows_two, bounded_table);
	gates_run(follows_two, unbounded_yet);
	gates_run(lingers, lingering_makes_room);
}

static void one_source(struct gate *g)
{
	gate_gives_cookies(g);
	g->policy.source_prefix4 = 24;
	g->policy.source_prefix6 = 56;
}

static void prove(struct gate *g, unsigned n, const char *effects)
{
	gate_send(g, n, &(const struct row){CLIENT, SYN, ASKS});
	assert_string_equal(gate_effects(g, &g->decision.effects), "syn_ack>client");
	gate_send(g, n, &(const struct row){CLIENT, ACK, 1, 1, PROVES});
	assert_string_equal(gate_effects(g, &g->decision.effects), effects);
	assert_int_equal(g->decision.verdict, VERDICT_DROP);
	gate_check_sums(g);
}

static void answer(struct gate *g, unsigned n)
{
	GATE_EXPECT(g, n, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
}

#define OPENED      "delete syn>server"
#define CONNECTIONS "dropped:source_connections failed:limited"
#define SOURCE_RATE "dropped:source_rate failed:limited"

static void two_connections(struct gate *g)
{
	one_source(g);
	g->rules[0].connections_per_source = 2;
}

static void two_connections_or_reset(struct gate *g)
{
	two_connections(g);
	g->rules[0].over_limit = OVER_LIMIT_REJECT;
}

/* All are challenged before the first comes back. */
static void race(struct gate *g, const char *refused)
{
	static const unsigned racers = 4;
	uint32_t isn[4], tsval[4];

	for (unsigned n = 0; n < racers; n++) {
		GATE_EXPECT(g, n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
		isn[n] = g->cookie_isn;
		tsval[n] = g->cookie_tsval;
	}
	for (unsigned n = 0; n < racers; n++) {
		g->cookie_isn = isn[n];
		g->cookie_tsval = tsval[n];
		gate_send(g, n, &(const struct row){CLIENT, ACK, 1, 1, PROVES});
		assert_string_equal(
			gate_effects(g, &g->decision.effects), n < 2 ? OPENED : refused);
		assert_int_equal(gate_state(g, n), n < 2 ? HS_OPENING : HS_CLOSED);
		gate_check_sums(g);
	}
}

static void counted(struct gate *g)
{
	struct tuple t = gate_tuple(g, 0);
	struct addr source = engine_source(g->engine, &t.client);

	race(g, CONNECTIONS);
	GATE_EXPECT(g, 5, CLIENT, SYN, 0, 0, DROPS(source_connections, CLOSED), ASKS,
		.effects = CONNECTIONS);
	prove(g, 256, OPENED);
	/* One fails, one stands: the former's place is free. */
	GATE_EXPECT(g, 0, SERVER, RST_ACK, 0, 1, TAKES(CLOSED),
		.effects = "delete rst>client failed:refused");
	answer(g, 1);
	assert_int_equal(limiter_connections(g->shared->limiter, &source, 7), 1);
	prove(g, 0, OPENED);
	answer(g, 0);
	assert_int_equal(engine_gauges(g->engine).offloaded, 2);

	/* Over one that is counted a client takes its own place. */
	GATE_EXPECT(
		g, 1, CLIENT, SYN, 70000, 0, TAKES(OFFLOADED), ASKS, .effects = "syn_ack>client");
}

static void over_counted(struct gate *g)
{
	struct tuple t = gate_tuple(g, 0);
	struct addr source = engine_source(g->engine, &t.client);

	prove(g, 0, OPENED);
	answer(g, 0);
	GATE_EXPECT(g, 0, CLIENT, SYN, 70000, 0, TAKES(OFFLOADED), ASKS, .marked = true,
		.effects = "syn_ack>client");
	assert_int_equal(limiter_connections(g->shared->limiter, &source, 7), 1);
	/* Until it comes back, that was anybody's. */
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 5, DROPS(bad_cookie, OFFLOADED), PROVES);
	GATE_EXPECT(g, 0, CLIENT, ACK, 70001, 1, PROVEN, PROVES);
	assert_int_equal(limiter_connections(g->shared->limiter, &source, 7), 1);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 5, 70001, TRANSLATED, ANSWERS);
	assert_int_equal(limiter_connections(g->shared->limiter, &source, 7), 1);
	/* Nobody is challenged any more. */
	engine_drain(g->engine, DRAIN_OPEN);
	GATE_EXPECT(g, 0, CLIENT, SYN, 9, 0, PASSES(SYN_SENT), ASKS);
	assert_string_equal(gate_wait_ms(g, 60000), "");
	assert_int_equal(gate_state(g, 0), HS_OFFLOADED);
	engine_ended(g->engine, &t);
	assert_int_equal(limiter_connections(g->shared->limiter, &source, 7), 0);
}

static void rejected(struct gate *g)
{
	race(g, CONNECTIONS " rst>client");
	assert_int_equal(g->sent.seq, g->cookie_isn + 1);
	assert_int_equal(g->sent.ack, g->isn[CLIENT] + 1);
}

static void connections_are_counted_at_the_proof(void **state)
{
	(void)state;
	gates_run(two_connections, counted);
	gates_run(two_connections, over_counted);
	gates_run(two_connections_or_reset, rejected);
}

static void three_syns(struct gate *g)
{
	one_source(g);
	g->rules[0].syn_rate = (struct policy_rate){.per_s = 10, .burst = 3};
}

/* A cookie that comes back again and again is no way around the rate. */
static void replayed(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	for (unsigned i = 0; i < 6; i++) {
		GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
		GATE_EXPECT(g, 0, SERVER, RST_ACK, 0, 1, TAKES(CLOSED),
			.effects = "delete rst>client failed:refused");
	}
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(source_rate, CLOSED), PROVES,
		.effects = SOURCE_RATE);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES, .after_ms = 50);
}

static void rated(struct gate *g)
{
	for (unsigned n = 0; n < 3; n++)
		prove(g, n, OPENED);
	GATE_EXPECT(
		g, 3, CLIENT, SYN, 0, 0, DROPS(source_rate, CLOSED), ASKS, .effects = SOURCE_RATE);
}

/* Anybody may have made them in the source's name. */
static void guessed(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	for (unsigned i = 0; i < 20; i++)
		GATE_EXPECT(g, 0, CLIENT, ACK, 1, 5, DROPS(bad_cookie, CLOSED), PROVES);
	prove(g, 1, OPENED);
	prove(g, 2, OPENED);
}

static void the_rate_holds_for_proofs(void **state)
{
	(void)state;
	gates_run(three_syns, replayed);
	gates_run(three_syns, guessed);
	gates_run(three_syns, rated);
}

static void blocks_by_rate(struct gate *g)
{
	three_syns(g);
	g->rules[0].over_limit = OVER_LIMIT_BLOCK;
	g->rules[0].block_time = 600;
}

static void blocks_by_connections(struct gate *g)
{
	two_connections(g);
	g->rules[0].over_limit = OVER_LIMIT_BLOCK;
	g->rules[0].block_time = 30;
}

static struct block block_of(const struct decision *d)
{
	struct block found = {.slot = POLICY_NO_SLOT};
	unsigned blocks = 0;

	for (size_t i = 0; i < d->effects.count; i++)
		if (d->effects.list[i].type == EFFECT_BLOCK) {
			found = d->effects.list[i].block;
			blocks++;
		}
	assert_int_equal(blocks, 1);
	return found;
}

static void rate_is_evidence(struct gate *g)
{
	struct block b;

	for (unsigned n = 0; n < 3; n++)
		prove(g, n, OPENED);
	prove(g, 3, SOURCE_RATE " block");
	b = block_of(&g->decision);
	assert_int_equal(b.slot, 7);
	assert_int_equal(b.seconds, 600);
	/* SYNs alone are held to twice the rate, and block nobody. */
	for (unsigned n = 4; n < 6; n++)
		GATE_EXPECT(g, n, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	GATE_EXPECT(
		g, 6, CLIENT, SYN, 0, 0, DROPS(source_rate, CLOSED), ASKS, .effects = SOURCE_RATE);
}

static void connections_are_evidence(struct gate *g)
{
	race(g, CONNECTIONS " block");
	assert_int_equal(block_of(&g->decision).seconds, 30);
	/* Not even then does a SYN say anything. */
	GATE_EXPECT(g, 5, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
}

static void without_cookies(struct gate *g)
{
	blocks_by_rate(g);
	g->rules[0].syncookies = SYNCOOKIES_NEVER;
}

static void ordinary_handshakes_are_evidence_too(struct gate *g)
{
	for (unsigned n = 0; n < 3; n++)
		gate_admit(g, n);
	GATE_EXPECT(g, 3, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), ASKS);
	GATE_EXPECT(g, 3, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS);
	GATE_EXPECT(g, 3, CLIENT, ACK, 1, 1, DROPS(source_rate, CLOSED),
		.effects = SOURCE_RATE " block delete rst>server");
}

static void completed_handshakes_may_block(void **state)
{
	(void)state;
	gates_run(blocks_by_rate, rate_is_evidence);
	gates_run(blocks_by_connections, connections_are_evidence);
	gates_run(without_cookies, ordinary_handshakes_are_evidence_too);
}

static void a_block_holds_for_all_of_the_source(void **state)
{
	static const struct {
		bool v6;
		uint8_t bits;
		uint8_t first[16], last[16];
	} rows[] = {
		{false, 32, {10, 1, 0, 0}, {10, 1, 0, 0}},
		{false, 24, {10, 1, 0, 0}, {10, 1, 0, 255}},
		{false, 20, {10, 1, 0, 0}, {10, 1, 15, 255}},
		{false, 1, {0}, {127, 255, 255, 255}},
		{true, 128, {0xfd, 0, 0, 1, [15] = 1}, {0xfd, 0, 0, 1, [15] = 1}},
		{true, 64, {0xfd, 0, 0, 1},
			{0xfd, 0, 0, 1, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}},
		{true, 57, {0xfd, 0, 0, 1},
			{0xfd, 0, 0, 1, 0, 0, 0, 127, 255, 255, 255, 255, 255, 255, 255, 255}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v6 = rows[i].v6;
		size_t skip = v6 ? 0 : 12;
		struct block b;
		struct gate g;

		gate_set_up(&g, v6);
		blocks_by_rate(&g);
		g.rules[0].syn_rate = (struct policy_rate){.per_s = 1, .burst = 1};
		g.policy.source_prefix4 = rows[i].bits;
		g.policy.source_prefix6 = rows[i].bits;
		gate_open(&g);
		prove(&g, 0, OPENED);
		GATE_EXPECT(&g, 0, CLIENT, RST, 1, 0, TAKES(CLOSED),
			.effects = "delete rst>server failed:client_reset");
		prove(&g, 0, SOURCE_RATE " block");
		b = block_of(&g.decision);
		assert_int_equal(addr_is_v4(&b.source.first), !v6);
		assert_int_equal(addr_is_v4(&b.source.last), !v6);
		assert_memory_equal(b.source.first.b + skip, rows[i].first, 16 - skip);
		assert_memory_equal(b.source.last.b + skip, rows[i].last, 16 - skip);
		gate_close(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openings_have_a_bound),
		cmocka_unit_test(the_table_has_a_bound),
		cmocka_unit_test(connections_are_counted_at_the_proof),
		cmocka_unit_test(the_rate_holds_for_proofs),
		cmocka_unit_test(completed_handshakes_may_block),
		cmocka_unit_test(a_block_holds_for_all_of_the_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
