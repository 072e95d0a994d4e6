/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries that translate: made in the place of our own SYN's, found again, counted. */
#include "config.h"

#include "core/build.h"
#include "kernel/conntrack.h"
#include "kernel/inject.h"
#include "kernel/translations.h"
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <netinet/in.h>
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
	BATCH = 64,
	TIMEOUT = 3600, /* seconds */
	DONE_MAX = 256,
	CLIENT_ISN = 1000,
	COOKIE_ISN = 0x10,
	SERVER_ISN = 0xfffffff0,
	COOKIE_TSVAL = 100,
	SERVER_TSVAL = 90,
};

struct done {
	struct translation t;
	struct addr client;
	uint16_t client_port;
	int error;
};

/* A gateway, and beside it a server that never answers; the gateway is current. */
struct net {
	int gate, server;
	struct translations *tr;
	unsigned count;
	struct done done[DONE_MAX];
};

static void note_done(void *arg, const struct translation *t, const struct addr *client,
	uint16_t client_port, int error)
{
	struct net *n = arg;

	assert_in_range(n->count, 0, DONE_MAX - 1);
	n->done[n->count++] = (struct done){
		.t = *t,
		.client = *client,
		.client_port = client_port,
		.error = error,
	};
}

static void net_open(struct net *n)
{
	char why[256] = "";

	*n = (struct net){.gate = netns_new(), .server = netns_new()};
	netns_join(n->server, "s0", "10.2.0.2/24", n->gate, "g0", "10.2.0.1/24");
	netns_sh("ip addr add fd02::2/64 dev s0 nodad");
	netns_sh("iptables -A INPUT -j DROP && ip6tables -A INPUT -p tcp -j DROP");
	netns_enter(n->gate);
	netns_sh("ip addr add fd02::1/64 dev g0 nodad");
	netns_sh("iptables -t mangle -A OUTPUT -p tcp -j CONNMARK --set-mark %d", OTHERS_MARK);
	netns_sh("ip6tables -t mangle -A OUTPUT -p tcp -j CONNMARK --set-mark %d", OTHERS_MARK);
	netns_sh("echo %d >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", TIMEOUT);
	n->tr = translations_open(MARK, note_done, n, why, sizeof(why));
	if (n->tr == NULL)
		fail_msg("%s", why);
}

static void net_close(const struct net *n)
{
	translations_close(n->tr);
	close(n->gate);
	close(n->server);
}

static struct tuple tuple_of(
	const char *client, uint16_t client_port, const char *server, uint16_t server_port)
{
	return (struct tuple){
		.client = netns_addr(client),
		.server = netns_addr(server),
		.client_port = client_port,
		.server_port = server_port,
	};
}

/* A client of its port to the family's server, without NAT. */
static struct tuple to_server(bool v4, uint16_t client_port)
{
	return v4 ? tuple_of("192.0.2.7", client_port, "10.2.0.2", 80)
		  : tuple_of("2001:db8::7", client_port, "fd02::2", 80);
}

static struct translation translation_of(const struct tuple *t)
{
	return (struct translation){
		.tuple = *t,
		.public_addr = t->server,
		.public_port = t->server_port,
		.client_isn = CLIENT_ISN,
		.cookie_isn = COOKIE_ISN,
		.server_isn = SERVER_ISN,
		.scales = true,
		.client_wscale = 7,
		.server_wscale = 9,
		.sack = true,
		.timestamps = true,
		.cookie_tsval = COOKIE_TSVAL,
		.server_tsval = SERVER_TSVAL,
	};
}

static struct translation translation_by_dnat(
	const struct tuple *t, const char *public_addr, uint16_t public_port)
{
	struct translation made = translation_of(t);

	made.public_addr = netns_addr(public_addr);
	made.public_port = public_port;
	return made;
}

/* An RST made into another segment, its checksum mended (RFC 1624). */
static void set_flags(uint8_t *tcp, uint8_t flags)
{
	uint32_t checksum = (uint32_t)(tcp[16] << 8 | tcp[17]) + tcp[13] + (0xffffu ^ flags);

	checksum = (checksum & 0xffff) + (checksum >> 16);
	checksum = (checksum & 0xffff) + (checksum >> 16);
	tcp[13] = flags;
	tcp[16] = (uint8_t)(checksum >> 8);
	tcp[17] = (uint8_t)checksum;
}

/* As the daemon sends it: by a raw socket, and tracked. */
static void send_segment(const struct tuple *t, uint8_t flags, uint32_t seq)
{
	uint8_t packet[BUILD_RST_MAX];
	size_t len = build_rst(
		packet, &t->client, t->client_port, &t->server, t->server_port, seq, false, 0);
	char why[256];
	struct inject *i = inject_open(0, why, sizeof(why));
	struct inject_stats stats;

	assert_non_null(i);
	set_flags(packet + len - 20, flags);
	inject_add(i, packet, len);
	inject_flush(i);
	inject_stats(i, &stats);
	assert_int_equal(stats.sent, 1);
	inject_close(i);
}

static void send_syn(const struct tuple *t)
{
	send_segment(t, TCP_SYN, CLIENT_ISN);
}

static int take_entry(enum nf_conntrack_msg_type type, struct nf_conntrack *ct, void *data)
{
	struct nf_conntrack *copy = data;

	(void)type;
	nfct_copy(copy, ct, NFCT_CP_OVERRIDE);
	return NFCT_CB_CONTINUE;
}

/* The entry of an original direction as another reader sees it; NULL if there is none. */
static struct nf_conntrack *entry_of(const struct tuple *t)
{
	struct nfct_handle *h = nfct_open(CONNTRACK, 0);
	struct nf_conntrack *asked = nfct_new(), *got = nfct_new();
	bool v4 = addr_is_v4(&t->client);
	int rc;

	assert_non_null(h);
	nfct_set_attr_u8(asked, ATTR_ORIG_L3PROTO, v4 ? AF_INET : AF_INET6);
	nfct_set_attr(
		asked, v4 ? ATTR_ORIG_IPV4_SRC : ATTR_ORIG_IPV6_SRC, t->client.b + (v4 ? 12 : 0));
	nfct_set_attr(
		asked, v4 ? ATTR_ORIG_IPV4_DST : ATTR_ORIG_IPV6_DST, t->server.b + (v4 ? 12 : 0));
	nfct_set_attr_u8(asked, ATTR_ORIG_L4PROTO, IPPROTO_TCP);
	nfct_set_attr_u16(asked, ATTR_ORIG_PORT_SRC, htons(t->client_port));
	nfct_set_attr_u16(asked, ATTR_ORIG_PORT_DST, htons(t->server_port));
	nfct_callback_register(h, NFCT_T_ALL, take_entry, got);
	rc = nfct_query(h, NFCT_Q_GET, asked);
	nfct_close(h);
	nfct_destroy(asked);
	if (rc == 0)
		return got;
	nfct_destroy(got);
	return NULL;
}

static void check_no_entry(const struct tuple *t)
{
	assert_null(entry_of(t));
}

/* What holds of each that is made. */
static void check_standing(const struct nf_conntrack *ct)
{
	const uint32_t status = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED | IPS_SEQ_ADJUST;

	assert_int_equal(nfct_get_attr_u32(ct, ATTR_STATUS) & status, status);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_STATE), TCP_CONNTRACK_ESTABLISHED);
	assert_in_range(nfct_get_attr_u32(ct, ATTR_TIMEOUT), TIMEOUT - 60, TIMEOUT);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_REPL_NAT_SEQ_OFFSET_BEFORE), 0x20);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_REPL_NAT_SEQ_OFFSET_AFTER), 0x20);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_ORIG_NAT_SEQ_OFFSET_AFTER), 0);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_SYNPROXY_ISN), COOKIE_ISN);
}

static void check_options(const struct nf_conntrack *ct, const struct translation *t)
{
	const uint8_t both = IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM;
	uint8_t flags = (uint8_t)((t->scales ? IP_CT_TCP_FLAG_WINDOW_SCALE : 0) |
				  (t->sack ? IP_CT_TCP_FLAG_SACK_PERM : 0));

	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_FLAGS_ORIG) & both, flags);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_FLAGS_REPL) & both, flags);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_FLAGS_ORIG) & IP_CT_TCP_FLAG_BE_LIBERAL, 0);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_WSCALE_ORIG), t->scales ? 7 : 0);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_WSCALE_REPL), t->scales ? 9 : 0);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_SYNPROXY_ITS),
		t->timestamps ? (uint32_t)COOKIE_TSVAL : 0);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_SYNPROXY_TSOFF),
		t->timestamps ? (uint32_t)(SERVER_TSVAL - COOKIE_TSVAL) : 0);
}

static void check_done(const struct net *n, unsigned i, const struct translation *t, int error)
{
	assert_true(i < n->count);
	assert_memory_equal(&n->done[i].t, t, sizeof(*t));
	assert_int_equal(n->done[i].error, error);
}

static void check_seen_as(const struct net *n, unsigned i, const struct addr *client, uint16_t port)
{
	assert_memory_equal(&n->done[i].client, client, sizeof(*client));
	assert_int_equal(n->done[i].client_port, port);
}

/* Makes one, which has to succeed. */
static const struct done *make(struct net *n, const struct translation *t)
{
	unsigned i = n->count;

	translations_add(n->tr, t);
	assert_int_equal(n->count, i);
	translations_flush(n->tr);
	assert_int_equal(n->count, i + 1);
	check_done(n, i, t, 0);
	return &n->done[i];
}

static void check_made(const struct translation *t, const struct tuple *original, uint32_t mark)
{
	struct nf_conntrack *ct = entry_of(original);

	assert_non_null(ct);
	check_standing(ct);
	check_options(ct, t);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_MARK), mark);
	nfct_destroy(ct);
}

/* Nothing is said to the kernel before the flush. Marks of others stay. */
static void check_plain(struct net *n, bool v4, bool options)
{
	struct tuple t = to_server(v4, options ? 1000 : 1001);
	struct translation made = translation_of(&t);
	struct nf_conntrack *ct;

	made.scales = made.sack = made.timestamps = options;
	send_syn(&t);
	translations_add(n->tr, &made);
	ct = entry_of(&t);
	assert_non_null(ct);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_STATE), TCP_CONNTRACK_SYN_SENT);
	nfct_destroy(ct);
	translations_flush(n->tr);
	check_done(n, n->count - 1, &made, 0);
	check_seen_as(n, n->count - 1, &t.client, t.client_port);
	check_made(&made, &t, MARK | OTHERS_MARK);
}

static void test_plain(void **state)
{
	struct net n;

	(void)state;
	net_open(&n);
	check_plain(&n, true, true);
	check_plain(&n, true, false);
	check_plain(&n, false, true);
	check_plain(&n, false, false);
	assert_int_equal(n.count, 4);
	translations_flush(n.tr);
	assert_int_equal(n.count, 4);
	net_close(&n);
}

/* The entry of our SYN has gone: there was no SNAT as far as anybody knows. */
static void test_missing(void **state)
{
	struct net n;
	struct tuple t = to_server(true, 1000);
	struct translation made = translation_of(&t);
	struct nf_conntrack *ct;

	(void)state;
	net_open(&n);
	make(&n, &made);
	check_seen_as(&n, 0, &t.client, 1000);
	ct = entry_of(&t);
	assert_non_null(ct);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_MARK), MARK);
	nfct_destroy(ct);
	net_close(&n);
}

/* Two public addresses lead to one server; a client used one port for both. */
static void test_taken(void **state)
{
	struct net n;
	struct tuple t = to_server(true, 1000);
	struct tuple other = to_server(true, 1001);
	struct translation first = translation_by_dnat(&t, "198.51.100.1", 8080);
	struct translation second = translation_by_dnat(&t, "198.51.100.2", 8080);
	struct translation third = translation_of(&other);

	(void)state;
	net_open(&n);
	make(&n, &first);
	translations_add(n.tr, &second);
	translations_add(n.tr, &third);
	translations_flush(n.tr);
	check_done(&n, 1, &second, EEXIST);
	check_done(&n, 2, &third, 0);
	assert_int_equal(translations_count(n.tr), 2);
	net_close(&n);
}

/* A connection that the server opened from its port to the client's is not ours to replace. */
static void test_of_server(void **state)
{
	struct net n;
	struct tuple t = to_server(true, 1000);
	struct tuple back = tuple_of("10.2.0.2", 80, "192.0.2.7", 1000);
	struct translation made = translation_of(&t);
	struct nf_conntrack *ct;

	(void)state;
	net_open(&n);
	netns_sh("ip route add default via 10.2.0.2");
	send_syn(&back);
	translations_add(n.tr, &made);
	translations_flush(n.tr);
	check_done(&n, 0, &made, EEXIST);
	ct = entry_of(&back);
	assert_non_null(ct);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_MARK), OTHERS_MARK);
	nfct_destroy(ct);
	net_close(&n);
}

static void check_found(struct translations *tr, const struct tuple *asked,
	const struct tuple *client_side, const struct tuple *server_side)
{
	struct translations_found f;

	memset(&f, 0xff, sizeof(f));
	assert_true(translations_find(tr, asked, &f));
	assert_memory_equal(&f.client_side, client_side, sizeof(*client_side));
	assert_memory_equal(&f.server_side, server_side, sizeof(*server_side));
	assert_true(f.translated);
	assert_int_equal(f.offset, 0x20);
	assert_true(f.by_ctnetlink);
	assert_true(f.timestamps);
	assert_int_equal(f.ts_offset, (uint32_t)(SERVER_TSVAL - COOKIE_TSVAL));
}

static void check_nat(const struct tuple *original, uint32_t nat)
{
	struct nf_conntrack *ct = entry_of(original);

	assert_non_null(ct);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_STATUS) & (IPS_SRC_NAT | IPS_DST_NAT), nat);
	nfct_destroy(ct);
}

static void snat_on(void)
{
	netns_sh("iptables -t nat -A POSTROUTING -o g0 -p tcp -j SNAT --to 10.2.0.1:5000-5999");
	netns_sh("ip6tables -t nat -A POSTROUTING -o g0 -p tcp -j SNAT --to [fd02::1]:5000-5999");
}

/* What the host's rules made of our SYN holds for the connection. */
static void check_snat(struct net *n, bool v4)
{
	struct tuple t = to_server(v4, 1000);
	struct tuple seen = t;
	struct translation made = translation_of(&t);
	const struct done *d;

	send_syn(&t);
	d = make(n, &made);
	assert_in_range(d->client_port, 5000, 5999);
	seen.client = netns_addr(v4 ? "10.2.0.1" : "fd02::1");
	seen.client_port = d->client_port;
	assert_memory_equal(&d->client, &seen.client, sizeof(seen.client));
	check_nat(&t, IPS_SRC_NAT);
	check_made(&made, &t, MARK | OTHERS_MARK);
	check_found(n->tr, &t, &t, &seen);
	check_found(n->tr, &seen, &t, &seen);
}

static void test_snat(void **state)
{
	struct net n;

	(void)state;
	net_open(&n);
	snat_on();
	check_snat(&n, true);
	check_snat(&n, false);
	net_close(&n);
}

/*
 * The client meets the public address only; an entry that it left there before, which leads to
 * another server, makes way.
 */
static void check_dnat(struct net *n, bool v4, const char *public_addr, const char *other_server)
{
	struct tuple t = to_server(v4, 1000);
	struct tuple other = t;
	struct tuple original = t;
	struct translation made = translation_by_dnat(&t, public_addr, 8080);
	struct translation stale;

	other.server = netns_addr(other_server);
	stale = translation_by_dnat(&other, public_addr, 8080);
	make(n, &stale);
	send_syn(&t);
	make(n, &made);
	original.server = netns_addr(public_addr);
	original.server_port = 8080;
	check_nat(&original, IPS_DST_NAT);
	check_made(&made, &original, MARK | OTHERS_MARK);
	check_found(n->tr, &original, &original, &t);
	check_found(n->tr, &t, &original, &t);
	check_no_entry(&t);
}

static void test_dnat(void **state)
{
	struct net n;

	(void)state;
	net_open(&n);
	check_dnat(&n, true, "198.51.100.1", "10.2.0.3");
	check_dnat(&n, false, "2001:db8:1::1", "fd02::3");
	assert_int_equal(translations_count(n.tr), 2);
	net_close(&n);
}

/* Then only what the client sent and what the server sends tell, not what a filter chain sees. */
static void test_both_nats(void **state)
{
	struct net n;
	struct tuple t = to_server(true, 1000);
	struct tuple original = tuple_of("192.0.2.7", 1000, "198.51.100.1", 8080);
	struct translation made = translation_by_dnat(&t, "198.51.100.1", 8080);
	struct translations_found f;
	struct tuple seen = t;
	const struct done *d;

	(void)state;
	net_open(&n);
	snat_on();
	send_syn(&t);
	d = make(&n, &made);
	seen.client = d->client;
	seen.client_port = d->client_port;
	check_nat(&original, IPS_SRC_NAT | IPS_DST_NAT);
	check_found(n.tr, &original, &original, &seen);
	check_found(n.tr, &seen, &original, &seen);
	assert_false(translations_find(n.tr, &t, &f));
	net_close(&n);
}

/* Neither what the kernel made, nor what a connection the other way round is. */
static void test_find(void **state)
{
	struct net n;
	struct tuple t = to_server(true, 1000);
	struct tuple back = tuple_of("10.2.0.2", 80, "192.0.2.7", 1000);
	struct translations_found f;
	struct translation without = translation_of(&t);

	(void)state;
	net_open(&n);
	assert_false(translations_find(n.tr, &t, &f));
	send_syn(&t);
	assert_true(translations_find(n.tr, &t, &f));
	assert_false(f.translated);
	assert_false(f.by_ctnetlink);
	assert_false(f.timestamps);
	assert_int_equal(f.offset, 0);
	assert_false(translations_find(n.tr, &back, &f));
	without.timestamps = false;
	make(&n, &without);
	assert_true(translations_find(n.tr, &t, &f));
	assert_true(f.translated);
	assert_true(f.by_ctnetlink);
	assert_false(f.timestamps);
	net_close(&n);
}

/* In the order they came in, sent when 64 are together, families and faults mixed. */
static void test_batch(void **state)
{
	enum {
		COUNT = 150
	};
	static struct translation made[COUNT];
	struct net n;

	(void)state;
	net_open(&n);
	for (unsigned i = 0; i < COUNT; i++) {
		struct tuple t = to_server(i % 2 == 0, (uint16_t)(1000 + i));

		if (i % 3 == 0)
			send_syn(&t);
		made[i] = translation_of(&t);
		translations_add(n.tr, &made[i]);
		assert_int_equal(n.count, i / BATCH * BATCH);
	}
	translations_flush(n.tr);
	assert_int_equal(n.count, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		check_done(&n, i, &made[i], 0);
		check_seen_as(&n, i, &made[i].tuple.client, (uint16_t)(1000 + i));
	}
	assert_int_equal(translations_count(n.tr), COUNT);
	net_close(&n);
}

/* Without its mark too, but not once it has ended. */
static void test_count(void **state)
{
	struct net n;
	struct tuple t = to_server(true, 1000);
	struct tuple plain = to_server(true, 1001);
	struct translation made = translation_of(&t);
	char why[256];
	struct conntrack *ct = NULL;

	(void)state;
	net_open(&n);
	assert_int_equal(translations_count(n.tr), 0);
	send_syn(&plain);
	assert_int_equal(translations_count(n.tr), 0);
	make(&n, &made);
	assert_int_equal(translations_count(n.tr), 1);
	ct = conntrack_open(MARK, why, sizeof(why));
	assert_non_null(ct);
	assert_int_equal(conntrack_clear_marks(ct), 1);
	conntrack_close(ct);
	assert_int_equal(translations_count(n.tr), 1);
	send_segment(&t, TCP_RST, CLIENT_ISN + 1);
	assert_int_equal(translations_count(n.tr), 0);
	net_close(&n);
}

struct route {
	struct addr server, public_addr;
	uint16_t port, public_port;
	unsigned count;
};

static void see_route(void *arg, const struct addr *server, uint16_t port,
	const struct addr *public_addr, uint16_t public_port)
{
	struct route *r = arg;

	*r = (struct route){
		.server = *server,
		.public_addr = *public_addr,
		.port = port,
		.public_port = public_port,
		.count = r->count + 1,
	};
}

/* Of any connection, and only of what has DNAT. */
static void check_route(struct net *n, bool v4, const char *public_addr)
{
	struct tuple t = to_server(v4, 1000);
	struct route r = {.count = 0};
	struct addr expected = netns_addr(public_addr);

	t.server = expected;
	t.server_port = 8080;
	send_syn(&t);
	assert_int_equal(translations_routes(n->tr, see_route, &r), 0);
	assert_int_equal(r.count, 1);
	assert_memory_equal(&r.public_addr, &expected, sizeof(expected));
	assert_int_equal(r.public_port, 8080);
	expected = netns_addr(v4 ? "10.2.0.2" : "fd02::2");
	assert_memory_equal(&r.server, &expected, sizeof(expected));
	assert_int_equal(r.port, 80);
}

static void test_routes(void **state)
{
	(void)state;
	for (int v4 = 0; v4 < 2; v4++) {
		struct net n;
		struct tuple direct = to_server(v4, 1001);

		net_open(&n);
		netns_sh("ip route add 198.51.100.0/24 via 10.2.0.2");
		netns_sh("ip route add 2001:db8:1::/48 via fd02::2");
		netns_sh("iptables -t nat -A OUTPUT -p tcp --dport 8080 -j DNAT --to 10.2.0.2:80");
		netns_sh("ip6tables -t nat -A OUTPUT -p tcp --dport 8080 -j DNAT "
			 "--to [fd02::2]:80");
		snat_on();
		send_syn(&direct);
		check_route(&n, v4, v4 ? "198.51.100.1" : "2001:db8:1::1");
		net_close(&n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_of_server),
		cmocka_unit_test(test_snat),
		cmocka_unit_test(test_dnat),
		cmocka_unit_test(test_both_nats),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_routes),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
