/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy routing of transparent interception: packets that carry its mark are for this host,
 * whatever their address. In IPv4, and in IPv6 where lo has it:
 *
 *     ip rule add pref 521 iif lo fwmark MARK/MARK goto 523
 *     ip rule add pref 522 fwmark MARK/MARK lookup 5200
 *     ip rule add pref 523 nop
 *     ip route add local default dev lo table 5200
 *
 * all of them with `protocol 172`, by which they are known as ours.
 */
#ifndef ACKGATE_KERNEL_TPROXY_ROUTING_H
#define ACKGATE_KERNEL_TPROXY_ROUTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	TPROXY_ROUTING_TABLE = 5200,
	TPROXY_ROUTING_PRIORITY = 521, /* of the first of three rules */
	TPROXY_ROUTING_PROTOCOL = 172,
};

/*
 * Adds what is missing and deletes what is ours and different. -1 with a sentence in `why`: the
 * kernel refused, or somebody else uses the table. Then some of it may be in; it is idle while
 * nothing is marked.
 */
int tproxy_routing_apply(uint32_t mark, char *why, size_t why_size);
/* Deletes all that is ours. -1 with a sentence in `why`. */
int tproxy_routing_remove(char *why, size_t why_size);
/* Whether all that an apply puts in is there. */
bool tproxy_routing_intact(uint32_t mark);
/* Whether the routing serves IPv6: lo has it. */
bool tproxy_routing_has_ipv6(void);
/* The commands that would do it, each behind `before`. */
void tproxy_routing_print(uint32_t mark, const char *before, FILE *to);

#endif
