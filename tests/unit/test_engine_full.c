/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inspect = full: from the third ACK to TIME-WAIT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

#define OTHER     0x7fffffff
#define RUN(list) scenarios_run(list, sizeof(list) / sizeof((list)[0]))
#define FULL(name, ...)                                                                            \
	SCENARIO(name, gate_inspects_in_full, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},               \
		{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},                                         \
		{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED)}, __VA_ARGS__)

/* clang-format off: a row a line */
static void a_connection_closes(void **state)
{
	const struct scenario list[] = {
		FULL("the client first", {CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .len = 100},
			{SERVER, ACK, 1, 101, PASSES(ESTABLISHED), .len = 200},
			{CLIENT, FIN_ACK, 101, 201, PASSES(FIN_CLIENT)},
			{SERVER, ACK, 201, 101, PASSES(FIN_CLIENT), .len = 10},
			{SERVER, ACK, 211, 102, PASSES(HALF_CLIENT)},
			{SERVER, ACK, 211, 102, PASSES(HALF_CLIENT), .len = 1000},
			{CLIENT, ACK, 102, 1211, PASSES(HALF_CLIENT)},
			{SERVER, FIN_ACK, 1211, 102, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 102, 1211, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 102, 1212, PASSES(TIME_WAIT)},
			{SERVER, FIN_ACK, 1211, 102, PASSES(TIME_WAIT)},
			{CLIENT, ACK, 102, 1212, PASSES(TIME_WAIT)}),
		FULL("the server first", {SERVER, FIN_ACK, 1, 1, PASSES(FIN_SERVER), .len = 50},
			{CLIENT, ACK, 1, 51, PASSES(FIN_SERVER)},
			{CLIENT, ACK, 1, 52, PASSES(HALF_SERVER)},
			{CLIENT, ACK, 1, 52, PASSES(HALF_SERVER), .len = 500},
			{SERVER, ACK, 52, 501, PASSES(HALF_SERVER)},
			{CLIENT, FIN_ACK, 501, 52, PASSES(LAST_ACK_CLIENT)},
			{SERVER, ACK, 52, 502, PASSES(TIME_WAIT)}),
		FULL("one after the other, the acknowledgement in the FIN",
			{CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT)},
			{SERVER, FIN_ACK, 1, 2, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 2, 2, PASSES(TIME_WAIT)}),
		FULL("both at once", {CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT)},
			{SERVER, FIN_ACK, 1, 1, PASSES(CLOSING)},
			{CLIENT, FIN_ACK, 1, 1, PASSES(CLOSING)},
			{CLIENT, ACK, 2, 2, PASSES(LAST_ACK_CLIENT)},
			{SERVER, ACK, 2, 1, PASSES(LAST_ACK_CLIENT)},
			{SERVER, ACK, 2, 2, PASSES(TIME_WAIT)}),
		FULL("both at once, the server hears first",
			{SERVER, FIN_ACK, 1, 1, PASSES(FIN_SERVER)},
			{CLIENT, FIN_ACK, 1, 1, PASSES(CLOSING)},
			{SERVER, ACK, 2, 2, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 2, 2, PASSES(TIME_WAIT)}),
		FULL("every FIN and its acknowledgement lost once",
			{CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT)},
			{CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT)},
			{SERVER, ACK, 1, 2, PASSES(HALF_CLIENT)},
			{CLIENT, FIN_ACK, 1, 1, PASSES(HALF_CLIENT)},
			{SERVER, ACK, 1, 2, PASSES(HALF_CLIENT)},
			{SERVER, FIN_ACK, 1, 2, PASSES(LAST_ACK_SERVER)},
			{SERVER, FIN_ACK, 1, 2, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 2, 2, PASSES(TIME_WAIT)},
			{SERVER, FIN_ACK, 1, 2, PASSES(TIME_WAIT)},
			{CLIENT, ACK, 2, 2, PASSES(TIME_WAIT)}),
		SCENARIO("with the third ACK", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, FIN_ACK, 1, 1, ADMITS(FIN_CLIENT), .len = 100},
			{SERVER, FIN_ACK, 1, 102, PASSES(LAST_ACK_SERVER), .len = 1000},
			{CLIENT, ACK, 102, 1002, PASSES(TIME_WAIT)}),
	};

	(void)state;
	RUN(list);
}

static void an_rst_ends_it_if_its_receiver_obeys(void **state)
{
	const struct scenario list[] = {
		FULL("the client's, at its next number",
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .len = 100},
			{CLIENT, RST, 101, 0, PASSES(RESET)}, {CLIENT, RST, 101, 0, PASSES(RESET)}),
		FULL("the server's, at what is acknowledged of it",
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED), .len = 100},
			{CLIENT, ACK, 1, 51, PASSES(ESTABLISHED)},
			{SERVER, RST, 51, 0, PASSES(RESET)}),
		FULL("in between: the receiver challenges it (RFC 5961, 3.2)",
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED), .len = 100},
			{SERVER, RST, 50, 0, PASSES(ESTABLISHED)},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED)},
			{SERVER, RST, 1, 0, PASSES(RESET)}),
		FULL("out of window", {CLIENT, RST, 200000, 0, DROPS(out_of_window, ESTABLISHED)},
			{CLIENT, RST, OTHER, 0, DROPS(out_of_window, ESTABLISHED)},
			{CLIENT, RST, -200000, 0, DROPS(out_of_window, ESTABLISHED)},
			{SERVER, RST, OTHER, 0, DROPS(out_of_window, ESTABLISHED)},
			{CLIENT, RST_ACK, 1, 2, DROPS(out_of_window, ESTABLISHED)}),
		FULL("data was lost before it: challenge and answer pass",
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .len = 100},
			{CLIENT, RST, 101, 0, PASSES(RESET)}, {SERVER, ACK, 1, 1, PASSES(RESET)},
			{CLIENT, RST, 1, 0, PASSES(RESET)},
			{SERVER, ACK, OTHER, 1, DROPS(out_of_window, RESET)},
			{SERVER, SYN_ACK, 0, 1, DROPS(no_flow, RESET)}),
		FULL("while it closes", {CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT)},
			{SERVER, ACK, 1, 2, PASSES(HALF_CLIENT)},
			{SERVER, RST_ACK, 1, 2, PASSES(RESET)}),
		FULL("changes nothing in TIME-WAIT (RFC 1337)",
			{CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT)},
			{SERVER, FIN_ACK, 1, 2, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 2, 2, PASSES(TIME_WAIT)},
			{SERVER, RST, 2, 0, PASSES(TIME_WAIT)},
			{CLIENT, RST, OTHER, 0, DROPS(out_of_window, TIME_WAIT)}),
	};

	(void)state;
	RUN(list);
}

static void a_syn_on_a_flow(void **state)
{
	const struct scenario list[] = {
		FULL("a live one: the server challenges (RFC 5961, 4)",
			{CLIENT, SYN, OTHER, 0, PASSES(ESTABLISHED)},
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED)},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .len = 100}),
		FULL("the client has forgotten it, and resets",
			{CLIENT, SYN, OTHER, 0, PASSES(ESTABLISHED)},
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED)},
			{CLIENT, RST, 1, 0, PASSES(RESET)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 5000, OTHER + 1ll, PASSES(SYN_RCVD)},
			{CLIENT, ACK, OTHER + 1ll, 5001, ADMITS(ESTABLISHED)}),
		FULL("both have forgotten it",
			{CLIENT, SYN, OTHER, 0, PASSES(ESTABLISHED), .wscale = 7},
			{SERVER, SYN_ACK, 5000, OTHER + 2ll, PASSES(ESTABLISHED), .wscale = 7},
			{SERVER, SYN_ACK, 5000, OTHER + 1ll, PASSES(SYN_RCVD), .wscale = 7,
				.effects = "unmark"},
			{CLIENT, ACK, 1, 1, DROPS(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, OTHER + 1ll, 5001, ADMITS(ESTABLISHED), .window = 2000},
			{SERVER, ACK, 5001, OTHER + 1ll, PASSES(ESTABLISHED), .len = 1000},
			{SERVER, ACK, 205001, OTHER + 1ll, PASSES(ESTABLISHED), .len = 1000},
			{CLIENT, ACK, OTHER + 1ll, 6001, PASSES(ESTABLISHED), .len = 1000}),
		FULL("the third ACK was lost behind the gate",
			{SERVER, SYN_ACK, 0, 1, PASSES(ESTABLISHED)},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED)}),
		FULL("a half-closed one", {CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT)},
			{SERVER, ACK, 1, 2, PASSES(HALF_CLIENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(HALF_CLIENT)},
			{SERVER, ACK, 1, 2, PASSES(HALF_CLIENT)},
			{CLIENT, RST, 2, 0, PASSES(RESET)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)}),
		FULL("one in TIME-WAIT", {CLIENT, FIN_ACK, 1, 1, PASSES(FIN_CLIENT)},
			{SERVER, FIN_ACK, 1, 2, PASSES(LAST_ACK_SERVER)},
			{CLIENT, ACK, 2, 2, PASSES(TIME_WAIT)},
			{CLIENT, SYN, 70000, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 5000, 70001, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 70001, 5001, ADMITS(ESTABLISHED)}),
		FULL("one in TIME-WAIT, which the server still has (RFC 6191)",
			{SERVER, FIN_ACK, 1, 1, PASSES(FIN_SERVER)},
			{CLIENT, FIN_ACK, 1, 2, PASSES(LAST_ACK_CLIENT)},
			{SERVER, ACK, 2, 2, PASSES(TIME_WAIT)},
			{CLIENT, SYN, 70000, 0, PASSES(SYN_SENT)},
			{SERVER, ACK, 2, 2, PASSES(SYN_SENT)},
			{CLIENT, RST, 2, 0, PASSES(SYN_SENT)}),
		FULL("from the server's side", {SERVER, SYN, 0, 0, DROPS(bad_flags, ESTABLISHED)},
			{CLIENT, SYN_ACK, 0, 1, DROPS(bad_seq, ESTABLISHED)}),
	};

	(void)state;
	RUN(list);
}

static void segments_must_be_in_window(void **state)
{
	const struct scenario list[] = {
		SCENARIO("without scaling", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .window = 1000},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .window = 2000},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED), .window = 1000},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .window = 1000, .len = 1000},
			{CLIENT, ACK, 1001, 1, PASSES(ESTABLISHED), .window = 1000, .len = 1000},
			{CLIENT, ACK, 2001, 1, PASSES(ESTABLISHED), .window = 1000, .len = 1},
			{CLIENT, ACK, 2001, 1, DROPS(out_of_window, ESTABLISHED), .len = 1000},
			{SERVER, ACK, 1, 1001, PASSES(ESTABLISHED), .window = 2000},
			{CLIENT, ACK, 2001, 1, PASSES(ESTABLISHED), .window = 1000, .len = 1000},
			{SERVER, ACK, 1, 1001, DROPS(out_of_window, ESTABLISHED), .len = 1200},
			{SERVER, ACK, 1, 3002, DROPS(out_of_window, ESTABLISHED)},
			{SERVER, ACK, 1, 3001, PASSES(ESTABLISHED), .len = 1000}),
		SCENARIO("with scaling", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .window = 1000, .wscale = 4},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .window = 1000, .wscale = 2},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED), .window = 1000},
			{SERVER, ACK, 15000, 1, PASSES(ESTABLISHED), .window = 1000, .len = 1000},
			{SERVER, ACK, 16000, 1, DROPS(out_of_window, ESTABLISHED), .len = 1000},
			{CLIENT, ACK, 3002, 1, PASSES(ESTABLISHED), .window = 1000, .len = 1000},
			{CLIENT, ACK, 4002, 1, DROPS(out_of_window, ESTABLISHED), .len = 1000}),
		SCENARIO("scaling that the server does not take up", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .window = 1000, .wscale = 4},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .window = 1000},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED), .window = 1000},
			{SERVER, ACK, 1002, 1, DROPS(out_of_window, ESTABLISHED), .len = 1000},
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED), .len = 1000}),
		SCENARIO("a zero window and its probes", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .window = NO_WINDOW},
			{CLIENT, ACK, 0, 1, ADMITS(ESTABLISHED)},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .len = 1},
			{CLIENT, ACK, 1, 1, DROPS(out_of_window, ESTABLISHED), .len = 1000},
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED), .window = 5000},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .len = 1000}),
		SCENARIO("data that was stripped of the SYN comes again", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .fastopen = 8, .len = 1000},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .window = 1000},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED), .len = 1000},
			{SERVER, ACK, 1, 1001, PASSES(ESTABLISHED), .window = 1000},
			{CLIENT, ACK, 1001, 1, PASSES(ESTABLISHED), .len = 1000},
			{CLIENT, ACK, 2001, 1, DROPS(out_of_window, ESTABLISHED), .len = 1000}),
		FULL("keepalives", {CLIENT, ACK, 0, 1, PASSES(ESTABLISHED)},
			{CLIENT, ACK, 0, 1, PASSES(ESTABLISHED), .len = 1},
			{SERVER, ACK, 0, 1, PASSES(ESTABLISHED)}),
		FULL("a blind attacker's",
			{CLIENT, ACK, OTHER, 1, DROPS(out_of_window, ESTABLISHED), .len = 10},
			{CLIENT, ACK, 1, OTHER, DROPS(out_of_window, ESTABLISHED), .len = 10},
			{CLIENT, ACK, 1, 2, DROPS(out_of_window, ESTABLISHED)},
			{CLIENT, FIN_ACK, OTHER, 1, DROPS(out_of_window, ESTABLISHED)},
			{SERVER, FIN_ACK, OTHER, 1, DROPS(out_of_window, ESTABLISHED)}),
		FULL("flags that no step has", {CLIENT, 0, 1, 0, DROPS(bad_flags, ESTABLISHED)},
			{CLIENT, TCP_FIN, 1, 0, DROPS(bad_flags, ESTABLISHED)},
			{SERVER, SYN_ACK | TCP_FIN, 1, 1, DROPS(bad_flags, ESTABLISHED)}),
	};

	(void)state;
	RUN(list);
}
/* clang-format on */

/* 300 kB each way from ISNs such that every number wraps, a window at a time. */
static void numbers_wrap_under_way(void **state)
{
	enum {
		CHUNK = 1460,
		CHUNKS = 200,
	};
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	g.isn[CLIENT] = 0xffffffff - 100000;
	g.isn[SERVER] = 0x7fffffff - 100000;
	gate_inspects_in_full(&g);
	gate_open(&g);
	gate_admit(&g, 0);
	for (unsigned i = 0; i < CHUNKS; i++) {
		GATE_EXPECT(&g, 0, CLIENT, ACK, 1 + i * CHUNK, 1 + i * CHUNK, PASSES(ESTABLISHED),
			.len = CHUNK);
		GATE_EXPECT(&g, 0, SERVER, ACK, 1 + i * CHUNK, 1 + (i + 1) * CHUNK,
			PASSES(ESTABLISHED), .len = CHUNK);
	}
	gate_check_sums(&g);
	gate_close(&g);
}

/* A flow found in the queue of admitted ones, which this engine has never seen. */
static void an_admitted_flow_is_joined_midway(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_inspects_in_full(&g);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, RST, 9, 0, PASSES(CLOSED), .admitted = true);
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .admitted = true, .len = 10);
	GATE_EXPECT(&g, 0, SERVER, ACK, 4000000, 11, PASSES(ESTABLISHED), .admitted = true);
	GATE_EXPECT(&g, 0, SERVER, FIN_ACK, 4000000, 11, PASSES(FIN_SERVER), .admitted = true);
	GATE_EXPECT(&g, 0, CLIENT, FIN_ACK, 11, 4000001, PASSES(LAST_ACK_CLIENT), .admitted = true);
	GATE_EXPECT(&g, 0, SERVER, ACK, 4000001, 12, PASSES(TIME_WAIT), .admitted = true);
	assert_int_equal(engine_counters(g.engine)->adopted, 1);
	gate_check_sums(&g);
	gate_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_closes),
		cmocka_unit_test(an_rst_ends_it_if_its_receiver_obeys),
		cmocka_unit_test(a_syn_on_a_flow),
		cmocka_unit_test(segments_must_be_in_window),
		cmocka_unit_test(numbers_wrap_under_way),
		cmocka_unit_test(an_admitted_flow_is_joined_midway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
