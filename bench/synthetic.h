/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of as many different flows as wanted, without keeping any: all of a flow follows from its
 * number. */
#ifndef ACKGATE_BENCH_SYNTHETIC_H
#define ACKGATE_BENCH_SYNTHETIC_H

#include "core/packet.h"

#include <stddef.h>
#include <stdint.h>

struct synthetic {
	uint8_t bytes[80];
	size_t len;
};

/*
 * Writes a packet of flow `number` as Linux would send it, from the server if the flags are SYN and
 * ACK, otherwise from the client to its port 443. Odd flows are IPv6. Every flow is a source of its
 * own. Checksums are left out.
 */
void synthetic_write(struct synthetic *p, uint32_t number, uint8_t flags);

/* Lets a packet acknowledge another number. */
void synthetic_acknowledge(struct synthetic *p, uint32_t ack);

#endif
