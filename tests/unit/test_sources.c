/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sources, blocks, and what rules tell of cookies: requests to a daemon that only pretends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/commands.h"
#include "control/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake {
	struct addr_range range;
	uint64_t for_us;
};

static json_t *fake_sources(void *arg)
{
	const struct records_source source = {
		.source = {{{0x20, 1, 0xd, 0xb8}},
			{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}}},
		.rule = "web",
		.connections = 4,
		.half_open = 2};
	struct fake *f = arg;
	struct records_sources records;

	records_sources_start(&records);
	records_sources_add(&records, &source);
	records_sources_add_block(&records, &f->range, 598);
	return records_sources_end(&records);
}

static bool fake_block(void *arg, const struct addr_range *range, uint64_t for_us, char **message)
{
	struct fake *f = arg;

	f->range = *range;
	f->for_us = for_us;
	*message = strdup("blocked");
	return true;
}

static bool fake_unblock(void *arg, const struct addr_range *range, char **message)
{
	struct fake *f = arg;

	*message = strdup("it was not blocked");
	return addr_equal(&range->first, &f->range.first);
}

static json_t *ask(struct fake *f, const char *request)
{
	static const struct control_ops ops = {
		.sources = fake_sources, .block = fake_block, .unblock = fake_unblock};
	json_t *answer = commands_answer(request, strlen(request), &ops, f);

	assert_non_null(answer);
	return answer;
}

static void blocks_what_and_for_how_long(void **state)
{
	static const struct {
		const char *args;
		uint8_t last; /* octet of 192.0.2.x, from .8 on */
		uint64_t for_us;
	} rows[] = {
		{"\"range\": \"192.0.2.8\"", 8, 600000000},
		{"\"range\": \"192.0.2.8/30\", \"for_s\": 1.5", 11, 1500000},
		{"\"range\": \"192.0.2.8-192.0.2.9\", \"for_s\": 2592000", 9, 2592000000000},
	};
	char request[256];
	struct fake fake;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t first[] = {192, 0, 2, 8}, last[] = {192, 0, 2, rows[i].last};
		struct addr from = addr_v4(first), to = addr_v4(last);
		const char *message = NULL;

		snprintf(request, sizeof(request), "{\"command\": \"block\", \"args\": {%s}}",
			rows[i].args);
		json_t *answer = ask(&fake, request);
		assert_int_equal(
			json_unpack(answer, "{s:{s:s}}", "result", "message", &message), 0);
		assert_string_equal(message, "blocked");
		assert_true(addr_equal(&fake.range.first, &from));
		assert_true(addr_equal(&fake.range.last, &to));
		assert_int_equal(fake.for_us, rows[i].for_us);
		json_decref(answer);
	}
	json_t *answer =
		ask(&fake, "{\"command\": \"unblock\", \"args\": {\"range\": \"192.0.2.8\"}}");
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
}

static void refuses_in_words(void **state)
{
	static const struct {
		const char *request;
		const char *says;
	} rows[] = {
		{"{\"command\": \"sources\", \"args\": {\"limit\": 1}}", "args:"},
		{"{\"command\": \"block\"}", "args:"},
		{"{\"command\": \"block\", \"args\": {\"range\": 7}}", "args:"},
		{"{\"command\": \"block\", \"args\": {\"range\": \"x\"}}", "'x' is not an address"},
		{"{\"command\": \"block\", \"args\": {\"range\": \"10.0.0.1/8\"}}",
			"has bits set behind its prefix"},
		{"{\"command\": \"block\", \"args\": {\"range\": \"::1\", \"more\": 1}}", "args:"},
		{"{\"command\": \"block\", \"args\": {\"range\": \"::1\", \"for_s\": 0}}",
			"'for_s' wants seconds"},
		{"{\"command\": \"block\", \"args\": {\"range\": \"::1\", \"for_s\": 2592001}}",
			"at most 2592000"},
		{"{\"command\": \"unblock\"}", "args:"},
		{"{\"command\": \"unblock\", \"args\": {\"range\": \"x\"}}",
			"'x' is not an address"},
		{"{\"command\": \"unblock\", \"args\": {\"range\": \"203.0.113.1\"}}",
			"it was not blocked"},
	};
	struct fake fake = {.for_us = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *answer = ask(&fake, rows[i].request);
		const char *error = json_string_value(json_object_get(answer, "error"));
		assert_true(json_is_false(json_object_get(answer, "ok")));
		assert_non_null(error);
		if (strstr(error, rows[i].says) == NULL)
			fail_msg("'%s' is answered by: %s", rows[i].request, error);
		json_decref(answer);
	}
	assert_int_equal(fake.for_us, 0);
}

static void lists_sources_and_blocks(void **state)
{
	const char *source = NULL, *rule = NULL, *block = NULL;
	json_int_t tracked = 0, connections = 0, half_open = 0, left_s = 0;
	struct fake fake;

	(void)state;
	json_decref(ask(&fake, "{\"command\": \"block\", \"args\": {\"range\": \"192.0.2.7\"}}"));
	json_t *answer = ask(&fake, "{\"command\": \"sources\"}");
	assert_int_equal(
		json_unpack(answer,
			"{s:{s:I, s:[{s:s, s:s, s:I, s:I !}], s:[{s:s, s:I !}], s:i !}}", "result",
			"tracked", &tracked, "sources", "source", &source, "rule", &rule,
			"connections", &connections, "half_open", &half_open, "blocked", "source",
			&block, "left_s", &left_s, "blocked_total", &(int){0}),
		0);
	assert_int_equal(tracked, 1);
	assert_string_equal(source, "2001:db8::/64");
	assert_string_equal(rule, "web");
	assert_int_equal(connections, 4);
	assert_int_equal(half_open, 2);
	assert_string_equal(block, "192.0.2.7");
	assert_int_equal(left_s, 598);
	json_decref(answer);
}

/* More sources and blocks than are shown: those with the most connections, and how many there are.
 */
static void long_lists_of_sources_are_cut(void **state)
{
	enum {
		SOURCES = 3 * CONTROL_SOURCES_MAX
	};
	struct records_sources records;
	struct records_source source = {.rule = NULL};
	json_int_t before = SOURCES;

	(void)state;
	records_sources_start(&records);
	for (unsigned i = 0; i < SOURCES; i++) {
		source.connections = i * 7 % SOURCES / 2;
		source.half_open = i * 7 % SOURCES;
		records_sources_add(&records, &source);
	}
	for (unsigned i = 0; i < CONTROL_BLOCKS_MAX + 1; i++)
		records_sources_add_block(&records, &source.source, 1);
	json_t *json = records_sources_end(&records);
	json_t *list = json_object_get(json, "sources");
	assert_int_equal(json_array_size(list), CONTROL_SOURCES_MAX);
	for (size_t i = 0; i < CONTROL_SOURCES_MAX; i++) {
		json_int_t half_open =
			json_integer_value(json_object_get(json_array_get(list, i), "half_open"));
		assert_int_equal(half_open, before - 1);
		before = half_open;
	}
	assert_int_equal(json_integer_value(json_object_get(json, "tracked")), SOURCES);
	assert_int_equal(json_array_size(json_object_get(json, "blocked")), CONTROL_BLOCKS_MAX);
	assert_int_equal(
		json_integer_value(json_object_get(json, "blocked_total")), CONTROL_BLOCKS_MAX + 1);
	json_decref(json);
}

static char *dump(const json_t *object, const char *key)
{
	return json_dumps(
		json_object_get(object, key), JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
}

static void expect_json(const json_t *object, const char *key, const char *wanted)
{
	char *text = dump(object, key);

	assert_string_equal(text, wanted);
	free(text);
}

static void a_rule_tells_its_cookies(void **state)
{
	static const char *const words[] = {"\"adaptive\"", "\"always\"", "\"never\""};
	struct policy_rule rule = {.name = "web", .syncookies_start = 80, .syncookies_end = 40};
	const struct status_rule r = {.rule = &rule, .cookies_active = true};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		rule.syncookies = (enum policy_syncookies)i;
		rule.over_limit = i == 0 ? OVER_LIMIT_BLOCK : OVER_LIMIT_DROP;
		rule.block_time = 600;
		json_t *json = records_rule(&r);
		expect_json(json, "syncookies", words[i]);
		expect_json(json, "syncookies_start", "80");
		expect_json(json, "syncookies_end", "40");
		expect_json(json, "cookies_active", "true");
		expect_json(json, "learned", "[]");
		expect_json(json_object_get(json, "limits"), "block_time", i == 0 ? "600" : "null");
		json_decref(json);
	}
}

static void a_rule_tells_what_was_learned(void **state)
{
	static const struct policy_rule rule = {.name = "web"};
	const struct addr server = addr_v4((const uint8_t[]){10, 0, 2, 2});
	const struct addr front = addr_v4((const uint8_t[]){192, 0, 2, 1});
	const struct learned_server learned[] = {
		{.addr = server,
			.port = 80,
			.options = {1460, 7, LEARNED_YES, LEARNED_YES, LEARNED_NO, LEARNED_UNKNOWN},
			.route = LEARNED_ROUTE_ONE,
			.public_addr = front,
			.public_port = 8080},
		{.addr = server,
			.port = 81,
			.options = {.wscale = LEARNED_NO, .wscale_shift = 3},
			.route = LEARNED_ROUTE_MANY,
			.public_addr = front},
		{.addr = server, .port = 82, .route_wanted = true},
		{.addr = server, .port = 83},
	};
	const struct status_rule r = {.rule = &rule, .learned = learned, .learned_count = 4};
	json_t *json = records_rule(&r);

	(void)state;
	expect_json(json, "learned",
		"[{\"server\":\"10.0.2.2:80\",\"mss\":1460,\"wscale\":7,\"sack\":true,"
		"\"timestamps\":false,\"ecn\":null,\"public\":\"192.0.2.1:8080\",\"route\":"
		"\"one\"},"
		"{\"server\":\"10.0.2.2:81\",\"mss\":null,\"wscale\":false,\"sack\":null,"
		"\"timestamps\":null,\"ecn\":null,\"public\":null,\"route\":\"many\"},"
		"{\"server\":\"10.0.2.2:82\",\"mss\":null,\"wscale\":null,\"sack\":null,"
		"\"timestamps\":null,\"ecn\":null,\"public\":null,\"route\":\"unknown\"},"
		"{\"server\":\"10.0.2.2:83\",\"mss\":null,\"wscale\":null,\"sack\":null,"
		"\"timestamps\":null,\"ecn\":null,\"public\":null,\"route\":\"direct\"}]");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_what_and_for_how_long),
		cmocka_unit_test(refuses_in_words),
		cmocka_unit_test(lists_sources_and_blocks),
		cmocka_unit_test(long_lists_of_sources_are_cut),
		cmocka_unit_test(a_rule_tells_its_cookies),
		cmocka_unit_test(a_rule_tells_what_was_learned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
