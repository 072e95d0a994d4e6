/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of our own, as a real TCP takes them. */
#include "config.h"

#include "core/build.h"
#include "kernel/inject.h"
#include "netns.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MARK = 0x40,
	PORT = 80,
};

static struct inject *open_inject(void)
{
	char why[256] = "";
	struct inject *i = inject_open(MARK, why, sizeof(why));

	if (i == NULL)
		fail_msg("%s", why);
	return i;
}

/* The number that the socket's TCP expects next, which is the only one that an RST may have (RFC
 * 5961, section 3.2). */
static uint32_t expected_seq(int fd)
{
	int repair = TCP_REPAIR_ON;
	int queue = TCP_RECV_QUEUE;
	uint32_t seq = 0;
	socklen_t size = sizeof(seq);

	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &repair, sizeof(repair)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)), 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &size), 0);
	repair = TCP_REPAIR_OFF;
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &repair, sizeof(repair)), 0);
	return seq;
}

/* An RST in the other end's name, marked with our bit, ends a connection. */
static void check_reset(const char *text)
{
	int listener = netns_listen(text, PORT);
	int client = netns_connect(text, PORT);
	int server = netns_accept(listener);
	const struct addr a = netns_addr(text);
	struct inject *i = open_inject();
	struct inject_stats stats;
	struct pollfd p = {.fd = client, .events = POLLIN};
	uint8_t rst[BUILD_RST_MAX];
	char c;

	assert_true(netns_crosses(server, client));
	inject_add(i, rst,
		build_rst(rst, &a, PORT, &a, netns_local_port(client), expected_seq(client), false,
			0));
	inject_flush(i);
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(recv(client, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	inject_stats(i, &stats);
	assert_int_equal(stats.sent, 1);
	assert_int_equal(stats.failed, 0);
	inject_close(i);
	close(server);
	close(client);
	close(listener);
}

static void test_reset(void **state)
{
	int ns = netns_new();

	(void)state;
	netns_sh("iptables -A INPUT -p tcp --tcp-flags RST RST -m mark ! --mark %d -j DROP", MARK);
	netns_sh("ip6tables -A INPUT -p tcp --tcp-flags RST RST -m mark ! --mark %d -j DROP", MARK);
	check_reset("127.0.0.1");
	check_reset("::1");
	close(ns);
}

/* From an address that is nobody's here to one that is ours, and the other way round. */
static void test_foreign(void **state)
{
	int gate = netns_new();
	int host = netns_new();
	struct inject *i;
	struct inject_stats stats;
	const struct addr here = netns_addr("10.1.0.1");
	const struct addr there = netns_addr("10.1.0.2");
	const struct addr nobody = netns_addr("192.0.2.1");
	uint8_t rst[BUILD_RST_MAX];

	(void)state;
	netns_join(gate, "g0", "10.1.0.1/24", host, "h0", "10.1.0.2/24");
	netns_sh("iptables -A INPUT -s 192.0.2.1 -p tcp --dport 7 -j DROP");
	i = open_inject();
	inject_add(i, rst, build_rst(rst, &nobody, 1, &here, 7, 1, false, 0));
	inject_add(i, rst, build_rst(rst, &nobody, 1, &there, 7, 1, false, 0));
	inject_flush(i);
	inject_stats(i, &stats);
	assert_int_equal(stats.sent, 2);
	netns_sh("iptables -nvxL INPUT | grep -q '^ *1 .*dpt:7'");
	inject_close(i);
	close(host);
	close(gate);
}

/* More than a batch, with packets between that nobody could send. */
static void test_failures(void **state)
{
	enum {
		PACKETS = 150
	};
	int ns = netns_new();
	struct inject *i = open_inject();
	struct inject_stats stats;
	const struct addr lo = netns_addr("127.0.0.1");
	const struct addr nowhere = netns_addr("192.0.2.1");
	const uint8_t long_packet[129] = {0x45};
	uint8_t rst[BUILD_RST_MAX];
	size_t len;

	(void)state;
	for (unsigned n = 0; n < PACKETS; n++) {
		len = build_rst(rst, &lo, 1, n % 10 == 5 ? &nowhere : &lo, 2, n, false, 0);
		inject_add(i, rst, len);
	}
	inject_flush(i);
	inject_stats(i, &stats);
	assert_int_equal(stats.sent, PACKETS - PACKETS / 10);
	assert_int_equal(stats.failed, PACKETS / 10);
	assert_int_equal(stats.last_errno, ENETUNREACH);

	inject_add(i, long_packet, sizeof(long_packet));
	inject_add(i, long_packet, 19);
	inject_add(i, long_packet, 0);
	inject_stats(i, &stats);
	assert_int_equal(stats.failed, PACKETS / 10 + 3);
	inject_close(i);
	close(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_failures),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
