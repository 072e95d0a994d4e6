/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a SYN may carry: Fast Open, data, an MSS too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

/* Another ISN of the same end, as far away as numbers can be. */
#define OTHER 0x7fffffff

static void passes_fastopen(struct gate *g)
{
	g->rules[0].fastopen_strip = false;
}

static void fastopen_in_full(struct gate *g)
{
	passes_fastopen(g);
	gate_inspects_in_full(g);
}

#define RUN(list) scenarios_run(list, sizeof(list) / sizeof((list)[0]))

/* clang-format off: a row a line */
static void fastopen_passes_if_told(void **state)
{
	const struct scenario list[] = {
		SCENARIO("a cookie is asked for", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = FASTOPEN_REQUEST},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .fastopen = 8},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("the data is taken", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 101, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 101, 1, ADMITS(OFFLOADED)}),
		SCENARIO("the data is not taken", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED), .len = 100}),
		SCENARIO("more is acknowledged than was sent", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 102, DROPS(bad_ack, SYN_SENT)}),
		SCENARIO("the server speaks before the third ACK", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 101, PASSES(SYN_RCVD)},
			{SERVER, ACK, 1, 101, PASSES(SYN_RCVD), .len = 1000},
			{SERVER, FIN_ACK, 1001, 101, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 101, 1002, ADMITS(OFFLOADED)}),
		SCENARIO("if it took the data only", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, ACK, 1, 1, PASSES(SYN_RCVD), .len = 1000},
			{CLIENT, ACK, 1, 1001, DROPS(bad_ack, SYN_RCVD)}),
		SCENARIO("sent again without data, then with", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 101, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, 0, 101, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 101, 1, ADMITS(OFFLOADED)}),
		SCENARIO("an RST is exact, data or not", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 101, PASSES(SYN_RCVD)},
			{CLIENT, RST, 1, 0, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, RST, 101, 0, PASSES(CLOSED), .effects = "failed:client_reset"}),
		SCENARIO("refused with its data", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, RST_ACK, 0, 102, DROPS(bad_ack, SYN_SENT)},
			{SERVER, RST_ACK, 0, 101, PASSES(CLOSED), .effects = "failed:refused"}),
		SCENARIO("begun anew with less data", passes_fastopen,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 10},
			{SERVER, SYN_ACK, 0, OTHER + 12ll, DROPS(bad_ack, SYN_SENT)},
			{SERVER, SYN_ACK, 0, OTHER + 11ll, PASSES(SYN_RCVD)},
			{CLIENT, ACK, OTHER + 11ll, 1, ADMITS(OFFLOADED)}),
		SCENARIO("inspected in full, a server that says it all at once", fastopen_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 101, PASSES(SYN_RCVD)},
			{SERVER, ACK, 1, 101, PASSES(SYN_RCVD), .len = 1000},
			{SERVER, FIN_ACK, 1001, 101, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 101, 1, ADMITS(FIN_SERVER)},
			{CLIENT, ACK, 101, 1002, PASSES(HALF_SERVER)},
			{CLIENT, FIN_ACK, 101, 1002, PASSES(LAST_ACK_CLIENT)},
			{SERVER, ACK, 1002, 102, PASSES(TIME_WAIT)}),
		SCENARIO("and a client that closes at once", fastopen_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 101, PASSES(SYN_RCVD)},
			{SERVER, FIN_ACK, 1, 101, PASSES(SYN_RCVD), .len = 1000},
			{CLIENT, FIN_ACK, 101, 1002, ADMITS(LAST_ACK_CLIENT)},
			{SERVER, ACK, 1002, 102, PASSES(TIME_WAIT)}),
	};

	(void)state;
	RUN(list);
}

/* clang-format on */

static void fastopen_is_stripped_by_default(void **state)
{
	/* clang-format off: a row a line */
	const struct scenario list[] = {
		SCENARIO("the data is not expected to be acknowledged", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, 101, DROPS(bad_ack, SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED), .len = 100}),
		SCENARIO("nor after the client began anew", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100},
			{SERVER, SYN_ACK, 0, OTHER + 101ll, DROPS(bad_ack, SYN_SENT)},
			{SERVER, SYN_ACK, 0, OTHER + 1ll, PASSES(SYN_RCVD)}),
	};
	/* clang-format on */
	struct gate g;

	(void)state;
	RUN(list);
	gate_set_up(&g, true);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100);
	assert_true(g.decision.change_syn && g.decision.change.strip_fastopen);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 100);
	assert_true(g.decision.change_syn && g.decision.change.strip_fastopen);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .fastopen = 8);
	assert_true(g.decision.change_syn && g.decision.change.strip_fastopen);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	assert_false(g.decision.change_syn);
	gate_close(&g);
}

static void the_mss_is_lowered(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.rules[0].mss = 1400;
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .mss = 1460);
	assert_true(g.decision.change_syn);
	assert_int_equal(g.decision.change.mss_max, 1400);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .mss = 1400);
	assert_false(g.decision.change_syn);
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .mss = 9000);
	assert_int_equal(g.decision.change.mss_max, 1400);
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(OFFLOADED));
	assert_false(g.decision.change_syn);
	gate_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fastopen_passes_if_told),
		cmocka_unit_test(fastopen_is_stripped_by_default),
		cmocka_unit_test(the_mss_is_lowered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
