/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/draft.h"
#include "config/lists.h"
#include "core/engine.h"

#include <inttypes.h>
#include <string.h>

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
static void validate_cookies(const struct draft *d, const struct draft_named *r)
{
	const struct draft_key *start =
		&r->keys[option_index(option_find(SECTION_RULE, "syncookies_start"))];
	const struct draft_key *end =
		&r->keys[option_index(option_find(SECTION_RULE, "syncookies_end"))];
	const struct policy_rule *rule = &r->rule.rule;

	if (rule->syncookies_end < rule->syncookies_start)
		return;
	faults_add(d->faults, end->at.line != 0 ? end->at : start->at,
		"[rule %s] syncookies_end = %u%% is not below syncookies_start = %u%%; give a "
		"lower syncookies_end or a higher syncookies_start",
		rule->name, rule->syncookies_end, rule->syncookies_start);
}

/* The other way round, packets that we lead somewhere by one bit would seem admitted by the other.
 */
static void validate_marks(const struct draft *d)
{
	const struct draft_key *mark = validate_key(d, SECTION_NETFILTER, "mark");
	const struct draft_key *tproxy = validate_key(d, SECTION_NETFILTER, "tproxy_mark");
	const struct config *c = d->config;

	if (mark->faulty || tproxy->faulty || c->netfilter.mark != c->netfilter.tproxy_mark)
		return;
	faults_add(d->faults, tproxy->at.line != 0 ? tproxy->at : mark->at,
		"[netfilter] mark and tproxy_mark are both 0x%08" PRIx32 "; give each a bit of its "
		"own",
		c->netfilter.mark);
}

/* A client and a server of one connection are of one family. */
static void validate_families(const struct draft *d, const struct draft_named *r)
{
	if (splicing_takes_family(&r->rule, false) || splicing_takes_family(&r->rule, true))
		return;
	faults_add(d->faults, r->at,
		"[rule %s] can't match anything, since 'from' and '%s' have no family in common; "
		"give addresses of one family in both",
		r->name, r->rule.splice.listen_count > 0 ? "listen" : "to");
}

/* What a place to listen at matches, as addresses. */
static struct addr_range validate_listened(const struct endpoint *at)
{
	struct addr_range range = {.first = at->addr, .last = at->addr};

	if (endpoint_is_any(at))
		memset(range.last.b + (addr_is_v4(&at->addr) ? 12 : 0), 0xff,
			addr_is_v4(&at->addr) ? 4 : 16);
	return range;
}

/* Two rules that listen at one place are a fault of their own. */
static bool validate_covers_servers(const struct config_rule *a, const struct config_rule *b)
{
	const struct policy_rule *x = &a->rule, *y = &b->rule;

	if (a->splice.listen_count > 0)
		return false;
	for (size_t i = 0; i < b->splice.listen_count; i++) {
		const struct endpoint *at = &b->splice.listen[i];
		const struct port_range port = {at->port, at->port};
		const struct addr_range addrs = validate_listened(at);

		if (!list_ports_cover(x->port, x->port_count, &port, 1) ||
			!list_addrs_cover(x->to, x->to_count, &addrs, 1))
			return false;
	}
	return b->splice.listen_count > 0 ||
	       (list_ports_cover(x->port, x->port_count, y->port, y->port_count) &&
		       list_addrs_cover(x->to, x->to_count, y->to, y->to_count));
}

/* A splice rule takes local connections alone, any other one those of both kinds. */
static bool validate_covers(const struct config_rule *a, const struct config_rule *b)
{
	const struct policy_rule *x = &a->rule, *y = &b->rule;

	if (x->mode == MODE_SPLICE && y->mode != MODE_SPLICE)
		return false;
	return validate_covers_servers(a, b) &&
	       list_interfaces_cover(
		       x->interface, x->interface_count, y->interface, y->interface_count) &&
	       list_addrs_cover(x->from, x->from_count, y->from, y->from_count);
}

/* The first match decides: behind a rule that takes all it could match, a rule does nothing. */
static void validate_reach(const struct draft *d, size_t index)
{
	const struct draft_named *r = d->rules.list[index];

	for (size_t i = 0; i < index; i++) {
		const struct draft_named *earlier = d->rules.list[i];

		if (earlier->faulty || !validate_covers(&earlier->rule, &r->rule))
			continue;
		faults_add(d->faults, r->at,
			"[rule %s] is never reached, since [rule %s] in %s:%" PRIu32
			" matches all that it does; "
			"put it before that one, or remove it",
			r->name, earlier->name, d->faults->sources[earlier->at.source].name,
			earlier->at.line);
		return;
	}
}

void validate(const struct draft *d)
{
	validate_queues(d);
	validate_marks(d);
	for (size_t i = 0; i < d->rules.count; i++) {
		if (d->rules.list[i]->faulty)
			continue;
		validate_cookies(d, d->rules.list[i]);
		validate_families(d, d->rules.list[i]);
		validate_reach(d, i);
	}
	splicing_validate(d);
}
