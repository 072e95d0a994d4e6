/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/floods.h"

bool floods_all_answered(const struct policy *p, const struct engine_shared *shared,
	const struct learned_server *server)
{
	const struct learned_options *o = &server->options;
	const struct policy_rule *r = policy_judging_all(p, &server->addr, server->port);

	/* ECN need not be known: few ask for it, and it can be left out. */
	return r && policy_gives_cookies(r) &&
	       (r->syncookies == SYNCOOKIES_ALWAYS || engine_shared_cookies_on(shared, r->slot)) &&
	       o->mss && o->wscale != LEARNED_UNKNOWN && o->sack != LEARNED_UNKNOWN &&
	       o->timestamps != LEARNED_UNKNOWN;
}

static struct flood *find(struct floods *f, const struct learned_server *s)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->list[i].port == s->port && addr_equal(&f->list[i].addr, &s->addr))
			return &f->list[i];
	return NULL;
}

struct look {
	struct floods *floods;
	const struct policy *policy;
	const struct engine_shared *shared;
	uint64_t now_us;
	bool changed;
};

static uint64_t per_second(const struct look *l, uint32_t times)
{
	uint64_t took_us = l->now_us - l->floods->looked_us;

	return times * UINT64_C(1000000) / (took_us ? took_us : 1);
}

static void see(void *arg, const struct learned_server *server, uint32_t times)
{
	struct look *l = arg;
	struct floods *f = l->floods;
	struct flood *flood = find(f, server);
	uint64_t rate = per_second(l, times);

	if (flood) {
		if (rate >= FLOODS_END_PER_S)
			flood->high_us = l->now_us;
	} else if (rate >= FLOODS_BEGIN_PER_S && f->count < FLOODS_MAX &&
		   floods_all_answered(l->policy, l->shared, server)) {
		f->list[f->count++] = (struct flood){
			.addr = server->addr, .port = server->port, .high_us = l->now_us};
		l->changed = true;
	}
}

static bool is_over(const struct look *l, const struct flood *flood, struct learned *learned)
{
	struct learned_server server;

	return l->now_us - flood->high_us > FLOODS_LAST_US ||
	       !learned_find(learned, &flood->addr, flood->port, &server) ||
	       !floods_all_answered(l->policy, l->shared, &server);
}

bool floods_look(
	struct floods *f, const struct policy *p, struct engine_shared *shared, uint64_t now_us)
{
	struct look l = {.floods = f, .policy = p, .shared = shared, .now_us = now_us};
	struct learned *learned = engine_shared_learned(shared);
	size_t kept = 0, were;

	learned_met(learned, see, &l);
	f->looked_us = now_us;
	were = f->count;
	for (size_t i = 0; i < were; i++)
		if (!is_over(&l, &f->list[i], learned))
			f->list[kept++] = f->list[i];
	f->count = kept;
	return l.changed || kept < were;
}
