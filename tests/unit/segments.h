/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real packets, as either end of a connection would send them, for tests. */
#ifndef ACKGATE_TESTS_SEGMENTS_H
#define ACKGATE_TESTS_SEGMENTS_H

#include "core/packet.h"

enum {
	SEGMENTS_MAX = 2048,
	SEGMENTS_PAYLOAD_MAX = 1500,
};

struct segment_spec {
	struct addr src;
	struct addr dst;
	uint16_t src_port;
	uint16_t dst_port;
	uint32_t seq;
	uint32_t ack; /* written only with TCP_ACK */
	uint8_t flags;
	uint16_t window; /* as on the wire */
	uint32_t len;    /* bytes of payload */
	uint16_t mss;    /* 0: no option */
	bool scales;     /* with window scale `wscale` */
	uint8_t wscale;
	bool sack;    /* SACK permitted */
	bool stamped; /* with timestamps `tsval` and `tsecr` */
	uint32_t tsval;
	uint32_t tsecr;
	bool md5;      /* signed, by nobody's key (RFC 2385) */
	bool fastopen; /* with a cookie of `cookie` bytes, 0 for a request */
	uint8_t cookie;
};

/* Returns the packet's length; checksums are right. */
size_t segments_write(uint8_t out[static SEGMENTS_MAX], const struct segment_spec *s);

/* What `from` says when it can't deliver the segment: ICMP or ICMPv6 host unreachable. */
size_t segments_write_unreachable(
	uint8_t out[static SEGMENTS_MAX], const struct addr *from, const struct segment_spec *s);

/* What `from` says when the segment is too big for the next link. */
size_t segments_write_too_big(uint8_t out[static SEGMENTS_MAX], const struct addr *from,
	const struct segment_spec *s, uint16_t mtu);

#endif
