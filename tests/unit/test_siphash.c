/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/siphash.h"

/* The key of all published vectors is 00 01 .. 0f, message n is the bytes 00 01 .. n - 1. */
static const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static uint8_t message[64];

/* Appendix A of the paper holds the sixteenth; all of them come with its reference code. */
static const uint64_t published[64] = {
	0x726fdb47dd0e0e31,
	0x74f839c593dc67fd,
	0x0d6c8009d9a94f5a,
	0x85676696d7fb7e2d,
	0xcf2794e0277187b7,
	0x18765564cd99a68d,
	0xcbc9466e58fee3ce,
	0xab0200f58b01d137,
	0x93f5f5799a932462,
	0x9e0082df0ba9e4b0,
	0x7a5dbbc594ddb9f3,
	0xf4b32f46226bada7,
	0x751e8fbc860ee5fb,
	0x14ea5627c0843d90,
	0xf723ca908e7af2ee,
	0xa129ca6149be45e5,
	0x3f2acc7f57c29bdb,
	0x699ae9f52cbe4794,
	0x4bc1b3f0968dd39c,
	0xbb6dc91da77961bd,
	0xbed65cf21aa2ee98,
	0xd0f2cbb02e3b67c7,
	0x93536795e3a33e88,
	0xa80c038ccd5ccec8,
	0xb8ad50c6f649af94,
	0xbce192de8a85b8ea,
	0x17d835b85bbb15f3,
	0x2f2e6163076bcfad,
	0xde4daaaca71dc9a5,
	0xa6a2506687956571,
	0xad87a3535c49ef28,
	0x32d892fad841c342,
	0x7127512f72f27cce,
	0xa7f32346f95978e3,
	0x12e0b01abb051238,
	0x15e034d40fa197ae,
	0x314dffbe0815a3b4,
	0x027990f029623981,
	0xcadcd4e59ef40c4d,
	0x9abfd8766a33735c,
	0x0e3ea96b5304a7d0,
	0xad0c42d6fc585992,
	0x187306c89bc215a9,
	0xd4a60abcf3792b95,
	0xf935451de4f21df2,
	0xa9538f0419755787,
	0xdb9acddff56ca510,
	0xd06c98cd5c0975eb,
	0xe612a3cb9ecba951,
	0xc766e62cfcadaf96,
	0xee64435a9752fe72,
	0xa192d576b245165a,
	0x0a8787bf8ecb74b2,
	0x81b3e73d20b49b6f,
	0x7fa8220ba3b2ecea,
	0x245731c13ca42499,
	0xb78dbfaf3a8d83bd,
	0xea1ad565322a1a0b,
	0x60e61c23a3795013,
	0x6606d7e446282b93,
	0x6ca4ecb15c5f91e1,
	0x9f626da15c9625f3,
	0xe51b38608ef25f57,
	0x958a324ceb064572,
};

static void siphash_2_4_agrees_with_the_published_vectors(void **state)
{
	(void)state;
	for (size_t len = 0; len < 64; len++)
		assert_int_equal(siphash(message, len, &key), published[len]);
}

/* From OpenSSL's SIPHASH with c-rounds 1 and d-rounds 3. */
static void siphash_1_3_agrees_with_another_implementation(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} cases[] = {
		{0, 0xabac0158050fc4dc},
		{1, 0xc9f49bf37d57ca93},
		{7, 0xd3927d989bb11140},
		{8, 0x369095118d299a8e},
		{9, 0x25a48eb36c063de4},
		{15, 0xd320d86d2a519956},
		{16, 0xcc4fdd1a7d908b66},
		{36, 0x2cf508d3ada26206},
		{63, 0x9d199062b7bbb3a8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(siphash13(message, cases[i].len, &key), cases[i].hash);
}

static void data_may_lie_at_any_address(void **state)
{
	uint8_t shifted[8 + sizeof(message)];

	(void)state;
	for (size_t shift = 0; shift < 8; shift++) {
		for (size_t i = 0; i < sizeof(message); i++)
			shifted[shift + i] = message[i];
		assert_int_equal(siphash(shifted + shift, 63, &key), published[63]);
	}
}

static void every_key_bit_counts(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		struct siphash_key a = key, b = key;
		a.k0 ^= UINT64_C(1) << bit;
		b.k1 ^= UINT64_C(1) << bit;
		assert_true(siphash(message, 12, &a) != siphash(message, 12, &key));
		assert_true(siphash(message, 12, &b) != siphash(message, 12, &key));
		assert_true(siphash13(message, 12, &a) != siphash13(message, 12, &b));
	}
}

int main(void)
{
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)i;

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_2_4_agrees_with_the_published_vectors),
		cmocka_unit_test(siphash_1_3_agrees_with_another_implementation),
		cmocka_unit_test(data_may_lie_at_any_address),
		cmocka_unit_test(every_key_bit_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
