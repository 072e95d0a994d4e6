/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/calm.h"

#include <string.h>

/* Well before cookies begin. */
static uint32_t most_half_open(const struct policy *p, const struct policy_rule *r)
{
	const uint32_t limit = r->half_open ? r->half_open : p->half_open;
	const uint64_t most = (uint64_t)limit * r->syncookies_start / 200;

	return most < CALM_HALF_OPEN ? (uint32_t)most : CALM_HALF_OPEN;
}

/* Whether so much has been told of late that some was lost: then it is more than was counted. */
static bool has_missed(const struct engine_shared *shared, uint64_t now_us)
{
	const uint64_t missed = engine_shared_missed(shared);

	return missed && now_us - missed < CALM_AFTER_US;
}

uint32_t calm_unheard_of(const struct engine_shared *shared, uint64_t now_us)
{
	return has_missed(shared, now_us) ? CALM_HALF_OPEN : CALM_UNHEARD_OF;
}

static bool is_rough(
	const struct policy *p, const struct policy_rule *r, const struct engine_shared *shared)
{
	return engine_shared_is_backend_down(shared, r->slot) ||
	       engine_shared_cookies_on(shared, r->slot) ||
	       engine_shared_half_open(shared, r->slot) >= most_half_open(p, r);
}

bool calm_look(
	struct calm *c, const struct policy *p, const struct engine_shared *shared, uint64_t now_us)
{
	bool told[POLICY_RULES_MAX] = {false}, changed;
	const bool missed = has_missed(shared, now_us);

	for (const struct policy_rule *r = p->rules; r < p->rules + p->rule_count; r++) {
		if (!policy_may_pass(p, r))
			continue;
		if (missed || is_rough(p, r, shared))
			c->rough_us[r->slot] = now_us;
		told[r->slot] =
			!c->rough_us[r->slot] || now_us - c->rough_us[r->slot] >= CALM_AFTER_US;
	}
	changed = memcmp(told, c->told, sizeof(told)) != 0;
	memcpy(c->told, told, sizeof(told));
	return changed;
}
