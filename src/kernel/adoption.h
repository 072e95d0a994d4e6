/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stood before the gate was there is admitted: conntrack's connections, and this host's own
 * sockets. */
#ifndef ACKGATE_KERNEL_ADOPTION_H
#define ACKGATE_KERNEL_ADOPTION_H

#include "kernel/conntrack_requests.h"

#include <libmnl/libmnl.h>

/* conntrack_adopt, by a socket for dumps and one for requests. */
long adoption_run(struct mnl_socket *dumps, struct conntrack_requests *requests, uint32_t mark,
	bool (*wanted)(void *arg, const struct tuple *t), void *arg);

#endif
