/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "interceptor.h"

#include <arpa/inet.h>
#include <errno.h>
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

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75 /* linux/in6.h, which does not go with netinet/in.h */
#endif

enum {
	WHY = 1000
};

static const struct port_range web[] = {{INTERCEPTOR_WEB, INTERCEPTOR_WEB}};
static const struct policy_rule splice_rule[] = {
	{.name = "web", .mode = MODE_SPLICE, .enforce = true, .port = web, .port_count = 1},
};
static const struct policy_rule gate_rule[] = {
	{.name = "web", .mode = MODE_GATE, .enforce = true, .port = web, .port_count = 1},
};
const struct policy interceptor_web_policy = {.rules = splice_rule, .rule_count = 1};
const struct policy interceptor_gate_policy = {.rules = gate_rule, .rule_count = 1};
const struct config_splice interceptor_transparent[2] = {
	{.transparent = true}, {.transparent = true}};
static const struct tproxy_ports ports[] = {
	{INTERCEPTOR_LISTENER, INTERCEPTOR_LISTENER}, {INTERCEPTOR_LISTENER, INTERCEPTOR_LISTENER}};

struct tproxy_plan interceptor_plan(const struct policy *p, const struct config_splice *splices)
{
	return (struct tproxy_plan){
		.policy = p,
		.splices = splices,
		.mark = INTERCEPTOR_MARK,
		.gate_mark = INTERCEPTOR_GATE_MARK,
		.fail_open = true,
		.ports = ports,
	};
}

struct tproxy *interceptor_table(void)
{
	struct tproxy *t = tproxy_open();

	assert_non_null(t);
	if (tproxy_cannot(t) != NULL) {
		tproxy_close(t);
		skip();
	}
	return t;
}

void interceptor_apply_plan(struct tproxy *t, const struct tproxy_plan *plan)
{
	char why[WHY] = "";

	if (tproxy_apply(t, plan, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_true(tproxy_intact(t));
}

void interceptor_apply(struct tproxy *t, const struct policy *p)
{
	const struct tproxy_plan plan = interceptor_plan(p, interceptor_transparent);

	interceptor_apply_plan(t, &plan);
}

void interceptor_check_gone(void)
{
	netns_sh("! nft list tables | grep ackgate");
	netns_sh("! ip rule | grep -E '5200|proto 172'");
	netns_sh("! ip -6 rule | grep -E '5200|proto 172'");
	netns_sh("! ip route show table 5200 2>/dev/null | grep .");
	netns_sh("! ip -6 route show table 5200 2>/dev/null | grep .");
}

void interceptor_take_away(struct tproxy *t)
{
	char why[WHY];

	assert_int_equal(tproxy_remove(t, why, sizeof(why)), 0);
	assert_int_equal(tproxy_remove(t, why, sizeof(why)), 0);
	assert_true(tproxy_intact(t));
	tproxy_close(t);
	interceptor_check_gone();
}

static struct sockaddr_storage address(const char *text, uint16_t port, socklen_t *len)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof(*v4);
		return a;
	}
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	*len = sizeof(*v6);
	return a;
}

int interceptor_bound(const char *addr, uint16_t port)
{
	socklen_t len;
	struct sockaddr_storage a = address(addr, port, &len);
	bool v4 = a.ss_family == AF_INET;
	int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	assert_int_not_equal(fd, -1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, v4 ? SOL_IP : SOL_IPV6,
				 v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof(on)),
		0);
	if (!v4)
		assert_int_equal(setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	return fd;
}

int interceptor_listen(const char *addr, uint16_t port)
{
	int fd = interceptor_bound(addr, port);

	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

int interceptor_try(int fd, const char *addr, uint16_t port)
{
	socklen_t len, size = sizeof(int);
	struct sockaddr_storage a = address(addr, port, &len);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0;

	if (connect(fd, (struct sockaddr *)&a, len) == -1)
		assert_int_equal(errno, EINPROGRESS);
	if (poll(&p, 1, 3000) == 0)
		return -1;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	return error;
}

static void check_name(const struct sockaddr_storage *name, const char *addr, uint16_t port)
{
	socklen_t len;
	struct sockaddr_storage wanted = address(addr, port, &len);

	assert_int_equal(name->ss_family, wanted.ss_family);
	if (name->ss_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)name, *b = (const void *)&wanted;
		assert_int_equal(a->sin_addr.s_addr, b->sin_addr.s_addr);
		if (port != 0)
			assert_int_equal(a->sin_port, b->sin_port);
	} else {
		const struct sockaddr_in6 *a = (const void *)name, *b = (const void *)&wanted;
		assert_memory_equal(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr));
		if (port != 0)
			assert_int_equal(a->sin6_port, b->sin6_port);
	}
}

void interceptor_check_ends(int fd, const char *client, const char *server, uint16_t port)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	check_name(&name, server, port);
	len = sizeof(name);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&name, &len), 0);
	check_name(&name, client, 0);
}

/* Link-local addresses serve at once. */
static int namespace_here(void)
{
	int ns = netns_new();

	netns_sh("echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad");
	return ns;
}

static void join_all(struct interceptor *l)
{
	l->client = namespace_here();
	l->gate = namespace_here();
	l->server = namespace_here();
	netns_join(
		l->client, "c0", INTERCEPTOR_CLIENT4 "/24", l->gate, "g0", INTERCEPTOR_GATE4 "/24");
	netns_sh("ip addr add " INTERCEPTOR_CLIENT6 "/64 dev c0 nodad");
	netns_sh("ip route add default via " INTERCEPTOR_GATE4
		 " && ip -6 route add default via " INTERCEPTOR_GATE6);
	netns_join(l->server, "s0", INTERCEPTOR_SERVER4 "/24", l->gate, "g1", "10.2.0.1/24");
	netns_sh("ip addr add " INTERCEPTOR_SERVER6 "/64 dev s0 nodad");
	netns_sh("ip route add default via 10.2.0.1 && ip -6 route add default via fd02::1");
	l->web4 = netns_listen(INTERCEPTOR_SERVER4, INTERCEPTOR_WEB);
	l->web6 = netns_listen(INTERCEPTOR_SERVER6, INTERCEPTOR_WEB);
	netns_enter(l->gate);
	netns_sh("ip addr add " INTERCEPTOR_GATE6
		 "/64 dev g0 nodad && ip addr add fd02::1/64 dev g1 nodad");
	netns_sh("for f in 4/conf/all/forwarding 6/conf/all/forwarding 4/conf/all/rp_filter; do "
		 "echo 1 >/proc/sys/net/ipv$f; done");
}

struct interceptor interceptor_open_at(const char *listener4, const char *listener6)
{
	struct interceptor l;

	join_all(&l);
	l.t = interceptor_table();
	l.listener4 = interceptor_listen(listener4, INTERCEPTOR_LISTENER);
	l.listener6 = interceptor_listen(listener6, INTERCEPTOR_LISTENER);
	return l;
}

struct interceptor interceptor_open(void)
{
	return interceptor_open_at("127.0.0.1", "::1");
}

void interceptor_close(struct interceptor *l)
{
	netns_enter(l->gate);
	interceptor_take_away(l->t);
	const int all[] = {
		l->listener4, l->listener6, l->web4, l->web6, l->client, l->gate, l->server};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] != -1)
			close(all[i]);
}

int interceptor_connect(const struct interceptor *l, const char *addr, uint16_t port)
{
	netns_enter(l->client);
	int fd = netns_connect(addr, port);
	netns_enter(l->gate);
	return fd;
}

void interceptor_check_crosses(int a, int b)
{
	assert_true(netns_crosses(a, b));
	assert_true(netns_crosses(b, a));
}

void interceptor_check_taken(
	const struct interceptor *l, const char *client, const char *addr, uint16_t port)
{
	int theirs = interceptor_connect(l, addr, port);
	int ours = netns_accept(strchr(addr, ':') != NULL ? l->listener6 : l->listener4);

	interceptor_check_ends(ours, client, addr, port);
	interceptor_check_crosses(theirs, ours);
	close(theirs);
	close(ours);
}

void interceptor_check_forwarded(
	const struct interceptor *l, const char *addr, uint16_t port, int server)
{
	int theirs = interceptor_connect(l, addr, port);
	int far = netns_accept(server);

	interceptor_check_crosses(theirs, far);
	close(theirs);
	close(far);
}

void interceptor_check_as_client(const char *client, const char *addr, int server)
{
	int ours = interceptor_bound(client, 0);

	assert_int_equal(interceptor_try(ours, addr, INTERCEPTOR_WEB), 0);
	int far = netns_accept(server);
	interceptor_check_ends(far, client, addr, INTERCEPTOR_WEB);
	interceptor_check_crosses(ours, far);
	close(ours);
	close(far);
}

void interceptor_check_both_ways(const struct interceptor *l)
{
	interceptor_check_taken(l, INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB);
	interceptor_check_taken(l, INTERCEPTOR_CLIENT6, INTERCEPTOR_SERVER6, INTERCEPTOR_WEB);
	interceptor_check_as_client(INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4, l->web4);
	interceptor_check_as_client(INTERCEPTOR_CLIENT6, INTERCEPTOR_SERVER6, l->web6);
}
