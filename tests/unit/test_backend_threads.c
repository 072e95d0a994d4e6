/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that take and give back at once: nothing is lost, and nobody waits beside a free place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/backend.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

enum {
	THREADS = 2,
	TAKES = 100000,
	MAX = 1, /* places, fewer than threads */
};

static struct config_server servers[] = {
	{"a:1", SERVER_NAME, {{{0}}, 1}, "a", NULL, 2, 0},
	{"b:1", SERVER_NAME, {{{0}}, 1}, "b", NULL, 1, 0},
};

static const struct addr halves[2] = {{.b = {1, [15] = 1}}, {.b = {2, [15] = 2}}};

static struct config_backend config = {
	.name = "web",
	.servers = servers,
	.server_count = 2,
	.check_interval_us = 1,
	.rise = 1,
	.fall = 2,
	.max_connections = MAX,
};

static struct backend *shared;
static atomic_uint over, lost, torn;
static atomic_bool stop;
static pthread_barrier_t start;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static unsigned wakes;

static void wake(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	wakes++;
	pthread_cond_broadcast(&woken);
	pthread_mutex_unlock(&lock);
}

static const struct server_hooks hooks = {.room = wake};

static unsigned wakes_now(void)
{
	pthread_mutex_lock(&lock);
	unsigned n = wakes;
	pthread_mutex_unlock(&lock);
	return n;
}

/* Whether anybody woke us since `seen`, within ten seconds. */
static bool wait_for_wake(unsigned seen)
{
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&lock);
	while (wakes == seen && error == 0)
		error = pthread_cond_timedwait(&woken, &lock, &until);
	pthread_mutex_unlock(&lock);
	return error == 0;
}

static struct server *take_or_wait(void)
{
	struct addr client = {{0}};
	enum backend_refusal why;
	struct server *s = NULL;
	unsigned index;

	while (!s && atomic_load(&lost) == 0) {
		unsigned seen = wakes_now();
		s = backend_take(shared, &client, 0, 1, &index, &why);
		if (!s && why == BACKEND_FULL && !wait_for_wake(seen))
			atomic_fetch_add(&lost, 1);
	}
	return s;
}

static void *connections(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < TAKES; i++) {
		struct server *s = take_or_wait();
		if (!s)
			break;
		if (i % 64 == 0)
			sched_yield();
		if (backend_connections(shared) > MAX)
			atomic_fetch_add(&over, 1);
		backend_connected(s, 2);
		if (backend_give_back(s))
			wake(NULL);
	}
	return NULL;
}

static void nobody_waits_beside_a_free_place(void **state)
{
	pthread_t threads[THREADS];
	struct backend_view a, b;

	(void)state;
	shared = backend_new(&config, NULL, &hooks, 0);
	pthread_barrier_init(&start, NULL, THREADS);
	for (unsigned i = 0; i < 2; i++)
		server_resolved(backend_server(shared, i), halves, 1, 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, connections, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	assert_int_equal(lost, 0);
	assert_int_equal(over, 0);
	assert_int_equal(backend_connections(shared), 0);
	backend_view(shared, 0, &a);
	backend_view(shared, 1, &b);
	assert_int_equal(a.total + b.total, THREADS * TAKES);
	assert_int_equal(a.connections + b.connections, 0);
	backend_unref(shared);
}

/* Whatever addresses it sees, both halves of them belong together. */
static void *readers(void *arg)
{
	struct server *s = arg;
	struct sockaddr_storage at;
	socklen_t len;
	uint32_t turn;

	pthread_barrier_wait(&start);
	while (!atomic_load(&stop)) {
		const uint8_t *ip = (const uint8_t *)&at + 8;
		for (unsigned i = 0; i < 100; i++)
			if (!server_address(s, &at, &len, &turn) || ip[0] != ip[15])
				atomic_fetch_add(&torn, 1);
		server_bad(s, turn, ECONNREFUSED, false, 1);
		server_good(s, false, 1);
	}
	return NULL;
}

static void addresses_are_never_torn(void **state)
{
	pthread_t threads[2];

	(void)state;
	shared = backend_new(&config, NULL, &hooks, 0);
	struct server *s = backend_server(shared, 0);
	server_resolved(s, halves, 2, 0);
	pthread_barrier_init(&start, NULL, 2 + 1);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, readers, s), 0);
	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < 5 * TAKES; i++)
		server_resolved(s, halves + i % 2, 1 + i % 3 % 2 * (1 - i % 2), 0);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	assert_int_equal(torn, 0);
	backend_unref(shared);
}

/* Reloads while connections come and go: the counts end at nothing. */
static void *reloads(void *arg)
{
	struct backend *first = arg;

	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < 2000; i++) {
		struct backend *next = backend_new(&config, first, &hooks, 0);
		struct addr client = {{0}};
		enum backend_refusal why;
		unsigned index;
		struct server *s = backend_take(next, &client, 0, 1, &index, &why);
		backend_unref(next);
		if (s)
			backend_give_back(s);
	}
	return NULL;
}

static void reloads_share_their_servers(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	shared = backend_new(&config, NULL, &hooks, 0);
	server_resolved(backend_server(shared, 0), halves, 1, 0);
	pthread_barrier_init(&start, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reloads, shared), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	assert_int_equal(backend_connections(shared), 0);
	assert_int_equal(atomic_load(&backend_server(shared, 0)->refs), 1);
	backend_unref(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_beside_a_free_place),
		cmocka_unit_test(addresses_are_never_torn),
		cmocka_unit_test(reloads_share_their_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
