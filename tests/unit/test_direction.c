/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One direction of bytes, between TCP sockets on lo and between UNIX sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/direction.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct kind {
	bool tcp;
	bool splice;
};

/* a -> (from, to) -> b */
struct way {
	struct reserve r;
	struct direction d;
	int a, from, to, b;
	size_t put, got;
};

static void tcp_pair(int fds[2])
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	socklen_t len = sizeof(name);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&name, len), 0);
	fds[1] = accept(listener, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(listener);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
}

static void begin(struct way *w, void **state)
{
	const struct kind *k = *state;
	int pairs[2][2];

	*w = (struct way){0};
	for (int i = 0; i < 2; i++)
		if (k->tcp)
			tcp_pair(pairs[i]);
		else
			assert_int_equal(
				socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pairs[i]), 0);
	w->a = pairs[0][0];
	w->from = pairs[0][1];
	w->to = pairs[1][0];
	w->b = pairs[1][1];
	assert_int_equal(reserve_open(&w->r), 0);
	direction_begin(&w->d, k->splice);
}

/* Whatever happened, all is back in the reserve. */
static void end(struct way *w)
{
	direction_end(&w->d, &w->r);
	assert_int_equal(w->r.lent_pipes, 0);
	assert_int_equal(w->r.lent_buffers, 0);
	reserve_close(&w->r);
	for (int i = 0; i < 4; i++) {
		int fd = i == 0 ? w->a : i == 1 ? w->from : i == 2 ? w->to : w->b;

		if (fd >= 0)
			close(fd);
	}
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

/* Up to so many bytes go into a; how many. */
static size_t put(struct way *w, size_t bytes)
{
	uint8_t block[4096];
	size_t sum = 0;

	while (sum < bytes) {
		size_t len = bytes - sum < sizeof(block) ? bytes - sum : sizeof(block);
		ssize_t n;

		for (size_t i = 0; i < len; i++)
			block[i] = pattern(w->put + i);
		n = send(w->a, block, len, MSG_NOSIGNAL);
		if (n < 0)
			break;
		w->put += (size_t)n;
		sum += (size_t)n;
	}
	return sum;
}

/* All that has come to b, which is as it was put; how many bytes. */
static size_t get(struct way *w)
{
	static uint8_t block[65536];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(w->b, block, sizeof(block), 0)) > 0) {
		for (size_t i = 0; i < (size_t)n; i++)
			if (block[i] != pattern(w->got + i))
				fail_msg("byte %zu is wrong", w->got + i);
		w->got += (size_t)n;
		sum += (size_t)n;
	}
	return sum;
}

static enum direction_outcome move(struct way *w)
{
	return direction_move(&w->d, &w->r, w->from, w->to);
}

/* Moves, with b reading on, until there is no more. */
static enum direction_outcome drain(struct way *w)
{
	enum direction_outcome outcome;
	struct pollfd p = {.fd = w->to, .events = POLLOUT};

	do {
		outcome = move(w);
		get(w);
		if (outcome == DIRECTION_WAITS_TO_WRITE)
			poll(&p, 1, 1000);
	} while (outcome == DIRECTION_GOES_ON || outcome == DIRECTION_WAITS_TO_WRITE);
	for (int i = 0; i < 1000 && w->got < w->d.bytes; i++) {
		usleep(1000);
		get(w);
	}
	return outcome;
}

static void test_small(void **state)
{
	struct way w;

	begin(&w, state);
	assert_int_equal(move(&w), DIRECTION_WAITS_TO_READ);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(put(&w, 7), 7);
		assert_int_equal(drain(&w), DIRECTION_WAITS_TO_READ);
		assert_int_equal(w.got, w.put);
	}
	assert_int_equal(w.d.bytes, 1400);
	assert_int_not_equal(w.d.way, DIRECTION_SPLICES);
	shutdown(w.a, SHUT_WR);
	assert_int_equal(drain(&w), DIRECTION_FINISHED);
	end(&w);
}

static void test_bulk(void **state)
{
	const struct kind *k = *state;
	struct way w;

	begin(&w, state);
	while (w.put < 8 << 20) {
		put(&w, 1 << 20);
		assert_int_equal(drain(&w), DIRECTION_WAITS_TO_READ);
	}
	assert_int_equal(w.got, w.put);
	assert_int_equal(w.d.bytes, w.put);
	assert_int_equal(w.d.way == DIRECTION_SPLICES, k->splice);
	/* Nothing is held between two bursts. */
	assert_int_equal(w.r.lent_pipes, 0);
	assert_int_equal(w.r.lent_buffers, 0);
	end(&w);
}

static void test_mixed(void **state)
{
	struct way w;

	begin(&w, state);
	for (int i = 0; i < 60; i++) {
		put(&w, i % 3 ? (size_t)i * 13 + 1 : 300000);
		assert_int_equal(drain(&w), DIRECTION_WAITS_TO_READ);
		assert_int_equal(w.got, w.put);
	}
	/* It comes back to copying. */
	for (int i = 0; i < 60; i++) {
		put(&w, 10);
		assert_int_equal(drain(&w), DIRECTION_WAITS_TO_READ);
	}
	assert_int_not_equal(w.d.way, DIRECTION_SPLICES);
	assert_int_equal(w.got, w.put);
	end(&w);
}

/* The receiver takes nothing for a while; the FIN waits behind what it has not taken. */
static void test_full(void **state)
{
	struct way w;
	enum direction_outcome outcome;

	begin(&w, state);
	do {
		put(&w, 1 << 20);
		outcome = move(&w);
		if (outcome == DIRECTION_WAITS_TO_READ)
			usleep(1000);
	} while (outcome != DIRECTION_WAITS_TO_WRITE && w.put < 64 << 20);
	assert_int_equal(outcome, DIRECTION_WAITS_TO_WRITE);
	assert_true(direction_holds(&w.d));
	assert_int_equal(w.r.lent_pipes + w.r.lent_buffers, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(move(&w), DIRECTION_WAITS_TO_WRITE);
	shutdown(w.a, SHUT_WR);
	assert_int_equal(move(&w), DIRECTION_WAITS_TO_WRITE);
	assert_int_equal(drain(&w), DIRECTION_FINISHED);
	assert_int_equal(w.got, w.put);
	assert_int_equal(move(&w), DIRECTION_FINISHED);
	end(&w);
}

/* It has bulk to give, but can't be spliced from, or to: the bytes go all the same. */
static void test_cannot_splice(void **state)
{
	struct way w;
	char path[] = "/tmp/ackgate-direction-XXXXXX";
	int file = mkstemp(path);
	uint8_t byte;
	const struct kind *k = *state;

	begin(&w, state);
	assert_true(file >= 0);
	unlink(path);
	/* splice(2) refuses what is opened to append; so does send(2), but that comes later. */
	assert_int_equal(fcntl(file, F_SETFL, O_APPEND), 0);
	if (k->splice) {
		put(&w, 100000);
		w.d.way = DIRECTION_SPLICES;
		assert_int_equal(direction_move(&w.d, &w.r, w.from, file), DIRECTION_WRITE_FAILED);
		assert_int_equal(w.d.way, DIRECTION_ONLY_COPIES);
		/* What was in the pipe is still to be had, in its order. */
		assert_true(direction_holds(&w.d));
		assert_int_equal(drain(&w), DIRECTION_WAITS_TO_READ);
		assert_int_equal(w.got, w.put);
	}
	assert_int_equal(read(w.b, &byte, 1), -1);
	close(file);
	end(&w);
}

static void test_prepended(void **state)
{
	struct way w;
	char text[16] = "";

	begin(&w, state);
	assert_true(direction_prepend(&w.d, &w.r, (const uint8_t *)"header", 6));
	assert_true(direction_holds(&w.d));
	assert_int_equal(w.d.bytes, 0);
	assert_int_equal(send(w.a, "text", 4, 0), 4);
	assert_int_equal(move(&w), DIRECTION_WAITS_TO_READ);
	assert_int_equal(w.d.bytes, 4);
	for (size_t n = 0; n < 10;) {
		ssize_t more = recv(w.b, text + n, sizeof(text) - n, 0);

		n += more > 0 ? (size_t)more : 0;
	}
	assert_string_equal(text, "headertext");
	end(&w);
	/* It never left: nothing was passed on. */
	begin(&w, state);
	assert_true(direction_prepend(&w.d, &w.r, (const uint8_t *)"header", 6));
	direction_end(&w.d, &w.r);
	assert_int_equal(w.d.bytes, 0);
	end(&w);
}

/* One turn is bounded, whatever there is to pass on. */
static void test_turn(void **state)
{
	const int bytes = 16 << 20;
	struct way w;
	enum direction_outcome outcome;

	begin(&w, state);
	if (setsockopt(w.from, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
		setsockopt(w.a, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
		setsockopt(w.to, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) {
		end(&w);
		skip();
	}
	put(&w, 4 << 20);
	outcome = move(&w);
	assert_int_equal(outcome, DIRECTION_GOES_ON);
	assert_in_range(w.d.bytes, 1, 2 << 20);
	assert_int_equal(drain(&w), DIRECTION_WAITS_TO_READ);
	assert_int_equal(w.got, w.put);
	end(&w);
}

static void test_discard(void **state)
{
	struct way w;

	begin(&w, state);
	assert_int_equal(direction_discard(&w.r, w.from), DIRECTION_WAITS_TO_READ);
	put(&w, 300000);
	for (int i = 0; i < 100; i++)
		if (direction_discard(&w.r, w.from) != DIRECTION_GOES_ON)
			break;
	shutdown(w.a, SHUT_WR);
	for (int i = 0; i < 100; i++)
		if (direction_discard(&w.r, w.from) == DIRECTION_FINISHED)
			break;
	assert_int_equal(direction_discard(&w.r, w.from), DIRECTION_FINISHED);
	assert_int_equal(recv(w.from, &(char){0}, 1, 0), 0);
	end(&w);
}

static void cut(int *fd)
{
	const struct linger at_once = {.l_onoff = 1};

	assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(*fd);
	*fd = -1;
}

static void test_reset_sender(void **state)
{
	struct way w;

	begin(&w, state);
	put(&w, 5);
	cut(&w.a);
	/* What it has sent goes first. */
	assert_int_equal(drain(&w), DIRECTION_READ_FAILED);
	assert_int_equal(w.got, 5);
	end(&w);
	begin(&w, state);
	cut(&w.a);
	assert_int_equal(move(&w), DIRECTION_READ_FAILED);
	assert_int_equal(errno, ECONNRESET);
	end(&w);
}

static void test_reset_receiver(void **state)
{
	const bool tcp = ((const struct kind *)*state)->tcp;
	struct way w;

	for (int way = 0; way < 2; way++) {
		begin(&w, state);
		if (way && w.d.way != DIRECTION_ONLY_COPIES)
			w.d.way = DIRECTION_SPLICES;
		put(&w, 100000);
		if (tcp)
			cut(&w.b);
		else
			close(w.b);
		w.b = -1;
		assert_int_equal(move(&w), DIRECTION_WRITE_FAILED);
		assert_int_equal(errno, tcp ? ECONNRESET : EPIPE);
		end(&w);
		/* Its FIN came before. */
		if (!tcp)
			continue;
		begin(&w, state);
		put(&w, 100000);
		shutdown(w.b, SHUT_WR);
		cut(&w.b);
		assert_int_equal(move(&w), DIRECTION_WRITE_FAILED);
		assert_int_equal(errno, EPIPE);
		end(&w);
	}
}

#define TCP_KINDS(test)                                                                            \
	{#test " (TCP, spliced)", test, NULL, NULL, &kinds[0]},                                    \
	{                                                                                          \
#test " (TCP, copied)", test, NULL, NULL, &kinds[1]                                \
	}
#define EACH_KIND(test)                                                                            \
	TCP_KINDS(test), {#test " (UNIX, spliced)", test, NULL, NULL, &kinds[2]},                  \
	{                                                                                          \
#test " (UNIX, copied)", test, NULL, NULL, &kinds[3]                               \
	}

int main(void)
{
	static struct kind kinds[] = {{true, true}, {true, false}, {false, true}, {false, false}};
	const struct CMUnitTest tests[] = {
		EACH_KIND(test_small),
		EACH_KIND(test_bulk),
		EACH_KIND(test_mixed),
		EACH_KIND(test_full),
		EACH_KIND(test_cannot_splice),
		EACH_KIND(test_prepended),
		EACH_KIND(test_turn),
		EACH_KIND(test_discard),
		TCP_KINDS(test_reset_sender),
		EACH_KIND(test_reset_receiver),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
