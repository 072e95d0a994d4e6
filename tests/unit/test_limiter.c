/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/limiter.h"

static const struct siphash_key key = {3, 4};

static struct addr source(uint32_t n)
{
	return addr_v4((const uint8_t[]){10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n});
}

static unsigned taken(struct limiter *l, uint32_t from, uint16_t slot,
	const struct policy_rate *rate, uint64_t now_us, unsigned tries)
{
	struct addr a = source(from);
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++)
		n += limiter_take(l, &a, slot, rate, now_us);
	return n;
}

static bool connect(struct limiter *l, uint32_t from, uint32_t max)
{
	struct addr a = source(from);
	bool counted;

	return limiter_connect(l, &a, 0, max, 1000, &counted) && counted;
}

static void a_burst_and_then_the_rate(void **state)
{
	static const struct policy_rate rate = {.per_s = 50, .burst = 100};
	struct limiter *l = limiter_new(64, &key);
	uint64_t now = 5000000;

	(void)state;
	assert_int_equal(taken(l, 1, 0, &rate, now, 200), 100);
	assert_int_equal(taken(l, 1, 0, &rate, now + 19999, 10), 0);
	assert_int_equal(taken(l, 1, 0, &rate, now + 20000, 10), 1);
	assert_int_equal(taken(l, 1, 0, &rate, now + 1000000, 200), 49);
	assert_int_equal(taken(l, 1, 0, &rate, now + 60000000, 200), 100);
	limiter_free(l);
}

static void sources_and_rules_are_apart(void **state)
{
	static const struct policy_rate rate = {.per_s = 1, .burst = 1};
	struct limiter *l = limiter_new(64, &key);

	(void)state;
	assert_int_equal(taken(l, 1, 0, &rate, 1000, 5), 1);
	assert_int_equal(taken(l, 2, 0, &rate, 1000, 5), 1);
	assert_int_equal(taken(l, 1, 1, &rate, 1000, 5), 1);
	limiter_free(l);
}

static void odd_rates(void **state)
{
	static const struct {
		struct policy_rate rate;
		unsigned taken;
	} rows[] = {
		{{0, 0}, 10},
		{{0, 5}, 10},
		{{1, 0}, 1},
		{{1000000000, 3}, 3},
		{{4000000000, 1}, 10},
		{{1, UINT32_MAX}, 10},
	};
	struct limiter *l = limiter_new(64, &key);

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(taken(l, i, 0, &rows[i].rate, 1, 10), rows[i].taken);
	limiter_free(l);
}

static void connections_are_counted(void **state)
{
	struct limiter *l = limiter_new(64, &key);
	struct addr a = source(1);

	(void)state;
	assert_int_equal(limiter_connections(l, &a, 0), 0);
	limiter_disconnect(l, &a, 0);
	assert_true(connect(l, 1, 2));
	assert_true(connect(l, 1, 2));
	assert_false(connect(l, 1, 2));
	assert_int_equal(limiter_connections(l, &a, 0), 2);
	assert_int_equal(limiter_connections(l, &a, 1), 0);
	limiter_disconnect(l, &a, 0);
	assert_true(connect(l, 1, 2));
	limiter_disconnect(l, &a, 0);
	limiter_disconnect(l, &a, 0);
	limiter_disconnect(l, &a, 0);
	assert_int_equal(limiter_connections(l, &a, 0), 0);
	limiter_free(l);
}

/* Any number of sources that only send SYNs can't push out one that has connections. */
static void connections_outlast_a_flood(void **state)
{
	static const struct policy_rate rate = {.per_s = 10, .burst = 10};
	struct limiter *l = limiter_new(8, &key);
	struct addr a = source(1);

	(void)state;
	assert_true(connect(l, 1, 2));
	for (uint32_t i = 2; i < 10000; i++)
		taken(l, i, 0, &rate, 1000 + i, 1);
	assert_int_equal(limiter_connections(l, &a, 0), 1);
	limiter_free(l);
}

/* All eight places of a set have connections: a ninth source is let by, uncounted. */
static void without_a_place_nobody_is_kept_out(void **state)
{
	static const struct policy_rate rate = {.per_s = 1, .burst = 1};
	struct limiter *l = limiter_new(8, &key);
	struct addr ninth = source(9);
	bool counted = true;

	(void)state;
	for (uint32_t i = 1; i <= 8; i++)
		assert_true(connect(l, i, 1));
	assert_true(limiter_connect(l, &ninth, 0, 1, 1000, &counted));
	assert_false(counted);
	assert_int_equal(limiter_connections(l, &ninth, 0), 0);
	assert_int_equal(taken(l, 9, 0, &rate, 1000, 5), 5);
	limiter_disconnect(l, &ninth, 0);
	for (uint32_t i = 1; i <= 8; i++) {
		struct addr a = source(i);

		assert_int_equal(limiter_connections(l, &a, 0), 1);
	}
	limiter_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_and_then_the_rate),
		cmocka_unit_test(sources_and_rules_are_apart),
		cmocka_unit_test(odd_rates),
		cmocka_unit_test(connections_are_counted),
		cmocka_unit_test(connections_outlast_a_flood),
		cmocka_unit_test(without_a_place_nobody_is_kept_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
