/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the shards of one daemon share. */
#include "core/engine_state.h"

#include <stdlib.h>

/* Servers whose answers are remembered. */
enum {
	SERVERS = 4096
};

struct engine_shared *engine_shared_new(uint32_t sources, const struct siphash_key *key)
{
	struct engine_shared *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->limiter = limiter_new(sources, key);
	s->learned = learned_new(SERVERS, key);
	if (s->limiter && s->learned)
		return s;
	engine_shared_free(s);
	return NULL;
}

void engine_shared_free(struct engine_shared *s)
{
	if (!s)
		return;
	limiter_free(s->limiter);
	learned_free(s->learned);
	free(s);
}

uint32_t engine_shared_half_open(const struct engine_shared *s, uint16_t slot)
{
	return atomic_load_explicit(&s->half_open[slot], memory_order_relaxed);
}

void engine_shared_unheard_of(struct engine_shared *s, uint16_t slot, uint32_t handshakes)
{
	atomic_store_explicit(&s->unfollowed[slot], handshakes, memory_order_relaxed);
}

uint64_t engine_shared_missed(const struct engine_shared *s)
{
	return atomic_load_explicit(&s->missed_us, memory_order_relaxed);
}

void engine_shared_backend_down(struct engine_shared *s, uint16_t slot, bool down)
{
	atomic_store_explicit(&s->backend_down[slot], down, memory_order_relaxed);
}

bool engine_shared_is_backend_down(const struct engine_shared *s, uint16_t slot)
{
	return atomic_load_explicit(&s->backend_down[slot], memory_order_relaxed);
}

struct learned *engine_shared_learned(struct engine_shared *s)
{
	return s->learned;
}

struct limiter *engine_shared_limiter(struct engine_shared *s)
{
	return s->limiter;
}

bool engine_shared_cookies_on(const struct engine_shared *s, uint16_t slot)
{
	return atomic_load_explicit(&s->cookies_on[slot], memory_order_relaxed);
}

uint64_t engine_shared_cookie_sent(const struct engine_shared *s, uint16_t slot)
{
	return atomic_load_explicit(&s->cookie_sent_us[slot], memory_order_relaxed);
}
