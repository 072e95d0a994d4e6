/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection towards a server, begun. */
#ifndef ACKGATE_SPLICE_DIAL_H
#define ACKGATE_SPLICE_DIAL_H

#include "splice/exhausted.h"
#include "splice/route.h"

#include <sys/socket.h>

struct dial {
	const struct route *route;
	const struct sockaddr_storage *to;
	socklen_t len;
	const struct endpoint *client; /* its address is taken with source = client */
	const struct endpoint *avoid;  /* the client's own connection is from `client` to here */
	unsigned turn;                 /* which of the rule's source addresses is the first */
	bool has_data; /* the client's first bytes are here: the handshake may carry them */
	struct exhausted *exhausted; /* not tried; what is found to be so is added */
	uint64_t now_us;
};

enum dial_fault {
	DIAL_NONE,
	DIAL_SERVER,  /* it refused, or can't be reached: errno */
	DIAL_NO_PORT, /* every source address has used up its ports towards this server */
	DIAL_NO_FDS,
	DIAL_SYSTEM, /* errno */
};

/*
 * A socket that connects; *connected if it has done so already. -1, and *fault with errno. Never
 * waits.
 */
int dial_begin(const struct dial *d, bool *connected, enum dial_fault *fault);

#endif
