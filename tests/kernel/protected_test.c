/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is never blocked: loopback, this host, and whoever administers it over SSH. */
#include "config.h"

#include "kernel/protected.h"
#include "netns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PATH_SIZE = 256,
};

static const char *reason(const struct protected *p, const char *first, const char *last)
{
	const struct addr_range range = {.first = netns_addr(first), .last = netns_addr(last)};
	const char *why = NULL;

	return protected_addr(p, &range, &why) ? why : NULL;
}

static void check(const struct protected *p, const char *first, const char *last, const char *why)
{
	const char *got = reason(p, first, last);

	if (why == NULL)
		assert_null(got);
	else
		assert_string_equal(got, why);
}

static void test_loopback(void **state)
{
	int ns = netns_new();
	struct protected *p = protected_open("/nonexistent");

	(void)state;
	assert_non_null(p);
	check(p, "127.0.0.1", "127.0.0.1", "loopback");
	check(p, "127.9.9.0", "127.9.9.255", "loopback");
	check(p, "126.0.0.0", "127.0.0.0", "loopback");
	check(p, "127.255.255.255", "128.0.0.0", "loopback");
	check(p, "0.0.0.0", "255.255.255.255", "loopback");
	check(p, "::1", "::1", "loopback");
	check(p, "::", "ffff::", "loopback");
	check(p, "128.0.0.0", "255.255.255.255", NULL);
	check(p, "0.0.0.0", "126.255.255.255", NULL);
	check(p, "::2", "ffff::", NULL);
	protected_close(p);
	close(ns);
}

/* Whatever interfaces get addresses, and when. */
static void test_own(void **state)
{
	static const char own[] = "an address of this host's own";
	int ns = netns_new();
	struct protected *p = protected_open("/nonexistent");

	(void)state;
	assert_non_null(p);
	check(p, "10.1.0.0", "10.1.0.255", NULL);
	check(p, "fd01::", "fd01::ffff", NULL);
	netns_sh("ip addr add 10.1.0.1/24 dev lo && ip addr add fd01::1/64 dev lo");
	check(p, "10.1.0.1", "10.1.0.1", own);
	check(p, "10.1.0.0", "10.1.0.255", own);
	check(p, "fd01::", "fd01::ffff", own);
	check(p, "10.1.0.2", "10.1.0.255", NULL);
	check(p, "fd01::2", "fd01::ffff", NULL);
	protected_close(p);
	close(ns);
}

struct sshd {
	char folder[PATH_SIZE / 2];
	char file[PATH_SIZE];
};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_not_equal(fputs(text, f), EOF);
	assert_int_equal(fclose(f), 0);
}

static void sshd_write(struct sshd *s, const char *text, const char *more)
{
	char path[PATH_SIZE + 16];

	snprintf(s->folder, sizeof(s->folder), "/tmp/ackgate-protected-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->file, sizeof(s->file), "%s/sshd_config", s->folder);
	write_file(s->file, text);
	snprintf(path, sizeof(path), "%s.d", s->file);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s.d/a.conf", s->file);
	write_file(path, more);
	snprintf(path, sizeof(path), "%s.d/b.off", s->file);
	write_file(path, "Port 2999\n");
}

static void sshd_remove(const struct sshd *s)
{
	netns_sh("rm -r %s", s->folder);
}

/* Whether a session with that port protects its peer, while it stands and no longer. */
static void check_port(int here, int there, const struct protected *p, const char *addr,
	const char *peer, uint16_t port, bool ssh)
{
	int listener, client, server;

	netns_enter(here);
	listener = netns_listen(addr, port);
	netns_enter(there);
	client = netns_connect(addr, port);
	server = netns_accept(listener);
	netns_enter(here);
	check(p, peer, peer, ssh ? "the other end of an SSH session that stands" : NULL);
	close(client);
	close(server);
	close(listener);
	check(p, peer, peer, NULL);
}

static void test_sessions(void **state)
{
	static const struct {
		uint16_t port;
		bool ssh;
	} row[] = {
		{22, true},
		{2201, true},
		{2202, true},
		{2203, true},
		{2204, true},
		{2205, true},
		{2206, true},
		{2210, false}, /* commented out */
		{2999, false}, /* sshd does not read that file */
		{80, false},
	};
	int here = netns_new(), there = netns_new();
	struct sshd s;
	struct protected *p;

	(void)state;
	netns_join(there, "t0", "10.1.0.2/24", here, "h0", "10.1.0.1/24");
	netns_sh("ip addr add fd01::2/64 dev t0 nodad");
	netns_enter(here);
	netns_sh("ip addr add fd01::1/64 dev h0 nodad");
	sshd_write(&s,
		"Port 2201\n  pOrT=2202\n#Port 2210\n\nPort\nListenAddress 10.1.0.1:2203\n"
		"ListenAddress fd01::80\nPort \"2204\"\nPort 70000\nPort 80x\n",
		"ListenAddress [fd01::1]:2205 rdomain x\nListenAddress 10.1.0.1\nPort 2206");
	p = protected_open(s.file);
	assert_non_null(p);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		check_port(here, there, p, "10.1.0.1", "10.1.0.2", row[i].port, row[i].ssh);
		check_port(here, there, p, "fd01::1", "fd01::2", row[i].port, row[i].ssh);
	}
	protected_close(p);
	sshd_remove(&s);
	close(here);
	close(there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_sessions),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
