/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/wire.h"
#include "parsed.h"
#include "vectors.h"

static void an_ipv4_syn_reads_in_full(void **state)
{
	struct sample s = SAMPLE(syn4);
	struct parsed p = parse(&s);

	(void)state;
	assert_int_equal(p.kind, PACKET_TCP);
	assert_addr(&p.seg.src, addr_v4(client4));
	assert_addr(&p.seg.dst, addr_v4(server4));
	assert_int_equal(p.seg.src_port, 40000);
	assert_int_equal(p.seg.dst_port, 443);
	assert_int_equal(p.seg.seq, 0x11223344);
	assert_int_equal(p.seg.ack, 0);
	assert_int_equal(p.seg.flags, TCP_SYN);
	assert_int_equal(p.seg.window, 64240);
	assert_int_equal(p.seg.tcp_offset, 20);
	assert_int_equal(p.seg.data_offset, 60);
	assert_int_equal(p.seg.data_len, 0);
	assert_int_equal(p.seg.opt.mss, 1460);
	assert_int_equal(p.seg.opt.tsval, 305419896);
	assert_int_equal(p.seg.opt.wscale, 7);
	assert_true(p.seg.opt.sack_permitted);
}

static void an_ipv6_segment_with_data_reads_in_full(void **state)
{
	struct sample s = SAMPLE(data6);
	struct parsed p = parse(&s);

	(void)state;
	assert_int_equal(p.kind, PACKET_TCP);
	assert_addr(&p.seg.src, v6(CLIENT6));
	assert_addr(&p.seg.dst, v6(SERVER6));
	assert_int_equal(p.seg.src_port, 40000);
	assert_int_equal(p.seg.dst_port, 443);
	assert_int_equal(p.seg.seq, 0x11223345);
	assert_int_equal(p.seg.ack, 0xa0b0c0d1);
	assert_int_equal(p.seg.flags, TCP_PSH | TCP_ACK);
	assert_int_equal(p.seg.window, 502);
	assert_int_equal(p.seg.tcp_offset, 40);
	assert_int_equal(p.seg.data_offset, 72);
	assert_int_equal(p.seg.data_len, 18);
	assert_int_equal(p.seg.opt.tsval, 11);
	assert_int_equal(p.seg.opt.tsecr, 22);
	assert_int_equal(p.seg.opt.mss, 0);
}

static void ip_options_and_extension_headers_are_passed_over(void **state)
{
	struct sample four = SAMPLE(ip_options4), six = SAMPLE(extensions6);

	(void)state;
	assert_int_equal(parse(&four).seg.tcp_offset, 24);
	assert_int_equal(parse(&four).seg.dst_port, 443);
	assert_int_equal(parse(&six).seg.tcp_offset, 40 + 8 + 24 + 16);
	assert_int_equal(parse(&six).seg.dst_port, 443);
}

static void every_true_checksum_is_found_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < TCP_VECTORS; i++) {
		const struct vector *v = &tcp_vectors[i];
		if (parse_part(v->bytes, v->len, v->len, true).kind != PACKET_TCP)
			fail_msg("%s", v->name);
	}
}

static void any_flipped_bit_of_a_segment_spoils_its_checksum(void **state)
{
	(void)state;
	for (size_t i = 0; i < TCP_VECTORS; i++) {
		const struct vector *v = &tcp_vectors[i];
		size_t tcp = parse_part(v->bytes, v->len, v->len, false).seg.tcp_offset;
		for (size_t bit = tcp * 8; bit < v->len * 8; bit++) {
			struct sample s = sample_of(v->bytes, v->len);
			s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (parse_part(s.bytes, s.len, s.len, true).kind != PACKET_MALFORMED)
				fail_msg("%s, bit %zu", v->name, bit);
		}
	}
}

static void a_flipped_bit_of_an_address_spoils_the_checksum(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < 64; bit++) {
		struct sample s = SAMPLE(data4);
		s.bytes[12 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(parse_part(s.bytes, s.len, s.len, true).kind, PACKET_MALFORMED);
		assert_int_equal(kind(&s), PACKET_TCP);
	}
	for (size_t bit = 0; bit < 256; bit++) {
		struct sample s = SAMPLE(data6);
		s.bytes[8 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(parse_part(s.bytes, s.len, s.len, true).kind, PACKET_MALFORMED);
		assert_int_equal(kind(&s), PACKET_TCP);
	}
}

static void a_checksum_is_left_alone_unless_all_of_the_packet_is_there(void **state)
{
	struct sample s = SAMPLE(data4);

	(void)state;
	s.bytes[20 + 16] ^= 0x55;
	assert_int_equal(parse_part(s.bytes, s.len - 1, s.len, true).kind, PACKET_TCP);
	assert_int_equal(parse_part(s.bytes, s.len, s.len, true).kind, PACKET_MALFORMED);
}

static void every_header_byte_must_be_captured_and_no_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < TCP_VECTORS; i++) {
		const struct vector *v = &tcp_vectors[i];
		struct parsed whole = parse_part(v->bytes, v->len, v->len, false);
		for (size_t captured = 0; captured <= v->len; captured++) {
			struct parsed p = parse_part(v->bytes, captured, v->len, true);
			bool headers = captured >= whole.seg.data_offset;
			if (p.kind != (headers ? PACKET_TCP : PACKET_MALFORMED))
				fail_msg("%s, %zu bytes", v->name, captured);
			if (headers)
				assert_int_equal(p.seg.data_len, whole.seg.data_len);
		}
	}
}

static void a_packet_cut_short_on_the_wire_is_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < TCP_VECTORS; i++) {
		const struct vector *v = &tcp_vectors[i];
		for (size_t len = 0; len < v->len; len++)
			if (parse_part(v->bytes, v->len, len, false).kind != PACKET_MALFORMED)
				fail_msg("%s, %zu bytes", v->name, len);
	}
}

static void padding_is_not_part_of_the_packet(void **state)
{
	(void)state;
	for (size_t i = 0; i < TCP_VECTORS; i++) {
		struct sample s = sample_of(tcp_vectors[i].bytes, tcp_vectors[i].len);
		uint32_t data_len = parse(&s).seg.data_len;
		memset(s.bytes + s.len, 0xa5, 30);
		s.len += 30;
		struct parsed p = parse_part(s.bytes, s.len, s.len, true);
		assert_int_equal(p.kind, PACKET_TCP);
		assert_int_equal(p.seg.data_len, data_len);
	}
}

static void padding_is_never_read_as_a_header(void **state)
{
	struct sample four = SAMPLE(syn4), six = SAMPLE(syn6);

	(void)state;
	for (uint16_t tcp = 0; tcp < 40; tcp++) {
		wire_put16(four.bytes + 2, (uint16_t)(20 + tcp));
		assert_int_equal(kind(&four), PACKET_MALFORMED);
		wire_put16(six.bytes + 4, tcp);
		if (tcp != 0)
			assert_int_equal(kind(&six), PACKET_MALFORMED);
	}
}

static void lengths_that_contradict_each_other_are_malformed(void **state)
{
	struct sample s = SAMPLE(syn4);

	(void)state;
	wire_put16(s.bytes + 2, (uint16_t)(s.len + 1));
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	wire_put16(s.bytes + 2, 19);
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	wire_put16(s.bytes + 2, 0);
	assert_int_equal(kind(&s), PACKET_MALFORMED);

	s = SAMPLE(syn6);
	wire_put16(s.bytes + 4, (uint16_t)(s.len - 40 + 1));
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

static void an_ip_header_length_below_five_words_is_malformed(void **state)
{
	(void)state;
	for (uint8_t words = 0; words < 5; words++) {
		struct sample s = SAMPLE(syn4);
		s.bytes[0] = 0x40 | words;
		assert_int_equal(kind(&s), PACKET_MALFORMED);
	}
}

static void only_versions_four_and_six_exist(void **state)
{
	(void)state;
	for (uint8_t version = 0; version < 16; version++) {
		struct sample s = SAMPLE(syn4);
		s.bytes[0] = (uint8_t)(version << 4 | 5);
		if (version != 4)
			assert_int_equal(kind(&s), PACKET_MALFORMED);
	}
	assert_int_equal(parse_part(vector_syn4, 0, 0, true).kind, PACKET_MALFORMED);
}

static void a_gso_burst_is_read_from_its_first_bytes(void **state)
{
	struct sample s = SAMPLE(data4);

	(void)state;
	wire_put16(s.bytes + 2, 40000);
	struct parsed p = parse_part(s.bytes, 60, 40000, true);
	assert_int_equal(p.kind, PACKET_TCP);
	assert_int_equal(p.seg.data_len, 40000 - 52);
}

static void big_tcp_takes_its_length_from_the_wire(void **state)
{
	struct sample four = SAMPLE(data4), six = SAMPLE(data6);

	(void)state;
	wire_put16(four.bytes + 2, 0);
	wire_put16(six.bytes + 4, 0);
	struct parsed p = parse_part(four.bytes, 60, 180000, true);
	assert_int_equal(p.kind, PACKET_TCP);
	assert_int_equal(p.seg.data_len, 180000 - 52);
	p = parse_part(six.bytes, 80, 180000, true);
	assert_int_equal(p.kind, PACKET_TCP);
	assert_int_equal(p.seg.data_len, 180000 - 72);
}

static void ipv4_fragments_are_told_apart(void **state)
{
	static const struct {
		uint16_t field;
		enum packet_kind kind;
	} cases[] = {
		{0x0000, PACKET_TCP},
		{0x4000, PACKET_TCP},
		{0x8000, PACKET_TCP},
		{0x2000, PACKET_FRAGMENT},
		{0x0001, PACKET_FRAGMENT},
		{0x1fff, PACKET_FRAGMENT},
		{0x6000, PACKET_FRAGMENT},
		{0x2010, PACKET_FRAGMENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sample s = SAMPLE(syn4);
		wire_put16(s.bytes + 6, cases[i].field);
		assert_int_equal(kind(&s), cases[i].kind);
		s.bytes[9] = 17;
		assert_int_equal(kind(&s), PACKET_OTHER);
	}
}

static void the_data_offset_must_lie_inside_the_packet(void **state)
{
	(void)state;
	for (unsigned words = 0; words < 16; words++) {
		struct sample s = SAMPLE(data4); /* 43 bytes of TCP, the data being no options */
		memset(s.bytes + 40, 0, s.len - 40);
		s.bytes[32] = (uint8_t)(words << 4);
		bool inside = words >= 5 && words * 4 <= s.len - 20;
		assert_int_equal(kind(&s), inside ? PACKET_TCP : PACKET_MALFORMED);
		if (inside)
			assert_int_equal(parse(&s).seg.data_len, s.len - 20 - words * 4);
	}
}

static void an_illegal_option_list_is_malformed(void **state)
{
	struct sample s = SAMPLE(syn4);

	(void)state;
	s.bytes[41] = 5;
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	s.bytes[41] = 0;
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

static void port_zero_is_malformed(void **state)
{
	struct sample s = SAMPLE(syn4);

	(void)state;
	wire_put16(s.bytes + 20, 0);
	assert_int_equal(kind(&s), PACKET_MALFORMED);
	s = SAMPLE(syn4);
	wire_put16(s.bytes + 22, 0);
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

static void a_segment_to_its_own_sender_is_malformed(void **state)
{
	struct sample s = SAMPLE(syn4);

	(void)state;
	memcpy(s.bytes + 16, s.bytes + 12, 4);
	assert_int_equal(kind(&s), PACKET_TCP);
	wire_put16(s.bytes + 22, 40000);
	assert_int_equal(kind(&s), PACKET_MALFORMED);
}

static void other_protocols_are_left_to_others(void **state)
{
	(void)state;
	for (unsigned protocol = 0; protocol < 256; protocol++) {
		struct sample s = SAMPLE(syn4);
		s.bytes[9] = (uint8_t)protocol;
		if (protocol != PROTO_TCP && protocol != PROTO_ICMP)
			assert_int_equal(kind(&s), PACKET_OTHER);
	}
}

static void six_combinations_of_flags_are_steps_of_a_connection(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 256; flags++) {
		bool fin = flags & 1, syn = flags & 2, rst = flags & 4, ack = flags & 16;
		bool ok = (fin + syn + rst <= 1) && (ack || (!fin && (syn || rst)));
		if (packet_flags_ok((uint8_t)flags) != ok)
			fail_msg("flags 0x%02x", flags);
	}
}

static void syn_and_fin_take_a_sequence_number_each(void **state)
{
	(void)state;
	for (uint8_t flags = 0; flags < 64; flags++) {
		struct segment s = {.flags = flags, .data_len = 100};
		assert_int_equal(packet_seq_len(&s), 100 + (flags & 1) + (flags >> 1 & 1));
	}
}

static void a_length_shorter_than_its_header_is_malformed_in_any_protocol(void **state)
{
	(void)state;
	for (uint16_t len = 1; len <= 24; len++) {
		struct sample s = SAMPLE(ip_options4);
		s.bytes[9] = 17;
		wire_put16(s.bytes + 2, len);
		assert_int_equal(kind(&s), len < 24 ? PACKET_MALFORMED : PACKET_OTHER);
	}
}

static void length_0_stands_for_more_than_64_kb_alone(void **state)
{
	struct sample s = SAMPLE(data4);

	(void)state;
	wire_put16(s.bytes + 2, 0);
	assert_int_equal(parse_part(s.bytes, 60, 65535, true).kind, PACKET_MALFORMED);
	assert_int_equal(parse_part(s.bytes, 60, 65536, true).kind, PACKET_TCP);
}

static void bytes_captured_beyond_the_wire_are_not_there(void **state)
{
	struct sample six = SAMPLE(syn6);

	(void)state;
	wire_put16(six.bytes + 4, 0);
	assert_int_equal(parse_part(six.bytes, six.len, six.len, true).kind, PACKET_TCP);
	assert_int_equal(parse_part(six.bytes, six.len, 40 + 20, true).kind, PACKET_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ipv4_syn_reads_in_full),
		cmocka_unit_test(an_ipv6_segment_with_data_reads_in_full),
		cmocka_unit_test(ip_options_and_extension_headers_are_passed_over),
		cmocka_unit_test(every_true_checksum_is_found_right),
		cmocka_unit_test(any_flipped_bit_of_a_segment_spoils_its_checksum),
		cmocka_unit_test(a_flipped_bit_of_an_address_spoils_the_checksum),
		cmocka_unit_test(a_checksum_is_left_alone_unless_all_of_the_packet_is_there),
		cmocka_unit_test(every_header_byte_must_be_captured_and_no_more),
		cmocka_unit_test(a_packet_cut_short_on_the_wire_is_malformed),
		cmocka_unit_test(padding_is_not_part_of_the_packet),
		cmocka_unit_test(padding_is_never_read_as_a_header),
		cmocka_unit_test(lengths_that_contradict_each_other_are_malformed),
		cmocka_unit_test(an_ip_header_length_below_five_words_is_malformed),
		cmocka_unit_test(only_versions_four_and_six_exist),
		cmocka_unit_test(a_gso_burst_is_read_from_its_first_bytes),
		cmocka_unit_test(big_tcp_takes_its_length_from_the_wire),
		cmocka_unit_test(ipv4_fragments_are_told_apart),
		cmocka_unit_test(the_data_offset_must_lie_inside_the_packet),
		cmocka_unit_test(an_illegal_option_list_is_malformed),
		cmocka_unit_test(port_zero_is_malformed),
		cmocka_unit_test(a_segment_to_its_own_sender_is_malformed),
		cmocka_unit_test(other_protocols_are_left_to_others),
		cmocka_unit_test(six_combinations_of_flags_are_steps_of_a_connection),
		cmocka_unit_test(syn_and_fin_take_a_sequence_number_each),
		cmocka_unit_test(a_length_shorter_than_its_header_is_malformed_in_any_protocol),
		cmocka_unit_test(length_0_stands_for_more_than_64_kb_alone),
		cmocka_unit_test(bytes_captured_beyond_the_wire_are_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
