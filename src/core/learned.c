/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A place is a handful of atomics, each right by itself. A reader that meets a place while it is
 * being taken over may see one server's options under another's name; the id is looked at before
 * and after, so that it sees nothing then. Who writes enters the place first; nobody waits: what
 * can't be written now is heard again with the next connection.
 */
#include "core/learned.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
	WAYS = 8,

	SHIFT_AT = 16, /* bits of packed options */
	WSCALE_AT = 24,
	SACK_AT = 26,
	TIMESTAMPS_AT = 28,
	ECN_AT = 30,
	TRAIT_MASK = 3,

	ROUTE_MASK = 3,
	ROUTE_WANTED = 4,
	ROUTE_TOLD = 8,
};

struct place {
	_Atomic uint64_t id; /* 0: free */
	_Atomic bool entered;
	_Atomic uint32_t options; /* packed */
	_Atomic uint32_t route;   /* enum learned_route, and whether it is wanted */
	_Atomic uint64_t addr[2];
	_Atomic uint64_t public_addr[2];
	_Atomic uint32_t ports; /* the server's, and the public one above it */
	_Atomic uint32_t since; /* when it was taken, in takings */
	_Atomic uint32_t met;   /* SYNs, not yet told */
};

struct learned {
	struct siphash_key key;
	uint32_t mask; /* of sets */
	_Atomic uint32_t takings;
	struct place places[];
};

struct learned *learned_new(uint32_t servers, const struct siphash_key *key)
{
	uint32_t sets = 1;
	struct learned *l;

	while (sets * (uint64_t)WAYS < servers && sets < 1u << 20)
		sets <<= 1;
	l = calloc(1, sizeof(*l) + (size_t)sets * WAYS * sizeof(struct place));
	if (!l)
		return NULL;
	l->key = *key;
	l->mask = sets - 1;
	return l;
}

void learned_free(struct learned *l)
{
	free(l);
}

static uint64_t id_of(const struct learned *l, const struct addr *addr, uint16_t port)
{
	struct {
		struct addr addr;
		uint64_t port;
	} key = {*addr, port};
	uint64_t id = siphash13(&key, sizeof(key), &l->key);

	return id ? id : 1;
}

/* Atomics of a const table are read all the same. */
static struct place *set_of(const struct learned *l, uint64_t id)
{
	return (struct place *)(uintptr_t)&l->places[(size_t)(id >> 32 & l->mask) * WAYS];
}

static struct place *find(const struct learned *l, uint64_t id)
{
	struct place *set = set_of(l, id);

	for (unsigned i = 0; i < WAYS; i++)
		if (atomic_load_explicit(&set[i].id, memory_order_acquire) == id)
			return &set[i];
	return NULL;
}

static void store_addr(_Atomic uint64_t to[2], const struct addr *a)
{
	uint64_t halves[2];

	memcpy(halves, a->b, sizeof(halves));
	atomic_store_explicit(&to[0], halves[0], memory_order_relaxed);
	atomic_store_explicit(&to[1], halves[1], memory_order_relaxed);
}

static struct addr load_addr(_Atomic uint64_t from[2])
{
	uint64_t halves[2] = {atomic_load_explicit(&from[0], memory_order_relaxed),
		atomic_load_explicit(&from[1], memory_order_relaxed)};
	struct addr a;

	memcpy(a.b, halves, sizeof(halves));
	return a;
}

static bool holds(const struct place *p, uint64_t id)
{
	return atomic_load_explicit(&p->id, memory_order_relaxed) == id;
}

static bool try_enter(struct place *p)
{
	return !atomic_exchange_explicit(&p->entered, true, memory_order_acquire);
}

static void leave(struct place *p)
{
	atomic_store_explicit(&p->entered, false, memory_order_release);
}

/* Entered; NULL if somebody else is in the place that is to be taken. */
static struct place *take(struct learned *l, uint64_t id, const struct addr *addr, uint16_t port)
{
	struct place *set = set_of(l, id);
	struct place *oldest = &set[0];
	uint32_t now = atomic_fetch_add_explicit(&l->takings, 1, memory_order_relaxed);

	for (unsigned i = 0; i < WAYS; i++) {
		if (atomic_load_explicit(&set[i].id, memory_order_relaxed) == 0) {
			oldest = &set[i];
			break;
		}
		if (now - atomic_load_explicit(&set[i].since, memory_order_relaxed) >
			now - atomic_load_explicit(&oldest->since, memory_order_relaxed))
			oldest = &set[i];
	}
	if (!try_enter(oldest))
		return NULL;
	if (holds(oldest, id))
		return oldest;
	atomic_store_explicit(&oldest->id, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&oldest->options, 0, memory_order_relaxed);
	atomic_store_explicit(&oldest->route, LEARNED_ROUTE_UNKNOWN, memory_order_relaxed);
	atomic_store_explicit(&oldest->ports, port, memory_order_relaxed);
	atomic_store_explicit(&oldest->since, now, memory_order_relaxed);
	atomic_store_explicit(&oldest->met, 0, memory_order_relaxed);
	store_addr(oldest->addr, addr);
	atomic_store_explicit(&oldest->id, id, memory_order_release);
	return oldest;
}

/* The server's place, for writing. NULL if it has none, or somebody else is there. */
static struct place *enter_known(struct learned *l, uint64_t id)
{
	struct place *p = find(l, id);

	if (!p || !try_enter(p))
		return NULL;
	if (holds(p, id))
		return p;
	leave(p);
	return NULL;
}

/* Likewise, or one taken over for it. */
static struct place *enter(struct learned *l, uint64_t id, const struct addr *addr, uint16_t port)
{
	return find(l, id) ? enter_known(l, id) : take(l, id, addr, port);
}

static uint32_t with_trait(uint32_t packed, unsigned at, bool asked, bool has)
{
	if (!asked)
		return packed;
	packed &= ~((uint32_t)TRAIT_MASK << at);
	return packed | (uint32_t)(has ? LEARNED_YES : LEARNED_NO) << at;
}

static uint32_t higher(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t heard(uint32_t known, unsigned asked, const struct segment *syn_ack)
{
	const struct tcp_options *o = &syn_ack->opt;
	uint32_t mss = o->mss ? o->mss : LEARNED_MSS_NONE;
	uint32_t packed = (known & ~(uint32_t)UINT16_MAX) | higher(known & UINT16_MAX, mss);

	packed = with_trait(packed, WSCALE_AT, asked & LEARNED_ASKED_WSCALE, o->has_wscale);
	packed = with_trait(packed, SACK_AT, asked & LEARNED_ASKED_SACK, o->sack_permitted);
	packed = with_trait(
		packed, TIMESTAMPS_AT, asked & LEARNED_ASKED_TIMESTAMPS, o->has_timestamp);
	packed = with_trait(packed, ECN_AT, asked & LEARNED_ASKED_ECN,
		(syn_ack->flags & (TCP_ECE | TCP_CWR)) == TCP_ECE);
	if (asked & LEARNED_ASKED_WSCALE && o->has_wscale)
		packed = (packed & ~(UINT32_C(0xff) << SHIFT_AT)) | (uint32_t)o->wscale << SHIFT_AT;
	return packed;
}

unsigned learned_asks(const struct segment *syn)
{
	return (syn->opt.has_wscale ? LEARNED_ASKED_WSCALE : 0u) |
	       (syn->opt.sack_permitted ? LEARNED_ASKED_SACK : 0u) |
	       (syn->opt.has_timestamp ? LEARNED_ASKED_TIMESTAMPS : 0u) |
	       ((syn->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR) ? LEARNED_ASKED_ECN : 0u);
}

bool learned_hear(struct learned *l, const struct segment *syn_ack, unsigned asked)
{
	uint64_t id = id_of(l, &syn_ack->src, syn_ack->src_port);
	struct place *p = find(l, id);
	uint32_t known = p ? atomic_load_explicit(&p->options, memory_order_relaxed) : 0;

	if (p && heard(known, asked, syn_ack) == known)
		return false;
	p = enter(l, id, &syn_ack->src, syn_ack->src_port);
	if (!p)
		return false;
	known = atomic_load_explicit(&p->options, memory_order_relaxed);
	atomic_store_explicit(&p->options, heard(known, asked, syn_ack), memory_order_relaxed);
	leave(p);
	return true;
}

static struct learned_options unpack(uint32_t packed)
{
	return (struct learned_options){
		.mss = (uint16_t)packed,
		.wscale_shift = (uint8_t)(packed >> SHIFT_AT),
		.wscale = (enum learned_trait)(packed >> WSCALE_AT & TRAIT_MASK),
		.sack = (enum learned_trait)(packed >> SACK_AT & TRAIT_MASK),
		.timestamps = (enum learned_trait)(packed >> TIMESTAMPS_AT & TRAIT_MASK),
		.ecn = (enum learned_trait)(packed >> ECN_AT & TRAIT_MASK),
	};
}

static bool read_place(struct place *p, uint64_t id, struct learned_server *out)
{
	/* What it stands for was stored before it. */
	uint32_t route = atomic_load_explicit(&p->route, memory_order_acquire);
	uint32_t ports = atomic_load_explicit(&p->ports, memory_order_relaxed);

	*out = (struct learned_server){
		.addr = load_addr(p->addr),
		.port = (uint16_t)ports,
		.options = unpack(atomic_load_explicit(&p->options, memory_order_relaxed)),
		.route = (enum learned_route)(route & ROUTE_MASK),
		.public_addr = load_addr(p->public_addr),
		.public_port = (uint16_t)(ports >> 16),
		.route_wanted = route & ROUTE_WANTED,
	};
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&p->id, memory_order_relaxed) == id;
}

bool learned_find(
	const struct learned *l, const struct addr *addr, uint16_t port, struct learned_server *out)
{
	uint64_t id = id_of(l, addr, port);
	struct place *p = find(l, id);

	return p && read_place(p, id, out);
}

bool learned_meet(
	struct learned *l, const struct addr *addr, uint16_t port, struct learned_server *out)
{
	uint64_t id = id_of(l, addr, port);
	struct place *p = find(l, id);

	if (!p)
		return false;
	atomic_fetch_add_explicit(&p->met, 1, memory_order_relaxed);
	return read_place(p, id, out);
}

static uint32_t pack(const struct learned_options *o)
{
	return o->mss | (uint32_t)o->wscale_shift << SHIFT_AT | (uint32_t)o->wscale << WSCALE_AT |
	       (uint32_t)o->sack << SACK_AT | (uint32_t)o->timestamps << TIMESTAMPS_AT |
	       (uint32_t)o->ecn << ECN_AT;
}

void learned_recall(struct learned *l, const struct learned_server *server)
{
	uint64_t id = id_of(l, &server->addr, server->port);
	struct place *p = enter(l, id, &server->addr, server->port);

	if (!p)
		return;
	atomic_store_explicit(&p->options, pack(&server->options), memory_order_relaxed);
	leave(p);
	if (server->route_wanted)
		learned_want_route(l, &server->addr, server->port);
	if (server->route == LEARNED_ROUTE_ONE)
		learned_route(
			l, &server->addr, server->port, &server->public_addr, server->public_port);
}

void learned_forget(struct learned *l, const struct addr *addr, uint16_t port)
{
	struct place *p = enter_known(l, id_of(l, addr, port));

	if (!p)
		return;
	atomic_store_explicit(&p->options, 0, memory_order_relaxed);
	leave(p);
}

/* True if it was not set before. */
static bool set_flag(struct learned *l, const struct addr *addr, uint16_t port, uint32_t flag)
{
	uint64_t id = id_of(l, addr, port);
	struct place *p = find(l, id);
	bool news;

	if (p && atomic_load_explicit(&p->route, memory_order_relaxed) & flag)
		return false;
	p = enter(l, id, addr, port);
	if (!p)
		return false;
	news = !(atomic_fetch_or(&p->route, flag) & flag);
	leave(p);
	return news;
}

bool learned_want_route(struct learned *l, const struct addr *addr, uint16_t port)
{
	return set_flag(l, addr, port, ROUTE_WANTED);
}

bool learned_tell_route(struct learned *l, const struct addr *addr, uint16_t port)
{
	return set_flag(l, addr, port, ROUTE_TOLD);
}

/* The flags stay. */
static void set_route(struct place *p, enum learned_route to)
{
	uint32_t route = atomic_load_explicit(&p->route, memory_order_relaxed);

	atomic_store_explicit(
		&p->route, to | (route & ~(uint32_t)ROUTE_MASK), memory_order_release);
}

static bool meet_route(
	struct place *p, uint16_t port, const struct addr *public_addr, uint16_t public_port)
{
	uint32_t route = atomic_load_explicit(&p->route, memory_order_relaxed);
	uint32_t ports = (uint32_t)public_port << 16 | port;
	struct addr known = load_addr(p->public_addr);

	switch (route & ROUTE_MASK) {
	case LEARNED_ROUTE_UNKNOWN:
		store_addr(p->public_addr, public_addr);
		atomic_store_explicit(&p->ports, ports, memory_order_relaxed);
		set_route(p, LEARNED_ROUTE_ONE);
		return true;
	case LEARNED_ROUTE_ONE:
		if (addr_equal(&known, public_addr) &&
			atomic_load_explicit(&p->ports, memory_order_relaxed) == ports)
			return false;
		set_route(p, LEARNED_ROUTE_MANY);
		return true;
	default:
		return false;
	}
}

bool learned_route(struct learned *l, const struct addr *addr, uint16_t port,
	const struct addr *public_addr, uint16_t public_port)
{
	struct place *p = enter(l, id_of(l, addr, port), addr, port);
	bool news;

	if (!p)
		return false;
	news = meet_route(p, port, public_addr, public_port);
	leave(p);
	return news;
}

void learned_each(const struct learned *l,
	void (*each)(void *arg, const struct learned_server *server), void *arg)
{
	struct learned_server server;

	for (size_t i = 0; i < ((size_t)l->mask + 1) * WAYS; i++) {
		struct place *p = (struct place *)(uintptr_t)&l->places[i];
		uint64_t id = atomic_load_explicit(&p->id, memory_order_acquire);

		if (id && read_place(p, id, &server))
			each(arg, &server);
	}
}

void learned_met(struct learned *l,
	void (*each)(void *arg, const struct learned_server *server, uint32_t times), void *arg)
{
	struct learned_server server;

	for (size_t i = 0; i < ((size_t)l->mask + 1) * WAYS; i++) {
		struct place *p = &l->places[i];
		uint64_t id = atomic_load_explicit(&p->id, memory_order_acquire);
		uint32_t times =
			id ? atomic_exchange_explicit(&p->met, 0, memory_order_relaxed) : 0;

		if (times && read_place(p, id, &server))
			each(arg, &server, times);
	}
}
