/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Spliced connections until their server is there: retries, waiting, and what may end them. */
#include "config.h"

#include "netns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/sockaddr.h"
#include "spliced.h"
#include "spliced_modes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

/* SYNs to that server are lost. */
static void hang(const struct spliced *g, unsigned number)
{
	netns_sh("%s -A INPUT -p tcp --dport %u -j DROP", g->mode.v6 ? "ip6tables" : "iptables",
		SPLICED_SERVER + number);
}

static void test_retries(void **state)
{
	struct spliced g;
	int server, client, there;
	unsigned retries = 0;

	spliced_open(&g, *state, 2, "", "retries = 1\nfall = 100");
	server = spliced_server(&g, 1);
	for (int i = 0; i < 4; i++) {
		spliced_pair(&g, server, &client, &there);
		spliced_says(&g, client, there, "hello");
		close(there);
		spliced_fin(&g, client);
		close(client);
		retries +=
			spliced_ended(&g, SPLICE_END_closed, SPLICE_SERVER, SPLICE_HALF)->retries;
	}
	assert_true(retries > 0);
	close(server);
	spliced_close(&g);
}

static void test_refused(void **state)
{
	struct spliced g;
	int client;

	spliced_open(&g, *state, 2, "", "retries = 3\nfall = 100");
	client = spliced_client(&g);
	spliced_rst(&g, client);
	close(client);
	const struct splice_record *r =
		spliced_ended(&g, SPLICE_END_refused, SPLICE_SERVER, SPLICE_CONNECT);
	/* There is no third one. */
	assert_int_equal(r->retries, 2);
	assert_int_equal(r->error, ECONNREFUSED);
	assert_int_equal(r->connect_us, 0);
	spliced_close(&g);
}

static void test_down(void **state)
{
	struct spliced g;
	int client;

	spliced_open(&g, *state, 1, "", "retries = 0\nfall = 1\ncheck_interval = 1h");
	client = spliced_client(&g);
	spliced_rst(&g, client);
	close(client);
	spliced_ended(&g, SPLICE_END_refused, SPLICE_SERVER, SPLICE_CONNECT);
	client = spliced_client(&g);
	spliced_turn_for(&g, 10);
	close(client);
	spliced_ended(&g, SPLICE_END_backend_down, SPLICE_SERVER, SPLICE_DATA);
	spliced_close(&g);
}

static void test_unreachable(void **state)
{
	const struct spliced_mode *mode = *state;
	struct spliced g;
	char text[512];
	int client;

	snprintf(text, sizeof(text),
		"[rule r]\nmode = splice\nlisten = @:8000\nbackend = b\n"
		"[backend b]\nservers = %s\ncheck = off\nretries = 0\n",
		mode->v6 ? "[2001:db8::1]:80" : "192.0.2.1:80");
	spliced_open_text(&g, mode, text);
	client = spliced_client(&g);
	spliced_rst(&g, client);
	close(client);
	assert_int_equal(
		spliced_ended(&g, SPLICE_END_unreachable, SPLICE_SERVER, SPLICE_DATA)->error,
		ENETUNREACH);
	spliced_close(&g);
}

/* The time-out holds for each server; then there is none left. */
static void test_hanging(void **state)
{
	struct spliced g;
	int server, client, there;

	spliced_open(&g, *state, 2, "connect_timeout = 150ms", "retries = 1\nfall = 100");
	server = spliced_server(&g, 1);
	hang(&g, 0);
	for (int i = 0; i < 2; i++) {
		spliced_pair(&g, server, &client, &there);
		close(client);
		spliced_fin(&g, there);
		close(there);
		spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	}
	assert_true(g.records[0].retries + g.records[1].retries > 0);
	close(server);
	hang(&g, 1);
	client = spliced_client(&g);
	spliced_rst(&g, client);
	close(client);
	const struct splice_record *r =
		spliced_ended(&g, SPLICE_END_no_syn_ack, SPLICE_SERVER, SPLICE_CONNECT);
	assert_in_range(r->total_us, 300000, 2000000);
	assert_int_equal(r->retries, 1);
	spliced_close(&g);
}

/* An RST ends it, whoever else is asked; a FIN and the bytes before it are for the server. */
static void test_client_while_connecting(void **state)
{
	struct spliced g;
	int client, server, there;

	spliced_open(&g, *state, 1, "", "retries = 0");
	hang(&g, 0);
	client = spliced_client(&g);
	spliced_turn_for(&g, 20);
	spliced_cut(client);
	spliced_ended(&g, SPLICE_END_reset, SPLICE_CLIENT, SPLICE_CONNECT);
	client = spliced_client(&g);
	spliced_turn_for(&g, 20);
	assert_int_equal(send(client, "late", 4, 0), 4);
	shutdown(client, SHUT_WR);
	spliced_turn_for(&g, 20);
	netns_sh("%s -F INPUT", g.mode.v6 ? "ip6tables" : "iptables");
	server = spliced_server(&g, 0);
	there = spliced_accept(&g, server);
	SPLICED_UNTIL(&g, recv(there, (char[4]){0}, 4, MSG_DONTWAIT) == 4);
	spliced_fin(&g, there);
	close(there);
	spliced_fin(&g, client);
	close(client);
	close(server);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	spliced_close(&g);
}

/* The client was gone when it was accepted. */
static void test_client_gone_before(void **state)
{
	struct spliced g;
	int client, server;

	spliced_open(&g, *state, 1, "", "");
	server = spliced_server(&g, 0);
	client = spliced_client(&g);
	spliced_cut(client);
	SPLICED_UNTIL(&g, g.ended == 1);
	spliced_ended(&g, SPLICE_END_reset, SPLICE_CLIENT, g.records[0].phase);
	close(server);
	spliced_close(&g);
}

static void test_wait_for_data(void **state)
{
	struct spliced g;
	int client, server, there;

	spliced_open(&g, *state, 1, "wait_for_data = yes\nidle_timeout = 1s", "");
	server = spliced_server(&g, 0);
	client = spliced_client(&g);
	spliced_turn_for(&g, 50);
	assert_int_equal(backend_connections(g.splice->now.backends[0]), 0);
	assert_int_equal(send(client, "now", 3, 0), 3);
	there = spliced_accept(&g, server);
	SPLICED_UNTIL(&g, recv(there, (char[3]){0}, 3, MSG_DONTWAIT) == 3);
	close(client);
	spliced_fin(&g, there);
	close(there);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	/* Who says nothing costs the server nothing. */
	client = spliced_client(&g);
	spliced_ended(&g, SPLICE_END_idle, SPLICE_GATE, SPLICE_DATA);
	spliced_fin(&g, client);
	close(client);
	client = spliced_client(&g);
	spliced_turn_for(&g, 10);
	close(client);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_DATA);
	close(server);
	spliced_close(&g);
}

static void open_narrow(struct spliced *g, void **state, const char *rule)
{
	const struct spliced_mode *mode = *state;
	char text[512];

	snprintf(text, sizeof(text),
		"[rule r]\nmode = splice\nlisten = @:8000\nbackend = b\nsplice = %s\n%s\n"
		"[backend b]\nservers = @:9000 max_connections 1\ncheck = off\n",
		mode->splice ? "yes" : "no", rule);
	spliced_open_text(g, mode, text);
}

/* The second waits for the place, the third in the backlog. */
static void test_full_server(void **state)
{
	struct spliced g;
	int clients[3], server, there;

	open_narrow(&g, state, "");
	server = spliced_server(&g, 0);
	spliced_pair(&g, server, &clients[0], &there);
	clients[1] = spliced_client(&g);
	spliced_turn_for(&g, 10);
	clients[2] = spliced_client(&g);
	spliced_turn_for(&g, 20);
	assert_int_equal(g.splice->loops[0].open, 2);
	for (int i = 0; i < 3; i++) {
		if (i)
			there = spliced_accept(&g, server);
		spliced_says(&g, clients[i], there, "at last");
		close(clients[i]);
		spliced_fin(&g, there);
		close(there);
		spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	}
	close(server);
	spliced_close(&g);
}

/* However often others' ends wake those who wait. */
static void test_full_server_for_too_long(void **state)
{
	struct spliced g;
	int clients[2], server, there;

	open_narrow(&g, state, "connect_timeout = 300ms");
	server = spliced_server(&g, 0);
	spliced_pair(&g, server, &clients[0], &there);
	clients[1] = spliced_client(&g);
	for (int i = 0; i < 24; i++) {
		spliced_turn_for(&g, 50);
		loop_wake_all(&g.splice->loops[0]);
	}
	const struct splice_record *r =
		spliced_ended(&g, SPLICE_END_backend_full, SPLICE_GATE, SPLICE_WAIT);
	assert_in_range(r->total_us, 300000, 1000000);
	spliced_rst(&g, clients[1]);
	close(clients[1]);
	close(clients[0]);
	close(there);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	close(server);
	spliced_close(&g);
}

/* Its RST and a free place are there together. */
static void test_client_gone_while_waiting(void **state)
{
	struct spliced g;
	int clients[2], server, there;

	open_narrow(&g, state, "");
	server = spliced_server(&g, 0);
	spliced_pair(&g, server, &clients[0], &there);
	clients[1] = spliced_client(&g);
	assert_int_equal(send(clients[1], "hello", 5, 0), 5);
	spliced_turn_for(&g, 20);
	loop_wake_all(&g.splice->loops[0]);
	spliced_cut(clients[1]);
	spliced_ended(&g, SPLICE_END_reset, SPLICE_CLIENT, SPLICE_WAIT);
	close(clients[0]);
	close(there);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	close(server);
	spliced_close(&g);
}

static void test_rule_limit(void **state)
{
	struct spliced g;
	int clients[4], server, there[2];

	spliced_open(&g, *state, 1, "max_connections = 2", "");
	server = spliced_server(&g, 0);
	for (int i = 0; i < 4; i++)
		clients[i] = spliced_client(&g);
	for (int i = 0; i < 2; i++)
		there[i] = spliced_accept(&g, server);
	spliced_turn_for(&g, 30);
	assert_int_equal(g.splice->loops[0].open, 2);
	for (int i = 0; i < 4; i++) {
		spliced_says(&g, clients[i], there[i % 2], "hello");
		close(clients[i]);
		spliced_fin(&g, there[i % 2]);
		close(there[i % 2]);
		spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
		if (i < 2)
			there[i] = spliced_accept(&g, server);
	}
	close(server);
	spliced_close(&g);
}

/* As many descriptors as there are, and `more`. */
static struct rlimit leave_fds(int more)
{
	struct rlimit old, new;
	int next = dup(0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	close(next);
	new = (struct rlimit){(rlim_t)(next + more), old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &new), 0);
	return old;
}

/* None for the client, or one for it and none for the server: it waits, is told once, goes on. */
static void test_no_fds(void **state)
{
	for (int more = 0; more < 2; more++) {
		struct spliced g;
		struct rlimit old;
		int client, server, there;

		spliced_open(&g, *state, 1, "", "");
		server = spliced_server(&g, 0);
		client = spliced_client(&g);
		old = leave_fds(more);
		spliced_turn_for(&g, 350);
		assert_int_equal(g.pauses, 1);
		assert_int_equal(g.resumes, 0);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		there = spliced_accept(&g, server);
		spliced_says(&g, client, there, "hello");
		close(client);
		spliced_fin(&g, there);
		close(there);
		spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
		assert_int_equal(g.pauses, 1);
		if (!more)
			assert_int_equal(g.resumes, 1);
		close(server);
		spliced_close(&g);
	}
}

static void test_no_fds_for_too_long(void **state)
{
	struct spliced g;
	struct rlimit old;
	int client, server;

	spliced_open(&g, *state, 1, "connect_timeout = 300ms", "");
	server = spliced_server(&g, 0);
	client = spliced_client(&g);
	old = leave_fds(1);
	spliced_ended(&g, SPLICE_END_no_fds, SPLICE_GATE, SPLICE_WAIT);
	spliced_rst(&g, client);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(client);
	close(server);
	spliced_close(&g);
}

/* A client whose own port is none of those that are short. */
static int client_from(const struct spliced *g, uint16_t port)
{
	const struct endpoint from = {netns_addr(spliced_host(g)), port},
			      to = {netns_addr(spliced_host(g)), SPLICED_PORT};
	struct sockaddr_storage name;
	socklen_t len = sockaddr_of(&from, &name);
	int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
	len = sockaddr_of(&to, &name);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

static void test_no_ports(void **state)
{
	struct spliced g;
	char source[64];
	int clients[3], server, there[2];

	snprintf(source, sizeof(source), "source = %s",
		((const struct spliced_mode *)*state)->v6 ? "::1" : "127.0.0.1");
	spliced_open(&g, *state, 1, source, "retries = 0");
	netns_sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40001'");
	server = spliced_server(&g, 0);
	for (int i = 0; i < 3; i++)
		clients[i] = client_from(&g, (uint16_t)(50000 + i));
	for (int i = 0; i < 2; i++)
		there[i] = spliced_accept(&g, server);
	spliced_rst(&g, clients[2]);
	spliced_ended(&g, SPLICE_END_no_local_port, SPLICE_GATE, SPLICE_DATA);
	for (int i = 0; i < 2; i++) {
		close(clients[i]);
		close(there[i]);
		spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	}
	close(clients[2]);
	close(server);
	spliced_close(&g);
}

/* A UNIX socket's server. It may close with bytes unread: its answer arrives all the same. */
static void test_unix(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	char folder[] = "/tmp/ackgate-splice-XXXXXX", text[512];
	struct spliced g;
	int server, client, there;

	assert_non_null(mkdtemp(folder));
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/s", folder);
	server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(server, 8), 0);
	snprintf(text, sizeof(text),
		"[rule r]\nmode = splice\nlisten = @:8000\nbackend = b\nsplice = %s\n"
		"[backend b]\nservers = unix:%s\ncheck = off\n",
		((const struct spliced_mode *)*state)->splice ? "yes" : "no", name.sun_path);
	spliced_open_text(&g, *state, text);
	/* It was open before: one more to go at the end. */
	spliced_pair(&g, server, &client, &there);
	spliced_says(&g, client, there, "question");
	spliced_says(&g, there, client, "answer");
	shutdown(client, SHUT_WR);
	spliced_fin(&g, there);
	spliced_sends(&g, there, 100000);
	spliced_gets(&g, client, 100000);
	close(there);
	spliced_fin(&g, client);
	close(client);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	spliced_pair(&g, server, &client, &there);
	assert_int_equal(send(client, "unread", 6, 0), 6);
	spliced_turn_for(&g, 10);
	spliced_sends(&g, there, 100000);
	close(there);
	spliced_gets(&g, client, 100000);
	spliced_fin(&g, client);
	close(client);
	SPLICED_UNTIL(&g, g.ended == 2);
	assert_int_equal(g.records[1].end, SPLICE_END_reset);
	assert_int_equal(g.records[1].by, SPLICE_SERVER);
	g.seen = 2;
	spliced_close(&g);
	close(server);
	netns_sh("rm -r %s", folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_MODE(test_retries),
		EACH_MODE(test_refused),
		EACH_MODE(test_down),
		EACH_MODE(test_unreachable),
		EACH_MODE(test_hanging),
		EACH_MODE(test_client_while_connecting),
		EACH_MODE(test_client_gone_before),
		EACH_MODE(test_wait_for_data),
		EACH_MODE(test_full_server),
		EACH_MODE(test_full_server_for_too_long),
		EACH_MODE(test_client_gone_while_waiting),
		EACH_MODE(test_rule_limit),
		EACH_MODE(test_no_fds),
		EACH_MODE(test_no_fds_for_too_long),
		EACH_MODE(test_no_ports),
		EACH_MODE(test_unix),
	};

	return spliced_run(tests);
}
