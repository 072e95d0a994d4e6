/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries that translate numbers and addresses: after DNAT, after SNAT, after both. */
#include "config.h"

#include "gateway.h"

#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Two public addresses lead to one server; a client used one port for both. */
static void test_taken(void **state)
{
	struct gateway n;
	struct tuple t = gateway_to_server(true, 1000);
	struct tuple other = gateway_to_server(true, 1001);
	struct translation first = gateway_by_dnat(&t, "198.51.100.1", 8080);
	struct translation second = gateway_by_dnat(&t, "198.51.100.2", 8080);
	struct translation third = gateway_translation(&other);

	(void)state;
	gateway_open(&n);
	gateway_make(&n, &first);
	translations_add(n.tr, &second);
	translations_add(n.tr, &third);
	translations_flush(n.tr);
	gateway_check_done(&n, 1, &second, EEXIST);
	gateway_check_done(&n, 2, &third, 0);
	assert_int_equal(translations_count(n.tr), 2);
	gateway_close(&n);
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
	assert_int_equal(f.ts_offset, (uint32_t)(GATEWAY_SERVER_TSVAL - GATEWAY_COOKIE_TSVAL));
}

static void check_no_entry(const struct tuple *t)
{
	assert_null(gateway_entry(t));
}

static void check_nat(const struct tuple *original, uint32_t nat)
{
	struct nf_conntrack *ct = gateway_entry(original);

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
static void check_snat(struct gateway *n, bool v4)
{
	struct tuple t = gateway_to_server(v4, 1000);
	struct tuple seen = t;
	struct translation made = gateway_translation(&t);
	const struct gateway_done *d;

	gateway_send_syn(&t);
	d = gateway_make(n, &made);
	assert_in_range(d->client_port, 5000, 5999);
	seen.client = netns_addr(v4 ? "10.2.0.1" : "fd02::1");
	seen.client_port = d->client_port;
	assert_memory_equal(&d->client, &seen.client, sizeof(seen.client));
	check_nat(&t, IPS_SRC_NAT);
	gateway_check_made(&made, &t, GATEWAY_MARK | GATEWAY_OTHERS_MARK);
	check_found(n->tr, &t, &t, &seen);
	check_found(n->tr, &seen, &t, &seen);
}

static void test_snat(void **state)
{
	struct gateway n;

	(void)state;
	gateway_open(&n);
	snat_on();
	check_snat(&n, true);
	check_snat(&n, false);
	gateway_close(&n);
}

/*
 * The client meets the public address only; an entry that it left there before, which leads to
 * another server, makes way.
 */
static void check_dnat(
	struct gateway *n, bool v4, const char *public_addr, const char *other_server)
{
	struct tuple t = gateway_to_server(v4, 1000);
	struct tuple other = t;
	struct tuple original = t;
	struct translation made = gateway_by_dnat(&t, public_addr, 8080);
	struct translation stale;

	other.server = netns_addr(other_server);
	stale = gateway_by_dnat(&other, public_addr, 8080);
	gateway_make(n, &stale);
	gateway_send_syn(&t);
	gateway_make(n, &made);
	original.server = netns_addr(public_addr);
	original.server_port = 8080;
	check_nat(&original, IPS_DST_NAT);
	gateway_check_made(&made, &original, GATEWAY_MARK | GATEWAY_OTHERS_MARK);
	check_found(n->tr, &original, &original, &t);
	check_found(n->tr, &t, &original, &t);
	check_no_entry(&t);
}

static void test_dnat(void **state)
{
	struct gateway n;

	(void)state;
	gateway_open(&n);
	check_dnat(&n, true, "198.51.100.1", "10.2.0.3");
	check_dnat(&n, false, "2001:db8:1::1", "fd02::3");
	assert_int_equal(translations_count(n.tr), 2);
	gateway_close(&n);
}

/* Then only what the client sent and what the server sends tell, not what a filter chain sees. */
static void test_both_nats(void **state)
{
	struct gateway n;
	struct tuple t = gateway_to_server(true, 1000);
	struct tuple original = gateway_tuple("192.0.2.7", 1000, "198.51.100.1", 8080);
	struct translation made = gateway_by_dnat(&t, "198.51.100.1", 8080);
	struct translations_found f;
	struct tuple seen = t;
	const struct gateway_done *d;

	(void)state;
	gateway_open(&n);
	snat_on();
	gateway_send_syn(&t);
	d = gateway_make(&n, &made);
	seen.client = d->client;
	seen.client_port = d->client_port;
	check_nat(&original, IPS_SRC_NAT | IPS_DST_NAT);
	check_found(n.tr, &original, &original, &seen);
	check_found(n.tr, &seen, &original, &seen);
	assert_false(translations_find(n.tr, &t, &f));
	gateway_close(&n);
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
static void check_route(struct gateway *n, bool v4, const char *public_addr)
{
	struct tuple t = gateway_to_server(v4, 1000);
	struct route r = {.count = 0};
	struct addr expected = netns_addr(public_addr);

	t.server = expected;
	t.server_port = 8080;
	gateway_send_syn(&t);
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
		struct gateway n;
		struct tuple direct = gateway_to_server(v4, 1001);

		gateway_open(&n);
		netns_sh("ip route add 198.51.100.0/24 via 10.2.0.2");
		netns_sh("ip route add 2001:db8:1::/48 via fd02::2");
		netns_sh("iptables -t nat -A OUTPUT -p tcp --dport 8080 -j DNAT --to 10.2.0.2:80");
		netns_sh("ip6tables -t nat -A OUTPUT -p tcp --dport 8080 -j DNAT "
			 "--to [fd02::2]:80");
		snat_on();
		gateway_send_syn(&direct);
		check_route(&n, v4, v4 ? "198.51.100.1" : "2001:db8:1::1");
		gateway_close(&n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_snat),
		cmocka_unit_test(test_dnat),
		cmocka_unit_test(test_both_nats),
		cmocka_unit_test(test_routes),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
