/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/floods.h"

#include "daemon/cookies.h"
#include "daemon/log.h"

enum {
	WHY = 512,
	AGAIN_US = 1000000, /* well before the kernel forgets a server */
};

static bool workers_listen(const struct daemon *d)
{
	for (unsigned i = 0; i < d->worker_count; i++)
		if (!worker_hears_log(d->workers[i]))
			return false;
	return true;
}

void floods_open(struct daemon *d)
{
	struct flooded_plan plan = {
		.group = d->config->netfilter.queue, .workers = d->worker_count};
	char why[WHY];

	if (!d->ruleset || !workers_listen(d))
		return;
	plan.way = ruleset_way(d->ruleset);
	d->flooded = flooded_open(&plan, why, sizeof(why));
	if (!d->flooded)
		log_debug("SYNs are queued in floods, too: %s", why);
}

void floods_close(struct daemon *d)
{
	flooded_close(d->flooded);
}

void floods_apply(struct daemon *d, const struct config *c)
{
	char why[WHY];

	d->floods_listed = d->flooded && d->can_translate && cookies_wanted(&c->policy);
	if (!d->floods_listed)
		return;
	d->floods_listed = flooded_apply(d->flooded, why, sizeof(why)) == 0;
	if (!d->floods_listed)
		log_debug("SYNs are queued in floods, too: %s", why);
}

static void tell_kernel(struct daemon *d)
{
	struct flooded_server servers[FLOODS_MAX];
	const struct floods *f = &d->floods;
	char why[WHY];

	for (size_t i = 0; i < f->count; i++)
		servers[i] = (struct flooded_server){.addr = f->list[i].addr,
			.port = f->list[i].port,
			.worker = (unsigned)i,
			.spread = d->floods_spread};
	d->floods_told_us = worker_now();
	if (flooded_list(d->flooded, servers, f->count, why, sizeof(why)) == 0)
		return;
	log_debug("the kernel can't be told of floods: %s", why);
	/* Somebody may have taken the table away. */
	floods_apply(d, d->config);
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

void floods_tick(struct daemon *d)
{
	uint64_t now = worker_now();
	size_t were = d->floods.count;
	bool changed;

	if (!d->floods_listed || d->stopping || d->draining)
		return;
	changed = floods_look(&d->floods, &d->config->policy, d->shared, now);
	/* Others may have come to stand between these chains and the judging ones. */
	if (changed && were == 0)
		floods_apply(d, d->config);
	changed |= spread_floods(d);
	if (changed || (d->floods.count > 0 && now - d->floods_told_us > AGAIN_US))
		tell_kernel(d);
}

void floods_pause(struct daemon *d)
{
	if (d->floods.count == 0)
		return;
	d->floods.count = 0;
	tell_kernel(d);
}

void floods_stop(struct daemon *d)
{
	char why[WHY];

	if (d->flooded && flooded_remove(why, sizeof(why)) != 0)
		log_error("table inet ackgate_flooded could not be taken away: %s", why);
}
