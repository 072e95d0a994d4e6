/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets the gate writes itself, and the changes it makes to those it lets through. */
#ifndef ACKGATE_CORE_BUILD_H
#define ACKGATE_CORE_BUILD_H

#include "core/packet.h"

/* The longest packet that build_rst writes: an IPv6 and a TCP header without options. */
#define BUILD_RST_MAX 60
/* The longest of all: an ICMPv6 error with the headers that it quotes. */
#define BUILD_MAX 108

/* A segment without data, in host order. Both addresses are of one family. */
struct build_segment {
	struct addr src;
	struct addr dst;
	uint16_t src_port;
	uint16_t dst_port;
	uint32_t seq;
	uint32_t ack;
	uint8_t flags; /* enum tcp_flag, or'ed */
	uint16_t window;
	uint16_t mss; /* 0: no option */
	bool sack_permitted;
	bool has_wscale;
	uint8_t wscale;
	bool has_timestamp;
	uint32_t tsval;
	uint32_t tsecr;
};

/*
 * Writes a complete IP packet with checksums, its options in the order and with the padding that
 * Linux gives them. Returns its length in bytes.
 */
size_t build_segment(uint8_t out[static BUILD_MAX], const struct build_segment *s);

/* An ICMP error that says: too big for the next link (RFC 1191, section 4; RFC 4443, section 3.2).
 */
struct build_too_big {
	struct addr from;
	struct addr to;
	uint32_t mtu; /* bytes */
	/* The segment that was too big, as far as errors quote it. */
	struct tuple quoted; /* its source is the client here */
	uint32_t seq;
};

/* Writes a complete packet with checksums. Returns its length in bytes. */
size_t build_too_big(uint8_t out[static BUILD_MAX], const struct build_too_big *e);

/*
 * Writes a complete IP packet with an RST (with ACK if `with_ack`) from src to dst, both of one
 * family, with checksums. Ports, seq and ack in host order. Returns its length in bytes.
 */
size_t build_rst(uint8_t out[static BUILD_RST_MAX], const struct addr *src, uint16_t src_port,
	const struct addr *dst, uint16_t dst_port, uint32_t seq, bool with_ack, uint32_t ack);

/*
 * The RST that answers a segment as a closed port would (RFC 9293, section 3.5.2, group 1): its seq
 * is the segment's ack, or it acknowledges what the segment took. Nothing answers an RST: returns 0
 * for one.
 */
size_t build_rst_answer(uint8_t out[static BUILD_RST_MAX], const struct segment *seg);

struct build_syn_change {
	/*
	 * Lower the MSS option to this; 0: leave it. None is added where there is none (536 or 1220
	 * hold then), and a segment signed by TCP-MD5 or TCP-AO keeps its own.
	 */
	uint16_t mss_max;
	/*
	 * Overwrite the Fast Open option with NOPs and cut the data off, with the option or
	 * without: the client sends it again (RFC 7413, section 4.2).
	 */
	bool strip_fastopen;
};

/*
 * Copies the SYN or SYN-ACK of `len` captured bytes to `out` with the changes made and a full TCP
 * checksum, not an incremental one: the kernel hands over packets whose checksum it left for later.
 * Returns the new length; 0 if nothing needs changing, if the packet is not all there and its data
 * would have to be kept, or if the result does not fit. Padding after the packet is cut off. `seg`
 * is what packet_parse made of the same bytes.
 */
size_t build_change_syn(uint8_t *out, size_t out_size, const uint8_t *bytes, size_t len,
	const struct segment *seg, const struct build_syn_change *change);

#endif
