/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A packet is read from the outside in, each layer by one function, and every byte is reached
 * through view_at(), which knows how many there are. Three lengths bound a view, and they differ on
 * purpose: what was captured, what was on the wire, and what the IP header says. The last must not
 * exceed the second (that would be a lie); it may well exceed the first, since the queue copies the
 * beginnings of large and GSO packets only. Once the IP header is read, the view shrinks to what
 * that header says, so that link-layer padding is never taken for a TCP header.
 *
 * An ICMP error's quote is a packet inside a packet and goes through the same IP reader, with a
 * view of its own.
 */
#include "core/packet.h"

#include "core/checksum.h"
#include "core/tcpopt.h"
#include "core/wire.h"

struct view {
	const uint8_t *bytes;
	size_t captured;
	size_t on_wire;
};

/* What the headers before TCP come down to, in both families. */
struct ip {
	struct addr src;
	struct addr dst;
	size_t header_len; /* extension headers included */
	size_t len;        /* headers and data, by the header's own word */
	uint8_t protocol;
	bool fragment;
	bool en_route; /* dst is a stop on a source route, not the address in the TCP checksum */
};

/* RFC 792, RFC 4443: what an error is about; the quoted datagram begins after ICMP_HEADER bytes. */
enum {
	ICMP_UNREACHABLE = 3,
	ICMP_UNREACHABLE_FRAGMENTATION_NEEDED = 4,
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_TOO_BIG = 2,
	ICMP_QUOTED_TCP = 8, /* bytes of TCP that every error quotes: ports and seq */
};

static const uint8_t *view_at(const struct view *v, size_t offset, size_t len)
{
	return offset <= v->captured && len <= v->captured - offset ? v->bytes + offset : NULL;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* RFC 791, section 3.1. BIG TCP: a burst of more than 64 kB says 0. */
static bool read_ipv4(const struct view *v, struct ip *ip)
{
	const uint8_t *h = view_at(v, 0, IPV4_HEADER);
	if (!h)
		return false;

	size_t header_len = (h[0] & 0x0fu) * 4;
	size_t len = wire_get16(h + 2);
	if (len == 0 && v->on_wire > UINT16_MAX)
		len = v->on_wire;
	if (header_len < IPV4_HEADER || len < header_len || !view_at(v, 0, header_len))
		return false;

	*ip = (struct ip){
		.src = addr_v4(h + 12),
		.dst = addr_v4(h + 16),
		.header_len = header_len,
		.len = len,
		.protocol = h[9],
		.fragment = (wire_get16(h + 6) & 0x3fff) != 0,
	};
	return true;
}

static bool is_extension(uint8_t protocol)
{
	return protocol == PROTO_HOP_BY_HOP || protocol == PROTO_ROUTING ||
	       protocol == PROTO_FRAGMENT || protocol == PROTO_AH || protocol == PROTO_DESTINATION;
}

/* The units of the length byte are 8 bytes after the first 8, but AH counts 4 after the first 8
 * (RFC 4302, section 2.2). */
static size_t extension_size(uint8_t protocol, uint8_t length)
{
	switch (protocol) {
	case PROTO_FRAGMENT:
		return 8;
	case PROTO_AH:
		return 8 + length * 4u;
	default:
		return 8 + length * 8u;
	}
}

/* Passes over one extension header (RFC 8200, section 4); behind that of a fragment nothing is
 * certain. */
static bool read_extension(const struct view *v, struct ip *ip)
{
	const uint8_t *e = view_at(v, ip->header_len, 8);
	if (!e || (ip->protocol == PROTO_HOP_BY_HOP && ip->header_len != IPV6_HEADER))
		return false;

	if (ip->protocol == PROTO_FRAGMENT)
		ip->fragment = (wire_get16(e + 2) & 0xfff9) != 0;
	if (ip->protocol == PROTO_ROUTING && e[3] != 0)
		ip->en_route = true;
	ip->header_len += extension_size(ip->protocol, e[1]);
	ip->protocol = e[0];
	return ip->header_len <= v->captured;
}

/*
 * RFC 8200, section 3. Payload length 0 is a jumbogram's (RFC 2675) or BIG TCP's. An IPv4-mapped
 * address has no business on the wire and would pass for IPv4 in every rule.
 */
static bool read_ipv6(const struct view *v, struct ip *ip)
{
	const uint8_t *h = view_at(v, 0, IPV6_HEADER);
	if (!h)
		return false;

	size_t payload = wire_get16(h + 4);
	*ip = (struct ip){
		.header_len = IPV6_HEADER,
		.len = payload != 0 ? IPV6_HEADER + payload : v->on_wire,
		.protocol = h[6],
	};
	memcpy(ip->src.b, h + 8, sizeof(ip->src.b));
	memcpy(ip->dst.b, h + 24, sizeof(ip->dst.b));
	if (addr_is_v4(&ip->src) || addr_is_v4(&ip->dst))
		return false;

	struct view inside = {v->bytes, smaller(v->captured, ip->len), v->on_wire};
	while (is_extension(ip->protocol) && !ip->fragment)
		if (!read_extension(&inside, ip))
			return false;
	return true;
}

/* Reads the IP header and shrinks the view to the packet it describes. */
static bool read_ip(struct view *v, struct ip *ip)
{
	const uint8_t *first = view_at(v, 0, 1);
	if (!first)
		return false;

	unsigned version = *first >> 4;
	if (version != 4 && version != 6)
		return false;
	if (!(version == 4 ? read_ipv4(v, ip) : read_ipv6(v, ip)))
		return false;
	if (ip->len > v->on_wire || ip->header_len + TCP_HEADER > UINT16_MAX)
		return false;
	v->captured = smaller(v->captured, ip->len);
	return true;
}

static bool checksum_ok(const struct view *v, const struct ip *ip)
{
	if (v->captured < ip->len || ip->en_route)
		return true;
	return checksum_tcp(&ip->src, &ip->dst, v->bytes + ip->header_len,
		       ip->len - ip->header_len) == 0;
}

/* Port 0 is reserved (RFC 6335, section 6), and nobody's packets come from where they go. */
static bool endpoints_ok(const struct segment *seg)
{
	if (seg->src_port == 0 || seg->dst_port == 0)
		return false;
	return seg->src_port != seg->dst_port || !addr_equal(&seg->src, &seg->dst);
}

/* RFC 9293, section 3.1. */
static bool read_tcp(const struct view *v, const struct ip *ip, struct segment *seg)
{
	const uint8_t *t = view_at(v, ip->header_len, TCP_HEADER);
	if (!t)
		return false;

	size_t header_len = (size_t)(t[12] >> 4) * 4;
	if (header_len < TCP_HEADER || !view_at(v, ip->header_len, header_len))
		return false;

	seg->src = ip->src;
	seg->dst = ip->dst;
	seg->src_port = wire_get16(t);
	seg->dst_port = wire_get16(t + 2);
	seg->seq = wire_get32(t + 4);
	seg->ack = wire_get32(t + 8);
	seg->flags = t[13];
	seg->window = wire_get16(t + 14);
	seg->tcp_offset = (uint16_t)ip->header_len;
	seg->data_offset = (uint16_t)(ip->header_len + header_len);
	seg->data_len = (uint32_t)(ip->len - seg->data_offset);
	return endpoints_ok(seg) &&
	       tcpopt_parse(t + TCP_HEADER, header_len - TCP_HEADER, &seg->opt);
}

/* The quote inside an ICMP error: an IP header and the first bytes of what it carried. */
static enum packet_kind read_quote(struct view *quote, bool v4, struct segment *seg)
{
	struct ip ip;
	if (!read_ip(quote, &ip) || addr_is_v4(&ip.src) != v4)
		return PACKET_MALFORMED;
	if (ip.protocol != PROTO_TCP || ip.fragment)
		return PACKET_OTHER;
	const uint8_t *t = view_at(quote, ip.header_len, ICMP_QUOTED_TCP);
	if (!t)
		return PACKET_MALFORMED;

	*seg = (struct segment){
		.src = ip.src,
		.dst = ip.dst,
		.src_port = wire_get16(t),
		.dst_port = wire_get16(t + 2),
		.seq = wire_get32(t + 4),
	};
	return endpoints_ok(seg) ? PACKET_ICMP_ERROR : PACKET_MALFORMED;
}

/* "Fragmentation needed" is of the same type as "unreachable", but there the way is open. */
static enum packet_kind icmp_kind(uint8_t protocol, uint8_t type, uint8_t code)
{
	if (protocol == PROTO_ICMPV6)
		return type == ICMPV6_UNREACHABLE ? PACKET_ICMP_ERROR
		       : type == ICMPV6_TOO_BIG   ? PACKET_TOO_BIG
						  : PACKET_OTHER;
	if (type != ICMP_UNREACHABLE)
		return PACKET_OTHER;
	return code == ICMP_UNREACHABLE_FRAGMENTATION_NEEDED ? PACKET_TOO_BIG : PACKET_ICMP_ERROR;
}

static enum packet_kind read_icmp(
	const struct view *v, const struct ip *ip, struct segment *seg, struct addr *from)
{
	const uint8_t *type_code = view_at(v, ip->header_len, 2);
	if (!type_code)
		return PACKET_MALFORMED;
	enum packet_kind kind = icmp_kind(ip->protocol, type_code[0], type_code[1]);
	if (kind == PACKET_OTHER)
		return kind;

	size_t at = ip->header_len + ICMP_HEADER;
	const uint8_t *icmp = view_at(v, ip->header_len, ICMP_HEADER);
	if (!icmp)
		return kind == PACKET_TOO_BIG ? PACKET_OTHER : PACKET_MALFORMED;
	bool v4 = ip->protocol == PROTO_ICMP;
	/* A quote is cut short, so its own length may be any that a packet can have. */
	struct view quote = {
		v->bytes + at, v->captured - at, v4 ? UINT16_MAX : IPV6_HEADER + UINT16_MAX};
	*from = ip->src;
	enum packet_kind quoted = read_quote(&quote, v4, seg);
	if (quoted != PACKET_ICMP_ERROR)
		return kind == PACKET_TOO_BIG ? PACKET_OTHER : quoted;
	if (kind == PACKET_TOO_BIG)
		seg->ack = v4 ? wire_get16(icmp + 6) : wire_get32(icmp + 4);
	return kind;
}

enum packet_kind packet_parse(const uint8_t *bytes, size_t captured, size_t on_wire,
	bool verify_checksum, struct segment *seg, struct addr *from)
{
	struct view v = {bytes, smaller(captured, on_wire), on_wire};
	struct ip ip;

	if (!read_ip(&v, &ip))
		return PACKET_MALFORMED;
	if (ip.fragment)
		return ip.protocol == PROTO_TCP || is_extension(ip.protocol) ? PACKET_FRAGMENT
									     : PACKET_OTHER;
	if (ip.protocol == PROTO_TCP) {
		if (!read_tcp(&v, &ip, seg) || (verify_checksum && !checksum_ok(&v, &ip)))
			return PACKET_MALFORMED;
		return PACKET_TCP;
	}
	if (ip.protocol == (addr_is_v4(&ip.src) ? PROTO_ICMP : PROTO_ICMPV6))
		return read_icmp(&v, &ip, seg, from);
	return PACKET_OTHER;
}

bool packet_flags_ok(uint8_t flags)
{
	switch (flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) {
	case TCP_SYN:
	case TCP_SYN | TCP_ACK:
	case TCP_ACK:
	case TCP_FIN | TCP_ACK:
	case TCP_RST:
	case TCP_RST | TCP_ACK:
		return true;
	default:
		return false;
	}
}

uint32_t packet_seq_len(const struct segment *seg)
{
	return seg->data_len + ((seg->flags & TCP_SYN) != 0) + ((seg->flags & TCP_FIN) != 0);
}

bool packet_peek(const uint8_t *bytes, size_t captured, struct tuple *ends)
{
	const uint8_t *ports;

	if (captured >= IPV4_HEADER + 4 && bytes[0] == 0x45 && bytes[9] == PROTO_TCP) {
		ends->client = addr_v4(bytes + 12);
		ends->server = addr_v4(bytes + 16);
		ports = bytes + IPV4_HEADER;
	} else if (captured >= IPV6_HEADER + 4 && bytes[0] >> 4 == 6 && bytes[6] == PROTO_TCP) {
		memcpy(ends->client.b, bytes + 8, 16);
		memcpy(ends->server.b, bytes + 24, 16);
		ports = bytes + IPV6_HEADER;
	} else {
		return false;
	}
	ends->client_port = wire_get16(ports);
	ends->server_port = wire_get16(ports + 2);
	return true;
}
