/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What belongs to one network namespace: the lock, and interfaces' names. */
#include "config.h"

#include "kernel/ifname.h"
#include "kernel/netns_lock.h"
#include "netns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_lock(void **state)
{
	int first = netns_new();
	char why[256] = "";
	char process[32];
	int lock = netns_lock_take(why, sizeof(why));
	int second, other;

	(void)state;
	assert_int_not_equal(lock, -1);
	snprintf(process, sizeof(process), "(process %d,", (int)getpid());
	for (int i = 0; i < 3; i++) {
		assert_int_equal(netns_lock_take(why, sizeof(why)), -1);
		assert_non_null(strstr(why, process));
	}
	second = netns_new();
	other = netns_lock_take(why, sizeof(why));
	assert_int_not_equal(other, -1);
	close(lock);
	netns_enter(first);
	lock = netns_lock_take(why, sizeof(why));
	assert_int_not_equal(lock, -1);
	close(lock);
	close(other);
	close(second);
	close(first);
}

static void test_ifname(void **state)
{
	static struct ifname_cache cache;
	int ns = netns_new();
	uint32_t index;

	(void)state;
	netns_sh("ip link add before type veth peer name other");
	index = if_nametoindex("before");
	assert_string_equal(ifname_get(&cache, index, 1), "before");
	netns_sh("ip link set before name after");
	assert_string_equal(ifname_get(&cache, index, 1000001), "before");
	assert_string_equal(ifname_get(&cache, index, 1000002), "after");
	assert_string_equal(ifname_get(&cache, index + IFNAME_CACHE_SIZE, 1000002), "");
	assert_string_equal(ifname_get(&cache, index, 1000002), "after");
	assert_string_equal(ifname_get(&cache, 0, 1000002), "");
	close(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_ifname),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
