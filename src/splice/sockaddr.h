/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints as sockets name them. */
#ifndef ACKGATE_SPLICE_SOCKADDR_H
#define ACKGATE_SPLICE_SOCKADDR_H

#include "core/addr.h"

#include <netinet/in.h>
#include <sys/socket.h>

static inline socklen_t sockaddr_of(const struct endpoint *e, struct sockaddr_storage *to)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*in6));
	if (addr_is_v4(&e->addr)) {
		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->addr.b + 12, 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->port);
	memcpy(&in6->sin6_addr, e->addr.b, 16);
	return sizeof(*in6);
}

/* False if it is of another family. */
static inline bool sockaddr_endpoint(const struct sockaddr_storage *from, struct endpoint *e)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

	if (from->ss_family == AF_INET) {
		uint8_t octets[4];

		memcpy(octets, &in->sin_addr, 4);
		e->addr = addr_v4(octets);
		e->port = ntohs(in->sin_port);
		return true;
	}
	if (from->ss_family != AF_INET6)
		return false;
	memcpy(e->addr.b, &in6->sin6_addr, 16);
	e->port = ntohs(in6->sin6_port);
	return true;
}

#endif
