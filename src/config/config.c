/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config.h"

#include "config/draft.h"

#include <string.h>

static void config_take_slots(bool taken[static POLICY_RULES_MAX], const struct policy *p)
{
	for (size_t i = 0; i < p->rule_count; i++)
		taken[p->rules[i].slot] = true;
}

static uint16_t config_slot_of(const struct policy *p, const char *name)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		if (strcmp(p->rules[i].name, name) == 0)
			return p->rules[i].slot;
	}
	return POLICY_NO_SLOT;
}

static uint16_t config_free_slot(const bool taken[static POLICY_RULES_MAX])
{
	uint16_t slot = 0;

	while (slot < POLICY_RULES_MAX && taken[slot])
		slot++;
	return slot;
}

/*
 * A name keeps its slot. A new name avoids the slots of rules that have just gone, since their
 * flows still carry them, for as long as there are others.
 */
static void config_give_slots(
	struct policy_rule *rules, size_t count, const struct policy *previous)
{
	bool before[POLICY_RULES_MAX] = {false}, now[POLICY_RULES_MAX] = {false};

	if (previous != NULL)
		config_take_slots(before, previous);
	for (size_t i = 0; i < count; i++) {
		rules[i].slot =
			previous != NULL ? config_slot_of(previous, rules[i].name) : POLICY_NO_SLOT;
		if (rules[i].slot != POLICY_NO_SLOT)
			now[rules[i].slot] = true;
	}
	for (size_t i = 0; i < count; i++) {
		if (rules[i].slot != POLICY_NO_SLOT)
			continue;
		rules[i].slot = config_free_slot(before);
		if (rules[i].slot == POLICY_RULES_MAX)
			rules[i].slot = config_free_slot(now);
		before[rules[i].slot] = now[rules[i].slot] = true;
	}
}

static uint32_t config_seconds(uint64_t us)
{
	return (uint32_t)((us + 999999) / 1000000);
}

void config_derive(struct config *c)
{
	c->policy.timeouts = (struct policy_timeouts){
		.syn_sent = config_seconds(c->timeouts.syn_sent_us),
		.syn_received = config_seconds(c->timeouts.syn_received_us),
		.established = config_seconds(c->timeouts.established_us),
		.fin_wait = config_seconds(c->timeouts.fin_wait_us),
		.close_wait = config_seconds(c->timeouts.close_wait_us),
		.last_ack = config_seconds(c->timeouts.last_ack_us),
		.time_wait = config_seconds(c->timeouts.time_wait_us),
		.closed = config_seconds(c->timeouts.closed_us),
	};
	c->policy.enforce = c->daemon.enforce;
	c->policy.adopt = c->netfilter.adopt;
	c->policy.adopt_window = config_seconds(c->netfilter.adopt_window_us);
	c->policy.source_prefix4 = c->limits.source_prefix4;
	c->policy.source_prefix6 = c->limits.source_prefix6;
	c->policy.half_open = c->limits.half_open;
	c->policy.cookie_rotation = config_seconds(c->cookies.rotation_us);
	c->policy.cookies_shared = c->cookies.secret_file[0] != '\0';
}

static const struct config_backend *config_backend_named(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->backend_count; i++) {
		if (strcmp(c->backends[i].name, name) == 0)
			return &c->backends[i];
	}
	return NULL;
}

static bool config_take_backends(struct config *c, const struct draft *d)
{
	struct config_backend *backends =
		arena_alloc(d->arena, d->backends.count, sizeof(*backends));

	if (backends == NULL)
		return false;
	for (size_t i = 0; i < d->backends.count; i++)
		backends[i] = d->backends.list[i]->backend;
	c->backends = backends;
	c->backend_count = d->backends.count;
	return true;
}

/* Needs the backends. */
static bool config_take_rules(
	struct config *c, const struct draft *d, const struct config *previous)
{
	size_t count = d->rules.count;
	struct policy_rule *rules = arena_alloc(d->arena, count, sizeof(*rules));
	struct config_splice *splices = arena_alloc(d->arena, count, sizeof(*splices));

	if (rules == NULL || splices == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		rules[i] = d->rules.list[i]->rule.rule;
		rules[i].enforce = rules[i].enforce && c->daemon.enforce;
		c->policy.by_interface |= rules[i].interface_count > 0;
		splices[i] = d->rules.list[i]->rule.splice;
		rules[i].listen = splices[i].listen;
		rules[i].listen_count = splices[i].listen_count;
		rules[i].local = rules[i].mode == MODE_SPLICE;
		if (splices[i].backend != NULL)
			splices[i].found = config_backend_named(c, splices[i].backend);
	}
	config_give_slots(rules, count, previous != NULL ? &previous->policy : NULL);
	c->policy.rules = rules;
	c->policy.rule_count = count;
	c->splices = splices;
	return true;
}

/* From a draft without faults. */
static struct config *config_finish(
	const struct draft *d, const char *file, const struct config *previous)
{
	struct config *c = d->config;

	c->file = arena_strdup(d->arena, file);
	if (c->file == NULL || !config_take_backends(c, d) || !config_take_rules(c, d, previous))
		return NULL;
	config_derive(c);
	c->storage = d->arena;
	return c;
}

struct config *config_parse(const struct config_source *sources, size_t count,
	const struct config *previous, struct config_errors *errors)
{
	struct faults faults = {.sources = sources};
	struct config *c = NULL;
	struct draft d;

	if (!draft_begin(&d, &faults))
		goto out;
	for (size_t i = 0; i < count; i++)
		draft_read(&d, (uint32_t)i);
	validate(&d);
	if (!faults_any(&faults))
		c = config_finish(&d, count > 0 ? sources[0].name : "", previous);
out:
	if (c == NULL) {
		faults.lost |= !faults_any(&faults);
		arena_free(d.arena);
	}
	faults_hand_over(&faults, errors);
	return c;
}

void config_free(struct config *c)
{
	if (c != NULL)
		arena_free(c->storage);
}
