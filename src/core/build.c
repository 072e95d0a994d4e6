/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/build.h"

#include "core/checksum.h"
#include "core/tcpopt.h"
#include "core/wire.h"

enum {
	ICMP_UNREACHABLE = 3,
	ICMP_FRAGMENTATION_NEEDED = 4,
	ICMPV6_TOO_BIG = 2,
	HOPS = 64, /* the IANA's recommended default */
	IPV4_DONT_FRAGMENT = 0x4000,
	TCP_CHECKSUM_OFFSET = 16,
};

static void put_ipv4(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t protocol,
	uint16_t payload)
{
	memset(h, 0, IPV4_HEADER);
	h[0] = 0x45;
	wire_put16(h + 2, (uint16_t)(IPV4_HEADER + payload));
	wire_put16(h + 6, IPV4_DONT_FRAGMENT);
	h[8] = HOPS;
	h[9] = protocol;
	memcpy(h + 12, src->b + 12, 4);
	memcpy(h + 16, dst->b + 12, 4);
	wire_put16(h + 10, checksum_ipv4(h, IPV4_HEADER));
}

static void put_ipv6(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t protocol,
	uint16_t payload)
{
	memset(h, 0, IPV6_HEADER);
	h[0] = 0x60;
	wire_put16(h + 4, payload);
	h[6] = protocol;
	h[7] = HOPS;
	memcpy(h + 8, src->b, sizeof(src->b));
	memcpy(h + 24, dst->b, sizeof(dst->b));
}

/* Returns the header's length. */
static size_t put_ip(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t protocol,
	size_t payload)
{
	bool v4 = addr_is_v4(src);

	(v4 ? put_ipv4 : put_ipv6)(h, src, dst, protocol, (uint16_t)payload);
	return v4 ? IPV4_HEADER : IPV6_HEADER;
}

static void put_tcp_checksum(
	uint8_t *tcp, const struct addr *src, const struct addr *dst, size_t len)
{
	wire_put16(tcp + TCP_CHECKSUM_OFFSET, 0);
	wire_put16(tcp + TCP_CHECKSUM_OFFSET, checksum_tcp(src, dst, tcp, len));
}

size_t build_rst(uint8_t out[static BUILD_RST_MAX], const struct addr *src, uint16_t src_port,
	const struct addr *dst, uint16_t dst_port, uint32_t seq, bool with_ack, uint32_t ack)
{
	bool v4 = addr_is_v4(src);
	size_t ip_len = v4 ? IPV4_HEADER : IPV6_HEADER;
	uint8_t *tcp = out + ip_len;

	put_ip(out, src, dst, PROTO_TCP, TCP_HEADER);
	memset(tcp, 0, TCP_HEADER);
	wire_put16(tcp, src_port);
	wire_put16(tcp + 2, dst_port);
	wire_put32(tcp + 4, seq);
	wire_put32(tcp + 8, with_ack ? ack : 0);
	tcp[12] = TCP_HEADER / 4 << 4;
	tcp[13] = with_ack ? TCP_RST | TCP_ACK : TCP_RST;
	put_tcp_checksum(tcp, src, dst, TCP_HEADER);
	return ip_len + TCP_HEADER;
}

static size_t put_pair(uint8_t *o, enum tcp_option_kind first, enum tcp_option_kind second)
{
	o[0] = (uint8_t)first;
	o[1] = (uint8_t)second;
	return 2;
}

static size_t put_timestamp(uint8_t *o, const struct build_segment *s)
{
	o[0] = TCP_OPTION_TIMESTAMP;
	o[1] = 10;
	wire_put32(o + 2, s->tsval);
	wire_put32(o + 6, s->tsecr);
	return 10;
}

/* Each takes whole words, together with what is put before it. */
static size_t put_options(uint8_t *options, const struct build_segment *s)
{
	uint8_t *o = options;

	if (s->mss) {
		o[0] = TCP_OPTION_MSS;
		o[1] = 4;
		wire_put16(o + 2, s->mss);
		o += 4;
	}
	if (s->sack_permitted != s->has_timestamp)
		o += put_pair(o, TCP_OPTION_NOP, TCP_OPTION_NOP);
	if (s->sack_permitted)
		o += put_pair(o, TCP_OPTION_SACK_PERMITTED, 2);
	if (s->has_timestamp)
		o += put_timestamp(o, s);
	if (s->has_wscale) {
		o += put_pair(o, TCP_OPTION_NOP, TCP_OPTION_WSCALE);
		o[0] = 3;
		o[1] = s->wscale;
		o += 2;
	}
	return (size_t)(o - options);
}

size_t build_segment(uint8_t out[static BUILD_MAX], const struct build_segment *s)
{
	uint8_t *tcp = out + (addr_is_v4(&s->src) ? IPV4_HEADER : IPV6_HEADER);
	size_t len = TCP_HEADER + put_options(tcp + TCP_HEADER, s);
	size_t ip_len = put_ip(out, &s->src, &s->dst, PROTO_TCP, len);

	wire_put16(tcp, s->src_port);
	wire_put16(tcp + 2, s->dst_port);
	wire_put32(tcp + 4, s->seq);
	wire_put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)(len / 4 << 4);
	tcp[13] = s->flags;
	wire_put16(tcp + 14, s->window);
	wire_put16(tcp + 18, 0);
	put_tcp_checksum(tcp, &s->src, &s->dst, len);
	return ip_len + len;
}

/* The IP header and the first bytes of a TCP header, of a packet one byte too long. */
static size_t put_quote(uint8_t *out, const struct build_too_big *e)
{
	const struct tuple *q = &e->quoted;
	bool v4 = addr_is_v4(&q->client);
	uint32_t headers = v4 ? IPV4_HEADER : IPV6_HEADER;
	uint32_t payload = e->mtu >= headers ? e->mtu + 1 - headers : TCP_HEADER;
	size_t ip_len = put_ip(out, &q->client, &q->server, PROTO_TCP,
		payload < UINT16_MAX - headers ? payload : UINT16_MAX - headers);
	uint8_t *tcp = out + ip_len;

	memset(tcp, 0, TCP_HEADER);
	wire_put16(tcp, q->client_port);
	wire_put16(tcp + 2, q->server_port);
	wire_put32(tcp + 4, e->seq);
	tcp[12] = TCP_HEADER / 4 << 4;
	tcp[13] = TCP_ACK;
	return ip_len + TCP_HEADER;
}

size_t build_too_big(uint8_t out[static BUILD_MAX], const struct build_too_big *e)
{
	bool v4 = addr_is_v4(&e->from);
	uint8_t *icmp = out + (v4 ? IPV4_HEADER : IPV6_HEADER);
	size_t len = ICMP_HEADER + put_quote(icmp + ICMP_HEADER, e);
	size_t ip_len = put_ip(out, &e->from, &e->to, v4 ? PROTO_ICMP : PROTO_ICMPV6, len);

	memset(icmp, 0, ICMP_HEADER);
	icmp[0] = v4 ? ICMP_UNREACHABLE : ICMPV6_TOO_BIG;
	icmp[1] = v4 ? ICMP_FRAGMENTATION_NEEDED : 0;
	if (v4)
		wire_put16(icmp + 6, (uint16_t)e->mtu);
	else
		wire_put32(icmp + 4, e->mtu);
	wire_put16(icmp + 2,
		v4 ? checksum_ipv4(icmp, len) : checksum_icmpv6(&e->from, &e->to, icmp, len));
	return ip_len + len;
}

size_t build_rst_answer(uint8_t out[static BUILD_RST_MAX], const struct segment *seg)
{
	if (seg->flags & TCP_RST)
		return 0;
	bool acks = seg->flags & TCP_ACK;
	return build_rst(out, &seg->dst, seg->dst_port, &seg->src, seg->src_port,
		acks ? seg->ack : 0, !acks, seg->seq + packet_seq_len(seg));
}

/* False if the IP header can't say so long a length: a BIG TCP burst. */
static bool set_ip_len(uint8_t *ip, size_t len)
{
	if (ip[0] >> 4 == 6) {
		if (len - IPV6_HEADER > UINT16_MAX)
			return false;
		wire_put16(ip + 4, (uint16_t)(len - IPV6_HEADER));
		return true;
	}
	if (len > UINT16_MAX)
		return false;
	wire_put16(ip + 2, (uint16_t)len);
	wire_put16(ip + 10, 0);
	wire_put16(ip + 10, checksum_ipv4(ip, (ip[0] & 0x0fu) * 4));
	return true;
}

size_t build_change_syn(uint8_t *out, size_t out_size, const uint8_t *bytes, size_t len,
	const struct segment *seg, const struct build_syn_change *change)
{
	const struct tcp_options *opt = &seg->opt;
	bool strip = change->strip_fastopen && opt->has_fastopen;
	bool cut = change->strip_fastopen && seg->data_len > 0;
	bool lower = change->mss_max != 0 && opt->mss > change->mss_max && !opt->has_auth;
	size_t new_len = seg->data_offset + (cut ? 0 : (size_t)seg->data_len);

	if (!strip && !cut && !lower)
		return 0;
	if (len < new_len || out_size < new_len)
		return 0;

	memcpy(out, bytes, new_len);
	if (!set_ip_len(out, new_len))
		return 0;
	uint8_t *tcp = out + seg->tcp_offset;
	if (strip)
		memset(tcp + opt->fastopen_offset, TCP_OPTION_NOP, opt->fastopen_size);
	if (lower)
		wire_put16(tcp + opt->mss_offset + 2, change->mss_max);
	put_tcp_checksum(tcp, &seg->src, &seg->dst, new_len - seg->tcp_offset);
	return new_len;
}
