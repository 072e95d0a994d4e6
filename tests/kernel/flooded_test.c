/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is logged and dropped for a server under a flood, and what goes on; and its reading. */
#include "config.h"

#include "kernel/flooded.h"
#include "kernel/nflog.h"
#include "netns.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	WHY = 1000,
	PORT = 80,
	GROUP = 5300,
};

static const struct flooded_plan two = {.way = RULESET_NFTABLES, .group = GROUP, .workers = 2};

static void check(const struct flooded_plan *plan, const char *const has[], const char *lacks)
{
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	assert_int_equal(flooded_print(plan, to), 0);
	assert_int_equal(fclose(to), 0);
	for (size_t i = 0; has[i] != NULL; i++)
		if (strstr(text, has[i]) == NULL)
			fail_msg("lacks\n%s\nin\n%s", has[i], text);
	if (lacks != NULL && strstr(text, lacks) != NULL)
		fail_msg("has\n%s\nin\n%s", lacks, text);
	free(text);
}

static void the_table(void **state)
{
	static const char *const has[] = {
		"add table inet ackgate_flooded\nflush table inet ackgate_flooded\n",
		"map servers4 {\n\t\ttype ipv4_addr . inet_service : verdict; flags "
		"timeout;\n\t}\n",
		"map servers6 {\n\t\ttype ipv6_addr . inet_service : verdict; flags "
		"timeout;\n\t}\n",
		"chain worker1 {\n"
		"\t\tct state new ct status & (confirmed | dnat) == 0 tcp option 19 missing "
		"tcp option 29 missing log group 5301 drop\n\t}\n",
		"chain all_workers {\n"
		"\t\tjhash ip saddr . tcp sport mod 2 vmap { 0 : goto worker0, 1 : goto worker1 }\n"
		"\t\tjhash ip6 saddr . tcp sport mod 2 vmap { 0 : goto worker0, 1 : goto worker1 "
		"}\n",
		"chain forward {\n"
		"\t\ttype filter hook forward priority 49; policy accept;\n"
		"\t\ttcp flags & (fin | syn | rst | ack) != syn return\n"
		"\t\tip saddr != 169.254.0.0/16 ip daddr . tcp dport vmap @servers4\n"
		"\t\tip6 saddr != fe80::/10 ip6 daddr . tcp dport vmap @servers6\n\t}\n",
		"\t\tiif != \"lo\" ip saddr != 169.254.0.0/16 ip daddr . tcp dport vmap "
		"@servers4\n",
		NULL,
	};
	static const char *const one_has[] = {
		"hook input priority 149;", "log group 5300 drop\n", NULL};
	const struct flooded_plan one = {.way = RULESET_IPTABLES, .group = GROUP, .workers = 1};

	(void)state;
	check(&two, has, NULL);
	check(&one, one_has, "jhash");
}

struct fixture {
	struct flooded *flooded;
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
	f->flooded = flooded_open(&two, why, sizeof(why));
	for (unsigned i = 0; i < 2; i++)
		f->log[i] = nflog_open((uint16_t)(GROUP + i), why, sizeof(why));
	if (f->flooded == NULL || f->log[0] == NULL || f->log[1] == NULL) {
		print_message("%s\n", why);
		skip();
	}
	if (flooded_apply(f->flooded, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

static void tear_down(struct fixture *f)
{
	char why[WHY];

	assert_int_equal(flooded_remove(why, sizeof(why)), 0);
	assert_int_equal(flooded_remove(why, sizeof(why)), 0);
	netns_sh("! nft list tables | grep -q ackgate");
	flooded_close(f->flooded);
	nflog_close(f->log[0]);
	nflog_close(f->log[1]);
	close(f->listener4);
	close(f->listener6);
}

static void list(struct fixture *f, unsigned worker, bool spread)
{
	const struct flooded_server servers[] = {
		{netns_addr("10.9.0.2"), PORT, worker, spread},
		{netns_addr("fd09::2"), PORT, worker, spread},
	};
	char why[WHY] = "";

	if (flooded_list(f->flooded, servers, 2, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

static void note(void *arg, const struct engine_packet *in)
{
	struct segment *seg = arg;
	struct addr from;

	assert_true(in->logged);
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
	struct fixture f;
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
		assert_int_equal(flooded_list(f.flooded, NULL, 0, why, sizeof(why)), 0);
		assert_true(dial(&f, servers[i], PLAIN));
		assert_int_equal(logged(f.log[i], &last), 0);
	}
	tear_down(&f);
}

static void to_all_workers(void **state)
{
	struct fixture f;
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
	struct fixture f;
	struct segment last;

	(void)state;
	set_up(&f);
	list(&f, 0, false);
	sleep(FLOODED_LASTS_S + 1);
	assert_true(dial(&f, "10.9.0.2", PLAIN));
	assert_int_equal(logged(f.log[0], &last), 0);
	tear_down(&f);
}

/* It may have a place in the queue alone. */
static void what_can_have_no_cookie_goes_on(void **state)
{
	struct fixture f;
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
	struct fixture f;
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

static void other_tables_stay(void **state)
{
	struct fixture f;
	char why[WHY] = "";

	(void)state;
	set_up(&f);
	assert_int_equal(flooded_apply(f.flooded, why, sizeof(why)), 0);
	/* Somebody flushes. */
	netns_sh("nft flush ruleset; nft add table inet other");
	assert_int_equal(flooded_list(f.flooded, NULL, 0, why, sizeof(why)), -1);
	assert_int_equal(flooded_apply(f.flooded, why, sizeof(why)), 0);
	list(&f, 0, false);
	/* Another process takes over what is there. */
	flooded_close(f.flooded);
	f.flooded = flooded_open(&two, why, sizeof(why));
	assert_non_null(f.flooded);
	assert_int_equal(flooded_list(f.flooded, NULL, 0, why, sizeof(why)), -1);
	assert_int_equal(flooded_apply(f.flooded, why, sizeof(why)), 0);
	list(&f, 0, false);
	netns_sh("nft list tables | grep -q other");
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table),
		cmocka_unit_test(only_while_it_is_listed),
		cmocka_unit_test(to_all_workers),
		cmocka_unit_test(not_for_long_without_a_daemon),
		cmocka_unit_test(what_can_have_no_cookie_goes_on),
		cmocka_unit_test(what_conntrack_has_an_entry_of_goes_on),
		cmocka_unit_test(other_tables_stay),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
