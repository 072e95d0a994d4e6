/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/policy.h"

#define V4(w, x, y, z)                                                                             \
	{                                                                                          \
		.b = { [10] = 0xff, [11] = 0xff, [12] = (w), [13] = (x), [14] = (y), [15] = (z) }  \
	}
#define V6(first, last)                                                                            \
	{                                                                                          \
		.b = { [0] = (first), [15] = (last) }                                              \
	}

static const struct addr_range office[] = {
	{V4(10, 0, 0, 0), V4(10, 0, 255, 255)}, {V6(0xfd, 0), V6(0xfd, 9)}};
static const struct addr_range any4[] = {{V4(0, 0, 0, 0), V4(255, 255, 255, 255)}};
static const struct addr_range any6[] = {
	{V6(0, 0), {.b = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			    0xff, 0xff, 0xff, 0xff}}}};
static const struct addr_range one[] = {{V4(192, 0, 2, 1), V4(192, 0, 2, 1)}};
static const struct port_range ssh[] = {{22, 22}};
static const struct port_range web[] = {{80, 80}, {443, 443}, {8000, 8099}};
static const char lan[][POLICY_IFNAME] = {"eth0", "wlan0"};

static const struct policy_rule rules[] = {
	{.name = "ssh-office",
		.slot = 4,
		.from = office,
		.from_count = 2,
		.port = ssh,
		.port_count = 1},
	{.name = "ssh-lan",
		.slot = 5,
		.port = ssh,
		.port_count = 1,
		.interface = lan,
		.interface_count = 2},
	{.name = "web", .slot = 2, .to = one, .to_count = 1, .port = web, .port_count = 3},
	{.name = "four", .slot = 0, .from = any4, .from_count = 1, .port = web, .port_count = 3},
	{.name = "six", .slot = 1, .to = any6, .to_count = 1},
};
static const struct policy policy = {.rules = rules, .rule_count = 5};

static void the_first_match_decides(void **state)
{
	static const struct {
		struct addr client, server;
		uint16_t port;
		const char *interface;
		const char *rule;
	} rows[] = {
		{V4(10, 0, 5, 5), V4(192, 0, 2, 9), 22, "eth1", "ssh-office"},
		{V4(10, 0, 255, 255), V4(192, 0, 2, 9), 22, "eth1", "ssh-office"},
		{V4(10, 1, 0, 0), V4(192, 0, 2, 9), 22, "eth1", NULL},
		{V4(10, 1, 0, 0), V4(192, 0, 2, 9), 22, "wlan0", "ssh-lan"},
		{V4(10, 1, 0, 0), V4(192, 0, 2, 9), 22, "wlan01", NULL},
		{V4(10, 1, 0, 0), V4(192, 0, 2, 9), 22, NULL, "ssh-lan"},
		{V4(10, 0, 5, 5), V4(192, 0, 2, 9), 22, "lo", NULL},
		{V6(0xfd, 5), V6(0x20, 1), 22, "eth1", "ssh-office"},
		{V6(0xfd, 10), V6(0x20, 1), 22, "eth1", "six"},
		{V4(10, 0, 0, 1), V4(192, 0, 2, 1), 80, "eth1", "web"},
		{V4(10, 0, 0, 1), V4(192, 0, 2, 2), 80, "eth1", "four"},
		{V4(10, 0, 0, 1), V4(192, 0, 2, 1), 8099, "eth1", "web"},
		{V4(10, 0, 0, 1), V4(192, 0, 2, 1), 8100, "eth1", NULL},
		{V4(10, 0, 0, 1), V4(192, 0, 2, 1), 81, "eth1", NULL},
		{V6(0x20, 2), V6(0x20, 1), 80, "eth1", "six"},
		{V6(0x20, 2), V6(0x20, 1), 25, "eth1", "six"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy_rule *r = policy_match(&policy, &rows[i].client,
			&rows[i].server, rows[i].port, rows[i].interface, POLICY_FORWARDED);

		if (!rows[i].rule)
			assert_null(r);
		else
			assert_string_equal(r ? r->name : "none", rows[i].rule);
	}
}

static void slots_name_rules(void **state)
{
	(void)state;
	assert_ptr_equal(policy_rule_by_slot(&policy, 2), &rules[2]);
	assert_ptr_equal(policy_rule_by_slot(&policy, 0), &rules[3]);
	assert_null(policy_rule_by_slot(&policy, 3));
	assert_null(policy_rule_by_slot(&policy, POLICY_NO_SLOT));
}

/* Of a reply nobody knows by which interface its connection came in. */
static void an_unknown_interface_fits_gates_alone(void **state)
{
	static const struct addr client = V4(10, 0, 0, 1), server = V4(192, 0, 2, 1);
	static const struct {
		enum policy_mode first;
		size_t first_interfaces;
		const char *match;
		bool may_judge;
	} rows[] = {
		{MODE_GATE, 2, "first", true},
		{MODE_SPLICE, 2, "first", true},
		{MODE_ACCEPT, 2, "second", true},
		{MODE_DROP, 2, "second", true},
		{MODE_ACCEPT, 0, "first", false},
		{MODE_DROP, 0, "first", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_rule two[] = {
			{.name = "first",
				.mode = rows[i].first,
				.interface = lan,
				.interface_count = rows[i].first_interfaces},
			{.name = "second", .mode = MODE_GATE},
		};
		struct policy p = {.rules = two, .rule_count = 2};

		assert_string_equal(
			policy_match(&p, &client, &server, 80, NULL, POLICY_LOCAL)->name,
			rows[i].match);
		assert_int_equal(policy_may_judge(&p, &client, &server, 80), rows[i].may_judge);
	}
}

/* Where this host listens: pairs of address and port, of what is delivered here alone. */
static void rules_that_listen_match_places(void **state)
{
	static const struct endpoint places[] = {
		{V4(0, 0, 0, 0), 80},
		{V4(192, 0, 2, 1), 443},
		{V6(0x20, 1), 80},
		{V6(0, 0), 25},
	};
	static const struct policy_rule listening[] = {
		{.name = "here",
			.mode = MODE_SPLICE,
			.from = office,
			.from_count = 2,
			.listen = places,
			.listen_count = 4,
			.local = true},
		{.name = "through",
			.mode = MODE_SPLICE,
			.port = ssh,
			.port_count = 1,
			.local = true},
		{.name = "rest", .mode = MODE_GATE},
	};
	static const struct policy p = {.rules = listening, .rule_count = 3};
	static const struct addr office4 = V4(10, 0, 5, 5), other4 = V4(10, 1, 0, 0),
				 office6 = V6(0xfd, 5);
	static const struct {
		const struct addr *client;
		struct addr server;
		uint16_t port;
		enum policy_place place;
		const char *rule;
	} rows[] = {
		{&office4, V4(192, 0, 2, 9), 80, POLICY_LOCAL, "here"},
		{&office4, V4(192, 0, 2, 9), 80, POLICY_ANYWHERE, "here"},
		{&office4, V4(192, 0, 2, 9), 80, POLICY_FORWARDED, "rest"},
		{&other4, V4(192, 0, 2, 9), 80, POLICY_LOCAL, "rest"},
		{&office4, V4(192, 0, 2, 1), 443, POLICY_LOCAL, "here"},
		{&office4, V4(192, 0, 2, 9), 443, POLICY_LOCAL, "rest"},
		{&office4, V4(192, 0, 2, 1), 25, POLICY_LOCAL, "rest"},
		{&office6, V6(0x20, 1), 80, POLICY_LOCAL, "here"},
		{&office6, V6(0x20, 2), 80, POLICY_LOCAL, "rest"},
		{&office6, V6(0x20, 2), 25, POLICY_LOCAL, "here"},
		{&other4, V4(192, 0, 2, 9), 22, POLICY_LOCAL, "through"},
		{&other4, V4(192, 0, 2, 9), 22, POLICY_FORWARDED, "rest"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy_rule *r = policy_match(
			&p, rows[i].client, &rows[i].server, rows[i].port, "eth1", rows[i].place);

		assert_string_equal(r->name, rows[i].rule);
	}
	assert_true(policy_serves(&listening[0], &rows[4].server, 443));
	assert_false(policy_serves(&listening[0], &rows[4].server, 25));
}

/* What is spliced is gated first, but cookies need a server that this host can ask. */
static void splicing_gates(void **state)
{
	static const struct endpoint place = {V4(0, 0, 0, 0), 80};
	struct policy_rule r = {.mode = MODE_SPLICE,
		.enforce = true,
		.local = true,
		.listen = &place,
		.listen_count = 1};

	(void)state;
	assert_true(policy_gates(&r));
	assert_true(policy_gives_cookies(&r));
	r.listen_count = 0;
	assert_true(policy_is_transparent(&r));
	assert_false(policy_gives_cookies(&r));
	r.mode = MODE_ACCEPT;
	assert_false(policy_gates(&r));
}

/* Whoever asks, by whatever way. */
static void one_rule_may_judge_all(void **state)
{
	static const struct {
		struct addr server;
		uint16_t port;
		const char *rule;
	} rows[] = {
		{V4(192, 0, 2, 1), 80, "web"},
		{V4(192, 0, 2, 1), 22, NULL}, /* some by their source */
		{V4(192, 0, 2, 2), 80, NULL},
		{V4(192, 0, 2, 2), 25, NULL},
		{V6(0x20, 1), 25, "six"},
		{V6(0x20, 1), 80, NULL},
	};
	static const struct policy by_interface = {.rules = &rules[1], .rule_count = 4};
	static const struct policy_rule local[] = {
		{.name = "here", .mode = MODE_GATE, .local = true}, {.name = "rest"}};
	static const struct policy here = {.rules = local, .rule_count = 2};
	static const struct endpoint places[] = {{V4(0, 0, 0, 0), 80}, {V4(192, 0, 2, 1), 80}};
	static const struct policy_rule listener[] = {{.name = "listener",
		.mode = MODE_SPLICE,
		.local = true,
		.listen = places,
		.listen_count = 2}};
	static const struct policy listening = {.rules = listener, .rule_count = 1};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy_rule *r =
			policy_judging_all(&policy, &rows[i].server, rows[i].port);

		assert_string_equal(r ? r->name : "none", rows[i].rule ? rows[i].rule : "none");
	}
	assert_null(policy_judging_all(&by_interface, &rows[0].server, 22));
	assert_null(policy_judging_all(&here, &rows[0].server, 80));
	/* What listens at the very address is nowhere else. */
	assert_ptr_equal(policy_judging_all(&listening, &rows[0].server, 80), &listener[0]);
	assert_null(policy_judging_all(&listening, &rows[2].server, 80));
}

static void a_policy_without_rules_matches_nothing(void **state)
{
	static const struct policy none;
	static const struct addr a = V4(10, 0, 0, 1);

	(void)state;
	assert_null(policy_match(&none, &a, &a, 80, NULL, POLICY_LOCAL));
	assert_null(policy_rule_by_slot(&none, 0));
}

static void prefixes_count_in_their_own_family(void **state)
{
	static const struct addr four = V4(10, 1, 2, 3);
	static const struct {
		unsigned bits;
		struct addr prefix;
	} rows[] = {
		{32, V4(10, 1, 2, 3)},
		{24, V4(10, 1, 2, 0)},
		{23, V4(10, 1, 2, 0)},
		{15, V4(10, 0, 0, 0)},
		{0, V4(0, 0, 0, 0)},
	};
	static const struct addr six = {.b = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 0xff, 5}};
	struct addr p;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		p = addr_prefix(&four, rows[i].bits);
		assert_true(addr_equal(&p, &rows[i].prefix));
	}
	p = addr_prefix(&six, 60);
	assert_int_equal(p.b[6], 3);
	assert_int_equal(p.b[7], 0xf0);
	assert_int_equal(p.b[8], 0);
	p = addr_prefix(&six, 128);
	assert_true(addr_equal(&p, &six));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_match_decides),
		cmocka_unit_test(slots_name_rules),
		cmocka_unit_test(an_unknown_interface_fits_gates_alone),
		cmocka_unit_test(rules_that_listen_match_places),
		cmocka_unit_test(splicing_gates),
		cmocka_unit_test(one_rule_may_judge_all),
		cmocka_unit_test(a_policy_without_rules_matches_nothing),
		cmocka_unit_test(prefixes_count_in_their_own_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
