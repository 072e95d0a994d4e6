/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/route.h"

#include <stdlib.h>
#include <string.h>

static void *copy_of(const void *list, size_t count, size_t size, bool *fine)
{
	void *copy = count ? malloc(count * size) : NULL;

	if (copy)
		memcpy(copy, list, count * size);
	else if (count)
		*fine = false;
	return copy;
}

static struct route_tally *tally_ref(struct route_tally *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

static struct route_tally *tally_new(void)
{
	struct route_tally *t = calloc(1, sizeof(*t));

	if (t)
		atomic_init(&t->refs, 1);
	return t;
}

static void tally_unref(struct route_tally *t)
{
	if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
		free(t);
}

struct route *route_new(const struct policy_rule *rule, const struct config_splice *set,
	struct backend *backend, const struct route *old)
{
	struct route *r = calloc(1, sizeof(*r));
	bool fine = true;

	if (!r)
		return NULL;
	atomic_init(&r->refs, 1);
	r->name = strdup(rule->name);
	r->slot = rule->slot;
	r->mss = rule->mss;
	r->fast_open = !rule->fastopen_strip;
	r->silent = rule->over_limit != OVER_LIMIT_REJECT;
	r->set = *set;
	r->set.backend = NULL;
	r->set.found = NULL;
	r->set.listen = copy_of(set->listen, set->listen_count, sizeof(*set->listen), &fine);
	r->set.sources = copy_of(set->sources, set->source_count, sizeof(*set->sources), &fine);
	r->set.trusted_proxies = copy_of(set->trusted_proxies, set->trusted_proxy_count,
		sizeof(*set->trusted_proxies), &fine);
	r->backend = backend;
	if (backend)
		backend_ref(backend);
	r->tally = old ? tally_ref(old->tally) : tally_new();
	if (fine && r->name && r->tally)
		return r;
	route_unref(r);
	return NULL;
}

struct route *route_ref(struct route *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

/* The lists were copied: the const is for those who read them. */
static void free_list(const void *list)
{
	free((void *)(uintptr_t)list);
}

void route_unref(struct route *r)
{
	if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(r->name);
	free_list(r->set.listen);
	free_list(r->set.sources);
	free_list(r->set.trusted_proxies);
	if (r->backend)
		backend_unref(r->backend);
	tally_unref(r->tally);
	free(r);
}

bool route_full(const struct route *r)
{
	return r->set.max_connections != 0 &&
	       atomic_load_explicit(&r->tally->open, memory_order_relaxed) >=
		       r->set.max_connections;
}
