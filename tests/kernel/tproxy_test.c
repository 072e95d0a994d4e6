/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which connections a real kernel leads to the gateway's own sockets, and which not. */
#include "config.h"

#include "interceptor.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	CLIENT_PORT = 40000
};

static const struct port_range ssh[] = {{INTERCEPTOR_SSH, INTERCEPTOR_SSH}};
static const struct port_range web[] = {{INTERCEPTOR_WEB, INTERCEPTOR_WEB}};

/* What stands before is none of the second rule's, which takes all that is left. */
static const struct policy_rule accept_ssh_first[] = {
	{.name = "ssh", .mode = MODE_ACCEPT, .enforce = true, .port = ssh, .port_count = 1},
	{.name = "all", .slot = 1, .mode = MODE_SPLICE, .enforce = true},
};
/* A later rule is not to take what the first has no listener for. */
static const struct policy_rule web_twice[] = {
	{.name = "web", .mode = MODE_SPLICE, .enforce = true, .port = web, .port_count = 1},
	{.name = "rest", .slot = 1, .mode = MODE_SPLICE, .enforce = true},
};
static const struct policy ssh_policy = {.rules = accept_ssh_first, .rule_count = 2};
static const struct policy twice_policy = {.rules = web_twice, .rule_count = 2};
static const struct config_splice as_client[] = {{.source = SOURCE_CLIENT}};
static const struct tproxy_ports dead_first[] = {
	{INTERCEPTOR_LISTENER + 1, INTERCEPTOR_LISTENER + 1},
	{INTERCEPTOR_LISTENER, INTERCEPTOR_LISTENER}};

static void test_taken_and_opened_as_the_client(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB, l.web4);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER6, INTERCEPTOR_WEB, l.web6);
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_both_ways(&l);
	/* Nobody has to be there. */
	interceptor_check_taken(&l, INTERCEPTOR_CLIENT4, "192.0.2.99", INTERCEPTOR_WEB);
	interceptor_close(&l);
}

/* As wg-quick has it: the way back to a source is looked up by the packet's mark. */
static void test_return_paths_are_looked_up_by_mark(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	interceptor_apply(l.t, &interceptor_web_policy);
	netns_sh("echo 1 >/proc/sys/net/ipv4/conf/all/src_valid_mark");
	interceptor_check_both_ways(&l);
	interceptor_close(&l);
}

/* Nobody takes anything, but answers to the client's address come to us. */
static void test_source_client_alone(void **state)
{
	struct interceptor l = interceptor_open();
	const struct tproxy_plan plan = interceptor_plan(&interceptor_web_policy, as_client);

	(void)state;
	interceptor_apply_plan(l.t, &plan);
	interceptor_check_as_client(INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4, l.web4);
	interceptor_check_as_client(INTERCEPTOR_CLIENT6, INTERCEPTOR_SERVER6, l.web6);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB, l.web4);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER6, INTERCEPTOR_WEB, l.web6);
	interceptor_close(&l);
}

/* What the path says of such a connection is for us, too. */
static void test_icmp_errors_come_to_us(void **state)
{
	static const char *const ends[][2] = {{INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4},
		{INTERCEPTOR_CLIENT6, INTERCEPTOR_SERVER6}};
	struct interceptor l = interceptor_open();

	(void)state;
	netns_enter(l.server);
	netns_sh("iptables -A INPUT -p tcp --dport 80 -j REJECT && "
		 "ip6tables -A INPUT -p tcp --dport 80 -j REJECT");
	netns_enter(l.gate);
	interceptor_apply(l.t, &interceptor_web_policy);
	for (size_t i = 0; i < 2; i++) {
		int ours = interceptor_bound(ends[i][0], 0);
		assert_int_equal(interceptor_try(ours, ends[i][1], INTERCEPTOR_WEB), ECONNREFUSED);
		close(ours);
	}
	interceptor_close(&l);
}

static void test_the_first_rule_decides(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	netns_enter(l.server);
	int ssh4 = netns_listen(INTERCEPTOR_SERVER4, INTERCEPTOR_SSH);
	int ssh6 = netns_listen(INTERCEPTOR_SERVER6, INTERCEPTOR_SSH);
	netns_enter(l.gate);
	interceptor_apply(l.t, &ssh_policy);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_SSH, ssh4);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER6, INTERCEPTOR_SSH, ssh6);
	interceptor_check_both_ways(&l);
	close(ssh4);
	close(ssh6);
	interceptor_close(&l);
}

static void test_what_is_for_this_host_is_left_alone(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	int own4 = netns_listen(INTERCEPTOR_GATE4, INTERCEPTOR_WEB);
	int own6 = netns_listen(INTERCEPTOR_GATE6, INTERCEPTOR_WEB);
	interceptor_apply(l.t, &ssh_policy);
	interceptor_check_forwarded(&l, INTERCEPTOR_GATE4, INTERCEPTOR_WEB, own4);
	interceptor_check_forwarded(&l, INTERCEPTOR_GATE6, INTERCEPTOR_WEB, own6);
	close(own4);
	close(own6);
	interceptor_close(&l);
}

/* What we inject carries the gate's mark. */
static void test_injected_packets_are_left_alone(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	netns_sh("nft 'table inet t { chain p { type filter hook prerouting priority -300; "
		 "meta mark set 0x40; }; }'");
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB, l.web4);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER6, INTERCEPTOR_WEB, l.web6);
	interceptor_close(&l);
}

static void test_standing_connections_stand(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	int theirs = interceptor_connect(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB);
	int far = netns_accept(l.web4);
	interceptor_apply(l.t, &ssh_policy);
	interceptor_check_crosses(theirs, far);
	/* And what was taken goes on whatever the rules say. */
	int taken = interceptor_connect(&l, INTERCEPTOR_SERVER6, INTERCEPTOR_WEB);
	int ours = netns_accept(l.listener6);
	const struct tproxy_plan plan = interceptor_plan(&interceptor_web_policy, as_client);
	interceptor_apply_plan(l.t, &plan);
	interceptor_check_crosses(taken, ours);
	interceptor_check_crosses(theirs, far);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER6, INTERCEPTOR_WEB, l.web6);
	close(taken);
	close(ours);
	close(theirs);
	close(far);
	interceptor_close(&l);
}

/* A listener at all addresses serves as well, and attracts nothing. */
static void test_a_listener_at_all_addresses(void **state)
{
	struct interceptor l = interceptor_open_at("0.0.0.0", "::");

	(void)state;
	netns_enter(l.server);
	int same_port = netns_listen(INTERCEPTOR_SERVER4, INTERCEPTOR_LISTENER);
	netns_enter(l.gate);
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_both_ways(&l);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_LISTENER, same_port);
	close(same_port);
	interceptor_close(&l);
}

/* The client comes back on the ports of a connection that the gateway has closed. */
static void test_a_syn_on_time_wait(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	interceptor_apply(l.t, &interceptor_web_policy);
	for (int i = 0; i < 2; i++) {
		netns_enter(l.client);
		int theirs = interceptor_bound(INTERCEPTOR_CLIENT4, CLIENT_PORT);
		assert_int_equal(interceptor_try(theirs, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB), 0);
		netns_enter(l.gate);
		int ours = netns_accept(l.listener4);
		interceptor_check_crosses(theirs, ours);
		close(ours);
		struct pollfd end = {.fd = theirs, .events = POLLIN};
		assert_int_equal(poll(&end, 1, 1000), 1);
		close(theirs);
	}
	interceptor_close(&l);
}

/* A rule whose listener is gone leaves its connections to nobody else. */
static void test_a_later_rule_takes_nothing_of_an_earlier(void **state)
{
	struct interceptor l = interceptor_open();
	struct tproxy_plan plan = interceptor_plan(&twice_policy, interceptor_transparent);

	(void)state;
	plan.ports = dead_first;
	interceptor_apply_plan(l.t, &plan);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB, l.web4);
	interceptor_check_taken(&l, INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4, INTERCEPTOR_SSH);
	interceptor_close(&l);
}

/* A rule means the address after DNAT, and the client sees that before it. */
static void test_others_dnat(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	netns_sh("iptables -t nat -A PREROUTING -p tcp -d 198.51.100.9 --dport 8080 -j DNAT "
		 "--to-destination " INTERCEPTOR_SERVER4 ":80");
	netns_sh("iptables -t nat -A POSTROUTING -o g1 -j MASQUERADE");
	interceptor_apply(l.t, &interceptor_web_policy);
	int theirs = interceptor_connect(&l, "198.51.100.9", 8080);
	int ours = netns_accept(l.listener4);
	interceptor_check_ends(ours, INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB);
	interceptor_check_crosses(theirs, ours);
	close(theirs);
	close(ours);
	/* Masquerading hides the client's address, as it would without us; answers come back. */
	ours = interceptor_bound(INTERCEPTOR_CLIENT4, 0);
	assert_int_equal(interceptor_try(ours, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB), 0);
	int far = netns_accept(l.web4);
	interceptor_check_ends(far, "10.2.0.1", INTERCEPTOR_SERVER4, INTERCEPTOR_WEB);
	interceptor_check_crosses(ours, far);
	close(ours);
	close(far);
	interceptor_close(&l);
}

/* Then the connection is for this host. */
static void test_others_redirect(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	int own = netns_listen(INTERCEPTOR_GATE4, INTERCEPTOR_SSH);
	netns_sh("iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports %d",
		INTERCEPTOR_SSH);
	interceptor_apply(l.t, &twice_policy);
	interceptor_check_forwarded(&l, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB, own);
	close(own);
	interceptor_close(&l);
}

/* The mark that others restore on what we send does not turn it back. */
static void test_a_mark_that_others_restore(void **state)
{
	struct interceptor l = interceptor_open();

	(void)state;
	netns_sh("iptables -t mangle -A INPUT -j CONNMARK --save-mark");
	netns_sh("iptables -t mangle -A OUTPUT -j CONNMARK --restore-mark");
	interceptor_apply(l.t, &interceptor_web_policy);
	interceptor_check_taken(&l, INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4, INTERCEPTOR_WEB);
	interceptor_check_as_client(INTERCEPTOR_CLIENT4, INTERCEPTOR_SERVER4, l.web4);
	interceptor_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_and_opened_as_the_client),
		cmocka_unit_test(test_return_paths_are_looked_up_by_mark),
		cmocka_unit_test(test_source_client_alone),
		cmocka_unit_test(test_icmp_errors_come_to_us),
		cmocka_unit_test(test_the_first_rule_decides),
		cmocka_unit_test(test_what_is_for_this_host_is_left_alone),
		cmocka_unit_test(test_injected_packets_are_left_alone),
		cmocka_unit_test(test_standing_connections_stand),
		cmocka_unit_test(test_a_listener_at_all_addresses),
		cmocka_unit_test(test_a_syn_on_time_wait),
		cmocka_unit_test(test_a_later_rule_takes_nothing_of_an_earlier),
		cmocka_unit_test(test_others_dnat),
		cmocka_unit_test(test_others_redirect),
		cmocka_unit_test(test_a_mark_that_others_restore),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
