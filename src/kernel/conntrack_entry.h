/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One conntrack entry as ctnetlink words it: read from its messages, and named in ours. */
#ifndef ACKGATE_KERNEL_CONNTRACK_ENTRY_H
#define ACKGATE_KERNEL_CONNTRACK_ENTRY_H

#include "core/addr.h"

#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <stdint.h>

struct conntrack_entry {
	struct tuple original; /* as the client sent it: what the kernel finds the entry by */
	struct tuple tuple;    /* as our hooks see it: the server is the one after DNAT */
	uint32_t mark;
	uint32_t status;   /* IPS_... */
	uint8_t tcp_state; /* TCP_CONNTRACK_...; NONE if the message does not say */
};

/* Reads one ctnetlink message; false if it is not about TCP, or says less than both tuples. */
bool conntrack_entry_read(const struct nlmsghdr *nlh, struct conntrack_entry *e);

/*
 * Calls `each` for every TCP entry, or for those that carry the bit `mark` if that is not 0. -1
 * with errno.
 */
int conntrack_entry_dump(struct mnl_socket *nl, uint32_t mark,
	void (*each)(void *arg, const struct conntrack_entry *e), void *arg);

/* Whether no more than the rest of its closing is to come of the connection. */
bool conntrack_entry_ended(const struct conntrack_entry *e);

/* Writes the tuple as the original direction, or as that of the replies. */
void conntrack_entry_set_original(struct nf_conntrack *ct, const struct tuple *t);
void conntrack_entry_set_reply(struct nf_conntrack *ct, const struct tuple *t);

/* The same two ends, the other way round. */
struct tuple conntrack_entry_reversed(const struct tuple *t);

#endif
