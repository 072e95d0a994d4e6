/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/cookie.h"

enum {
	ROTATION = 60, /* seconds */
	START_S = 100 * ROTATION + 30,
};

static uint8_t secret[COOKIE_SECRET];

static void write_secret(void)
{
	for (unsigned i = 0; i < COOKIE_SECRET; i++)
		secret[i] = (uint8_t)(i * 7 + 3);
}

static struct cookie_keys keys_at(uint64_t unix_s)
{
	struct cookie_keys k;

	write_secret();
	cookie_keys_init(&k, secret, ROTATION, unix_s);
	return k;
}

static struct cookie_subject subject4(void)
{
	return (struct cookie_subject){
		.tuple =
			{
				.client = addr_v4((const uint8_t[]){192, 0, 2, 1}),
				.server = addr_v4((const uint8_t[]){198, 51, 100, 2}),
				.client_port = 40000,
				.server_port = 443,
			},
		.public_addr = addr_v4((const uint8_t[]){198, 51, 100, 2}),
		.public_port = 443,
		.client_isn = 0x11223344,
	};
}

static struct cookie_subject subject6(void)
{
	struct cookie_subject s = subject4();

	s.tuple.client = (struct addr){.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	s.tuple.server = (struct addr){.b = {0x20, 0x01, 0x0d, 0xb8, 0, 1, [15] = 2}};
	s.public_addr = s.tuple.server;
	return s;
}

static const struct cookie_options usual = {.mss = 1460, .wscale = 7, .sack = true};

static bool accepts(const struct cookie_keys *k, const struct cookie_subject *s, uint32_t isn,
	bool timestamps, uint32_t tsval)
{
	struct cookie_options o;

	return cookie_check(k, s, isn, timestamps, tsval, &o);
}

/* With timestamps every option comes back as it went; without, all but ECN, and the MSS is rounded
 * down. */
static void check_round_trip(const struct cookie_keys *k, const struct cookie_subject *s,
	const struct cookie_options *o, uint16_t rounded)
{
	for (unsigned timestamps = 0; timestamps < 2; timestamps++) {
		struct cookie_options found = {0};
		uint32_t tsval = 1;
		uint32_t isn = cookie_make(k, s, o, timestamps, &tsval);

		assert_true(cookie_check(k, s, isn, timestamps, tsval, &found));
		assert_int_equal(found.mss, timestamps ? o->mss : rounded);
		assert_int_equal(found.wscale, o->wscale);
		assert_int_equal(found.sack, o->sack);
		assert_int_equal(found.ecn, timestamps && o->ecn);
		if (!timestamps)
			assert_int_equal(tsval, 0);
	}
}

static void every_option_comes_back(void **state)
{
	static const uint16_t mss[] = {216, 536, 1220, 1360, 1400, 1440, 1460, 8960};
	struct cookie_keys k = keys_at(START_S);
	struct cookie_subject s4 = subject4(), s6 = subject6();

	(void)state;
	for (size_t m = 0; m < sizeof(mss) / sizeof(mss[0]); m++)
		for (unsigned bits = 0; bits < 64; bits++) {
			const struct cookie_options o = {
				.mss = mss[m],
				.wscale = bits & 15,
				.sack = bits >> 4 & 1,
				.ecn = bits >> 5,
			};

			check_round_trip(&k, &s4, &o, mss[m]);
			check_round_trip(&k, &s6, &o, mss[m]);
		}
}

static void an_mss_is_rounded_down(void **state)
{
	static const struct {
		uint16_t mss, rounded;
	} rows[] = {
		{COOKIE_MSS_MIN, COOKIE_MSS_MIN},
		{535, COOKIE_MSS_MIN},
		{537, 536},
		{1219, 536},
		{1359, 1220},
		{1399, 1360},
		{1439, 1400},
		{1459, 1440},
		{1461, 1460},
		{8959, 1460},
		{8961, 8960},
		{65535, 8960},
	};
	struct cookie_keys k = keys_at(START_S);
	struct cookie_subject s = subject4();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cookie_options o = {.mss = rows[i].mss, .wscale = COOKIE_NO_WSCALE};

		check_round_trip(&k, &s, &o, rows[i].rounded);
	}
}

/* Written by a program of their own, from the layout and the definition of SipHash alone: gates of
 * different versions share secrets. */
static void the_layout_is_the_known_one(void **state)
{
	const struct addr far4 = addr_v4((const uint8_t[]){203, 0, 113, 9});
	const struct addr near4 = addr_v4((const uint8_t[]){10, 0, 0, 5});
	const struct addr near6 = {.b = {0xfd, [15] = 5}};
	struct {
		uint64_t epoch;
		struct cookie_subject s;
		struct cookie_options o;
		bool timestamps;
		uint32_t isn, tsval;
	} rows[] = {
		{100, subject4(), {1460, 7, true, false}, true, 0x84dd5ba3, 0x988b2087},
		{100, subject4(), {1460, 7, true, true}, true, 0x6daef8dc, 0x56535978},
		{0x123456789a, subject4(), {1459, COOKIE_NO_WSCALE, false, false}, false,
			0xaedf718a, 0},
		{0, subject6(), {65535, 14, true, false}, false, 0xb8a669fc, 0},
		{7, subject6(), {216, 0, false, false}, true, 0x849a108f, 0x4ca55c1d},
	};

	(void)state;
	rows[1].s.tuple.server = near4;
	rows[1].s.tuple.server_port = 8080;
	rows[1].s.public_addr = far4;
	rows[1].s.public_port = 80;
	rows[1].s.client_isn = 0xffffffff;
	rows[2].s.tuple.client_port = 1;
	rows[2].s.tuple.server_port = rows[2].s.public_port = 65535;
	rows[2].s.client_isn = 0;
	rows[3].s.client_isn = 0x80000000;
	rows[4].s.tuple.server = near6;
	rows[4].s.tuple.client_port = 50000;
	rows[4].s.tuple.server_port = 8443;
	rows[4].s.client_isn = 5;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cookie_keys k = keys_at(rows[i].epoch * ROTATION);
		uint32_t tsval;

		assert_int_equal(
			cookie_make(&k, &rows[i].s, &rows[i].o, rows[i].timestamps, &tsval),
			rows[i].isn);
		assert_int_equal(tsval, rows[i].tsval);
	}
}

static void no_bit_of_the_numbers_may_change(void **state)
{
	struct cookie_keys k = keys_at(START_S);

	(void)state;
	for (unsigned round = 0; round < 64; round++) {
		struct cookie_subject s = round & 1 ? subject6() : subject4();
		uint32_t tsval, isn;

		s.client_isn += round * 0x01234567;
		isn = cookie_make(&k, &s, &usual, true, &tsval);
		for (unsigned bit = 0; bit < 32; bit++) {
			assert_false(accepts(&k, &s, isn ^ 1u << bit, true, tsval));
			assert_false(accepts(&k, &s, isn, true, tsval ^ 1u << bit));
		}
		assert_false(accepts(&k, &s, isn, false, 0));
		isn = cookie_make(&k, &s, &usual, false, &tsval);
		for (unsigned bit = 0; bit < 32; bit++)
			assert_false(accepts(&k, &s, isn ^ 1u << bit, false, 0));
		/* What it carries is under the tag: neighbours are no cookies of other options. */
		for (uint32_t off = 1; off < 256; off++) {
			assert_false(accepts(&k, &s, isn + off, false, 0));
			assert_false(accepts(&k, &s, isn - off, false, 0));
		}
		assert_true(accepts(&k, &s, isn, false, 0));
	}
}

static void flip(struct addr *a, unsigned bit)
{
	a->b[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* Each bit of whom it is for. */
static void check_subject(const struct cookie_keys *k, const struct cookie_subject *s,
	unsigned first, bool timestamps)
{
	uint32_t tsval;
	uint32_t isn = cookie_make(k, s, &usual, timestamps, &tsval);
	struct cookie_subject other;

	assert_true(accepts(k, s, isn, timestamps, tsval));
	for (unsigned bit = first; bit < 128; bit++) {
		other = *s;
		flip(&other.tuple.client, bit);
		assert_false(accepts(k, &other, isn, timestamps, tsval));
		other = *s;
		flip(&other.tuple.server, bit);
		assert_false(accepts(k, &other, isn, timestamps, tsval));
		other = *s;
		flip(&other.public_addr, bit);
		assert_false(accepts(k, &other, isn, timestamps, tsval));
	}
	for (unsigned bit = 0; bit < 16; bit++) {
		other = *s;
		other.tuple.client_port ^= (uint16_t)(1u << bit);
		assert_false(accepts(k, &other, isn, timestamps, tsval));
		other = *s;
		other.tuple.server_port ^= (uint16_t)(1u << bit);
		assert_false(accepts(k, &other, isn, timestamps, tsval));
		other = *s;
		other.public_port ^= (uint16_t)(1u << bit);
		assert_false(accepts(k, &other, isn, timestamps, tsval));
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		other = *s;
		other.client_isn ^= 1u << bit;
		assert_false(accepts(k, &other, isn, timestamps, tsval));
	}
}

static void it_holds_for_one_subject_alone(void **state)
{
	struct cookie_keys k = keys_at(START_S);
	struct cookie_subject s4 = subject4(), s6 = subject6();

	(void)state;
	for (unsigned timestamps = 0; timestamps < 2; timestamps++) {
		check_subject(&k, &s4, 96, timestamps);
		check_subject(&k, &s6, 0, timestamps);
	}
}

/* A cookie of one moment at another. */
static bool holds_from_to(uint64_t made_s, uint64_t checked_s, bool timestamps)
{
	struct cookie_keys made = keys_at(made_s), checked = keys_at(checked_s);
	struct cookie_subject s = subject4();
	uint32_t tsval;
	uint32_t isn = cookie_make(&made, &s, &usual, timestamps, &tsval);

	return accepts(&checked, &s, isn, timestamps, tsval);
}

static void it_holds_for_its_epoch_and_those_beside(void **state)
{
	static const uint64_t begins = 100 * ROTATION;

	(void)state;
	for (unsigned timestamps = 0; timestamps < 2; timestamps++) {
		assert_true(holds_from_to(begins, begins + ROTATION - 1, timestamps));
		assert_true(holds_from_to(begins + ROTATION - 1, begins, timestamps));
		assert_true(holds_from_to(begins, begins + 2 * ROTATION - 1, timestamps));
		assert_false(holds_from_to(begins, begins + 2 * ROTATION, timestamps));
		assert_true(holds_from_to(begins + ROTATION - 1, begins + ROTATION, timestamps));
		assert_false(
			holds_from_to(begins + ROTATION - 1, begins + 2 * ROTATION, timestamps));
		/* Another gate's clock may be ahead. */
		assert_true(holds_from_to(begins + ROTATION, begins + ROTATION - 1, timestamps));
		assert_true(holds_from_to(begins + 2 * ROTATION - 1, begins, timestamps));
		assert_false(
			holds_from_to(begins + 2 * ROTATION, begins + ROTATION - 1, timestamps));
		assert_false(holds_from_to(begins, begins + 1000 * ROTATION, timestamps));
		assert_true(holds_from_to(0, 0, timestamps));
		assert_true(holds_from_to(0, ROTATION, timestamps));
		assert_false(holds_from_to(0, 2 * ROTATION, timestamps));
	}
}

static void keys_follow_the_clock_wherever_it_goes(void **state)
{
	static const uint64_t steps[] = {START_S, START_S + 1, START_S + ROTATION,
		START_S + ROTATION, START_S - 5 * ROTATION, 0, START_S + 1000000, START_S};
	struct cookie_keys k = keys_at(START_S);

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct cookie_keys fresh = keys_at(steps[i]);

		cookie_keys_follow(&k, steps[i]);
		assert_int_equal(k.epoch, fresh.epoch);
		assert_memory_equal(k.of, fresh.of, sizeof(k.of));
	}
	/* Begun anew with its own secret, as for another rotation. */
	cookie_keys_init(&k, k.secret, ROTATION, 0);
	assert_memory_equal(k.secret, secret, sizeof(secret));
}

static void gates_that_share_a_secret_agree(void **state)
{
	struct cookie_keys ours = keys_at(START_S), theirs = keys_at(START_S + ROTATION);
	struct cookie_subject s = subject6();
	uint32_t tsval;
	uint32_t isn = cookie_make(&ours, &s, &usual, true, &tsval);

	(void)state;
	assert_true(accepts(&theirs, &s, isn, true, tsval));
	for (unsigned bit = 0; bit < 8 * COOKIE_SECRET; bit++) {
		uint8_t other[COOKIE_SECRET];

		memcpy(other, secret, sizeof(other));
		other[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cookie_keys_init(&theirs, other, ROTATION, START_S);
		assert_false(accepts(&theirs, &s, isn, true, tsval));
	}
}

/* Each bit of consecutive clients' numbers is set about as often as not, whatever they carry, and
 * neighbours have half their bits in common: within five standard deviations. */
static void check_looks_random(bool timestamps, bool isns)
{
	enum {
		MADE = 1 << 16,
		SLACK = 5 * 128, /* the standard deviation is sqrt(MADE) / 2 */
	};
	struct cookie_keys k = keys_at(START_S);
	struct cookie_subject s = subject4();
	uint32_t set[32] = {0}, changed[32] = {0}, before = 0;

	for (uint32_t i = 0; i < MADE; i++) {
		uint32_t tsval, number;

		s.client_isn = i;
		number = cookie_make(&k, &s, &usual, timestamps, &tsval);
		number = isns ? number : tsval;
		for (unsigned bit = 0; bit < 32; bit++) {
			set[bit] += number >> bit & 1;
			changed[bit] += (number ^ before) >> bit & 1;
		}
		before = number;
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		assert_in_range(set[bit], MADE / 2 - SLACK, MADE / 2 + SLACK);
		assert_in_range(changed[bit], MADE / 2 - SLACK, MADE / 2 + SLACK);
	}
}

static void numbers_look_random(void **state)
{
	(void)state;
	check_looks_random(false, true);
	check_looks_random(true, true);
	check_looks_random(true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_comes_back),
		cmocka_unit_test(an_mss_is_rounded_down),
		cmocka_unit_test(the_layout_is_the_known_one),
		cmocka_unit_test(no_bit_of_the_numbers_may_change),
		cmocka_unit_test(it_holds_for_one_subject_alone),
		cmocka_unit_test(it_holds_for_its_epoch_and_those_beside),
		cmocka_unit_test(keys_follow_the_clock_wherever_it_goes),
		cmocka_unit_test(gates_that_share_a_secret_agree),
		cmocka_unit_test(numbers_look_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
