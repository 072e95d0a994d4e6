/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A place is a few atomics. `id` is a keyed 64-bit hash of source and rule: two sources that
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

#define HALF_OPEN (UINT64_C(1) << 63)

struct place {
	_Atomic uint64_t id;           /* 0: free */
	_Atomic uint64_t next_ns;      /* when the next SYN would be due if they came evenly (GCRA's
					  theoretical arrival time) */
	_Atomic uint64_t completed_ns; /* likewise, of completed handshakes */
	_Atomic uint64_t source[2];    /* for people */
	_Atomic uint32_t slot;
	_Atomic uint32_t connections;
	_Atomic uint32_t half_open;
};

struct limiter {
	struct siphash_key key;
	uint32_t mask; /* of sets */
	_Atomic uint32_t tracked;
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

static void name_place(struct place *p, const struct addr *source, uint16_t slot)
{
	uint64_t halves[2];

	memcpy(halves, source->b, sizeof(halves));
	atomic_store_explicit(&p->source[0], halves[0], memory_order_relaxed);
	atomic_store_explicit(&p->source[1], halves[1], memory_order_relaxed);
	atomic_store_explicit(&p->slot, slot, memory_order_relaxed);
}

/* A free place goes first, then one whose rates were idle longest, one with half-open handshakes
 * only after all others, and one with connections never. */
static uint64_t busy_until(const struct place *p)
{
	uint64_t next_ns = atomic_load_explicit(&p->next_ns, memory_order_relaxed);
	uint64_t completed_ns = atomic_load_explicit(&p->completed_ns, memory_order_relaxed);

	if (atomic_load_explicit(&p->id, memory_order_relaxed) == 0)
		return 0;
	if (atomic_load_explicit(&p->connections, memory_order_relaxed) > 0)
		return UINT64_MAX;
	if (completed_ns > next_ns)
		next_ns = completed_ns;
	if (atomic_load_explicit(&p->half_open, memory_order_relaxed) > 0)
		return next_ns | HALF_OPEN;
	return next_ns + 1;
}

/* The source's place, or one taken over for it; NULL if all eight have connections. */
static struct place *find_or_take(struct limiter *l, const struct addr *source, uint16_t slot)
{
	uint64_t id = id_of(l, source, slot);
	struct place *set = set_of(l, id);
	struct place *idlest = NULL;
	uint64_t least = UINT64_MAX;
	uint64_t old;

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t busy = busy_until(&set[i]);

		if (atomic_load_explicit(&set[i].id, memory_order_relaxed) == id)
			return &set[i];
		if (busy < least) {
			idlest = &set[i];
			least = busy;
		}
	}
	if (!idlest)
		return NULL;
	old = atomic_load_explicit(&idlest->id, memory_order_relaxed);
	if (!atomic_compare_exchange_strong(&idlest->id, &old, id))
		return find(l, id);
	if (old == 0)
		atomic_fetch_add_explicit(&l->tracked, 1, memory_order_relaxed);
	atomic_store_explicit(&idlest->next_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&idlest->completed_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&idlest->half_open, 0, memory_order_relaxed);
	name_place(idlest, source, slot);
	return idlest;
}

static uint64_t interval_ns(const struct policy_rate *rate)
{
	return 1000000000u / rate->per_s;
}

static uint64_t slack_ns(const struct policy_rate *rate)
{
	return interval_ns(rate) * (rate->burst > 0 ? rate->burst - 1 : 0);
}

/* The generic cell rate algorithm: one more fits if it is not due too long from now. */
static bool fits(_Atomic uint64_t *next_ns, const struct policy_rate *rate, uint64_t now_us)
{
	uint64_t now = now_us * 1000;
	uint64_t slack = slack_ns(rate);
	uint64_t due = atomic_load_explicit(next_ns, memory_order_relaxed);
	uint64_t base;

	do {
		base = due > now ? due : now;
		if (base - now > slack)
			return false;
	} while (!atomic_compare_exchange_weak(next_ns, &due, base + interval_ns(rate)));
	return true;
}

bool limiter_take(struct limiter *l, const struct addr *source, uint16_t slot,
	const struct policy_rate *rate, uint64_t now_us)
{
	struct place *p = rate->per_s ? find_or_take(l, source, slot) : NULL;

	return !p || fits(&p->next_ns, rate, now_us);
}

bool limiter_fits(struct limiter *l, const struct addr *source, uint16_t slot,
	const struct policy_rate *rate, uint64_t now_us)
{
	struct place *p = rate->per_s ? find(l, id_of(l, source, slot)) : NULL;
	uint64_t due = p ? atomic_load_explicit(&p->next_ns, memory_order_relaxed) : 0;

	return !p || due <= now_us * 1000 + slack_ns(rate);
}

bool limiter_complete(struct limiter *l, const struct addr *source, uint16_t slot,
	const struct policy_rate *rate, uint64_t now_us)
{
	struct place *p = rate->per_s ? find_or_take(l, source, slot) : NULL;

	return !p || fits(&p->completed_ns, rate, now_us);
}

uint32_t limiter_connections(struct limiter *l, const struct addr *source, uint16_t slot)
{
	struct place *p = find(l, id_of(l, source, slot));

	return p ? atomic_load_explicit(&p->connections, memory_order_relaxed) : 0;
}

bool limiter_connect(struct limiter *l, const struct addr *source, uint16_t slot, uint32_t max,
	uint64_t now_us, bool *counted)
{
	struct place *p = find_or_take(l, source, slot);
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

/* One less, unless there is none. */
static void count_down(_Atomic uint32_t *count)
{
	uint32_t n = atomic_load_explicit(count, memory_order_relaxed);

	do {
		if (n == 0)
			return;
	} while (!atomic_compare_exchange_weak(count, &n, n - 1));
}

void limiter_disconnect(struct limiter *l, const struct addr *source, uint16_t slot)
{
	struct place *p = find(l, id_of(l, source, slot));

	if (p)
		count_down(&p->connections);
}

uint32_t limiter_half_open(struct limiter *l, const struct addr *source, uint16_t slot)
{
	struct place *p = find(l, id_of(l, source, slot));

	return p ? atomic_load_explicit(&p->half_open, memory_order_relaxed) : 0;
}

void limiter_open(struct limiter *l, const struct addr *source, uint16_t slot)
{
	struct place *p = find_or_take(l, source, slot);

	if (p)
		atomic_fetch_add_explicit(&p->half_open, 1, memory_order_relaxed);
}

void limiter_settle(struct limiter *l, const struct addr *source, uint16_t slot)
{
	struct place *p = find(l, id_of(l, source, slot));

	if (p)
		count_down(&p->half_open);
}

void limiter_forget_half_open(struct limiter *l)
{
	for (size_t i = 0; i < ((size_t)l->mask + 1) * WAYS; i++)
		atomic_store_explicit(&l->places[i].half_open, 0, memory_order_relaxed);
}

uint32_t limiter_tracked(const struct limiter *l)
{
	return atomic_load_explicit(&l->tracked, memory_order_relaxed);
}

void limiter_each(const struct limiter *l,
	void (*each)(void *arg, const struct limiter_source *source), void *arg)
{
	for (size_t i = 0; i < ((size_t)l->mask + 1) * WAYS; i++) {
		const struct place *p = &l->places[i];
		uint64_t halves[2] = {atomic_load_explicit(&p->source[0], memory_order_relaxed),
			atomic_load_explicit(&p->source[1], memory_order_relaxed)};
		struct limiter_source source = {
			.slot = (uint16_t)atomic_load_explicit(&p->slot, memory_order_relaxed),
			.connections = atomic_load_explicit(&p->connections, memory_order_relaxed),
			.half_open = atomic_load_explicit(&p->half_open, memory_order_relaxed),
		};

		memcpy(source.source.b, halves, sizeof(halves));
		if (atomic_load_explicit(&p->id, memory_order_relaxed) != 0)
			each(arg, &source);
	}
}
