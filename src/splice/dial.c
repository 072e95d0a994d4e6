/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/dial.h"

#include "splice/sockaddr.h"
#include "splice/sockopt.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* Linux 6.3 */
#endif

enum {
	PORT_TRIES = 8
};

/*
 * connect() would keep to even ports, and look at each of them for every new connection once they
 * are used up. From a range that was asked for it takes any (Linux 6.8); it is still confined to
 * net.ipv4.ip_local_port_range.
 */
static void let_odd_ports_be_used(int fd)
{
	const uint32_t first = 1, last = 65535;

	(void)sockopt_set(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (int)(last << 16 | first));
}

/* The port is chosen with connect, so each server has all of them. */
static int bind_source(int fd, const struct addr *source, bool late)
{
	const struct endpoint from = {.addr = *source};
	struct sockaddr_storage name;
	const socklen_t len = sockaddr_of(&from, &name);

	(void)sockopt_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, late);
	return bind(fd, (struct sockaddr *)&name, len);
}

static int make_transparent(int fd, bool v4)
{
	return v4 ? sockopt_set(fd, IPPROTO_IP, IP_TRANSPARENT, 1)
		  : sockopt_set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct endpoint at = {0};

	if (getsockname(fd, (struct sockaddr *)&name, &len) == 0)
		(void)sockaddr_endpoint(&name, &at);
	return at.port;
}

static bool same_place(const struct sockaddr_storage *to, const struct endpoint *e)
{
	struct endpoint there;

	return sockaddr_endpoint(to, &there) && there.port == e->port &&
	       addr_equal(&there.addr, &e->addr);
}

/* With the client's address. Towards the place that the client itself has asked for its port must
 * be another one: conntrack would take both for one connection. */
static int bind_client(int fd, const struct dial *d)
{
	const bool twin = d->avoid && same_place(d->to, d->avoid);

	if (make_transparent(fd, addr_is_v4(&d->client->addr)) != 0 ||
		bind_source(fd, &d->client->addr, !twin) != 0)
		return -1;
	if (twin && port_of(fd) == d->client->port) {
		errno = EADDRINUSE;
		return -1;
	}
	return 0;
}

/* What a failed connect or bind was the fault of. */
static enum dial_fault fault_of(int error)
{
	switch (error) {
	case EADDRNOTAVAIL:
	case EADDRINUSE:
		return DIAL_NO_PORT;
	case EMFILE:
	case ENFILE:
		return DIAL_NO_FDS;
	case ENOBUFS:
	case ENOMEM:
	case EACCES:
	case EPERM:
		return DIAL_SYSTEM;
	default:
		return DIAL_SERVER;
	}
}

static int give_up(int fd, enum dial_fault why, enum dial_fault *fault)
{
	int error = errno;

	*fault = why;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

static int connect_from(
	const struct dial *d, const struct addr *source, bool *connected, enum dial_fault *fault)
{
	const bool inet = d->to->ss_family != AF_UNIX,
		   client = d->route->set.source == SOURCE_CLIENT;
	int fd = socket(d->to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return give_up(fd, fault_of(errno), fault);
	if (inet) {
		let_odd_ports_be_used(fd);
		(void)sockopt_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	/* The handshake's ACK goes with the data. */
	if (inet && d->has_data)
		(void)sockopt_set(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	if (inet && d->has_data && d->route->fast_open)
		(void)sockopt_set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	if (inet && (client ? bind_client(fd, d) : source ? bind_source(fd, source, true) : 0) != 0)
		return give_up(fd, errno == EADDRINUSE ? DIAL_NO_PORT : DIAL_SYSTEM, fault);
	*connected = connect(fd, (const struct sockaddr *)d->to, d->len) == 0;
	if (!*connected && errno != EINPROGRESS)
		return give_up(fd, fault_of(errno), fault);
	*fault = DIAL_NONE;
	return fd;
}

/* From one source address; NULL: the client's, or whichever the host chooses. */
static int try_from(
	const struct dial *d, const struct addr *source, bool *connected, enum dial_fault *fault)
{
	static const struct addr any;
	const struct addr *from = source                                  ? source
				  : d->route->set.source == SOURCE_CLIENT ? &d->client->addr
									  : &any;
	struct endpoint server;
	const bool inet = sockaddr_endpoint(d->to, &server);
	int fd;

	if (inet && exhausted_has(d->exhausted, from, &server, d->now_us)) {
		errno = EADDRNOTAVAIL;
		return give_up(-1, DIAL_NO_PORT, fault);
	}
	fd = connect_from(d, source, connected, fault);
	if (inet && *fault == DIAL_NO_PORT && errno == EADDRNOTAVAIL)
		exhausted_add(d->exhausted, from, &server, d->now_us);
	return fd;
}

static bool is_of(const struct sockaddr_storage *to, const struct addr *source)
{
	return (to->ss_family == AF_INET) == addr_is_v4(source);
}

static int try_list(const struct dial *d, bool *connected, enum dial_fault *fault)
{
	const struct config_splice *s = &d->route->set;
	int fd = -1;

	errno = EAFNOSUPPORT;
	*fault = DIAL_SYSTEM;
	for (size_t i = 0; i < s->source_count; i++) {
		const struct addr *source = &s->sources[(d->turn + i) % s->source_count].first;

		if (!is_of(d->to, source))
			continue;
		fd = try_from(d, source, connected, fault);
		if (fd >= 0 || *fault != DIAL_NO_PORT)
			break;
	}
	return fd;
}

static int try_client(const struct dial *d, bool *connected, enum dial_fault *fault)
{
	int fd = -1;

	if (!is_of(d->to, &d->client->addr)) {
		errno = EAFNOSUPPORT;
		*fault = DIAL_SYSTEM;
		return -1;
	}
	for (int i = 0; i < PORT_TRIES && fd < 0; i++) {
		fd = try_from(d, NULL, connected, fault);
		if (*fault != DIAL_NO_PORT)
			break;
	}
	return fd;
}

int dial_begin(const struct dial *d, bool *connected, enum dial_fault *fault)
{
	if (d->to->ss_family == AF_UNIX)
		return try_from(d, NULL, connected, fault);
	switch (d->route->set.source) {
	case SOURCE_LIST:
		return try_list(d, connected, fault);
	case SOURCE_CLIENT:
		return try_client(d, connected, fault);
	case SOURCE_SELF:
		break;
	}
	return try_from(d, NULL, connected, fault);
}
