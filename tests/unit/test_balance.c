/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/balance.h"

#include <stdbool.h>

enum {
	COUNT = 5,
	CLIENTS = 20000
};

static const char *const names[COUNT] = {
	"10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80", "app.example:80", "unix:/run/app"};

static const uint32_t equal[COUNT] = {1, 1, 1, 1, 1};

static struct addr client(uint32_t n)
{
	return addr_v4((const uint8_t[]){192, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n});
}

static void assert_turns(struct balance *b, uint64_t among, const char *expected)
{
	for (const char *c = expected; *c != '\0'; c++)
		assert_int_equal(balance_next(b, among), *c - 'A');
}

static void turns_are_smooth_and_exact(void **state)
{
	static const uint32_t weights[] = {5, 1, 1}, scaled[] = {200, 40, 40};
	struct balance *b = balance_new(weights, names, 3, 0);

	(void)state;
	assert_turns(b, 7, "AABACAAAABACAA");
	balance_free(b);
	b = balance_new(scaled, names, 3, 0);
	assert_turns(b, 7, "AABACAAAABACAA");
	balance_free(b);
}

static void what_is_left_shares_evenly(void **state)
{
	static const uint32_t weights[] = {2, 2, 1};
	struct balance *b = balance_new(equal, names, 3, 0);

	(void)state;
	assert_turns(b, 7, "ABC");
	assert_turns(b, 5, "ACACAC");
	assert_turns(b, 2, "BBB");
	balance_free(b);

	b = balance_new(weights, names, 3, 0);
	unsigned counts[3] = {0};
	for (unsigned i = 0; i < 300; i++)
		counts[balance_next(b, 6)]++;
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], 200);
	assert_int_equal(counts[2], 100);
	balance_free(b);
}

static void turns_go_on_where_they_stood(void **state)
{
	struct balance *b = balance_new(equal, names, 3, 0);

	(void)state;
	assert_turns(b, 7, "AB");
	uint32_t position = balance_position(b);
	balance_free(b);
	b = balance_new(equal, names, 3, position);
	assert_turns(b, 7, "CAB");
	balance_free(b);
	b = balance_new(equal, names, 2, 1000001);
	assert_turns(b, 3, "BA");
	balance_free(b);
}

static void the_least_loaded_for_its_weight(void **state)
{
	static const uint32_t weights[] = {4, 2, 1};
	uint32_t connections[3] = {0};
	struct balance *b = balance_new(weights, names, 3, 0);

	(void)state;
	for (unsigned i = 0; i < 70; i++)
		connections[balance_least(b, 7, connections)]++;
	assert_int_equal(connections[0], 40);
	assert_int_equal(connections[1], 20);
	assert_int_equal(connections[2], 10);
	connections[2] = 0;
	assert_int_equal(balance_least(b, 7, connections), 2);
	assert_int_equal(balance_least(b, 3, connections), 0);
	balance_free(b);
}

static void equals_take_turns(void **state)
{
	static const uint32_t idle[3] = {0};
	struct balance *b = balance_new(equal, names, 3, 0);
	unsigned counts[3] = {0};

	(void)state;
	for (unsigned i = 0; i < 30; i++)
		counts[balance_least(b, 7, idle)]++;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(counts[i], 10);
	balance_free(b);
}

static void sources_spread_by_weight(void **state)
{
	static const uint32_t weights[COUNT] = {1, 2, 3, 4, 10};
	struct balance *b = balance_new(weights, names, COUNT, 0);
	unsigned counts[COUNT] = {0};

	(void)state;
	for (uint32_t n = 0; n < CLIENTS; n++) {
		struct addr a = client(n);
		counts[balance_source(b, 31, &a)]++;
	}
	/* Six standard deviations of the binomial distribution are below 430 here. */
	for (unsigned i = 0; i < COUNT; i++)
		assert_in_range(counts[i], CLIENTS / 20 * weights[i] - 430,
			CLIENTS / 20 * weights[i] + 430);
	balance_free(b);
}

static void a_server_takes_its_own_clients_along_and_nobody_elses(void **state)
{
	static const char *const without_b[] = {
		"unix:/run/app", "10.0.0.1:80", "app.example:80", "[fd00::1]:80"};
	static const unsigned now_at[COUNT] = {1, 0, 3, 2, 0};
	struct balance *all = balance_new(equal, names, COUNT, 0);
	struct balance *fewer = balance_new(equal, without_b, COUNT - 1, 3);
	unsigned moved[COUNT] = {0};

	(void)state;
	for (uint32_t n = 0; n < CLIENTS; n++) {
		struct addr a = client(n);
		unsigned before = balance_source(all, 31, &a);
		unsigned down = balance_source(all, 31 & ~2u, &a);
		assert_int_not_equal(down, 1);
		if (before != 1)
			assert_int_equal(down, before);
		else
			moved[down]++;
		/* Taken from the list, in another order: the same. */
		assert_int_equal(balance_source(fewer, 15, &a), now_at[down]);
	}
	/* A quarter each of the fifth that had been there. */
	for (unsigned i = 0; i < COUNT; i++)
		if (i != 1)
			assert_in_range(moved[i], CLIENTS / 20 - 200, CLIENTS / 20 + 200);
	balance_free(fewer);
	balance_free(all);
}

static void a_client_stays_where_it_was_after_a_restart(void **state)
{
	static const unsigned expected[8] = {0, 0, 4, 4, 3, 2, 2, 3};
	struct balance *b = balance_new(equal, names, COUNT, 0);

	(void)state;
	for (uint32_t n = 0; n < 8; n++) {
		struct addr a = client(n);
		assert_int_equal(balance_source(b, 31, &a), expected[n]);
	}
	balance_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_are_smooth_and_exact),
		cmocka_unit_test(what_is_left_shares_evenly),
		cmocka_unit_test(turns_go_on_where_they_stood),
		cmocka_unit_test(the_least_loaded_for_its_weight),
		cmocka_unit_test(equals_take_turns),
		cmocka_unit_test(sources_spread_by_weight),
		cmocka_unit_test(a_server_takes_its_own_clients_along_and_nobody_elses),
		cmocka_unit_test(a_client_stays_where_it_was_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
