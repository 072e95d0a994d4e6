/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/protected.h"

#include "kernel/sockets.h"

#include <glob.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
	SSH_PORT = 22,
	LINE_MAX_LEN = 1024, /* bytes; no port stands behind that much */
};

struct protected
{
	uint8_t ssh[65536 / 8]; /* local ports, a bit each */
};

static void add_port(struct protected *p, const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (end != text && *end == '\0' && port > 0 && port <= UINT16_MAX)
		p->ssh[port / 8] |= (uint8_t)(1 << port % 8);
}

static bool is_ssh(const struct protected *p, uint16_t port)
{
	return (p->ssh[port / 8] & 1 << port % 8) != 0;
}

/* HOST:PORT, [HOST]:PORT, or no port at all: HOST, which as an IPv6 address has many colons. */
static void add_listen_address(struct protected *p, const char *value)
{
	const char *colon = strrchr(value, ':');

	if (colon != NULL && (colon == strchr(value, ':') || (colon > value && colon[-1] == ']')))
		add_port(p, colon + 1);
}

/* "Keyword value", "Keyword=value" or with the value in quotes; keywords in any case. */
static void read_line(struct protected *p, char *line)
{
	const char *const spaces = " \t\r\n=\"";
	char *rest;
	const char *keyword = strtok_r(line, spaces, &rest);
	const char *value = strtok_r(NULL, spaces, &rest);

	if (keyword == NULL || value == NULL)
		return;
	if (strcasecmp(keyword, "Port") == 0)
		add_port(p, value);
	else if (strcasecmp(keyword, "ListenAddress") == 0)
		add_listen_address(p, value);
}

static void read_file(struct protected *p, const char *path)
{
	char line[LINE_MAX_LEN];
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		read_line(p, line);
	fclose(f);
}

struct protected *protected_open(const char *sshd_config)
{
	struct protected *p = calloc(1, sizeof(*p));
	char pattern[4096];
	glob_t found;

	if (p == NULL)
		return NULL;
	p->ssh[SSH_PORT / 8] |= 1 << SSH_PORT % 8;
	read_file(p, sshd_config);
	snprintf(pattern, sizeof(pattern), "%s.d/*.conf", sshd_config);
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			read_file(p, found.gl_pathv[i]);
		globfree(&found);
	}
	return p;
}

void protected_close(struct protected *p)
{
	free(p);
}

static bool holds_loopback(const struct addr_range *range)
{
	const struct addr_range v4 = {
		.first = addr_v4((const uint8_t[]){127, 0, 0, 0}),
		.last = addr_v4((const uint8_t[]){127, 255, 255, 255}),
	};
	const struct addr v6 = {.b = {[15] = 1}};

	return addr_in_range(&v6, range) || addr_in_range(&v4.first, range) ||
	       addr_in_range(&range->first, &v4);
}

static bool read_sockaddr(const struct sockaddr *sa, struct addr *out)
{
	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		*out = addr_v4((const uint8_t *)&in->sin_addr);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		memcpy(out->b, &in6->sin6_addr, sizeof(out->b));
		return true;
	}
	return false;
}

static bool holds_own(const struct addr_range *range)
{
	struct ifaddrs *list;
	bool holds = false;

	if (getifaddrs(&list) == -1)
		return true;
	for (const struct ifaddrs *i = list; i != NULL && !holds; i = i->ifa_next) {
		struct addr a;

		holds = read_sockaddr(i->ifa_addr, &a) && addr_in_range(&a, range);
	}
	freeifaddrs(list);
	return holds;
}

struct question {
	const struct protected *p;
	const struct addr_range *range;
	bool held;
};

static void see_session(void *arg, const struct sockets_entry *s)
{
	struct question *q = arg;

	if (is_ssh(q->p, s->local_port) && addr_in_range(&s->remote, q->range))
		q->held = true;
}

static bool holds_session(const struct protected *p, const struct addr_range *range)
{
	struct question q = {.p = p, .range = range};

	return sockets_dump(1u << TCP_ESTABLISHED, see_session, &q) == -1 || q.held;
}

bool protected_addr(const struct protected *p, const struct addr_range *range, const char **why)
{
	if (holds_loopback(range))
		*why = "loopback";
	else if (holds_own(range))
		*why = "an address of this host's own";
	else if (holds_session(p, range))
		*why = "the other end of an SSH session that stands";
	else
		return false;
	return true;
}
