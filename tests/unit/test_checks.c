/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks of real servers on this host: sockets at loopback's ephemeral ports, and UNIX ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/checks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	INTERVAL_MS = 60,
	PATIENCE_MS = 10000,
};

static struct event_base *base;
static struct checks *checks;

static char told[8][128];
static unsigned told_count;

static void hear(void *arg, enum config_log_level level, const char *sentence)
{
	(void)arg;
	assert_in_range(level, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE);
	snprintf(told[told_count++ % 8], sizeof(told[0]), "%s", sentence);
}

static const struct server_hooks hooks = {.told = hear};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int set_up(void **state)
{
	(void)state;
	told_count = 0;
	base = event_base_new();
	checks = checks_new(base);
	return base && checks ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	checks_free(checks);
	event_base_free(base);
	return 0;
}

static void turn_for(uint64_t ms)
{
	struct timeval t = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};

	event_base_loopexit(base, &t);
	event_base_dispatch(base);
}

static struct backend_view look(const struct backend *b, unsigned index)
{
	struct backend_view v;

	backend_view(b, index, &v);
	return v;
}

static void turn_until_state(const struct backend *b, enum server_state expected)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (look(b, 0).state != expected && now_ms() < end)
		turn_for(5);
	assert_int_equal(look(b, 0).state, expected);
}

static void turn_until_last(const struct backend *b, const char *expected)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (strcmp(look(b, 0).last, expected) != 0 && now_ms() < end)
		turn_for(5);
	assert_string_equal(look(b, 0).last, expected);
}

/* 0: any port, which is then told. */
static int listen_at(uint16_t *port, int backlog)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* The next check's connection, while the loop turns. */
static int accept_at(int listener)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0 && now_ms() < end)
		turn_for(5);
	assert_true(fd >= 0);
	return fd;
}

static unsigned accept_all(int listener)
{
	unsigned n = 0;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		close(fd);
		n++;
	}
	return n;
}

static struct config_server server_at(uint16_t port, const char *name)
{
	return (struct config_server){name, SERVER_ADDR,
		{addr_v4((const uint8_t[]){127, 0, 0, 1}), port}, NULL, NULL, 1, 0};
}

static struct config_backend checked(const struct config_server *servers, size_t count)
{
	return (struct config_backend){
		.name = "web",
		.servers = servers,
		.server_count = count,
		.check = CHECK_TCP,
		.check_interval_us = INTERVAL_MS * 1000,
		.rise = 2,
		.fall = 3,
	};
}

static struct backend *in_force(const struct config_backend *c, const struct backend *old)
{
	struct backend *b = backend_new(c, old, &hooks, now_ms() * 1000);

	assert_non_null(b);
	assert_true(checks_set(checks, &b, 1));
	return b;
}

static void a_server_goes_down_and_comes_up(void **state)
{
	uint16_t port = 0;
	int listener = listen_at(&port, 16);
	struct config_server s = server_at(port, "a:1");
	struct config_backend c = checked(&s, 1);
	struct backend *b = in_force(&c, NULL);

	(void)state;
	turn_until_last(b, "connected");
	assert_int_equal(look(b, 0).state, SERVER_UP);
	close(listener);
	turn_until_state(b, SERVER_DOWN);
	assert_string_equal(look(b, 0).last, "connection refused");
	assert_int_equal(look(b, 0).failures, 0);
	turn_for(2 * INTERVAL_MS);
	assert_int_equal(told_count, 1);
	assert_string_equal(told[0], "server web/a:1 is down: connection refused");

	listener = listen_at(&port, 16);
	turn_until_state(b, SERVER_UP);
	assert_int_equal(told_count, 2);
	assert_string_equal(told[1], "server web/a:1 is up again after 0 s");
	close(listener);
	backend_unref(b);
}

/* A server that speaks first must not meet a RST for what was left unread. */
static void a_check_ends_politely(void **state)
{
	uint16_t port = 0;
	int listener = listen_at(&port, 16);
	struct config_server s = server_at(port, "a:1");
	struct config_backend c = checked(&s, 1);
	char banner[1000] = "220 ready\r\n";

	(void)state;
	c.check_interval_us = 500000;
	struct backend *b = in_force(&c, NULL);
	int fd = accept_at(listener);
	assert_int_equal(send(fd, banner, sizeof(banner), MSG_NOSIGNAL), sizeof(banner));
	turn_for(100);
	assert_int_equal(send(fd, banner, sizeof(banner), MSG_NOSIGNAL), sizeof(banner));
	turn_for(100);
	assert_int_equal(recv(fd, banner, sizeof(banner), 0), 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(p.revents & (POLLERR | POLLHUP), 0);
	close(fd);
	close(listener);
	backend_unref(b);
}

/* It answers our FIN with bytes without end: we leave after some of them. */
static void nobody_keeps_a_check_open(void **state)
{
	uint16_t port = 0;
	int listener = listen_at(&port, 16);
	struct config_server s = server_at(port, "a:1");
	struct config_backend c = checked(&s, 1);
	static const char bytes[8192];
	uint64_t sent = 0;

	(void)state;
	c.check_interval_us = 60000000;
	struct backend *b = in_force(&c, NULL);
	int fd = accept_at(listener);
	uint64_t end = now_ms() + PATIENCE_MS;
	for (;;) {
		ssize_t n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (uint64_t)n : 0;
		turn_for(1);
		assert_true(now_ms() < end);
	}
	assert_true(sent >= 65536);
	close(fd);
	close(listener);
	backend_unref(b);
}

/* Its backlog is full, so that SYNs stay without an answer: down at the `fall`th of such checks. */
static void assert_silence(uint64_t interval_us, uint32_t fall)
{
	uint16_t port = 0;
	int listener = listen_at(&port, 0), fill[2];
	struct config_server s = server_at(port, "a:1");
	struct config_backend c = checked(&s, 1);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned i = 0; i < 2; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&a, sizeof(a));
	}
	c.check_interval_us = interval_us;
	c.fall = fall;
	struct backend *b = in_force(&c, NULL);
	turn_until_state(b, SERVER_DOWN);
	assert_string_equal(told[0], "server web/a:1 is down: connection timed out");
	for (unsigned i = 0; i < 2; i++)
		close(fill[i]);
	close(listener);
	backend_unref(b);
}

static void silence_counts_as_failure(void **state)
{
	(void)state;
	assert_silence(INTERVAL_MS * 1000, 3);
}

static void silence_is_waited_for_five_seconds_at_most(void **state)
{
	(void)state;
	assert_silence(60000000, 1);
}

static void unix_servers_are_checked_alike(void **state)
{
	char folder[] = "/tmp/test_checks.XXXXXX", path[64], name[80];
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	snprintf(name, sizeof(name), "unix:%s", path);
	strcpy(a.sun_path, path);
	struct config_server s = {name, SERVER_UNIX, {{{0}}, 0}, NULL, path, 1, 0};
	struct config_backend c = checked(&s, 1);
	struct backend *b = in_force(&c, NULL);
	turn_until_state(b, SERVER_DOWN);
	assert_string_equal(look(b, 0).last, "no such file or directory");
	assert_string_equal(look(b, 0).where, name);

	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 0), 0);
	int fd = accept_at(listener);
	turn_until_last(b, "connected");
	close(fd);
	turn_until_last(b, "its backlog is full");
	close(listener);
	unlink(path);
	rmdir(folder);
	backend_unref(b);
}

static void what_is_disabled_is_left_in_peace_and_what_drains_is_not(void **state)
{
	uint16_t port = 0;
	int listener = listen_at(&port, 64);
	struct config_server s = server_at(port, "a:1");
	struct config_backend c = checked(&s, 1);
	struct backend *b = backend_new(&c, NULL, &hooks, 0);

	(void)state;
	backend_administer(b, "a:1", SERVER_DISABLED, 0);
	assert_true(checks_set(checks, &b, 1));
	turn_for(3 * INTERVAL_MS);
	assert_int_equal(accept_all(listener), 0);
	backend_administer(b, "a:1", SERVER_DRAINING, 0);
	close(accept_at(listener));
	close(listener);
	backend_unref(b);
}

static void checks_spread_over_the_interval(void **state)
{
	static const char *const names[] = {"a:1", "b:1", "c:1", "d:1"};
	uint16_t port = 0;
	int listener = listen_at(&port, 64);
	struct config_server servers[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		servers[i] = server_at(port, names[i]);
	struct config_backend c = checked(servers, 4);
	c.check_interval_us = 1200000;
	struct backend *b = in_force(&c, NULL);
	close(accept_at(listener));
	uint64_t since = now_ms();
	for (unsigned i = 1; i < 4; i++)
		close(accept_at(listener));
	assert_in_range(now_ms() - since, 500, PATIENCE_MS);
	close(listener);
	backend_unref(b);
}

static void reloads_in_a_row_put_no_check_off(void **state)
{
	uint16_t port = 0;
	int listener = listen_at(&port, 64);
	struct config_server servers[] = {server_at(port, "a:1"), server_at(port, "b:1")};
	struct config_backend c = checked(servers, 2);
	struct backend *b = in_force(&c, NULL);
	unsigned checked = 0;

	(void)state;
	turn_for(2 * INTERVAL_MS);
	accept_all(listener);
	uint64_t end = now_ms() + 20 * INTERVAL_MS;
	while (now_ms() < end) {
		struct backend *next = in_force(&c, b);
		backend_unref(b);
		b = next;
		turn_for(INTERVAL_MS / 6);
		checked += accept_all(listener);
	}
	assert_in_range(checked, 2 * 10, 2 * 21);
	close(listener);
	backend_unref(b);
}

static void a_reload_changes_what_is_checked(void **state)
{
	uint16_t port = 0;
	int listener = listen_at(&port, 64);
	struct config_server s = server_at(port, "a:1");
	struct config_backend c = checked(&s, 1);

	(void)state;
	c.check_interval_us = 60000000;
	struct backend *b = in_force(&c, NULL);
	close(accept_at(listener));
	c.check_interval_us = INTERVAL_MS * 1000;
	struct backend *faster = in_force(&c, b);
	close(accept_at(listener));
	close(accept_at(listener));
	assert_true(checks_set(checks, NULL, 0));
	turn_for(INTERVAL_MS);
	accept_all(listener);
	turn_for(3 * INTERVAL_MS);
	assert_int_equal(accept_all(listener), 0);
	close(listener);
	backend_unref(b);
	backend_unref(faster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_server_goes_down_and_comes_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_check_ends_politely, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_keeps_a_check_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(silence_counts_as_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			silence_is_waited_for_five_seconds_at_most, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unix_servers_are_checked_alike, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_disabled_is_left_in_peace_and_what_drains_is_not, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(checks_spread_over_the_interval, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			reloads_in_a_row_put_no_check_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_reload_changes_what_is_checked, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
