/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What SYN cookies add to the rules, by nftables and by iptables, and what they leave alone. */
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
#define V6(last)                                                                                   \
	{                                                                                          \
		.b = { 0xfd, [15] = (last) }                                                       \
	}

enum {
	MARK = 0x40000000,
	LINES = 12,
	SLOTS = 8,
};

static const struct port_range web[] = {{8080, 8080}};
static const struct port_range ssh[] = {{22, 22}};
static const struct port_range mail[] = {{25, 25}};
static const char only_lo[][POLICY_IFNAME] = {"lo"};
static const struct addr_range servers[] = {
	{V4(10, 0, 0, 0), V4(10, 0, 0, 255)}, {V6(0), V6(0xff)}};

static const struct ruleset_route routes[] = {
	{V4(10, 0, 0, 1), V4(192, 0, 2, 1), 8080, 80}, {V6(1), V6(2), 8080, 80},
	{V4(10, 0, 0, 1), V4(192, 0, 2, 1), 8081, 80}, /* a port of no rule's */
	{V4(10, 0, 1, 1), V4(192, 0, 2, 1), 8080, 81}, /* an address of no rule's */
	{V4(10, 0, 0, 2), V6(3), 8080, 80},            /* of two families */
};

/* An accepted port, a gate with cookies, one without, one that observes, one with cookies always.
 */
static const struct policy_rule rules[] = {
	{.name = "ssh", .mode = MODE_ACCEPT, .enforce = true, .port = ssh, .port_count = 1},
	{.name = "web",
		.slot = 1,
		.mode = MODE_GATE,
		.enforce = true,
		.to = servers,
		.to_count = 2,
		.port = web,
		.port_count = 1},
	{.name = "mail",
		.slot = 2,
		.mode = MODE_GATE,
		.enforce = true,
		.syncookies = SYNCOOKIES_NEVER,
		.port = mail,
		.port_count = 1},
	{.name = "see", .slot = 3, .mode = MODE_GATE, .port = mail, .port_count = 1},
	{.name = "dns",
		.slot = 4,
		.mode = MODE_GATE,
		.enforce = true,
		.syncookies = SYNCOOKIES_ALWAYS,
		.port = mail,
		.port_count = 1},
	{.name = "rest", .slot = 5, .mode = MODE_DROP, .enforce = true},
};
static const struct policy policy = {.rules = rules, .rule_count = 6};

static const struct policy_rule local_rules[] = {
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
		.port_count = 1},
};
static const struct policy local_policy = {
	.rules = local_rules, .rule_count = 2, .by_interface = true};

static struct ruleset_plan plan_of(const struct policy *p)
{
	return (struct ruleset_plan){
		.policy = p,
		.queue = 5200,
		.workers = 2,
		.mark = MARK,
		.translate = true,
		.routes = routes,
		.route_count = sizeof(routes) / sizeof(routes[0]),
	};
}

static char *render(enum ruleset_way way, const struct ruleset_plan *plan)
{
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	assert_int_equal(ruleset_print(way, plan, to), 0);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void check(enum ruleset_way way, const struct ruleset_plan *plan,
	const char *const has[LINES], const char *const lacks[LINES])
{
	char *text = render(way, plan);
	for (size_t i = 0; i < LINES && has[i] != NULL; i++)
		if (strstr(text, has[i]) == NULL)
			fail_msg("%s: lacks\n%s", ruleset_way_name(way), has[i]);
	for (size_t i = 0; lacks != NULL && i < LINES && lacks[i] != NULL; i++)
		if (strstr(text, lacks[i]) != NULL)
			fail_msg("%s: has\n%s", ruleset_way_name(way), lacks[i]);
	free(text);
}

/* ACKs of no connection, before the host's filter chains: the first rule decides. */
static void proofs_are_asked_about_early(void **state)
{
	static const char *const nft[LINES] = {
		"chain early_input {\n"
		"\t\ttype filter hook input priority -150; policy accept;\n"
		"\t\tct mark & 0x40000000 == 0x40000000 return\n"
		"\t\tmeta mark & 0x40000000 == 0x00000000 tcp flags & (fin | syn | rst | ack) == "
		"ack ct state new,invalid iifname != \"lo\" goto early_proofs\n\t}\n",
		"chain early_forward {\n"
		"\t\ttype filter hook forward priority -150; policy accept;\n"
		"\t\tct mark & 0x40000000 == 0x40000000 return\n"
		"\t\tmeta mark & 0x40000000 == 0x00000000 tcp flags & (fin | syn | rst | ack) == "
		"ack ct state new,invalid goto early_proofs\n\t}\n",
		"chain early_proofs {\n"
		"\t\ttcp dport { 22 } return\n"
		"\t\tip daddr { 10.0.0.0/24 } tcp dport { 8080 } goto rule1_proofs\n"
		"\t\tip6 daddr { fd00::/120 } tcp dport { 8080 } goto rule1_proofs\n"
		"\t\ttcp dport { 25 } return\n"
		"\t\ttcp dport { 25 } return\n"
		"\t\ttcp dport { 25 } goto rule4_proofs\n\t}\n",
		/* adaptive, and none under way; always */
		("chain rule1_proofs {\n"
		 "\t\tlimit rate 2000/second burst 2000 packets queue num 5204-5205\n\t}\n"),
		"chain rule4_proofs {\n\t\tqueue num 5204-5205\n\t}\n",
	};
	static const char *const iptables[LINES] = {
		"*mangle\n:ACKGATE_EARLY_INPUT - [0:0]\n:ACKGATE_EARLY_FORWARD - [0:0]\n"
		":ACKGATE_EARLY_PROOFS - [0:0]\n:ACKGATE_RULE1_PROOFS - [0:0]\n"
		":ACKGATE_RULE4_PROOFS - [0:0]\n"
		"-A ACKGATE_EARLY_INPUT -m connmark --mark 0x40000000/0x40000000 -j RETURN\n"
		"-A ACKGATE_EARLY_INPUT -p tcp ! -i lo -m mark --mark 0x0/0x40000000 -m tcp "
		"--tcp-flags FIN,SYN,RST,ACK ACK -m conntrack --ctstate NEW,INVALID -g "
		"ACKGATE_EARLY_PROOFS\n"
		"-A ACKGATE_EARLY_FORWARD -m connmark --mark 0x40000000/0x40000000 -j RETURN\n"
		"-A ACKGATE_EARLY_FORWARD -p tcp -m mark --mark 0x0/0x40000000 -m tcp --tcp-flags "
		"FIN,SYN,RST,ACK ACK -m conntrack --ctstate NEW,INVALID -g ACKGATE_EARLY_PROOFS\n"
		"-A ACKGATE_EARLY_PROOFS -p tcp -m tcp --dport 22 -j RETURN\n"
		"-A ACKGATE_EARLY_PROOFS -p tcp -d 10.0.0.0/24 -m tcp --dport 8080 -g "
		"ACKGATE_RULE1_PROOFS\n"
		"-A ACKGATE_EARLY_PROOFS -p tcp -m tcp --dport 25 -j RETURN\n",
		"-A ACKGATE_RULE1_PROOFS -m limit --limit 2000/second --limit-burst 2000 -j "
		"NFQUEUE "
		"--queue-balance 5204:5205\n",
		"-A ACKGATE_RULE4_PROOFS -j NFQUEUE --queue-balance 5204:5205\n"
		"-A INPUT -j ACKGATE_EARLY_INPUT\n"
		"-A FORWARD -j ACKGATE_EARLY_FORWARD\nCOMMIT\n",
	};
	static const char *const lacks[LINES] = {
		"rule5_proofs", "RULE5_PROOFS", "rule2_proofs", "RULE2_PROOFS"};
	const struct ruleset_plan plan = plan_of(&policy);

	(void)state;
	check(RULESET_NFTABLES, &plan, nft, lacks);
	check(RULESET_IPTABLES, &plan, iptables, lacks);
}

static void proofs_are_not_limited_while_cookies_are_under_way(void **state)
{
	static const char *const nft[LINES] = {
		"chain rule1_proofs {\n\t\tqueue num 5204-5205 bypass\n\t}\n"};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_RULE1_PROOFS -j NFQUEUE --queue-balance 5204:5205 --queue-bypass\n"};
	const bool wanted[SLOTS] = {[1] = true};
	struct ruleset_plan plan = plan_of(&policy);

	(void)state;
	plan.proofs_wanted = wanted;
	plan.fail_open = true;
	check(RULESET_NFTABLES, &plan, nft, NULL);
	check(RULESET_IPTABLES, &plan, iptables, NULL);
}

static void lo_proves_only_where_it_is_named(void **state)
{
	static const char *const nft[LINES] = {
		"chain early_proofs {\n"
		"\t\tiifname { \"lo\" } goto rule0_proofs\n"
		"\t\tiifname != \"lo\" tcp dport { 8080 } goto rule1_proofs\n\t}\n",
		"ct state new,invalid goto early_proofs\n",
	};
	static const char *const nft_lacks[LINES] = {
		"ct state new,invalid iifname != \"lo\" goto early_proofs\n"};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_EARLY_PROOFS -p tcp -i lo -g ACKGATE_RULE0_PROOFS\n"
		"-A ACKGATE_EARLY_PROOFS -p tcp ! -i lo -m tcp --dport 8080 -g "
		"ACKGATE_RULE1_PROOFS\n"};
	const struct ruleset_plan plan = plan_of(&local_policy);

	(void)state;
	check(RULESET_NFTABLES, &plan, nft, nft_lacks);
	check(RULESET_IPTABLES, &plan, iptables, NULL);
}

/* Marked if by the one known way; over an entry of ours they are what they were. */
static void translated_syns_are_asked_about_apart(void **state)
{
	static const char *const nft[LINES] = {
		"chain rule1_client {\n"
		"\t\tct state untracked counter return comment \"ackgate:untracked:none:1\"\n"
		"\t\tct mark & 0x40000000 == 0x00000000 tcp flags & (fin | syn | rst | ack) == syn "
		"ct status dnat goto ask_dnat\n"
		"\t\ttcp flags & (fin | syn | rst | ack) == syn goto ask_syn\n",
		"chain ask_dnat {\n"
		"\t\tmeta mark set meta mark & 0xbfffffff\n"
		"\t\tmeta l4proto tcp ct original ip daddr 192.0.2.1 ct original proto-dst 80 "
		"ip daddr 10.0.0.1 tcp dport 8080 meta mark set meta mark | 0x40000000\n"
		"\t\tmeta l4proto tcp ct original ip6 daddr fd00::2 ct original proto-dst 80 "
		"ip6 daddr fd00::1 tcp dport 8080 meta mark set meta mark | 0x40000000\n"
		"\t\tqueue num 5206-5207\n\t}\n",
		"chain rule2_client {\n"
		"\t\tct state untracked counter return comment \"ackgate:untracked:none:2\"\n"
		"\t\ttcp flags & (fin | syn | rst | ack) == syn goto ask_syn\n",
	};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_RULE1_CLIENT -p tcp -m connmark --mark 0x0/0x40000000 -m tcp "
		"--tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate DNAT -g "
		"ACKGATE_ASK_DNAT\n"
		"-A ACKGATE_RULE1_CLIENT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -g "
		"ACKGATE_ASK_SYN\n",
		"-A ACKGATE_ASK_DNAT -j MARK --set-xmark 0x0/0x40000000\n"
		"-A ACKGATE_ASK_DNAT -p tcp -m conntrack --ctstate DNAT --ctorigdst 192.0.2.1 "
		"--ctorigdstport 80 -d 10.0.0.1 -m tcp --dport 8080 -j MARK --set-xmark "
		"0x40000000/0x40000000\n"
		"-A ACKGATE_ASK_DNAT -j NFQUEUE --queue-balance 5206:5207\n",
		"-A ACKGATE_ASK_DNAT -p tcp -m conntrack --ctstate DNAT --ctorigdst fd00::2 "
		"--ctorigdstport 80 -d fd00::1 -m tcp --dport 8080 -j MARK --set-xmark "
		"0x40000000/0x40000000\n",
	};
	static const char *const lacks[LINES] = {
		"8081", "10.0.1.1", "fd00::3", "-g ACKGATE_ASK_DNAT_OPEN", "goto ask_dnat_open"};
	const struct ruleset_plan plan = plan_of(&policy);

	(void)state;
	check(RULESET_NFTABLES, &plan, nft, lacks);
	check(RULESET_IPTABLES, &plan, iptables, lacks);
}

static void translated_syns_pass_while_the_gate_is_open(void **state)
{
	static const char *const nft[LINES] = {
		"ct status dnat goto ask_dnat_open\n", "queue num 5206-5207 bypass\n"};
	static const char *const iptables[LINES] = {
		"-m conntrack --ctstate DNAT -g ACKGATE_ASK_DNAT_OPEN\n",
		"-A ACKGATE_ASK_DNAT_OPEN -j NFQUEUE --queue-balance 5206:5207 --queue-bypass\n"};
	struct ruleset_plan plan = plan_of(&policy);

	(void)state;
	plan.fail_open = true;
	check(RULESET_NFTABLES, &plan, nft, NULL);
	check(RULESET_IPTABLES, &plan, iptables, NULL);
}

/* Tracked, passed, and neither marks its connection nor leaves a mark to the server's socket. */
static void our_own_syns_pass(void **state)
{
	static const char *const nft[LINES] = {
		"\t\tmeta mark & 0x40000000 == 0x40000000 tcp flags & (fin | syn | rst | ack) == "
		"syn iifname \"lo\" goto settled\n"
		"\t\tct direction reply return\n"
		"\t\tiifname { \"lo\" } goto rule0_client\n",
		"chain settled {\n\t\tmeta mark set meta mark & 0xbfffffff\n\t}\n",
		"\t\tmeta mark & 0x40000000 == 0x40000000 tcp flags & (fin | syn | rst | ack) == "
		"syn return\n"
		"\t\tct state untracked return\n",
	};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_INPUT -p tcp -i lo -m mark --mark 0x40000000/0x40000000 -m tcp "
		"--tcp-flags FIN,SYN,RST,ACK SYN -g ACKGATE_SETTLED\n"
		"-A ACKGATE_INPUT -m conntrack --ctdir REPLY -j RETURN\n"
		"-A ACKGATE_INPUT -p tcp -i lo -g ACKGATE_RULE0_CLIENT\n",
		"-A ACKGATE_OUTPUT -p tcp -m mark --mark 0x40000000/0x40000000 -m tcp --tcp-flags "
		"FIN,SYN,RST,ACK SYN -j RETURN\n",
	};
	const struct ruleset_plan plan = plan_of(&local_policy);

	(void)state;
	check(RULESET_NFTABLES, &plan, nft, NULL);
	check(RULESET_IPTABLES, &plan, iptables, NULL);
}

/* After what is injected has passed, before what is admitted is let go. */
static void resets_of_servers_are_asked_about(void **state)
{
	static const char *const nft[LINES] = {
		"type filter hook forward priority 50; policy accept;\n"
		"\t\tmeta mark & 0x40000000 == 0x00000000 ct mark & 0x40000000 == 0x40000000 tcp "
		"flags & (syn | rst) == 0x0 return\n"
		"\t\tmeta l4proto != tcp goto icmp_errors\n"
		"\t\tmeta mark & 0x40000000 == 0x40000000 ct state untracked return\n"
		"\t\tmeta mark & 0x40000000 == 0x40000000 tcp flags & (syn) == 0x0 goto admit\n"
		"\t\tct mark & 0x40000000 == 0x40000000 tcp flags & (rst) == rst ct direction "
		"reply "
		"queue num 5202-5203 bypass\n"
		"\t\tct mark & 0x40000000 == 0x40000000 tcp flags & (syn) == 0x0 return\n"
		"\t\tct direction reply goto replies\n",
		"tcp flags & (syn) == 0x0 goto admit\n"
		"\t\tct mark & 0x40000000 == 0x40000000 tcp flags & (rst) == rst ct direction "
		"reply "
		"queue num 5202-5203 bypass\n"
		"\t\tct mark & 0x40000000 == 0x40000000 tcp flags & (syn) == 0x0 return\n"
		"\t\tmeta mark & 0x40000000 == 0x40000000 tcp flags & (fin | syn | rst | ack) == "
		"syn return\n",
	};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_FORWARD -p tcp -m connmark --mark 0x40000000/0x40000000 -m tcp "
		"--tcp-flags RST RST -m conntrack --ctdir REPLY -j NFQUEUE --queue-balance "
		"5202:5203 --queue-bypass\n",
		"-A ACKGATE_OUTPUT -p tcp -m connmark --mark 0x40000000/0x40000000 -m tcp "
		"--tcp-flags RST RST -m conntrack --ctdir REPLY -j NFQUEUE --queue-balance "
		"5202:5203 --queue-bypass\n",
	};
	static const char *const lacks[LINES] = {
		"-A ACKGATE_INPUT -p tcp -m connmark --mark 0x40000000/0x40000000 -m tcp "
		"--tcp-flags RST"};
	const struct ruleset_plan plan = plan_of(&policy);

	(void)state;
	check(RULESET_NFTABLES, &plan, nft, NULL);
	check(RULESET_IPTABLES, &plan, iptables, lacks);
}

static void words_about_sizes_are_asked_about(void **state)
{
	static const char *const nft[LINES] = {
		"priority -300; policy accept;\n"
		"\t\tmeta mark & 0x40000000 == 0x40000000 goto raw_injected\n"
		"\t\ticmp type destination-unreachable icmp code frag-needed meta mark & "
		"0x40000000 "
		"== 0x00000000 limit rate 500/second burst 500 packets queue num 5204-5205 bypass\n"
		"\t\ticmpv6 type packet-too-big meta mark & 0x40000000 == 0x00000000 limit rate "
		"500/second burst 500 packets queue num 5204-5205 bypass\n\t}\n",
		"iifname \"lo\" goto raw_injected\n"
		"\t\ticmp type destination-unreachable icmp code frag-needed meta mark & "
		"0x40000000 "
		"== 0x00000000 limit rate 500/second burst 500 packets queue num 5204-5205 "
		"bypass\n",
	};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_RAW_OUTPUT -p icmp -m icmp --icmp-type 3/4 -m mark --mark "
		"0x0/0x40000000 -m limit --limit 500/second --limit-burst 500 -j NFQUEUE "
		"--queue-balance 5204:5205 --queue-bypass\n",
		"-A ACKGATE_RAW_PREROUTING -p ipv6-icmp -m icmp6 --icmpv6-type 2 -m mark --mark "
		"0x0/0x40000000 -m limit --limit 500/second --limit-burst 500 -j NFQUEUE "
		"--queue-balance 5204:5205 --queue-bypass\n",
	};
	const struct ruleset_plan plan = plan_of(&policy);

	(void)state;
	check(RULESET_NFTABLES, &plan, nft, NULL);
	check(RULESET_IPTABLES, &plan, iptables, NULL);
}

/* What the kernel does not translate must not be seen; a SYN-ACK may answer an older SYN. */
static void strays_of_servers_go_nowhere(void **state)
{
	static const char *const nft[LINES] = {
		"\t\ttcp flags & (fin | syn | rst | ack) == syn | ack ct state invalid jump "
		"strays_server\n"
		"\t\ttcp flags & (fin | syn | rst | ack) == syn | ack ct state invalid counter "
		"drop "
		"comment \"ackgate:drop:no_flow:1\"\n"
		"\t\tct state invalid counter drop comment \"ackgate:drop:out_of_window:1\"\n"
		"\t\tgoto ask_server\n",
		"\t\tct state invalid jump strays_server\n"
		"\t\tct state invalid counter drop comment \"ackgate:drop:no_flow:2\"\n",
	};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_RULE1_SERVER -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN,ACK -m "
		"conntrack --ctstate INVALID -j ACKGATE_STRAYS_SERVER\n",
		"-A ACKGATE_RULE1_SERVER -m conntrack --ctstate INVALID -m comment --comment "
		"\"ackgate:drop:out_of_window:1\" -j DROP\n",
		"-A ACKGATE_RULE2_SERVER -m conntrack --ctstate INVALID -j ACKGATE_STRAYS_SERVER\n",
	};
	const struct ruleset_plan plan = plan_of(&policy);

	(void)state;
	check(RULESET_NFTABLES, &plan, nft, NULL);
	check(RULESET_IPTABLES, &plan, iptables, NULL);
}

/* Nothing of all this where the kernel can't translate. */
static void nothing_without_translation(void **state)
{
	static const char *const has[LINES] = {NULL};
	static const char *const lacks[LINES] = {"early", "EARLY", "proofs", "dnat", "DNAT", "5202",
		"5204", "5206", "out_of_window", "mangle"};
	struct ruleset_plan plan = plan_of(&policy);

	(void)state;
	plan.translate = false;
	check(RULESET_NFTABLES, &plan, has, lacks);
	check(RULESET_IPTABLES, &plan, has, lacks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proofs_are_asked_about_early),
		cmocka_unit_test(proofs_are_not_limited_while_cookies_are_under_way),
		cmocka_unit_test(lo_proves_only_where_it_is_named),
		cmocka_unit_test(translated_syns_are_asked_about_apart),
		cmocka_unit_test(translated_syns_pass_while_the_gate_is_open),
		cmocka_unit_test(our_own_syns_pass),
		cmocka_unit_test(resets_of_servers_are_asked_about),
		cmocka_unit_test(words_about_sizes_are_asked_about),
		cmocka_unit_test(strays_of_servers_go_nowhere),
		cmocka_unit_test(nothing_without_translation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
