/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A queue's round trip, with the packets and the TCP of this kernel. */
#include "config.h"

#include "kernel/conntrack.h"
#include "kernel/inject.h"
#include "kernel/queue.h"
#include "netns.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MARK = 0x40,
	OTHERS_MARK = 0x08,
	QUEUE = 5,
	PORT = 80,
};

/* What the judge is to say of every packet, and what it saw. */
struct judge {
	enum verdict verdict;
	struct build_syn_change change;
	unsigned packets;
	unsigned before;
	uint32_t ifindex;
	struct engine_packet last;
};

static void judge(void *arg, struct engine_packet *in, uint32_t ifindex, struct decision *out)
{
	struct judge *j = arg;
	struct addr from;

	j->packets++;
	j->ifindex = ifindex;
	j->last = *in;
	out->verdict = j->verdict;
	if ((j->change.mss_max != 0 || j->change.strip_fastopen) &&
		packet_parse(in->bytes, in->captured, in->on_wire, in->verify_checksum,
			&out->segment, &from) == PACKET_TCP) {
		out->change_syn = true;
		out->change = j->change;
	}
}

static void before_verdicts(void *arg)
{
	struct judge *j = arg;

	j->before++;
}

static struct queue *open_lane(uint32_t copy_range, enum engine_lane lane)
{
	const struct queue_options o = {
		.number = QUEUE,
		.length = 1024,
		.copy_range = copy_range,
		.mark = MARK,
		.lane = lane,
	};
	char why[256] = "";
	struct queue *q = queue_open(&o, why, sizeof(why));

	if (q == NULL)
		fail_msg("%s", why);
	return q;
}

static struct queue *open_queue(uint32_t copy_range)
{
	return open_lane(copy_range, LANE_HANDSHAKES);
}

static const struct queue_calls calls = {.judge = judge, .before_verdicts = before_verdicts};

/* Reads the queue until `fd` is ready or the time is over; whether it became ready. */
static bool serve(struct queue *q, struct judge *j, int fd, short events, int timeout_ms)
{
	struct pollfd p[2] = {
		{.fd = fd, .events = events},
		{.fd = queue_fd(q), .events = POLLIN},
	};

	for (int waited = 0; waited < timeout_ms; waited += 10) {
		poll(p, 2, 10);
		assert_int_not_equal(queue_run(q, &calls, j), -1);
		if (p[0].revents != 0)
			return true;
	}
	return false;
}

static bool connects(struct queue *q, struct judge *j, const char *addr)
{
	int client = netns_connect_start(addr, PORT);
	bool connected = serve(q, j, client, POLLOUT, 500);

	close(client);
	return connected;
}

static int new_gate(void)
{
	int ns = netns_new();

	netns_sh("iptables -A INPUT -p tcp --dport %d -j NFQUEUE --queue-num %d", PORT, QUEUE);
	netns_sh("ip6tables -A INPUT -p tcp --dport %d -j NFQUEUE --queue-num %d", PORT, QUEUE);
	return ns;
}

static void test_accept(void **state)
{
	int ns = new_gate();
	int listener = netns_listen("::", PORT);
	struct queue *q = open_queue(256);
	struct judge j = {.verdict = VERDICT_ACCEPT};
	struct queue_stats stats;

	(void)state;
	assert_true(connects(q, &j, "127.0.0.1"));
	assert_true(connects(q, &j, "::1"));
	assert_in_range(j.packets, 2, 8);
	assert_in_range(j.before, 1, j.packets);
	assert_int_equal(j.ifindex, if_nametoindex("lo"));
	assert_int_equal(j.last.hook, HOOK_INPUT);
	assert_int_equal(j.last.captured, j.last.on_wire);
	assert_false(j.last.hint);
	assert_int_equal(j.last.lane, LANE_HANDSHAKES);
	assert_false(j.last.verify_checksum); /* lo leaves checksums out */
	queue_stats(q, &stats);
	assert_int_equal(stats.packets, j.packets);
	assert_int_equal(stats.kernel_dropped + stats.user_dropped + stats.overruns, 0);
	queue_close(q);
	close(listener);
	close(ns);
}

static void test_drop(void **state)
{
	int ns = new_gate();
	int listener = netns_listen("0.0.0.0", PORT);
	struct queue *q = open_queue(256);
	struct judge j = {.verdict = VERDICT_DROP};

	(void)state;
	assert_false(connects(q, &j, "127.0.0.1"));
	assert_int_equal(j.packets, 1);
	queue_close(q);
	close(listener);
	close(ns);
}

static void count(void *arg, const struct tuple *t, bool live)
{
	(void)t;
	*(unsigned *)arg += live;
}

/* The first packet is admitted by way of the rules that it meets again, and no other comes. */
static void test_admit(void **state)
{
	int ns = netns_new();
	int listener = netns_listen("0.0.0.0", PORT);
	struct queue *q = open_queue(256);
	struct judge j = {.verdict = VERDICT_ADMIT};
	char why[256];
	struct conntrack *ct = conntrack_open(MARK, why, sizeof(why));
	unsigned live = 0;

	(void)state;
	netns_sh("iptables -A INPUT -m mark --mark %d/%d -j CONNMARK --save-mark --mask %d", MARK,
		MARK, MARK);
	netns_sh("iptables -A INPUT -m connmark --mark %d/%d -j ACCEPT", MARK, MARK);
	netns_sh("iptables -A INPUT -p tcp --dport %d -j NFQUEUE --queue-num %d", PORT, QUEUE);
	assert_true(connects(q, &j, "127.0.0.1"));
	assert_int_equal(j.packets, 1);
	assert_non_null(ct);
	assert_int_equal(conntrack_dump(ct, count, &live), 1);
	conntrack_close(ct);
	queue_close(q);
	close(listener);
	close(ns);
}

/* Our bit is told to the judge and taken away; somebody else's stays. */
static void test_hint(void **state)
{
	int ns = new_gate();
	int listener = netns_listen("0.0.0.0", PORT);
	struct queue *q = open_queue(256);
	struct judge j = {.verdict = VERDICT_ACCEPT};

	(void)state;
	netns_sh("iptables -t mangle -A OUTPUT -p tcp --dport %d -j MARK --set-mark %d", PORT,
		MARK | OTHERS_MARK);
	netns_sh("iptables -t security -A INPUT -p tcp --dport %d -m mark ! --mark %d -j DROP",
		PORT, OTHERS_MARK);
	assert_true(connects(q, &j, "127.0.0.1"));
	assert_true(j.last.hint);
	queue_close(q);
	close(listener);
	close(ns);
}

static void check_clamped(struct queue *q, const char *addr)
{
	struct judge j = {.verdict = VERDICT_ACCEPT, .change = {.mss_max = 1000}};
	int listener = netns_listen(addr, PORT);
	int client = netns_connect_start(addr, PORT);
	int server;
	int mss = 0;
	socklen_t size = sizeof(mss);

	assert_true(serve(q, &j, client, POLLOUT, 500));
	j.change.mss_max = 0;
	assert_true(serve(q, &j, listener, POLLIN, 500));
	server = netns_accept(listener);
	assert_int_equal(getsockopt(server, IPPROTO_TCP, TCP_MAXSEG, &mss, &size), 0);
	assert_in_range(mss, 500, 1000);
	close(server);
	close(client);
	close(listener);
}

/* A changed SYN arrives with a checksum that the receiving TCP takes. */
static void test_change(void **state)
{
	int ns = new_gate();
	struct queue *q = open_queue(0);

	(void)state;
	check_clamped(q, "127.0.0.1");
	check_clamped(q, "::1");
	queue_close(q);
	close(ns);
}

/* Where a packet came from, and by which hook. */
static void test_hooks(void **state)
{
	int gate = new_gate();
	int host = netns_new();
	int listener, client;
	struct queue *q;
	struct judge j = {.verdict = VERDICT_ACCEPT};

	(void)state;
	netns_join(host, "h0", "10.1.0.2/24", gate, "g0", "10.1.0.1/24");
	netns_enter(gate);
	netns_sh("iptables -A OUTPUT -p tcp --sport %d -j NFQUEUE --queue-num %d", PORT, QUEUE);
	q = open_queue(128);
	listener = netns_listen("10.1.0.1", PORT);
	netns_enter(host);
	client = netns_connect_start("10.1.0.1", PORT);
	netns_enter(gate);
	while (j.packets == 0)
		assert_false(serve(q, &j, client, POLLOUT, 10));
	assert_int_equal(j.last.hook, HOOK_INPUT);
	assert_int_equal(j.ifindex, if_nametoindex("g0"));
	while (j.packets == 1)
		serve(q, &j, client, POLLOUT, 10);
	assert_int_equal(j.last.hook, HOOK_OUTPUT);
	assert_int_equal(j.ifindex, 0);
	queue_close(q);
	close(client);
	close(listener);
	close(host);
	close(gate);
}

static int udp_socket(struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_not_equal(fd, -1);
	*to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9)};
	to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd;
}

/* ICMP is taken before conntrack and routing have seen it. */
static void test_prerouting(void **state)
{
	int ns = netns_new();
	struct queue *q = open_lane(128, LANE_PROOFS);
	struct judge j = {.verdict = VERDICT_ACCEPT};
	struct sockaddr_in to;
	int sender = udp_socket(&to);

	(void)state;
	netns_sh("iptables -t raw -A PREROUTING -p udp -j NFQUEUE --queue-num %d", QUEUE);
	assert_int_equal(sendto(sender, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)), 1);
	assert_int_equal(queue_run(q, &calls, &j), 1);
	assert_int_equal(j.last.hook, HOOK_PREROUTING);
	assert_int_equal(j.last.lane, LANE_PROOFS);
	queue_close(q);
	close(sender);
	close(ns);
}

/* A raw socket's packets are the one kind on lo that comes with a checksum, unlooked at. */
static void test_checksum(void **state)
{
	int ns = new_gate();
	struct queue *q = open_queue(128);
	struct judge j = {.verdict = VERDICT_DROP};
	const struct addr lo = netns_addr("127.0.0.1");
	uint8_t rst[BUILD_RST_MAX];
	size_t len = build_rst(rst, &lo, 1, &lo, PORT, 1, false, 0);
	char why[256];
	struct inject *i = inject_open(MARK, why, sizeof(why));

	(void)state;
	assert_non_null(i);
	inject_add(i, rst, len);
	inject_flush(i);
	assert_int_equal(queue_run(q, &calls, &j), 1);
	assert_true(j.last.verify_checksum);
	assert_true(j.last.hint);
	inject_close(i);
	queue_close(q);
	close(ns);
}

/* More packets than a round takes, each with a verdict. */
static void test_many(void **state)
{
	enum {
		PACKETS = 200
	};
	int ns = netns_new();
	struct queue *q = open_queue(128);
	struct judge j = {.verdict = VERDICT_ACCEPT};
	struct sockaddr_in to;
	int sender = udp_socket(&to);
	int receiver = udp_socket(&to);
	int received = 0;
	char c;

	(void)state;
	netns_sh("iptables -A INPUT -p udp -j NFQUEUE --queue-num %d", QUEUE);
	assert_int_equal(bind(receiver, (const struct sockaddr *)&to, sizeof(to)), 0);
	for (int i = 0; i < PACKETS; i++)
		assert_int_equal(
			sendto(sender, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)), 1);
	/* On a busy machine the last of them take their time. */
	netns_sh("for i in $(seq 200); do awk '$1 == %d && $3 == %d {found = 1} END {exit !found}' "
		 "/proc/net/netfilter/nfnetlink_queue && exit 0; sleep 0.02; done; exit 1",
		QUEUE, PACKETS);
	assert_int_equal(queue_run(q, &calls, &j), 64);
	assert_int_equal(j.before, 1);
	while (queue_run(q, &calls, &j) > 0)
		;
	assert_int_equal(j.packets, PACKETS);
	while (recv(receiver, &c, 1, 0) == 1)
		received++;
	assert_int_equal(received, PACKETS);
	queue_close(q);
	close(sender);
	close(receiver);
	close(ns);
}

static void check_copied(uint32_t copy_range, size_t payload, size_t captured)
{
	static char bytes[60000];
	struct queue *q = open_queue(copy_range);
	struct judge j = {.verdict = VERDICT_DROP};
	struct sockaddr_in to;
	int sender = udp_socket(&to);

	assert_int_equal(
		sendto(sender, bytes, payload, 0, (const struct sockaddr *)&to, sizeof(to)),
		(ssize_t)payload);
	assert_int_equal(queue_run(q, &calls, &j), 1);
	assert_int_equal(j.last.on_wire, payload + 28);
	assert_int_equal(j.last.captured, captured);
	queue_close(q);
	close(sender);
}

static void test_copy_range(void **state)
{
	int ns = netns_new();

	(void)state;
	netns_sh("iptables -A INPUT -p udp -j NFQUEUE --queue-num %d", QUEUE);
	check_copied(40, 1000, 40);
	check_copied(128, 1, 29);
	check_copied(0, 60000, 60028);
	close(ns);
}

static void test_conflict(void **state)
{
	const struct queue_options o = {.number = QUEUE, .length = 16, .copy_range = 64};
	int ns = netns_new();
	struct queue *q = open_queue(64);
	char why[256] = "";

	(void)state;
	assert_null(queue_open(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "queue 5 is held by another program (netlink port"));
	queue_close(q);
	queue_close(open_queue(64));
	close(ns);
}

/* A message as the kernel's, but made wrong. */
struct forged {
	struct nlmsghdr nlh;
	struct nfgenmsg nfg;
	struct nlattr header_attr;
	struct nfqnl_msg_packet_hdr header;
	uint8_t pad;
	struct nlattr mark_attr;
	uint32_t mark;
};

static struct forged forge(void)
{
	return (struct forged){
		.nlh.nlmsg_len = sizeof(struct forged),
		.nlh.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET,
		.header_attr = {.nla_len = 4 + sizeof(struct nfqnl_msg_packet_hdr),
			.nla_type = NFQA_PACKET_HDR},
		.mark_attr = {.nla_len = 8, .nla_type = NFQA_MARK},
	};
}

static void send_forged(struct queue *q, const struct forged *f, size_t len)
{
	struct sockaddr_nl to;
	socklen_t size = sizeof(to);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	assert_int_equal(getsockname(queue_fd(q), (struct sockaddr *)&to, &size), 0);
	assert_int_equal(
		sendto(fd, f, len, 0, (const struct sockaddr *)&to, sizeof(to)), (ssize_t)len);
	close(fd);
}

/* Returns how many packets the judge saw. */
static unsigned run_forged(struct queue *q, const struct forged *f, size_t len, int packets)
{
	struct judge j = {.verdict = VERDICT_ACCEPT};

	send_forged(q, f, len);
	assert_int_equal(queue_run(q, &calls, &j), packets);
	while (queue_run(q, &calls, &j) > 0)
		;
	return j.packets;
}

/* Messages that make no sense get a drop if they name a packet at all. */
static void test_forged(void **state)
{
	int ns = netns_new();
	struct queue *q = open_queue(64);
	struct forged f = forge();

	(void)state;
	assert_int_equal(run_forged(q, &f, sizeof(f), 1), 1);
	for (size_t len = 1; len < sizeof(f); len++)
		run_forged(q, &f, len, len >= offsetof(struct forged, mark_attr) - 1);
	f.mark_attr.nla_len = 6;
	assert_int_equal(run_forged(q, &f, sizeof(f), 1), 0);
	f.mark_attr.nla_len = UINT16_MAX;
	assert_int_equal(run_forged(q, &f, sizeof(f), 1), 1);
	f = forge();
	f.header_attr.nla_len = 5;
	assert_int_equal(run_forged(q, &f, sizeof(f), 0), 0);
	f = forge();
	f.nlh.nlmsg_len = 3;
	assert_int_equal(run_forged(q, &f, sizeof(f), 0), 0);
	f.nlh.nlmsg_len = UINT32_MAX;
	assert_int_equal(run_forged(q, &f, sizeof(f), 1), 1);
	f.nlh.nlmsg_type = NLMSG_ERROR;
	assert_int_equal(run_forged(q, &f, sizeof(f), 0), 0);
	queue_close(q);
	close(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_admit),
		cmocka_unit_test(test_hint),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_prerouting),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_copy_range),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_forged),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
