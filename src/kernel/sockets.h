/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host's own TCP sockets, of both families, by sock_diag. */
#ifndef ACKGATE_KERNEL_SOCKETS_H
#define ACKGATE_KERNEL_SOCKETS_H

#include "core/addr.h"

#include <stdbool.h>
#include <stdint.h>

struct sockets_entry {
	struct addr local; /* of an IPv6 socket that speaks IPv4: the IPv4 address */
	struct addr remote;
	uint16_t local_port; /* host order */
	uint16_t remote_port;
	uint8_t state; /* TCP_ESTABLISHED, ... of <netinet/tcp.h> */
};

/* Calls `each` for every socket whose state's bit (1 << TCP_ESTABLISHED, ...) is in `states`. -1
 * with errno. */
int sockets_dump(
	uint32_t states, void (*each)(void *arg, const struct sockets_entry *s), void *arg);

/*
 * Aborts the connections that `wanted` takes, and half-open ones; the other end gets an RST, the
 * program ECONNABORTED. Returns how many, -1 with errno: EOPNOTSUPP if the kernel was built without
 * CONFIG_INET_DIAG_DESTROY.
 */
long sockets_destroy(bool (*wanted)(void *arg, const struct sockets_entry *s), void *arg);

#endif
