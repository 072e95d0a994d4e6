/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts and all that is wrong with them, in order. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	FILES_MAX = 3,
	FAULTS_MAX = 8,
};

/* What a file holds that is called a, b or c; a fault as it stands behind the file's name. */
struct scenario {
	const char *name;
	const char *files[FILES_MAX];
	const char *faults[FAULTS_MAX];
};

#define ADDRESSES                                                                                  \
	"; give addresses such as 192.0.2.1, 2001:db8::/32 or 192.0.2.10-192.0.2.20, or any"
#define PORTS      "; give ports from 1 to 65535 or ranges such as 8000-8100, or any"
#define RATE       "; give a rate such as 50/s or 50/s burst 100, with numbers from 1 to 1000000, or off"
#define BIT        "; give one bit of 32, such as 0x20000000"
#define PERCENT    "; give a percentage from 1% to 100%"
#define BLOCK_TIME "; give a time from 1s to 30d as in 500ms, 30s, 10m, 2h or 1d"
#define LINE_50    "# 345678901234567890123456789012345678901234567890"
#define LINE_197   LINE_50 LINE_50 LINE_50 "# 345678901234567890123456789012345678901234567"

static const struct scenario scenarios[] = {
	/* How a file is written. */
	{"nothing at all", {""}, {NULL}},
	{"a line without an end", {"[daemon]\nworkers = 2"}, {NULL}},
	{"an empty section", {"[daemon]\n[rule all]\n"}, {NULL}},
	{"comments",
		{"; one\n# two\n  # three\n[daemon] # four\nworkers = 2 ; five\nlog_level = "
		 "info\t#six\n"},
		{NULL}},
	{"lines of a foreign system", {"[daemon]\r\nworkers = 2\r\n\r\nlog = auto\r\n"}, {NULL}},
	{"a byte order mark", {"\xef\xbb\xbf[daemon]\nworkers = 2\n"}, {NULL}},
	{"indentation", {"  [daemon]\n\tworkers = 2\n    log = auto\n"}, {NULL}},
	{"no white space", {"[daemon]\nworkers=2\n"}, {NULL}},
	{"a list over several lines", {"[rule a]\nport = 1,\n\t2,\n\n  # three\n  3\nfrom = ::1\n"},
		{NULL}},
	{"a comment in UTF-8", {"# \xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa7\n"}, {NULL}},
	{"the longest line", {LINE_197 "\n[daemon]\n"}, {NULL}},
	{"a line too long", {"[daemon]\n" LINE_197 "x\nworkers = 2\n"},
		{"2: the line has 198 bytes; at most 197 fit, and a list may go on in an indented "
		 "line after a comma"}},
	{"a key behind the end of inih's buffer", {LINE_197 "  [rule a]\n"},
		{"1: the line has 207 bytes; at most 197 fit, and a list may go on in an indented "
		 "line after a comma"}},
	{"Latin-1", {"[daemon]\n# caf\xe9\n"},
		{"2: byte 0xe9 in column 6 is not UTF-8; write the file in UTF-8"}},
	{"an overlong form", {"# \xc0\x80\n"},
		{"1: byte 0xc0 in column 3 is not UTF-8; write the file in UTF-8"}},
	{"half a character", {"# \xe2\x82"},
		{"1: byte 0xe2 in column 3 is not UTF-8; write the file in UTF-8"}},
	{"a surrogate", {"# \xed\xa0\x80\n"},
		{"1: byte 0xed in column 3 is not UTF-8; write the file in UTF-8"}},
	{"an escape", {"[daemon]\nuser = \x1b[1m\n"},
		{"2: control character 0x1b in column 8; of these a text may hold tabs and line "
		 "ends only"}},
	{"an escape of eight bits", {"# \xc2\x9b\n"},
		{"1: control character 0x9b in column 3; of these a text may hold tabs and line "
		 "ends only"}},
	{"a lone carriage return", {"[daemon]\nworkers = 2\rlog = auto\n"},
		{"2: control character 0x0d in column 12; of these a text may hold tabs and line "
		 "ends only"}},
	{"no equals sign", {"[daemon]\nworkers 2\n"},
		{"2: missing '=' in 'workers 2'; write KEY = VALUE"}},
	{"a colon instead", {"[daemon]\nworkers: 2\n"},
		{"2: missing '=' in 'workers: 2'; write KEY = VALUE"}},
	{"a colon first", {"[rule a]\nfrom: x = 2\n"},
		{"2: missing '=' in 'from: x = 2'; write KEY = VALUE"}},
	{"a continuation without a comma", {"[rule a]\nport = 80\n  443\n"},
		{"3: missing '=' in '443'; write KEY = VALUE"}},
	{"no key", {"[daemon]\n= 2\n"}, {"2: nothing before the '='; write KEY = VALUE"}},
	{"no value", {"[daemon]\nworkers =\n"},
		{"2: [daemon] workers has no value; give a number from 1 to 64, or auto"}},
	{"a comment for a value", {"[daemon]\nworkers = # 2\n"},
		{"2: [daemon] workers has no value; give a number from 1 to 64, or auto"}},
	{"a key before any section", {"workers = 2\n[daemon]\n"},
		{"1: 'workers = 2' stands before any section; put it below a line such as "
		 "[daemon]"}},
	{"a key before any section of a second file", {"[daemon]\n", "workers = 2\n"},
		{"1: 'workers = 2' stands before any section; put it below a line such as "
		 "[daemon]"}},
	{"many values where one belongs", {"[daemon]\nuser = a,\n  b\n"},
		{"2: [daemon] user has more than one value; give the name of a user, of at most 31 "
		 "bytes"}},

	/* Sections. */
	{"a section left open", {"[daemon\nworkers = x\n"},
		{"1: '[daemon' is no section; write it as [NAME] and nothing more in the line"}},
	{"words behind a section", {"[daemon] workers = x\n"},
		{"1: '[daemon] workers = x' is no section; write it as [NAME] and nothing more in "
		 "the line"}},
	{"a section of no name", {"[ ]\nx = 1\n"},
		{"1: a section without a name; write it as [NAME]"}},
	{"a misspelt section", {"[deamon]\nworkers = x\n"},
		{"1: unknown section [deamon]; did you mean [daemon]?"}},
	{"an unknown section", {"[frontend www]\nbind = :80\n"},
		{"1: unknown section [frontend www]; there are [daemon], [netfilter], [limits], "
		 "[cookies], [timeouts], [rule NAME] and [backend NAME]"}},
	{"a rule without a name", {"[rule]\nport = 80\n"},
		{"1: [rule] has no name; write [rule NAME]"}},
	{"a name too many", {"[daemon x]\nworkers = x\n"},
		{"1: [daemon x] has a name, but there is one such section only; write [daemon]"}},
	{"the longest name", {"[rule 0123456789-0123456789_ABCDEFGhi]\n"}, {NULL}},
	{"a name too long", {"[rule 0123456789-0123456789_ABCDEFGhij]\n"},
		{"1: [rule 0123456789-0123456789_ABCDEFGhij] is no name for a rule; give at most "
		 "31 letters, digits, - and _"}},
	{"a name of two words", {"[rule a b]\nport = 0\n"},
		{"1: [rule a b] is no name for a rule; give at most 31 letters, digits, - and _",
			"2: [rule a b] port = 0 is too small" PORTS}},
	{"a section twice", {"[daemon]\nworkers = 2\n[limits]\n[daemon]\nlog = auto\n"},
		{"4: [daemon] stands twice, first in a:1; put its keys there"}},
	{"an empty section twice", {"[daemon]\n[daemon]\n"},
		{"2: [daemon] stands twice, first in a:1; put its keys there"}},
	{"a section in two files", {"[daemon]\nworkers = 2\n", "\n[daemon]\nlog = auto\n"},
		{"2: [daemon] stands twice, first in a:1; put its keys there"}},
	{"a section that the first file leaves empty", {"[daemon]\n", "[daemon]\nlog = auto\n"},
		{NULL}},
	{"a rule twice", {"[rule a]\nport = 1\n[rule a]\nport = 2\n"},
		{"3: [rule a] stands twice, first in a:1; give each rule a name of its own"}},
	{"a rule in two files",
		{"[rule a]\nport = 1\n", "[rule b]\nport = 2\n", "[rule a]\nport = 3\n"},
		{"1: [rule a] stands twice, first in a:1; give each rule a name of its own"}},

	/* Keys. */
	{"a misspelt key", {"[rule web]\nprot = 80\n"},
		{"2: unknown key 'prot' in [rule web]; did you mean 'port'?"}},
	{"a key in capitals", {"[rule web]\nPORT = 80\n"},
		{"2: unknown key 'PORT' in [rule web]; did you mean 'port'?"}},
	{"a key of another section", {"[daemon]\nqueue_length = 80\n"},
		{"2: unknown key 'queue_length' in [daemon]; it belongs into [netfilter]"}},
	{"an unknown key", {"[daemon]\nxyzzy = 80\n"},
		{"2: unknown key 'xyzzy' in [daemon]; ackgate.ini(5) lists those there are"}},
	{"a key twice", {"[rule a]\nport = 80\nmode = drop\nport = 81\n"},
		{"4: 'port' is given twice in [rule a], first in a:2; remove one of them"}},
	{"a key in two rules", {"[rule a]\nport = 80\n[rule b]\nport = 81\n"}, {NULL}},
	{"all faults, in order",
		{"[daemon]\nlog = x\n[rule a]\nmode = x\nprot = 1\n",
			"y = 1\n[netfilter]\nmark = 3\n"},
		{"2: [daemon] log = x is none of its words; give auto, stderr or journal",
			"4: [rule a] mode = x is none of its words; give gate, splice, accept, "
			"drop or reject",
			"5: unknown key 'prot' in [rule a]; did you mean 'port'?",
			"1: 'y = 1' stands before any section; put it below a line such as "
			"[daemon]",
			"3: [netfilter] mark = 3 has more than one bit set" BIT}},

	/* Values. */
	{"numbers at their ends",
		{"[daemon]\nworkers = 64\n[limits]\nsource_prefix4 = 1\nsource_prefix6 = 128\n"},
		{NULL}},
	{"numbers beyond",
		{"[daemon]\nworkers = 65\n[limits]\nsource_prefix4 = 0\nsource_prefix6 = 129\n"},
		{"2: [daemon] workers = 65 is too large; give a number from 1 to 64, or auto",
			"4: [limits] source_prefix4 = 0 is too small; give a number from 1 to 32 "
			"bits",
			"5: [limits] source_prefix6 = 129 is too large; give a number from 1 to "
			"128 bits"}},
	{"no numbers", {"[daemon]\nworkers = -1\n[netfilter]\nqueue = 0x10\nqueue_length = 1.5k\n"},
		{"2: [daemon] workers = -1 is not a number; give a number from 1 to 64, or auto",
			"4: [netfilter] queue = 0x10 is not a number; give a number from 0 to "
			"65535",
			"5: [netfilter] queue_length = 1.5k is not a number; give a number from 16 "
			"to 32k packets"}},
	{"a number that wraps",
		{"[limits]\nhalf_open = 18446744073709551632\nflows = 18014398509481985k\n"},
		{"2: [limits] half_open = 18446744073709551632 is too large; give a number from 16 "
		 "to 16m flows",
			"3: [limits] flows = 18014398509481985k is too large; give a number from "
			"16 to 16m flows"}},
	{"times",
		{"[timeouts]\nsyn_sent = 1500ms\nsyn_received = 30s\nestablished = 30d\nfin_wait = "
		 "2h\nclosed = 1m\n"},
		{NULL}},
	{"no times",
		{"[timeouts]\nsyn_sent = 30\nsyn_received = 30x\nestablished = 31d\nclosed = "
		 "999ms\n"},
		{"2: [timeouts] syn_sent = 30 has no unit; give a time from 1s to 30d as in 500ms, "
		 "30s, 10m, 2h or 1d",
			"3: [timeouts] syn_received = 30x is not a time; give a time from 1s to "
			"30d as in 500ms, 30s, 10m, 2h or 1d",
			"4: [timeouts] established = 31d is too large; give a time from 1s to 30d "
			"as in 500ms, 30s, 10m, 2h or 1d",
			"5: [timeouts] closed = 999ms is too small; give a time from 1s to 30d as "
			"in 500ms, 30s, 10m, 2h or 1d"}},
	{"bits", {"[netfilter]\nmark = 0x80000000\n"}, {NULL}},
	{"no bits", {"[netfilter]\nmark = 0\n"}, {"2: [netfilter] mark = 0 has no bit set" BIT}},
	{"a bit too far", {"[netfilter]\nmark = 0x100000000\n"},
		{"2: [netfilter] mark = 0x100000000 is too large" BIT}},
	{"rates", {"[rule a]\nsyn_rate = 50/s burst 100\n"}, {NULL}},
	{"no rate",
		{"[rule a]\nsyn_rate = 50\n[rule b]\nsyn_rate = 0/s\n[rule c]\nsyn_rate = 5/s "
		 "burts 7\n"},
		{"2: [rule a] syn_rate = 50 has no unit" RATE,
			"4: [rule b] syn_rate = 0/s is too small" RATE,
			"6: [rule c] syn_rate = 5/s burts 7 is not a rate" RATE}},
	{"a burst too large", {"[rule a]\nsyn_rate = 5/s burst 1000001\n"},
		{"2: [rule a] syn_rate = 5/s burst 1000001 is too large" RATE}},
	{"no path", {"[daemon]\ncontrol = run/x\n"},
		{"2: [daemon] control = run/x is not a path from the root; give a path from the "
		 "root, of at most 107 bytes"}},
	{"no user", {"[daemon]\nuser = 7up\n"},
		{"2: [daemon] user = 7up is not a user's name; give the name of a user, of at most "
		 "31 bytes"}},
	{"a misspelt word", {"[rule a]\nmode = rejct\n"},
		{"2: [rule a] mode = rejct is none of its words (did you mean 'reject'?); give "
		 "gate, splice, accept, drop or reject"}},
	{"all bad items of a list",
		{"[rule a]\nfrom = 10.0.0.1/8, ::1,\n\t10.0.0.300,\n\t::1-10.0.0.1\n"},
		{"2: [rule a] from = 10.0.0.1/8 has bits set behind its prefix" ADDRESSES,
			"3: [rule a] from = 10.0.0.300 is not an address" ADDRESSES,
			"4: [rule a] from = ::1-10.0.0.1 mixes IPv4 and IPv6" ADDRESSES}},
	{"a comma with nothing behind", {"[rule a]\nport = 80,\nmode = drop\n"},
		{"2: [rule a] port has nothing before or after a comma" PORTS}},
	{"a key that was indented after a comma", {"[rule a]\nport = 80,\n\tmode = drop\n"},
		{"3: [rule a] port = mode = drop is not a port" PORTS}},
	{"interfaces", {"[rule a]\ninterface = eth0, br-1a2b.100, wlp2s0@x\n"}, {NULL}},
	{"no interfaces", {"[rule a]\ninterface = eth+, 0123456789abcdef, ..\n"},
		{"2: [rule a] interface = eth+ is not an interface's name; give names of "
		 "interfaces, such as eth0, or any",
			"2: [rule a] interface = 0123456789abcdef is longer than 15 bytes; give "
			"names of interfaces, such as eth0, or any",
			"2: [rule a] interface = .. is not an interface's name; give names of "
			"interfaces, such as eth0, or any"}},

	{"percentages at their ends",
		{"[rule a]\nport = 1\nsyncookies_start = 2%\nsyncookies_end = 1%\n[rule "
		 "b]\nsyncookies_start = 100%\nsyncookies_end = 99%\n"},
		{NULL}},
	{"no percentages",
		{"[rule a]\nsyncookies_start = 75\nsyncookies_end = 0%\n[rule "
		 "b]\nsyncookies_start = 101%\n"},
		{"2: [rule a] syncookies_start = 75 is not a percentage" PERCENT,
			"3: [rule a] syncookies_end = 0% is too small" PERCENT,
			"5: [rule b] syncookies_start = 101% is too large" PERCENT}},
	{"cookies at their ends",
		{"[cookies]\nrotation = 1s\nsecret_file = auto\n[limits]\nhandshakes_in_flight = "
		 "1m\n",
			"[rule a]\nsyncookies = always\n"},
		{NULL}},
	{"cookies beyond",
		{"[cookies]\nrotation = 900ms\nsecret_file = "
		 "secret\n[limits]\nhandshakes_in_flight = "
		 "0\n[rule a]\nsyncookies = sometimes\n"},
		{"2: [cookies] rotation = 900ms is too small; give a time from 1s to 1d as in "
		 "500ms, "
		 "30s, 10m, 2h or 1d",
			"3: [cookies] secret_file = secret is not a path from the root; give a "
			"path from the root, of at most 191 bytes, or auto",
			"5: [limits] handshakes_in_flight = 0 is too small; give a number from 1 "
			"to 1m connections",
			"7: [rule a] syncookies = sometimes is none of its words; give adaptive, "
			"always or never"}},
	{"blocks at their ends",
		{"[limits]\nnever_block = ::1, 10.0.0.0/8\n[rule a]\nover_limit = "
		 "block\nblock_time = 30d\n"},
		{NULL}},
	{"blocks beyond",
		{"[limits]\nnever_block = any\n[rule a]\nblock_time = 0s\n[rule b]\nblock_time = "
		 "2592000001ms\n"},
		{"2: [limits] never_block = any is not an address; give addresses such as "
		 "192.0.2.1, 2001:db8::/32 or 192.0.2.10-192.0.2.20, or none",
			"4: [rule a] block_time = 0s is too small" BLOCK_TIME,
			"6: [rule b] block_time = 2592000001ms is too large" BLOCK_TIME}},

	/* What is not in this version. */
	{"metrics", {"[daemon]\nmetrics = 127.0.0.1:9100\n"},
		{"2: [daemon] metrics = 127.0.0.1:9100 is not in this version; off is"}},
	{"metrics off", {"[daemon]\nmetrics = off\n"}, {NULL}},
	{"who may read metrics", {"[daemon]\nmetrics_allow = ::1\n"},
		{"2: 'metrics_allow' in [daemon] is not in this version; leave it out"}},

	/* What values say together. */
	{"the last queue", {"[daemon]\nworkers = 2\n[netfilter]\nqueue = 65526\n"}, {NULL}},
	{"no room for queues", {"[daemon]\nworkers = 2\n[netfilter]\nqueue = 65527\n"},
		{"4: [netfilter] queue = 65527 leaves no room for 5 queues for each of 2 "
		 "workers; give at most 65526"}},
	{"no room for as many workers as there may be", {"[netfilter]\nqueue = 65497\n"},
		{"2: [netfilter] queue = 65497 leaves no room for 5 queues for each of 8 "
		 "workers; give at most 65496"}},
	{"cookies that end before they start", {"[rule a]\nsyncookies_end = 75%\n"},
		{"2: [rule a] syncookies_end = 75% is not below syncookies_start = 75%; give a "
		 "lower syncookies_end or a higher syncookies_start"}},
	{"cookies that start at their default end", {"[rule a]\nsyncookies_start = 50%\n"},
		{"2: [rule a] syncookies_end = 50% is not below syncookies_start = 50%; give a "
		 "lower syncookies_end or a higher syncookies_start"}},
	{"cookies of a rule that observes, and of one that is no gate",
		{"[rule a]\nport = 1\nenforce = no\nsyncookies = always\n[rule b]\nport = "
		 "2\nmode = drop\nsyncookies = always\n"},
		{NULL}},
	{"families apart", {"[rule a]\nfrom = 10.0.0.0/8\nto = 2001:db8::1\n"},
		{"1: [rule a] can't match anything, since 'from' and 'to' have no family in "
		 "common; give addresses of one family in both"}},
	{"a family in common", {"[rule a]\nfrom = 10.0.0.0/8, ::1\nto = 2001:db8::1\n"}, {NULL}},
	{"behind a rule for everything", {"[rule a]\n[rule b]\nport = 80\n"},
		{"2: [rule b] is never reached, since [rule a] in a:1 matches all that it does; "
		 "put it before that one, or remove it"}},
	{"behind a rule for everything of another file", {"[rule a]\n", "[rule b]\nport = 80\n"},
		{"1: [rule b] is never reached, since [rule a] in a:1 matches all that it does; "
		 "put it before that one, or remove it"}},
	{"behind ranges that meet",
		{"[rule a]\nport = 80-82, 83-90\nfrom = 10.0.0.0/9, 10.128.0.0/9\n[rule b]\nport = "
		 "81-85\nfrom = "
		 "10.0.0.0/8\n"},
		{"4: [rule b] is never reached, since [rule a] in a:1 matches all that it does; "
		 "put it before that one, or remove it"}},
	{"behind a rule that leaves a gap",
		{"[rule a]\nport = 80-82, 84-90\n[rule b]\nport = 81-85\n"}, {NULL}},
	{"behind a rule for one family", {"[rule a]\nfrom = 0.0.0.0/0\n[rule b]\n"}, {NULL}},
	{"behind a rule for both families", {"[rule a]\nfrom = 0.0.0.0/0, ::/0\n[rule b]\n"},
		{"3: [rule b] is never reached, since [rule a] in a:1 matches all that it does; "
		 "put it before that one, or remove it"}},
	{"lo behind a rule for everything", {"[rule a]\n[rule b]\ninterface = lo\n"}, {NULL}},
	{"behind a rule that is faulty itself", {"[rule a]\nport = x\n[rule b]\nport = 80\n"},
		{"2: [rule a] port = x is not a port" PORTS}},
};

static void hand_over(const struct scenario *s)
{
	static const char *const names[FILES_MAX] = {"a", "b", "c"};
	struct config_source sources[FILES_MAX];
	struct config_errors errors = {0};
	struct config *c;
	size_t count = 0;

	for (; count < FILES_MAX && s->files[count] != NULL; count++) {
		sources[count] = (struct config_source){.name = names[count],
			.text = s->files[count],
			.len = strlen(s->files[count])};
	}
	c = config_parse(sources, count, NULL, &errors);
	for (size_t i = 0; i < errors.count || s->faults[i] != NULL; i++) {
		const char *got = i < errors.count ? errors.list[i] + 2 : "(none)";
		const char *wanted = s->faults[i] != NULL ? s->faults[i] : "(none)";

		if (strcmp(got, wanted) != 0)
			fail_msg("%s:\n   got %s\nwanted %s", s->name, got, wanted);
	}
	assert_int_equal(c == NULL, errors.count > 0);
	config_free(c);
	config_errors_free(&errors);
}

static void faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		hand_over(&scenarios[i]);
}

static void nul_bytes(void **state)
{
	static const char text[] = "[daemon]\nwork\0ers = 2\n";
	const struct config_source source = {.name = "a", .text = text, .len = sizeof(text) - 1};
	struct config_errors errors = {0};

	(void)state;
	assert_null(config_parse(&source, 1, NULL, &errors));
	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.list[0], "a:2: control character 0x00 in column 5; of these a "
					    "text may hold tabs and line ends only");
	config_errors_free(&errors);
}

/* One more than fit is a fault; as many as fit are none. */
static void many_rules(void **state)
{
	size_t room = (POLICY_RULES_MAX + 1) * 40;
	char *text = calloc(1, room);
	struct config_source source = {.name = "a", .text = text};
	struct config_errors errors = {0};
	struct config *c;
	size_t len = 0;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < POLICY_RULES_MAX; i++)
		len += (size_t)snprintf(
			text + len, room - len, "[rule r%u]\nport = %u\n", i, i + 1);
	source.len = len;
	c = config_parse(&source, 1, NULL, &errors);
	assert_non_null(c);
	assert_int_equal(c->policy.rule_count, POLICY_RULES_MAX);
	config_free(c);

	len += (size_t)snprintf(text + len, room - len, "[rule last]\nport = 9999\n");
	source.len = len;
	assert_null(config_parse(&source, 1, NULL, &errors));
	assert_string_equal(
		errors.list[0], "a:2049: [rule last] is one rule too many; at most 1024 fit");
	config_errors_free(&errors);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),
		cmocka_unit_test(nul_bytes),
		cmocka_unit_test(many_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
