/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries that translate: made in the place of our own SYN's, found again, counted. */
#include "config.h"

#include "core/packet.h"
#include "gateway.h"
#include "kernel/conntrack.h"

#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
	BATCH = 64,
};

/* Nothing is said to the kernel before the flush. Marks of others stay. */
static void check_plain(struct gateway *n, bool v4, bool options)
{
	struct tuple t = gateway_to_server(v4, options ? 1000 : 1001);
	struct translation made = gateway_translation(&t);
	struct nf_conntrack *ct;

	made.scales = made.sack = made.timestamps = options;
	gateway_send_syn(&t);
	translations_add(n->tr, &made);
	ct = gateway_entry(&t);
	assert_non_null(ct);
	assert_int_equal(nfct_get_attr_u8(ct, ATTR_TCP_STATE), TCP_CONNTRACK_SYN_SENT);
	nfct_destroy(ct);
	translations_flush(n->tr);
	gateway_check_done(n, n->count - 1, &made, 0);
	gateway_check_seen_as(n, n->count - 1, &t.client, t.client_port);
	gateway_check_made(&made, &t, GATEWAY_MARK | GATEWAY_OTHERS_MARK);
}

static void test_plain(void **state)
{
	struct gateway n;

	(void)state;
	gateway_open(&n);
	check_plain(&n, true, true);
	check_plain(&n, true, false);
	check_plain(&n, false, true);
	check_plain(&n, false, false);
	assert_int_equal(n.count, 4);
	translations_flush(n.tr);
	assert_int_equal(n.count, 4);
	gateway_close(&n);
}

/* The entry of our SYN has gone: there was no SNAT as far as anybody knows. */
static void test_missing(void **state)
{
	struct gateway n;
	struct tuple t = gateway_to_server(true, 1000);
	struct translation made = gateway_translation(&t);
	struct nf_conntrack *ct;

	(void)state;
	gateway_open(&n);
	gateway_make(&n, &made);
	gateway_check_seen_as(&n, 0, &t.client, 1000);
	ct = gateway_entry(&t);
	assert_non_null(ct);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_MARK), GATEWAY_MARK);
	nfct_destroy(ct);
	gateway_close(&n);
}

/* A connection that the server opened from its port to the client's is not ours to replace. */
static void test_of_server(void **state)
{
	struct gateway n;
	struct tuple t = gateway_to_server(true, 1000);
	struct tuple back = gateway_tuple("10.2.0.2", 80, "192.0.2.7", 1000);
	struct translation made = gateway_translation(&t);
	struct nf_conntrack *ct;

	(void)state;
	gateway_open(&n);
	netns_sh("ip route add default via 10.2.0.2");
	gateway_send_syn(&back);
	translations_add(n.tr, &made);
	translations_flush(n.tr);
	gateway_check_done(&n, 0, &made, EEXIST);
	ct = gateway_entry(&back);
	assert_non_null(ct);
	assert_int_equal(nfct_get_attr_u32(ct, ATTR_MARK), GATEWAY_OTHERS_MARK);
	nfct_destroy(ct);
	gateway_close(&n);
}

/* Neither what the kernel made, nor what a connection the other way round is. */
static void test_find(void **state)
{
	struct gateway n;
	struct tuple t = gateway_to_server(true, 1000);
	struct tuple back = gateway_tuple("10.2.0.2", 80, "192.0.2.7", 1000);
	struct translations_found f;
	struct translation without = gateway_translation(&t);

	(void)state;
	gateway_open(&n);
	assert_false(translations_find(n.tr, &t, &f));
	gateway_send_syn(&t);
	assert_true(translations_find(n.tr, &t, &f));
	assert_false(f.translated);
	assert_false(f.by_ctnetlink);
	assert_false(f.timestamps);
	assert_int_equal(f.offset, 0);
	assert_false(translations_find(n.tr, &back, &f));
	without.timestamps = false;
	gateway_make(&n, &without);
	assert_true(translations_find(n.tr, &t, &f));
	assert_true(f.translated);
	assert_true(f.by_ctnetlink);
	assert_false(f.timestamps);
	gateway_close(&n);
}

/* In the order they came in, sent when 64 are together, families and faults mixed. */
static void test_batch(void **state)
{
	enum {
		COUNT = 150
	};
	static struct translation made[COUNT];
	struct gateway n;

	(void)state;
	gateway_open(&n);
	for (unsigned i = 0; i < COUNT; i++) {
		struct tuple t = gateway_to_server(i % 2 == 0, (uint16_t)(1000 + i));

		if (i % 3 == 0)
			gateway_send_syn(&t);
		made[i] = gateway_translation(&t);
		translations_add(n.tr, &made[i]);
		assert_int_equal(n.count, i / BATCH * BATCH);
	}
	translations_flush(n.tr);
	assert_int_equal(n.count, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		gateway_check_done(&n, i, &made[i], 0);
		gateway_check_seen_as(&n, i, &made[i].tuple.client, (uint16_t)(1000 + i));
	}
	assert_int_equal(translations_count(n.tr), COUNT);
	gateway_close(&n);
}

/* Without its mark too, but not once it has ended. */
static void test_count(void **state)
{
	struct gateway n;
	struct tuple t = gateway_to_server(true, 1000);
	struct tuple plain = gateway_to_server(true, 1001);
	struct translation made = gateway_translation(&t);
	char why[256];
	struct conntrack *ct = NULL;

	(void)state;
	gateway_open(&n);
	assert_int_equal(translations_count(n.tr), 0);
	gateway_send_syn(&plain);
	assert_int_equal(translations_count(n.tr), 0);
	gateway_make(&n, &made);
	assert_int_equal(translations_count(n.tr), 1);
	ct = conntrack_open(GATEWAY_MARK, why, sizeof(why));
	assert_non_null(ct);
	assert_int_equal(conntrack_clear_marks(ct), 1);
	conntrack_close(ct);
	assert_int_equal(translations_count(n.tr), 1);
	gateway_send(&t, TCP_RST, GATEWAY_CLIENT_ISN + 1);
	assert_int_equal(translations_count(n.tr), 0);
	gateway_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_of_server),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_count),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
