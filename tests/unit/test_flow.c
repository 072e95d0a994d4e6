/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/flow.h"

static const struct siphash_key key = {1, 2};

static struct tuple tuple_of(uint32_t n)
{
	struct tuple t = {.client_port = (uint16_t)(1024 + n % 60000), .server_port = 443};

	t.client =
		addr_v4((const uint8_t[]){10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n});
	t.server = addr_v4((const uint8_t[]){192, 0, 2, 1});
	return t;
}

static uint32_t find(struct flow_table *t, uint32_t n)
{
	struct tuple tuple = tuple_of(n);
	enum hs_side side;

	return flow_find(
		t, &tuple.client, tuple.client_port, &tuple.server, tuple.server_port, &side);
}

static uint32_t insert(struct flow_table *t, uint32_t n, enum flow_list list, uint64_t now_us)
{
	struct tuple tuple = tuple_of(n);

	return flow_insert(t, &tuple, list, now_us);
}

static void a_flow_is_found_from_both_sides(void **state)
{
	struct flow_table *t = flow_table_new(4, &key);
	struct tuple tuple = tuple_of(7);
	enum hs_side side;
	uint32_t number;

	(void)state;
	assert_non_null(t);
	number = flow_insert(t, &tuple, FLOW_SYN_SENT, 0);
	assert_true(number > 0);
	assert_int_equal(
		flow_find(t, &tuple.client, tuple.client_port, &tuple.server, 443, &side), number);
	assert_int_equal(side, HS_FROM_CLIENT);
	assert_int_equal(
		flow_find(t, &tuple.server, 443, &tuple.client, tuple.client_port, &side), number);
	assert_int_equal(side, HS_FROM_SERVER);
	assert_int_equal(
		flow_find(t, &tuple.client, 443, &tuple.server, tuple.client_port, &side), 0);
	assert_int_equal(
		flow_find(t, &tuple.client, tuple.client_port, &tuple.server, 80, &side), 0);
	flow_table_free(t);
}

static void the_table_is_bounded(void **state)
{
	struct flow_table *t = flow_table_new(100, &key);

	(void)state;
	for (uint32_t n = 0; n < 100; n++)
		assert_true(insert(t, n, FLOW_SYN_SENT, n) > 0);
	assert_int_equal(insert(t, 100, FLOW_SYN_SENT, 100), 0);
	assert_int_equal(flow_used(t), 100);
	for (uint32_t n = 0; n < 100; n++)
		assert_int_not_equal(find(t, n), 0);
	flow_remove(t, find(t, 50), FLOW_SYN_SENT);
	assert_int_equal(find(t, 50), 0);
	assert_true(insert(t, 100, FLOW_SYN_SENT, 100) > 0);
	assert_int_equal(insert(t, 101, FLOW_SYN_SENT, 100), 0);
	flow_table_free(t);
}

static void lists_keep_the_order(void **state)
{
	struct flow_table *t = flow_table_new(8, &key);
	uint32_t a = insert(t, 1, FLOW_SYN_SENT, 1000);
	uint32_t b = insert(t, 2, FLOW_SYN_SENT, 2000);
	uint32_t c = insert(t, 3, FLOW_SYN_SENT, 3000);

	(void)state;
	assert_int_equal(flow_oldest(t, FLOW_SYN_SENT), a);
	flow_move(t, b, FLOW_SYN_SENT, FLOW_SYN_RCVD, 4000);
	assert_int_equal(flow_count(t, FLOW_SYN_SENT), 2);
	assert_int_equal(flow_count(t, FLOW_SYN_RCVD), 1);
	assert_int_equal(flow_age_ms(flow_at(t, b), 9000), 5);
	flow_move(t, a, FLOW_SYN_SENT, FLOW_SYN_SENT, 5000);
	assert_int_equal(flow_oldest(t, FLOW_SYN_SENT), c);
	flow_remove(t, c, FLOW_SYN_SENT);
	assert_int_equal(flow_oldest(t, FLOW_SYN_SENT), a);
	flow_remove(t, a, FLOW_SYN_SENT);
	assert_int_equal(flow_oldest(t, FLOW_SYN_SENT), 0);
	flow_remove(t, b, FLOW_SYN_RCVD);
	assert_int_equal(flow_used(t), 0);
	flow_table_free(t);
}

static void age_survives_the_wrap_of_its_clock(void **state)
{
	struct flow_table *t = flow_table_new(8, &key);
	uint64_t wrap_us = ((uint64_t)UINT32_MAX + 1) * 1000;
	uint32_t a = insert(t, 1, FLOW_SYN_SENT, wrap_us - 5000);

	(void)state;
	assert_int_equal(flow_age_ms(flow_at(t, a), wrap_us + 5000), 10);
	flow_table_free(t);
}

/* Flows come and go for long in tables of all small sizes, and each lookup must end. */
static void churn_leaves_nothing_behind(void **state)
{
	(void)state;
	for (uint32_t capacity = 1; capacity < 70; capacity++) {
		struct flow_table *t = flow_table_new(capacity, &key);
		uint32_t first = 0;

		assert_non_null(t);
		for (uint32_t n = 0; n < 3000; n++) {
			if (flow_used(t) == capacity) {
				flow_remove(t, find(t, first), FLOW_SYN_SENT);
				assert_int_equal(find(t, first), 0);
				first++;
			}
			assert_true(insert(t, n, FLOW_SYN_SENT, n) > 0);
			assert_int_equal(find(t, n + 1), 0);
		}
		for (uint32_t n = first; n < 3000; n++)
			flow_remove(t, find(t, n), FLOW_SYN_SENT);
		assert_int_equal(flow_used(t), 0);
		assert_int_equal(flow_oldest(t, FLOW_SYN_SENT), 0);
		flow_table_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_is_found_from_both_sides),
		cmocka_unit_test(the_table_is_bounded),
		cmocka_unit_test(lists_keep_the_order),
		cmocka_unit_test(age_survives_the_wrap_of_its_clock),
		cmocka_unit_test(churn_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
