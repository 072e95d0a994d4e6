/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One address type for both families. */
#ifndef ACKGATE_CORE_ADDR_H
#define ACKGATE_CORE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* An IPv6 address in network order, or an IPv4 one mapped into ::ffff:0:0/96 (RFC 4291, 2.5.5.2).
 */
struct addr {
	uint8_t b[16];
};

/* Addresses from first to last, both included and both of one family; a prefix is a range too. */
struct addr_range {
	struct addr first;
	struct addr last;
};

/* An address and a port in host order. As a place to listen at, the family's unspecified address
 * stands for all of this host's. */
struct endpoint {
	struct addr addr;
	uint16_t port;
};

/* One connection as the gate's hooks see it: the server's address is the one after DNAT. Ports in
 * host order. */
struct tuple {
	struct addr client;
	struct addr server;
	uint16_t client_port;
	uint16_t server_port;
};

static inline bool addr_is_v4(const struct addr *a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

static inline struct addr addr_v4(const uint8_t octets[4])
{
	struct addr a = {.b = {[10] = 0xff, [11] = 0xff}};
	memcpy(a.b + 12, octets, 4);
	return a;
}

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* Whether it stands for all addresses of its family. */
static inline bool endpoint_is_any(const struct endpoint *e)
{
	static const uint8_t zeros[16] = {0};
	bool v4 = addr_is_v4(&e->addr);

	return memcmp(e->addr.b + (v4 ? 12 : 0), zeros, v4 ? 4 : 16) == 0;
}

/* An IPv4 address is never inside an IPv6 range, not even inside ::/0. */
static inline bool addr_in_range(const struct addr *a, const struct addr_range *r)
{
	return addr_is_v4(a) == addr_is_v4(&r->first) && memcmp(a->b, r->first.b, 16) >= 0 &&
	       memcmp(a->b, r->last.b, 16) <= 0;
}

/* The address with all but its first `bits` bits cleared; bits counts within the address's own
 * family. */
static inline struct addr addr_prefix(const struct addr *a, unsigned bits)
{
	struct addr p = *a;
	unsigned keep = addr_is_v4(a) ? bits + 96 : bits;

	if (keep < 128) {
		p.b[keep / 8] &= (uint8_t)(0xff00u >> keep % 8);
		memset(p.b + keep / 8 + 1, 0, 15 - keep / 8);
	}
	return p;
}

#endif
