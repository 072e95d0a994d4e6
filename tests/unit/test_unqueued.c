/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of what need not be queued, as text. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/unqueued.h"

#include <stdlib.h>
#include <string.h>

enum {
	GROUP = 5300,
	MARK = 0x20000000,
};

static const struct unqueued_plan two = {.way = RULESET_NFTABLES,
	.group = GROUP,
	.workers = 2,
	.mark = MARK,
	.seed = 0xabc,
	.servers = true};

static void check(const struct unqueued_plan *plan, const char *const has[], const char *lacks)
{
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	assert_int_equal(unqueued_print(plan, to), 0);
	assert_int_equal(fclose(to), 0);
	for (size_t i = 0; has[i] != NULL; i++)
		if (strstr(text, has[i]) == NULL)
			fail_msg("lacks\n%s\nin\n%s", has[i], text);
	if (lacks != NULL && strstr(text, lacks) != NULL)
		fail_msg("has\n%s\nin\n%s", lacks, text);
	free(text);
}

static void the_table(void **state)
{
	static const char *const has[] = {
		"add table inet ackgate_unqueued\nflush table inet ackgate_unqueued\n",
		"map servers4 {\n\t\ttype ipv4_addr . inet_service : verdict; flags "
		"timeout;\n\t}\n",
		"map servers6 {\n\t\ttype ipv6_addr . inet_service : verdict; flags "
		"timeout;\n\t}\n",
		"chain worker1 {\n"
		"\t\tct state new ct status & (confirmed | dnat) == 0 tcp option 19 missing "
		"tcp option 29 missing log group 5301 drop\n\t}\n",
		"chain all_workers {\n"
		"\t\tjhash ip saddr . tcp sport mod 2 vmap { 0 : goto worker0, 1 : goto worker1 }\n"
		"\t\tjhash ip6 saddr . tcp sport mod 2 vmap { 0 : goto worker0, 1 : goto worker1 "
		"}\n",
		"chain forward {\n"
		"\t\ttype filter hook forward priority 49; policy accept;\n"
		"\t\ttcp flags & (fin | syn | rst | ack) != syn return\n"
		"\t\tip saddr != 169.254.0.0/16 ip daddr . tcp dport vmap @servers4\n"
		"\t\tip6 saddr != fe80::/10 ip6 daddr . tcp dport vmap @servers6\n\t}\n",
		"\t\tiif != \"lo\" ip saddr != 169.254.0.0/16 ip daddr . tcp dport vmap "
		"@servers4\n",
		NULL,
	};
	static const char *const one_has[] = {
		"hook input priority 149;", "log group 5300 drop\n", NULL};
	const struct unqueued_plan one = {
		.way = RULESET_IPTABLES, .group = GROUP, .workers = 1, .servers = true};

	(void)state;
	check(&two, has, "listener");
	check(&one, one_has, "jhash");
}

static void the_table_of_listeners(void **state)
{
	static const char *const has[] = {
		"map places4 {\n\t\ttype ipv4_addr . inet_service : verdict; flags timeout;\n\t}\n",
		"map ports6 {\n\t\ttype inet_service : verdict; flags timeout;\n\t}\n",
		"set opened {\n\t\ttypeof ct id; flags dynamic,timeout; size 65536;\n\t}\n",
		"chain tell1 {\n\t\tlog group 5301\n\t}\n",
		"chain tell {\n"
		"\t\tmeta mark set meta mark | 0x20000000\n"
		"\t\tct direction original jhash ip saddr . tcp sport mod 2 seed 0xabc vmap { "
		"0 : goto tell0, 1 : goto tell1 }\n",
		"\t\tct direction reply jhash ip6 daddr . tcp dport mod 2 seed 0xabc vmap { "
		"0 : goto tell0, 1 : goto tell1 }\n\t}\n",
		"chain own_syns {\n"
		"\t\tmeta mark & 0x20000000 != 0 tcp flags & (fin | syn | rst | ack) == syn "
		"update @opened { ct id timeout 120s }\n\t}\n",
		"chain listener {\n"
		"\t\tct mark & 0x20000000 != 0 return\n"
		"\t\tct id @opened return\n"
		"\t\tct state established,related goto tell\n"
		"\t\ttcp flags & (fin | syn | rst | ack) == syn ct state new limit rate "
		"30000/second burst 3000 packets goto tell\n\t}\n",
		"hook input priority 49; policy accept;\n"
		"\t\ttcp flags & (syn | rst) == 0 ct mark & 0x20000000 != 0 return\n"
		"\t\tmeta l4proto != tcp return\n"
		"\t\tct direction reply return\n"
		"\t\tiif \"lo\" goto own_syns\n"
		"\t\tip daddr . tcp dport vmap @places4\n",
		"hook output priority 49; policy accept;\n"
		"\t\ttcp flags & (syn | rst) == 0 return\n"
		"\t\tmeta l4proto != tcp return\n"
		"\t\tct direction original return\n"
		"\t\toif \"lo\" return\n"
		"\t\tip saddr . tcp sport vmap @places4\n",
		NULL,
	};
	static const char *const both_have[] = {
		"chain worker0 {\n\t\ttcp flags & (fin | syn | rst | ack) == syn ct state new ",
		"goto own_syns\n"
		"\t\tip saddr != 169.254.0.0/16 ip daddr . tcp dport vmap @servers4\n",
		"chain forward {", NULL};
	struct unqueued_plan plan = two;

	(void)state;
	plan.servers = false;
	plan.listeners = true;
	check(&plan, has, "forward");
	check(&plan, has, "servers4");
	plan.servers = true;
	check(&plan, both_have, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table),
		cmocka_unit_test(the_table_of_listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
