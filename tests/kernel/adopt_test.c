/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections that stood before the gate came, known to conntrack and not. */
#include "config.h"

#include "core/build.h"
#include "kernel/conntrack.h"
#include "kernel/inject.h"
#include "kernel/sockets.h"
#include "netns.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MARK = 0x40,
	WANTED_PORT = 80,
};

static bool only_wanted_port(void *arg, const struct tuple *t)
{
	(void)arg;
	return t->server_port == WANTED_PORT;
}

static bool nothing(void *arg, const struct tuple *t)
{
	(void)arg;
	(void)t;
	return false;
}

static struct conntrack *open_conntrack(uint32_t mark)
{
	char why[256] = "";
	struct conntrack *ct = conntrack_open(mark, why, sizeof(why));

	if (ct == NULL)
		fail_msg("%s", why);
	return ct;
}

/* This host and another one. */
struct net {
	int here, there;
};

static struct net net_new(void)
{
	struct net n = {.here = netns_new(), .there = netns_new()};

	netns_join(n.there, "t0", "10.1.0.2/24", n.here, "h0", "10.1.0.1/24");
	netns_sh("ip addr add fd01::2/64 dev t0 nodad");
	netns_enter(n.here);
	netns_sh("ip addr add fd01::1/64 dev h0 nodad");
	return n;
}

static void net_close(const struct net *n)
{
	close(n->here);
	close(n->there);
}

struct connection {
	int listener, client, server;
};

static struct connection connect_to(
	int server_ns, const char *listen, int client_ns, const char *addr, uint16_t port)
{
	struct connection c;

	netns_enter(server_ns);
	c.listener = netns_listen(listen, port);
	netns_enter(client_ns);
	c.client = netns_connect(addr, port);
	c.server = netns_accept(c.listener);
	return c;
}

static bool runs(const struct connection *c)
{
	return netns_crosses(c->client, c->server) && netns_crosses(c->server, c->client);
}

static void connection_close(const struct connection *c)
{
	close(c->client);
	close(c->server);
	close(c->listener);
}

struct found {
	uint16_t port;
	struct addr client;
	unsigned count;
};

static void find(void *arg, const struct tuple *t, bool live)
{
	struct found *f = arg;

	if (live && t->server_port == f->port) {
		f->client = t->client;
		f->count++;
	}
}

static void check_marked(struct conntrack *ct, uint16_t port, const char *client)
{
	struct found f = {.port = port};
	const struct addr a = netns_addr(client);

	assert_int_not_equal(conntrack_dump(ct, find, &f), -1);
	assert_int_equal(f.count, 1);
	assert_memory_equal(&f.client, &a, sizeof(a));
}

/* Lets through what is marked, and nothing else. */
static void close_gate(void)
{
	netns_sh("iptables -A INPUT -p tcp -m connmark ! --mark %d/%d -j DROP", MARK, MARK);
	netns_sh("ip6tables -A INPUT -p tcp -m connmark ! --mark %d/%d -j DROP", MARK, MARK);
}

static void test_entries(void **state)
{
	struct net n = net_new();
	struct connection wanted, unwanted;
	struct conntrack *ct = open_conntrack(MARK);

	(void)state;
	netns_sh("iptables -A INPUT -m conntrack --ctstate INVALID -j DROP");
	wanted = connect_to(n.here, "0.0.0.0", n.there, "10.1.0.1", WANTED_PORT);
	unwanted = connect_to(n.here, "0.0.0.0", n.there, "10.1.0.1", 81);
	netns_enter(n.here);
	assert_int_equal(conntrack_adopt(ct, nothing, NULL), 0);
	assert_int_equal(conntrack_adopt(ct, only_wanted_port, NULL), 1);
	assert_int_equal(conntrack_adopt(ct, only_wanted_port, NULL), 0);
	check_marked(ct, WANTED_PORT, "10.1.0.2");
	close_gate();
	assert_true(runs(&wanted));
	assert_false(runs(&unwanted));
	assert_int_equal(conntrack_adopt(ct, NULL, NULL), 1);
	assert_true(runs(&unwanted));
	connection_close(&wanted);
	connection_close(&unwanted);
	conntrack_close(ct);
	net_close(&n);
}

/* One end has closed and the other has more to say. */
static void test_half_closed(void **state)
{
	struct net n = net_new();
	struct connection c;
	struct conntrack *ct = open_conntrack(MARK);

	(void)state;
	netns_sh("iptables -A INPUT -m conntrack --ctstate INVALID -j DROP");
	c = connect_to(n.here, "0.0.0.0", n.there, "10.1.0.1", WANTED_PORT);
	assert_true(runs(&c));
	assert_int_equal(shutdown(c.client, SHUT_WR), 0);
	netns_enter(n.here);
	assert_int_equal(conntrack_adopt(ct, only_wanted_port, NULL), 1);
	close_gate();
	assert_true(netns_crosses(c.server, c.client));
	connection_close(&c);
	conntrack_close(ct);
	net_close(&n);
}

/* An RST made into a bare ACK, its checksum mended (RFC 1624). */
static void make_ack(uint8_t packet[static BUILD_RST_MAX])
{
	uint8_t *tcp = packet + 20;
	uint32_t checksum = (uint32_t)(tcp[16] << 8 | tcp[17]) + TCP_RST;

	checksum = (checksum & 0xffff) + (checksum >> 16);
	tcp[13] = TCP_ACK;
	tcp[16] = (uint8_t)(checksum >> 8);
	tcp[17] = (uint8_t)checksum;
}

static void send_lone_ack(void)
{
	const struct addr here = netns_addr("10.1.0.1");
	const struct addr there = netns_addr("10.1.0.2");
	uint8_t packet[BUILD_RST_MAX];
	size_t len = build_rst(packet, &there, 1000, &here, WANTED_PORT, 1, true, 1);
	char why[256];
	struct inject *i = inject_open(0, why, sizeof(why));

	assert_non_null(i);
	make_ack(packet);
	inject_add(i, packet, len);
	inject_flush(i);
	inject_close(i);
}

static void find_any(void *arg, const struct tuple *t, bool live)
{
	*(unsigned *)arg += live && t->server_port == WANTED_PORT;
}

/* Conntrack takes an ACK out of nowhere for the middle of a connection; nobody answered it, so it
 * is none. */
static void test_lone_ack(void **state)
{
	enum {
		SEEN_MARK = 0x08
	};
	struct net n = net_new();
	struct conntrack *ct = open_conntrack(MARK);
	struct conntrack *all = open_conntrack(SEEN_MARK);
	unsigned entries = 0;

	(void)state;
	netns_sh("iptables -A INPUT -p tcp -j CONNMARK --set-mark %d", SEEN_MARK);
	netns_sh("iptables -t raw -A OUTPUT -p tcp --tcp-flags RST RST -j DROP");
	netns_enter(n.there);
	send_lone_ack();
	netns_enter(n.here);
	assert_int_equal(conntrack_dump(all, find_any, &entries), 1);
	assert_int_equal(entries, 1);
	assert_int_equal(conntrack_adopt(ct, NULL, NULL), 0);
	conntrack_close(ct);
	conntrack_close(all);
	net_close(&n);
}

static void check_socket(struct net *n, struct conntrack *ct, const char *listen, const char *addr,
	const char *client)
{
	struct connection c = connect_to(n->here, listen, n->there, addr, WANTED_PORT);

	netns_enter(n->here);
	assert_int_equal(conntrack_adopt(ct, nothing, NULL), 0);
	assert_int_equal(conntrack_adopt(ct, only_wanted_port, NULL), 1);
	assert_int_equal(conntrack_adopt(ct, only_wanted_port, NULL), 0);
	check_marked(ct, WANTED_PORT, client);
	close_gate();
	assert_true(runs(&c));
	netns_sh("iptables -F && ip6tables -F");
	close(c.client);
	close(c.server);
	close(c.listener);
}

/* Without a rule that needs it, conntrack is off and knows nothing: only the sockets tell. */
static void test_sockets(void **state)
{
	static const struct {
		const char *listen, *addr, *client;
	} row[] = {
		{"0.0.0.0", "10.1.0.1", "10.1.0.2"},
		{"::", "10.1.0.1", "10.1.0.2"},
		{"::", "fd01::1", "fd01::2"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct net n = net_new();
		struct conntrack *ct = open_conntrack(MARK);

		check_socket(&n, ct, row[i].listen, row[i].addr, row[i].client);
		conntrack_close(ct);
		net_close(&n);
	}
}

/* A connection that this host opened is no rule's business and goes on all the same. */
static void test_own_client(void **state)
{
	struct net n = net_new();
	struct conntrack *ct = open_conntrack(MARK);
	struct connection c = connect_to(n.there, "0.0.0.0", n.here, "10.1.0.2", 4000);

	(void)state;
	assert_int_equal(conntrack_adopt(ct, nothing, NULL), 1);
	check_marked(ct, 4000, "10.1.0.1");
	close_gate();
	assert_true(runs(&c));
	connection_close(&c);
	conntrack_close(ct);
	net_close(&n);
}

/* Over lo both ends are sockets of this host, and there is one connection. */
static void test_loopback(void **state)
{
	int ns = netns_new();
	struct conntrack *ct = open_conntrack(MARK);
	struct connection c = connect_to(ns, "::", ns, "127.0.0.1", WANTED_PORT);

	(void)state;
	assert_int_equal(conntrack_adopt(ct, NULL, NULL), 1);
	check_marked(ct, WANTED_PORT, "127.0.0.1");
	close_gate();
	assert_true(runs(&c));
	connection_close(&c);
	conntrack_close(ct);
	close(ns);
}

static void count_sockets(void *arg, const struct sockets_entry *s)
{
	unsigned *count = arg;

	assert_int_equal(s->state, TCP_ESTABLISHED);
	assert_true(addr_is_v4(&s->local) == addr_is_v4(&s->remote));
	assert_true(s->local_port == WANTED_PORT || s->remote_port == WANTED_PORT);
	(*count)++;
}

/* More than a datagram of the answer holds. */
static void test_many_sockets(void **state)
{
	enum {
		CONNECTIONS = 300
	};
	int ns = netns_new();
	struct conntrack *ct = open_conntrack(MARK);
	int listener = netns_listen("::", WANTED_PORT);
	int fd[CONNECTIONS][2];
	unsigned count = 0;

	(void)state;
	for (int i = 0; i < CONNECTIONS; i++) {
		fd[i][0] = netns_connect(i % 2 ? "::1" : "127.0.0.1", WANTED_PORT);
		fd[i][1] = netns_accept(listener);
	}
	assert_int_equal(sockets_dump(1u << TCP_ESTABLISHED, count_sockets, &count), 0);
	assert_int_equal(count, 2 * CONNECTIONS);
	assert_int_equal(conntrack_adopt(ct, NULL, NULL), CONNECTIONS);
	assert_int_equal(conntrack_clear_marks(ct), CONNECTIONS);
	for (int i = 0; i < CONNECTIONS; i++) {
		close(fd[i][0]);
		close(fd[i][1]);
	}
	close(listener);
	conntrack_close(ct);
	close(ns);
}

static bool is_of_port(void *arg, const struct sockets_entry *s)
{
	return s->local_port == *(const uint16_t *)arg || s->remote_port == *(const uint16_t *)arg;
}

/* Neither a listener nor another port's connection goes with those that are destroyed. */
static void check_destroyed(const struct net *n, const char *listen, const char *addr)
{
	struct connection killed = connect_to(n->here, listen, n->there, addr, WANTED_PORT);
	struct connection kept = connect_to(n->here, listen, n->there, addr, 81);
	uint16_t port = WANTED_PORT;
	char c;

	netns_enter(n->here);
	assert_int_equal(sockets_destroy(is_of_port, &port), 1);
	assert_int_equal(sockets_destroy(is_of_port, &port), 0);
	assert_int_equal(recv(killed.server, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(recv(killed.client, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_true(runs(&kept));
	close(killed.client);
	close(killed.server);
	netns_enter(n->there);
	killed.client = netns_connect(addr, WANTED_PORT);
	killed.server = netns_accept(killed.listener);
	assert_true(runs(&killed));
	connection_close(&killed);
	connection_close(&kept);
}

static void test_destroy(void **state)
{
	struct net n = net_new();

	(void)state;
	check_destroyed(&n, "0.0.0.0", "10.1.0.1");
	check_destroyed(&n, "::", "10.1.0.1");
	check_destroyed(&n, "::", "fd01::1");
	net_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_lone_ack),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_own_client),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_many_sockets),
		cmocka_unit_test(test_destroy),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
