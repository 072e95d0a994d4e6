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

static void what_fits_is_not_counted(void **state)
{
	static const struct policy_rate rate = {.per_s = 10, .burst = 2}, none = {0, 0};
	struct limiter *l = limiter_new(64, &key);
	struct addr a = source(1);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_true(limiter_fits(l, &a, 0, &rate, 1000));
	assert_int_equal(limiter_tracked(l), 0);
	assert_int_equal(taken(l, 1, 0, &rate, 1000, 10), 2);
	assert_false(limiter_fits(l, &a, 0, &rate, 1000));
	assert_true(limiter_fits(l, &a, 0, &none, 1000));
	assert_false(limiter_fits(l, &a, 0, &rate, 100999));
	assert_true(limiter_fits(l, &a, 0, &rate, 101000));
	assert_int_equal(taken(l, 1, 0, &rate, 101000, 10), 1);
	limiter_free(l);
}

static void completed_handshakes_have_a_rate_of_their_own(void **state)
{
	static const struct policy_rate rate = {.per_s = 10, .burst = 3}, none = {0, 0};
	struct limiter *l = limiter_new(64, &key);
	struct addr a = source(1);

	(void)state;
	assert_int_equal(taken(l, 1, 0, &rate, 1000, 10), 3);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(limiter_complete(l, &a, 0, &rate, 1000), i < 3);
	assert_true(limiter_complete(l, &a, 0, &none, 1000));
	assert_true(limiter_complete(l, &a, 0, &rate, 101000));
	assert_false(limiter_complete(l, &a, 0, &rate, 101000));
	limiter_free(l);
}

/* The greatest that a configuration can say, twice over, and a burst of a million. */
static void great_rates_do_not_overflow(void **state)
{
	static const struct policy_rate rate = {.per_s = 2000000, .burst = 2000000};
	struct limiter *l = limiter_new(64, &key);
	uint64_t now = UINT64_C(50) * 365 * 86400 * 1000000;

	(void)state;
	assert_int_equal(taken(l, 1, 0, &rate, now, 2000001), 2000000);
	assert_int_equal(taken(l, 1, 0, &rate, now + 1, 10), 2);
	limiter_free(l);
}

static void half_open_handshakes_are_counted(void **state)
{
	struct limiter *l = limiter_new(64, &key);
	struct addr a = source(1), b = source(2);

	(void)state;
	assert_int_equal(limiter_half_open(l, &a, 0), 0);
	limiter_settle(l, &a, 0);
	for (uint32_t n = 1; n <= 3; n++) {
		limiter_open(l, &a, 0);
		assert_int_equal(limiter_half_open(l, &a, 0), n);
	}
	limiter_open(l, &b, 0);
	assert_int_equal(limiter_half_open(l, &a, 1), 0);
	assert_int_equal(limiter_half_open(l, &b, 0), 1);
	assert_int_equal(limiter_connections(l, &a, 0), 0);
	limiter_settle(l, &a, 0);
	assert_int_equal(limiter_half_open(l, &a, 0), 2);
	limiter_forget_half_open(l);
	assert_int_equal(limiter_half_open(l, &a, 0), 0);
	assert_int_equal(limiter_half_open(l, &b, 0), 0);
	limiter_settle(l, &a, 0);
	assert_int_equal(limiter_half_open(l, &a, 0), 0);
	limiter_free(l);
}

/* Free places go first, then those without half-open handshakes. */
static void half_open_handshakes_keep_their_place_while_others_are_idle(void **state)
{
	static const struct policy_rate rate = {.per_s = 10, .burst = 10};
	struct limiter *l = limiter_new(8, &key);
	struct addr a = source(0);

	(void)state;
	for (uint32_t n = 0; n < 7; n++) {
		a = source(n);
		limiter_open(l, &a, 0);
	}
	for (uint32_t n = 100; n < 200; n++)
		taken(l, n, 0, &rate, 1000 + n, 1);
	for (uint32_t n = 0; n < 7; n++) {
		a = source(n);
		assert_int_equal(limiter_half_open(l, &a, 0), 1);
	}
	assert_int_equal(limiter_tracked(l), 8);
	limiter_free(l);
}

static void note_source(void *arg, const struct limiter_source *s)
{
	struct limiter_source *seen = arg;

	assert_int_equal(s->slot, 5);
	seen[s->source.b[15]] = *s;
}

static void each_source_is_named(void **state)
{
	struct limiter *l = limiter_new(64, &key);
	struct limiter_source seen[8] = {0};
	struct addr a = source(1), b = source(2), c = source(3);
	bool counted;

	(void)state;
	assert_int_equal(limiter_tracked(l), 0);
	limiter_connect(l, &a, 5, 9, 1000, &counted);
	limiter_connect(l, &a, 5, 9, 1000, &counted);
	limiter_open(l, &a, 5);
	limiter_open(l, &b, 5);
	limiter_each(l, note_source, seen);
	assert_int_equal(limiter_tracked(l), 2);
	assert_true(addr_equal(&seen[1].source, &a));
	assert_int_equal(seen[1].connections, 2);
	assert_int_equal(seen[1].half_open, 1);
	assert_true(addr_equal(&seen[2].source, &b));
	assert_int_equal(seen[2].connections, 0);
	assert_int_equal(seen[2].half_open, 1);
	assert_false(addr_equal(&seen[3].source, &c));
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
		cmocka_unit_test(what_fits_is_not_counted),
		cmocka_unit_test(completed_handshakes_have_a_rate_of_their_own),
		cmocka_unit_test(great_rates_do_not_overflow),
		cmocka_unit_test(half_open_handshakes_are_counted),
		cmocka_unit_test(half_open_handshakes_keep_their_place_while_others_are_idle),
		cmocka_unit_test(each_source_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
