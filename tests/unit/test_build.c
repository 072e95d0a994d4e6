/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/build.h"
#include "core/checksum.h"
#include "core/wire.h"
#include "vectors.h"

#include <stdlib.h>

static struct segment parse(const uint8_t *bytes, size_t len, bool verify)
{
	struct segment seg;
	struct addr from;

	assert_int_equal(packet_parse(bytes, len, len, verify, &seg, &from), PACKET_TCP);
	return seg;
}

static bool ip_checksum_ok(const uint8_t *bytes)
{
	return bytes[0] >> 4 == 6 || checksum_ipv4(bytes, (bytes[0] & 0x0fu) * 4) == 0;
}

/* Into a heap block of just `room` bytes, so that a sanitizer sees every one written too far. */
static size_t change_into(struct sample *out, size_t room, const uint8_t *bytes, size_t len,
	const struct segment *seg, struct build_syn_change change)
{
	uint8_t *exact = malloc(room ? room : 1);

	assert_non_null(exact);
	out->len = build_change_syn(exact, room, bytes, len, seg, &change);
	assert_true(out->len <= room);
	memcpy(out->bytes, exact, out->len);
	free(exact);
	return out->len;
}

static struct sample change(const struct sample *in, struct build_syn_change c)
{
	struct segment seg = parse(in->bytes, in->len, false);
	struct sample out;

	change_into(&out, sizeof(out.bytes), in->bytes, in->len, &seg, c);
	return out;
}

static struct segment assert_whole(const struct sample *s)
{
	assert_true(s->len > 0);
	assert_true(ip_checksum_ok(s->bytes));
	struct segment seg = parse(s->bytes, s->len, true);
	assert_int_equal(seg.data_offset + seg.data_len, s->len);
	return seg;
}

/* From scapy. */
static const uint8_t rst_ack4[] = {
	0x45,
	0x00,
	0x00,
	0x28,
	0x00,
	0x00,
	0x40,
	0x00,
	0x40,
	0x06,
	0x4e,
	0x99,
	0xc6,
	0x33,
	0x64,
	0x02,
	0xc0,
	0x00,
	0x02,
	0x01,
	0x01,
	0xbb,
	0x9c,
	0x40,
	0x00,
	0x00,
	0x00,
	0x00,
	0x11,
	0x22,
	0x33,
	0x45,
	0x50,
	0x14,
	0x00,
	0x00,
	0xe1,
	0x36,
	0x00,
	0x00,
};

static const uint8_t rst6[] = {
	0x60,
	0x00,
	0x00,
	0x00,
	0x00,
	0x14,
	0x06,
	0x40,
	0x20,
	0x01,
	0x0d,
	0xb8,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x01,
	0x20,
	0x01,
	0x0d,
	0xb8,
	0x00,
	0x01,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x00,
	0x02,
	0x9c,
	0x40,
	0x01,
	0xbb,
	0x11,
	0x22,
	0x33,
	0x45,
	0x00,
	0x00,
	0x00,
	0x00,
	0x50,
	0x04,
	0x00,
	0x00,
	0x72,
	0x08,
	0x00,
	0x00,
};

static const uint8_t client4[] = {192, 0, 2, 1};
static const uint8_t server4[] = {198, 51, 100, 2};

static void an_ipv4_rst_is_the_one_known_bytes_for_bytes(void **state)
{
	uint8_t out[BUILD_RST_MAX];
	struct addr src = addr_v4(server4), dst = addr_v4(client4);

	(void)state;
	assert_int_equal(
		build_rst(out, &src, 443, &dst, 40000, 0, true, 0x11223345), sizeof(rst_ack4));
	assert_memory_equal(out, rst_ack4, sizeof(rst_ack4));
}

static void an_ipv6_rst_is_the_one_known_bytes_for_bytes(void **state)
{
	uint8_t out[BUILD_RST_MAX];
	struct segment syn = parse(vector_syn6, sizeof(vector_syn6), true);

	(void)state;
	assert_int_equal(
		build_rst(out, &syn.src, 40000, &syn.dst, 443, 0x11223345, false, 0xffffffff),
		sizeof(rst6));
	assert_memory_equal(out, rst6, sizeof(rst6));
}

static void any_rst_reads_back(void **state)
{
	(void)state;
	srand(3);
	for (int round = 0; round < 5000; round++) {
		struct segment like = round % 2 ? parse(vector_syn4, sizeof(vector_syn4), true)
						: parse(vector_syn6, sizeof(vector_syn6), true);
		uint16_t sport = (uint16_t)(1 + rand() % 65535),
			 dport = (uint16_t)(1 + rand() % 65535);
		uint32_t seq = (uint32_t)rand() << 1, ack = (uint32_t)rand() << 1 | 1;
		bool with_ack = rand() % 2;
		struct sample s;
		s.len = build_rst(s.bytes, &like.src, sport, &like.dst, dport, seq, with_ack, ack);

		struct segment rst = assert_whole(&s);
		assert_true(addr_equal(&rst.src, &like.src) && addr_equal(&rst.dst, &like.dst));
		assert_int_equal(rst.src_port, sport);
		assert_int_equal(rst.dst_port, dport);
		assert_int_equal(rst.seq, seq);
		assert_int_equal(rst.ack, with_ack ? ack : 0);
		assert_int_equal(rst.flags, with_ack ? TCP_RST | TCP_ACK : TCP_RST);
		assert_int_equal(rst.data_len, 0);
	}
}

/* RFC 9293, section 3.5.2, group 1. */
static void the_answer_to_a_syn_acknowledges_all_it_took(void **state)
{
	struct segment syn = parse(vector_fastopen4, sizeof(vector_fastopen4), true);
	struct sample s;

	(void)state;
	s.len = build_rst_answer(s.bytes, &syn);
	struct segment rst = assert_whole(&s);
	assert_true(addr_equal(&rst.src, &syn.dst) && addr_equal(&rst.dst, &syn.src));
	assert_int_equal(rst.src_port, 443);
	assert_int_equal(rst.dst_port, 40000);
	assert_int_equal(rst.flags, TCP_RST | TCP_ACK);
	assert_int_equal(rst.seq, 0);
	assert_int_equal(rst.ack, 0x11223344 + 1 + 10);

	syn.seq = 0xffffffff;
	syn.data_len = 0;
	s.len = build_rst_answer(s.bytes, &syn);
	assert_int_equal(assert_whole(&s).ack, 0);
}

static void the_answer_to_an_ack_takes_its_number_from_it(void **state)
{
	struct segment ack = parse(vector_data6, sizeof(vector_data6), true);
	struct sample s;

	(void)state;
	s.len = build_rst_answer(s.bytes, &ack);
	struct segment rst = assert_whole(&s);
	assert_int_equal(rst.flags, TCP_RST);
	assert_int_equal(rst.seq, 0xa0b0c0d1);
	assert_int_equal(rst.ack, 0);
}

static void nothing_answers_an_rst(void **state)
{
	uint8_t out[BUILD_RST_MAX];
	struct segment seg = parse(vector_data4, sizeof(vector_data4), true);

	(void)state;
	seg.flags = TCP_RST;
	assert_int_equal(build_rst_answer(out, &seg), 0);
	seg.flags = TCP_RST | TCP_ACK;
	assert_int_equal(build_rst_answer(out, &seg), 0);
}

static void a_syn_that_needs_no_change_is_left_alone(void **state)
{
	struct sample s = SAMPLE(syn4);

	(void)state;
	assert_int_equal(change(&s, (struct build_syn_change){0}).len, 0);
	assert_int_equal(change(&s, (struct build_syn_change){.strip_fastopen = true}).len, 0);
	assert_int_equal(change(&s, (struct build_syn_change){.mss_max = 1460}).len, 0);
	assert_int_equal(change(&s, (struct build_syn_change){.mss_max = 9000}).len, 0);
	s = SAMPLE(fastopen4);
	assert_int_equal(change(&s, (struct build_syn_change){.mss_max = 1460}).len, 0);
}

static void the_mss_is_lowered_in_place_and_nothing_else_changes(void **state)
{
	struct sample four = SAMPLE(syn4), six = SAMPLE(syn6);

	(void)state;
	struct sample out = change(&four, (struct build_syn_change){.mss_max = 1200});
	assert_int_equal(assert_whole(&out).opt.mss, 1200);
	assert_int_equal(out.len, four.len);
	wire_put16(four.bytes + 42, 1200);
	memcpy(four.bytes + 36, out.bytes + 36, 2); /* the TCP checksum, found right above */
	assert_memory_equal(out.bytes, four.bytes, four.len);

	out = change(&six, (struct build_syn_change){.mss_max = 1459});
	assert_int_equal(assert_whole(&out).opt.mss, 1459);
	wire_put16(six.bytes + 62, 1459);
	memcpy(six.bytes + 56, out.bytes + 56, 2);
	assert_memory_equal(out.bytes, six.bytes, six.len);
}

static void an_mss_is_never_added(void **state)
{
	struct sample s = SAMPLE(syn4);

	(void)state;
	memset(s.bytes + 40, 1, 20);
	assert_int_equal(change(&s, (struct build_syn_change){.mss_max = 100}).len, 0);
}

static void a_signed_syn_keeps_its_mss(void **state)
{
	struct sample s = SAMPLE(syn4);

	(void)state;
	s.bytes[44] = 29; /* TCP-AO in the place of all but the MSS */
	s.bytes[45] = 16;
	assert_int_equal(change(&s, (struct build_syn_change){.mss_max = 1200}).len, 0);
}

static void stripping_takes_option_and_data_out(void **state)
{
	static const struct {
		struct vector in;
		size_t option, size, headers;
	} cases[] = {
		{VECTOR(fastopen4), 20 + 20 + 20, 10, 20 + 52},
		{VECTOR(fastopen_experiment6), 40 + 20 + 4, 12, 40 + 36},
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sample in = sample_of(cases[i].in.bytes, cases[i].in.len);
		assert_true(parse(in.bytes, in.len, true).opt.has_fastopen);
		struct sample out = change(&in, (struct build_syn_change){.strip_fastopen = true});
		struct segment seg = assert_whole(&out);
		assert_int_equal(out.len, cases[i].headers);
		assert_false(seg.opt.has_fastopen);
		assert_int_equal(seg.data_len, 0);
		assert_int_equal(seg.opt.mss, parse(in.bytes, in.len, true).opt.mss);

		size_t lengths = in.bytes[0] >> 4 == 4
					 ? 12
					 : 8; /* the IP fields that follow from the length */
		memset(in.bytes + cases[i].option, 1, cases[i].size);
		assert_memory_equal(
			out.bytes + lengths, in.bytes + lengths, seg.tcp_offset + 16 - lengths);
		assert_memory_equal(out.bytes + seg.tcp_offset + 18, in.bytes + seg.tcp_offset + 18,
			out.len - seg.tcp_offset - 18);
	}
}

static void both_changes_go_together(void **state)
{
	struct sample in = SAMPLE(fastopen4);

	(void)state;
	struct sample out =
		change(&in, (struct build_syn_change){.mss_max = 536, .strip_fastopen = true});
	struct segment seg = assert_whole(&out);
	assert_int_equal(seg.opt.mss, 536);
	assert_false(seg.opt.has_fastopen);
	assert_int_equal(seg.data_len, 0);
}

static void data_without_the_option_is_cut_off_too(void **state)
{
	struct sample in = SAMPLE(fastopen4);

	(void)state;
	memset(in.bytes + 60, 1, 10);
	struct sample out = change(&in, (struct build_syn_change){.strip_fastopen = true});
	assert_int_equal(assert_whole(&out).data_len, 0);
}

static void data_is_kept_if_only_the_mss_changes(void **state)
{
	struct sample in = SAMPLE(fastopen_experiment6);

	(void)state;
	struct sample out = change(&in, (struct build_syn_change){.mss_max = 1000});
	struct segment seg = assert_whole(&out);
	assert_int_equal(seg.data_len, 11);
	assert_true(seg.opt.has_fastopen);
	assert_memory_equal(out.bytes + seg.data_offset, "early data!", 11);
}

/* Such SYNs arrive with the pseudo-header's sum alone in the field. */
static void the_checksum_does_not_build_on_the_old_one(void **state)
{
	struct sample in = SAMPLE(syn4);

	(void)state;
	wire_put16(in.bytes + 36, 0xdead);
	struct sample out = change(&in, (struct build_syn_change){.mss_max = 1200});
	assert_whole(&out);
}

static void a_syn_that_is_not_all_there_changes_only_if_its_data_goes(void **state)
{
	struct sample in = SAMPLE(fastopen4), out;
	struct segment seg = parse(in.bytes, in.len, true);
	struct build_syn_change lower = {.mss_max = 500},
				strip = {.mss_max = 500, .strip_fastopen = true};

	(void)state;
	for (size_t len = 0; len <= in.len; len++) {
		change_into(&out, sizeof(out.bytes), in.bytes, len, &seg, lower);
		assert_int_equal(out.len, len == in.len ? in.len : 0);
		change_into(&out, sizeof(out.bytes), in.bytes, len, &seg, strip);
		assert_int_equal(out.len, len >= seg.data_offset ? seg.data_offset : 0);
	}
}

static void nothing_is_written_where_there_is_no_room(void **state)
{
	struct sample in = SAMPLE(syn6), out;
	struct segment seg = parse(in.bytes, in.len, true);

	(void)state;
	for (size_t room = 0; room <= in.len; room++) {
		change_into(&out, room, in.bytes, in.len, &seg,
			(struct build_syn_change){.mss_max = 500});
		assert_int_equal(out.len, room == in.len ? in.len : 0);
	}
}

static void padding_is_cut_off(void **state)
{
	struct sample in = SAMPLE(syn4);
	size_t len = in.len;

	(void)state;
	memset(in.bytes + in.len, 0xa5, 6);
	in.len += 6;
	struct sample out = change(&in, (struct build_syn_change){.mss_max = 500});
	assert_int_equal(out.len, len);
	assert_whole(&out);
}

static void ip_options_and_extension_headers_are_kept(void **state)
{
	static const uint8_t mss[] = {0x60, TCP_SYN, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4};
	struct sample four = SAMPLE(ip_options4), six = SAMPLE(extensions6);

	(void)state;
	memcpy(four.bytes + 24 + 12, mss, sizeof(mss));
	four.len += 4;
	wire_put16(four.bytes + 2, (uint16_t)four.len);
	struct sample out = change(&four, (struct build_syn_change){.mss_max = 1300});
	assert_int_equal(assert_whole(&out).opt.mss, 1300);
	assert_memory_equal(out.bytes + 12, four.bytes + 12, 24);

	memcpy(six.bytes + 88 + 12, mss, sizeof(mss));
	six.len += 4;
	wire_put16(six.bytes + 4, (uint16_t)(six.len - 40));
	out = change(&six, (struct build_syn_change){.mss_max = 1300});
	assert_int_equal(assert_whole(&out).opt.mss, 1300);
	assert_memory_equal(out.bytes, six.bytes, 88 + 12);
}

static void a_length_the_ip_header_cannot_say_is_refused(void **state)
{
	static uint8_t in[70000], out[70000];
	struct build_syn_change c = {.mss_max = 500};
	struct segment seg;
	struct addr from;

	(void)state;
	memcpy(in, vector_syn6, sizeof(vector_syn6));
	wire_put16(in + 4, 0);
	assert_int_equal(packet_parse(in, sizeof(in), sizeof(in), false, &seg, &from), PACKET_TCP);
	assert_int_equal(build_change_syn(out, sizeof(out), in, sizeof(in), &seg, &c), 0);
	c.strip_fastopen = true;
	assert_int_equal(
		build_change_syn(out, sizeof(out), in, sizeof(in), &seg, &c), sizeof(vector_syn6));

	memcpy(in, vector_syn4, sizeof(vector_syn4));
	wire_put16(in + 2, 0);
	assert_int_equal(packet_parse(in, sizeof(in), sizeof(in), false, &seg, &from), PACKET_TCP);
	c.strip_fastopen = false;
	assert_int_equal(build_change_syn(out, sizeof(out), in, sizeof(in), &seg, &c), 0);
}

/* RFC 1071's own example, and odd lengths. */
static void the_internet_checksum_is_the_rfcs(void **state)
{
	static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(checksum_ipv4(example, sizeof(example)), 0xffff - 0xddf2);
	assert_int_equal(checksum_ipv4(example, 3), 0xffff - 0xf201);
	assert_int_equal(checksum_ipv4(example, 0), 0xffff);
}

static void any_syn_with_any_change_stays_whole(void **state)
{
	static const struct vector in[] = {VECTOR(syn4), VECTOR(syn6), VECTOR(synack4),
		VECTOR(fastopen4), VECTOR(fastopen_experiment6)};

	(void)state;
	srand(4);
	for (int round = 0; round < 50000; round++) {
		const struct vector *v = &in[rand() % 5];
		struct sample s = sample_of(v->bytes, v->len);
		struct build_syn_change c = {(uint16_t)(rand() % 2000), rand() % 2};
		struct segment before = parse(s.bytes, s.len, true);
		struct sample out = change(&s, c);
		bool needed = (c.mss_max && before.opt.mss > c.mss_max) ||
			      (c.strip_fastopen && before.opt.has_fastopen);
		assert_int_equal(out.len != 0, needed);
		if (!needed)
			continue;

		struct segment after = assert_whole(&out);
		assert_int_equal(after.opt.mss,
			c.mss_max && c.mss_max < before.opt.mss ? c.mss_max : before.opt.mss);
		assert_int_equal(
			after.opt.has_fastopen, before.opt.has_fastopen && !c.strip_fastopen);
		assert_int_equal(after.seq, before.seq);
		assert_int_equal(after.flags, before.flags);
		assert_int_equal(after.opt.tsval, before.opt.tsval);
		assert_int_equal(after.opt.wscale, before.opt.wscale);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ipv4_rst_is_the_one_known_bytes_for_bytes),
		cmocka_unit_test(an_ipv6_rst_is_the_one_known_bytes_for_bytes),
		cmocka_unit_test(any_rst_reads_back),
		cmocka_unit_test(the_answer_to_a_syn_acknowledges_all_it_took),
		cmocka_unit_test(the_answer_to_an_ack_takes_its_number_from_it),
		cmocka_unit_test(nothing_answers_an_rst),
		cmocka_unit_test(a_syn_that_needs_no_change_is_left_alone),
		cmocka_unit_test(the_mss_is_lowered_in_place_and_nothing_else_changes),
		cmocka_unit_test(an_mss_is_never_added),
		cmocka_unit_test(a_signed_syn_keeps_its_mss),
		cmocka_unit_test(stripping_takes_option_and_data_out),
		cmocka_unit_test(both_changes_go_together),
		cmocka_unit_test(data_without_the_option_is_cut_off_too),
		cmocka_unit_test(data_is_kept_if_only_the_mss_changes),
		cmocka_unit_test(the_checksum_does_not_build_on_the_old_one),
		cmocka_unit_test(a_syn_that_is_not_all_there_changes_only_if_its_data_goes),
		cmocka_unit_test(nothing_is_written_where_there_is_no_room),
		cmocka_unit_test(padding_is_cut_off),
		cmocka_unit_test(ip_options_and_extension_headers_are_kept),
		cmocka_unit_test(a_length_the_ip_header_cannot_say_is_refused),
		cmocka_unit_test(the_internet_checksum_is_the_rfcs),
		cmocka_unit_test(any_syn_with_any_change_stays_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
