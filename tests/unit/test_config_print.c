/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes out: defaults, values as written and as printed, what is derived, and that printing
 * reads back. */
#include <config.h> /* Autoconf's: names beyond C11 */

#include "config/config.h"
#include "config/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct config *parse(const char *text)
{
	const struct config_source source = {.name = "a", .text = text, .len = strlen(text)};
	struct config_errors errors = {0};
	struct config *c = config_parse(&source, 1, NULL, &errors);

	if (c == NULL)
		fail_msg("%s", errors.count > 0 ? errors.list[0] : "no configuration and no fault");
	config_errors_free(&errors);
	return c;
}

static char *print(const struct config *c)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	config_print(c, to);
	fclose(to);
	return text;
}

static void defaults(void **state)
{
	struct config *c = parse("[rule all]\n");
	const struct policy_rule *r = &c->policy.rules[0];

	(void)state;
	assert_string_equal(c->daemon.user, "ackgate");
	assert_int_equal(c->daemon.workers, 0);
	assert_string_equal(c->daemon.control, "/run/ackgate/control.sock");
	assert_int_equal(c->daemon.log, LOG_TO_AUTO);
	assert_int_equal(c->daemon.log_level, LOG_LEVEL_INFO);
	assert_true(c->daemon.enforce);
	assert_int_equal(c->daemon.drain_us, 10000000);
	assert_int_equal(c->netfilter.manage, MANAGE_AUTO);
	assert_int_equal(c->netfilter.queue, 5200);
	assert_int_equal(c->netfilter.queue_length, 8192);
	assert_int_equal(c->netfilter.mark, 0x20000000);
	assert_int_equal(c->netfilter.tproxy_mark, 0x10000000);
	assert_true(c->netfilter.fail_open);
	assert_true(c->netfilter.adopt);
	assert_int_equal(c->limits.half_open, 65536);
	assert_int_equal(c->limits.flows, 262144);
	assert_int_equal(c->limits.sources, 65536);
	assert_int_equal(c->limits.handshakes_in_flight, 16384);
	assert_int_equal(c->limits.never_block_count, 0);
	assert_string_equal(c->cookies.secret_file, "");
	assert_false(c->policy.cookies_shared);
	assert_int_equal(c->policy.cookie_rotation, 60);
	assert_int_equal(c->policy.half_open, 65536);
	assert_int_equal(c->policy.timeouts.established, 7440);
	assert_int_equal(c->policy.timeouts.closed, 10);
	assert_int_equal(c->policy.adopt_window, 30);
	assert_int_equal(c->policy.source_prefix6, 64);
	assert_false(c->policy.by_interface);
	assert_int_equal(r->from_count + r->to_count + r->port_count + r->interface_count, 0);
	assert_int_equal(r->mode, MODE_GATE);
	assert_true(r->enforce);
	assert_int_equal(r->inspect, INSPECT_HANDSHAKE);
	assert_true(r->fastopen_strip);
	assert_int_equal(r->mss, 0);
	assert_int_equal(r->syncookies, SYNCOOKIES_ADAPTIVE);
	assert_int_equal(r->syncookies_start, 75);
	assert_int_equal(r->syncookies_end, 50);
	assert_int_equal(r->block_time, 600);
	assert_int_equal(r->syn_rate.per_s, 0);
	assert_int_equal(r->over_limit, OVER_LIMIT_DROP);
	config_free(c);
}

static void derived(void **state)
{
	struct config *c = parse(
		"[daemon]\nenforce = no\n[timeouts]\nsyn_sent = 1500ms\n[netfilter]\nadopt = no\n"
		"[limits]\nsource_prefix4 = 24\nhalf_open = 1k\nnever_block = 10.0.0.0/8, ::1\n"
		"[cookies]\nsecret_file = /etc/secret\nrotation = 10001ms\n[rule a]\nenforce = "
		"yes\ninterface = "
		"eth0\nsyn_rate = 7/s\n");

	(void)state;
	assert_false(c->policy.rules[0].enforce);
	assert_true(c->policy.by_interface);
	assert_string_equal(c->policy.rules[0].interface[0], "eth0");
	assert_int_equal(c->policy.rules[0].syn_rate.burst, 7);
	assert_int_equal(c->timeouts.syn_sent_us, 1500000);
	assert_int_equal(c->policy.timeouts.syn_sent, 2);
	assert_false(c->policy.adopt);
	assert_int_equal(c->policy.source_prefix4, 24);
	assert_int_equal(c->policy.half_open, 1024);
	assert_int_equal(c->limits.never_block_count, 2);
	assert_true(addr_is_v4(&c->limits.never_block[0].first));
	assert_string_equal(c->cookies.secret_file, "/etc/secret");
	assert_true(c->policy.cookies_shared);
	assert_int_equal(c->cookies.rotation_us, 10001000);
	assert_int_equal(c->policy.cookie_rotation, 11);
	assert_string_equal(c->file, "a");
	config_free(c);
}

/* A line as written in the section, and as printed. */
static const struct {
	const char *section;
	const char *written;
	const char *printed;
} values[] = {
	{"[daemon]", "workers = 3", "workers = 3"},
	{"[daemon]", "workers = auto", "workers = auto"},
	{"[daemon]", "enforce = no", "enforce = no"},
	{"[daemon]", "user = www-data", "user = www-data"},
	{"[daemon]", "state_dir = /var/lib/a b", "state_dir = /var/lib/a b"},
	{"[daemon]", "drain = 0s", "drain = off"},
	{"[daemon]", "drain = 1500ms", "drain = 1500ms"},
	{"[daemon]", "drain = 0", NULL},
	{"[netfilter]", "mark = 1", "mark = 0x00000001"},
	{"[netfilter]", "tproxy_mark = 1", "tproxy_mark = 0x00000001"},
	{"[netfilter]", "mark = 0x0000ABCD0000", NULL},
	{"[netfilter]", "on_failure = closed", "on_failure = closed"},
	{"[netfilter]", "queue_length = 1024", "queue_length = 1k"},
	{"[netfilter]", "queue_length = 1025", "queue_length = 1025"},
	{"[netfilter]", "adopt_window = 60000ms", "adopt_window = 1m"},
	{"[netfilter]", "adopt_window = 1001ms", "adopt_window = 1001ms"},
	{"[limits]", "handshakes_in_flight = 2048", "handshakes_in_flight = 2k"},
	{"[limits]", "never_block = none", "never_block = none"},
	{"[limits]", "never_block = 10.0.0.0/8", "never_block = 10.0.0.0/8"},
	{"[cookies]", "secret_file = auto", "secret_file = auto"},
	{"[cookies]", "secret_file = /etc/ackgate/secret", "secret_file = /etc/ackgate/secret"},
	{"[cookies]", "rotation = 1440m", "rotation = 1d"},
	{"[timeouts]", "established = 48h", "established = 2d"},
	{"[timeouts]", "established = 7440s", "established = 124m"},
	{"[rule a]", "mss = off", "mss = off"},
	{"[rule a]", "mss = 1400", "mss = 1400"},
	{"[rule a]", "syn_rate = 50/s", "syn_rate = 50/s"},
	{"[rule a]", "syn_rate = 50/s burst 50", "syn_rate = 50/s"},
	{"[rule a]", "syn_rate = 50/s  burst\t100", "syn_rate = 50/s burst 100"},
	{"[rule a]", "half_open = 2m", "half_open = 2m"},
	{"[rule a]", "syncookies = always", "syncookies = always"},
	{"[rule a]", "syncookies_start = 80%", "syncookies_start = 80%"},
	{"[rule a]", "syncookies_end = 08%", "syncookies_end = 8%"},
	{"[rule a]", "syncookies_end = 8 %", NULL},
	{"[rule a]", "over_limit = block", "over_limit = block"},
	{"[rule a]", "block_time = 90s", "block_time = 90s"},
	{"[rule a]", "block_time = 2000ms", "block_time = 2s"},
	{"[rule a]", "block_time = 1001ms", "block_time = 2s"},
	{"[rule a]", "block_time = 1ms", "block_time = 1s"},
	{"[rule a]", "block_time = 18446744073709551ms", NULL},
	{"[rule a]", "fastopen = pass", "fastopen = pass"},
	{"[rule a]", "port = 443, 80,80 , 8000 - 8100", "port = 80, 443, 8000-8100"},
	{"[rule a]", "port = 1-10, 5-20, 20-30, 7", "port = 1-30"},
	{"[rule a]", "port = any", "port = any"},
	{"[rule a]", "port = 0-5", NULL},
	{"[rule a]", "port = 5-4", NULL},
	{"[rule a]", "port = 65536", NULL},
	{"[rule a]", "port = 1--2", NULL},
	{"[rule a]", "from = 192.0.2.1", "from = 192.0.2.1"},
	{"[rule a]", "from = 192.0.2.1/32", "from = 192.0.2.1"},
	{"[rule a]", "from = 0.0.0.0/0", "from = 0.0.0.0/0"},
	{"[rule a]", "from = ::/0", "from = ::/0"},
	{"[rule a]", "from = 2001:DB8::0:1", "from = 2001:db8::1"},
	{"[rule a]", "from = 10.0.0.0-10.255.255.255", "from = 10.0.0.0/8"},
	{"[rule a]", "from = 10.0.0.1 - 10.0.0.2", "from = 10.0.0.1-10.0.0.2"},
	{"[rule a]", "from = 2001:db8::1-2001:db8::ff", "from = 2001:db8::1-2001:db8::ff"},
	{"[rule a]", "from = ::1, 192.168.0.0/16, 10.0.0.0/8, 10.1.0.0/16",
		"from = 10.0.0.0/8, 192.168.0.0/16,\n\t::1"},
	{"[rule a]", "from = ::ffff:10.0.0.1", NULL},
	{"[rule a]", "from = ::ffff:0:0/96", NULL},
	{"[rule a]", "from = 10.0.0.0/33", NULL},
	{"[rule a]", "from = ::/129", NULL},
	{"[rule a]", "from = 10.0.0.0/", NULL},
	{"[rule a]", "from = 10.0.0.0/-1", NULL},
	{"[rule a]", "from = 10.0.0.2-10.0.0.1", NULL},
	{"[rule a]", "from = 010.0.0.1", NULL},
	{"[rule a]", "from = 10.1", NULL},
	{"[rule a]", "from = example.org", NULL},
	{"[rule a]", "from = fe80::1%eth0", NULL},
	{"[rule a]", "interface = eth1, eth0, eth1", "interface = eth0, eth1"},
};

static void as_printed(void **state)
{
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const struct config_source source = {.name = "a", .text = text};
		struct config_source s = source;
		struct config_errors errors = {0};
		struct config *c;
		char *printed;

		s.len = (size_t)snprintf(
			text, sizeof(text), "%s\n%s\n", values[i].section, values[i].written);
		c = config_parse(&s, 1, NULL, &errors);
		config_errors_free(&errors);
		if ((c == NULL) != (values[i].printed == NULL))
			fail_msg("%s is %s", values[i].written, c == NULL ? "refused" : "taken");
		if (c == NULL)
			continue;
		printed = print(c);
		snprintf(text, sizeof(text), "\n%s\n", values[i].printed);
		if (strstr(printed, text) == NULL)
			fail_msg("%s is not printed as %s", values[i].written, values[i].printed);
		free(printed);
		config_free(c);
	}
}

static void print_reads_back(void **state)
{
	struct config *c = parse(
		"[daemon]\nworkers = 4\nlog = stderr\n[netfilter]\nmanage = none\nmark = 0x100\n"
		"[limits]\nnever_block = ::1, 10.0.0.0/8, 192.0.2.0/24\n"
		"[cookies]\nsecret_file = /etc/secret\nrotation = 15s\n"
		"[timeouts]\nclosed = 1500ms\n[rule a]\nport = "
		"1,2,3,4,5,6,7,8,\n\t9,10,11,12,13,14,15,16,17\n"
		"from = "
		"1111:2222:3333:4444:5555:6666:7777:8888-1111:2222:3333:4444:5555:6666:7777:9999,\n"
		"\t2111:2222:3333:4444:5555:6666:7777:8888-2111:2222:3333:4444:5555:6666:7777:9999,"
		"\n"
		"\t3111:2222:3333:4444:5555:6666:7777:8888-3111:2222:3333:4444:5555:6666:7777:"
		"9999\n"
		"interface = abcdefghijklmno, bbcdefghijklmno, cbcdefghijklmno, lo\n[rule b]\nmode "
		"= reject\nport = 99\nsyncookies_start = 90%\nsyncookies_end = 1%\nblock_time = "
		"1h\n");
	char *once = print(c), *twice;
	struct config *again = parse(once);

	(void)state;
	twice = print(again);
	assert_string_equal(once, twice);
	assert_int_equal(again->policy.rules[0].port_count, 17);
	assert_int_equal(again->policy.rules[0].from_count, 3);
	free(once);
	free(twice);
	config_free(c);
	config_free(again);
}

/* Every default is a value that the option takes, and is printed as it stands in the row. */
static void rows(void **state)
{
	char text[256] = "[rule a]\n[backend b]\n";
	struct config_rule r;
	struct config *c;

	(void)state;
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];

		if (o->initial == NULL && !o->later)
			sprintf(text + strlen(text), "%s = %s\n", o->key, o->example);
	}
	c = parse(text);
	r = (struct config_rule){.rule = c->policy.rules[0], .splice = c->splices[0]};
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];
		const void *base = o->section == SECTION_RULE      ? (const void *)&r
				   : o->section == SECTION_BACKEND ? &c->backends[0]
								   : (const void *)c;
		char printed[128] = "";
		FILE *to;

		assert_ptr_equal(option_find(o->section, o->key), o);
		assert_int_equal(option_index(o), i);
		if (o->later)
			continue;
		if (o->initial == NULL) {
			assert_int_equal(o->section, SECTION_BACKEND); /* the last in `text` */
			continue;
		}
		to = fmemopen(printed, sizeof(printed), "w");
		assert_non_null(to);
		option_print(o, base, to);
		fclose(to);
		assert_string_equal(printed, o->initial);
		/* difference.c compares and copies bytes. */
		if (o->restart)
			assert_int_equal(o->count_offset, 0);
	}
	config_free(c);
}

/* The shipped file changes nothing, whether its options stay comments or not. */
static void shipped(void **state)
{
	const char *top = getenv("srcdir");
	char path[4096], line[256], text[32768] = "";
	struct config *as_shipped,
		*plain = parse("[rule NAME]\n[backend NAME]\n"
			       "servers = 192.0.2.11:8080, 192.0.2.12:8080 weight 2\n");
	struct config_errors errors = {0};
	struct config_source *sources;
	char *a, *b;
	size_t count;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/etc/ackgate.ini", top != NULL ? top : ".");
	sources = config_read(path, &count, &errors);
	if (sources == NULL)
		skip();
	as_shipped = config_parse(sources, count, NULL, &errors);
	assert_non_null(as_shipped);
	assert_int_equal(as_shipped->policy.rule_count, 0);
	config_sources_free(sources, count);

	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL && strncmp(line, "# A server", 10) != 0)
		strcat(text, line[0] == '#' && line[1] != ' ' ? line + 1 : line);
	fclose(f);
	config_free(as_shipped);
	as_shipped = parse(text);
	a = print(as_shipped);
	b = print(plain);
	assert_string_equal(a, b);
	free(a);
	free(b);
	config_free(as_shipped);
	config_free(plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(derived),
		cmocka_unit_test(as_printed),
		cmocka_unit_test(print_reads_back),
		cmocka_unit_test(rows),
		cmocka_unit_test(shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
