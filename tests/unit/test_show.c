/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ackgatectl prints, at several widths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/units.h"

#include <stdlib.h>
#include <string.h>

static void counts_and_times_are_readable(void **state)
{
	static const struct {
		int64_t n;
		const char *count;
		const char *duration;
	} rows[] = {
		{0, "0", "0s"},
		{59, "59", "59s"},
		{60, "60", "1m"},
		{200, "200", "3m 20s"},
		{3600, "3,600", "1h"},
		{90061, "90,061", "1d 1h"},
		{1234567, "1,234,567", "14d 6h"},
		{INT64_MAX, "9,223,372,036,854,775,807", "106751991167300d 15h"},
	};
	char text[UNITS_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_string_equal(units_count(text, rows[i].n), rows[i].count);
		assert_string_equal(units_duration(text, rows[i].n), rows[i].duration);
	}
	assert_string_equal(units_count(text, -1234), "-1,234");
}

static void durations_are_read(void **state)
{
	static const struct {
		const char *text;
		double seconds; /* 0: refused */
	} rows[] = {
		{"500ms", 0.5},
		{"30s", 30},
		{"10m", 600},
		{"2h", 7200},
		{"1d", 86400},
		{"0s", 0},
		{"30", 0},
		{"", 0},
		{"s", 0},
		{"-1s", 0},
		{"1.5h", 0},
		{"1 h", 0},
		{"1hour", 0},
		{"99999999999999999999s", 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double seconds = 0;
		bool read = units_parse_duration(rows[i].text, &seconds);
		assert_int_equal(read, rows[i].seconds > 0);
		if (read)
			assert_true(seconds > rows[i].seconds * 0.999 &&
				    seconds < rows[i].seconds * 1.001);
	}
}

static char *print_table(size_t width)
{
	static const struct column columns[] = {{"NAME", COLUMN_LEFT | COLUMN_ELASTIC},
		{"N", COLUMN_RIGHT}, {"MORE", COLUMN_LEFT | COLUMN_EXPENDABLE}};
	static const char *const cells[] = {
		"a-long-name-of-a-rule", "12", "words", "b\xc3\xa9\033", "7", ""};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct table *t = table_new(columns, 3);

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		table_add(t, cells[i]);
	table_print(t, f, width, 0);
	fclose(f);
	return text;
}

static void tables_fit(void **state)
{
	static const struct {
		size_t width;
		const char *text;
	} rows[] = {
		{0, "NAME                    N  MORE\n"
		    "a-long-name-of-a-rule  12  words\n"
		    "b\xc3\xa9?                     7  \n"},
		{22, "NAME          N  MORE\n"
		     "a-long-nam~  12  words\n"
		     "b\xc3\xa9?           7  \n"},
		{14, "NAME       N\n"
		     "a-long-~  12\n"
		     "b\xc3\xa9?        7\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = print_table(rows[i].width);
		assert_string_equal(text, rows[i].text);
		free(text);
	}
}

static char *show(void (*view)(const struct show *, const json_t *), const char *json, size_t width,
	bool colour)
{
	char *text = NULL;
	size_t len = 0;
	struct show s = {.to = open_memstream(&text, &len),
		.width = width,
		.colour = colour,
		.now = 1000090};
	json_t *result = json_loads(json, 0, NULL);

	assert_non_null(result);
	view(&s, result);
	json_decref(result);
	fclose(s.to);
	return text;
}

static const char busy[] =
	"{\"version\": \"0.1.0\", \"uptime_s\": 90061, \"enforce\": true, \"manage\": \"nftables\","
	" \"workers\": 2, \"config\": {\"file\": \"/etc/ackgate/ackgate.ini\", \"loaded_at\": "
	"1000000,"
	" \"generation\": 3, \"last_error\": null},"
	" \"queue\": {\"packets\": 33221114, \"kernel_dropped\": 12, \"user_dropped\": 0},"
	" \"flows\": {\"syn_sent\": 8, \"syn_received\": 4, \"established\": 231, \"closing\": 3,"
	" \"offloaded\": 10233},"
	" \"handshakes\": {\"started\": 1204332, \"completed\": 1100201,"
	" \"failed\": {\"refused\": 12001, \"no_ack\": 92114, \"no_syn_ack\": 0}},"
	" \"drops\": {\"no_flow\": 1000, \"bad_ack\": 1332, \"rule\": 0}, \"observed\": {\"rule\": "
	"0},"
	" \"rules\": [{\"name\": \"web\", \"mode\": \"gate\", \"enforce\": true, \"matched\": "
	"1204332,"
	" \"admitted\": 1100201, \"dropped\": 2332, \"half_open\": 12, \"cookies_active\": false},"
	" {\"name\": \"telnet\", \"mode\": \"drop\", \"enforce\": true, \"matched\": 7, "
	"\"dropped\": 7}]}";

static size_t lines_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void status_is_one_page(void **state)
{
	static const char *const wanted[] = {
		"ackgate        0.1.0, up 1d 1h, 2 workers, kernel rules by nftables\n",
		"Gate           enforcing\n",
		"12 half-open (8 wait for SYN-ACK, 4 for ACK)",
		"10,233 handed to the kernel",
		"1,204,332 started, 1,100,201 completed (91.4%), 104,115 failed\n",
		"               at SYN-ACK  refused  12,001  the server answered with RST\n",
		"               at ACK      no_ack   92,114  the client never answered",
		"Dropped        2,332 packets\n",
		"LOST 12 as the queue was full",
		"(1m 30s ago)",
		"\ntelnet  drop          7          0        7          0",
	};
	char *text = show(show_status, busy, 0, false);

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (strstr(text, wanted[i]) == NULL)
			fail_msg("'%s' is missing in:\n%s", wanted[i], text);
	assert_null(strstr(text, "no_syn_ack"));
	assert_null(strstr(text, "Would drop"));
	assert_null(strstr(text, "\033"));
	assert_true(strstr(text, "bad_ack") < strstr(text, "no_flow"));
	assert_in_range(lines_of(text), 15, 25);
	free(text);
}

static void status_fits_narrow_terminals(void **state)
{
	char *text = show(show_status, busy, 60, true);
	size_t column = 0;
	bool escape = false;

	(void)state;
	assert_non_null(strstr(text, "\033[1;32menforcing\033[0m"));
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '\033')
			escape = true;
		else if (*c == '\n')
			column = 0;
		else if (!escape)
			assert_true(++column <= 60);
		if (escape && *c == 'm')
			escape = false;
	}
	free(text);
}

static void trouble_is_seen_at_a_glance(void **state)
{
	static const char json[] =
		"{\"enforce\": false, \"draining\": true, \"confirm_left_s\": 45,"
		" \"config\": {\"last_error\": \"a.ini:3: no\\na.ini:4: neither\"},"
		" \"observed\": {\"rule\": 3}, \"untracked\": 5, \"notes\": [\"SYNPROXY is in the "
		"way\"]}";
	static const char *const wanted[] = {"OBSERVING ONLY", "DRAINING", "taken back in 45s",
		"THE LAST RELOAD FAILED: a.ini:3: no\n", "Would drop     3 packets",
		"5 packets passed unjudged", "SYNPROXY is in the way", "No rules"};
	char *text = show(show_status, json, 0, false);

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (strstr(text, wanted[i]) == NULL)
			fail_msg("'%s' is missing in:\n%s", wanted[i], text);
	free(text);
}

static char *show_status_with(const char *cookies)
{
	char json[1024];

	snprintf(json, sizeof(json), "{\"enforce\": true, %s}", cookies);
	return show(show_status, json, 0, false);
}

static void cookies_are_told_once_there_are_any(void **state)
{
	static const struct {
		const char *json;
		const char *line; /* NULL: none */
	} rows[] = {
		{"\"cookies\": {\"sent\": 12345, \"accepted\": 2000, \"refused\": 17, \"active\": "
		 "true}, \"rules\": [{\"name\": \"ssh\"}, {\"name\": \"web\", "
		 "\"cookies_active\": true}]",
			"\nCookies        12,345 sent, 2,000 came back, 17 refused; on for web\n"},
		{"\"cookies\": {\"sent\": 1, \"accepted\": 0, \"refused\": 0, \"active\": false}",
			"\nCookies        1 sent, 0 came back, 0 refused\n"},
		{"\"cookies\": {\"sent\": 0, \"active\": true}",
			"\nCookies        0 sent, 0 came back, 0 refused; on\n"},
		{"\"cookies\": {\"sent\": 5, \"active\": true}, \"rules\": ["
		 "{\"name\": \"a\", \"cookies_active\": true}, "
		 "{\"name\": \"b\", \"cookies_active\": true}, "
		 "{\"name\": \"c\", \"cookies_active\": true}, "
		 "{\"name\": \"d\", \"cookies_active\": true}, "
		 "{\"name\": \"e\", \"cookies_active\": true}]",
			"0 refused; on for a, b, c and 2 more\n"},
		{"\"cookies\": {\"sent\": 0, \"accepted\": 0, \"refused\": 0, \"active\": false}",
			NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = show_status_with(rows[i].json);
		if (rows[i].line == NULL)
			assert_null(strstr(text, "\nCookies"));
		else if (strstr(text, rows[i].line) == NULL)
			fail_msg("'%s' is missing in:\n%s", rows[i].line, text);
		free(text);
	}
}

static void sources_are_counted_once_there_are_any(void **state)
{
	char *text = show_status_with("\"sources\": {\"tracked\": 1200, \"blocked\": 3}");

	(void)state;
	assert_non_null(strstr(text, "\nSources        1,200 tracked, 3 blocked\n"));
	free(text);
	text = show_status_with("\"sources\": {\"tracked\": 0, \"blocked\": 1}");
	assert_non_null(strstr(text, "\nSources        0 tracked, 1 blocked\n"));
	free(text);
	text = show_status_with("\"sources\": {\"tracked\": 0, \"blocked\": 0}");
	assert_null(strstr(text, "\nSources"));
	free(text);
}

static void sources_and_blocks_are_listed(void **state)
{
	char *text = show(show_sources,
		"{\"tracked\": 3400, \"sources\": ["
		"{\"source\": \"192.0.2.7\", \"rule\": \"web\", \"connections\": 1200, "
		"\"half_open\": 3},"
		"{\"source\": \"2001:db8::/64\", \"rule\": null, \"connections\": 1, "
		"\"half_open\": 0}],"
		" \"blocked\": [{\"source\": \"198.51.100.0/24\", \"left_s\": 598}], "
		"\"blocked_total\": 2}",
		0, false);

	(void)state;
	assert_string_equal(text, "SOURCE         RULE  CONNECTIONS  HALF-OPEN\n"
				  "192.0.2.7      web         1,200          3\n"
				  "2001:db8::/64  -               1          0\n"
				  "2 of 3,400 sources: those with the most connections\n"
				  "\n"
				  "BLOCKED          TIME LEFT\n"
				  "198.51.100.0/24     9m 58s\n"
				  "1 of 2 that are blocked\n");
	free(text);
	text = show(show_sources, "{\"tracked\": 0, \"sources\": [], \"blocked\": []}", 0, false);
	assert_string_equal(text, "no sources are remembered\n\nnobody is blocked\n");
	free(text);
}

static void rules_say_when_they_give_cookies(void **state)
{
	static const struct {
		const char *json;
		const char *cell;
	} rows[] = {
		{"\"mode\": \"gate\", \"syncookies\": \"never\"", "never"},
		{"\"mode\": \"gate\", \"syncookies\": \"adaptive\", \"cookies_active\": false",
			"adaptive"},
		{"\"mode\": \"gate\", \"syncookies\": \"adaptive\", \"cookies_active\": true",
			"adaptive, on"},
		{"\"mode\": \"gate\", \"syncookies\": \"always\", \"cookies_active\": true",
			"always"},
		{"\"mode\": \"drop\", \"syncookies\": \"adaptive\"", "-"},
		{"\"mode\": \"gate\"", "-"},
	};
	char json[512], line[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(json, sizeof(json),
			"{\"rules\": [{\"name\": \"web\", %s, \"limits\": {\"over_limit\": "
			"\"block\", \"block_time\": 600}}]}",
			rows[i].json);
		snprintf(line, sizeof(line), "  %-*s  block_time 10m\n",
			(int)(strlen(rows[i].cell) > 7 ? strlen(rows[i].cell) : 7), rows[i].cell);
		char *text = show(show_rules, json, 0, false);
		if (strstr(text, "COOKIES") == NULL || strstr(text, line) == NULL)
			fail_msg("'%s' is missing in:\n%s", line, text);
		free(text);
	}
}

static void what_was_learned_stands_below_the_rules(void **state)
{
	static const char json[] =
		"{\"rules\": [{\"name\": \"ssh\", \"learned\": []}, {\"name\": \"web\", "
		"\"learned\": ["
		"{\"server\": \"10.0.2.2:80\", \"mss\": 1460, \"wscale\": 7, \"sack\": true, "
		"\"timestamps\": true, \"ecn\": false, \"public\": \"192.0.2.1:80\", \"route\": "
		"\"one\"},"
		"{\"server\": \"[2001:db8::2]:80\", \"mss\": 1440, \"wscale\": false, \"sack\": "
		"null, \"timestamps\": null, \"ecn\": null, \"public\": null, \"route\": "
		"\"direct\"},"
		"{\"server\": \"10.0.2.3:80\", \"mss\": null, \"wscale\": null, \"sack\": null, "
		"\"timestamps\": null, \"ecn\": null, \"public\": null, \"route\": \"many\"},"
		"{\"server\": \"10.0.2.4:80\", \"route\": \"unknown\"}]}]}";
	static const char wanted[] =
		"\n  web: 10.0.2.2:80 answers with mss 1460, wscale 7, sack, timestamps, no ecn; "
		"reached as 192.0.2.1:80\n"
		"  web: [2001:db8::2]:80 answers with mss 1440, no wscale; not known yet: sack, "
		"timestamps, ecn\n"
		"  web: 10.0.2.3:80 has not answered yet; reached by several addresses\n"
		"  web: 10.0.2.4:80 has not answered yet; reached by DNAT, it is not known yet "
		"from "
		"where\n";
	char *text = show(show_rules, json, 0, false);

	(void)state;
	if (strstr(text, wanted) == NULL)
		fail_msg("'%s' is missing in:\n%s", wanted, text);
	assert_null(strstr(text, "  ssh:"));
	free(text);
}

static void lists_say_what_there_is(void **state)
{
	static const char flows[] =
		"{\"flows\": [{\"client\": \"[2001:db8::1]:1025\", \"server\": \"192.0.2.1:80\","
		" \"rule\": null, \"state\": \"half-open\", \"client_state\": \"SYN_SENT\","
		" \"server_state\": \"LISTEN\", \"age_s\": 61}], \"total\": 1200}";
	static const char failures[] =
		"{\"failures\": [{\"at\": 1.5, \"client\": \"c\", \"server\": \"s\", \"rule\": "
		"\"web\","
		" \"cause\": \"unreachable\", \"step\": \"SYN\", \"from\": \"192.0.2.9\"}]}";
	static const char rules[] =
		"{\"rules\": [{\"name\": \"web\", \"mode\": \"gate\", \"enforce\": false, "
		"\"port\": [\"80\", \"443\"],"
		" \"limits\": {\"syn_rate\": {\"per_s\": 50, \"burst\": 100}, \"half_open\": 9}}]}";
	char *text = show(show_flows, flows, 0, false);

	(void)state;
	assert_non_null(
		strstr(text, "[2001:db8::1]:1025  192.0.2.1:80  -     half-open  SYN_SENT"));
	assert_non_null(strstr(text, "1 of 1,200 flows"));
	free(text);
	text = show(show_failures, failures, 0, false);
	assert_non_null(strstr(text, "unreachable at SYN  refused"));
	assert_non_null(strstr(text, ": says 192.0.2.9"));
	free(text);
	text = show(show_rules, rules, 0, false);
	assert_non_null(strstr(text, "gate, observes  any   any  80, 443"));
	assert_non_null(strstr(text, "syn_rate 50/s burst 100, half_open 9\n"));
	free(text);
}

static void answers_of_another_version_are_no_crash(void **state)
{
	static void (*const views[])(const struct show *, const json_t *) = {show_status,
		show_flows, show_killed, show_failures, show_rules, show_sources, show_config,
		show_message};
	static const char *const answers[] = {"{}", "[]",
		"{\"flows\": 1, \"rules\": [1, {}, {\"learned\": 1}, {\"learned\": "
		"[1, {}], \"limits\": 1}], \"notes\": [1],"
		" \"sources\": [1, {}], \"blocked\": [{}, []], \"cookies\": 1,"
		" \"failures\": [{}, []], \"text\": 5, \"message\": {}, \"drops\": [], "
		"\"handshakes\": 0}"};

	(void)state;
	for (size_t v = 0; v < sizeof(views) / sizeof(views[0]); v++)
		for (size_t a = 0; a < sizeof(answers) / sizeof(answers[0]); a++)
			free(show(views[v], answers[a], 80, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_and_times_are_readable),
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(tables_fit),
		cmocka_unit_test(status_is_one_page),
		cmocka_unit_test(status_fits_narrow_terminals),
		cmocka_unit_test(trouble_is_seen_at_a_glance),
		cmocka_unit_test(cookies_are_told_once_there_are_any),
		cmocka_unit_test(sources_are_counted_once_there_are_any),
		cmocka_unit_test(sources_and_blocks_are_listed),
		cmocka_unit_test(rules_say_when_they_give_cookies),
		cmocka_unit_test(what_was_learned_stands_below_the_rules),
		cmocka_unit_test(lists_say_what_there_is),
		cmocka_unit_test(answers_of_another_version_are_no_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
