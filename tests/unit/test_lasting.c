/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is in the lasting table for which policy. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/lasting.h"
#include "kernel/lasting_render.h"

#include <stdlib.h>

enum {
	LINES = 10
};

static const struct port_range web[] = {{80, 80}};
static const struct port_range ssh[] = {{22, 22}};
static const struct port_range mail[] = {{25, 25}};
static const char eth0[][POLICY_IFNAME] = {"eth0"};
static const char only_lo[][POLICY_IFNAME] = {"lo"};

static const struct policy_rule rules[] = {
	{.name = "ssh",
		.mode = MODE_ACCEPT,
		.enforce = true,
		.interface = eth0,
		.interface_count = 1,
		.port = ssh,
		.port_count = 1},
	{.name = "mail", .slot = 1, .mode = MODE_GATE, .port = mail, .port_count = 1},
	{.name = "web",
		.slot = 2,
		.mode = MODE_GATE,
		.enforce = true,
		.port = web,
		.port_count = 1},
	{.name = "rest", .slot = 3, .mode = MODE_DROP, .enforce = true},
};
static const struct policy policy = {.rules = rules, .rule_count = 4, .by_interface = true};

static void check(const struct policy *p, bool translate, const char *const has[LINES],
	const char *const lacks[LINES])
{
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	assert_int_equal(lasting_print(p, translate, to), 0);
	assert_int_equal(fclose(to), 0);
	for (size_t i = 0; i < LINES && has[i] != NULL; i++)
		if (strstr(text, has[i]) == NULL)
			fail_msg("lacks\n%s", has[i]);
	for (size_t i = 0; i < LINES && lacks[i] != NULL; i++)
		if (strstr(text, lacks[i]) != NULL)
			fail_msg("has\n%s", lacks[i]);
	free(text);
}

/* What asks something of us, by the first rule that it falls under. */
static void blocked_sources_are_dropped_where_rules_judge(void **state)
{
	static const char *const has[LINES] = {
		"add table inet ackgate_lasting\nflush table inet ackgate_lasting\n",
		"set block4 {\n\t\ttype ipv4_addr; flags interval,timeout;\n\t}\n",
		"set block6 {\n\t\ttype ipv6_addr; flags interval,timeout;\n\t}\n",
		"chain blocked_input {\n"
		"\t\ttype filter hook input priority -160; policy accept;\n"
		"\t\tiifname \"lo\" return\n"
		"\t\tct direction reply return\n"
		"\t\tmeta l4proto != tcp return\n"
		"\t\tip saddr @block4 goto blocked\n"
		"\t\tip6 saddr @block6 goto blocked\n\t}\n",
		"chain blocked_forward {\n"
		"\t\ttype filter hook forward priority -160; policy accept;\n"
		"\t\tct direction reply return\n"
		"\t\tmeta l4proto != tcp return\n"
		"\t\tip saddr @block4 goto blocked\n",
		"chain blocked {\n"
		"\t\tiifname { \"eth0\" } tcp dport { 22 } return\n"
		"\t\ttcp dport { 25 } counter return comment \"ackgate:observed:blocked:1\"\n"
		"\t\ttcp dport { 80 } counter drop comment \"ackgate:drop:blocked:2\"\n"
		"\t\tcounter drop comment \"ackgate:drop:blocked:3\"\n\t}\n",
	};
	static const char *const lacks[LINES] = {"synproxy", "invalid_", "priority 160"};

	(void)state;
	check(&policy, false, has, lacks);
}

static void a_rule_may_name_lo(void **state)
{
	static const char *const has[LINES] = {
		"priority -160; policy accept;\n\t\tct direction reply return\n"
		"\t\tmeta l4proto != tcp return\n\t\tip saddr @block4 goto blocked\n",
		"iifname { \"lo\" } counter drop comment \"ackgate:drop:blocked:0\"\n"
		"\t\tiifname != \"lo\" tcp dport { 80 } counter drop comment "
		"\"ackgate:drop:blocked:1\"\n",
	};
	static const char *const lacks[LINES] = {"ifname \"lo\" return"};
	const struct policy_rule local[] = {
		{.mode = MODE_GATE, .enforce = true, .interface = only_lo, .interface_count = 1},
		{.slot = 1, .mode = MODE_GATE, .enforce = true, .port = web, .port_count = 1},
	};
	const struct policy naming = {.rules = local, .rule_count = 2, .by_interface = true};

	(void)state;
	check(&naming, true, has, lacks);
}

/* Of services that give cookies; what may belong to a handshake is let by. */
static void what_is_not_translated_goes_nowhere(void **state)
{
	static const char *const has[LINES] = {
		"\tsynproxy translation {\n\t\tmss 1460\n\t\twscale 7\n\t\ttimestamp "
		"sack-perm\n\t}\n",
		"type filter hook input priority 160; policy accept;\n"
		"\t\tct state invalid goto invalid_clients\n",
		"type filter hook forward priority 160; policy accept;\n"
		"\t\tct state invalid goto invalid_either\n",
		"type filter hook output priority 160; policy accept;\n"
		"\t\tct state invalid goto invalid_servers\n",
		"chain invalid_clients {\n"
		"\t\tiifname \"lo\" return\n"
		"\t\tiifname { \"eth0\" } tcp dport { 22 } return\n"
		"\t\ttcp dport { 25 } return\n"
		"\t\ttcp flags & (syn | rst) == 0x0 tcp dport { 80 } counter drop comment "
		"\"ackgate:drop:out_of_window:2\"\n\t}\n",
		"chain invalid_servers {\n"
		"\t\toifname \"lo\" return\n"
		"\t\ttcp sport { 25 } return\n"
		"\t\ttcp flags & (syn) == 0x0 tcp sport { 80 } counter drop comment "
		"\"ackgate:drop:out_of_window:2\"\n\t}\n",
		"dport { 80 } counter drop comment \"ackgate:drop:out_of_window:2\"\n"
		"\t\ttcp sport { 25 } return\n"
		"\t\ttcp flags & (syn) == 0x0 tcp sport { 80 } counter drop",
	};
	static const char *const lacks[LINES] = {"out_of_window:3", "out_of_window:1"};

	(void)state;
	check(&policy, true, has, lacks);
}

/* Nothing that stands is touched. */
static void the_object_is_not_added_again(void **state)
{
	const struct lasting_parts again = {
		.translate = true, .block = true, .guard = true, .object_there = true};
	const struct lasting_parts first = {.translate = true, .block = true, .guard = true};
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	assert_non_null(to);
	long count = lasting_render(to, "inet t", &policy, again);
	assert_int_equal(fclose(to), 0);
	assert_null(strstr(text, "synproxy"));
	assert_non_null(strstr(text, "chain invalid_forward {"));
	free(text);
	to = fopen("/dev/null", "w");
	assert_non_null(to);
	assert_int_equal(lasting_render(to, "inet t", &policy, first), count);
	fclose(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocked_sources_are_dropped_where_rules_judge),
		cmocka_unit_test(a_rule_may_name_lo),
		cmocka_unit_test(what_is_not_translated_goes_nowhere),
		cmocka_unit_test(the_object_is_not_added_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
