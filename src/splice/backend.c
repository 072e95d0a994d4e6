/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * What belongs to a configuration (weights, limits, the order) is in the backend and never changes.
 * What belongs to the world (health, counts) is in servers and their pool, which a backend shares
 * with the one that replaces it.
 *
 * A place is taken at the server first, then at the backend: of the latter, nothing is ever counted
 * that doesn't become a connection, so who finds it full can rely on some connection's end. A
 * server's place may be given up again, but only because the backend is full or because another
 * connection has the server's trial; those end too.
 *
 * Who finds no place sets `wanted`, then looks once more; who gives one back counts down, then
 * looks at `wanted`. One of the two sees the other (both are sequentially consistent), so nobody
 * waits beside a free place.
 */
#include "config.h"

#include "splice/backend.h"

#include "splice/balance.h"

#include <stdlib.h>

struct slot {
	struct server *server;
	uint32_t weight;
	uint32_t max_connections;
};

struct backend {
	atomic_uint refs;
	char *name;
	struct config_backend config; /* but for its pointers */
	struct server_pool *pool;
	struct balance *balance;
	unsigned count;
	struct slot slots[BACKEND_SERVERS_MAX];
};

static struct server *find(const struct backend *b, const char *name)
{
	for (unsigned i = 0; b && i < b->count; i++)
		if (strcmp(b->slots[i].server->name, name) == 0)
			return b->slots[i].server;
	return NULL;
}

static bool add_server(struct backend *b, const struct config_backend *c,
	const struct config_server *server, const struct backend *old,
	const struct server_hooks *hooks, uint64_t now_us)
{
	struct server *s = find(old, server->name);

	if (s)
		server_ref(s);
	else
		s = server_new(c, server, b->pool, hooks, now_us);
	if (!s)
		return false;
	b->slots[b->count++] = (struct slot){s, server->weight, server->max_connections};
	return true;
}

static struct balance *make_balance(const struct backend *b, const struct backend *old)
{
	uint32_t weights[BACKEND_SERVERS_MAX];
	const char *names[BACKEND_SERVERS_MAX];

	for (unsigned i = 0; i < b->count; i++) {
		weights[i] = b->slots[i].weight;
		names[i] = b->slots[i].server->name;
	}
	return balance_new(weights, names, b->count, old ? balance_position(old->balance) : 0);
}

struct backend *backend_new(const struct config_backend *c, const struct backend *old,
	const struct server_hooks *hooks, uint64_t now_us)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	b->config = *c;
	b->config.name = NULL;
	b->config.servers = NULL;
	b->name = strdup(c->name);
	if (old)
		server_pool_ref(old->pool);
	b->pool = old ? old->pool : server_pool_new();
	if (!b->name || !b->pool)
		goto out;
	for (size_t i = 0; i < c->server_count && i < BACKEND_SERVERS_MAX; i++)
		if (!add_server(b, c, &c->servers[i], old, hooks, now_us))
			goto out;
	b->balance = make_balance(b, old);
	if (b->balance)
		return b;
out:
	backend_unref(b);
	return NULL;
}

void backend_ref(struct backend *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void backend_unref(struct backend *b)
{
	if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < b->count; i++)
		server_unref(b->slots[i].server);
	balance_free(b->balance);
	server_pool_unref(b->pool);
	free(b->name);
	free(b);
}

const char *backend_name(const struct backend *b)
{
	return b->name;
}

uint32_t backend_retries(const struct backend *b)
{
	return b->config.retries;
}

/* Never above `max`, not even for a moment: nobody is refused for a place that nobody gets. */
static bool count_up(_Atomic uint32_t *connections, uint32_t max)
{
	uint32_t n = atomic_load(connections);

	do
		if (max != 0 && n >= max)
			return false;
	while (!atomic_compare_exchange_weak(connections, &n, n + 1));
	return true;
}

static bool has_room(const struct slot *slot)
{
	return slot->max_connections == 0 ||
	       atomic_load(&slot->server->connections) < slot->max_connections;
}

/* Those that may take connections, and of them those that have room. */
static uint64_t find_ready(const struct backend *b, uint64_t now_us, uint64_t *with_room)
{
	uint64_t ready = 0;

	*with_room = 0;
	for (unsigned i = 0; i < b->count; i++) {
		const struct server *s = b->slots[i].server;
		enum server_state state = server_state(s);
		if (state != SERVER_UP && (state != SERVER_DOWN || !server_trial_due(s, now_us)))
			continue;
		ready |= UINT64_C(1) << i;
		if (has_room(&b->slots[i]))
			*with_room |= UINT64_C(1) << i;
	}
	return ready;
}

static unsigned pick(struct backend *b, uint64_t among, const struct addr *client)
{
	uint32_t connections[BACKEND_SERVERS_MAX];

	switch (b->config.balance) {
	case BALANCE_SOURCE:
		return balance_source(b->balance, among, client);
	case BALANCE_LEASTCONN:
		for (unsigned i = 0; i < b->count; i++)
			connections[i] = atomic_load_explicit(
				&b->slots[i].server->connections, memory_order_relaxed);
		return balance_least(b->balance, among, connections);
	case BALANCE_ROUNDROBIN:
		break;
	}
	return balance_next(b->balance, among);
}

enum claim {
	CLAIMED,
	CLAIM_FULL,  /* the server */
	CLAIM_TRIAL, /* is down, and somebody else is trying */
	CLAIM_BACKEND_FULL,
};

static enum claim claim(struct backend *b, const struct slot *slot, uint64_t now_us)
{
	struct server *s = slot->server;
	enum claim refused;

	if (!count_up(&s->connections, slot->max_connections))
		return CLAIM_FULL;
	if (!server_is_up(s) && !server_trial_claim(s, now_us))
		refused = CLAIM_TRIAL;
	else if (!count_up(&b->pool->connections, b->config.max_connections))
		refused = CLAIM_BACKEND_FULL;
	else
		return CLAIMED;
	atomic_fetch_sub(&s->connections, 1);
	return refused;
}

static struct server *try_take(struct backend *b, const struct addr *client, uint64_t tried,
	uint64_t now_us, unsigned *index, enum backend_refusal *why)
{
	uint64_t among;
	uint64_t ready = find_ready(b, now_us, &among);
	bool full = (ready & ~tried & ~among) != 0;

	for (among &= ~tried; among != 0; among &= ~(UINT64_C(1) << *index)) {
		*index = pick(b, among, client);
		struct server *s = b->slots[*index].server;
		enum claim result = claim(b, &b->slots[*index], now_us);
		if (result == CLAIMED) {
			server_ref(s);
			atomic_fetch_add_explicit(&s->total, 1, memory_order_relaxed);
			return s;
		}
		full |= result != CLAIM_TRIAL;
		if (result == CLAIM_BACKEND_FULL)
			break;
	}
	if (full)
		*why = BACKEND_FULL;
	else
		*why = ready & tried ? BACKEND_NONE_LEFT : BACKEND_DOWN;
	return NULL;
}

struct server *backend_take(struct backend *b, const struct addr *client, uint64_t tried,
	uint64_t now_us, unsigned *index, enum backend_refusal *why)
{
	struct server *s = try_take(b, client, tried, now_us, index, why);

	if (s || *why != BACKEND_FULL)
		return s;
	atomic_store(&b->pool->wanted, true);
	return try_take(b, client, tried, now_us, index, why);
}

bool backend_give_back(struct server *s)
{
	bool wanted;

	atomic_fetch_sub(&s->connections, 1);
	atomic_fetch_sub(&s->pool->connections, 1);
	wanted = atomic_load(&s->pool->wanted) && atomic_exchange(&s->pool->wanted, false);
	server_unref(s);
	return wanted;
}

void backend_connected(struct server *s, uint64_t now_us)
{
	server_good(s, false, now_us);
}

void backend_failed(struct server *s, uint32_t turn, int error, uint64_t now_us)
{
	server_bad(s, turn, error, false, now_us);
}

bool backend_administer(
	struct backend *b, const char *server, enum server_admin admin, uint64_t now_us)
{
	struct server *s = find(b, server);

	if (s)
		server_administer(s, admin, now_us);
	return s != NULL;
}

unsigned backend_server_count(const struct backend *b)
{
	return b->count;
}

void backend_view(const struct backend *b, unsigned index, struct backend_view *out)
{
	const struct slot *slot = &b->slots[index];
	const struct server *s = slot->server;

	*out = (struct backend_view){
		.name = s->name,
		.state = server_state(s),
		.since_us = atomic_load_explicit(&s->since_us, memory_order_relaxed),
		.connections = atomic_load_explicit(&s->connections, memory_order_relaxed),
		.total = atomic_load_explicit(&s->total, memory_order_relaxed),
		.failures = atomic_load_explicit(&s->failures, memory_order_relaxed),
		.weight = slot->weight,
		.max_connections = slot->max_connections,
	};
	server_where(s, out->where);
	server_last_words(s, out->last);
}

uint32_t backend_connections(const struct backend *b)
{
	return atomic_load_explicit(&b->pool->connections, memory_order_relaxed);
}

uint32_t backend_max_connections(const struct backend *b)
{
	return b->config.max_connections;
}

struct server *backend_server(const struct backend *b, unsigned index)
{
	return b->slots[index].server;
}

enum backend_check backend_check(const struct backend *b)
{
	return b->config.check;
}

void backend_in_force(struct backend *b)
{
	for (unsigned i = 0; i < b->count; i++)
		server_settings(b->slots[i].server, &b->config);
}
