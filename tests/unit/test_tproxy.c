/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is in the table of transparent interception for which rules. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/tproxy.h"
#include "kernel/tproxy_render.h"

#include <stdlib.h>

enum {
	MARK = 0x2000,
	GATE_MARK = 0x40
};

#define V4(d)                                                                                      \
	{                                                                                          \
		.b = { [10] = 0xff, [11] = 0xff, 192, 0, 2, d }                                    \
	}
#define V6(d)                                                                                      \
	{                                                                                          \
		.b = { 0x20, 0x01, 0x0d, 0xb8, [15] = d }                                          \
	}

static const struct port_range web[] = {{80, 80}, {8000, 8080}};
static const struct port_range ssh[] = {{22, 22}};
static const struct addr_range from_v4[] = {{V4(0), V4(255)}};
static const struct addr_range to_v4[] = {{V4(7), V4(7)}};
static const struct addr_range to_both[] = {{V4(7), V4(7)}, {V6(7), V6(9)}};
static const char lan[][POLICY_IFNAME] = {"eth0", "eth1"};

#define SPLICE(r) .slot = (r), .mode = MODE_SPLICE, .enforce = true
#define BASE                                                                                       \
	"\tchain belonging {\n"                                                                    \
	"\t\tsocket wildcard 1 return\n"                                                           \
	"\t\tmeta mark set meta mark | 0x00002000\n\t}\n"                                          \
	"\tchain prerouting {\n"                                                                   \
	"\t\ttype filter hook prerouting priority -95; policy accept;\n"                           \
	"\t\ttcp flags & (fin | syn | rst | ack) == syn fib daddr type != local goto arriving\n"   \
	"\t\tmeta l4proto { tcp, icmp, ipv6-icmp } socket transparent 1 goto belonging\n\t}\n}\n"
#define ARRIVING                                                                                   \
	"\tchain arriving {\n"                                                                     \
	"\t\tiifname \"lo\" return\n"                                                              \
	"\t\tmeta mark & 0x00000040 == 0x00000040 return\n"
#define TAKE4  "\t\tmeta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:"
#define TAKE6  "\t\tmeta nfproto ipv6 meta l4proto tcp tproxy ip6 to [::1]:"
#define MARKED " meta mark set meta mark | 0x00002000 accept\n"

static const struct config_splice transparent[] = {
	{.transparent = true}, {.transparent = true}, {.transparent = true}, {.transparent = true}};
static const struct tproxy_ports ports[] = {{7001, 7061}, {7002, 7062}, {7003, 7063}, {7004, 0}};

static long render(const struct policy_rule *rules, size_t count,
	const struct config_splice *splices, const struct tproxy_ports *at, char **text)
{
	const struct policy p = {.rules = rules, .rule_count = count};
	const struct tproxy_plan plan = {.policy = &p,
		.splices = splices,
		.mark = MARK,
		.gate_mark = GATE_MARK,
		.fail_open = true,
		.ports = at};
	size_t size;
	FILE *to = open_memstream(text, &size);

	assert_non_null(to);
	long written = tproxy_render(to, "inet t", &plan);
	assert_int_equal(fclose(to), 0);
	return written;
}

static void check(const struct policy_rule *rules, size_t count,
	const struct config_splice *splices, long wanted_rules, const char *wanted)
{
	char *text;

	assert_int_equal(render(rules, count, splices, ports, &text), wanted_rules);
	assert_string_equal(text, wanted);
	free(text);
}

static void one_rule_takes_all(void **state)
{
	const struct policy_rule rules[] = {{.name = "all", SPLICE(4)}};

	(void)state;
	check(rules, 1, transparent, 9,
		"table inet t {\n\t# rule all\n\tchain rule4_listener {\n" TAKE4 "7001" MARKED TAKE6
		"7061" MARKED "\t}\n" ARRIVING "\t\tgoto rule4_listener\n\t}\n" BASE);
}

/* The first match decides; what no rule can take is not asked about. */
static void earlier_rules_keep_what_is_theirs(void **state)
{
	const struct policy_rule rules[] = {
		{.name = "ssh", .mode = MODE_ACCEPT, .port = ssh, .port_count = 1},
		{.name = "a", SPLICE(1), .port = web, .port_count = 2},
		{.name = "b", .slot = 2, .mode = MODE_DROP, .to = to_both, .to_count = 2},
		{.name = "c",
			SPLICE(3),
			.interface = lan,
			.interface_count = 2,
			.from = from_v4,
			.from_count = 1,
			.to = to_v4,
			.to_count = 1},
		{.name = "rest", .slot = 5, .mode = MODE_REJECT},
	};

	(void)state;
	check(rules, 5,
		(const struct config_splice[]){
			{0}, {.transparent = true}, {0}, {.transparent = true}, {0}},
		14,
		"table inet t {\n\t# rule a\n\tchain rule1_listener {\n" TAKE4 "7002" MARKED TAKE6
		"7062" MARKED "\t}\n\t# rule c\n\tchain rule3_listener {\n" TAKE4 "7004" MARKED
		"\t}\n" ARRIVING "\t\ttcp dport { 22 } return\n"
		"\t\ttcp dport { 80, 8000-8080 } goto rule1_listener\n"
		"\t\tip daddr { 192.0.2.7 } return\n"
		"\t\tip6 daddr { 2001:db8::7-2001:db8::9 } return\n"
		"\t\tiifname { \"eth0\", \"eth1\" } ip saddr { 192.0.2.0/24 } "
		"ip daddr { 192.0.2.7 } goto rule3_listener\n\t}\n" BASE);
}

/* A rule that listens concerns this host alone, whatever else it matches. */
static void rules_that_listen_take_nothing(void **state)
{
	const struct policy_rule rules[] = {
		{.name = "listens", SPLICE(0)}, {.name = "takes", SPLICE(1)}};

	(void)state;
	check(rules, 2, (const struct config_splice[]){{0}, {.transparent = true}}, 9,
		"table inet t {\n\t# rule takes\n\tchain rule1_listener {\n" TAKE4
		"7002" MARKED TAKE6 "7062" MARKED "\t}\n" ARRIVING
		"\t\tgoto rule1_listener\n\t}\n" BASE);
}

/* Of families that have a listener alone: it is gone then. */
static void a_failure_may_close_the_gate(void **state)
{
	static const struct policy_rule rules[] = {
		{.name = "both", SPLICE(0), .port = web, .port_count = 2},
		{.name = "one", SPLICE(1)}};
	const struct policy p = {.rules = rules, .rule_count = 2};
	const struct tproxy_plan plan = {.policy = &p,
		.splices = transparent,
		.mark = MARK,
		.gate_mark = GATE_MARK,
		.ports = &ports[2]};
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	assert_non_null(to);
	assert_int_equal(tproxy_render(to, "inet t", &plan), 14);
	assert_int_equal(fclose(to), 0);
	assert_non_null(strstr(text, TAKE4 "7003" MARKED "\t\tmeta nfproto ipv4 drop\n" TAKE6
					   "7063" MARKED "\t\tmeta nfproto ipv6 drop\n\t}\n"));
	assert_non_null(strstr(text, TAKE4 "7004" MARKED "\t\tmeta nfproto ipv4 drop\n\t}\n"));
	free(text);
}

/* Answers to the client's address come to us, and nothing is taken. */
static void source_client_alone(void **state)
{
	const struct policy_rule rules[] = {{.name = "ssh", .mode = MODE_ACCEPT},
		{.name = "as client", SPLICE(1)}, {.name = "rest", .slot = 2, .mode = MODE_DROP}};

	(void)state;
	check(rules, 3, (const struct config_splice[]){{0}, {.source = SOURCE_CLIENT}, {0}}, 6,
		"table inet t {\n" ARRIVING "\t}\n" BASE);
}

static void what_wants_it(void **state)
{
	const struct policy_rule rules[] = {
		{.name = "gate", .mode = MODE_GATE}, {.name = "splice", SPLICE(1)}};
	const struct policy gate = {.rules = rules, .rule_count = 1};
	const struct policy both = {.rules = rules, .rule_count = 2};

	(void)state;
	assert_false(tproxy_wanted(&gate, transparent));
	assert_true(tproxy_wanted(&both, transparent));
	assert_true(tproxy_wanted(
		&both, (const struct config_splice[]){{0}, {.source = SOURCE_CLIENT}}));
	assert_false(
		tproxy_wanted(&both, (const struct config_splice[]){{.transparent = true}, {0}}));
	assert_false(
		tproxy_wanted(&both, (const struct config_splice[]){{0}, {.source = SOURCE_LIST}}));
}

static char *printed(const struct policy *p, const struct tproxy_ports *at)
{
	const struct tproxy_plan plan = {.policy = p,
		.splices = transparent,
		.mark = MARK,
		.gate_mark = GATE_MARK,
		.fail_open = true,
		.ports = at};
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	assert_int_equal(tproxy_print(&plan, to), 0);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void printed_as_nft_takes_it(void **state)
{
	static const char *const has[] = {
		"# ip rule add pref 521 protocol 172 iif lo fwmark 0x2000/0x2000 goto 523\n"
		"# ip rule add pref 522 protocol 172 fwmark 0x2000/0x2000 lookup 5200\n"
		"# ip rule add pref 523 protocol 172 nop\n"
		"# ip route add local default dev lo table 5200 protocol 172\n"
		"# ip -6 rule add pref 521 ",
		("add table inet ackgate_tproxy\nflush table inet ackgate_tproxy\n"
		 "table inet ackgate_tproxy {\n"),
		"\t\t# meta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:LISTENER meta",
		"\t\t# meta nfproto ipv6 meta l4proto tcp tproxy ip6 to [::1]:LISTENER meta mark",
		"\t\tgoto rule1_listener\n",
	};
	const struct policy_rule rules[] = {
		{.name = "gate", .mode = MODE_GATE, .port = ssh, .port_count = 1},
		{.name = "splice", SPLICE(1)}};
	const struct policy gate = {.rules = rules, .rule_count = 1};
	const struct policy both = {.rules = rules, .rule_count = 2};

	(void)state;
	char *text = printed(&gate, NULL);
	assert_string_equal(text, "");
	free(text);
	text = printed(&both, NULL);
	for (size_t i = 0; i < sizeof(has) / sizeof(has[0]); i++)
		if (strstr(text, has[i]) == NULL)
			fail_msg("lacks\n%s", has[i]);
	free(text);
	text = printed(&both, ports);
	assert_non_null(strstr(text, TAKE4 "7002" MARKED));
	assert_null(strstr(text, "LISTENER"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_rule_takes_all),
		cmocka_unit_test(earlier_rules_keep_what_is_theirs),
		cmocka_unit_test(rules_that_listen_take_nothing),
		cmocka_unit_test(a_failure_may_close_the_gate),
		cmocka_unit_test(source_client_alone),
		cmocka_unit_test(what_wants_it),
		cmocka_unit_test(printed_as_nft_takes_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
