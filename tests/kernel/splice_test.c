/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes, FINs and RSTs of spliced connections, and how their records put it. */
#include "config.h"

#include "netns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/session.h"
#include "spliced.h"
#include "spliced_modes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	BULK = 3 << 20, /* bytes; more than any socket buffer takes */
	CLIENT = SPLICE_CLIENT,
	SERVER = SPLICE_SERVER,
};

/* A gate with one server, and a connection through it; ends[] by side. */
static void open_pair(struct spliced *g, void **state, int ends[2])
{
	int server;

	spliced_open(g, *state, 1, "", "");
	server = spliced_server(g, 0);
	spliced_pair(g, server, &ends[CLIENT], &ends[SERVER]);
	close(server);
}

static void test_echo(void **state)
{
	struct spliced g;
	const struct splice_record *r;
	int ends[2];

	open_pair(&g, state, ends);
	for (int i = 0; i < 50; i++) {
		spliced_says(&g, ends[CLIENT], ends[SERVER], "question");
		spliced_says(&g, ends[SERVER], ends[CLIENT], "the answer");
	}
	close(ends[CLIENT]);
	spliced_fin(&g, ends[SERVER]);
	close(ends[SERVER]);
	r = spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	assert_int_equal(r->bytes_in, 50 * 8);
	assert_int_equal(r->bytes_out, 50 * 10);
	assert_int_equal(r->retries, 0);
	spliced_close(&g);
}

/* A slow reader on each side, with more behind it than any buffer takes; then it reads on. */
static void test_bulk(void **state)
{
	for (int from = 0; from < 2; from++) {
		struct spliced g;
		int ends[2];
		size_t sent = 0;
		char block[4096] = "";

		open_pair(&g, state, ends);
		do {
			ssize_t n = send(ends[from], block, sizeof(block), MSG_DONTWAIT);

			spliced_turn(&g);
			if (n < 0)
				spliced_turn_for(&g, 20);
			if (n < 0 && send(ends[from], block, 1, MSG_DONTWAIT) == -1)
				break;
			sent += n < 0 ? 1 : (size_t)n;
		} while (sent < 64 << 20);
		assert_true(sent < 64 << 20);
		/* The other direction does not care. */
		spliced_says(&g, ends[!from], ends[from], "meanwhile");
		shutdown(ends[from], SHUT_WR);
		for (size_t got = 0; got < sent;) {
			static char bytes[65536];
			ssize_t n;

			SPLICED_UNTIL(&g,
				(n = recv(ends[!from], bytes, sizeof(bytes), MSG_DONTWAIT)) != -1);
			assert_true(n > 0);
			got += (size_t)n;
		}
		spliced_fin(&g, ends[!from]);
		close(ends[!from]);
		close(ends[from]);
		spliced_ended(&g, SPLICE_END_closed, (enum splice_side)from, SPLICE_HALF);
		spliced_close(&g);
	}
}

/* All of it arrives as it is; the FIN behind it, not before; the other direction lives on. */
static void test_half_close(void **state)
{
	for (int from = 0; from < 2; from++) {
		struct spliced g;
		int ends[2];

		open_pair(&g, state, ends);
		spliced_sends(&g, ends[from], 100000);
		shutdown(ends[from], SHUT_WR);
		spliced_gets(&g, ends[!from], 100000);
		spliced_fin(&g, ends[!from]);
		spliced_says(&g, ends[!from], ends[from], "still here");
		spliced_silent(&g, ends[from], 20);
		spliced_sends(&g, ends[!from], BULK / 8);
		shutdown(ends[!from], SHUT_WR);
		recv(ends[from], (char[1]){0}, 0, MSG_DONTWAIT);
		spliced_gets(&g, ends[from], BULK / 8);
		spliced_fin(&g, ends[from]);
		close(ends[0]);
		close(ends[1]);
		spliced_ended(&g, SPLICE_END_closed, (enum splice_side)from, SPLICE_HALF);
		spliced_close(&g);
	}
}

/* Data and FIN are there before the server is. */
static void test_early_fin(void **state)
{
	struct spliced g;
	int server, client, there;

	spliced_open(&g, *state, 1, "", "");
	server = spliced_server(&g, 0);
	client = spliced_client(&g);
	assert_int_equal(send(client, "hello", 5, 0), 5);
	shutdown(client, SHUT_WR);
	there = spliced_accept(&g, server);
	spliced_says(&g, there, client, "yes?");
	SPLICED_UNTIL(&g, recv(there, (char[5]){0}, 5, MSG_DONTWAIT) == 5);
	spliced_fin(&g, there);
	close(there);
	spliced_fin(&g, client);
	close(client);
	close(server);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	spliced_close(&g);
}

/* What the server says, and even its end, may be here when the gate hears that it is connected. */
static void test_server_first(void **state)
{
	for (int ends_at_once = 0; ends_at_once < 2; ends_at_once++) {
		struct spliced g;
		int server, client, there;
		char text[8];

		spliced_open(&g, *state, 1, "", "");
		server = spliced_server(&g, 0);
		client = spliced_client(&g);
		event_base_loop(g.splice->loops[0].base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		there = netns_accept(server);
		assert_int_equal(send(there, "banner", 6, 0), 6);
		if (ends_at_once)
			shutdown(there, SHUT_WR);
		SPLICED_UNTIL(&g, recv(client, text, sizeof(text), MSG_DONTWAIT) == 6);
		if (ends_at_once)
			spliced_fin(&g, client);
		close(client);
		spliced_fin(&g, there);
		close(there);
		close(server);
		spliced_ended(&g, SPLICE_END_closed, ends_at_once ? SPLICE_SERVER : SPLICE_CLIENT,
			SPLICE_HALF);
		spliced_close(&g);
	}
}

static void test_reset(void **state)
{
	for (int from = 0; from < 2; from++) {
		struct spliced g;
		int ends[2];

		open_pair(&g, state, ends);
		spliced_says(&g, ends[CLIENT], ends[SERVER], "hello");
		spliced_cut(ends[from]);
		spliced_rst(&g, ends[!from]);
		close(ends[!from]);
		spliced_ended(&g, SPLICE_END_reset, (enum splice_side)from, SPLICE_OPEN);
		spliced_close(&g);
	}
}

/* Bytes for the end that has just broken are what the gate learns it by. */
static void test_reset_while_writing(void **state)
{
	for (int from = 0; from < 2; from++) {
		struct spliced g;
		int ends[2];

		open_pair(&g, state, ends);
		spliced_says(&g, ends[CLIENT], ends[SERVER], "hello");
		assert_int_equal(send(ends[!from], "more", 4, 0), 4);
		spliced_cut(ends[from]);
		spliced_rst(&g, ends[!from]);
		close(ends[!from]);
		spliced_ended(&g, SPLICE_END_reset, (enum splice_side)from, SPLICE_OPEN);
		spliced_close(&g);
	}
}

/* Promptly, although the other end does not read. */
static void test_reset_behind_data(void **state)
{
	for (int from = 0; from < 2; from++) {
		struct spliced g;
		int ends[2];

		open_pair(&g, state, ends);
		for (int i = 0; i < 200; i++) {
			static const char block[65536];

			if (send(ends[from], block, sizeof(block), MSG_DONTWAIT) < 0)
				spliced_turn_for(&g, 1);
		}
		spliced_cut(ends[from]);
		spliced_ended(&g, SPLICE_END_reset, (enum splice_side)from, SPLICE_OPEN);
		close(ends[!from]);
		spliced_close(&g);
	}
}

/* Sent its FIN, then it breaks: the other end gets all of it, the FIN, and an RST after that. */
static void test_reset_after_fin(void **state)
{
	for (int from = 0; from < 2; from++) {
		struct spliced g;
		int ends[2];

		open_pair(&g, state, ends);
		spliced_sends(&g, ends[from], 50000);
		shutdown(ends[from], SHUT_WR);
		spliced_cut(ends[from]);
		spliced_gets(&g, ends[!from], 50000);
		spliced_fin(&g, ends[!from]);
		SPLICED_UNTIL(&g, send(ends[!from], "x", 1, MSG_NOSIGNAL) == -1);
		close(ends[!from]);
		SPLICED_UNTIL(&g, g.ended == 1);
		assert_int_equal(g.records[0].end, SPLICE_END_reset);
		assert_int_equal(g.records[0].by, from);
		g.seen = 1;
		spliced_close(&g);
	}
}

/* It answers and closes without having read all of the request. */
static void test_unread_request(void **state)
{
	struct spliced g;
	int ends[2];

	open_pair(&g, state, ends);
	assert_int_equal(send(ends[CLIENT], "unread", 6, 0), 6);
	spliced_turn_for(&g, 5);
	assert_int_equal(send(ends[SERVER], "x", 1, 0), 1);
	spliced_sends(&g, ends[SERVER], 50000);
	shutdown(ends[SERVER], SHUT_WR);
	close(ends[SERVER]);
	assert_int_equal(send(ends[CLIENT], "more of it", 10, 0), 10);
	SPLICED_UNTIL(&g, recv(ends[CLIENT], (char[1]){0}, 1, MSG_DONTWAIT) == 1);
	spliced_gets(&g, ends[CLIENT], 50000);
	spliced_fin(&g, ends[CLIENT]);
	SPLICED_UNTIL(&g, g.ended == 1);
	assert_int_equal(g.records[0].end, SPLICE_END_reset);
	assert_int_equal(g.records[0].by, SPLICE_SERVER);
	g.seen = 1;
	close(ends[CLIENT]);
	spliced_close(&g);
}

/* FIN and RST are both there when the gate looks: neither waits for the other end to do something.
 */
static void test_fin_with_reset(void **state)
{
	for (int from = 0; from < 2; from++) {
		struct spliced g;
		int ends[2];

		open_pair(&g, state, ends);
		spliced_says(&g, ends[CLIENT], ends[SERVER], "hello");
		assert_int_equal(send(ends[from], "bye", 3, 0), 3);
		shutdown(ends[from], SHUT_WR);
		spliced_cut(ends[from]);
		spliced_ended(&g, SPLICE_END_reset, (enum splice_side)from, SPLICE_LINGER);
		assert_int_equal(recv(ends[!from], (char[3]){0}, 3, 0), 3);
		spliced_fin(&g, ends[!from]);
		assert_int_equal(send(ends[!from], "x", 1, MSG_NOSIGNAL), -1);
		close(ends[!from]);
		spliced_close(&g);
	}
}

static void set_buffer(int fd, int option)
{
	const int bytes = 16 << 20;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes)), 0);
}

/* Who has much to say has its turn, and then it is others'. */
static void test_turns(void **state)
{
	static const char block[65536];
	struct spliced g;
	const struct session *s;
	int ends[2];
	uint64_t before;
	size_t sent = 0;

	open_pair(&g, state, ends);
	spliced_says(&g, ends[CLIENT], ends[SERVER], "hello");
	s = TAILQ_FIRST(&g.splice->loops[0].sessions);
	set_buffer(ends[CLIENT], SO_SNDBUFFORCE);
	set_buffer(s->ends[CLIENT].fd, SO_RCVBUFFORCE);
	set_buffer(s->ends[SERVER].fd, SO_SNDBUFFORCE);
	while (sent < 6 << 20) {
		ssize_t n = send(ends[CLIENT], block, sizeof(block), MSG_DONTWAIT);

		assert_true(n > 0);
		sent += (size_t)n;
	}
	for (int i = 0; i < 3; i++) {
		before = s->directions[CLIENT].bytes;
		spliced_turn(&g);
		assert_in_range(s->directions[CLIENT].bytes - before, 1, 3 << 20);
	}
	spliced_cut(ends[CLIENT]);
	close(ends[SERVER]);
	SPLICED_UNTIL(&g, g.ended == 1);
	g.seen = 1;
	spliced_close(&g);
}

/* splice(2) stops at an urgent byte; it is left out, and what follows comes. */
static void test_urgent(void **state)
{
	struct spliced g;
	int ends[2];

	open_pair(&g, state, ends);
	spliced_says(&g, ends[CLIENT], ends[SERVER], "hello");
	set_buffer(ends[CLIENT], SO_SNDBUFFORCE);
	set_buffer(TAILQ_FIRST(&g.splice->loops[0].sessions)->ends[CLIENT].fd, SO_RCVBUFFORCE);
	spliced_sends(&g, ends[CLIENT], 300000);
	assert_int_equal(send(ends[CLIENT], "!", 1, MSG_OOB), 1);
	spliced_gets(&g, ends[SERVER], 300000);
	spliced_sends(&g, ends[CLIENT], 300000);
	spliced_gets(&g, ends[SERVER], 300000);
	close(ends[CLIENT]);
	spliced_fin(&g, ends[SERVER]);
	close(ends[SERVER]);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	spliced_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_MODE(test_echo),
		EACH_MODE(test_bulk),
		EACH_MODE(test_half_close),
		EACH_MODE(test_early_fin),
		EACH_MODE(test_server_first),
		EACH_MODE(test_reset),
		EACH_MODE(test_reset_while_writing),
		EACH_MODE(test_reset_behind_data),
		EACH_MODE(test_reset_after_fin),
		EACH_MODE(test_unread_request),
		EACH_MODE(test_fin_with_reset),
		EACH_MODE(test_turns),
		EACH_MODE(test_urgent),
	};

	return spliced_run(tests);
}
