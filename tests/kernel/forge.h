/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP segments and ICMP errors that nobody's TCP sent. What fails here fails the test. */
#ifndef ACKGATE_TESTS_KERNEL_FORGE_H
#define ACKGATE_TESTS_KERNEL_FORGE_H

#include "core/packet.h"

struct forge_end {
	const char *addr;
	uint16_t port;
};

/* Sends an IPv4 segment of bare headers from the current namespace; `mark` is the packet's. False
 * if a rule of the namespace dropped it. */
bool forge_segment(uint32_t mark, struct forge_end from, struct forge_end to, uint8_t flags,
	uint32_t seq, uint32_t ack);

/* Sends "fragmentation needed" (RFC 792) to the one end, about a segment of its to the other. */
void forge_too_big(uint32_t mark, struct forge_end to, struct forge_end other);

#endif
