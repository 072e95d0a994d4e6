/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "splice/balance.h"

#include "core/siphash.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct balance {
	unsigned count;
	uint32_t *weights;
	uint64_t *ids;     /* hashes of their names */
	uint8_t *schedule; /* one round of turns */
	uint32_t length;   /* of it */
	_Atomic uint32_t position;
};

/* No secret: the choice is to be the same after a restart, and nobody gains by guessing it. */
static const struct siphash_key source_key = {UINT64_C(0x61636b67617465), UINT64_C(0x736f75726365)};

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* Each turn everybody earns its weight; the richest takes it and pays what all have earned. */
static bool make_schedule(struct balance *b)
{
	int64_t *earned = calloc(b->count, sizeof(*earned));
	uint32_t divisor = 0, total = 0;

	for (unsigned i = 0; i < b->count; i++) {
		divisor = greatest_common_divisor(b->weights[i], divisor);
		total += b->weights[i];
	}
	b->length = total / divisor;
	b->schedule = malloc(b->length);
	for (uint32_t turn = 0; earned && b->schedule && turn < b->length; turn++) {
		unsigned best = 0;
		for (unsigned i = 0; i < b->count; i++) {
			earned[i] += b->weights[i];
			if (earned[i] > earned[best])
				best = i;
		}
		earned[best] -= total;
		b->schedule[turn] = (uint8_t)best;
	}
	free(earned);
	return earned != NULL && b->schedule != NULL;
}

struct balance *balance_new(
	const uint32_t *weights, const char *const *names, unsigned count, uint32_t position)
{
	struct balance *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->count = count;
	b->weights = calloc(count, sizeof(*b->weights));
	b->ids = calloc(count, sizeof(*b->ids));
	if (!b->weights || !b->ids)
		goto out;
	for (unsigned i = 0; i < count; i++) {
		b->weights[i] = weights[i];
		b->ids[i] = siphash(names[i], strlen(names[i]), &source_key);
	}
	if (!make_schedule(b))
		goto out;
	atomic_init(&b->position, position % b->length);
	return b;
out:
	balance_free(b);
	return NULL;
}

void balance_free(struct balance *b)
{
	if (!b)
		return;
	free(b->weights);
	free(b->ids);
	free(b->schedule);
	free(b);
}

uint32_t balance_position(const struct balance *b)
{
	return atomic_load_explicit(&b->position, memory_order_relaxed);
}

static bool is_among(uint64_t among, unsigned i)
{
	return among >> i & 1;
}

unsigned balance_next(struct balance *b, uint64_t among)
{
	uint32_t position = balance_position(b);
	uint32_t at, next;

	/* Turns of others are used up too: were they left to the next in line, it would get twice
	 * its share. */
	do {
		at = position;
		for (uint32_t n = 1; n < b->length && !is_among(among, b->schedule[at]); n++)
			at = at + 1 < b->length ? at + 1 : 0;
		next = at + 1 < b->length ? at + 1 : 0;
	} while (!atomic_compare_exchange_weak_explicit(
		&b->position, &position, next, memory_order_relaxed, memory_order_relaxed));
	return b->schedule[at];
}

unsigned balance_least(struct balance *b, uint64_t among, const uint32_t *connections)
{
	uint32_t first = atomic_fetch_add_explicit(&b->position, 1, memory_order_relaxed);
	unsigned best = b->count;

	for (unsigned n = 0; n < b->count; n++) {
		unsigned i = (first + n) % b->count;
		if (is_among(among, i) &&
			(best == b->count ||
				(connections[i] + UINT64_C(1)) * b->weights[best] <
					(connections[best] + UINT64_C(1)) * b->weights[i]))
			best = i;
	}
	return best;
}

/* Exponentially distributed at a rate of the weight, so the chance to be the least of all is in
 * proportion to it. */
static double distance(const struct balance *b, unsigned i, const struct addr *client)
{
	struct {
		struct addr client;
		uint64_t server;
	} key = {*client, b->ids[i]};
	uint64_t hash = siphash13(&key, sizeof(key), &source_key);
	double chance = ((double)(hash >> 11) + 0.5) * 0x1p-53;

	return -log(chance) / b->weights[i];
}

unsigned balance_source(const struct balance *b, uint64_t among, const struct addr *client)
{
	double least = HUGE_VAL;
	unsigned best = 0;

	for (unsigned i = 0; i < b->count; i++) {
		if (!is_among(among, i))
			continue;
		double d = distance(b, i, client);
		if (d < least) {
			least = d;
			best = i;
		}
	}
	return best;
}
