/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/backend.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

enum {
	INTERVAL_US = 2000000,
	NOW = 1000000000,
};

#define V4(last)                                                                                   \
	{                                                                                          \
		.b = { [10] = 0xff, 0xff, 10, 0, 0, last }                                         \
	}

static const struct addr client = V4(200);

static char told[4][128];
static unsigned told_count, rooms;

static void hear(void *arg, enum config_log_level level, const char *sentence)
{
	(void)arg;
	(void)level;
	snprintf(told[told_count++ % 4], sizeof(told[0]), "%s", sentence);
}

static void hear_room(void *arg)
{
	(void)arg;
	rooms++;
}

static const struct server_hooks hooks = {.told = hear, .room = hear_room};

static struct config_server servers[] = {
	{"10.0.0.1:80", SERVER_ADDR, {V4(1), 80}, NULL, NULL, 1, 0},
	{"10.0.0.2:80", SERVER_ADDR, {V4(2), 80}, NULL, NULL, 1, 0},
	{"10.0.0.3:80", SERVER_ADDR, {V4(3), 80}, NULL, NULL, 1, 0},
};

static struct config_backend web(void)
{
	told_count = rooms = 0;
	return (struct config_backend){
		.name = "web",
		.servers = servers,
		.server_count = 3,
		.check_interval_us = INTERVAL_US,
		.rise = 2,
		.fall = 3,
	};
}

static struct backend *new_backend(const struct config_backend *c, const struct backend *old)
{
	struct backend *b = backend_new(c, old, &hooks, NOW);

	assert_non_null(b);
	return b;
}

static struct server *take_at(struct backend *b, uint64_t tried, uint64_t now_us, unsigned expected)
{
	enum backend_refusal why;
	unsigned index;
	struct server *s = backend_take(b, &client, tried, now_us, &index, &why);

	assert_non_null(s);
	assert_int_equal(index, expected);
	return s;
}

static struct server *take(struct backend *b, unsigned expected)
{
	return take_at(b, 0, NOW, expected);
}

static void assert_refused(
	struct backend *b, uint64_t tried, uint64_t now_us, enum backend_refusal expected)
{
	enum backend_refusal why;
	unsigned index;

	assert_null(backend_take(b, &client, tried, now_us, &index, &why));
	assert_int_equal(why, expected);
}

/* `n` connections to a server by its index, all refused. */
static void fail_at(struct backend *b, unsigned index, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		backend_failed(backend_server(b, index), 0, ECONNREFUSED, NOW);
}

static struct backend_view look(const struct backend *b, unsigned index)
{
	struct backend_view v;

	backend_view(b, index, &v);
	return v;
}

static void places_are_counted_until_given_back(void **state)
{
	struct config_backend c = web();
	struct backend *b = new_backend(&c, NULL);

	(void)state;
	struct server *first = take(b, 0), *second = take(b, 1);
	assert_int_equal(backend_connections(b), 2);
	assert_int_equal(look(b, 0).connections, 1);
	assert_false(backend_give_back(first));
	assert_int_equal(look(b, 0).connections, 0);
	assert_int_equal(look(b, 0).total, 1);
	assert_int_equal(backend_connections(b), 1);
	assert_false(backend_give_back(second));
	backend_unref(b);
}

static void what_was_tried_is_not_tried_again(void **state)
{
	struct config_backend c = web();
	struct backend *b = new_backend(&c, NULL);

	(void)state;
	backend_give_back(take_at(b, 1, NOW, 1));
	backend_give_back(take_at(b, 1 | 2, NOW, 2));
	assert_refused(b, 7, NOW, BACKEND_NONE_LEFT);
	backend_unref(b);
}

static void a_full_server_is_passed_over_and_a_full_backend_waits(void **state)
{
	struct config_backend c = web();

	(void)state;
	servers[0].max_connections = 1;
	servers[1].max_connections = 2;
	c.server_count = 2;
	struct backend *b = new_backend(&c, NULL);
	struct server *held[3] = {take(b, 0), take(b, 1), take(b, 1)};
	assert_refused(b, 0, NOW, BACKEND_FULL);
	assert_refused(b, 1, NOW, BACKEND_FULL);
	assert_int_equal(backend_connections(b), 3);
	assert_true(backend_give_back(held[1]));
	held[1] = take(b, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_false(backend_give_back(held[i]));
	servers[0].max_connections = servers[1].max_connections = 0;
	backend_unref(b);
}

static void a_backend_has_a_limit_of_its_own(void **state)
{
	struct config_backend c = web();

	(void)state;
	c.max_connections = 2;
	struct backend *b = new_backend(&c, NULL);
	struct server *first = take(b, 0), *second = take(b, 1);
	assert_refused(b, 0, NOW, BACKEND_FULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(look(b, i).connections, i < 2);
	assert_true(backend_give_back(first));
	assert_false(backend_give_back(second));
	backend_unref(b);
}

static void failures_in_a_row_take_a_server_down(void **state)
{
	struct config_backend c = web();
	struct backend *b = new_backend(&c, NULL);

	(void)state;
	fail_at(b, 0, 2);
	backend_connected(backend_server(b, 0), NOW);
	fail_at(b, 0, 2);
	assert_int_equal(look(b, 0).state, SERVER_UP);
	assert_int_equal(told_count, 0);
	fail_at(b, 0, 5);
	assert_int_equal(look(b, 0).state, SERVER_DOWN);
	assert_int_equal(look(b, 0).failures, 9);
	assert_string_equal(look(b, 0).last, "connection refused");
	assert_int_equal(told_count, 1);
	assert_string_equal(told[0], "server web/10.0.0.1:80 is down: connection refused");
	backend_give_back(take(b, 1));
	backend_give_back(take(b, 2));
	backend_give_back(take(b, 1));
	backend_unref(b);
}

static void without_checks_one_connection_an_interval_tries_it(void **state)
{
	struct config_backend c = web();

	(void)state;
	c.server_count = 1;
	struct backend *b = new_backend(&c, NULL);
	fail_at(b, 0, 3);
	assert_refused(b, 0, NOW, BACKEND_DOWN);
	assert_refused(b, 0, NOW + INTERVAL_US - 1, BACKEND_DOWN);
	struct server *trial = take_at(b, 0, NOW + INTERVAL_US, 0);
	assert_refused(b, 0, NOW + INTERVAL_US + 1, BACKEND_DOWN);
	backend_failed(trial, 0, ETIMEDOUT, NOW + INTERVAL_US + 1);
	backend_give_back(trial);
	assert_refused(b, 0, NOW + INTERVAL_US + 2, BACKEND_DOWN);
	trial = take_at(b, 0, NOW + 2 * INTERVAL_US, 0);
	backend_connected(trial, NOW + 12000000);
	assert_int_equal(told_count, 2);
	assert_string_equal(told[1], "server web/10.0.0.1:80 is up again after 12 s");
	assert_string_equal(look(b, 0).last, "connected");
	backend_give_back(take_at(b, 0, NOW + 12000000, 0));
	backend_give_back(trial);
	backend_unref(b);
}

static void with_checks_only_they_bring_it_up(void **state)
{
	struct config_backend c = web();

	(void)state;
	c.check = CHECK_TCP;
	c.server_count = 1;
	struct backend *b = new_backend(&c, NULL);
	struct server *s = backend_server(b, 0);
	fail_at(b, 0, 3);
	assert_refused(b, 0, NOW + 10 * INTERVAL_US, BACKEND_DOWN);
	backend_connected(s, NOW);
	assert_int_equal(look(b, 0).state, SERVER_DOWN);
	assert_string_equal(look(b, 0).last, "not tried yet");
	server_good(s, true, NOW);
	server_bad(s, 0, EHOSTUNREACH, true, NOW);
	assert_string_equal(look(b, 0).last, "no route to host");
	server_good(s, true, NOW);
	assert_int_equal(look(b, 0).state, SERVER_DOWN);
	server_good(s, true, NOW + 1000000);
	assert_int_equal(look(b, 0).state, SERVER_UP);
	assert_int_equal(look(b, 0).since_us, NOW + 1000000);
	assert_int_equal(look(b, 0).failures, 3);
	assert_int_equal(told_count, 2);
	backend_unref(b);
}

static void what_an_administrator_says_counts(void **state)
{
	struct config_backend c = web();
	struct backend *b = new_backend(&c, NULL);

	(void)state;
	struct server *standing = take(b, 0);
	assert_true(backend_administer(b, "10.0.0.1:80", SERVER_DRAINING, NOW + 5));
	assert_true(backend_administer(b, "10.0.0.2:80", SERVER_DISABLED, NOW));
	assert_false(backend_administer(b, "10.0.0.4:80", SERVER_DISABLED, NOW));
	backend_give_back(take(b, 2));
	backend_give_back(take(b, 2));
	assert_string_equal(server_state_word(look(b, 0).state), "draining");
	assert_int_equal(look(b, 0).since_us, NOW + 5);
	assert_int_equal(look(b, 0).connections, 1);
	assert_string_equal(server_state_word(look(b, 1).state), "disabled");
	backend_administer(b, "10.0.0.3:80", SERVER_DISABLED, NOW);
	assert_refused(b, 0, NOW, BACKEND_DOWN);
	backend_administer(b, "10.0.0.2:80", SERVER_ENABLED, NOW);
	backend_give_back(take(b, 1));
	backend_give_back(standing);
	backend_unref(b);
}

static void who_waits_hears_of_a_server_that_comes_up(void **state)
{
	struct config_backend c = web();

	(void)state;
	servers[0].max_connections = 1;
	c.server_count = 2;
	struct backend *b = new_backend(&c, NULL);
	backend_administer(b, "10.0.0.2:80", SERVER_DISABLED, NOW);
	struct server *only = take(b, 0);
	backend_administer(b, "10.0.0.2:80", SERVER_ENABLED, NOW);
	assert_int_equal(rooms, 0);
	backend_administer(b, "10.0.0.2:80", SERVER_DISABLED, NOW);
	assert_refused(b, 0, NOW, BACKEND_FULL);
	assert_int_equal(rooms, 0);
	backend_administer(b, "10.0.0.2:80", SERVER_ENABLED, NOW);
	assert_int_equal(rooms, 1);
	servers[0].max_connections = 0;
	assert_false(backend_give_back(only));
	backend_unref(b);
}

static void a_reload_keeps_what_is_known(void **state)
{
	struct config_backend c = web();
	struct backend *old = new_backend(&c, NULL);

	(void)state;
	fail_at(old, 0, 3);
	backend_administer(old, "10.0.0.2:80", SERVER_DRAINING, NOW);
	struct server *standing = take(old, 2);
	c.max_connections = 2;
	struct backend *new = new_backend(&c, old);
	backend_unref(old);

	assert_int_equal(look(new, 0).state, SERVER_DOWN);
	assert_int_equal(look(new, 1).state, SERVER_IS_DRAINING);
	assert_int_equal(look(new, 2).connections, 1);
	struct server *another = take(new, 2);
	assert_refused(new, 0, NOW, BACKEND_FULL);
	assert_true(backend_give_back(standing));
	assert_int_equal(look(new, 2).connections, 1);
	assert_int_equal(look(new, 2).total, 2);
	backend_give_back(another);
	backend_unref(new);
}

static void a_server_that_is_gone_still_counts_its_connections(void **state)
{
	struct config_backend c = web();
	struct backend *old = new_backend(&c, NULL);

	(void)state;
	struct server *standing = take(old, 0);
	c.servers = servers + 1;
	c.server_count = 2;
	struct backend *new = new_backend(&c, old);
	backend_unref(old);
	assert_int_equal(backend_connections(new), 1);
	backend_unref(new);
	assert_string_equal(standing->name, "10.0.0.1:80");
	backend_give_back(standing);
}

static void a_configuration_that_is_let_go_changes_nothing(void **state)
{
	struct config_backend c = web(), stricter = web();

	(void)state;
	stricter.fall = 1;
	struct backend *b = new_backend(&c, NULL);
	struct backend *never = new_backend(&stricter, b);
	backend_unref(never);
	fail_at(b, 0, 1);
	assert_int_equal(look(b, 0).state, SERVER_UP);

	never = new_backend(&stricter, b);
	backend_in_force(never);
	fail_at(never, 1, 1);
	assert_int_equal(look(never, 1).state, SERVER_DOWN);
	backend_unref(never);
	backend_unref(b);
}

static void addresses_as_they_are_written(void **state)
{
	static const struct config_server kinds[] = {
		{"10.0.0.1:80", SERVER_ADDR, {V4(1), 80}, NULL, NULL, 1, 0},
		{"[fd00::1]:443", SERVER_ADDR, {{{0xfd, [15] = 1}}, 443}, NULL, NULL, 1, 0},
		{"unix:/run/app", SERVER_UNIX, {{{0}}, 0}, NULL, "/run/app", 256, 7},
		{"app.example:80", SERVER_NAME, {{{0}}, 80}, "app.example", NULL, 1, 0},
	};
	struct config_backend c = web();
	struct sockaddr_storage at;
	socklen_t len;
	uint32_t turn;

	(void)state;
	c.servers = kinds;
	c.server_count = 4;
	struct backend *b = new_backend(&c, NULL);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(server_address(backend_server(b, i), &at, &len, &turn));
		assert_string_equal(look(b, i).where, kinds[i].name);
		assert_string_equal(look(b, i).name, kinds[i].name);
	}
	assert_int_equal(at.ss_family, AF_UNIX);
	assert_string_equal(((struct sockaddr_un *)&at)->sun_path, "/run/app");
	assert_int_equal(look(b, 2).weight, 256);
	assert_int_equal(look(b, 2).max_connections, 7);
	assert_false(server_address(backend_server(b, 3), &at, &len, &turn));
	assert_string_equal(look(b, 3).where, "");
	backend_unref(b);
}

static void a_name_waits_for_its_addresses_and_moves_on_from_bad_ones(void **state)
{
	static const struct config_server name = {
		"app.example:80", SERVER_NAME, {{{0}}, 80}, "app.example", NULL, 1, 0};
	static const struct addr first[] = {V4(1), V4(2)}, later[] = {V4(9), V4(2), V4(1)};
	struct config_backend c = web();
	struct sockaddr_storage at;
	socklen_t len;
	uint32_t turn, stale;

	(void)state;
	c.servers = &name;
	c.server_count = 1;
	struct backend *b = new_backend(&c, NULL);
	struct server *s = backend_server(b, 0);
	assert_string_equal(server_state_word(look(b, 0).state), "unresolved");
	assert_refused(b, 0, NOW, BACKEND_DOWN);
	server_resolved(s, first, 2, NOW + 1);
	assert_int_equal(look(b, 0).state, SERVER_UP);
	assert_int_equal(look(b, 0).since_us, NOW + 1);
	assert_true(server_address(s, &at, &len, &stale));
	assert_int_equal(len, sizeof(struct sockaddr_in));
	assert_string_equal(look(b, 0).where, "10.0.0.1:80");

	/* Two connections fail at the one address: the second changes nothing. */
	assert_false(atomic_load(&s->lookup_wanted));
	backend_failed(s, stale, ECONNREFUSED, NOW);
	backend_failed(s, stale, ECONNREFUSED, NOW);
	assert_string_equal(look(b, 0).where, "10.0.0.2:80");
	assert_true(atomic_load(&s->lookup_wanted));
	server_resolved(s, later, 3, NOW);
	assert_string_equal(look(b, 0).where, "10.0.0.2:80");
	server_resolved(s, later, 1, NOW);
	assert_string_equal(look(b, 0).where, "10.0.0.9:80");
	assert_true(server_address(s, &at, &len, &turn));
	backend_failed(s, turn, ECONNREFUSED, NOW);
	assert_string_equal(look(b, 0).where, "10.0.0.9:80");
	backend_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_counted_until_given_back),
		cmocka_unit_test(what_was_tried_is_not_tried_again),
		cmocka_unit_test(a_full_server_is_passed_over_and_a_full_backend_waits),
		cmocka_unit_test(a_backend_has_a_limit_of_its_own),
		cmocka_unit_test(failures_in_a_row_take_a_server_down),
		cmocka_unit_test(without_checks_one_connection_an_interval_tries_it),
		cmocka_unit_test(with_checks_only_they_bring_it_up),
		cmocka_unit_test(what_an_administrator_says_counts),
		cmocka_unit_test(who_waits_hears_of_a_server_that_comes_up),
		cmocka_unit_test(a_reload_keeps_what_is_known),
		cmocka_unit_test(a_server_that_is_gone_still_counts_its_connections),
		cmocka_unit_test(a_configuration_that_is_let_go_changes_nothing),
		cmocka_unit_test(addresses_as_they_are_written),
		cmocka_unit_test(a_name_waits_for_its_addresses_and_moves_on_from_bad_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
