/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handshakes, from the first SYN until they are admitted or have failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

/* Another ISN of the same end, as far away as numbers can be. */
#define OTHER 0x7fffffff

#define RUN(list) scenarios_run(list, sizeof(list) / sizeof((list)[0]))

/* clang-format off: a row a line */
static void three_packets_admit(void **state)
{
	const struct scenario list[] = {
		SCENARIO("as always", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("with ECN", NULL,
			{CLIENT, SYN | TCP_ECE | TCP_CWR, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK | TCP_ECE, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("with data on the third ACK", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK | TCP_PSH, 1, 1, ADMITS(OFFLOADED), .len = 1000}),
		SCENARIO("the third ACK lost, data comes", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1001, 1, ADMITS(OFFLOADED), .len = 1000}),
		SCENARIO("the third ACK lost, FIN comes", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, FIN_ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("the third ACK lost, a probe of the zero window comes", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .window = NO_WINDOW},
			{CLIENT, ACK, 0, 1, ADMITS(OFFLOADED)}),
		SCENARIO("what was in the queue behind the third ACK", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)},
			{CLIENT, ACK, 1, 1, PASSES(OFFLOADED), .len = 100},
			{SERVER, SYN_ACK, 0, 1, PASSES(OFFLOADED)},
			{SERVER, ACK, 1, 101, PASSES(OFFLOADED)},
			{SERVER, FIN_ACK, 1, 101, PASSES(OFFLOADED)},
			{CLIENT, FIN_ACK, 101, 2, PASSES(OFFLOADED)},
			{CLIENT, RST, 102, 0, PASSES(OFFLOADED)},
			{SERVER, RST, 2, 0, PASSES(OFFLOADED)},
			{CLIENT, SYN_ACK, 0, 1, DROPS(bad_seq, OFFLOADED)},
			{SERVER, SYN, 0, 0, DROPS(bad_flags, OFFLOADED)}),
		SCENARIO("forgotten a moment after, by the kernel's word a SYN-ACK passes", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)},
			{SERVER, SYN_ACK, 0, 1, PASSES(CLOSED), .marked = true, .after_ms = 2000}),
	};

	(void)state;
	RUN(list);
}

static void what_does_not_fit_is_dropped(void **state)
{
	const struct scenario list[] = {
		SCENARIO("nothing but a SYN opens", NULL,
			{CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED)},
			{CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED), .len = 100},
			{CLIENT, SYN_ACK, 0, 1, DROPS(no_flow, CLOSED)},
			{CLIENT, FIN_ACK, 1, 1, DROPS(no_flow, CLOSED)},
			{CLIENT, RST, 1, 0, DROPS(no_flow, CLOSED)},
			{CLIENT, RST_ACK, 1, 1, DROPS(no_flow, CLOSED)},
			{SERVER, SYN_ACK, 0, 1, DROPS(no_flow, CLOSED)},
			{SERVER, ACK, 1, 1, DROPS(no_flow, CLOSED)},
			{SERVER, FIN_ACK, 1, 1, DROPS(no_flow, CLOSED)},
			{SERVER, RST, 1, 0, DROPS(no_flow, CLOSED)}),
		SCENARIO("flags that no step has", NULL,
			{CLIENT, 0, 1, 0, DROPS(bad_flags, CLOSED)},
			{CLIENT, TCP_FIN, 1, 0, DROPS(bad_flags, CLOSED)},
			{CLIENT, TCP_FIN | TCP_PSH | TCP_URG, 1, 0, DROPS(bad_flags, CLOSED)},
			{CLIENT, SYN | TCP_FIN, 0, 0, DROPS(bad_flags, CLOSED)},
			{CLIENT, SYN | TCP_RST, 0, 0, DROPS(bad_flags, CLOSED)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN | TCP_FIN, 0, 0, DROPS(bad_flags, SYN_SENT)},
			{SERVER, SYN_ACK | TCP_FIN, 0, 1, DROPS(bad_flags, SYN_SENT)},
			{SERVER, RST_ACK | TCP_FIN, 0, 1, DROPS(bad_flags, SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, 0, 1, 0, DROPS(bad_flags, SYN_RCVD)},
			{CLIENT, TCP_FIN, 1, 0, DROPS(bad_flags, SYN_RCVD)}),
		SCENARIO("the client before the server has answered", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, ACK, 1, 1, DROPS(not_established, SYN_SENT)},
			{CLIENT, ACK, 1, 1, DROPS(not_established, SYN_SENT), .len = 5},
			{CLIENT, SYN_ACK, 0, 1, DROPS(not_established, SYN_SENT)},
			{CLIENT, FIN_ACK, 1, 1, DROPS(not_established, SYN_SENT)},
			{CLIENT, RST, 1, 0, DROPS(bad_seq, SYN_SENT)}),
		SCENARIO("a SYN-ACK that acknowledges something else", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 0, DROPS(bad_ack, SYN_SENT)},
			{SERVER, SYN_ACK, 0, 2, DROPS(bad_ack, SYN_SENT)},
			{SERVER, SYN_ACK, 0, OTHER, DROPS(bad_ack, SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, 0, 2, DROPS(bad_ack, SYN_RCVD)}),
		SCENARIO("a third ACK with wrong numbers", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 0, DROPS(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, 1, 2, DROPS(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, 1, OTHER, DROPS(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, -1, 1, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, ACK, 0x10001, 1, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, ACK, OTHER, 1, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, SYN_ACK, 0, 1, DROPS(not_established, SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("a server's SYN after its SYN-ACK", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN, 0, 0, DROPS(bad_seq, SYN_RCVD)}),
	};

	(void)state;
	RUN(list);
}

static void every_step_may_be_sent_again(void **state)
{
	const struct scenario list[] = {
		SCENARIO("each twice", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .after_ms = 1000},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .after_ms = 1000},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)},
			{CLIENT, ACK, 1, 1, PASSES(OFFLOADED)}),
		SCENARIO("a SYN on its way while the SYN-ACK comes back", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)},
			{SERVER, SYN_ACK, 0, 1, PASSES(OFFLOADED)}),
		SCENARIO("a SYN-ACK overtaken by data of the same server (RFC 7413, 4.2.2)", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, ACK, 1, 1, PASSES(SYN_SENT), .len = 100},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("a server that keeps no state answers with another ISN", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, OTHER, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 2, DROPS(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, 1, OTHER + 1ll, ADMITS(OFFLOADED)}),
		SCENARIO("and the client has answered the first", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, OTHER, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("inspected in full, the client's choice holds", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, OTHER, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED)},
			{SERVER, ACK, OTHER + 1ll, 1, DROPS(out_of_window, ESTABLISHED), .len = 9},
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED), .len = 1000},
			{CLIENT, ACK, 1, 1001, PASSES(ESTABLISHED), .len = 1000}),
		SCENARIO("inspected in full, and the later one", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, OTHER, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, OTHER + 1ll, ADMITS(ESTABLISHED)},
			{SERVER, ACK, 1, 1, DROPS(out_of_window, ESTABLISHED), .len = 9},
			{SERVER, ACK, OTHER + 1ll, 1, PASSES(ESTABLISHED), .len = 1000}),
	};

	(void)state;
	RUN(list);
}

static void a_client_may_begin_anew(void **state)
{
	const struct scenario list[] = {
		SCENARIO("before the server answers", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, OTHER + 1ll, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, ACK, OTHER + 1ll, 1, ADMITS(OFFLOADED)}),
		SCENARIO("the older SYN is answered: the client resets that", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED)},
			{CLIENT, RST, 2, 0, DROPS(bad_seq, SYN_RENEWED)},
			{CLIENT, RST, 1, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 77, OTHER + 1ll, PASSES(SYN_RCVD)},
			{CLIENT, ACK, OTHER + 1ll, 78, ADMITS(OFFLOADED)}),
		SCENARIO("a server that keeps no state answers either", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED)},
			{SERVER, SYN_ACK, 77, OTHER + 1ll, PASSES(SYN_RCVD)},
			{CLIENT, ACK, OTHER + 1ll, 78, ADMITS(OFFLOADED)}),
		SCENARIO("after the server answered: challenge and reset (RFC 5961, 4)", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_RENEWED)},
			{SERVER, ACK, 1, 1, PASSES(SYN_RENEWED)},
			{CLIENT, RST, OTHER, 0, DROPS(bad_seq, SYN_RENEWED)},
			{CLIENT, RST, 1, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 77, OTHER + 1ll, PASSES(SYN_RCVD)},
			{CLIENT, ACK, OTHER + 1ll, 78, ADMITS(OFFLOADED)}),
		SCENARIO("after a server answered that keeps no state, or has forgotten", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_RENEWED)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_RENEWED)},
			{SERVER, SYN_ACK, 77, OTHER + 1ll, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, DROPS(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, OTHER + 1ll, 78, ADMITS(OFFLOADED)}),
		SCENARIO("likewise, inspected in full", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_RENEWED), .wscale = 2},
			{SERVER, SYN_ACK, 77, OTHER + 1ll, PASSES(SYN_RCVD), .wscale = 2},
			{CLIENT, ACK, OTHER + 1ll, 78, ADMITS(ESTABLISHED), .len = 1000},
			{SERVER, ACK, 78, OTHER + 1001ll, PASSES(ESTABLISHED), .len = 1000}),
		SCENARIO("the newer SYN was somebody else's: the older one completes", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_RENEWED)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_RENEWED)},
			{CLIENT, ACK, OTHER + 1ll, 1, DROPS(bad_seq, SYN_RENEWED)},
			{CLIENT, ACK, 1, OTHER + 1ll, DROPS(bad_ack, SYN_RENEWED)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("and the server refuses the newer", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_RENEWED)},
			{SERVER, RST_ACK, 9, OTHER, DROPS(bad_seq, SYN_RENEWED)},
			{SERVER, RST, 1, 0, PASSES(CLOSED), .effects = "failed:refused"}),
	};

	(void)state;
	RUN(list);
}

static void a_forged_syn_ends_no_handshake(void **state)
{
	const struct scenario list[] = {
		SCENARIO("before the server answers", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED)},
			{SERVER, ACK, 1, 1, PASSES(SYN_RENEWED)},
			{CLIENT, ACK, 1, OTHER + 1ll, DROPS(bad_ack, SYN_RENEWED)},
			{CLIENT, ACK, OTHER + 1ll, 1, DROPS(bad_seq, SYN_RENEWED)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("the server's challenge overtakes its SYN-ACK", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, ACK, 1, 1, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("many, with the client's own among them", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER + 5ll, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER + 9ll, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_RENEWED)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("behind a challenge about an older connection", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, ACK, 7000, 500, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 500, DROPS(bad_ack, SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("over a standing connection", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .marked = true},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT), .marked = true},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED), .effects = "unmark"},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("refused: so the client hears of its own", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, RST_ACK, -0x40, 1, PASSES(SYN_SENT)},
			{SERVER, RST_ACK, -0x40, OTHER + 1ll, PASSES(CLOSED),
				.effects = "failed:refused"}),
		SCENARIO("inspected in full, each with a window of its own", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .wscale = 7},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT), .window = 1},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RENEWED), .wscale = 7},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED), .len = 1000, .window = 2000},
			{SERVER, ACK, 1, 1001, PASSES(ESTABLISHED), .len = 1000},
			{SERVER, ACK, 200001, 1001, PASSES(ESTABLISHED), .len = 1000}),
		SCENARIO("inspected in full, answered: the forged SYN is not of the live flow",
			gate_inspects_in_full, {CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED)},
			{SERVER, SYN_ACK, 77, OTHER + 1ll, PASSES(ESTABLISHED)},
			{CLIENT, ACK, 1, 1, PASSES(ESTABLISHED), .len = 10}),
	};

	(void)state;
	RUN(list);
}

static void a_server_may_hold_an_older_connection(void **state)
{
	const struct scenario list[] = {
		SCENARIO("challenge, reset, SYN again (RFC 9293, 3.5.1)", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, ACK, 7000, OTHER, PASSES(SYN_SENT)},
			{CLIENT, RST, OTHER - 1, 0, DROPS(bad_seq, SYN_SENT)},
			{CLIENT, RST, OTHER, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("it goes on sending, and closes", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, ACK, 7000, OTHER, PASSES(SYN_SENT), .len = 1000},
			{SERVER, FIN_ACK, 8000, OTHER, PASSES(SYN_SENT)},
			{CLIENT, RST, OTHER, 0, PASSES(SYN_SENT)}),
		SCENARIO("its numbers are not those of the handshake", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, ACK, OTHER, OTHER, PASSES(SYN_RCVD), .len = 1000},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED)},
			{SERVER, ACK, 1, 1, PASSES(ESTABLISHED), .len = 1000}),
	};

	(void)state;
	RUN(list);
}

static void both_may_open_at_once(void **state)
{
	const struct scenario list[] = {
		SCENARIO("two SYNs, two SYN-ACKs (RFC 9293, 3.5)", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{CLIENT, SYN_ACK, 0, 1, PASSES(SYN_CROSSED)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("each twice, and the wrong ones", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{SERVER, SYN, 9, 0, DROPS(bad_seq, SYN_CROSSED)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{CLIENT, SYN, 9, 0, DROPS(bad_seq, SYN_CROSSED)},
			{CLIENT, ACK, 1, 1, DROPS(not_established, SYN_CROSSED)},
			{CLIENT, FIN_ACK, 1, 1, DROPS(not_established, SYN_CROSSED)},
			{CLIENT, SYN_ACK, 0, 2, DROPS(bad_ack, SYN_CROSSED)},
			{CLIENT, SYN_ACK, 0, 1, PASSES(SYN_CROSSED)},
			{CLIENT, SYN_ACK, 0, 1, PASSES(SYN_CROSSED)},
			{SERVER, FIN_ACK, 1, 1, DROPS(not_established, SYN_CROSSED)},
			{SERVER, SYN_ACK, 0, 2, DROPS(bad_ack, SYN_CROSSED)},
			{SERVER, SYN_ACK, 1, 1, DROPS(bad_ack, SYN_CROSSED)},
			{SERVER, ACK, 1, 2, DROPS(bad_ack, SYN_CROSSED)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN, 0, 0, PASSES(SYN_RCVD)},
			{CLIENT, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("the server acknowledges without SYN", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{CLIENT, SYN_ACK, 0, 1, PASSES(SYN_CROSSED)},
			{SERVER, ACK, 1, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("what an older connection left is no answer", NULL,
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{SERVER, ACK, 1, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 2, DROPS(bad_ack, SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("inspected in full, data flows", gate_inspects_in_full,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .wscale = 3},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED), .wscale = 3},
			{CLIENT, SYN_ACK, 0, 1, PASSES(SYN_CROSSED), .wscale = 3},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .wscale = 3},
			{CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED), .len = 1000},
			{CLIENT, SYN_ACK, 0, 1, PASSES(ESTABLISHED)},
			{CLIENT, SYN_ACK, 0, 2, DROPS(bad_seq, ESTABLISHED)},
			{CLIENT, ACK, 1001, 1, PASSES(ESTABLISHED), .len = 1000},
			{SERVER, ACK, 1, 2001, PASSES(ESTABLISHED), .len = 1000}),
		SCENARIO("the client gives up", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{CLIENT, RST, 2, 0, DROPS(bad_seq, SYN_CROSSED)},
			{CLIENT, RST, 1, 0, PASSES(CLOSED), .effects = "failed:client_reset"}),
		SCENARIO("the server gives up", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{SERVER, RST, 2, 0, DROPS(bad_seq, SYN_CROSSED)},
			{SERVER, RST, 1, 0, PASSES(CLOSED), .effects = "failed:refused"}),
	};

	(void)state;
	RUN(list);
}

static void an_rst_must_be_exact(void **state)
{
	const struct scenario list[] = {
		SCENARIO("refused", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, RST, 0, 0, DROPS(bad_ack, SYN_SENT)},
			{SERVER, RST_ACK, 0, 0, DROPS(bad_ack, SYN_SENT)},
			{SERVER, RST_ACK, 0, 2, DROPS(bad_ack, SYN_SENT)},
			{SERVER, RST_ACK, 0, OTHER, DROPS(bad_ack, SYN_SENT)},
			{SERVER, RST_ACK, 0, 1, PASSES(CLOSED), .effects = "failed:refused"},
			{SERVER, RST_ACK, 0, 1, DROPS(no_flow, CLOSED)},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT)}),
		SCENARIO("the server changes its mind", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, RST, 0, 0, DROPS(bad_seq, SYN_RCVD)},
			{SERVER, RST, 2, 0, DROPS(bad_seq, SYN_RCVD)},
			{SERVER, RST_ACK, 9, 1, DROPS(bad_seq, SYN_RCVD)},
			{SERVER, RST, 1, 0, PASSES(CLOSED), .effects = "failed:refused"}),
		SCENARIO("of its two ISNs, either", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{SERVER, SYN_ACK, OTHER, 1, PASSES(SYN_RCVD)},
			{SERVER, RST, 1, 0, PASSES(CLOSED), .effects = "failed:refused"}),
		SCENARIO("the client does not want it", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, RST, 0, 0, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, RST, 2, 0, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, RST, OTHER, 0, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, RST, 1, 0, PASSES(CLOSED), .effects = "failed:client_reset"}),
		SCENARIO("nor with an acknowledgement", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, RST_ACK, 1, 1, PASSES(CLOSED), .effects = "failed:client_reset"}),
		SCENARIO("data in the SYN makes no RST any less exact", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .len = 100},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, RST, 101, 0, DROPS(bad_seq, SYN_RCVD)},
			{CLIENT, RST, 1, 0, PASSES(CLOSED), .effects = "failed:client_reset"}),
	};

	(void)state;
	RUN(list);
}

/* clang-format on */

/* A server that has forgotten a SYN answers its retransmission like a closed port: seq 0. */
static void a_forgetful_listener_refuses(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	g.isn[SERVER] = 0;
	GATE_EXPECT(&g, 0, SERVER, RST_ACK, 0, 2, DROPS(bad_seq, SYN_RCVD));
	GATE_EXPECT(&g, 0, SERVER, RST_ACK, 0, 1, PASSES(CLOSED), .effects = "failed:refused");
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	g.isn[SERVER] = 500000;
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 0, CLIENT, SYN, OTHER, 0, PASSES(SYN_RENEWED));
	g.isn[SERVER] = 0;
	GATE_EXPECT(&g, 0, SERVER, RST_ACK, 0, OTHER + 1ll, PASSES(CLOSED),
		.effects = "failed:refused");
	gate_check_sums(&g);
	gate_close(&g);
}

/* A SYN that conntrack takes for an admitted connection's must not cost that connection its life:
 * anyone can send one. */
static void a_syn_over_a_standing_connection(void **state)
{
	/* clang-format off: a row a line */
	const struct scenario list[] = {
		SCENARIO("the server takes it: nothing is admitted any more", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .marked = true},
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .marked = true},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), .effects = "unmark"},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("the server challenges it, the client does not reset", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .marked = true},
			{SERVER, ACK, 1, 1, PASSES(SYN_SENT)}),
		SCENARIO("the server has none, and refuses", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .marked = true},
			{SERVER, RST_ACK, 0, 1, PASSES(CLOSED),
				.effects = "unmark failed:refused"}),
		SCENARIO("both at once", NULL,
			{CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .marked = true},
			{SERVER, SYN, 0, 0, PASSES(SYN_CROSSED)},
			{SERVER, ACK, 1, 1, PASSES(SYN_RCVD), .effects = "unmark"},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)}),
		SCENARIO("right after it was admitted", NULL, {CLIENT, SYN, 0, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD)},
			{CLIENT, ACK, 1, 1, ADMITS(OFFLOADED)},
			{CLIENT, SYN, OTHER, 0, PASSES(SYN_SENT)},
			{SERVER, SYN_ACK, 9, OTHER + 1ll, PASSES(SYN_RCVD), .effects = "unmark"},
			{CLIENT, ACK, OTHER + 1ll, 10, ADMITS(OFFLOADED)}),
	};
	/* clang-format on */

	(void)state;
	RUN(list);
}

static void a_syn_over_a_standing_connection_comes_to_nothing(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, true);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT), .marked = true);
	assert_string_equal(gate_wait_ms(&g, 60000), "");
	assert_int_equal(gate_state(&g, 0), HS_CLOSED);
	assert_int_equal(engine_counters(g.engine)->started, 0);
	gate_check_sums(&g);
	gate_close(&g);
}

static void numbers_wrap_within_a_handshake(void **state)
{
	struct gate g;

	(void)state;
	gate_set_up(&g, false);
	g.isn[CLIENT] = 0xffffffff;
	g.isn[SERVER] = 0xffffff00;
	gate_inspects_in_full(&g);
	gate_open(&g);
	GATE_EXPECT(&g, 0, CLIENT, SYN, 0, 0, PASSES(SYN_SENT));
	GATE_EXPECT(&g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD));
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1, 1, ADMITS(ESTABLISHED), .len = 1000);
	assert_int_equal(g.decision.segment.seq, 0);
	GATE_EXPECT(&g, 0, SERVER, ACK, 1, 1001, PASSES(ESTABLISHED), .len = 1000);
	GATE_EXPECT(&g, 0, CLIENT, ACK, 1001, 1001, PASSES(ESTABLISHED));
	assert_int_equal(g.decision.segment.ack, 0x2e9);
	gate_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_packets_admit),
		cmocka_unit_test(what_does_not_fit_is_dropped),
		cmocka_unit_test(every_step_may_be_sent_again),
		cmocka_unit_test(a_client_may_begin_anew),
		cmocka_unit_test(a_forged_syn_ends_no_handshake),
		cmocka_unit_test(a_server_may_hold_an_older_connection),
		cmocka_unit_test(both_may_open_at_once),
		cmocka_unit_test(an_rst_must_be_exact),
		cmocka_unit_test(a_forgetful_listener_refuses),
		cmocka_unit_test(a_syn_over_a_standing_connection),
		cmocka_unit_test(a_syn_over_a_standing_connection_comes_to_nothing),
		cmocka_unit_test(numbers_wrap_within_a_handshake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
