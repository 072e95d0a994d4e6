/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Marked connections through a gateway, with and without NAT: found, unmarked, deleted, and their
 * ends noticed. */
#include "config.h"

#include "kernel/conntrack.h"
#include "netns.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MARK = 0x40,
	OTHERS_MARK = 0x08,
	BOTH_MARKS = MARK | OTHERS_MARK,
};

/* A client, a gateway that marks what it forwards, and a server. */
struct net {
	int client, gate, server;
};

static void gate_sh(const char *rule)
{
	netns_sh("iptables %s && ip6tables %s", rule, rule);
}

static struct net net_new(void)
{
	struct net n = {.client = netns_new(), .gate = netns_new(), .server = netns_new()};

	netns_join(n.client, "c0", "10.1.0.2/24", n.gate, "g1", "10.1.0.1/24");
	netns_sh("ip route add default via 10.1.0.1");
	netns_sh("ip addr add fd01::2/64 dev c0 nodad && ip route add default via fd01::1");
	netns_join(n.server, "s0", "10.2.0.2/24", n.gate, "g2", "10.2.0.1/24");
	netns_sh("ip route add default via 10.2.0.1");
	netns_sh("ip addr add fd02::2/64 dev s0 nodad && ip route add default via fd02::1");
	netns_enter(n.gate);
	netns_sh("ip addr add fd01::1/64 dev g1 nodad && ip addr add fd02::1/64 dev g2 nodad");
	netns_sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
	netns_sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
	gate_sh("-A FORWARD -m conntrack --ctstate INVALID -j DROP");
	netns_sh(
		"iptables -t mangle -A FORWARD -p tcp --syn -j CONNMARK --set-mark %d", BOTH_MARKS);
	netns_sh("ip6tables -t mangle -A FORWARD -p tcp --syn -j CONNMARK --set-mark %d",
		BOTH_MARKS);
	return n;
}

static void net_close(const struct net *n)
{
	close(n->client);
	close(n->gate);
	close(n->server);
}

struct connection {
	int listener, client, server;
	struct tuple tuple;
};

/* Connects the client to `addr` and `port`, behind which is port 80 of the server's `server_addr`;
 * leaves the gateway current. */
static struct connection net_connect(
	const struct net *n, const char *addr, uint16_t port, const char *server_addr)
{
	struct connection c;

	netns_enter(n->server);
	c.listener = netns_listen(server_addr, 80);
	netns_enter(n->client);
	c.client = netns_connect(addr, port);
	c.server = netns_accept(c.listener);
	c.tuple.client = netns_addr(strchr(addr, ':') == NULL ? "10.1.0.2" : "fd01::2");
	c.tuple.client_port = netns_local_port(c.client);
	c.tuple.server = netns_addr(server_addr);
	c.tuple.server_port = 80;
	assert_true(netns_crosses(c.client, c.server));
	netns_enter(n->gate);
	return c;
}

static void connection_close(const struct connection *c)
{
	close(c->client);
	close(c->server);
	close(c->listener);
}

static bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
	return addr_equal(&a->client, &b->client) && addr_equal(&a->server, &b->server) &&
	       a->client_port == b->client_port && a->server_port == b->server_port;
}

struct seen {
	struct tuple wanted;
	unsigned live;
	unsigned ended;
	unsigned others;
	unsigned reads;
};

static void see(void *arg, const struct tuple *t, bool live)
{
	struct seen *s = arg;

	if (!tuple_equal(t, &s->wanted))
		s->others++;
	else if (live)
		s->live++;
	else
		s->ended++;
}

static struct conntrack *open_conntrack(uint32_t mark)
{
	char why[256] = "";
	struct conntrack *ct = conntrack_open(mark, why, sizeof(why));

	if (ct == NULL)
		fail_msg("%s", why);
	return ct;
}

static void check_dumped(struct conntrack *ct, const struct tuple *t, unsigned live)
{
	struct seen s = {.wanted = *t};

	assert_int_equal(conntrack_dump(ct, see, &s), live);
	assert_int_equal(s.live, live);
	assert_int_equal(s.others, 0);
}

/* The entry loses our bit and keeps the other, then goes altogether. */
static void check_connection(const struct connection *c)
{
	struct conntrack *ours = open_conntrack(MARK);
	struct conntrack *others = open_conntrack(OTHERS_MARK);

	check_dumped(ours, &c->tuple, 1);
	conntrack_unmark(ours, &c->tuple);
	check_dumped(ours, &c->tuple, 1);
	conntrack_flush(ours);
	check_dumped(ours, &c->tuple, 0);
	check_dumped(others, &c->tuple, 1);
	assert_true(netns_crosses(c->client, c->server));
	conntrack_delete(ours, &c->tuple);
	conntrack_flush(ours);
	check_dumped(others, &c->tuple, 0);
	conntrack_delete(ours, &c->tuple);
	conntrack_flush(ours);
	conntrack_close(ours);
	conntrack_close(others);
	connection_close(c);
}

static void test_plain(void **state)
{
	struct net n = net_new();
	struct connection c;

	(void)state;
	c = net_connect(&n, "10.2.0.2", 80, "10.2.0.2");
	check_connection(&c);
	c = net_connect(&n, "fd02::2", 80, "fd02::2");
	check_connection(&c);
	net_close(&n);
}

static void test_dnat(void **state)
{
	struct net n = net_new();
	struct connection c;

	(void)state;
	netns_sh("iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to 10.2.0.2:80");
	netns_sh("ip6tables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to '[fd02::2]:80'");
	c = net_connect(&n, "10.1.0.1", 8080, "10.2.0.2");
	check_connection(&c);
	c = net_connect(&n, "fd01::1", 8080, "fd02::2");
	check_connection(&c);
	net_close(&n);
}

static void test_masquerade(void **state)
{
	struct net n = net_new();
	struct connection c;

	(void)state;
	gate_sh("-t nat -A POSTROUTING -o g2 -j MASQUERADE --random");
	c = net_connect(&n, "10.2.0.2", 80, "10.2.0.2");
	check_connection(&c);
	c = net_connect(&n, "fd02::2", 80, "fd02::2");
	check_connection(&c);
	net_close(&n);
}

static void test_clear_marks(void **state)
{
	enum {
		CONNECTIONS = 100
	};
	struct net n = net_new();
	struct conntrack *ct = open_conntrack(MARK);
	struct conntrack *others = open_conntrack(OTHERS_MARK);
	struct connection c[CONNECTIONS];
	struct seen s = {.live = 0};

	(void)state;
	netns_sh("iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to 10.2.0.2:80");
	gate_sh("-t nat -A POSTROUTING -o g2 -j MASQUERADE");
	for (int i = 0; i < CONNECTIONS; i++) {
		c[i] = net_connect(&n, "10.1.0.1", 8080, "10.2.0.2");
		close(c[i].listener);
	}
	assert_int_equal(conntrack_clear_marks(ct), CONNECTIONS);
	assert_int_equal(conntrack_clear_marks(ct), 0);
	assert_int_equal(conntrack_dump(others, see, &s), CONNECTIONS);
	for (int i = 0; i < CONNECTIONS; i++) {
		close(c[i].client);
		close(c[i].server);
	}
	conntrack_close(ct);
	conntrack_close(others);
	net_close(&n);
}

static bool is_that(void *arg, const struct tuple *t)
{
	return tuple_equal(t, arg);
}

/* With both kinds of NAT an entry has neither of its tuples as our hooks see them. */
static void test_delete_marked(void **state)
{
	struct net n = net_new();
	struct conntrack *ct = open_conntrack(MARK);
	struct connection killed, kept;

	(void)state;
	netns_sh("iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to 10.2.0.2:80");
	gate_sh("-t nat -A POSTROUTING -o g2 -j MASQUERADE --random");
	killed = net_connect(&n, "10.1.0.1", 8080, "10.2.0.2");
	close(killed.listener);
	kept = net_connect(&n, "10.1.0.1", 8080, "10.2.0.2");
	conntrack_delete(ct, &killed.tuple);
	conntrack_flush(ct);
	assert_true(netns_crosses(killed.client, killed.server));
	assert_int_equal(conntrack_delete_marked(ct, is_that, &killed.tuple), 1);
	assert_int_equal(conntrack_delete_marked(ct, is_that, &killed.tuple), 0);
	check_dumped(ct, &kept.tuple, 1);
	assert_true(netns_crosses(kept.client, kept.server));
	close(killed.client);
	close(killed.server);
	connection_close(&kept);
	conntrack_close(ct);
	net_close(&n);
}

static void see_ended(void *arg, const struct tuple *t)
{
	see(arg, t, false);
}

static struct seen read_events(struct conntrack_events *ev, const struct tuple *t)
{
	struct seen s = {.wanted = *t};
	struct pollfd p = {.fd = conntrack_events_fd(ev), .events = POLLIN};

	for (; poll(&p, 1, 200) == 1; s.reads++)
		assert_true(conntrack_events_read(ev, see_ended, &s));
	assert_int_equal(s.others, 0);
	return s;
}

static void check_events(const struct net *n, struct conntrack_events *ev)
{
	struct conntrack *ct = open_conntrack(MARK);
	struct connection c = net_connect(n, "10.1.0.1", 8080, "10.2.0.2");

	/* Neither a connection that stands is ended, nor one that one end closed. */
	assert_int_equal(read_events(ev, &c.tuple).ended, 0);
	close(c.client);
	assert_int_equal(read_events(ev, &c.tuple).ended, 0);
	close(c.server);
	close(c.listener);
	assert_in_range(read_events(ev, &c.tuple).ended, 1, 3);
	conntrack_delete(ct, &c.tuple);
	conntrack_flush(ct);
	assert_int_equal(read_events(ev, &c.tuple).ended, 1);

	/* An end that shows in no segment. */
	c = net_connect(n, "10.1.0.1", 8080, "10.2.0.2");
	conntrack_delete(ct, &c.tuple);
	conntrack_flush(ct);
	assert_int_equal(read_events(ev, &c.tuple).ended, 1);
	netns_sh("iptables -A FORWARD -p tcp -j DROP");
	connection_close(&c);
	(void)read_events(ev, &c.tuple);
	netns_sh("iptables -D FORWARD -p tcp -j DROP");

	/* A connection that is not marked does not even wake us. */
	c = net_connect(n, "10.1.0.1", 8080, "10.2.0.2");
	assert_int_equal(conntrack_clear_marks(ct), 1);
	(void)read_events(ev, &c.tuple);
	connection_close(&c);
	assert_int_equal(read_events(ev, &c.tuple).reads, 0);
	conntrack_close(ct);
}

static void test_events(void **state)
{
	struct net n = net_new();
	char why[256];
	struct conntrack_events *ev = conntrack_events_open(MARK, why, sizeof(why));

	(void)state;
	assert_non_null(ev);
	netns_sh("iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to 10.2.0.2:80");
	check_events(&n, ev);
	conntrack_events_close(ev);
	net_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_dnat),
		cmocka_unit_test(test_masquerade),
		cmocka_unit_test(test_clear_marks),
		cmocka_unit_test(test_delete_marked),
		cmocka_unit_test(test_events),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
