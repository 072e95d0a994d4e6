/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The index is open addressing by cache lines: a line has room for fifteen flows' numbers, each
 * with as many bits of its hash as fit beside it, and a count of the flows that had to go on to
 * later lines. So a lookup costs one line of the index, and one flow if there is any; a flow that
 * is not there costs the line alone. The hash is keyed and the same for both directions.
 *
 * Memory that no flow has used yet is never touched: numbers are handed out upwards until the first
 * flows are freed.
 */
#include "core/flow.h"

#include <stdlib.h>

enum {
	LINE = 64, /* bytes of a cache line */
	PER_LINE = 15,
	FILL = 8, /* of them in use on average when the table is full */
};

struct line {
	uint32_t entry[PER_LINE]; /* tag and number; 0: free */
	uint32_t beyond;          /* flows of this line that are in later ones */
};

struct list {
	uint32_t head;
	uint32_t tail;
	uint32_t count;
};

struct flow_table {
	struct siphash_key key;
	uint32_t capacity;
	uint32_t number_mask; /* of an entry; the rest is tag */
	uint32_t line_mask;
	uint32_t fresh; /* the highest number ever handed out */
	uint32_t free;  /* head of the freed flows, linked by `next` */
	uint32_t used;
	struct list lists[FLOW_LISTS];
	struct flow *flows; /* [capacity + 1]; number 0 is never used */
	struct line *lines; /* [line_mask + 1] */
	/* Hashes just made that are likely wanted again: of the last lookup, and of the flow that
	 * will likely be removed next. */
	struct {
		struct tuple ends;
		uint64_t hash;
	} looked_up;
	struct {
		uint32_t number;
		uint64_t hash;
	} next_removed;
	void *flows_memory; /* what the two above are cut from, at the start of a cache line */
	void *lines_memory;
};

static void *first_line(void *memory)
{
	return (void *)(((uintptr_t)memory + LINE - 1) & ~(uintptr_t)(LINE - 1));
}

static size_t flows_size(const struct flow_table *t)
{
	return ((size_t)t->capacity + 1) * sizeof(struct flow);
}

static size_t lines_size(const struct flow_table *t)
{
	return ((size_t)t->line_mask + 1) * sizeof(struct line);
}

struct flow_table *flow_table_new(uint32_t capacity, const struct siphash_key *key)
{
	struct flow_table *t = calloc(1, sizeof(*t));
	uint32_t lines = 1;

	if (!t)
		return NULL;
	while (lines < capacity / FILL)
		lines <<= 1;
	t->key = *key;
	t->capacity = capacity;
	t->line_mask = lines - 1;
	while (t->number_mask < capacity)
		t->number_mask = t->number_mask << 1 | 1;
	t->flows_memory = calloc(1, flows_size(t) + LINE);
	t->lines_memory = calloc(1, lines_size(t) + LINE);
	if (t->flows_memory && t->lines_memory) {
		t->flows = first_line(t->flows_memory);
		t->lines = first_line(t->lines_memory);
		return t;
	}
	flow_table_free(t);
	return NULL;
}

void flow_table_free(struct flow_table *t)
{
	if (!t)
		return;
	free(t->flows_memory);
	free(t->lines_memory);
	free(t);
}

void flow_table_memory(const struct flow_table *t, void (*each)(void *start, size_t size))
{
	each(t->flows, flows_size(t));
	each(t->lines, lines_size(t));
}

struct flow *flow_at(struct flow_table *t, uint32_t number)
{
	return &t->flows[number];
}

static uint64_t ipv4_end(const struct addr *a, uint16_t port)
{
	uint32_t address;

	memcpy(&address, a->b + 12, sizeof(address));
	return (uint64_t)address << 16 | port;
}

/* Both ends in an order of their own, so that either direction gives the same bytes. */
static uint64_t hash_of(const struct flow_table *t, const struct addr *a, uint16_t a_port,
	const struct addr *b, uint16_t b_port)
{
	struct {
		struct addr low, high;
		uint16_t low_port, high_port;
	} key;
	int order;

	if (addr_is_v4(a)) {
		uint64_t x = ipv4_end(a, a_port), y = ipv4_end(b, b_port);
		uint64_t ends[2] = {x < y ? x : y, x < y ? y : x};

		return siphash13(ends, sizeof(ends), &t->key);
	}
	order = memcmp(a->b, b->b, sizeof(a->b));

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
	return siphash13(&key, sizeof(key), &t->key);
}

static uint64_t hash_of_flow(const struct flow_table *t, uint32_t number)
{
	const struct tuple *tuple = &t->flows[number].tuple;

	return hash_of(t, &tuple->client, tuple->client_port, &tuple->server, tuple->server_port);
}

static struct line *home_of(const struct flow_table *t, uint64_t hash)
{
	return &t->lines[hash & t->line_mask];
}

static struct line *line_after(const struct flow_table *t, const struct line *line)
{
	return &t->lines[(size_t)(line - t->lines + 1) & t->line_mask];
}

static uint32_t entry_of(const struct flow_table *t, uint64_t hash, uint32_t number)
{
	return ((uint32_t)(hash >> 32) & ~t->number_mask) | number;
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
	uint64_t hash = hash_of(t, src, src_port, dst, dst_port);
	uint32_t tag = entry_of(t, hash, 0);
	const struct line *line = home_of(t, hash);

	t->looked_up.ends = (struct tuple){*src, *dst, src_port, dst_port};
	t->looked_up.hash = hash;
	for (uint32_t walked = 0; walked <= t->line_mask; walked++) {
		for (unsigned i = 0; i < PER_LINE; i++) {
			uint32_t number = line->entry[i] & t->number_mask;
			const struct tuple *tuple = &t->flows[number].tuple;

			if ((line->entry[i] & ~t->number_mask) != tag || number == 0)
				continue;
			if (is_between(tuple, src, src_port, dst, dst_port)) {
				*side = HS_FROM_CLIENT;
				return number;
			}
			if (is_between(tuple, dst, dst_port, src, src_port)) {
				*side = HS_FROM_SERVER;
				return number;
			}
		}
		if (line->beyond == 0)
			return 0;
		line = line_after(t, line);
	}
	/* In a small table every line may have been full once. */
	return 0;
}

static void prefetch(const void *p)
{
#ifdef __GNUC__
	__builtin_prefetch(p);
#else
	(void)p;
#endif
}

uint64_t flow_expect(const struct flow_table *t, const struct tuple *ends)
{
	uint64_t hash =
		hash_of(t, &ends->client, ends->client_port, &ends->server, ends->server_port);

	prefetch(home_of(t, hash));
	return hash;
}

void flow_expect_next(const struct flow_table *t, uint64_t hash)
{
	const struct line *line = home_of(t, hash);
	uint32_t tag = entry_of(t, hash, 0);

	for (unsigned i = 0; i < PER_LINE; i++)
		if ((line->entry[i] & ~t->number_mask) == tag && line->entry[i] & t->number_mask)
			prefetch(&t->flows[line->entry[i] & t->number_mask]);
}

static uint32_t *place_of(struct line *line, uint32_t entry)
{
	for (unsigned i = 0; i < PER_LINE; i++)
		if (line->entry[i] == entry)
			return &line->entry[i];
	return NULL;
}

static void index_add(struct flow_table *t, uint64_t hash, uint32_t number)
{
	struct line *line = home_of(t, hash);
	uint32_t *place;

	/* More places than flows: there is a free one. */
	while (!(place = place_of(line, 0))) {
		line->beyond++;
		line = line_after(t, line);
	}
	*place = entry_of(t, hash, number);
}

static void index_remove(struct flow_table *t, uint64_t hash, uint32_t number)
{
	struct line *line = home_of(t, hash);
	uint32_t entry = entry_of(t, hash, number);
	uint32_t *place;

	while (!(place = place_of(line, entry))) {
		line->beyond--;
		line = line_after(t, line);
	}
	*place = 0;
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

/* A flow is opened when the lookup of its first packet has found none. */
static uint64_t hash_of_new(const struct flow_table *t, const struct tuple *tuple)
{
	if (memcmp(tuple, &t->looked_up.ends, sizeof(*tuple)) == 0)
		return t->looked_up.hash;
	return hash_of(t, &tuple->client, tuple->client_port, &tuple->server, tuple->server_port);
}

uint32_t flow_insert(
	struct flow_table *t, const struct tuple *tuple, enum flow_list list, uint64_t now_us)
{
	uint32_t number = t->free;

	if (number)
		t->free = t->flows[number].next;
	else if (t->fresh < t->capacity)
		number = ++t->fresh;
	else
		return 0;
	t->used++;
	t->flows[number] = (struct flow){.tuple = *tuple};
	index_add(t, hash_of_new(t, tuple), number);
	append(t, number, list, now_us);
	return number;
}

/* What leaves from the head of its list is likely followed by the next: its index, and the flow
 * behind it, are asked for. */
static void expect_removal(struct flow_table *t, uint32_t next)
{
	t->next_removed.number = next;
	if (!next)
		return;
	t->next_removed.hash = hash_of_flow(t, next);
	prefetch(home_of(t, t->next_removed.hash));
	prefetch(&t->flows[t->flows[next].next]);
}

void flow_remove(struct flow_table *t, uint32_t number, enum flow_list list)
{
	uint64_t hash =
		t->next_removed.number == number ? t->next_removed.hash : hash_of_flow(t, number);

	t->next_removed.number = 0;
	if (t->lists[list].head == number)
		expect_removal(t, t->flows[number].next);
	index_remove(t, hash, number);
	unlink_from(t, number, list);
	t->flows[number].next = t->free;
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
