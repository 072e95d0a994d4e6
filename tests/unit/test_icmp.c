/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/wire.h"
#include "parsed.h"
#include "vectors.h"

static void an_unreachable_error_is_about_the_quoted_segment(void **state)
{
	static const uint8_t router[] = {203, 0, 113, 7};
	struct sample four = SAMPLE(unreachable4), six = SAMPLE(unreachable6);
	struct parsed p = parse(&four);

	(void)state;
	assert_int_equal(p.kind, PACKET_ICMP_ERROR);
	assert_addr(&p.from, addr_v4(router));
	assert_addr(&p.seg.src, addr_v4(client4));
	assert_addr(&p.seg.dst, addr_v4(server4));
	assert_int_equal(p.seg.src_port, 40000);
	assert_int_equal(p.seg.dst_port, 443);
	assert_int_equal(p.seg.seq, 0x11223344);

	p = parse(&six);
	assert_int_equal(p.kind, PACKET_ICMP_ERROR);
	assert_addr(&p.from, v6("\x20\x01\x0d\xb8\xff\xff\0\0\0\0\0\0\0\0\0\x07"));
	assert_addr(&p.seg.src, v6(CLIENT6));
	assert_addr(&p.seg.dst, v6(SERVER6));
	assert_int_equal(p.seg.src_port, 40000);
	assert_int_equal(p.seg.dst_port, 443);
	assert_int_equal(p.seg.seq, 0x11223344);
}

static void only_unreachable_errors_say_that_the_way_is_closed(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 256; n++) {
		struct sample s = SAMPLE(unreachable4);
		s.bytes[20] = (uint8_t)n;
		assert_int_equal(kind(&s), n == 3 ? PACKET_ICMP_ERROR : PACKET_OTHER);
		s = SAMPLE(unreachable4);
		s.bytes[21] = (uint8_t)n;
		assert_int_equal(kind(&s), n == 4 ? PACKET_TOO_BIG : PACKET_ICMP_ERROR);
		s = SAMPLE(unreachable6);
		s.bytes[40] = (uint8_t)n;
		assert_int_equal(kind(&s), n == 1   ? PACKET_ICMP_ERROR
					   : n == 2 ? PACKET_TOO_BIG
						    : PACKET_OTHER);
	}
}

/* "Fragmentation needed", and "packet too big". */
static struct sample too_big4(uint16_t mtu)
{
	struct sample s = SAMPLE(unreachable4);

	s.bytes[20 + 1] = 4;
	wire_put16(s.bytes + 20 + 6, mtu);
	return s;
}

static struct sample too_big6(uint32_t mtu)
{
	struct sample s = SAMPLE(unreachable6);

	s.bytes[40] = 2;
	wire_put32(s.bytes + 40 + 4, mtu);
	return s;
}

static void a_size_error_names_the_segment_and_the_mtu(void **state)
{
	static const uint8_t router[] = {203, 0, 113, 7};
	struct sample four = too_big4(1400), six = too_big6(0x00011280);
	struct parsed p = parse(&four);

	(void)state;
	assert_int_equal(p.kind, PACKET_TOO_BIG);
	assert_addr(&p.from, addr_v4(router));
	assert_addr(&p.seg.src, addr_v4(client4));
	assert_addr(&p.seg.dst, addr_v4(server4));
	assert_int_equal(p.seg.src_port, 40000);
	assert_int_equal(p.seg.dst_port, 443);
	assert_int_equal(p.seg.seq, 0x11223344);
	assert_int_equal(p.seg.ack, 1400);

	p = parse(&six);
	assert_int_equal(p.kind, PACKET_TOO_BIG);
	assert_addr(&p.from, v6("\x20\x01\x0d\xb8\xff\xff\0\0\0\0\0\0\0\0\0\x07"));
	assert_addr(&p.seg.src, v6(CLIENT6));
	assert_addr(&p.seg.dst, v6(SERVER6));
	assert_int_equal(p.seg.src_port, 40000);
	assert_int_equal(p.seg.dst_port, 443);
	assert_int_equal(p.seg.seq, 0x11223344);
	assert_int_equal(p.seg.ack, 0x00011280);
}

/* Whatever can't be understood of it goes its way. */
static void a_size_error_is_never_malformed(void **state)
{
	struct sample s;

	(void)state;
	for (size_t len = 20 + 8; len < 20 + 8 + 20 + 8; len++) {
		s = too_big4(1400);
		wire_put16(s.bytes + 2, (uint16_t)len);
		assert_int_equal(parse_part(s.bytes, len, len, false).kind, PACKET_OTHER);
	}
	for (size_t len = 42; len < 40 + 8 + 40 + 8; len++) {
		s = too_big6(1280);
		wire_put16(s.bytes + 4, (uint16_t)(len - 40));
		assert_int_equal(parse_part(s.bytes, len, len, false).kind, PACKET_OTHER);
	}
	for (size_t at = 28; at < 28 + 20 + 4; at++) {
		enum packet_kind k;

		s = too_big4(1400);
		s.bytes[at] = (uint8_t)~s.bytes[at];
		k = kind(&s);
		assert_true(k == PACKET_TOO_BIG || k == PACKET_OTHER);
	}
	s = too_big4(1400);
	s.bytes[28 + 9] = 17;
	assert_int_equal(kind(&s), PACKET_OTHER);
	s = too_big4(1400);
	wire_put16(s.bytes + 48, 0);
	assert_int_equal(kind(&s), PACKET_OTHER);
	s = too_big6(1400);
	s.bytes[48] = 0x45;
	assert_int_equal(kind(&s), PACKET_OTHER);
}

static void a_quote_must_reach_the_sequence_number(void **state)
{
	struct sample four = SAMPLE(unreachable4), six = SAMPLE(unreachable6);

	(void)state;
	for (size_t len = 20; len < 20 + 8 + 20 + 8; len++) {
		wire_put16(four.bytes + 2, (uint16_t)len);
		assert_int_equal(parse_part(four.bytes, len, len, false).kind, PACKET_MALFORMED);
		assert_int_equal(kind(&four), PACKET_MALFORMED);
	}
	for (size_t len = 41; len < 40 + 8 + 40 + 8; len++) {
		wire_put16(six.bytes + 4, (uint16_t)(len - 40));
		assert_int_equal(parse_part(six.bytes, len, len, false).kind, PACKET_MALFORMED);
		assert_int_equal(kind(&six), PACKET_MALFORMED);
	}
	wire_put16(six.bytes + 4, 8 + 40 + 8);
	assert_int_equal(kind(&six), PACKET_ICMP_ERROR);
}

static void a_quote_of_something_else_is_left_to_others(void **state)
{
	struct sample s = SAMPLE(unreachable4);

	(void)state;
	s.bytes[28 + 9] = 17;
	assert_int_equal(kind(&s), PACKET_OTHER);
	s = SAMPLE(unreachable4);
	wire_put16(s.bytes + 28 + 6, 0x0010);
	assert_int_equal(kind(&s), PACKET_OTHER);
	s = SAMPLE(unreachable6);
	s.bytes[48 + 6] = 17;
	assert_int_equal(kind(&s), PACKET_OTHER);
}

static void a_quote_that_makes_no_sense_is_malformed(void **state)
{
	struct sample s = SAMPLE(unreachable4);

	(void)state;
	s.bytes[28] = 0x65;
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	s = SAMPLE(unreachable4);
	s.bytes[28] = 0x44;
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	s = SAMPLE(unreachable4);
	wire_put16(s.bytes + 28 + 2, 27);
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	s = SAMPLE(unreachable4);
	wire_put16(s.bytes + 48, 0);
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	s = SAMPLE(unreachable6);
	s.bytes[48] = 0x45;
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

static void icmp_of_the_other_family_is_left_to_others(void **state)
{
	struct sample four = SAMPLE(unreachable4), six = SAMPLE(unreachable6);

	(void)state;
	four.bytes[9] = PROTO_ICMPV6;
	assert_int_equal(kind(&four), PACKET_OTHER);
	six.bytes[6] = PROTO_ICMP;
	assert_int_equal(kind(&six), PACKET_OTHER);
}

static void a_quote_may_be_of_any_length_a_packet_can_have(void **state)
{
	struct sample four = SAMPLE(unreachable4), six = SAMPLE(unreachable6);

	(void)state;
	wire_put16(four.bytes + 28 + 2, 0xffff);
	assert_int_equal(kind(&four), PACKET_ICMP_ERROR);
	wire_put16(six.bytes + 48 + 4, 0xffff);
	assert_int_equal(kind(&six), PACKET_ICMP_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unreachable_error_is_about_the_quoted_segment),
		cmocka_unit_test(only_unreachable_errors_say_that_the_way_is_closed),
		cmocka_unit_test(a_size_error_names_the_segment_and_the_mtu),
		cmocka_unit_test(a_size_error_is_never_malformed),
		cmocka_unit_test(a_quote_must_reach_the_sequence_number),
		cmocka_unit_test(a_quote_of_something_else_is_left_to_others),
		cmocka_unit_test(a_quote_that_makes_no_sense_is_malformed),
		cmocka_unit_test(icmp_of_the_other_family_is_left_to_others),
		cmocka_unit_test(a_quote_may_be_of_any_length_a_packet_can_have),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
