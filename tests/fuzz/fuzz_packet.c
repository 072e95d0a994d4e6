/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a packet. The first two bytes of the input choose how it is read, the rest is the
 * packet. Whatever is read as TCP must hold what packet.h promises, and what build.h makes of it
 * must read back.
 */
#include "core/build.h"
#include "core/packet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	CONTROL = 2,
	SYN_MAX = 2048
};

static void require(bool promise)
{
	if (!promise)
		abort();
}

static void check_offsets(const struct segment *s, size_t captured, size_t on_wire)
{
	const struct tcp_options *o = &s->opt;
	unsigned header = s->data_offset - s->tcp_offset;

	require(s->tcp_offset >= 20 && header >= 20 && header <= 60);
	require(s->data_offset <= captured && s->data_offset + (size_t)s->data_len <= on_wire);
	require(s->src_port != 0 && s->dst_port != 0);
	require(addr_is_v4(&s->src) == addr_is_v4(&s->dst));
	require(o->wscale <= 14 && (o->mss == 0 || o->mss_offset != 0));
	require(o->mss_offset == 0 || (o->mss_offset >= 20 && o->mss_offset + 4u <= header));
	require(!o->has_fastopen || (o->fastopen_offset >= 20 && o->fastopen_size >= 2 &&
					    o->fastopen_offset + o->fastopen_size <= (int)header));
	require(o->fastopen_len <= 16 && o->fastopen_len % 2 == 0);
}

static void check_rst(const struct segment *s)
{
	uint8_t bytes[BUILD_RST_MAX];
	struct segment rst;
	struct addr from;
	size_t len = build_rst_answer(bytes, s);

	require((len == 0) == ((s->flags & TCP_RST) != 0));
	if (len == 0)
		return;
	require(packet_parse(bytes, len, len, true, &rst, &from) == PACKET_TCP);
	require(addr_equal(&rst.src, &s->dst) && addr_equal(&rst.dst, &s->src));
	require(rst.src_port == s->dst_port && rst.dst_port == s->src_port);
	require(packet_flags_ok(rst.flags) && rst.data_len == 0);
}

static void check_change(const struct segment *s, const uint8_t *bytes, size_t captured,
	const struct build_syn_change *change)
{
	uint8_t out[SYN_MAX];
	struct segment changed;
	struct addr from;
	size_t len = build_change_syn(out, sizeof(out), bytes, captured, s, change);

	require(len <= captured);
	if (len == 0)
		return;
	require(packet_parse(out, len, len, true, &changed, &from) == PACKET_TCP);
	require(addr_equal(&changed.src, &s->src) && addr_equal(&changed.dst, &s->dst));
	require(changed.src_port == s->src_port && changed.dst_port == s->dst_port);
	require(changed.seq == s->seq && changed.ack == s->ack && changed.flags == s->flags);
	require(changed.opt.has_timestamp == s->opt.has_timestamp);
	require(changed.opt.has_wscale == s->opt.has_wscale && changed.opt.wscale == s->opt.wscale);
	if (change->strip_fastopen)
		require(!changed.opt.has_fastopen && changed.data_len == 0);
	else
		require(changed.data_len == s->data_len);
	if (change->mss_max && !s->opt.has_auth)
		require(changed.opt.mss <= change->mss_max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < CONTROL)
		return 0;

	bool verify = data[0] & 1, strip = data[0] & 2, cut_short = data[0] & 4, big = data[0] & 8;
	struct build_syn_change change = {(uint16_t)(data[1] * 8), strip};
	const uint8_t *bytes = data + CONTROL;
	size_t captured = size - CONTROL;
	size_t on_wire = captured + (cut_short ? 4096 : 0) + (big ? 100000 : 0);
	struct segment seg;
	struct addr from;

	if (packet_parse(bytes, captured, on_wire, verify, &seg, &from) == PACKET_TCP) {
		check_offsets(&seg, captured, on_wire);
		check_rst(&seg);
		check_change(&seg, bytes, captured, &change);
	}
	return 0;
}
