/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of servers, with answers of our own in place of the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/backend.h"
#include "splice/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	PATIENCE_MS = 10000,
	SOON_US = 50000,
	AGAIN_US = 300000,
};

/* The answer to be given: an error, or this many addresses from 10.0.0.`first` on. */
static atomic_int error;
static atomic_uint answers = 1, first = 1, lookups;
static atomic_bool hang, hanging;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char told[8][160];
static atomic_uint told_count;

static void hear(void *arg, enum config_log_level level, const char *sentence)
{
	(void)arg;
	(void)level;
	pthread_mutex_lock(&lock);
	snprintf(told[told_count % 8], sizeof(told[0]), "%s", sentence);
	pthread_mutex_unlock(&lock);
	atomic_fetch_add(&told_count, 1);
}

static const struct server_hooks hooks = {.told = hear};

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

struct answer {
	struct addrinfo ai;
	struct sockaddr_storage addr;
};

static struct addrinfo *answer_at(struct answer *list, unsigned i, unsigned count)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = {{{0xfd, [15] = 1}}}};

	list[i].ai.ai_next = i + 1 < count ? &list[i + 1].ai : NULL;
	list[i].ai.ai_addr = (struct sockaddr *)&list[i].addr;
	list[i].ai.ai_family = i == 0 ? AF_INET : AF_INET6;
	v4.sin_addr.s_addr = htonl(0x0a000000 + first);
	if (i == 0)
		memcpy(&list[i].addr, &v4, sizeof(v4));
	else
		memcpy(&list[i].addr, &v6, sizeof(v6));
	return &list[i].ai;
}

int getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	unsigned count = answers;

	assert_string_equal(host, "app.example");
	assert_null(service);
	assert_int_equal(hints->ai_socktype, SOCK_STREAM);
	atomic_fetch_add(&lookups, 1);
	while (atomic_load(&hang)) {
		atomic_store(&hanging, true);
		nap();
	}
	if (error != 0)
		return error;
	struct answer *list = calloc(count, sizeof(*list));
	for (unsigned i = count; i-- > 0;)
		*out = answer_at(list, i, count);
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	free(list);
}

static const struct config_server name = {
	"app.example:80", SERVER_NAME, {{{0}}, 80}, "app.example", NULL, 1, 0};
static const struct config_backend web = {
	.name = "web", .servers = &name, .server_count = 1, .rise = 1, .fall = 100};

static struct backend *backend;
static struct server *server;
static struct resolver *resolver;

static int set_up_with(uint64_t again_us)
{
	error = 0;
	answers = first = 1;
	told_count = lookups = 0;
	hang = hanging = false;
	backend = backend_new(&web, NULL, &hooks, 0);
	server = backend_server(backend, 0);
	resolver = resolver_new(again_us, SOON_US);
	return resolver_set(resolver, &server, 1) ? 0 : -1;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_with(AGAIN_US);
}

/* So far away that only something else can bring it forward. */
static int set_up_rare(void **state)
{
	(void)state;
	return set_up_with(UINT64_C(3600) * 1000000);
}

static int tear_down(void **state)
{
	(void)state;
	resolver_free(resolver);
	backend_unref(backend);
	return 0;
}

static bool is_at(const char *expected)
{
	char where[SERVER_WHERE];

	return strcmp(server_where(server, where), expected) == 0;
}

static void wait_until_at(const char *expected)
{
	for (unsigned i = 0; i < PATIENCE_MS / 2 && !is_at(expected); i++)
		nap();
	assert_true(is_at(expected));
}

static void wait_for(const atomic_uint *what, unsigned least)
{
	for (unsigned i = 0; i < PATIENCE_MS / 2 && *what < least; i++)
		nap();
	assert_true(*what >= least);
}

static void assert_told(unsigned i, const char *expected)
{
	wait_for(&told_count, i + 1);
	pthread_mutex_lock(&lock);
	assert_string_equal(told[i], expected);
	pthread_mutex_unlock(&lock);
}

static void a_name_is_looked_up_and_again(void **state)
{
	(void)state;
	wait_until_at("10.0.0.1:80");
	first = 7;
	wait_until_at("10.0.0.7:80");
	assert_int_equal(told_count, 0);
}

static void what_cannot_be_looked_up_is_said_once(void **state)
{
	(void)state;
	wait_until_at("10.0.0.1:80");
	error = EAI_NONAME;
	assert_told(0, "server web/app.example:80: the name can't be looked up: "
		       "Name or service not known; 10.0.0.1:80 stays in use");
	wait_for(&lookups, lookups + 3);
	assert_int_equal(told_count, 1);
	assert_int_equal(server_state(server), SERVER_UP);
	error = 0;
	assert_told(1, "server web/app.example:80: the name can be looked up again: 10.0.0.1:80");
}

static void a_failed_connection_has_it_looked_up_soon(void **state)
{
	(void)state;
	wait_until_at("10.0.0.1:80");
	unsigned before = lookups;
	first = 9;
	for (unsigned i = 0; i < 100; i++)
		nap();
	assert_int_equal(lookups, before);
	backend_failed(server, 0, ECONNREFUSED, 0);
	wait_until_at("10.0.0.9:80");
}

static void both_families_are_taken(void **state)
{
	struct sockaddr_storage at;
	socklen_t len;
	uint32_t turn;

	(void)state;
	answers = 2;
	wait_for(&server->address_count, 2);
	assert_true(is_at("10.0.0.1:80"));
	assert_true(server_address(server, &at, &len, &turn));
	backend_failed(server, turn, ECONNREFUSED, 0);
	assert_true(is_at("[fd00::1]:80"));
	answers = 100;
	wait_for(&server->address_count, SERVER_ADDRESSES);
	assert_true(is_at("[fd00::1]:80"));
}

static void a_hanging_lookup_holds_nobody_up(void **state)
{
	(void)state;
	wait_until_at("10.0.0.1:80");
	hang = true;
	first = 3;
	for (unsigned i = 0; i < PATIENCE_MS / 2 && !hanging; i++)
		nap();
	assert_true(hanging);
	assert_true(resolver_set(resolver, NULL, 0));
	assert_true(resolver_set(resolver, &server, 1));
	resolver_free(resolver);
	hang = false;
	/* Its thread lets the server go, which then only the backend holds; and tells nobody. */
	for (unsigned i = 0; i < PATIENCE_MS / 2 && atomic_load(&server->refs) > 1; i++)
		nap();
	assert_int_equal(server->refs, 1);
	assert_true(is_at("10.0.0.1:80"));
	resolver = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_name_is_looked_up_and_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_looked_up_is_said_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_failed_connection_has_it_looked_up_soon, set_up_rare, tear_down),
		cmocka_unit_test_setup_teardown(both_families_are_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_hanging_lookup_holds_nobody_up, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
