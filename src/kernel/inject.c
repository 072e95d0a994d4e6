/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/inject.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36 /* linux/in6.h, which does not go with netinet/in.h */
#endif

enum {
	BATCH = 256,      /* a batch of packets, each with all that one may lead to */
	PACKET_MAX = 128, /* bytes */
};

/* One family's packets that wait to be sent. The headers of message i point at slot i for good. */
struct batch {
	int fd; /* -1: this family is missing */
	unsigned count;
	struct mmsghdr messages[BATCH];
	struct iovec slots[BATCH];
	uint8_t bytes[BATCH][PACKET_MAX];
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} to[BATCH];
};

struct inject {
	struct inject_stats stats;
	struct batch v4;
	struct batch v6;
};

static int open_raw(int family, uint32_t mark)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	int on = 1;
	int rc;

	if (fd == -1)
		return -1;
	rc = family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on))
			       : setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof(on));
	if (rc == -1 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == -1) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static void lay_out(struct batch *b, socklen_t name_len)
{
	for (size_t i = 0; i < BATCH; i++) {
		b->slots[i].iov_base = b->bytes[i];
		b->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &b->to[i],
			.msg_namelen = name_len,
			.msg_iov = &b->slots[i],
			.msg_iovlen = 1,
		};
	}
}

struct inject *inject_open(uint32_t mark, char *why, size_t why_size)
{
	struct inject *i = calloc(1, sizeof(*i));

	if (i == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	lay_out(&i->v4, sizeof(struct sockaddr_in));
	lay_out(&i->v6, sizeof(struct sockaddr_in6));
	i->v4.fd = open_raw(AF_INET, mark);
	i->v6.fd = i->v4.fd == -1 ? -1 : open_raw(AF_INET6, mark);
	if (i->v4.fd == -1) {
		if (errno == EPERM)
			snprintf(why, why_size,
				"no permission for raw sockets: CAP_NET_RAW and CAP_NET_ADMIN are "
				"needed");
		else
			snprintf(why, why_size, "can't open a raw socket: %s", strerror(errno));
		free(i);
		return NULL;
	}
	return i;
}

void inject_close(struct inject *i)
{
	if (i == NULL)
		return;
	close(i->v4.fd);
	if (i->v6.fd != -1)
		close(i->v6.fd);
	free(i);
}

static void fail(struct inject *i, unsigned packets, int error)
{
	i->stats.failed += packets;
	i->stats.last_errno = error;
}

/* Where the socket has no room, or the host no memory, the next packet would fare no better. */
static bool out_of_room(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

/* sendmmsg stops at the first packet that fails: that one is passed over and the rest sent. */
static void send_batch(struct inject *i, struct batch *b)
{
	unsigned at = 0;

	while (at < b->count) {
		int n = sendmmsg(b->fd, b->messages + at, b->count - at, MSG_DONTWAIT);
		if (n > 0) {
			i->stats.sent += (unsigned)n;
			at += (unsigned)n;
		} else if (errno != EINTR) {
			unsigned lost = out_of_room(errno) ? b->count - at : 1;
			fail(i, lost, errno);
			at += lost;
		}
	}
	b->count = 0;
}

void inject_add(struct inject *i, const uint8_t *bytes, size_t len)
{
	bool v6 = len > 0 && bytes[0] >> 4 == 6;
	struct batch *b = v6 ? &i->v6 : &i->v4;
	unsigned at;

	if (len > PACKET_MAX || len < (v6 ? sizeof(struct ip6_hdr) : sizeof(struct ip))) {
		fail(i, 1, EMSGSIZE);
		return;
	}
	if (b->fd == -1) {
		fail(i, 1, EAFNOSUPPORT);
		return;
	}
	if (b->count == BATCH)
		send_batch(i, b);
	at = b->count++;
	memcpy(b->bytes[at], bytes, len);
	b->slots[at].iov_len = len;
	if (v6) {
		/* The port of a raw IPv6 socket's address is read as a protocol number: 0, or
		 * EINVAL. */
		b->to[at].in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
		memcpy(&b->to[at].in6.sin6_addr, bytes + offsetof(struct ip6_hdr, ip6_dst), 16);
	} else {
		b->to[at].in = (struct sockaddr_in){.sin_family = AF_INET};
		memcpy(&b->to[at].in.sin_addr, bytes + offsetof(struct ip, ip_dst), 4);
	}
}

void inject_flush(struct inject *i)
{
	send_batch(i, &i->v4);
	send_batch(i, &i->v6);
}

void inject_stats(const struct inject *i, struct inject_stats *out)
{
	*out = i->stats;
}
