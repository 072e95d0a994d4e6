/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink sockets and the three ways this room talks over them: a batch of requests, a dump, or one
 * message in a datagram.
 *
 * The kernel works a request off inside the call that sends it, so what it has to say lies in the
 * socket when the call returns: nothing here ever waits, and a request that says nothing has
 * succeeded.
 */
#ifndef ACKGATE_KERNEL_NETLINK_H
#define ACKGATE_KERNEL_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `bus`: NETLINK_NETFILTER, ...; `groups`: bits of multicast groups, or 0; `rcvbuf`: bytes. NULL
 * with errno. */
struct mnl_socket *netlink_open(int bus, unsigned groups, size_t rcvbuf);

/* Sends one or many messages in one call. -1 with errno; all or nothing. */
int netlink_send(struct mnl_socket *nl, const void *messages, size_t len);

/* Swallows the answers that are there; returns how many of them say that a request was refused. */
size_t netlink_refusals(struct mnl_socket *nl);

/* Sends a dump request and calls `each` for every message of the answer. -1 with errno. */
int netlink_dump(struct mnl_socket *nl, struct nlmsghdr *request,
	void (*each)(void *arg, const struct nlmsghdr *nlh), void *arg);

/* The error that an NLMSG_ERROR carries, as an errno value; 0 for an acknowledgement. */
int netlink_error(const struct nlmsghdr *nlh);

/* The head of a netfilter message: `subsystem` NFNL_SUBSYS_..., `family` AF_..., `resource` host
 * order. */
struct nlmsghdr *netlink_put_netfilter(void *buf, uint8_t subsystem, uint8_t type, uint16_t flags,
	uint8_t family, uint16_t resource);

#endif
