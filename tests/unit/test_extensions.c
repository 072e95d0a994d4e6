/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/wire.h"
#include "parsed.h"
#include "vectors.h"

/* A jumbo payload option between the headers (RFC 2675), as kernels before 6.3 send BIG TCP. */
static void a_jumbogram_is_read(void **state)
{
	static const uint8_t jumbo[8] = {PROTO_TCP, 0, 0xc2, 4, 0, 2, 0xbf, 0xb8};
	struct sample s = SAMPLE(data6);

	(void)state;
	memmove(s.bytes + 48, s.bytes + 40, s.len - 40);
	memcpy(s.bytes + 40, jumbo, sizeof(jumbo));
	s.bytes[6] = PROTO_HOP_BY_HOP;
	wire_put16(s.bytes + 4, 0);
	struct parsed p = parse_part(s.bytes, s.len + 8, 180000, true);
	assert_int_equal(p.kind, PACKET_TCP);
	assert_int_equal(p.seg.tcp_offset, 48);
	assert_int_equal(p.seg.data_len, 180000 - 80);
}

/* Puts an 8 byte extension header between syn6's IPv6 header and TCP. */
static struct sample syn6_behind(uint8_t protocol, const uint8_t extension[static 8])
{
	struct sample s = SAMPLE(syn6);
	memmove(s.bytes + 48, s.bytes + 40, s.len - 40);
	memcpy(s.bytes + 40, extension, 8);
	s.bytes[6] = protocol;
	s.len += 8;
	wire_put16(s.bytes + 4, (uint16_t)(s.len - 40));
	return s;
}

static void an_atomic_fragment_is_a_whole_packet(void **state)
{
	struct sample s = syn6_behind(PROTO_FRAGMENT, (uint8_t[8]){PROTO_TCP, 0, 0, 0, 1, 2, 3, 4});

	(void)state;
	assert_int_equal(kind(&s), PACKET_TCP);
	assert_int_equal(parse(&s).seg.tcp_offset, 48);
	wire_put16(s.bytes + 42, 0x0006); /* reserved bits */
	assert_int_equal(kind(&s), PACKET_TCP);
}

static void ipv6_fragments_are_told_apart(void **state)
{
	struct sample s = syn6_behind(PROTO_FRAGMENT, (uint8_t[8]){PROTO_TCP, 0, 0, 1});

	(void)state;
	assert_int_equal(kind(&s), PACKET_FRAGMENT);
	wire_put16(s.bytes + 42, 0x0008);
	assert_int_equal(kind(&s), PACKET_FRAGMENT);
	s.bytes[40] = PROTO_DESTINATION; /* behind which TCP may be */
	assert_int_equal(kind(&s), PACKET_FRAGMENT);
	s.bytes[40] = 17;
	assert_int_equal(kind(&s), PACKET_OTHER);
}

static void hop_by_hop_comes_first_or_not_at_all(void **state)
{
	struct sample s = syn6_behind(PROTO_HOP_BY_HOP, (uint8_t[8]){PROTO_TCP, 0, 1, 4});

	(void)state;
	assert_int_equal(kind(&s), PACKET_TCP);
	s = SAMPLE(extensions6);
	s.bytes[40 + 8] = PROTO_HOP_BY_HOP; /* what the routing header says comes next */
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

static void an_authentication_header_counts_in_words_of_four_bytes(void **state)
{
	struct sample s = SAMPLE(syn6);

	(void)state;
	memmove(s.bytes + 64, s.bytes + 40, s.len - 40);
	memset(s.bytes + 40, 0, 24);
	s.bytes[6] = PROTO_AH;
	s.bytes[40] = PROTO_TCP;
	s.bytes[41] = 4;
	s.len += 24;
	wire_put16(s.bytes + 4, (uint16_t)(s.len - 40));
	assert_int_equal(parse_part(s.bytes, s.len, s.len, true).kind, PACKET_TCP);
	assert_int_equal(parse(&s).seg.tcp_offset, 64);
}

static void an_extension_header_beyond_the_packet_is_malformed(void **state)
{
	(void)state;
	for (unsigned length = 1; length < 256; length++) {
		struct sample s = syn6_behind(
			PROTO_DESTINATION, (uint8_t[8]){PROTO_TCP, (uint8_t)length, 1, 4});
		if (8 + length * 8 > 48)
			assert_int_equal(kind(&s), PACKET_MALFORMED);
		s.bytes[40] = 59; /* no next header */
		assert_int_equal(kind(&s), 8 + length * 8 > 48 ? PACKET_MALFORMED : PACKET_OTHER);
	}
}

static void a_chain_that_ends_in_itself_is_malformed(void **state)
{
	struct sample s = SAMPLE(syn6);

	(void)state;
	memset(s.bytes + 40, 0, sizeof(s.bytes) - 40);
	for (size_t at = 40; at < 240; at += 8)
		s.bytes[at] = PROTO_DESTINATION;
	s.bytes[6] = PROTO_DESTINATION;
	s.len = 240;
	wire_put16(s.bytes + 4, 200);
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

static void a_source_route_under_way_is_not_verified(void **state)
{
	struct sample s = syn6_behind(PROTO_ROUTING, (uint8_t[8]){PROTO_TCP, 0, 4, 0});

	(void)state;
	s.bytes[48 + 16] ^= 0x55;
	assert_int_equal(parse_part(s.bytes, s.len, s.len, true).kind, PACKET_MALFORMED);
	s.bytes[43] = 1;
	assert_int_equal(parse_part(s.bytes, s.len, s.len, true).kind, PACKET_TCP);
}

static void mapped_addresses_in_ipv6_never_pass_for_ipv4(void **state)
{
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
	struct sample s = SAMPLE(syn6);

	(void)state;
	memcpy(s.bytes + 8, mapped, sizeof(mapped));
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	s = SAMPLE(syn6);
	memcpy(s.bytes + 24, mapped, sizeof(mapped));
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

static void an_extension_header_in_the_padding_is_malformed(void **state)
{
	struct sample s = syn6_behind(PROTO_DESTINATION, (uint8_t[8]){59, 0, 1, 4});

	(void)state;
	assert_int_equal(kind(&s), PACKET_OTHER);
	wire_put16(s.bytes + 4, 7);
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

/* A jumbogram may hold more headers than a segment's 16-bit offsets reach. */
static void headers_beyond_64_kb_are_malformed(void **state)
{
	enum {
		EXTENSION = 2048,
		PACKET = 40 + 33 * EXTENSION + 40
	};
	static uint8_t bytes[PACKET];

	(void)state;
	for (size_t count = 31; count <= 33; count++) {
		memcpy(bytes, vector_syn6, 40);
		wire_put16(bytes + 4, 0);
		bytes[6] = PROTO_DESTINATION;
		size_t at = 40;
		for (size_t i = 0; i < count; i++, at += EXTENSION) {
			bytes[at] = i + 1 < count ? PROTO_DESTINATION : PROTO_TCP;
			bytes[at + 1] = 255;
		}
		memcpy(bytes + at, vector_syn6 + 40, 40);
		enum packet_kind k = parse_part(bytes, at + 40, at + 40, true).kind;
		assert_int_equal(k, count == 31 ? PACKET_TCP : PACKET_MALFORMED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_jumbogram_is_read),
		cmocka_unit_test(an_atomic_fragment_is_a_whole_packet),
		cmocka_unit_test(ipv6_fragments_are_told_apart),
		cmocka_unit_test(hop_by_hop_comes_first_or_not_at_all),
		cmocka_unit_test(an_authentication_header_counts_in_words_of_four_bytes),
		cmocka_unit_test(an_extension_header_beyond_the_packet_is_malformed),
		cmocka_unit_test(a_chain_that_ends_in_itself_is_malformed),
		cmocka_unit_test(a_source_route_under_way_is_not_verified),
		cmocka_unit_test(mapped_addresses_in_ipv6_never_pass_for_ipv4),
		cmocka_unit_test(an_extension_header_in_the_padding_is_malformed),
		cmocka_unit_test(headers_beyond_64_kb_are_malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
