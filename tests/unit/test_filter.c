/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The language that picks flows, and addresses as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/endpoint.h"
#include "control/filter.h"

#include <stdio.h>

static struct engine_flow_info flow_between(const char *client, const char *server)
{
	struct engine_flow_info flow = {
		.client_state = "SYN_SENT", .server_state = "SYN_RCVD", .flow_state = "half-open"};
	struct addr_range r;

	assert_true(endpoint_parse(client, &r, &flow.tuple.client_port));
	flow.tuple.client = r.first;
	assert_true(endpoint_parse(server, &r, &flow.tuple.server_port));
	flow.tuple.server = r.first;
	return flow;
}

static void picks_flows(void **state)
{
	static const struct {
		const char *filter;
		const char *client, *server;
		const char *rule;
		bool picked;
	} rows[] = {
		{"", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"  \t ", "192.0.2.1:1000", "198.51.100.1:80", NULL, true},
		{"client 192.0.2.1", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"client 192.0.2.2", "192.0.2.1:1000", "198.51.100.1:80", "web", false},
		{"client 192.0.2.77/24", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"client 0.0.0.0/0", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"client ::/0", "192.0.2.1:1000", "198.51.100.1:80", "web", false},
		{"client ::/0", "[2001:db8::1]:1000", "[2001:db8::2]:80", "web", true},
		{"client 2001:db8::/32", "[2001:db8:1::1]:1000", "[2001:db8::2]:80", "web", true},
		{"server 198.51.100.1", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"server 198.51.100.1:80", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"server 198.51.100.1:81", "192.0.2.1:1000", "198.51.100.1:80", "web", false},
		{"server [2001:db8::2]:80", "[2001:db8::1]:1000", "[2001:db8::2]:80", "web", true},
		{"server 2001:db8::2", "[2001:db8::1]:1000", "[2001:db8::2]:80", "web", true},
		{"port 80", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"port 1000", "192.0.2.1:1000", "198.51.100.1:80", "web", false},
		{"rule web", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"rule web", "192.0.2.1:1000", "198.51.100.1:80", NULL, false},
		{"state half-open", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"state syn_rcvd", "192.0.2.1:1000", "198.51.100.1:80", "web", true},
		{"state ESTABLISHED", "192.0.2.1:1000", "198.51.100.1:80", "web", false},
		{"port 80 rule web client 192.0.2.0/24", "192.0.2.1:1000", "198.51.100.1:80", "web",
			true},
		{"port 80 rule ssh", "192.0.2.1:1000", "198.51.100.1:80", "web", false},
	};
	struct filter f;
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct engine_flow_info flow = flow_between(rows[i].client, rows[i].server);
		assert_true(filter_parse(&f, rows[i].filter, why, sizeof(why)));
		if (filter_match(&f, &flow, rows[i].rule) != rows[i].picked)
			fail_msg("row %zu: '%s'", i, rows[i].filter);
	}
}

static void refuses_what_is_wrong(void **state)
{
	static const struct {
		const char *filter;
		const char *says;
	} rows[] = {
		{"web", "'web' is no part of a filter"},
		{"client", "'client' is wrong: 'client' wants an address"},
		{"client 192.0.2", "wants an address"},
		{"client 192.0.2.1/33", "wants an address"},
		{"client 192.0.2.1/", "wants an address"},
		{"client 2001:db8::/129", "wants an address"},
		{"server 192.0.2.1:0", "wants an address"},
		{"server 192.0.2.1:65536", "wants an address"},
		{"server [192.0.2.1]:80", "wants an address"},
		{"server [2001:db8::1", "wants an address"},
		{"server [2001:db8::1]80", "wants an address"},
		{"port http", "a number from 1 to 65535"},
		{"port 0", "a number from 1 to 65535"},
		{"port -1", "a number from 1 to 65535"},
		{"port 80 port 81", "'port' is given twice"},
		{"state open", "half-open, admitted, closing"},
	};
	struct filter f;
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (filter_parse(&f, rows[i].filter, why, sizeof(why)))
			fail_msg("taken: '%s'", rows[i].filter);
		if (strstr(why, rows[i].says) == NULL)
			fail_msg("'%s' is refused by: %s", rows[i].filter, why);
	}
}

static void refuses_what_is_long(void **state)
{
	char text[4096], why[64];
	struct filter f;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_false(filter_parse(&f, text, why, sizeof(why)));
	memcpy(text, "rule ", 5);
	text[5 + FILTER_WORD] = '\0';
	assert_false(filter_parse(&f, text, why, sizeof(why)));
	memcpy(text, "client ", 7);
	text[300] = '\0';
	assert_false(filter_parse(&f, text, why, sizeof(why)));
}

static void writes_ranges(void **state)
{
	static const char *const texts[] = {
		"192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::1", "2001:db8::/32", "::/0"};
	struct addr_range r;
	char text[2 * ENDPOINT_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(endpoint_parse_range(texts[i], &r));
		endpoint_range_text(text, sizeof(text), &r);
		assert_string_equal(text, texts[i]);
	}
	assert_true(endpoint_parse_range("192.0.2.0/25", &r));
	r.last.b[15] = 9;
	endpoint_range_text(text, sizeof(text), &r);
	assert_string_equal(text, "192.0.2.0-192.0.2.9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(picks_flows),
		cmocka_unit_test(refuses_what_is_wrong),
		cmocka_unit_test(refuses_what_is_long),
		cmocka_unit_test(writes_ranges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
