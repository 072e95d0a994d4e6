/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When adaptive cookies begin and end. They begin as soon as half-open handshakes reach the rule's
 * start share of its limit. From then on no new ones come into the table, whatever comes in, so its
 * fill alone would say too soon that all is well: cookies that nobody answered within a window or
 * two are counted as well, for each would have been a half-open handshake.
 *
 * What was sent is summed up by each engine, and told to the others in a round of its own, so that
 * a SYN costs nothing shared.
 */
#include "core/engine_state.h"

enum {
	WINDOW_US = 2000000
};

uint32_t engine_half_open_limit(const struct engine *e, const struct policy_rule *rule)
{
	return rule->half_open ? rule->half_open : e->policy->half_open;
}

static uint32_t share(uint32_t limit, uint8_t percent)
{
	uint64_t of = (uint64_t)limit * percent / 100;

	return of > 0 ? (uint32_t)of : 1;
}

static struct effect *notice(
	struct effects *out, enum notice_kind kind, uint16_t slot, uint32_t half_open)
{
	struct effect *effect = engine_effect(out, EFFECT_NOTICE);

	effect->notice = (struct notice){.kind = kind, .slot = slot, .half_open = half_open};
	return effect;
}

bool engine_wants_cookie(struct engine *e, const struct policy_rule *rule, struct effects *out)
{
	struct engine_shared *s = e->shared;
	uint32_t half_open;

	if (rule->syncookies != SYNCOOKIES_ADAPTIVE)
		return rule->syncookies == SYNCOOKIES_ALWAYS;
	if (atomic_load_explicit(&s->cookies_on[rule->slot], memory_order_relaxed))
		return true;
	half_open = engine_shared_half_open(s, rule->slot);
	if (!e->can_translate || !policy_gives_cookies(rule) ||
		half_open < share(engine_half_open_limit(e, rule), rule->syncookies_start))
		return false;
	if (!atomic_exchange(&s->cookies_on[rule->slot], true))
		notice(out, NOTICE_COOKIES_ON, rule->slot, half_open);
	return true;
}

/* One less, if there is one. */
static bool count_down(_Atomic uint32_t *count)
{
	uint32_t n = atomic_load_explicit(count, memory_order_relaxed);

	do {
		if (n == 0)
			return false;
	} while (!atomic_compare_exchange_weak(count, &n, n - 1));
	return true;
}

void engine_answered(struct engine *e, uint16_t slot)
{
	unsigned now = atomic_load_explicit(&e->shared->windows, memory_order_relaxed) & 1;

	if (e->sent[slot])
		e->sent[slot]--;
	else if (!count_down(&e->shared->unanswered[now][slot]))
		count_down(&e->shared->unanswered[!now][slot]);
}

/* A new window begins: the one before the last is forgotten. One engine does it for all. */
static void turn_window(struct engine_shared *s, uint64_t now_us)
{
	uint64_t began = atomic_load_explicit(&s->window_us, memory_order_relaxed);
	unsigned next;

	/* Another worker's clock may be a batch ahead. */
	if (now_us < began + WINDOW_US ||
		!atomic_compare_exchange_strong(&s->window_us, &began, now_us))
		return;
	next = (atomic_load_explicit(&s->windows, memory_order_relaxed) + 1) & 1;
	/* Those of removed rules too: others will have their slots. */
	for (size_t slot = 0; slot < POLICY_RULES_MAX; slot++)
		atomic_store_explicit(&s->unanswered[next][slot], 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->windows, 1, memory_order_relaxed);
}

static void tell_sent(struct engine *e, uint16_t slot, uint64_t now_us)
{
	struct engine_shared *s = e->shared;
	unsigned now = atomic_load_explicit(&s->windows, memory_order_relaxed) & 1;

	if (!e->sent[slot])
		return;
	atomic_fetch_add_explicit(&s->unanswered[now][slot], e->sent[slot], memory_order_relaxed);
	atomic_store_explicit(&s->cookie_sent_us[slot], now_us, memory_order_relaxed);
	e->sent[slot] = 0;
}

/* All that would be half-open without cookies. */
static uint64_t load_of(const struct engine_shared *s, uint16_t slot)
{
	return (uint64_t)engine_shared_half_open(s, slot) +
	       atomic_load_explicit(&s->unanswered[0][slot], memory_order_relaxed) +
	       atomic_load_explicit(&s->unanswered[1][slot], memory_order_relaxed);
}

static void consider_end(struct engine *e, const struct policy_rule *rule, struct effects *out)
{
	_Atomic bool *on = &e->shared->cookies_on[rule->slot];
	bool wanted = policy_gives_cookies(rule) && rule->syncookies == SYNCOOKIES_ADAPTIVE &&
		      e->can_translate;

	if (!atomic_load_explicit(on, memory_order_relaxed))
		return;
	if (wanted && load_of(e->shared, rule->slot) >
			      share(engine_half_open_limit(e, rule), rule->syncookies_end))
		return;
	if (atomic_exchange(on, false))
		notice(out, NOTICE_COOKIES_OFF, rule->slot,
			engine_shared_half_open(e->shared, rule->slot));
}

bool engine_pressure(struct engine *e, uint64_t now_us, struct effects *out)
{
	turn_window(e->shared, now_us);
	for (size_t i = 0; i < e->policy->rule_count; i++) {
		const struct policy_rule *rule = &e->policy->rules[i];

		if (out->count == ENGINE_EFFECTS)
			return true;
		tell_sent(e, rule->slot, now_us);
		consider_end(e, rule, out);
	}
	return false;
}
