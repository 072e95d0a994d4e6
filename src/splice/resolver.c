/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * The thread sleeps on `changed`, a second at most, since a failed connection only leaves a flag
 * with its server and wakes nobody. The lock is held but for the lookup itself: what comes of one
 * is handed over under it, so that nothing is once `stopping` is set. The resolver belongs to its
 * owner, who joins the thread; but if a lookup is under way then the thread is left to itself, and
 * frees what is left when it returns.
 */
#include "config.h"

#include "splice/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct entry {
	struct server *server;
	uint64_t looked_us;
	bool looked;
};

struct resolver {
	uint64_t again_us, soon_us;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool stopping;
	bool looking; /* the thread, without the lock */
	struct entry *entries;
	size_t count;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct resolver *resolver_new(uint64_t again_us, uint64_t soon_us)
{
	struct resolver *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (!r)
		return NULL;
	r->again_us = again_us;
	r->soon_us = soon_us;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	return r;
}

static void entries_free(struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		server_unref(entries[i].server);
	free(entries);
}

static void release(struct resolver *r)
{
	entries_free(r->entries, r->count);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static size_t read_list(const struct addrinfo *ai, struct addr list[static SERVER_ADDRESSES])
{
	size_t n = 0;

	for (; ai != NULL && n < SERVER_ADDRESSES; ai = ai->ai_next) {
		if (ai->ai_family == AF_INET) {
			uint8_t octets[4];
			memcpy(octets, &((const struct sockaddr_in *)ai->ai_addr)->sin_addr, 4);
			list[n++] = addr_v4(octets);
		} else if (ai->ai_family == AF_INET6) {
			memcpy(list[n++].b, &((const struct sockaddr_in6 *)ai->ai_addr)->sin6_addr,
				16);
		}
	}
	return n;
}

/* A getaddrinfo error, or 0 and at least one address. */
static int look_up(const char *host, struct addr list[static SERVER_ADDRESSES], size_t *count)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int error = getaddrinfo(host, NULL, &hints, &found);

	if (error != 0)
		return error;
	*count = read_list(found, list);
	freeaddrinfo(found);
	return *count > 0 ? 0 : EAI_NONAME;
}

static void say(const struct server *s, enum config_log_level level, const char *what)
{
	char sentence[512];

	snprintf(sentence, sizeof(sentence), "server %s: %s", s->title, what);
	if (s->hooks.told)
		s->hooks.told(s->hooks.arg, level, sentence);
}

static void hand_over_failure(struct server *s, int error)
{
	char what[256], where[SERVER_WHERE];

	if (atomic_exchange(&s->lookup_failed, true))
		return;
	if (server_where(s, where)[0] != '\0')
		snprintf(what, sizeof(what), "the name can't be looked up: %s; %s stays in use",
			gai_strerror(error), where);
	else
		snprintf(what, sizeof(what), "the name can't be looked up: %s; it is down",
			gai_strerror(error));
	say(s, LOG_LEVEL_WARNING, what);
}

static void hand_over(struct server *s, const struct addr *list, size_t count)
{
	char what[256], where[SERVER_WHERE];

	server_resolved(s, list, count, now_us());
	if (!atomic_exchange(&s->lookup_failed, false))
		return;
	snprintf(what, sizeof(what), "the name can be looked up again: %s", server_where(s, where));
	say(s, LOG_LEVEL_NOTICE, what);
}

static struct entry *next_due(struct resolver *r)
{
	uint64_t now = now_us();

	for (size_t i = 0; i < r->count; i++) {
		struct entry *e = &r->entries[i];
		bool soon = atomic_load(&e->server->lookup_failed) ||
			    atomic_load(&e->server->lookup_wanted);
		if (!e->looked || now >= e->looked_us + (soon ? r->soon_us : r->again_us))
			return e;
	}
	return NULL;
}

static void wait_a_little(struct resolver *r)
{
	struct timespec until;
	uint64_t us = r->soon_us < 1000000 ? r->soon_us : 1000000;

	if (r->count == 0) {
		pthread_cond_wait(&r->changed, &r->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)us * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&r->changed, &r->lock, &until);
}

/* The entry itself may be gone after the lookup; the server is held. */
static void serve(struct resolver *r, struct entry *e)
{
	struct addr list[SERVER_ADDRESSES];
	struct server *s = e->server;
	size_t count = 0;
	int error;

	e->looked = true;
	e->looked_us = now_us();
	atomic_store(&s->lookup_wanted, false);
	server_ref(s);
	r->looking = true;
	pthread_mutex_unlock(&r->lock);
	error = look_up(s->host, list, &count);
	pthread_mutex_lock(&r->lock);
	r->looking = false;
	if (!r->stopping && error == 0)
		hand_over(s, list, count);
	else if (!r->stopping)
		hand_over_failure(s, error);
	server_unref(s);
}

static void *run(void *arg)
{
	struct resolver *r = arg;
	bool left_alone = false;

	pthread_mutex_lock(&r->lock);
	while (!r->stopping) {
		struct entry *e = next_due(r);
		if (e) {
			serve(r, e);
			left_alone = r->stopping;
		} else {
			wait_a_little(r);
		}
	}
	pthread_mutex_unlock(&r->lock);
	if (left_alone)
		release(r);
	return NULL;
}

/* Signals are for other threads. */
static bool start(struct resolver *r)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r->started = pthread_create(&r->thread, NULL, run, r) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r->started;
}

/* What was looked up before is not at once again. */
static struct entry *entry_of(struct resolver *r, const struct server *s)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->entries[i].server == s)
			return &r->entries[i];
	return NULL;
}

bool resolver_set(struct resolver *r, struct server *const *servers, size_t count)
{
	struct entry *entries;

	if (count > 0 && !r->started && !start(r))
		return false;
	entries = calloc(count + 1, sizeof(*entries));
	if (!entries)
		return false;
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < count; i++) {
		const struct entry *old = entry_of(r, servers[i]);
		if (old)
			entries[i] = *old;
		entries[i].server = servers[i];
		server_ref(servers[i]);
	}
	entries_free(r->entries, r->count);
	r->entries = entries;
	r->count = count;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return true;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	if (!r->started) {
		release(r);
		return;
	}
	pthread_t thread = r->thread;
	pthread_mutex_lock(&r->lock);
	bool looking = r->looking;
	r->stopping = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
	if (looking) {
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL);
	release(r);
}
