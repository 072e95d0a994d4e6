/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "forge.h"

#include "core/build.h"
#include "core/checksum.h"
#include "core/wire.h"
#include "kernel/inject.h"
#include "netns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
	FLAGS_AT = 13,
	CHECKSUM_AT = 16,
};

static bool send_packet(uint32_t mark, const uint8_t *bytes, size_t len)
{
	char why[256];
	struct inject_stats stats;
	struct inject *i = inject_open(mark, why, sizeof(why));

	assert_non_null(i);
	inject_add(i, bytes, len);
	inject_flush(i);
	inject_stats(i, &stats);
	inject_close(i);
	return stats.sent == 1;
}

static size_t build(uint8_t out[static BUILD_RST_MAX], struct forge_end from, struct forge_end to,
	uint8_t flags, uint32_t seq, uint32_t ack)
{
	const struct addr src = netns_addr(from.addr);
	const struct addr dst = netns_addr(to.addr);
	size_t len = build_rst(out, &src, from.port, &dst, to.port, seq, true, ack);
	uint8_t *tcp = out + IPV4_HEADER;

	tcp[FLAGS_AT] = flags;
	wire_put16(tcp + CHECKSUM_AT, 0);
	wire_put16(tcp + CHECKSUM_AT, checksum_tcp(&src, &dst, tcp, len - IPV4_HEADER));
	return len;
}

bool forge_segment(uint32_t mark, struct forge_end from, struct forge_end to, uint8_t flags,
	uint32_t seq, uint32_t ack)
{
	uint8_t bytes[BUILD_RST_MAX];

	return send_packet(mark, bytes, build(bytes, from, to, flags, seq, ack));
}

void forge_too_big(uint32_t mark, struct forge_end to, struct forge_end other)
{
	uint8_t quoted[BUILD_RST_MAX];
	uint8_t bytes[BUILD_RST_MAX + IPV4_HEADER + ICMP_HEADER] = {0};
	size_t len = build(quoted, to, other, TCP_ACK, 1, 1);
	uint8_t *icmp = bytes + IPV4_HEADER;

	/* From the other end, which saves a router. */
	memcpy(bytes, quoted, IPV4_HEADER);
	memcpy(bytes + 12, quoted + 16, 4);
	memcpy(bytes + 16, quoted + 12, 4);
	bytes[9] = PROTO_ICMP;
	wire_put16(bytes + 2, (uint16_t)(IPV4_HEADER + ICMP_HEADER + len));
	wire_put16(bytes + 10, 0);
	wire_put16(bytes + 10, checksum_ipv4(bytes, IPV4_HEADER));
	icmp[0] = 3;
	icmp[1] = 4;
	wire_put16(icmp + 6, 1280);
	memcpy(icmp + ICMP_HEADER, quoted, len);
	wire_put16(icmp + 2, checksum_ipv4(icmp, ICMP_HEADER + len));
	assert_true(send_packet(mark, bytes, IPV4_HEADER + ICMP_HEADER + len));
}
