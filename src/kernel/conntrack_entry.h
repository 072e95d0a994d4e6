/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One conntrack entry as ctnetlink words it: read from its messages, and named in ours. */
#ifndef ACKGATE_KERNEL_CONNTRACK_ENTRY_H
#define ACKGATE_KERNEL_CONNTRACK_ENTRY_H

#include "core/addr.h"

#include <libmnl/libmnl.h>
#include <stdint.h>

struct conntrack_entry {
	struct tuple original; /* as the client sent it: what the kernel finds the entry by */
	struct tuple reply;    /* the replies' direction, reversed: as the server sees it */
	struct tuple tuple;    /* as our hooks see it: the server is the one after DNAT */
	uint32_t mark;
	uint32_t status;   /* IPS_... */
	uint8_t tcp_state; /* TCP_CONNTRACK_...; NONE if the message does not say */

	bool translated;    /* the sequence numbers of one direction are, or of both */
	uint32_t offset;    /* added to the server's on their way to the client */
	bool synproxy;      /* made by a program, or by the kernel's SYNPROXY */
	uint32_t its;       /* the TSval that the client got in its SYN-ACK */
	uint32_t ts_offset; /* subtracted from the server's TSval on its way to the client */
};

/* Reads one ctnetlink message; false if it is not about TCP, or says less than both tuples. */
bool conntrack_entry_read(const struct nlmsghdr *nlh, struct conntrack_entry *e);

/*
 * Calls `each` for every TCP entry, or for those that carry the bit `mark` if that is not 0. -1
 * with errno.
 */
int conntrack_entry_dump(struct mnl_socket *nl, uint32_t mark,
	void (*each)(void *arg, const struct conntrack_entry *e), void *arg);
/* The same for those whose status has the bit IPS_... */
int conntrack_entry_dump_status(struct mnl_socket *nl, uint32_t status,
	void (*each)(void *arg, const struct conntrack_entry *e), void *arg);

/* Whether no more than the rest of its closing is to come of the connection. */
bool conntrack_entry_ended(const struct conntrack_entry *e);

/* Writes a tuple; `type`: CTA_TUPLE_ORIG or CTA_TUPLE_REPLY. */
void conntrack_entry_put_tuple(struct nlmsghdr *nlh, uint16_t type, const struct tuple *t);

struct conntrack_entry_standing {
	uint32_t mark;
	uint32_t timeout_s;
	uint8_t tcp_flags; /* IP_CT_TCP_FLAG_..., of both ends */
	uint8_t client_wscale;
	uint8_t server_wscale;
};
/* Writes an entry that is ESTABLISHED and assured, without NAT: at most 280 bytes with the head. */
void conntrack_entry_put_standing(
	struct nlmsghdr *nlh, const struct tuple *t, const struct conntrack_entry_standing *s);

/* How many seconds such an entry lasts without a packet, as the host has set it. */
uint32_t conntrack_entry_timeout_established(void);

/* The same two ends, the other way round. */
struct tuple conntrack_entry_reversed(const struct tuple *t);

#endif
