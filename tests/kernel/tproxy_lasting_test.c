/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stays of transparent interception in a real kernel, what is missed, and what is refused. */
#include "config.h"

#include "interceptor.h"
#include "kernel/ruleset.h"
#include "run_program.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
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

/* As on_failure = closed wants it. */
static void test_a_killed_process_that_closes_the_gate(void **state)
{
	static const char *const ends[][2] = {{INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4},
		{INTERCEPTOR_CLIENT6, INTERCEPTOR_SERVER6}};
	struct interceptor l = interceptor_open();
	struct tproxy_plan plan =
		interceptor_plan(&interceptor_web_policy, interceptor_transparent);

	(void)state;
	plan.fail_open = false;
	interceptor_apply_plan(l.t, &plan);
	interceptor_check_both_ways(&l);
	close(l.listener4);
	close(l.listener6);
	for (size_t i = 0; i < 2; i++) {
		netns_enter(l.client);
		int fd = interceptor_bound(ends[i][0], 0);
		assert_int_equal(interceptor_try(fd, ends[i][1], INTERCEPTOR_WEB), -1);
		close(fd);
		netns_enter(l.gate);
	}
	l.listener4 = l.listener6 = -1;
	interceptor_close(&l);
}

/* Nothing more is taken, and what was taken goes on. */
static void test_a_reload_without_transparent_rules(void **state)
{
	struct interceptor l = interceptor_open();
	const struct tproxy_plan nothing =
		interceptor_plan(&interceptor_gate_policy, interceptor_transparent);

	(void)state;
	interceptor_apply(l.t, &interceptor_web_policy);
	int theirs = interceptor_connect(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB);
	int ours = netns_accept(l.listener4);
	interceptor_apply_plan(l.t, &nothing);
	interceptor_check_crosses(theirs, ours);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB, l.web4);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER6, INTERCEPTOR_WEB, l.web6);
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_both_ways(&l);
	interceptor_check_crosses(theirs, ours);
	close(theirs);
	close(ours);
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
	close(theirs);
	netns_enter(l.gate);
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_both_ways(&l);
	interceptor_close(&l);
}

static void test_routing_is_watched(void **state)
{
	(void)state;
	close(netns_new());
	struct tproxy *t = interceptor_table();
	struct pollfd watch = {.fd = tproxy_watch_fd(t), .events = POLLIN};
	assert_int_not_equal(watch.fd, -1);
	assert_int_equal(tproxy_watch_fd(t), watch.fd);
	interceptor_apply(t, &interceptor_web_policy);
	netns_sh("ip rule add pref 7 nop");
	assert_int_equal(poll(&watch, 1, 1000), 1);
	assert_false(tproxy_watch_read(t));
	assert_int_equal(poll(&watch, 1, 0), 0);
	for (int i = 0; i < 2; i++) {
		netns_sh("ip %s rule del pref 523", i == 0 ? "-4" : "-6");
		assert_int_equal(poll(&watch, 1, 1000), 1);
		assert_true(tproxy_watch_read(t));
		assert_false(tproxy_intact(t));
		interceptor_apply(t, &interceptor_web_policy);
	}
	interceptor_take_away(t);
}

static void note_warning(void *arg, const char *sentence)
{
	unsigned *said = arg;

	*said += strstr(sentence, "change [netfilter] tproxy_mark") != NULL;
}

static bool warned(struct ruleset *r, uint32_t mark)
{
	unsigned said = 0;

	ruleset_survey(r, INTERCEPTOR_GATE_MARK, mark, note_warning, &said);
	return said > 0;
}

/* Who else writes the bit; the table itself does not count. */
static void test_others_use_of_the_mark(void **state)
{
	static const char *const harmless[] = {
		"iptables -t mangle -A PREROUTING -j MARK --set-mark 0x1/0x1",
		"iptables -t mangle -A PREROUTING -j CONNMARK --set-mark 0x2000",
		"iptables -t mangle -A PREROUTING -j CONNMARK --save-mark",
		("nft 'table inet a { chain c { meta mark set meta mark or 0x40; "
		 "ct mark set 0x2000; }; }'"),
	};
	static const char *const harmful[] = {
		"iptables -t mangle -A PREROUTING -j MARK --set-mark 0x2000/0x2000",
		"iptables -t mangle -A PREROUTING -j CONNMARK --restore-mark",
		"nft 'table inet b { chain c { meta mark set 0xffff; }; }'",
		"nft 'table inet b { chain c { meta mark set ct mark; }; }'",
	};
	char why[WHY];

	(void)state;
	close(netns_new());
	struct tproxy *t = interceptor_table();
	struct ruleset *r = ruleset_open(NULL, run_program, NULL, why, sizeof(why));
	assert_non_null(r);
	interceptor_apply(t, &interceptor_web_policy);
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		netns_sh("%s", harmless[i]);
	assert_false(warned(r, INTERCEPTOR_MARK));
	for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++) {
		netns_sh("%s", harmful[i]);
		assert_true(warned(r, INTERCEPTOR_MARK));
		assert_false(warned(r, 0));
		netns_sh("iptables -t mangle -F; nft 'add table inet b; delete table inet b'");
	}
	ruleset_close(r);
	netns_sh("nft flush ruleset");
	interceptor_take_away(t);
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
		cmocka_unit_test(test_a_killed_process_that_closes_the_gate),
		cmocka_unit_test(test_a_reload_without_transparent_rules),
		cmocka_unit_test(test_what_others_take_is_missed),
		cmocka_unit_test(test_nothing_passes_without_routing),
		cmocka_unit_test(test_routing_is_watched),
		cmocka_unit_test(test_others_use_of_the_mark),
		cmocka_unit_test(test_refusals_leave_nothing),
		cmocka_unit_test(test_a_host_without_ipv6),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
