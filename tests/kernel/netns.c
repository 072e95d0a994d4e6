/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	SKIPPED = 77, /* automake's exit code for it */
};

void netns_require(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) == -1) {
		fprintf(stderr, "skipped: root is needed\n");
		exit(SKIPPED);
	}
	if (system("iptables -A INPUT -p tcp -m connmark --mark 1/1 -j NFQUEUE --queue-num 9") !=
		0) {
		fprintf(stderr, "skipped: iptables has no NFQUEUE or connmark here\n");
		exit(SKIPPED);
	}
}

int netns_new(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	netns_sh("ip link set lo up");
	return fd;
}

void netns_enter(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

void netns_sh(const char *command, ...)
{
	char line[1024];
	va_list args;

	va_start(args, command);
	assert_in_range(vsnprintf(line, sizeof(line), command, args), 1, sizeof(line) - 1);
	va_end(args);
	if (system(line) != 0)
		fail_msg("failed: %s", line);
}

static void give_address(const char *interface, const char *addr)
{
	netns_sh("ip addr add %s dev %s%s", addr, interface,
		strchr(addr, ':') != NULL ? " nodad" : "");
	netns_sh("ip link set %s up", interface);
}

void netns_join(int ns_a, const char *name_a, const char *addr_a, int ns_b, const char *name_b,
	const char *addr_b)
{
	netns_enter(ns_b);
	netns_sh("ip link add %s type veth peer name %s netns /proc/%d/fd/%d", name_b, name_a,
		(int)getpid(), ns_a);
	give_address(name_b, addr_b);
	netns_enter(ns_a);
	give_address(name_a, addr_a);
}

static struct addrinfo *resolve(const char *addr, uint16_t port)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai;
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	assert_int_equal(getaddrinfo(addr, service, &hints, &ai), 0);
	return ai;
}

int netns_listen(const char *addr, uint16_t port)
{
	struct addrinfo *ai = resolve(addr, port);
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	assert_int_not_equal(fd, -1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, ai->ai_addr, ai->ai_addrlen), 0);
	assert_int_equal(listen(fd, 16), 0);
	freeaddrinfo(ai);
	return fd;
}

int netns_connect_start(const char *addr, uint16_t port)
{
	struct addrinfo *ai = resolve(addr, port);
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_not_equal(fd, -1);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == -1)
		assert_int_equal(errno, EINPROGRESS);
	freeaddrinfo(ai);
	return fd;
}

int netns_connect(const char *addr, uint16_t port)
{
	int fd = netns_connect_start(addr, port);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	assert_int_equal(poll(&p, 1, 3000), 1);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	assert_int_equal(error, 0);
	return fd;
}

int netns_accept(int listener)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int fd;

	assert_int_equal(poll(&p, 1, 3000), 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_int_not_equal(fd, -1);
	return fd;
}

struct addr netns_addr(const char *text)
{
	struct addr a;
	uint8_t octets[4];

	if (inet_pton(AF_INET, text, octets) == 1)
		return addr_v4(octets);
	assert_int_equal(inet_pton(AF_INET6, text, a.b), 1);
	return a;
}

uint16_t netns_local_port(int fd)
{
	struct sockaddr_storage a;
	socklen_t size = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	return a.ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)&a)->sin_port)
				      : ntohs(((const struct sockaddr_in6 *)&a)->sin6_port);
}

bool netns_crosses(int from, int to)
{
	struct pollfd p = {.fd = to, .events = POLLIN};
	char c = 'x';

	return send(from, &c, 1, MSG_NOSIGNAL) == 1 && poll(&p, 1, 1000) == 1 &&
	       recv(to, &c, 1, MSG_DONTWAIT) == 1;
}
