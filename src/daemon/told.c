/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/told.h"

#include "daemon/cookies.h"
#include "daemon/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	WHY = 512,
	/* Well before the kernel forgets them. */
	SERVERS_AGAIN_US = 1000000,
	LISTENERS_AGAIN_US = 4000000,
	RETRY_US = 10000000, /* after the kernel, or want of descriptors, was against it */
};

static bool workers_listen(const struct daemon *d)
{
	for (unsigned i = 0; i < d->worker_count; i++)
		if (!worker_hears_log(d->workers[i]))
			return false;
	return true;
}

void told_open(struct daemon *d)
{
	struct unqueued_plan plan = {.group = d->config->netfilter.queue,
		.workers = d->worker_count,
		.mark = d->config->netfilter.mark};
	char why[WHY];

	if (!d->ruleset || !workers_listen(d) ||
		getrandom(&plan.seed, sizeof(plan.seed), 0) != (ssize_t)sizeof(plan.seed))
		return;
	plan.way = ruleset_way(d->ruleset);
	d->unqueued = unqueued_open(&plan, why, sizeof(why));
	if (!d->unqueued)
		log_debug("all SYNs are queued: %s", why);
}

void told_close(struct daemon *d)
{
	unqueued_close(d->unqueued);
}

bool told_of_listeners(const struct policy *p)
{
	for (size_t i = 0; i < p->rule_count; i++)
		if (policy_may_pass(p, &p->rules[i]))
			return true;
	return false;
}

struct tell {
	const bool *told;
	uint64_t now_us;
};

static void tell_engine(const struct worker_view *view, void *arg)
{
	const struct tell *t = arg;

	engine_tell(view->engine, t->told, t->now_us);
}

static void tell_engines(struct daemon *d, const bool *told)
{
	struct tell t = {told, worker_now()};
	const uint32_t unheard_of = calm_unheard_of(d->shared, t.now_us);

	for (size_t slot = 0; slot < POLICY_RULES_MAX; slot++) {
		const bool now = told && told[slot];

		if (d->engines_told[slot] && !now)
			engine_shared_unheard_of(d->shared, (uint16_t)slot, unheard_of);
		d->engines_told[slot] = now;
	}
	daemon_call_all(d, tell_engine, &t);
}

static void stop_telling(struct daemon *d)
{
	d->floods.count = 0;
	memset(d->calm.told, 0, sizeof(d->calm.told));
	tell_engines(d, NULL);
}

/* For a while. */
static void give_up(struct daemon *d)
{
	d->told_gave_up_us = worker_now();
	d->servers_listed = d->listeners_listed = false;
	stop_telling(d);
}

void told_apply(struct daemon *d, const struct config *c)
{
	char why[WHY];

	d->servers_listed = d->unqueued && d->can_translate && cookies_wanted(&c->policy);
	d->listeners_listed =
		d->unqueued && unqueued_tells(d->unqueued) && told_of_listeners(&c->policy);
	d->told_gave_up_us = 0;
	/* What is in the maps may be gone, if somebody has flushed them. */
	d->told_us = 0;
	if ((!d->servers_listed && !d->listeners_listed) ||
		unqueued_apply(
			d->unqueued, d->servers_listed, d->listeners_listed, why, sizeof(why)) == 0)
		return;
	log_debug("all SYNs are queued: %s", why);
	give_up(d);
}

static size_t collect_servers(const struct daemon *d, struct unqueued_server *servers)
{
	const struct floods *f = &d->floods;

	for (size_t i = 0; i < f->count; i++)
		servers[i] = (struct unqueued_server){.addr = f->list[i].addr,
			.port = f->list[i].port,
			.worker = (unsigned)i,
			.spread = d->floods_spread};
	return f->count;
}

/* NULL: none, or no memory. */
static struct endpoint *collect_listeners(const struct daemon *d, size_t *count)
{
	const struct policy *p = &d->config->policy;
	struct endpoint *list = NULL;

	*count = 0;
	for (const struct policy_rule *r = p->rules; r < p->rules + p->rule_count; r++) {
		struct endpoint *more;

		if (!d->calm.told[r->slot])
			continue;
		more = realloc(list, (*count + r->listen_count) * sizeof(*list));
		if (!more)
			break;
		list = more;
		memcpy(list + *count, r->listen, r->listen_count * sizeof(*list));
		*count += r->listen_count;
	}
	return list;
}

static bool list(struct daemon *d)
{
	struct unqueued_server servers[FLOODS_MAX];
	struct unqueued_lists lists = {
		.servers = servers, .server_count = collect_servers(d, servers)};
	struct endpoint *listeners = collect_listeners(d, &lists.listener_count);
	char why[WHY];
	bool ok;

	lists.listeners = listeners;
	d->told_us = worker_now();
	ok = unqueued_list(d->unqueued, &lists, why, sizeof(why)) == 0;
	free(listeners);
	if (!ok)
		log_debug("the kernel can't be told what need not be queued: %s", why);
	return ok;
}

static void tell_kernel(struct daemon *d)
{
	if (list(d))
		return;
	/* Somebody may have taken the table away. */
	told_apply(d, d->config);
	if ((d->servers_listed || d->listeners_listed) && !list(d))
		give_up(d);
}

/* Whether some worker has not kept up since the last look. */
static bool is_behind(struct daemon *d)
{
	uint64_t times = 0;

	for (unsigned i = 0; i < d->worker_count; i++)
		times += worker_times_behind(d->workers[i]);
	if (times == d->floods_behind)
		return false;
	d->floods_behind = times;
	return true;
}

/* Once spread, they stay so for as long as there are any. */
static bool spread_floods(struct daemon *d)
{
	bool behind = is_behind(d);
	bool spread = d->floods.count > 0 && (behind || d->floods_spread);

	if (spread == d->floods_spread)
		return false;
	d->floods_spread = spread;
	return true;
}

/* Whether there are other floods than before. */
static bool look_at_floods(struct daemon *d, uint64_t now)
{
	const size_t were = d->floods.count;
	bool changed = floods_look(&d->floods, &d->config->policy, d->shared, now);

	/* Others may have come to stand between these chains and the judging ones. */
	if (changed && were == 0)
		told_apply(d, d->config);
	return spread_floods(d) || changed;
}

static bool look_at_calm(struct daemon *d, uint64_t now)
{
	if (!calm_look(&d->calm, &d->config->policy, d->shared, now))
		return false;
	tell_engines(d, d->calm.told);
	return true;
}

static bool is_due(const struct daemon *d, uint64_t now)
{
	const uint64_t ago = now - d->told_us;

	return (d->floods.count > 0 && ago > SERVERS_AGAIN_US) ||
	       (d->listeners_listed && ago > LISTENERS_AGAIN_US);
}

void told_tick(struct daemon *d)
{
	uint64_t now = worker_now();
	bool changed = false;

	if (d->stopping || d->draining)
		return;
	if (d->told_gave_up_us && now - d->told_gave_up_us > RETRY_US)
		told_apply(d, d->config);
	if (d->servers_listed)
		changed = look_at_floods(d, now);
	if (d->listeners_listed)
		changed |= look_at_calm(d, now);
	if (changed || is_due(d, now))
		tell_kernel(d);
}

void told_pause(struct daemon *d)
{
	if (!d->servers_listed && !d->listeners_listed)
		return;
	stop_telling(d);
	tell_kernel(d);
}

void told_stop(struct daemon *d)
{
	char why[WHY];

	if (d->unqueued && unqueued_remove(why, sizeof(why)) != 0)
		log_error("table inet ackgate_unqueued could not be taken away: %s", why);
}
