/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/draft.h"
#include "config/lists.h"
#include "core/engine.h"

#include <inttypes.h>

static const struct draft_key *validate_key(
	const struct draft *d, enum section section, const char *key)
{
	return &d->keys[option_index(option_find(section, key))];
}

/* A queue of each worker for each lane, all numbers in 16 bits. */
static void validate_queues(const struct draft *d)
{
	const struct draft_key *queue = validate_key(d, SECTION_NETFILTER, "queue");
	const struct draft_key *workers = validate_key(d, SECTION_DAEMON, "workers");
	const struct config *c = d->config;
	uint32_t threads = c->daemon.workers != 0 ? c->daemon.workers : CONFIG_AUTO_WORKERS_MAX;
	uint32_t last = c->netfilter.queue + LANES * threads - 1;

	if (queue->faulty || workers->faulty || last <= UINT16_MAX)
		return;
	faults_add(d->faults, queue->at.line != 0 ? queue->at : workers->at,
		"[netfilter] queue = %u leaves no room for %d queues for each of %" PRIu32
		" workers; give at most %" PRIu32,
		c->netfilter.queue, LANES, threads, UINT16_MAX - LANES * threads + 1);
}

/* Cookies that end no lower than they start would start and end with every SYN. */
static void validate_cookies(const struct draft *d, const struct draft_rule *r)
{
	const struct draft_key *start =
		&r->keys[option_index(option_find(SECTION_RULE, "syncookies_start"))];
	const struct draft_key *end =
		&r->keys[option_index(option_find(SECTION_RULE, "syncookies_end"))];
	const struct policy_rule *rule = &r->rule;

	if (rule->syncookies_end < rule->syncookies_start)
		return;
	faults_add(d->faults, end->at.line != 0 ? end->at : start->at,
		"[rule %s] syncookies_end = %u%% is not below syncookies_start = %u%%; give a "
		"lower syncookies_end or a higher syncookies_start",
		rule->name, rule->syncookies_end, rule->syncookies_start);
}

static bool validate_has_family(const struct addr_range *list, size_t count, bool v4)
{
	for (size_t i = 0; i < count; i++) {
		if (addr_is_v4(&list[i].first) == v4)
			return true;
	}
	return count == 0;
}

/* A client and a server of one connection are of one family. */
static void validate_families(const struct draft *d, const struct draft_rule *r)
{
	const struct policy_rule *rule = &r->rule;

	for (int v4 = 0; v4 <= 1; v4++) {
		if (validate_has_family(rule->from, rule->from_count, v4) &&
			validate_has_family(rule->to, rule->to_count, v4))
			return;
	}
	faults_add(d->faults, r->at,
		"[rule %s] can't match anything, since 'from' and 'to' have no family in common; "
		"give addresses of one family in both",
		rule->name);
}

static bool validate_covers(const struct policy_rule *a, const struct policy_rule *b)
{
	return list_ports_cover(a->port, a->port_count, b->port, b->port_count) &&
	       list_interfaces_cover(
		       a->interface, a->interface_count, b->interface, b->interface_count) &&
	       list_addrs_cover(a->from, a->from_count, b->from, b->from_count) &&
	       list_addrs_cover(a->to, a->to_count, b->to, b->to_count);
}

/* The first match decides: behind a rule that takes all it could match, a rule does nothing. */
static void validate_reach(const struct draft *d, size_t index)
{
	const struct draft_rule *r = d->rules[index];

	for (size_t i = 0; i < index; i++) {
		const struct draft_rule *earlier = d->rules[i];

		if (earlier->faulty || !validate_covers(&earlier->rule, &r->rule))
			continue;
		faults_add(d->faults, r->at,
			"[rule %s] is never reached, since [rule %s] in %s:%" PRIu32
			" matches all that it does; "
			"put it before that one, or remove it",
			r->rule.name, earlier->rule.name,
			d->faults->sources[earlier->at.source].name, earlier->at.line);
		return;
	}
}

void validate(const struct draft *d)
{
	validate_queues(d);
	for (size_t i = 0; i < d->rule_count; i++) {
		if (d->rules[i]->faulty)
			continue;
		validate_cookies(d, d->rules[i]);
		validate_families(d, d->rules[i]);
		validate_reach(d, i);
	}
}
