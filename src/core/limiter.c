/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A place is three atomics. `id` is a keyed 64-bit hash of source and rule: two sources that
 * collide share a limit, which nobody can bring about without the key. Taking a place is one
 * compare-and-swap on `id`, and a place with connections is never taken. Two races remain, each a
 * few instructions wide, and each lets one SYN or one connection too many through: a rate reset
 * while another worker reads it, and a place taken between another worker's finding it and its
 * counting there.
 */
#include "core/limiter.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
	WAYS = 8
};

struct place {
	_Atomic uint64_t id;      /* 0: free */
	_Atomic uint64_t next_ns; /* when the next SYN would be due if they came evenly (GCRA's
				     theoretical arrival time) */
	_Atomic uint32_t connections;
};

struct limiter {
	struct siphash_key key;
	uint32_t mask; /* of sets */
	struct place places[];
};

struct limiter *limiter_new(uint32_t sources, const struct siphash_key *key)
{
	uint32_t sets = 1;
	struct limiter *l;

	while (sets * (uint64_t)WAYS < sources && sets < 1u << 24)
		sets <<= 1;
	l = calloc(1, sizeof(*l) + (size_t)sets * WAYS * sizeof(struct place));
	if (!l)
		return NULL;
	l->key = *key;
	l->mask = sets - 1;
	return l;
}

void limiter_free(struct limiter *l)
{
	free(l);
}

static uint64_t id_of(const struct limiter *l, const struct addr *source, uint16_t slot)
{
	struct {
		struct addr source;
		uint64_t slot;
	} key = {*source, slot};
	uint64_t id = siphash13(&key, sizeof(key), &l->key);

	return id ? id : 1;
}

static struct place *set_of(struct limiter *l, uint64_t id)
{
	return &l->places[(size_t)((id >> 32) & l->mask) * WAYS];
}

static struct place *find(struct limiter *l, uint64_t id)
{
	struct place *set = set_of(l, id);

	for (unsigned i = 0; i < WAYS; i++)
		if (atomic_load_explicit(&set[i].id, memory_order_relaxed) == id)
			return &set[i];
	return NULL;
}

/* The source's place, or one taken over for it; NULL if all eight have connections. */
static struct place *find_or_take(struct limiter *l, uint64_t id)
{
	struct place *set = set_of(l, id);
	struct place *idlest = NULL;
	uint64_t idlest_ns = UINT64_MAX;
	uint64_t old;

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t next_ns = atomic_load_explicit(&set[i].next_ns, memory_order_relaxed);

		if (atomic_load_explicit(&set[i].id, memory_order_relaxed) == id)
			return &set[i];
		if (atomic_load_explicit(&set[i].connections, memory_order_relaxed) == 0 &&
			next_ns < idlest_ns) {
			idlest = &set[i];
			idlest_ns = next_ns;
		}
	}
	if (!idlest)
		return NULL;
	old = atomic_load_explicit(&idlest->id, memory_order_relaxed);
	if (!atomic_compare_exchange_strong(&idlest->id, &old, id))
		return find(l, id);
	atomic_store_explicit(&idlest->next_ns, 0, memory_order_relaxed);
	return idlest;
}

bool limiter_take(struct limiter *l, const struct addr *source, uint16_t slot,
	const struct policy_rate *rate, uint64_t now_us)
{
	struct place *p = find_or_take(l, id_of(l, source, slot));
	uint64_t now = now_us * 1000;
	uint64_t interval, slack, due, base;

	if (!p || rate->per_s == 0)
		return true;
	interval = 1000000000u / rate->per_s;
	slack = interval * (rate->burst > 0 ? rate->burst - 1 : 0);
	due = atomic_load_explicit(&p->next_ns, memory_order_relaxed);
	do {
		base = due > now ? due : now;
		if (base - now > slack)
			return false;
	} while (!atomic_compare_exchange_weak(&p->next_ns, &due, base + interval));
	return true;
}

uint32_t limiter_connections(struct limiter *l, const struct addr *source, uint16_t slot)
{
	struct place *p = find(l, id_of(l, source, slot));

	return p ? atomic_load_explicit(&p->connections, memory_order_relaxed) : 0;
}

bool limiter_connect(struct limiter *l, const struct addr *source, uint16_t slot, uint32_t max,
	uint64_t now_us, bool *counted)
{
	struct place *p = find_or_take(l, id_of(l, source, slot));
	uint32_t n;

	*counted = false;
	if (!p)
		return true;
	n = atomic_load_explicit(&p->connections, memory_order_relaxed);
	do {
		if (n >= max)
			return false;
	} while (!atomic_compare_exchange_weak(&p->connections, &n, n + 1));
	if (atomic_load_explicit(&p->next_ns, memory_order_relaxed) == 0)
		atomic_store_explicit(&p->next_ns, now_us * 1000, memory_order_relaxed);
	*counted = true;
	return true;
}

void limiter_disconnect(struct limiter *l, const struct addr *source, uint16_t slot)
{
	struct place *p = find(l, id_of(l, source, slot));
	uint32_t n;

	if (!p)
		return;
	n = atomic_load_explicit(&p->connections, memory_order_relaxed);
	do {
		if (n == 0)
			return;
	} while (!atomic_compare_exchange_weak(&p->connections, &n, n - 1));
}
