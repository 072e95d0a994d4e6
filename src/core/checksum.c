/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/checksum.h"

#include "core/wire.h"

/* 64 bits hold the carries of any packet there can be. */
static uint64_t sum_words(const uint8_t *bytes, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += wire_get16(bytes + i);
	if (len % 2)
		sum += (uint64_t)bytes[len - 1] << 8;
	return sum;
}

static uint64_t sum_addr(const struct addr *a)
{
	return addr_is_v4(a) ? sum_words(a->b + 12, 4) : sum_words(a->b, sizeof(a->b));
}

static uint16_t complement(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint16_t checksum_ipv4(const uint8_t *header, size_t len)
{
	return complement(sum_words(header, len));
}

static uint16_t with_pseudo_header(const struct addr *src, const struct addr *dst, uint8_t protocol,
	const uint8_t *payload, size_t len)
{
	uint64_t pseudo = sum_addr(src) + sum_addr(dst) + protocol + len;

	return complement(pseudo + sum_words(payload, len));
}

uint16_t checksum_tcp(
	const struct addr *src, const struct addr *dst, const uint8_t *segment, size_t len)
{
	return with_pseudo_header(src, dst, PROTO_TCP, segment, len);
}

uint16_t checksum_icmpv6(
	const struct addr *src, const struct addr *dst, const uint8_t *message, size_t len)
{
	return with_pseudo_header(src, dst, PROTO_ICMPV6, message, len);
}
