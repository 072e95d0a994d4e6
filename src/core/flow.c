/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chained hashing with the chains in an array of their own, so that the flows stay at 64 bytes and
 * the walk touches only what it compares. The hash is keyed and the same for both directions.
 * Memory that no flow has used yet is never touched: numbers are handed out upwards until the first
 * flows are freed.
 */
#include "core/flow.h"

#include <stdlib.h>

struct list {
	uint32_t head;
	uint32_t tail;
	uint32_t count;
};

struct flow_table {
	struct siphash_key key;
	uint32_t capacity;
	uint32_t mask;  /* of buckets */
	uint32_t fresh; /* the highest number ever handed out */
	uint32_t free;  /* head of the freed flows, linked by `chain` */
	uint32_t used;
	struct list lists[FLOW_LISTS];
	struct flow *flows; /* [capacity + 1]; number 0 is never used */
	uint32_t *chain;    /* [capacity + 1] */
	uint32_t *buckets;  /* [mask + 1] */
};

struct flow_table *flow_table_new(uint32_t capacity, const struct siphash_key *key)
{
	struct flow_table *t = calloc(1, sizeof(*t));
	uint32_t buckets = 1;

	if (!t)
		return NULL;
	while (buckets < capacity && buckets < 1u << 31)
		buckets <<= 1;
	t->key = *key;
	t->capacity = capacity;
	t->mask = buckets - 1;
	t->flows = calloc((size_t)capacity + 1, sizeof(*t->flows));
	t->chain = calloc((size_t)capacity + 1, sizeof(*t->chain));
	t->buckets = calloc(buckets, sizeof(*t->buckets));
	if (t->flows && t->chain && t->buckets)
		return t;
	flow_table_free(t);
	return NULL;
}

void flow_table_free(struct flow_table *t)
{
	if (!t)
		return;
	free(t->flows);
	free(t->chain);
	free(t->buckets);
	free(t);
}

struct flow *flow_at(struct flow_table *t, uint32_t number)
{
	return &t->flows[number];
}

/* Both ends in an order of their own, so that either direction gives the same bytes. */
static uint32_t bucket_of(const struct flow_table *t, const struct addr *a, uint16_t a_port,
	const struct addr *b, uint16_t b_port)
{
	struct {
		struct addr low, high;
		uint16_t low_port, high_port;
	} key;
	int order = memcmp(a->b, b->b, sizeof(a->b));

	if (order > 0 || (order == 0 && a_port > b_port)) {
		key.low = *b;
		key.high = *a;
		key.low_port = b_port;
		key.high_port = a_port;
	} else {
		key.low = *a;
		key.high = *b;
		key.low_port = a_port;
		key.high_port = b_port;
	}
	return (uint32_t)siphash13(&key, sizeof(key), &t->key) & t->mask;
}

static bool is_between(const struct tuple *t, const struct addr *src, uint16_t src_port,
	const struct addr *dst, uint16_t dst_port)
{
	return t->client_port == src_port && t->server_port == dst_port &&
	       addr_equal(&t->client, src) && addr_equal(&t->server, dst);
}

uint32_t flow_find(struct flow_table *t, const struct addr *src, uint16_t src_port,
	const struct addr *dst, uint16_t dst_port, enum hs_side *side)
{
	uint32_t n = t->buckets[bucket_of(t, src, src_port, dst, dst_port)];

	for (; n; n = t->chain[n]) {
		const struct tuple *tuple = &t->flows[n].tuple;

		if (is_between(tuple, src, src_port, dst, dst_port)) {
			*side = HS_FROM_CLIENT;
			return n;
		}
		if (is_between(tuple, dst, dst_port, src, src_port)) {
			*side = HS_FROM_SERVER;
			return n;
		}
	}
	return 0;
}

static void append(struct flow_table *t, uint32_t number, enum flow_list which, uint64_t now_us)
{
	struct list *list = &t->lists[which];
	struct flow *f = &t->flows[number];

	f->prev = list->tail;
	f->next = 0;
	f->since_ms = (uint32_t)(now_us / 1000);
	if (list->tail)
		t->flows[list->tail].next = number;
	else
		list->head = number;
	list->tail = number;
	list->count++;
}

static void unlink_from(struct flow_table *t, uint32_t number, enum flow_list which)
{
	struct list *list = &t->lists[which];
	struct flow *f = &t->flows[number];

	if (f->prev)
		t->flows[f->prev].next = f->next;
	else
		list->head = f->next;
	if (f->next)
		t->flows[f->next].prev = f->prev;
	else
		list->tail = f->prev;
	list->count--;
}

uint32_t flow_insert(
	struct flow_table *t, const struct tuple *tuple, enum flow_list list, uint64_t now_us)
{
	uint32_t number = t->free;
	uint32_t bucket;

	if (number)
		t->free = t->chain[number];
	else if (t->fresh < t->capacity)
		number = ++t->fresh;
	else
		return 0;
	t->used++;
	t->flows[number] = (struct flow){.tuple = *tuple};
	bucket = bucket_of(
		t, &tuple->client, tuple->client_port, &tuple->server, tuple->server_port);
	t->chain[number] = t->buckets[bucket];
	t->buckets[bucket] = number;
	append(t, number, list, now_us);
	return number;
}

void flow_remove(struct flow_table *t, uint32_t number, enum flow_list list)
{
	const struct tuple *tuple = &t->flows[number].tuple;
	uint32_t bucket = bucket_of(
		t, &tuple->client, tuple->client_port, &tuple->server, tuple->server_port);
	uint32_t *link = &t->buckets[bucket];

	while (*link != number)
		link = &t->chain[*link];
	*link = t->chain[number];
	unlink_from(t, number, list);
	t->chain[number] = t->free;
	t->free = number;
	t->used--;
}

void flow_move(struct flow_table *t, uint32_t number, enum flow_list from, enum flow_list to,
	uint64_t now_us)
{
	unlink_from(t, number, from);
	append(t, number, to, now_us);
}

uint32_t flow_oldest(const struct flow_table *t, enum flow_list list)
{
	return t->lists[list].head;
}

uint32_t flow_count(const struct flow_table *t, enum flow_list list)
{
	return t->lists[list].count;
}

uint32_t flow_used(const struct flow_table *t)
{
	return t->used;
}

uint32_t flow_age_ms(const struct flow *f, uint64_t now_us)
{
	return (uint32_t)(now_us / 1000) - f->since_ms;
}
