/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policies as data, and what must be in the rules that come of them, by nftables and by iptables.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/ruleset.h"

#include <stdlib.h>

#define V4(...)                                                                                    \
	{                                                                                          \
		.b = { [10] = 0xff, 0xff, __VA_ARGS__ }                                            \
	}

enum {
	LINES = 15,
	RULES = 3,
	MARK = 0x40000000
};

static const struct port_range web[] = {{80, 80}, {443, 443}};
static const struct port_range ssh[] = {{22, 22}};
/* 16 places of multiport: one more than a rule takes. */
static const struct port_range many[] = {
	{1, 2}, {4, 5}, {7, 8}, {10, 11}, {13, 14}, {16, 17}, {19, 20}, {22, 23}};
static const struct addr_range one4[] = {{V4(10, 0, 0, 1), V4(10, 0, 0, 1)}};
static const struct addr_range two4[] = {
	{V4(10, 0, 0, 0), V4(10, 0, 0, 255)},
	{V4(10, 1, 0, 1), V4(10, 1, 0, 3)},
};
static const struct addr_range one6[] = {{{.b = {0xfd, [15] = 1}}, {.b = {0xfd, [15] = 1}}}};
static const char eth0[][POLICY_IFNAME] = {"eth0"};
static const char only_lo[][POLICY_IFNAME] = {"lo"};

struct scenario {
	const char *name;
	struct policy_rule rules[RULES];
	bool fail_open;
	unsigned workers;
	struct {
		const char *has[LINES];
		const char *lacks[LINES];
	} nft, iptables;
};

static const struct scenario scenarios[] = {
	{
		.name = "a gate",
		.workers = 1,
		.rules = {{.name = "web",
			.mode = MODE_GATE,
			.enforce = true,
			.port = web,
			.port_count = 2}},
		.nft.has =
			{
				"type filter hook forward priority 50",
				/* what we inject, but for our own SYNs */
				"chain raw_output {\n"
				"\t\ttype filter hook output priority -300; policy accept;\n"
				"\t\tmeta mark & 0x40000000 == 0x40000000 goto raw_injected\n",
				"chain raw_prerouting {\n"
				"\t\ttype filter hook prerouting priority -300; policy accept;\n"
				"\t\tmeta mark & 0x40000000 == 0x40000000 iifname \"lo\" goto "
				"raw_injected\n",
				"chain raw_injected {\n"
				"\t\ttcp flags & (syn) == 0x0 notrack\n"
				"\t\ttcp flags & (syn | ack) == syn | ack notrack\n"
				"\t\ticmp type destination-unreachable icmp code frag-needed "
				"notrack\n"
				"\t\ticmpv6 type packet-too-big notrack\n\t}\n",
				/* the answers to a flood */
				"0x40000000 tcp flags & (syn | rst) == 0x0 return\n"
				"\t\tmeta mark & 0x40000000 == 0x00000000 ct mark & 0x40000000 == "
				"0x00000000 ct state established,related ct direction original "
				"return\n"
				"\t\tmeta mark & 0x40000000 == 0x40000000 tcp flags & (syn | ack) "
				"== syn | ack return\n"
				"\t\tmeta l4proto != tcp ct direction reply goto icmp_errors\n",
				/* first what there is most of */
				"type filter hook forward priority 50; policy accept;\n"
				"\t\tmeta mark & 0x40000000 == 0x00000000 ct mark & 0x40000000 == "
				"0x40000000 tcp flags & (syn | rst) == 0x0 return\n",
				"meta mark & 0x40000000 == 0x40000000 tcp flags & (syn) == 0x0 "
				"goto admit\n",
				"ct mark & 0x40000000 == 0x40000000 tcp flags & (syn) == 0x0 "
				"return\n",
				"\t\ttcp dport { 80, 443 } goto rule0_client\n",
				"\t\ttcp sport { 80, 443 } goto rule0_server\n",
				"meta mark set meta mark & 0xbfffffff\n\t\tqueue num 5200\n",
				/* a standing connection is asked about, but never cut */
				"ct mark & 0x40000000 == 0x40000000 tcp flags & (fin | syn | rst | "
				"ack) == "
				"syn | ack goto ask_server_open\n",
				/* what a server says is not behind a flood of SYNs */
				"chain ask_server {\n"
				"\t\tmeta mark set meta mark & 0xbfffffff\n"
				"\t\tct mark & 0x40000000 == 0x40000000 tcp flags & (syn) == syn "
				"meta mark set meta mark | 0x40000000\n"
				"\t\ttcp flags & (syn) == 0x0 oifname != \"lo\" "
				"meta mark set meta mark | 0x40000000\n"
				"\t\tqueue num 5204\n",
				"tcp flags & (fin | rst) == fin | rst counter drop comment "
				"\"ackgate:drop:bad_flags:0\"",
				"ct state new counter drop comment \"ackgate:drop:no_flow:0\"",
			},
		.nft.lacks = {"full_", "goto pass", "refused", "5201", "early", "ask_dnat"},
		.iptables.has =
			{
				"-A ACKGATE_INPUT -p tcp -m multiport --dports 80,443 -g "
				"ACKGATE_RULE0_CLIENT\n",
				"-A ACKGATE_REPLIES -p tcp -m multiport --sports 80,443 -g "
				"ACKGATE_RULE0_SERVER\n",
				"-A ACKGATE_ASK -j NFQUEUE --queue-num 5200\n",
				"-A ACKGATE_ADMIT -j CONNMARK --set-xmark 0x40000000/0x40000000\n",
				"-A ACKGATE_RULE0_CLIENT -m conntrack --ctstate NEW -m comment "
				"--comment "
				"\"ackgate:drop:no_flow:0\" -j DROP\n",
				"-A ACKGATE_ICMP_ERRORS -p ipv6-icmp -m icmp6 --icmpv6-type 1 ",
				"-A PREROUTING -j ACKGATE_RAW_PREROUTING\n",
				"-A ACKGATE_RAW_OUTPUT -m mark --mark 0x40000000/0x40000000 -g "
				"ACKGATE_RAW_INJECTED\n",
				"-A ACKGATE_RAW_PREROUTING -i lo -m mark --mark "
				"0x40000000/0x40000000 -g ACKGATE_RAW_INJECTED\n",
				"-A ACKGATE_RAW_INJECTED -p tcp -m tcp --tcp-flags SYN NONE -j CT "
				"--notrack\n"
				"-A ACKGATE_RAW_INJECTED -p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK "
				"-j CT --notrack\n",
				"-A ACKGATE_FORWARD -p tcp -m mark --mark 0x0/0x40000000 -m "
				"connmark --mark 0x40000000/0x40000000 -m tcp --tcp-flags SYN,RST "
				"NONE -j RETURN\n-A ACKGATE_FORWARD ! -p tcp ",
			},
		.iptables.lacks = {"ACKGATE_FULL", "ACKGATE_PASS", "mangle"},
	},
	{
		.name = "on_failure = open, several workers",
		.workers = 3,
		.fail_open = true,
		.rules =
			{
				{.name = "web",
					.mode = MODE_GATE,
					.enforce = true,
					.port = web,
					.port_count = 2},
				{.name = "no", .slot = 1, .mode = MODE_DROP, .enforce = true},
			},
		.nft.has =
			{
				"goto ask_syn_open",
				"queue num 5200-5202 bypass\n",
				/* what is refused does not pass for want of a daemon */
				"tcp flags & (fin | syn | rst | ack) == syn jump refused\n",
				"limit rate 100/second burst 100 packets goto ask\n",
				"counter drop comment \"ackgate:drop:rule:1\"",
			},
		.nft.lacks = {"goto ask_syn\n"},
		.iptables.has =
			{
				"-A ACKGATE_ASK_OPEN -j NFQUEUE --queue-balance 5200:5202 "
				"--queue-bypass\n",
				"-A ACKGATE_ASK -j NFQUEUE --queue-balance 5200:5202\n",
				"-A ACKGATE_RULE1_CLIENT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK "
				"SYN -j ACKGATE_REFUSED\n",
			},
	},
	{
		.name = "enforce = no drops nothing",
		.workers = 1,
		.rules =
			{
				{.name = "see", .mode = MODE_GATE, .port = web, .port_count = 2},
				{.name = "no", .slot = 1, .mode = MODE_REJECT},
			},
		.nft.has =
			{
				"counter return comment \"ackgate:observed:no_flow:0\"",
				"counter return comment \"ackgate:observed:rule:1\"",
				"goto ask_syn_open",
				"jump refused_open\n",
			},
		.nft.lacks = {"drop", "queue num 5200\n"},
		.iptables.has = {"\"ackgate:observed:rule:1\" -j RETURN\n"},
		.iptables.lacks = {"DROP", "--queue-num 5200\n"},
	},
	{
		.name = "families apart",
		.workers = 1,
		.rules =
			{
				{.name = "a",
					.mode = MODE_ACCEPT,
					.enforce = true,
					.from = one4,
					.from_count = 1},
				{.name = "b",
					.slot = 1,
					.mode = MODE_GATE,
					.enforce = true,
					.to = one6,
					.to_count = 1},
				{.name = "c",
					.slot = 2,
					.mode = MODE_GATE,
					.enforce = true,
					.from = one4,
					.from_count = 1,
					.to = one6,
					.to_count = 1},
			},
		.nft.has =
			{
				"\t\tip saddr { 10.0.0.1 } return\n",
				"\t\tip daddr { 10.0.0.1 } return\n",
				"\t\tip6 daddr { fd00::1 } goto rule1_client\n",
				"\t\tip6 saddr { fd00::1 } goto rule1_server\n",
			},
		.nft.lacks = {"goto rule2_client"},
		.iptables.has =
			{
				"-A ACKGATE_INPUT -p tcp -s 10.0.0.1 -j RETURN\n",
				"-A ACKGATE_INPUT -p tcp -d fd00::1 -g ACKGATE_RULE1_CLIENT\n",
			},
		.iptables.lacks = {"-g ACKGATE_RULE2_CLIENT"},
	},
	{
		.name = "lists: sets, or one chain for each",
		.workers = 1,
		.rules = {{.name = "l",
			.mode = MODE_GATE,
			.enforce = true,
			.from = two4,
			.from_count = 2,
			.to = two4,
			.to_count = 2,
			.port = many,
			.port_count = 8}},
		.nft.has =
			{
				"ip saddr { 10.0.0.0/24, 10.1.0.1-10.1.0.3 } ip daddr { "
				"10.0.0.0/24, 10.1.0.1-10.1.0.3 } "
				"tcp dport { 1-2, 4-5, 7-8, 10-11, 13-14, 16-17, 19-20, 22-23 } "
				"goto rule0_client\n",
			},
		.iptables.has =
			{
				"-A ACKGATE_INPUT -p tcp -s 10.0.0.0/24 -g ACKGATE_INPUT_1\n"
				"-A ACKGATE_INPUT -p tcp -m iprange --src-range 10.1.0.1-10.1.0.3 "
				"-g ACKGATE_INPUT_1\n"
				"-A ACKGATE_INPUT -g ACKGATE_INPUT_2\n",
				"-A ACKGATE_INPUT_3 -p tcp -m multiport --dports "
				"1:2,4:5,7:8,10:11,13:14,16:17,19:20 "
				"-g ACKGATE_RULE0_CLIENT\n"
				"-A ACKGATE_INPUT_3 -p tcp -m tcp --dport 22:23 -g "
				"ACKGATE_RULE0_CLIENT\n"
				"-A ACKGATE_INPUT_3 -g ACKGATE_INPUT_2\n",
			},
	},
	{
		.name = "by interface: replies are judged whatever stands before the gate",
		.workers = 1,
		.rules =
			{
				{.name = "trusted",
					.mode = MODE_ACCEPT,
					.interface = eth0,
					.interface_count = 1},
				{.name = "guests",
					.slot = 1,
					.mode = MODE_DROP,
					.enforce = true,
					.interface = eth0,
					.interface_count = 1},
				{.name = "in", .slot = 2, .mode = MODE_GATE, .enforce = true},
			},
		.nft.has =
			{
				"\tchain replies {\n\t\tgoto rule2_server\n",
			},
		.iptables.has = {"-A ACKGATE_REPLIES -p tcp -g ACKGATE_RULE2_SERVER\n"},
		.iptables.lacks = {"ACKGATE_RULE1_SERVER"},
	},
	{
		.name = "by interface: what is left alone is marked",
		.workers = 1,
		.rules =
			{
				{.name = "in",
					.mode = MODE_GATE,
					.enforce = true,
					.interface = eth0,
					.interface_count = 1},
				{.name = "ok",
					.slot = 1,
					.mode = MODE_ACCEPT,
					.enforce = true,
					.port = ssh,
					.port_count = 1},
			},
		.nft.has =
			{
				"iifname { \"eth0\" } goto rule0_client\n",
				"tcp dport { 22 } goto pass\n",
				"tcp flags & (fin | syn | rst | ack) == syn goto pass\n",
				"ct state new ct mark set ct mark | 0x40000000\n",
				"\t\tgoto rule0_server\n",
				"iifname \"lo\" return\n",
			},
		.iptables.has = {"-A ACKGATE_INPUT -p tcp -i eth0 -g ACKGATE_RULE0_CLIENT\n"},
		.iptables.lacks = {"-A ACKGATE_REPLIES -p tcp -i eth0"},
	},
	{
		.name = "lo is meant only where it is named",
		.workers = 1,
		.rules =
			{
				{.name = "lo",
					.mode = MODE_GATE,
					.enforce = true,
					.interface = only_lo,
					.interface_count = 1},
				{.name = "web",
					.slot = 1,
					.mode = MODE_GATE,
					.enforce = true,
					.port = web,
					.port_count = 2},
			},
		.nft.has =
			{
				"iifname { \"lo\" } goto rule0_client\n",
				"oifname \"lo\" goto rule0_server\n",
				"iifname != \"lo\" tcp dport { 80, 443 } goto rule1_client\n",
				"oifname != \"lo\" tcp sport { 80, 443 } goto rule1_server\n",
			},
		.nft.lacks = {"ifname \"lo\" return"},
		.iptables.has = {"-A ACKGATE_REPLIES -p tcp -o lo -g ACKGATE_RULE0_SERVER\n"},
	},
	{
		.name = "inspect = full: a queue of its own, either way round, never closed",
		.workers = 2,
		.rules =
			{
				{.name = "ok",
					.mode = MODE_ACCEPT,
					.enforce = true,
					.port = ssh,
					.port_count = 1},
				{.name = "web",
					.slot = 1,
					.mode = MODE_GATE,
					.enforce = true,
					.inspect = INSPECT_FULL,
					.port = web,
					.port_count = 2},
				{.name = "after", .slot = 2, .mode = MODE_DROP, .enforce = true},
			},
		.nft.has =
			{
				"ct mark & 0x40000000 == 0x40000000 tcp flags & (syn) == 0x0 goto "
				"full_input\n",
				"chain full_forward {\n"
				"\t\ttcp dport { 22 } return\n"
				"\t\ttcp sport { 22 } return\n"
				"\t\ttcp dport { 80, 443 } queue num 5202-5203 bypass\n"
				"\t\ttcp sport { 80, 443 } queue num 5202-5203 bypass\n"
				"\t}\n",
			},
		.iptables.has =
			{
				"-A ACKGATE_FULL_OUTPUT -p tcp -m multiport --sports 80,443 -j "
				"NFQUEUE "
				"--queue-balance 5202:5203 --queue-bypass\n",
			},
	},
};

static char *render(const struct scenario *s, enum ruleset_way way)
{
	struct policy policy = {.rules = s->rules};
	const struct ruleset_plan plan = {
		.policy = &policy,
		.queue = 5200,
		.workers = s->workers,
		.mark = MARK,
		.fail_open = s->fail_open,
	};
	char *text;
	size_t size;

	while (policy.rule_count < RULES && s->rules[policy.rule_count].name != NULL)
		policy.by_interface |= s->rules[policy.rule_count++].interface_count > 0;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	assert_int_equal(ruleset_print(way, &plan, to), 0);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void check(const struct scenario *s, enum ruleset_way way, const char *const has[LINES],
	const char *const lacks[LINES])
{
	char *text = render(s, way);
	for (size_t i = 0; i < LINES && has[i] != NULL; i++)
		if (strstr(text, has[i]) == NULL)
			fail_msg("%s, %s: lacks\n%s", s->name, ruleset_way_name(way), has[i]);
	for (size_t i = 0; i < LINES && lacks[i] != NULL; i++)
		if (strstr(text, lacks[i]) != NULL)
			fail_msg("%s, %s: has\n%s", s->name, ruleset_way_name(way), lacks[i]);
	free(text);
}

static void each_policy_has_its_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		const struct scenario *s = &scenarios[i];
		check(s, RULESET_NFTABLES, s->nft.has, s->nft.lacks);
		check(s, RULESET_IPTABLES, s->iptables.has, s->iptables.lacks);
	}
}

static void plans_that_make_no_sense_are_refused(void **state)
{
	static const char quote[][POLICY_IFNAME] = {"a\" drop"};
	const struct policy none = {0};
	const struct policy_rule bad = {
		.name = "x", .interface = quote, .interface_count = 1, .enforce = true};
	const struct policy quoting = {.rules = &bad, .rule_count = 1, .by_interface = true};
	const struct ruleset_plan plans[] = {
		{.policy = &none, .queue = 1, .workers = 1, .mark = 3},
		{.policy = &none, .queue = 1, .workers = 0, .mark = 1},
		{.policy = &none, .queue = 65532, .workers = 1, .mark = 1}, /* five each */
		{.policy = &none, .queue = 65527, .workers = 2, .mark = 1},
		{.policy = &quoting, .queue = 1, .workers = 1, .mark = 1},
	};
	FILE *nowhere = fopen("/dev/null", "w");

	(void)state;
	assert_non_null(nowhere);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		assert_int_equal(ruleset_print(RULESET_NFTABLES, &plans[i], nowhere), -1);
	const struct ruleset_plan last = {.policy = &none, .queue = 65526, .workers = 2, .mark = 1};
	assert_int_equal(ruleset_print(RULESET_NFTABLES, &last, nowhere), 0);
	fclose(nowhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_policy_has_its_rules),
		cmocka_unit_test(plans_that_make_no_sense_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
