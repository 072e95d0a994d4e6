/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes to segment: parsed once, checked, in host order. Nobody downstream sees raw headers. */
#ifndef ACKGATE_CORE_PACKET_H
#define ACKGATE_CORE_PACKET_H

#include "core/addr.h"

#include <stddef.h>

/* RFC 9293, section 3.1; AE is RFC 3168's NS bit, of no interest here. */
enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,
};

/* The options that the gate acts on, as tcpopt_parse found them. */
struct tcp_options {
	uint16_t mss;         /* bytes; 0: not given (RFC 9293, 3.7.1) */
	uint8_t wscale;       /* shift 0-14; larger values read as 14 (RFC 7323, 2.3) */
	uint8_t fastopen_len; /* cookie bytes, 0 for a request (RFC 7413, 4.1.1) */
	bool has_wscale;      /* wscale is valid */
	bool sack_permitted;  /* RFC 2018 */
	bool has_timestamp;   /* tsval and tsecr are valid (RFC 7323, 3.2) */
	bool has_fastopen;    /* all of fastopen_ is valid: kind 34, or 254 with 0xF989 */
	bool has_auth;        /* TCP-MD5 (RFC 2385) or TCP-AO (RFC 5925) */
	uint32_t tsval;
	uint32_t tsecr;
	uint16_t mss_offset;      /* of the kind byte, from the start of the TCP header; 0: none */
	uint16_t fastopen_offset; /* likewise */
	uint16_t fastopen_size;   /* bytes of the whole option */
};

struct segment {
	struct addr src;
	struct addr dst;
	uint16_t src_port;
	uint16_t dst_port;
	uint32_t seq;
	uint32_t ack;
	uint8_t flags;        /* enum tcp_flag, or'ed */
	uint16_t window;      /* as on the wire, unscaled */
	uint16_t tcp_offset;  /* bytes of IP headers before the TCP header */
	uint16_t data_offset; /* bytes of all headers */
	uint32_t data_len;    /* payload bytes on the wire; with GSO up to the whole burst's */
	struct tcp_options opt;
};

enum packet_kind {
	PACKET_TCP, /* *seg is filled */
	/*
	 * Destination unreachable (but not "fragmentation needed") about a TCP segment: *seg holds
	 * the quoted addresses, ports and seq alone, *from who says so.
	 */
	PACKET_ICMP_ERROR,
	/* "Fragmentation needed", or "packet too big": likewise, and `ack` is the MTU it names. */
	PACKET_TOO_BIG,
	PACKET_OTHER, /* well-formed, not ours */
	PACKET_FRAGMENT,
	PACKET_MALFORMED,
};

/*
 * Reads an IPv4 or IPv6 packet of which `captured` bytes are at hand and `on_wire` bytes exist.
 *
 * All headers including TCP's options must lie inside the captured bytes, else PACKET_MALFORMED.
 * Lengths inside the headers must agree with each other and not exceed on_wire (length 0 stands for
 * on_wire where BIG TCP has it). Trailing padding after the IP length is ignored.
 *
 * IPv6 extension headers are walked (hop-by-hop, routing, destination options, AH; RFC 8200,
 * section 4); a fragment header with offset 0 and no more fragments ("atomic", RFC 6946) is passed
 * over. Any other fragment that is, or may be, TCP's is PACKET_FRAGMENT.
 *
 * Also malformed: port 0, a segment sent to where it says it comes from, IPv4-mapped addresses in
 * an IPv6 header, option lists as tcpopt_parse refuses them, and with verify_checksum and the whole
 * packet at hand a wrong TCP checksum (not verified on an IPv6 source route: it is made for another
 * destination). TCP flags are not judged here: packet_flags_ok does that.
 */
enum packet_kind packet_parse(const uint8_t *bytes, size_t captured, size_t on_wire,
	bool verify_checksum, struct segment *seg, struct addr *from);

/*
 * The addresses and ports of a plain TCP packet (no IP options, no extension headers), the sender's
 * as the client's, unchecked: good for a guess at what will be needed. False if it is anything
 * else.
 */
bool packet_peek(const uint8_t *bytes, size_t captured, struct tuple *ends);

/*
 * Whether FIN, SYN, RST and ACK are combined as some step of a connection has them: SYN, SYN ACK,
 * ACK, FIN ACK, RST, RST ACK.
 */
bool packet_flags_ok(uint8_t flags);

/* Sequence space the segment takes: payload, and one each for SYN and FIN (RFC 9293, 3.4). */
uint32_t packet_seq_len(const struct segment *seg);

#endif
