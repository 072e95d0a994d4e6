/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cookies that another process has sent, and what it left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cookie_rows.h"

/* Another process, or another gate with the same secret, has sent it. */
static void restarted(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	gate_restart(g, false);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
}

/*
 * The earlier one has opened the connection to the server, and was killed. The kernel has an entry,
 * so that the client's ACKs look like those of any other; so they do when the server's SYN-ACK has
 * come again.
 */
static void killed_while_opening(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	gate_restart(g, false);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 2, DROPS(no_flow, CLOSED), .cookie = true, .tsval = 78);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, .cookie = true, .tsval = 78);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
}

static void killed_and_answered(struct gate *g)
{
	g->policy.adopt = true;
	g->policy.adopt_window = 30;
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	gate_restart(g, false);
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, PASSES(SYN_RCVD), ANSWERS);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 2, DROPS(bad_ack, SYN_RCVD), .cookie = true, .tsval = 78);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, TAKES(OPENING), .cookie = true, .tsval = 78,
		.effects = "rst>server failed:client_reset delete syn>server");
	GATE_EXPECT(g, 0, SERVER, SYN_ACK, 0, 1, TRANSLATED, ANSWERS);
}

static void shared_by_gates(struct gate *g)
{
	GATE_EXPECT(g, 0, CLIENT, SYN, 0, 0, CHALLENGED, ASKS);
	gate_restart(g, false);
	gate_wait_ms(g, 200000);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, DROPS(no_flow, CLOSED), PROVES);
	g->policy.cookies_shared = true;
	engine_set_policy(g->engine, &g->policy);
	GATE_EXPECT(g, 0, CLIENT, ACK, 1, 1, PROVEN, PROVES);
}

static void cookies_of_an_earlier_process_are_good(void **state)
{
	(void)state;
	gates_run(gate_gives_cookies, restarted);
	gates_run(gate_gives_cookies, killed_while_opening);
	gates_run(gate_gives_cookies, killed_and_answered);
	gates_run(gate_gives_cookies, shared_by_gates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookies_of_an_earlier_process_are_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
