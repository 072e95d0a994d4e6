/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stays of transparent interception in a real kernel, what is missed, and what is refused. */
#include "config.h"

#include "interceptor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	WHY = 1000
};

/* Without a listener, packets go on being forwarded; what was left is of use to nobody, and goes
 * with the next start. */
static void test_a_killed_process(void **state)
{
	struct interceptor l = interceptor_open();
	const struct tproxy_plan nothing =
		interceptor_plan(&interceptor_gate_policy, interceptor_transparent);
	char why[WHY];

	(void)state;
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_both_ways(&l);
	close(l.listener4);
	close(l.listener6);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB, l.web4);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER6, INTERCEPTOR_WEB, l.web6);
	tproxy_close(l.t);

	l.t = interceptor_table();
	interceptor_apply_plan(l.t, &nothing);
	interceptor_check_gone();

	interceptor_apply(
		l.t, &interceptor_web_policy); /* and killed again: another mark is configured */
	tproxy_close(l.t);
	l.t = interceptor_table();
	struct tproxy_plan other =
		interceptor_plan(&interceptor_web_policy, interceptor_transparent);
	other.mark = 0x4000;
	interceptor_apply_plan(l.t, &other);
	netns_sh("! ip rule | grep 0x2000");
	netns_sh("! ip -6 rule | grep 0x2000");
	netns_sh("test $(ip rule | grep -c proto.172) = 3");
	l.listener4 = interceptor_listen("127.0.0.1", INTERCEPTOR_LISTENER);
	l.listener6 = interceptor_listen("::1", INTERCEPTOR_LISTENER);
	interceptor_check_both_ways(&l);
	tproxy_close(l.t);

	l.t = NULL; /* --purge knows of no plan */
	assert_int_equal(tproxy_remove(NULL, why, sizeof(why)), 0);
	interceptor_check_gone();
	l.t = interceptor_table();
	interceptor_close(&l);
}

/* The base chain stays, empty: if it went, the kernel would drop what waits in queues. */
static void test_a_reload_without_transparent_rules(void **state)
{
	struct interceptor l = interceptor_open();
	const struct tproxy_plan nothing =
		interceptor_plan(&interceptor_gate_policy, interceptor_transparent);

	(void)state;
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_apply_plan(l.t, &nothing);
	netns_sh("nft list table inet ackgate_tproxy | grep -q 'hook prerouting'");
	netns_sh("! nft list table inet ackgate_tproxy | grep -E 'socket|tproxy ip'");
	netns_sh("! ip rule | grep 5200");
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB, l.web4);
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_both_ways(&l);
	interceptor_close(&l);
}

static void test_what_others_take_is_missed(void **state)
{
	static const char *const commands[] = {
		"nft flush ruleset",
		"nft delete table inet ackgate_tproxy",
		"nft flush chain inet ackgate_tproxy arriving",
		"ip rule flush; ip rule add pref 32766 lookup main",
		"ip rule del pref 521",
		"ip -6 rule del pref 522",
		"ip route flush table 5200",
		"ip -6 route flush table 5200",
		"ip link set lo down; ip link set lo up",
	};

	(void)state;
	close(netns_new());
	struct tproxy *t = interceptor_table();
	assert_true(tproxy_intact(t));
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		interceptor_apply(t, &interceptor_web_policy);
		netns_sh("%s", commands[i]);
		if (tproxy_intact(t))
			fail_msg("not missed: %s", commands[i]);
	}
	interceptor_apply(t, &interceptor_web_policy);
	interceptor_apply(t, &interceptor_web_policy);
	netns_sh("test $(ip rule | grep -c proto.172) = 3");
	netns_sh("test $(ip -6 rule | grep -c proto.172) = 3");
	interceptor_take_away(t);
}

/* Why routing is looked after: what a listener was found for is forwarded by no route. */
static void test_nothing_passes_without_routing(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	interceptor_apply(l.t, &interceptor_web_policy);
	netns_sh("ip rule del pref 522");
	netns_enter(l.client);
	int theirs = interceptor_bound(INTERCEPTOR_CLIENT4, 0);
	assert_int_equal(interceptor_try(theirs, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB), -1);
	netns_enter(l.gate);
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_both_ways(&l);
	close(theirs);
	interceptor_close(&l);
}

static void check_refused(struct tproxy *t, const struct tproxy_plan *plan, const char *wanted)
{
	char why[WHY] = "";

	assert_int_equal(tproxy_apply(t, plan, why, sizeof(why)), -1);
	assert_string_equal(why, wanted);
}

static void test_refusals_leave_nothing(void **state)
{
	static const char taken4[] =
		"somebody else uses IPv4 routing table 5200, which transparent interception needs "
		"for itself";
	static const char taken6[] =
		"somebody else uses IPv6 routing table 5200, which transparent interception needs "
		"for itself";
	struct tproxy_plan plan =
		interceptor_plan(&interceptor_web_policy, interceptor_transparent);

	(void)state;
	close(netns_new());
	struct tproxy *t = interceptor_table();
	netns_sh("ip route add blackhole 192.0.2.0/24 table 5200");
	check_refused(t, &plan, taken4);
	netns_sh("ip route show table 5200 | grep -q blackhole && ip route flush table 5200");
	netns_sh("ip rule add fwmark 7 lookup 5200");
	check_refused(t, &plan, taken4);
	netns_sh("ip rule | grep -q 'fwmark 0x7 lookup 5200' && ip rule del fwmark 7");
	netns_sh("ip -6 route add blackhole 2001:db8::/32 table 5200");
	check_refused(t, &plan, taken6);
	netns_sh("ip -6 route flush table 5200");
	interceptor_check_gone();
	plan.mark = plan.gate_mark;
	check_refused(t, &plan, "tproxy_mark 0x40 is not one bit of its own");
	interceptor_check_gone();
	interceptor_take_away(t);
}

static void test_a_host_without_ipv6(void **state)
{
	(void)state;
	close(netns_new());
	netns_sh("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
	struct tproxy *t = interceptor_table();
	interceptor_apply(t, &interceptor_web_policy);
	netns_sh("test $(ip rule | grep -c proto.172) = 3");
	interceptor_take_away(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_killed_process),
		cmocka_unit_test(test_a_reload_without_transparent_rules),
		cmocka_unit_test(test_what_others_take_is_missed),
		cmocka_unit_test(test_nothing_passes_without_routing),
		cmocka_unit_test(test_refusals_leave_nothing),
		cmocka_unit_test(test_a_host_without_ipv6),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
