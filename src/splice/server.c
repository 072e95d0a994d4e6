/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Health is one word, and whoever turns it from up to down or back by its compare-and-swap is the
 * one that says so. The addresses of a name are read under a version, which is odd while they are
 * written: a reader that sees it change reads again.
 */
#include "config.h"

#include "splice/server.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define SERVER_IS_DOWN (UINT32_C(1) << 31)

enum {
	NOT_TRIED = -1
};

struct server_pool *server_pool_new(void)
{
	struct server_pool *p = calloc(1, sizeof(*p));

	if (p)
		atomic_init(&p->refs, 1);
	return p;
}

void server_pool_ref(struct server_pool *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

void server_pool_unref(struct server_pool *p)
{
	if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
		free(p);
}

static socklen_t addr_to_socket(struct sockaddr_storage *to, const struct addr *a, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (addr_is_v4(a)) {
		memcpy(&v4.sin_addr, a->b + 12, sizeof(v4.sin_addr));
		memcpy(to, &v4, sizeof(v4));
		return sizeof(v4);
	}
	memcpy(&v6.sin6_addr, a->b, sizeof(v6.sin6_addr));
	memcpy(to, &v6, sizeof(v6));
	return sizeof(v6);
}

static socklen_t path_to_socket(struct sockaddr_storage *to, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	strncpy(un.sun_path, path, sizeof(un.sun_path) - 1);
	memcpy(to, &un, sizeof(un));
	return sizeof(un);
}

static bool copy_names(
	struct server *s, const struct config_backend *b, const struct config_server *c)
{
	size_t prefix = strlen(b->name) + 1;

	s->title = malloc(prefix + strlen(c->name) + 1);
	if (!s->title)
		return false;
	sprintf(s->title, "%s/%s", b->name, c->name);
	s->name = s->title + prefix;
	if (c->kind == SERVER_NAME)
		s->host = strdup(c->host);
	return c->kind != SERVER_NAME || s->host;
}

struct server *server_new(const struct config_backend *b, const struct config_server *c,
	struct server_pool *pool, const struct server_hooks *hooks, uint64_t now_us)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	atomic_init(&s->last, NOT_TRIED);
	atomic_init(&s->since_us, now_us);
	s->pool = pool;
	server_pool_ref(pool);
	s->hooks = *hooks;
	s->kind = c->kind;
	s->port = c->at.port;
	if (c->kind == SERVER_ADDR)
		s->fixed_len = addr_to_socket(&s->fixed, &c->at.addr, c->at.port);
	else if (c->kind == SERVER_UNIX)
		s->fixed_len = path_to_socket(&s->fixed, c->path);
	server_settings(s, b);
	if (copy_names(s, b, c))
		return s;
	server_unref(s);
	return NULL;
}

void server_ref(struct server *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void server_unref(struct server *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	server_pool_unref(s->pool);
	free(s->title);
	free(s->host);
	free(s);
}

void server_settings(struct server *s, const struct config_backend *b)
{
	atomic_store_explicit(&s->checked, b->check != CHECK_OFF, memory_order_relaxed);
	atomic_store_explicit(&s->interval_us, b->check_interval_us, memory_order_relaxed);
	atomic_store_explicit(&s->rise, b->rise, memory_order_relaxed);
	atomic_store_explicit(&s->fall, b->fall, memory_order_relaxed);
}

/* All loads acquire, so that none is made before the ones above it. */
static bool read_address(const struct server *s, struct addr *out, uint32_t *turn)
{
	uint32_t version;

	do {
		version = atomic_load_explicit(&s->version, memory_order_acquire);
		uint32_t count = atomic_load_explicit(&s->address_count, memory_order_acquire);
		if (count == 0)
			return false;
		*turn = atomic_load_explicit(&s->turn, memory_order_acquire);
		for (unsigned i = 0; i < 2; i++) {
			uint64_t half = atomic_load_explicit(
				&s->addresses[*turn % count][i], memory_order_acquire);
			memcpy(out->b + 8 * i, &half, sizeof(half));
		}
	} while (version & 1 || atomic_load_explicit(&s->version, memory_order_relaxed) != version);
	return true;
}

bool server_address(
	const struct server *s, struct sockaddr_storage *to, socklen_t *len, uint32_t *turn)
{
	struct addr a;

	*turn = 0;
	if (s->kind != SERVER_NAME) {
		memcpy(to, &s->fixed, sizeof(s->fixed));
		*len = s->fixed_len;
		return true;
	}
	if (!read_address(s, &a, turn))
		return false;
	*len = addr_to_socket(to, &a, s->port);
	return true;
}

static void say(const struct server *s, enum config_log_level level, const char *sentence)
{
	if (s->hooks.told)
		s->hooks.told(s->hooks.arg, level, sentence);
}

/* There may be a place where there was none, and nobody whose end would tell. */
static void say_room(struct server *s)
{
	if (s->hooks.room && server_state(s) == SERVER_UP && atomic_load(&s->pool->wanted) &&
		atomic_exchange(&s->pool->wanted, false))
		s->hooks.room(s->hooks.arg);
}

static bool has_address(const struct server *s)
{
	return s->kind != SERVER_NAME ||
	       atomic_load_explicit(&s->address_count, memory_order_relaxed) > 0;
}

/* Where among the new ones the address in use is; the first if it is not. */
static uint32_t keep_turn(const struct server *s, const struct addr *list, size_t count)
{
	struct addr used;
	uint32_t turn;

	if (!read_address(s, &used, &turn))
		return 0;
	for (size_t i = 0; i < count; i++)
		if (addr_equal(&list[i], &used))
			return (uint32_t)i;
	return 0;
}

static bool same_addresses(const struct server *s, const struct addr *list, size_t count)
{
	if (atomic_load_explicit(&s->address_count, memory_order_relaxed) != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		uint64_t halves[2] = {
			atomic_load_explicit(&s->addresses[i][0], memory_order_relaxed),
			atomic_load_explicit(&s->addresses[i][1], memory_order_relaxed)};
		if (memcmp(halves, list[i].b, sizeof(halves)) != 0)
			return false;
	}
	return true;
}

void server_resolved(struct server *s, const struct addr *list, size_t count, uint64_t now_us)
{
	bool first = !has_address(s);
	uint32_t version = atomic_load_explicit(&s->version, memory_order_relaxed);

	if (count > SERVER_ADDRESSES)
		count = SERVER_ADDRESSES;
	if (same_addresses(s, list, count))
		return;
	uint32_t turn = keep_turn(s, list, count);
	atomic_store_explicit(&s->version, version + 1, memory_order_relaxed);
	for (size_t i = 0; i < count; i++) {
		uint64_t halves[2];
		memcpy(halves, list[i].b, sizeof(halves));
		atomic_store_explicit(&s->addresses[i][0], halves[0], memory_order_release);
		atomic_store_explicit(&s->addresses[i][1], halves[1], memory_order_release);
	}
	atomic_store_explicit(&s->turn, turn, memory_order_release);
	atomic_store_explicit(&s->address_count, (uint32_t)count, memory_order_release);
	atomic_store_explicit(&s->version, version + 2, memory_order_release);
	if (first) {
		atomic_store_explicit(&s->since_us, now_us, memory_order_relaxed);
		say_room(s);
	}
}

bool server_is_up(const struct server *s)
{
	return !(atomic_load_explicit(&s->health, memory_order_relaxed) & SERVER_IS_DOWN);
}

enum server_state server_state(const struct server *s)
{
	int admin = atomic_load_explicit(&s->admin, memory_order_relaxed);

	if (admin == SERVER_DISABLED)
		return SERVER_IS_DISABLED;
	if (admin == SERVER_DRAINING)
		return SERVER_IS_DRAINING;
	if (!has_address(s))
		return SERVER_UNRESOLVED;
	return server_is_up(s) ? SERVER_UP : SERVER_DOWN;
}

const char *server_state_word(enum server_state state)
{
	static const char *const words[] = {
		[SERVER_UP] = "up",
		[SERVER_DOWN] = "down",
		[SERVER_IS_DISABLED] = "disabled",
		[SERVER_IS_DRAINING] = "draining",
		[SERVER_UNRESOLVED] = "unresolved",
	};

	return words[state];
}

void server_administer(struct server *s, enum server_admin admin, uint64_t now_us)
{
	if (atomic_exchange(&s->admin, (int)admin) == (int)admin)
		return;
	atomic_store_explicit(&s->since_us, now_us, memory_order_relaxed);
	say_room(s);
}

bool server_trial_due(const struct server *s, uint64_t now_us)
{
	return !atomic_load_explicit(&s->checked, memory_order_relaxed) &&
	       now_us >= atomic_load_explicit(&s->trial_us, memory_order_relaxed);
}

bool server_trial_claim(struct server *s, uint64_t now_us)
{
	uint64_t due = atomic_load_explicit(&s->trial_us, memory_order_relaxed);
	uint64_t interval = atomic_load_explicit(&s->interval_us, memory_order_relaxed);

	return now_us >= due &&
	       atomic_compare_exchange_strong(&s->trial_us, &due, now_us + interval);
}

/* What people are shown: checks' results, or without checks the connections'. */
static void remember(struct server *s, int result, bool by_check)
{
	if (!by_check && atomic_load_explicit(&s->checked, memory_order_relaxed))
		return;
	if (atomic_load_explicit(&s->last, memory_order_relaxed) != result)
		atomic_store_explicit(&s->last, result, memory_order_relaxed);
}

static const char *lasted(char *out, size_t size, uint64_t us)
{
	unsigned long long seconds = us / 1000000;

	if (seconds < 120)
		snprintf(out, size, "%llu s", seconds);
	else if (seconds < 7200)
		snprintf(out, size, "%llu min", seconds / 60);
	else
		snprintf(out, size, "%llu h", seconds / 3600);
	return out;
}

static void say_up(struct server *s, uint64_t now_us)
{
	uint64_t since = atomic_exchange(&s->since_us, now_us);
	char sentence[512], time[32];

	snprintf(sentence, sizeof(sentence), "server %s is up again after %s", s->title,
		lasted(time, sizeof(time), now_us > since ? now_us - since : 0));
	say(s, LOG_LEVEL_NOTICE, sentence);
	say_room(s);
}

static void say_down(struct server *s, int error)
{
	char sentence[512], words[SERVER_WORDS];

	snprintf(sentence, sizeof(sentence), "server %s is down: %s", s->title,
		server_error_words(error, words));
	say(s, LOG_LEVEL_WARNING, sentence);
}

/* Whatever else was counted of a server that is up, one success makes it none. Down, it takes
 * `rise` good checks; or one connection, of a server without checks. */
static uint32_t better(const struct server *s, uint32_t health, bool by_check)
{
	if (!(health & SERVER_IS_DOWN))
		return 0;
	if (!by_check)
		return atomic_load_explicit(&s->checked, memory_order_relaxed) ? health : 0;
	health++;
	return (health & ~SERVER_IS_DOWN) >= atomic_load_explicit(&s->rise, memory_order_relaxed)
		       ? 0
		       : health;
}

static uint32_t worse(const struct server *s, uint32_t health)
{
	if (health & SERVER_IS_DOWN)
		return SERVER_IS_DOWN;
	health++;
	return health >= atomic_load_explicit(&s->fall, memory_order_relaxed) ? SERVER_IS_DOWN
									      : health;
}

void server_good(struct server *s, bool by_check, uint64_t now_us)
{
	uint32_t old = atomic_load_explicit(&s->health, memory_order_relaxed);
	uint32_t new;

	remember(s, 0, by_check);
	do {
		new = better(s, old, by_check);
		if (new == old)
			return;
	} while (!atomic_compare_exchange_weak(&s->health, &old, new));
	if (old & SERVER_IS_DOWN && !(new &SERVER_IS_DOWN))
		say_up(s, now_us);
}

/* The next of a name's addresses, unless somebody has moved on from this one already. */
static void leave_address(struct server *s, uint32_t turn)
{
	if (s->kind != SERVER_NAME)
		return;
	if (atomic_load_explicit(&s->address_count, memory_order_relaxed) > 1)
		atomic_compare_exchange_strong(&s->turn, &turn, turn + 1);
	atomic_store_explicit(&s->lookup_wanted, true, memory_order_relaxed);
}

void server_bad(struct server *s, uint32_t turn, int error, bool by_check, uint64_t now_us)
{
	uint32_t old = atomic_load_explicit(&s->health, memory_order_relaxed);
	uint32_t new;

	remember(s, error, by_check);
	if (!by_check)
		atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed);
	leave_address(s, turn);
	do {
		new = worse(s, old);
		if (new &SERVER_IS_DOWN && !(old & SERVER_IS_DOWN))
			atomic_store_explicit(&s->trial_us,
				now_us +
					atomic_load_explicit(&s->interval_us, memory_order_relaxed),
				memory_order_relaxed);
	} while (!atomic_compare_exchange_weak(&s->health, &old, new));
	if (new &SERVER_IS_DOWN && !(old & SERVER_IS_DOWN)) {
		atomic_store_explicit(&s->since_us, now_us, memory_order_relaxed);
		say_down(s, error);
	}
}

const char *server_error_words(int error, char out[static SERVER_WORDS])
{
	char text[SERVER_WORDS];

	/* What connect() says of UNIX sockets. */
	if (error == EAGAIN)
		return strcpy(out, "its backlog is full");
	snprintf(out, SERVER_WORDS, "%s", strerror_r(error, text, sizeof(text)));
	/* In the middle of a sentence; but "I/O error". */
	if (islower((unsigned char)out[1]))
		out[0] = (char)tolower((unsigned char)out[0]);
	return out;
}

const char *server_last_words(const struct server *s, char out[static SERVER_WORDS])
{
	int last = atomic_load_explicit(&s->last, memory_order_relaxed);

	if (last > 0)
		return server_error_words(last, out);
	snprintf(out, SERVER_WORDS, "%s", last == NOT_TRIED ? "not tried yet" : "connected");
	return out;
}

const char *server_where(const struct server *s, char out[static SERVER_WHERE])
{
	struct sockaddr_storage at;
	char text[INET6_ADDRSTRLEN];
	socklen_t len;
	uint32_t turn;

	out[0] = '\0';
	if (!server_address(s, &at, &len, &turn))
		return out;
	if (at.ss_family == AF_UNIX) {
		snprintf(out, SERVER_WHERE, "unix:%s", ((const struct sockaddr_un *)&at)->sun_path);
		return out;
	}
	if (at.ss_family == AF_INET)
		inet_ntop(
			AF_INET, &((const struct sockaddr_in *)&at)->sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&at)->sin6_addr, text,
			sizeof(text));
	snprintf(out, SERVER_WHERE, at.ss_family == AF_INET ? "%s:%u" : "[%s]:%u", text, s->port);
	return out;
}
