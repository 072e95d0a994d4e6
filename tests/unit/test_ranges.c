/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/ranges.h"

#define V4(...)                                                                                    \
	{                                                                                          \
		.b = { [10] = 0xff, 0xff, __VA_ARGS__ }                                            \
	}
#define V6(...)                                                                                    \
	{                                                                                          \
		.b = { 0xfd, __VA_ARGS__ }                                                         \
	}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void a_range_reads_as_briefly_as_it_can(void **state)
{
	static const struct {
		struct addr_range range;
		const char *text;
	} cases[] = {
		{{V4(192, 0, 2, 1), V4(192, 0, 2, 1)}, "192.0.2.1"},
		{{V4(192, 0, 2, 0), V4(192, 0, 2, 255)}, "192.0.2.0/24"},
		{{V4(192, 0, 2, 4), V4(192, 0, 2, 5)}, "192.0.2.4/31"},
		{{V4(192, 0, 2, 5), V4(192, 0, 2, 6)}, "192.0.2.5-192.0.2.6"},
		{{V4(10, 0, 0, 0), V4(10, 0, 1, 254)}, "10.0.0.0-10.0.1.254"},
		{{V6(1), V6(1)}, "fd01::"},
		{{V6(1), V6(1, [8] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)}, "fd01::/64"},
		{{V6(1), V6(2)}, "fd01::-fd02::"},
	};
	char text[RANGES_TEXT];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		bool range = addr_range_print(text, &cases[i].range);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(range, strchr(cases[i].text, '-') != NULL);
	}
}

static void one_family_sorted_and_without_overlaps(void **state)
{
	static const struct addr_range mixed[] = {
		{V4(10, 9, 0, 0), V4(10, 9, 255, 255)},
		{V6(1), V6(1)},
		{V4(10, 0, 0, 0), V4(10, 0, 0, 255)},
		{V4(10, 0, 0, 7), V4(10, 0, 0, 9)},
		{V4(10, 0, 0, 200), V4(10, 0, 1, 4)},
	};
	struct addr_ranges picked;
	char text[RANGES_TEXT];

	(void)state;
	assert_true(addr_ranges_pick(&picked, mixed, COUNT(mixed), RANGES_IPV4));
	assert_false(picked.any);
	assert_int_equal(picked.count, 2);
	addr_range_print(text, &picked.list[0]);
	assert_string_equal(text, "10.0.0.0-10.0.1.4");
	addr_range_print(text, &picked.list[1]);
	assert_string_equal(text, "10.9.0.0/16");
	addr_ranges_free(&picked);

	assert_true(addr_ranges_pick(&picked, mixed, COUNT(mixed), RANGES_IPV6));
	assert_int_equal(picked.count, 1);
	addr_ranges_free(&picked);
}

static void nothing_asked_all_asked_and_none_of_the_family(void **state)
{
	static const struct addr_range all4[] = {{V4(0, 0, 0, 0), V4(255, 255, 255, 255)}};
	struct addr_ranges picked;

	(void)state;
	assert_true(addr_ranges_pick(&picked, NULL, 0, RANGES_IPV6));
	assert_true(picked.any);
	addr_ranges_free(&picked);

	assert_true(addr_ranges_pick(&picked, all4, 1, RANGES_IPV4));
	assert_true(picked.any);
	assert_int_equal(picked.count, 0);
	addr_ranges_free(&picked);

	assert_true(addr_ranges_pick(&picked, all4, 1, RANGES_IPV6));
	assert_false(picked.any);
	assert_int_equal(picked.count, 0);
	addr_ranges_free(&picked);
}

static void ports_that_touch_become_one(void **state)
{
	static const struct port_range ports[] = {{443, 443}, {80, 80}, {81, 90}, {85, 88}};
	static const struct port_range all[] = {{1000, UINT16_MAX}, {0, 1000}};
	struct port_ranges picked;

	(void)state;
	assert_true(port_ranges_pick(&picked, ports, COUNT(ports)));
	assert_int_equal(picked.count, 2);
	assert_int_equal(picked.list[0].first, 80);
	assert_int_equal(picked.list[0].last, 90);
	assert_int_equal(picked.list[1].first, 443);
	port_ranges_free(&picked);

	assert_true(port_ranges_pick(&picked, all, COUNT(all)));
	assert_int_equal(picked.count, 0);
	port_ranges_free(&picked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_reads_as_briefly_as_it_can),
		cmocka_unit_test(one_family_sorted_and_without_overlaps),
		cmocka_unit_test(nothing_asked_all_asked_and_none_of_the_family),
		cmocka_unit_test(ports_that_touch_become_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
