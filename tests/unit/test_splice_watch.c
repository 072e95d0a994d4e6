/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The servers of the configuration in force are checked, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/splice.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void told(void *arg, enum config_log_level level, const char *sentence)
{
	(void)arg;
	(void)level;
	(void)sentence;
}

static const struct splice_events events = {.told = told};

static int listen_at(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* A check comes within so many milliseconds; it is taken. */
static bool is_checked(int listener, int ms)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	if (poll(&p, 1, ms) != 1)
		return false;
	close(accept(listener, NULL, NULL));
	return true;
}

static void put_in_force(struct splice *s, const struct config *c)
{
	char why[128];
	struct splice_change *change = splice_prepare(s, c, why, sizeof(why));

	assert_non_null(change);
	splice_commit(s, change);
}

static void what_is_in_force_is_checked(void **state)
{
	uint16_t port;
	int listener = listen_at(&port);
	const struct config_server server = {"a:1", SERVER_ADDR,
		{addr_v4((const uint8_t[]){127, 0, 0, 1}), port}, NULL, NULL, 1, 0};
	const struct config_backend backend = {
		.name = "web",
		.servers = &server,
		.server_count = 1,
		.check = CHECK_TCP,
		.check_interval_us = 50000,
		.rise = 1,
		.fall = 1,
	};
	const struct config with = {.backends = &backend, .backend_count = 1}, without = {0};
	char why[128];
	struct splice *s = splice_open(2, &events, NULL, why, sizeof(why));

	(void)state;
	assert_non_null(s);
	assert_true(splice_start(s, why, sizeof(why)));
	put_in_force(s, &with);
	assert_true(is_checked(listener, 10000));
	assert_true(is_checked(listener, 10000));
	put_in_force(s, &without);
	is_checked(listener, 0);
	assert_false(is_checked(listener, 200));
	put_in_force(s, &with);
	assert_true(is_checked(listener, 10000));
	splice_close(s);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_force_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
