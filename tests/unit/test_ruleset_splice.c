/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules about this host alone: pairs of address and port, at the hooks of what is delivered here
 * and nowhere else, by nftables and by iptables. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/lasting.h"
#include "kernel/ruleset.h"

#include <stdlib.h>

#define V4(...)                                                                                    \
	{                                                                                          \
		.b = { [10] = 0xff, 0xff, __VA_ARGS__ }                                            \
	}

enum {
	MARK = 0x40000000,
	LINES = 12,
};

static const struct port_range mail[] = {{25, 25}};
static const struct port_range low[] = {{1, 1023}};
static const struct addr_range lan[] = {{V4(10, 0, 0, 0), V4(10, 0, 0, 255)}};
static const char eth0[][POLICY_IFNAME] = {"eth0"};
static const struct endpoint places[] = {
	{V4(0, 0, 0, 0), 80},
	{V4(0, 0, 0, 0), 443},
	{V4(192, 0, 2, 1), 8080},
	{V4(192, 0, 2, 2), 8081},
	{{.b = {0xfd, [15] = 1}}, 80},
};
static const struct endpoint place4[] = {{V4(192, 0, 2, 1), 8080}};

/* One that listens, one that is transparent and inspects in full, and a gate for both kinds. */
static const struct policy_rule rules[] = {
	{.name = "web",
		.mode = MODE_SPLICE,
		.enforce = true,
		.listen = places,
		.listen_count = 5,
		.local = true},
	{.name = "mail",
		.slot = 1,
		.mode = MODE_SPLICE,
		.enforce = true,
		.inspect = INSPECT_FULL,
		.port = mail,
		.port_count = 1,
		.local = true},
	{.name = "low",
		.slot = 2,
		.mode = MODE_GATE,
		.enforce = true,
		.inspect = INSPECT_FULL,
		.port = low,
		.port_count = 1},
};
static const struct policy policy = {.rules = rules, .rule_count = 3};

static const struct policy_rule narrowed[] = {
	{.name = "web",
		.mode = MODE_SPLICE,
		.enforce = true,
		.from = lan,
		.from_count = 1,
		.interface = eth0,
		.interface_count = 1,
		.listen = place4,
		.listen_count = 1,
		.local = true},
};
static const struct policy narrow = {.rules = narrowed, .rule_count = 1, .by_interface = true};

static const struct policy_rule through[] = {
	{.name = "mail",
		.mode = MODE_SPLICE,
		.enforce = true,
		.port = mail,
		.port_count = 1,
		.local = true},
};
static const struct policy transparent = {.rules = through, .rule_count = 1};

static void check_text(const char *what, const char *text, const char *const has[LINES],
	const char *const lacks[LINES])
{
	for (size_t i = 0; i < LINES && has[i] != NULL; i++)
		if (strstr(text, has[i]) == NULL)
			fail_msg("%s: lacks\n%s\nin\n%s", what, has[i], text);
	for (size_t i = 0; lacks != NULL && i < LINES && lacks[i] != NULL; i++)
		if (strstr(text, lacks[i]) != NULL)
			fail_msg("%s: has\n%s\nin\n%s", what, lacks[i], text);
}

static void check(enum ruleset_way way, const struct policy *p, const char *const has[LINES],
	const char *const lacks[LINES])
{
	const struct ruleset_plan plan = {
		.policy = p, .queue = 5200, .workers = 1, .mark = MARK, .translate = true};
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	assert_int_equal(ruleset_print(way, &plan, to), 0);
	assert_int_equal(fclose(to), 0);
	check_text(ruleset_way_name(way), text, has, lacks);
	free(text);
}

#define INPUT_RULES                                                                                \
	"\t\tip daddr . tcp dport { 192.0.2.1 . 8080, 192.0.2.2 . 8081 } goto rule0_client\n"      \
	"\t\tmeta nfproto ipv4 tcp dport { 80, 443 } goto rule0_client\n"                          \
	"\t\tip6 daddr . tcp dport { fd00::1 . 80 } goto rule0_client\n"                           \
	"\t\ttcp dport { 25 } goto rule1_client\n"                                                 \
	"\t\ttcp dport { 1-1023 } goto rule2_client\n"                                             \
	"\t}\n"

static void they_stand_where_packets_are_delivered(void **state)
{
	static const char *const nft[LINES] = {
		INPUT_RULES,
		"\t\tct direction reply goto replies\n\t\ttcp dport { 1-1023 } goto rule2_client\n",
		"\t\tgoto replies_output\n",
		"\tchain replies {\n\t\ttcp sport { 1-1023 } goto rule2_server\n\t}\n",
		"\tchain replies_output {\n"
		"\t\tip saddr . tcp sport { 192.0.2.1 . 8080, 192.0.2.2 . 8081 } goto "
		"rule0_server\n"
		"\t\tmeta nfproto ipv4 tcp sport { 80, 443 } goto rule0_server\n"
		"\t\tip6 saddr . tcp sport { fd00::1 . 80 } goto rule0_server\n"
		"\t\ttcp sport { 25 } goto rule1_server\n"
		"\t\ttcp sport { 1-1023 } goto rule2_server\n\t}\n",
		"\tchain full_forward {\n"
		"\t\ttcp dport { 1-1023 } queue num 5201 bypass\n"
		"\t\ttcp sport { 1-1023 } queue num 5201 bypass\n\t}\n",
		("\t\ttcp dport { 25 } queue num 5201 bypass\n"
		 "\t\ttcp dport { 1-1023 } queue num 5201 bypass\n"),
	};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_INPUT -p tcp -m tcp --dport 80 -g ACKGATE_RULE0_CLIENT\n"
		"-A ACKGATE_INPUT -p tcp -m tcp --dport 443 -g ACKGATE_RULE0_CLIENT\n"
		"-A ACKGATE_INPUT -p tcp -d 192.0.2.1 -m tcp --dport 8080 -g "
		"ACKGATE_RULE0_CLIENT\n"
		"-A ACKGATE_INPUT -p tcp -d 192.0.2.2 -m tcp --dport 8081 -g "
		"ACKGATE_RULE0_CLIENT\n"
		"-A ACKGATE_INPUT -p tcp -m tcp --dport 25 -g ACKGATE_RULE1_CLIENT\n",
		"-A ACKGATE_INPUT -p tcp -d fd00::1 -m tcp --dport 80 -g ACKGATE_RULE0_CLIENT\n"
		"-A ACKGATE_INPUT -p tcp -m tcp --dport 25 -g ACKGATE_RULE1_CLIENT\n",
		"-A ACKGATE_OUTPUT -g ACKGATE_REPLIES_OUTPUT\n",
		"-A ACKGATE_REPLIES_OUTPUT -p tcp -s 192.0.2.1 -m tcp --sport 8080 -g "
		"ACKGATE_RULE0_SERVER\n",
	};
	static const char *const not_by_iptables[LINES] = {
		"ACKGATE_FORWARD -p tcp -m tcp --dport 25",
		"ACKGATE_FORWARD -p tcp -m tcp --dport 80",
		"ACKGATE_REPLIES -p tcp -m tcp --sport 25",
		"ACKGATE_FULL_FORWARD -p tcp -m tcp --dport 25",
	};

	(void)state;
	check(RULESET_NFTABLES, &policy, nft, NULL);
	check(RULESET_IPTABLES, &policy, iptables, not_by_iptables);
}

static void a_place_is_narrowed(void **state)
{
	static const char *const nft[LINES] = {
		"iifname { \"eth0\" } ip saddr { 10.0.0.0/24 } ip daddr . tcp dport { 192.0.2.1 . "
		"8080 } goto rule0_client\n",
		"ip daddr { 10.0.0.0/24 } ip saddr . tcp sport { 192.0.2.1 . 8080 } goto "
		"rule0_server\n",
	};
	static const char *const iptables[LINES] = {
		"-A ACKGATE_INPUT -p tcp -i eth0 -s 10.0.0.0/24 -d 192.0.2.1 -m tcp --dport 8080 "
		"-g ACKGATE_RULE0_CLIENT\n",
	};
	static const char *const nowhere[LINES] = {"ip6 daddr"};

	(void)state;
	check(RULESET_NFTABLES, &narrow, nft, nowhere);
	check(RULESET_IPTABLES, &narrow, iptables, NULL);
}

/* A listener's cookies come back at INPUT alone; a transparent rule gives none. */
static void cookies_are_proven_where_they_were_given(void **state)
{
	static const char *const nft[LINES] = {
		"chain early_input {\n"
		"\t\ttype filter hook input priority -150; policy accept;\n"
		"\t\tct mark & 0x40000000 == 0x40000000 return\n"
		"\t\tmeta mark & 0x40000000 == 0x00000000 tcp flags & (fin | syn | rst | ack) == "
		"ack ct state new,invalid iifname != \"lo\" goto early_proofs\n",
		"ack ct state new,invalid goto early_passing\n",
		"\tchain early_proofs {\n"
		"\t\tip daddr . tcp dport { 192.0.2.1 . 8080, 192.0.2.2 . 8081 } goto "
		"rule0_proofs\n"
		"\t\tmeta nfproto ipv4 tcp dport { 80, 443 } goto rule0_proofs\n"
		"\t\tip6 daddr . tcp dport { fd00::1 . 80 } goto rule0_proofs\n"
		"\t\ttcp dport { 25 } return\n"
		"\t\ttcp dport { 1-1023 } goto rule2_proofs\n\t}\n",
		"\tchain early_passing {\n\t\ttcp dport { 1-1023 } goto rule2_proofs\n\t}\n",
		("\tchain rule0_proofs {\n"
		 "\t\tlimit rate 2000/second burst 2000 packets queue num 5202\n\t}\n"),
	};
	static const char *const local[LINES] = {"goto early_proofs\n"};
	static const char *const nowhere[LINES] = {"early_passing", "early_forward"};
	static const char *const nothing[LINES] = {NULL};
	static const char *const no_cookies[LINES] = {"early", "proofs", "ask_dnat"};

	(void)state;
	check(RULESET_NFTABLES, &policy, nft, NULL);
	check(RULESET_NFTABLES, &narrow, local, nowhere);
	check(RULESET_NFTABLES, &transparent, nothing, no_cookies);
}

/* What has passed without being asked about is let go on, and shows our bit to nobody. */
static void what_was_told_of_passes(void **state)
{
	static const char *const nft[LINES] = {
		("\t\tmeta mark & 0x40000000 == 0x40000000 ct mark & 0x40000000 == 0x00000000 tcp "
		 "flags & (fin | syn | rst | ack) == syn goto settled\n"),
		("\t\tmeta mark & 0x40000000 == 0x40000000 ct mark & 0x40000000 == 0x00000000 tcp "
		 "flags & (syn | ack) == syn | ack ct direction reply goto settled\n"),
		"\tchain settled {\n\t\tmeta mark set meta mark & 0xbfffffff\n\t}\n",
	};
	static const char *const lacks[LINES] = {
		"ct mark & 0x40000000 == 0x00000000 tcp flags & (fin | syn | rst | ack) == syn "
		"goto settled\n",
		"ct direction reply goto settled\n",
	};

	(void)state;
	check(RULESET_NFTABLES, &policy, nft, NULL);
	check(RULESET_NFTABLES, &narrow, (const char *const[LINES]){NULL}, lacks);
}

static void check_lasting(
	const struct policy *p, const char *const has[LINES], const char *const lacks[LINES])
{
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	assert_int_equal(lasting_print(p, true, to), 0);
	assert_int_equal(fclose(to), 0);
	check_text("lasting", text, has, lacks);
	free(text);
}

static void what_lasts_keeps_them_apart_too(void **state)
{
	static const char *const has[LINES] = {
		"\t\tip saddr @block4 goto blocked\n",
		"\t\tip saddr @block4 goto passing_blocked\n",
		"tcp dport { 25 } counter drop comment \"ackgate:drop:blocked:1\"\n",
		"\tchain passing_blocked {\n"
		"\t\ttcp dport { 1-1023 } counter drop comment \"ackgate:drop:blocked:2\"\n\t}\n",
		"\tchain invalid_clients {\n"
		"\t\tiifname \"lo\" return\n"
		"\t\ttcp flags & (syn | rst) == 0x0 ip daddr . tcp dport { 192.0.2.1 . 8080, "
		"192.0.2.2 . 8081 } counter drop comment \"ackgate:drop:out_of_window:0\"\n",
		"\tchain invalid_either {\n"
		"\t\ttcp flags & (syn | rst) == 0x0 tcp dport { 1-1023 } counter drop comment "
		"\"ackgate:drop:out_of_window:2\"\n"
		"\t\ttcp flags & (syn) == 0x0 tcp sport { 1-1023 } counter drop comment "
		"\"ackgate:drop:out_of_window:2\"\n\t}\n",
	};
	static const char *const lacks[LINES] = {"out_of_window:1"};

	(void)state;
	check_lasting(&policy, has, lacks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_stand_where_packets_are_delivered),
		cmocka_unit_test(a_place_is_narrowed),
		cmocka_unit_test(cookies_are_proven_where_they_were_given),
		cmocka_unit_test(what_was_told_of_passes),
		cmocka_unit_test(what_lasts_keeps_them_apart_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
