/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "segments.h"

#include "core/checksum.h"
#include "core/tcpopt.h"
#include "core/wire.h"

enum {
	HOPS = 64,
	UNREACHABLE_HOST = 1, /* ICMP type 3, code 1 (RFC 792) */
	ICMP_UNREACHABLE = 3,
	FRAGMENTATION_NEEDED = 4,
	ICMPV6_TOO_BIG = 2,
	ICMPV6_UNREACHABLE = 1, /* with code 0, no route (RFC 4443, section 3.1) */
};

static size_t write_options(uint8_t *out, const struct segment_spec *s)
{
	size_t at = 0;

	if (s->mss) {
		out[at++] = TCP_OPTION_MSS;
		out[at++] = 4;
		wire_put16(out + at, s->mss);
		at += 2;
	}
	if (s->scales) {
		out[at++] = TCP_OPTION_WSCALE;
		out[at++] = 3;
		out[at++] = s->wscale;
	}
	if (s->sack) {
		out[at++] = TCP_OPTION_SACK_PERMITTED;
		out[at++] = 2;
	}
	if (s->stamped) {
		out[at++] = TCP_OPTION_TIMESTAMP;
		out[at++] = 10;
		wire_put32(out + at, s->tsval);
		wire_put32(out + at + 4, s->tsecr);
		at += 8;
	}
	if (s->md5) {
		out[at++] = TCP_OPTION_MD5;
		out[at++] = 18;
		memset(out + at, 0xd5, 16);
		at += 16;
	}
	if (s->fastopen) {
		out[at++] = TCP_OPTION_FASTOPEN;
		out[at++] = (uint8_t)(2 + s->cookie);
		memset(out + at, 0xc0, s->cookie);
		at += s->cookie;
	}
	while (at % 4 != 0)
		out[at++] = TCP_OPTION_NOP;
	return at;
}

static size_t write_tcp(uint8_t *t, const struct segment_spec *s)
{
	size_t options = write_options(t + TCP_HEADER, s);
	size_t len = TCP_HEADER + options + s->len;

	wire_put16(t, s->src_port);
	wire_put16(t + 2, s->dst_port);
	wire_put32(t + 4, s->seq);
	wire_put32(t + 8, s->flags & TCP_ACK ? s->ack : 0);
	t[12] = (uint8_t)((TCP_HEADER + options) / 4 << 4);
	t[13] = s->flags;
	wire_put16(t + 14, s->window);
	wire_put32(t + 16, 0);
	memset(t + TCP_HEADER + options, 'x', s->len);
	wire_put16(t + 16, checksum_tcp(&s->src, &s->dst, t, len));
	return len;
}

static size_t write_ip(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t protocol,
	size_t payload)
{
	if (!addr_is_v4(src)) {
		memset(h, 0, IPV6_HEADER);
		h[0] = 0x60;
		wire_put16(h + 4, (uint16_t)payload);
		h[6] = protocol;
		h[7] = HOPS;
		memcpy(h + 8, src->b, 16);
		memcpy(h + 24, dst->b, 16);
		return IPV6_HEADER;
	}
	memset(h, 0, IPV4_HEADER);
	h[0] = 0x45;
	wire_put16(h + 2, (uint16_t)(IPV4_HEADER + payload));
	h[8] = HOPS;
	h[9] = protocol;
	memcpy(h + 12, src->b + 12, 4);
	memcpy(h + 16, dst->b + 12, 4);
	wire_put16(h + 10, checksum_ipv4(h, IPV4_HEADER));
	return IPV4_HEADER;
}

size_t segments_write(uint8_t out[static SEGMENTS_MAX], const struct segment_spec *s)
{
	size_t header = addr_is_v4(&s->src) ? IPV4_HEADER : IPV6_HEADER;
	size_t payload = write_tcp(out + header, s);

	return write_ip(out, &s->src, &s->dst, PROTO_TCP, payload) + payload;
}

size_t segments_write_unreachable(
	uint8_t out[static SEGMENTS_MAX], const struct addr *from, const struct segment_spec *s)
{
	bool v4 = addr_is_v4(from);
	size_t header = v4 ? IPV4_HEADER : IPV6_HEADER;
	uint8_t *icmp = out + header;
	uint8_t quoted[SEGMENTS_MAX];
	size_t quote = header + 8; /* as much as every sender quotes */

	segments_write(quoted, s);
	memset(icmp, 0, ICMP_HEADER);
	icmp[0] = v4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE;
	icmp[1] = v4 ? UNREACHABLE_HOST : 0;
	memcpy(icmp + ICMP_HEADER, quoted, quote);
	return write_ip(out, from, &s->src, v4 ? PROTO_ICMP : PROTO_ICMPV6, ICMP_HEADER + quote) +
	       ICMP_HEADER + quote;
}

size_t segments_write_too_big(uint8_t out[static SEGMENTS_MAX], const struct addr *from,
	const struct segment_spec *s, uint16_t mtu)
{
	bool v4 = addr_is_v4(from);
	size_t len = segments_write_unreachable(out, from, s);
	uint8_t *icmp = out + (v4 ? IPV4_HEADER : IPV6_HEADER);

	icmp[0] = v4 ? ICMP_UNREACHABLE : ICMPV6_TOO_BIG;
	icmp[1] = v4 ? FRAGMENTATION_NEEDED : 0;
	wire_put16(icmp + 6, mtu); /* of four bytes in ICMPv6 these are the lower */
	return len;
}
