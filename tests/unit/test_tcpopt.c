/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tcpopt.h"

#include <stdio.h>
#include <stdlib.h>

#define OPTIONS_MAX 40

/* From a heap block of just that size, so that a sanitizer sees every byte read too far. */
static bool parse(const uint8_t *bytes, size_t len, struct tcp_options *out)
{
	uint8_t *exact = malloc(len ? len : 1);
	assert_non_null(exact);
	memcpy(exact, bytes, len);
	bool ok = tcpopt_parse(exact, len, out);
	free(exact);
	return ok;
}

#define PARSE(out, ...)                                                                            \
	parse((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), out)

static void a_linux_syn_reads_in_full(void **state)
{
	struct tcp_options o;

	(void)state;
	assert_true(PARSE(&o, 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7));
	assert_int_equal(o.mss, 1460);
	assert_int_equal(o.mss_offset, 20);
	assert_true(o.sack_permitted);
	assert_true(o.has_timestamp);
	assert_int_equal(o.tsval, 0x01020304);
	assert_int_equal(o.tsecr, 0x05060708);
	assert_true(o.has_wscale);
	assert_int_equal(o.wscale, 7);
	assert_false(o.has_fastopen);
	assert_false(o.has_auth);
}

static void an_empty_list_gives_nothing(void **state)
{
	static const struct tcp_options none;
	struct tcp_options o;

	(void)state;
	memset(&o, 0xff, sizeof(o));
	assert_true(tcpopt_parse((const uint8_t *)"", 0, &o));
	assert_int_equal(o.mss, none.mss);
	assert_int_equal(o.mss_offset, 0);
	assert_false(o.has_wscale || o.sack_permitted || o.has_timestamp || o.has_fastopen ||
		     o.has_auth);
}

static void nothing_after_the_end_of_list_is_read(void **state)
{
	struct tcp_options o;

	(void)state;
	assert_true(PARSE(&o, 1, 0, 2, 4, 5, 0xb4));
	assert_int_equal(o.mss_offset, 0);
	assert_true(PARSE(&o, 2, 4, 5, 0xb4, 0, 2, 0, 99));
	assert_int_equal(o.mss, 1460);
}

static void no_operation_takes_one_byte_anywhere(void **state)
{
	struct tcp_options o;

	(void)state;
	assert_true(PARSE(&o, 1, 1, 1, 2, 4, 0x02, 0x18, 1));
	assert_int_equal(o.mss, 536);
	assert_int_equal(o.mss_offset, 23);
	assert_true(PARSE(&o, 1));
}

/* What the RFCs define, said another way than tcpopt.c says it. */
static bool length_is_legal(unsigned kind, unsigned len, unsigned room)
{
	if (kind == 0 || kind == 1)
		return true;
	if (len < 2 || len > room)
		return false;
	switch (kind) {
	case 2:
		return len == 4;
	case 3:
		return len == 3;
	case 4:
		return len == 2;
	case 8:
		return len == 10;
	case 19:
		return len == 18;
	case 29:
		return len >= 4;
	case 34:
		return len == 2 || (len >= 6 && len <= 18 && len % 2 == 0);
	default:
		return true;
	}
}

static void every_kind_takes_its_defined_lengths_alone(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 256; kind++) {
		for (unsigned len = 0; len < 256; len++) {
			uint8_t bytes[OPTIONS_MAX] = {(uint8_t)kind, (uint8_t)len};
			struct tcp_options o;
			if (kind == 1) /* else the length byte would be the next option */
				bytes[1] = 0;
			if (parse(bytes, sizeof(bytes), &o) !=
				length_is_legal(kind, len, sizeof(bytes)))
				fail_msg("kind %u, length %u", kind, len);
		}
	}
}

static void an_option_cut_off_anywhere_is_refused(void **state)
{
	static const uint8_t list[] = {8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
	struct tcp_options o;

	(void)state;
	for (size_t len = 1; len < sizeof(list); len++)
		assert_false(parse(list, len, &o));
	assert_true(parse(list, sizeof(list), &o));
}

static void experimental_fastopen_needs_the_magic(void **state)
{
	struct tcp_options o;

	(void)state;
	assert_true(PARSE(&o, 254, 4, 0xf9, 0x89));
	assert_true(o.has_fastopen);
	assert_int_equal(o.fastopen_len, 0);
	assert_int_equal(o.fastopen_size, 4);
	assert_true(PARSE(&o, 254, 4, 0xf9, 0x88));
	assert_false(o.has_fastopen);
	assert_true(PARSE(&o, 253, 4, 0xf9, 0x89));
	assert_false(o.has_fastopen);
	assert_true(PARSE(&o, 254, 3, 0xf9));
	assert_false(o.has_fastopen);
}

static void experimental_fastopen_takes_even_cookies_of_4_to_16_bytes(void **state)
{
	(void)state;
	for (uint8_t cookie = 0; cookie <= 36; cookie++) {
		uint8_t bytes[OPTIONS_MAX] = {254, (uint8_t)(4 + cookie), 0xf9, 0x89};
		struct tcp_options o;
		bool legal = cookie == 0 || (cookie >= 4 && cookie <= 16 && cookie % 2 == 0);
		assert_int_equal(parse(bytes, sizeof(bytes), &o), legal);
		if (legal)
			assert_int_equal(o.fastopen_len, cookie);
	}
}

static void a_fastopen_cookie_is_measured_and_found(void **state)
{
	struct tcp_options o;

	(void)state;
	assert_true(PARSE(&o, 1, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8));
	assert_true(o.has_fastopen);
	assert_int_equal(o.fastopen_len, 8);
	assert_int_equal(o.fastopen_offset, 21);
	assert_int_equal(o.fastopen_size, 10);
	assert_true(PARSE(&o, 34, 2));
	assert_true(o.has_fastopen);
	assert_int_equal(o.fastopen_len, 0);
}

static void window_scales_above_14_read_as_14(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 256; shift++) {
		struct tcp_options o;
		assert_true(PARSE(&o, 3, 3, (uint8_t)shift));
		assert_int_equal(o.wscale, shift < 14 ? shift : 14);
	}
}

static void signatures_are_noticed(void **state)
{
	struct tcp_options o;
	uint8_t md5[18] = {19, 18};

	(void)state;
	assert_true(parse(md5, sizeof(md5), &o));
	assert_true(o.has_auth);
	assert_true(PARSE(&o, 29, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
	assert_true(o.has_auth);
}

static void what_the_gate_acts_on_may_stand_once(void **state)
{
	struct tcp_options o;

	(void)state;
	assert_false(PARSE(&o, 2, 4, 5, 0xb4, 2, 4, 5, 0xb4));
	assert_false(PARSE(&o, 2, 4, 0, 0, 2, 4, 5, 0xb4));
	assert_false(PARSE(&o, 3, 3, 7, 3, 3, 8));
	assert_false(PARSE(&o, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_false(PARSE(&o, 34, 2, 34, 2));
	assert_false(PARSE(&o, 34, 2, 254, 4, 0xf9, 0x89));
	assert_true(PARSE(&o, 4, 2, 4, 2));
	assert_true(PARSE(&o, 99, 2, 99, 2));
}

/* Options in any order, with anything unknown and NOPs between them, read back as they were put in.
 */
static void lists_in_any_order_read_back(void **state)
{
	enum {
		MSS,
		WSCALE,
		SACK,
		TIMESTAMP,
		FASTOPEN,
		UNKNOWN,
		NOP,
		KINDS
	};
	static const uint8_t option[KINDS][10] = {
		[MSS] = {2, 4, 0x05, 0xa0},
		[WSCALE] = {3, 3, 9},
		[SACK] = {4, 2},
		[TIMESTAMP] = {8, 10, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 1},
		[FASTOPEN] = {34, 6, 1, 2, 3, 4},
		[UNKNOWN] = {77, 5, 2, 4, 9},
		[NOP] = {1},
	};
	static const uint8_t size[KINDS] = {4, 3, 2, 10, 6, 5, 1};

	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		uint8_t list[OPTIONS_MAX];
		size_t len = 0, mss_at = 0, fastopen_at = 0;
		bool used[KINDS] = {false};
		for (int i = 0; i < 9; i++) {
			int k = rand() % KINDS;
			if ((used[k] && k != NOP && k != UNKNOWN) || len + size[k] > sizeof(list))
				continue;
			used[k] = true;
			mss_at = k == MSS ? len + 20 : mss_at;
			fastopen_at = k == FASTOPEN ? len + 20 : fastopen_at;
			memcpy(list + len, option[k], size[k]);
			len += size[k];
		}

		struct tcp_options o;
		assert_true(parse(list, len, &o));
		assert_int_equal(o.mss, used[MSS] ? 1440 : 0);
		assert_int_equal(o.mss_offset, mss_at);
		assert_int_equal(o.has_wscale, used[WSCALE]);
		assert_int_equal(o.wscale, used[WSCALE] ? 9 : 0);
		assert_int_equal(o.sack_permitted, used[SACK]);
		assert_int_equal(o.has_timestamp, used[TIMESTAMP]);
		assert_int_equal(o.tsval, used[TIMESTAMP] ? 0xdeadbeef : 0);
		assert_int_equal(o.has_fastopen, used[FASTOPEN]);
		assert_int_equal(o.fastopen_offset, fastopen_at);
	}
}

static void noise_never_reads_beyond_the_list(void **state)
{
	(void)state;
	srand(2);
	for (int round = 0; round < 200000; round++) {
		uint8_t list[OPTIONS_MAX];
		size_t len = (size_t)rand() % (sizeof(list) + 1);
		struct tcp_options o;
		for (size_t i = 0; i < len; i++)
			list[i] = (uint8_t)(rand() % 4 ? rand() % 36 : rand());
		if (!parse(list, len, &o))
			continue;
		assert_true(o.mss_offset == 0 || o.mss_offset + 4u <= 20 + len);
		assert_true(o.fastopen_offset + o.fastopen_size <= 20 + (int)len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_linux_syn_reads_in_full),
		cmocka_unit_test(an_empty_list_gives_nothing),
		cmocka_unit_test(nothing_after_the_end_of_list_is_read),
		cmocka_unit_test(no_operation_takes_one_byte_anywhere),
		cmocka_unit_test(every_kind_takes_its_defined_lengths_alone),
		cmocka_unit_test(an_option_cut_off_anywhere_is_refused),
		cmocka_unit_test(experimental_fastopen_needs_the_magic),
		cmocka_unit_test(experimental_fastopen_takes_even_cookies_of_4_to_16_bytes),
		cmocka_unit_test(a_fastopen_cookie_is_measured_and_found),
		cmocka_unit_test(window_scales_above_14_read_as_14),
		cmocka_unit_test(signatures_are_noticed),
		cmocka_unit_test(what_the_gate_acts_on_may_stand_once),
		cmocka_unit_test(lists_in_any_order_read_back),
		cmocka_unit_test(noise_never_reads_beyond_the_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
