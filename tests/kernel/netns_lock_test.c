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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int take(const char *folder, char why[static 256])
{
	return netns_lock_take(folder, why, 256);
}

static void test_lock(void **state)
{
	char folder[] = "/tmp/ackgate-lock-XXXXXX";
	char missing[64], why[256] = "", process[32];
	int first = netns_new();
	int lock, second, other;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(missing, sizeof(missing), "%s/ackgate", folder);
	lock = take(missing, why);
	assert_int_not_equal(lock, -1);
	snprintf(process, sizeof(process), "(process %d)", (int)getpid());
	for (int i = 0; i < 3; i++) {
		assert_int_equal(take(missing, why), -1);
		assert_non_null(strstr(why, process));
	}
	second = netns_new();
	other = take(missing, why);
	assert_int_not_equal(other, -1);
	close(lock);
	netns_enter(first);
	lock = take(missing, why);
	assert_int_not_equal(lock, -1);
	close(lock);
	close(other);
	close(second);
	close(first);
	netns_sh("rm -r %s", folder);
}

/* Others may neither open the file, and so lock it, nor learn from it. */
static void test_lock_file(void **state)
{
	char folder[] = "/tmp/ackgate-lock-XXXXXX";
	char missing[64], why[256] = "";
	struct stat st;
	int ns = netns_new();
	int lock;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(missing, sizeof(missing), "%s/a/b", folder);
	assert_int_equal(take(missing, why), -1);
	assert_non_null(strstr(why, "No such file"));
	lock = take(folder, why);
	assert_int_not_equal(lock, -1);
	assert_int_equal(fstat(lock, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(lock);
	close(ns);
	netns_sh("rm -r %s", folder);
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
		cmocka_unit_test(test_lock_file),
		cmocka_unit_test(test_ifname),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
