/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is logged and dropped for a server under a flood, and what goes on; and its reading. */
#include "config.h"

#include "kernel/nflog.h"
#include "kernel/unqueued.h"
#include "netns.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	WHY = 1000,
	PORT = 80,
	GROUP = 5300,
	MARK = 0x20000000,
};

static const struct unqueued_plan two = {.way = RULESET_NFTABLES,
	.group = GROUP,
	.workers = 2,
	.mark = MARK,
	.seed = 0xabc,
	.servers = true};

static const struct unqueued_lists none;

struct fixture {
	bool tells; /* of listeners, too */
	struct unqueued *unqueued;
	struct nflog *log[2];
	int listener4, listener6;
	int client_ns;
	int server_ns;
};

/* One namespace with the table and servers, another with clients. */
static void set_up(struct fixture *f)
{
	char why[WHY] = "";

	f->server_ns = netns_new();
	f->client_ns = netns_new();
	netns_join(f->client_ns, "c", "10.9.0.1/24", f->server_ns, "s", "10.9.0.2/24");
	netns_sh("ip addr add fd09::1/64 dev c nodad; ip addr add 169.254.7.1/16 dev c");
	netns_enter(f->server_ns);
	netns_sh("ip addr add fd09::2/64 dev s nodad; ip route add 169.254.0.0/16 dev s");
	f->listener4 = netns_listen("10.9.0.2", PORT);
	f->listener6 = netns_listen("fd09::2", PORT);
	f->unqueued = unqueued_open(&two, why, sizeof(why));
	for (unsigned i = 0; i < 2; i++)
		f->log[i] = nflog_open((uint16_t)(GROUP + i), MARK, why, sizeof(why));
	if (f->unqueued == NULL || f->log[0] == NULL || f->log[1] == NULL) {
		print_message("%s\n", why);
		skip();
	}
	if (unqueued_apply(f->unqueued, true, f->tells, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

static void tear_down(struct fixture *f)
{
	char why[WHY];

	assert_int_equal(unqueued_remove(why, sizeof(why)), 0);
	assert_int_equal(unqueued_remove(why, sizeof(why)), 0);
	netns_sh("! nft list tables | grep -q ackgate");
	unqueued_close(f->unqueued);
	nflog_close(f->log[0]);
	nflog_close(f->log[1]);
	close(f->listener4);
	close(f->listener6);
}

static void list(struct fixture *f, unsigned worker, bool spread)
{
	const struct unqueued_server servers[] = {
		{netns_addr("10.9.0.2"), PORT, worker, spread},
		{netns_addr("fd09::2"), PORT, worker, spread},
	};
	char why[WHY] = "";

	const struct unqueued_lists lists = {.servers = servers, .server_count = 2};
	if (unqueued_list(f->unqueued, &lists, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

static void list_listener(struct fixture *f, const char *addr)
{
	const struct endpoint at = {netns_addr(addr), PORT};
	const struct unqueued_lists lists = {.listeners = &at, .listener_count = 1};
	char why[WHY] = "";

	if (unqueued_list(f->unqueued, &lists, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

static void note(void *arg, const struct engine_packet *in)
{
	struct segment *seg = arg;
	struct addr from;

	assert_int_equal(in->fate, FATE_DROPPED);
	assert_int_equal(in->hook, HOOK_INPUT);
	assert_int_equal(
		packet_parse(in->bytes, in->captured, in->on_wire, false, seg, &from), PACKET_TCP);
}

/* How many come within a moment; the last of them. */
static int logged(struct nflog *l, struct segment *last)
{
	struct pollfd p = {.fd = nflog_fd(l), .events = POLLIN};
	int count = 0;

	while (poll(&p, 1, 200) == 1)
		count += nflog_run(l, note, last);
	return count;
}

enum how {
	PLAIN,
	SIGNED,     /* RFC 2385 */
	LINK_LOCAL, /* the client's address is */
};

static void bind_to(int fd, const char *addr)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	assert_int_equal(inet_pton(AF_INET, addr, &in.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
}

static void sign(int fd, const char *to)
{
	struct tcp_md5sig key = {.tcpm_keylen = 3, .tcpm_key = "abc"};
	struct sockaddr_in *in = (void *)&key.tcpm_addr;

	in->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, to, &in->sin_addr), 1);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)), 0);
}

/* One SYN from the clients' namespace; whether its connection stands a moment later. */
static bool dial(const struct fixture *f, const char *to, enum how how)
{
	bool v4 = strchr(to, ':') == NULL;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	const struct sockaddr *sa = v4 ? (void *)&in : (void *)&in6;
	struct pollfd p = {.events = POLLOUT};

	netns_enter(f->client_ns);
	p.fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_not_equal(p.fd, -1);
	inet_pton(sa->sa_family, to, v4 ? (void *)&in.sin_addr : (void *)&in6.sin6_addr);
	if (how == LINK_LOCAL)
		bind_to(p.fd, "169.254.7.1");
	if (how == SIGNED)
		sign(p.fd, to);
	(void)connect(p.fd, sa, v4 ? sizeof(in) : sizeof(in6));
	bool stands = poll(&p, 1, 200) == 1 && !(p.revents & POLLERR);
	close(p.fd);
	netns_enter(f->server_ns);
	return stands;
}

static void only_while_it_is_listed(void **state)
{
	static const char *const servers[] = {"10.9.0.2", "fd09::2"};
	struct fixture f = {.tells = false};
	struct segment last;
	char why[WHY];

	(void)state;
	set_up(&f);
	for (unsigned i = 0; i < 2; i++) {
		list(&f, i, false);
		assert_false(dial(&f, servers[i], PLAIN));
		assert_int_equal(logged(f.log[i], &last), 1);
		assert_int_equal(last.flags & TCP_SYN, TCP_SYN);
		assert_int_equal(last.dst_port, PORT);
		assert_int_equal(logged(f.log[!i], &last), 0);
		assert_int_equal(unqueued_list(f.unqueued, &none, why, sizeof(why)), 0);
		assert_true(dial(&f, servers[i], PLAIN));
		assert_int_equal(logged(f.log[i], &last), 0);
	}
	tear_down(&f);
}

static void to_all_workers(void **state)
{
	struct fixture f = {.tells = false};
	struct segment last;

	(void)state;
	set_up(&f);
	for (unsigned i = 0; i < 16; i++) {
		list(&f, 0, true);
		dial(&f, "10.9.0.2", PLAIN);
	}
	int first = logged(f.log[0], &last), second = logged(f.log[1], &last);
	assert_int_equal(first + second, 16);
	assert_in_range(first, 1, 15);
	assert_int_equal(nflog_lost(f.log[0]) + nflog_lost(f.log[1]), 0);
	tear_down(&f);
}

static void not_for_long_without_a_daemon(void **state)
{
	struct fixture f = {.tells = false};
	struct segment last;

	(void)state;
	set_up(&f);
	list(&f, 0, false);
	sleep(UNQUEUED_SERVER_LASTS_S + 1);
	assert_true(dial(&f, "10.9.0.2", PLAIN));
	assert_int_equal(logged(f.log[0], &last), 0);
	tear_down(&f);
}

/* It may have a place in the queue alone. */
static void what_can_have_no_cookie_goes_on(void **state)
{
	struct fixture f = {.tells = false};
	struct segment last;

	(void)state;
	set_up(&f);
	netns_sh("nft 'table inet seen { chain c { type filter hook input priority 60; "
		 "tcp option 19 exists counter; }; }'");
	list(&f, 0, false);
	assert_true(dial(&f, "10.9.0.2", LINK_LOCAL));
	dial(&f, "10.9.0.2", SIGNED);
	assert_int_equal(logged(f.log[0], &last), 0);
	netns_sh("nft list table inet seen | grep -q 'counter packets 1 '");
	/* By DNAT: the answer must come from elsewhere. */
	netns_sh("nft 'table ip nat { chain c { type nat hook prerouting priority -100; "
		 "ip daddr 10.9.0.3 dnat to 10.9.0.2; }; }'; ip addr add 10.9.0.3/24 dev s");
	assert_true(dial(&f, "10.9.0.3", PLAIN));
	assert_int_equal(logged(f.log[0], &last), 0);
	assert_false(dial(&f, "10.9.0.2", PLAIN));
	assert_int_equal(logged(f.log[0], &last), 1);
	tear_down(&f);
}

/* There may be a flow of it, which one worker knows. */
static void what_conntrack_has_an_entry_of_goes_on(void **state)
{
	struct fixture f = {.tells = false};
	struct segment last;

	(void)state;
	set_up(&f);
	netns_sh("nft 'table inet mute { chain c { type filter hook output priority 0; "
		 "tcp flags & (syn | ack) == syn | ack drop; }; }'");
	netns_enter(f.client_ns);
	int fd = netns_connect_start("10.9.0.2", PORT);
	netns_enter(f.server_ns);
	list(&f, 0, false);
	usleep(1500000);
	netns_sh("nsenter --net=/proc/%d/fd/%d nstat -sz TcpRetransSegs | grep -q 'Segs *1 '",
		(int)getpid(), f.client_ns);
	assert_int_equal(logged(f.log[0], &last), 0);
	close(fd);
	tear_down(&f);
}

/* What it had listed leads to chains that are to be made anew; its base chains stay, since what
 * waits in the queues would be dropped with them. */
static void the_next_process_takes_it_over(void **state)
{
	struct fixture f = {.tells = true};
	char why[WHY] = "";

	(void)state;
	set_up(&f);
	list_listener(&f, "10.9.0.2");
	netns_sh("nft 'add chain inet ackgate_unqueued old; "
		 "add rule inet ackgate_unqueued input jump old'");
	netns_sh("nft -a list table inet ackgate_unqueued | sed -n 's/^table.*handle //p' "
		 ">h");
	unqueued_close(f.unqueued);
	f.unqueued = unqueued_open(&two, why, sizeof(why));
	assert_non_null(f.unqueued);
	if (unqueued_apply(f.unqueued, true, true, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	netns_sh("nft -a list table inet ackgate_unqueued | sed -n 's/^table.*handle //p' | "
		 "cmp - h && rm h");
	netns_sh("! nft list table inet ackgate_unqueued | grep -q 'chain old'");
	list_listener(&f, "10.9.0.2");
	tear_down(&f);
}

static void other_tables_stay(void **state)
{
	struct fixture f = {.tells = false};
	char why[WHY] = "";

	(void)state;
	set_up(&f);
	assert_int_equal(unqueued_apply(f.unqueued, true, false, why, sizeof(why)), 0);
	/* Somebody flushes. */
	netns_sh("nft flush ruleset; nft add table inet other");
	assert_int_equal(unqueued_list(f.unqueued, &none, why, sizeof(why)), -1);
	assert_int_equal(unqueued_apply(f.unqueued, true, false, why, sizeof(why)), 0);
	list(&f, 0, false);
	/* Another process takes over what is there. */
	unqueued_close(f.unqueued);
	f.unqueued = unqueued_open(&two, why, sizeof(why));
	assert_non_null(f.unqueued);
	assert_int_equal(unqueued_list(f.unqueued, &none, why, sizeof(why)), -1);
	assert_int_equal(unqueued_apply(f.unqueued, true, false, why, sizeof(why)), 0);
	list(&f, 0, false);
	netns_sh("nft list tables | grep -q other");
	tear_down(&f);
}

/* What the judging chains make of our bit, for those that are not here. */
static void admit_as_they_would(void)
{
	netns_sh("nft 'table inet judging { chain c { type filter hook input priority 50; "
		 "meta mark & 0x20000000 != 0 tcp flags & syn == 0 ct mark set 0x20000000; }; }'");
}

struct heard {
	int count;
	uint8_t flags[8];
	enum engine_hook hook[8];
};

static void hear(void *arg, const struct engine_packet *in)
{
	struct heard *h = arg;
	struct segment seg;
	struct addr from;

	assert_int_equal(in->fate, FATE_PASSED);
	assert_int_equal(
		packet_parse(in->bytes, in->captured, in->on_wire, false, &seg, &from), PACKET_TCP);
	assert_true(h->count < 8);
	h->flags[h->count] = seg.flags;
	h->hook[h->count++] = in->hook;
}

static int heard(struct nflog *l, struct heard *h)
{
	struct pollfd p = {.fd = nflog_fd(l), .events = POLLIN};

	memset(h, 0, sizeof(*h));
	while (poll(&p, 1, 100) == 1)
		(void)nflog_run(l, hear, h);
	return h->count;
}

/* Opens a connection and sends a byte: whether it is taken. */
static bool converse(const struct fixture *f, const char *to, int listener)
{
	netns_enter(f->client_ns);
	int fd = netns_connect_start(to, PORT);
	struct pollfd p = {.fd = fd, .events = POLLOUT}, q = {.fd = listener, .events = POLLIN};
	bool stands = poll(&p, 1, 200) == 1 && send(fd, "a", 1, MSG_NOSIGNAL) == 1;

	netns_enter(f->server_ns);
	int taken = stands && poll(&q, 1, 200) == 1 ? accept(listener, NULL, NULL) : -1;
	char byte;
	bool read = taken >= 0 && recv(taken, &byte, 1, 0) == 1;
	close(fd);
	close(taken);
	return read;
}

static void a_handshake_passes_and_is_told(void **state)
{
	static const char *const at[] = {"10.9.0.2", "fd09::2", "0.0.0.0", "::"};
	struct fixture f = {.tells = true};
	struct heard of[2];
	char why[WHY];

	(void)state;
	set_up(&f);
	admit_as_they_would();
	for (unsigned i = 0; i < 8; i++) {
		const bool v4 = i % 2 == 0;
		const char *to = v4 ? "10.9.0.2" : "fd09::2";
		int listener = v4 ? f.listener4 : f.listener6;

		list_listener(&f, at[i % 4]);
		assert_true(converse(&f, to, listener));
		int all = heard(f.log[0], &of[0]) + heard(f.log[1], &of[1]);
		const struct heard *h = &of[of[0].count == 0];
		/* One worker hears all of it, and nothing of what comes then. */
		assert_int_equal(all, 3);
		assert_int_equal(h->count, 3);
		assert_int_equal(h->flags[0] & (TCP_SYN | TCP_ACK), TCP_SYN);
		assert_int_equal(h->flags[1] & (TCP_SYN | TCP_ACK), TCP_SYN | TCP_ACK);
		assert_int_equal(h->flags[2] & (TCP_SYN | TCP_ACK), TCP_ACK);
		assert_int_equal(h->hook[0], HOOK_INPUT);
		assert_int_equal(h->hook[1], HOOK_OUTPUT);
		assert_int_equal(h->hook[2], HOOK_INPUT);
		assert_int_equal(unqueued_list(f.unqueued, &none, why, sizeof(why)), 0);
		assert_true(converse(&f, to, listener));
		assert_int_equal(heard(f.log[0], &of[0]) + heard(f.log[1], &of[1]), 0);
	}
	tear_down(&f);
}

static int all_heard(const struct fixture *f)
{
	struct heard h;

	return heard(f->log[0], &h) + heard(f->log[1], &h);
}

static void set_up_to_tell(struct fixture *f)
{
	f->tells = true;
	set_up(f);
	list_listener(f, "10.9.0.2");
}

/* Whether such a SYN is taken decides on the mark: it is for the judging chains. */
static void what_is_admitted_is_not_told(void **state)
{
	struct fixture f;

	(void)state;
	set_up_to_tell(&f);
	netns_sh("nft 'table inet marks { chain c { type filter hook prerouting priority 0; "
		 "tcp dport 80 ct mark set 0x20000000; }; }'");
	assert_true(converse(&f, "10.9.0.2", f.listener4));
	assert_int_equal(all_heard(&f), 0);
	tear_down(&f);
}

/* conntrack calls it new, or nothing: the judging chains drop it. */
static void a_stray_is_not_told(void **state)
{
	struct fixture f;

	(void)state;
	set_up_to_tell(&f);
	netns_enter(f.client_ns);
	int fd = netns_connect_start("10.9.0.2", PORT);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	assert_int_equal(poll(&p, 1, 200), 1);
	netns_enter(f.server_ns);
	assert_int_equal(all_heard(&f), 3);
	netns_sh("conntrack -F 2>/dev/null");
	netns_enter(f.client_ns);
	assert_int_equal(send(fd, "a", 1, 0), 1);
	netns_enter(f.server_ns);
	assert_int_equal(all_heard(&f), 0);
	close(fd);
	tear_down(&f);
}

/* Replies to this host's own connections from the listener's port are none of its clients'. */
static void its_own_connections_are_not_told(void **state)
{
	struct fixture f = {.tells = true};
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(PORT)}, to = from;
	int on = 1;

	(void)state;
	set_up(&f);
	list_listener(&f, "10.9.0.2");
	netns_enter(f.client_ns);
	int listener = netns_listen("10.9.0.1", PORT);
	netns_enter(f.server_ns);
	close(f.listener4);
	f.listener4 = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(f.listener4, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	inet_pton(AF_INET, "10.9.0.2", &from.sin_addr);
	inet_pton(AF_INET, "10.9.0.1", &to.sin_addr);
	assert_int_equal(bind(f.listener4, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(f.listener4, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(all_heard(&f), 0);
	close(listener);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_while_it_is_listed),
		cmocka_unit_test(to_all_workers),
		cmocka_unit_test(not_for_long_without_a_daemon),
		cmocka_unit_test(what_can_have_no_cookie_goes_on),
		cmocka_unit_test(what_conntrack_has_an_entry_of_goes_on),
		cmocka_unit_test(other_tables_stay),
		cmocka_unit_test(the_next_process_takes_it_over),
		cmocka_unit_test(a_handshake_passes_and_is_told),
		cmocka_unit_test(what_is_admitted_is_not_told),
		cmocka_unit_test(a_stray_is_not_told),
		cmocka_unit_test(its_own_connections_are_not_told),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
