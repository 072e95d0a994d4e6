/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the control socket's commands get to see and to do. */
#include "config.h"

#include "control/records.h"
#include "core/handshake.h"
#include "core/limiter.h"
#include "daemon/answers.h"
#include "daemon/blocks.h"
#include "daemon/cookies.h"
#include "daemon/daemon_state.h"
#include "daemon/log.h"
#include "daemon/splicing.h"
#include "daemon/told.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FAILURES_SHOWN = 200,
	SERVERS_SHOWN = 1000,
	DRAIN_LOOK_MS = 100
};

/* The shards' figures, summed, and the kernel's. */
struct sums {
	struct engine_counters counters;
	struct engine_gauges gauges;
	struct queue_stats queue;
	uint64_t log_lost;
	struct ruleset_counts kernel;
};

static void add_counters(struct engine_counters *sum, const struct engine_counters *c)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		sum->drops[i] += c->drops[i];
		sum->observed[i] += c->observed[i];
	}
	for (int i = 0; i < CAUSE_COUNT; i++)
		sum->failed[i] += c->failed[i];
	sum->started += c->started;
	sum->completed += c->completed;
	sum->evicted += c->evicted;
	sum->adopted += c->adopted;
	sum->cookies_sent += c->cookies_sent;
	sum->logged += c->logged;
	sum->logged_in_vain += c->logged_in_vain;
	sum->cookies_accepted += c->cookies_accepted;
	sum->cookies_refused += c->cookies_refused;
	for (size_t i = 0; i < POLICY_RULES_MAX; i++) {
		sum->rules[i].matched += c->rules[i].matched;
		sum->rules[i].admitted += c->rules[i].admitted;
		sum->rules[i].dropped += c->rules[i].dropped;
	}
}

static void add_shard(const struct worker_view *view, void *arg)
{
	struct sums *s = arg;
	struct engine_gauges g = engine_gauges(view->engine);

	add_counters(&s->counters, engine_counters(view->engine));
	s->gauges.syn_sent += g.syn_sent;
	s->gauges.syn_received += g.syn_received;
	s->gauges.opening += g.opening;
	s->gauges.established += g.established;
	s->gauges.closing += g.closing;
	s->log_lost += view->log_lost;
	for (int i = 0; i < LANES; i++) {
		s->queue.packets += view->queue[i].packets;
		s->queue.kernel_dropped += view->queue[i].kernel_dropped;
		s->queue.user_dropped += view->queue[i].user_dropped;
		s->queue.overruns += view->queue[i].overruns;
	}
}

static void fold_kernel(struct sums *s)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		s->counters.drops[i] += s->kernel.drops[i];
		s->counters.observed[i] += s->kernel.observed[i];
	}
	for (size_t i = 0; i < POLICY_RULES_MAX; i++)
		s->counters.rules[i].dropped += s->kernel.rule_drops[i];
}

static struct sums *sum_up(struct daemon *d)
{
	struct sums *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	daemon_call_all(d, add_shard, s);
	if (d->ruleset && ruleset_counts(d->ruleset, &s->kernel) != 0)
		memset(&s->kernel, 0, sizeof(s->kernel));
	lasting_counts(d->lasting, &s->kernel);
	fold_kernel(s);
	return s;
}

static void count_live(void *arg, const struct tuple *t, bool live)
{
	(void)t;
	*(uint32_t *)arg += live;
}

/* A dump of a large conntrack table takes its time: at most a twentieth of it goes there. */
static uint32_t marked(struct daemon *d)
{
	uint64_t now = worker_now();
	uint32_t n = 0;

	if (d->marked_us && now - d->marked_us < 20 * d->marked_took_us)
		return d->marked;
	if (conntrack_dump(d->conntrack, count_live, &n) >= 0)
		d->marked = n;
	d->marked_us = worker_now();
	d->marked_took_us = d->marked_us - now;
	return d->marked;
}

static uint32_t offloaded(struct daemon *d, const struct engine_gauges *g)
{
	uint32_t n = marked(d);

	return n > g->established ? n - g->established : 0;
}

/* Given to every SYN that may have one, now. */
static bool cookies_active(const struct daemon *d, const struct policy_rule *rule)
{
	return d->can_translate && policy_gives_cookies(rule) &&
	       (rule->syncookies == SYNCOOKIES_ALWAYS ||
		       engine_shared_cookies_on(d->shared, rule->slot));
}

static struct status_rule *rules_of(const struct daemon *d, const struct sums *s)
{
	const struct policy *p = &d->config->policy;
	struct status_rule *list = calloc(p->rule_count + 1, sizeof(*list));

	for (size_t i = 0; list && i < p->rule_count; i++) {
		const struct engine_rule_counters *c = &s->counters.rules[p->rules[i].slot];

		list[i] = (struct status_rule){
			.rule = &p->rules[i],
			.matched = c->matched,
			.admitted = c->admitted,
			.dropped = c->dropped,
			.half_open = engine_shared_half_open(d->shared, p->rules[i].slot),
			.cookies_active = cookies_active(d, &p->rules[i]),
		};
	}
	return list;
}

static const char *manage_word(const struct daemon *d)
{
	if (!d->ruleset)
		return "none";
	return ruleset_way(d->ruleset) == RULESET_NFTABLES ? "nftables" : "iptables";
}

static uint32_t confirm_left_s(const struct daemon *d)
{
	struct timeval at, now;

	if (!d->unconfirmed_old || !event_pending(d->confirm_timer, EV_TIMEOUT, &at))
		return 0;
	evutil_gettimeofday(&now, NULL);
	return at.tv_sec > now.tv_sec ? (uint32_t)(at.tv_sec - now.tv_sec) : 1;
}

static void count_block(void *arg, const struct addr_range *range, uint32_t left_s)
{
	(void)range;
	(void)left_s;
	++*(uint32_t *)arg;
}

static uint32_t count_blocks(struct daemon *d)
{
	uint32_t n = 0;

	lasting_blocks(d->lasting, count_block, &n);
	return n;
}

static void fill_status(struct daemon *d, const struct sums *s, struct status *out)
{
	*out = (struct status){
		.version = PACKAGE_VERSION,
		.uptime_s = (worker_now() - d->started_us) / 1000000,
		.enforce = d->config->daemon.enforce,
		.draining = d->draining,
		.confirm_left_s = confirm_left_s(d),
		.manage = manage_word(d),
		.workers = d->worker_count,
		.config = {d->options->file, d->loaded_at, d->generation, d->last_error},
		.queue = {s->queue.packets, s->queue.kernel_dropped, s->queue.user_dropped,
			s->queue.overruns},
		.flows = s->gauges,
		.handshakes = {.started = s->counters.started,
			.completed = s->counters.completed,
			.evicted = s->counters.evicted,
			.adopted = s->counters.adopted},
		.cookies = {.sent = s->counters.cookies_sent,
			.accepted = s->counters.cookies_accepted,
			.refused = s->counters.cookies_refused,
			.logged = s->counters.logged,
			.logged_in_vain = s->counters.logged_in_vain,
			.log_lost = s->log_lost},
		.sources = {.tracked = limiter_tracked(engine_shared_limiter(d->shared)),
			.blocked = count_blocks(d)},
		.untracked = s->kernel.untracked,
		.notes = (const char *const *)d->notes,
		.note_count = d->note_count,
	};
	out->flows.offloaded = offloaded(d, &s->gauges);
	splicing_status(d, out);
	memcpy(out->handshakes.failed, s->counters.failed, sizeof(out->handshakes.failed));
	memcpy(out->drops, s->counters.drops, sizeof(out->drops));
	memcpy(out->observed, s->counters.observed, sizeof(out->observed));
}

static json_t *answer_status(void *arg)
{
	struct daemon *d = arg;
	struct sums *s = sum_up(d);
	struct status_rule *rules = s ? rules_of(d, s) : NULL;
	struct status status;
	json_t *json = NULL;

	if (rules) {
		fill_status(d, s, &status);
		status.rules = rules;
		status.rule_count = d->config->policy.rule_count;
		for (size_t i = 0; i < status.rule_count; i++)
			status.cookies.active |= rules[i].cookies_active;
		json = status_json(&status);
	}
	free(rules);
	free(s);
	return json;
}

static void log_json(const char *name, json_t *value)
{
	char line[1024];
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		return;
	snprintf(line, sizeof(line), "status: %s %s", name, text);
	log_text(LOG_LEVEL_NOTICE, line);
	free(text);
}

/* Sections and rules a line each. */
void answers_log_status(struct daemon *d)
{
	json_t *status = answer_status(d);
	const char *key;
	json_t *value, *rule;
	size_t i;

	json_object_foreach(status, key, value) if (strcmp(key, "rules") != 0) log_json(key, value);
	json_array_foreach(json_object_get(status, "rules"), i, rule) log_json("rule", rule);
	json_decref(status);
}

/* Servers that something is known of, each under the first rule that it falls under. */
struct learned_list {
	const struct policy *policy;
	struct learned_server *servers;
	uint16_t *slots;
	size_t count, room;
};

static void take_server(void *arg, const struct learned_server *server)
{
	struct learned_list *list = arg;
	const struct policy *p = list->policy;

	for (size_t i = 0; i < p->rule_count && list->count < list->room; i++) {
		if (!policy_gives_cookies(&p->rules[i]) ||
			!policy_serves(&p->rules[i], &server->addr, server->port))
			continue;
		list->servers[list->count] = *server;
		list->slots[list->count++] = p->rules[i].slot;
		return;
	}
}

static json_t *rule_with_servers(
	struct status_rule *rule, const struct learned_list *all, struct learned_server *own)
{
	size_t count = 0;

	for (size_t i = 0; i < all->count; i++)
		if (all->slots[i] == rule->rule->slot)
			own[count++] = all->servers[i];
	rule->learned = own;
	rule->learned_count = count;
	return records_rule(rule);
}

static json_t *answer_rules(void *arg)
{
	struct daemon *d = arg;
	struct sums *s = sum_up(d);
	struct status_rule *rules = s ? rules_of(d, s) : NULL;
	struct learned_list all = {.policy = &d->config->policy, .room = SERVERS_SHOWN};
	struct learned_server *own = calloc(all.room, sizeof(*own));
	json_t *list = json_array();

	all.servers = calloc(all.room, sizeof(*all.servers));
	all.slots = calloc(all.room, sizeof(*all.slots));
	if (own && all.servers && all.slots)
		learned_each(engine_shared_learned(d->shared), take_server, &all);
	for (size_t i = 0; rules && own && i < d->config->policy.rule_count; i++)
		json_array_append_new(list, rule_with_servers(&rules[i], &all, own));
	free(own);
	free(all.servers);
	free(all.slots);
	free(rules);
	free(s);
	return json_pack("{s:o}", "rules", list);
}

struct failures {
	struct failure list[DAEMON_WORKERS_MAX * FAILURES_SHOWN];
	size_t count;
};

static void add_failures(const struct worker_view *view, void *arg)
{
	struct failures *all = arg;
	uint64_t n = view->failure_count < FAILURES_SHOWN ? view->failure_count : FAILURES_SHOWN;

	for (uint64_t i = 0; i < n; i++)
		all->list[all->count++] =
			view->failures[(view->failure_count - 1 - i) % WORKER_FAILURES];
}

static int newest_first(const void *a, const void *b)
{
	int64_t x = ((const struct failure *)a)->at_us;
	int64_t y = ((const struct failure *)b)->at_us;

	return (x < y) - (x > y);
}

static const char *name_of_slot(const struct daemon *d, uint16_t slot)
{
	const struct policy_rule *rule = policy_rule_by_slot(&d->config->policy, slot);

	return rule ? rule->name : NULL;
}

static json_t *answer_failures(void *arg)
{
	struct daemon *d = arg;
	struct failures *all = malloc(sizeof(*all));
	json_t *list = json_array();

	if (!all) {
		json_decref(list);
		return NULL;
	}
	all->count = 0;
	daemon_call_all(d, add_failures, all);
	qsort(all->list, all->count, sizeof(*all->list), newest_first);
	for (size_t i = 0; i < all->count && i < FAILURES_SHOWN; i++)
		json_array_append_new(list,
			records_failure(&all->list[i], name_of_slot(d, all->list[i].report.slot)));
	free(all);
	return json_pack("{s:o}", "failures", list);
}

static const struct config *answer_config(void *arg)
{
	return ((struct daemon *)arg)->config;
}

static bool answer_reload(void *arg, uint64_t confirm_us, char **message)
{
	return reload_now(arg, confirm_us, message);
}

static bool answer_confirm(void *arg, char **message)
{
	return reload_confirm(arg, message);
}

struct source_walk {
	struct daemon *d;
	struct records_sources records;
};

/* A source is a prefix of the configured width; wrong guesses at cookies are none for people. */
static void add_source(void *arg, const struct limiter_source *source)
{
	struct source_walk *walk = arg;
	const struct policy *p = &walk->d->config->policy;
	unsigned bits = addr_is_v4(&source->source) ? p->source_prefix4 + 96u : p->source_prefix6;
	struct records_source record = {.source = {source->source, source->source},
		.rule = name_of_slot(walk->d, source->slot),
		.connections = source->connections,
		.half_open = source->half_open};

	if (source->slot >= POLICY_RULES_MAX)
		return;
	for (unsigned i = bits; i < 128; i++)
		record.source.last.b[i / 8] |= (uint8_t)(0x80u >> i % 8);
	records_sources_add(&walk->records, &record);
}

static void add_block(void *arg, const struct addr_range *range, uint32_t left_s)
{
	struct source_walk *walk = arg;

	records_sources_add_block(&walk->records, range, left_s);
}

static json_t *answer_sources(void *arg)
{
	struct source_walk *walk = calloc(1, sizeof(*walk));
	json_t *result;

	if (!walk)
		return NULL;
	walk->d = arg;
	records_sources_start(&walk->records);
	limiter_each(engine_shared_limiter(walk->d->shared), add_source, walk);
	lasting_blocks(walk->d->lasting, add_block, walk);
	result = records_sources_end(&walk->records);
	free(walk);
	return result;
}

static bool answer_block(void *arg, const struct addr_range *range, uint64_t for_us, char **message)
{
	return blocks_add(arg, range, (uint32_t)((for_us + 999999) / 1000000), message);
}

static bool answer_unblock(void *arg, const struct addr_range *range, char **message)
{
	return blocks_remove(arg, range, message);
}

static void begin_drain(const struct worker_view *view, void *arg)
{
	engine_drain(view->engine, *(enum engine_drain *)arg);
}

static void add_half_open(const struct worker_view *view, void *arg)
{
	struct engine_gauges g = engine_gauges(view->engine);

	*(uint32_t *)arg += g.syn_sent + g.syn_received + g.opening;
}

static void on_drain_timer(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	uint32_t left = 0;

	(void)fd;
	(void)what;
	daemon_call_all(d, add_half_open, &left);
	if ((left > 0 || cookies_under_way(d) || !splicing_idle(d)) &&
		(d->drain_until_us == 0 || worker_now() < d->drain_until_us))
		return;
	log_notice("drained, %u handshakes left unfinished", left);
	daemon_stop(d);
}

static bool answer_drain(void *arg, uint64_t timeout_us, char **message)
{
	struct daemon *d = arg;
	enum engine_drain how = d->config->netfilter.fail_open ? DRAIN_OPEN : DRAIN_CLOSED;
	struct timeval every = {.tv_usec = DRAIN_LOOK_MS * 1000};

	if (!d->drain_timer)
		d->drain_timer = event_new(d->base, -1, EV_PERSIST, on_drain_timer, d);
	if (!d->drain_timer || event_add(d->drain_timer, &every) != 0) {
		*message = strdup("no memory for a timer");
		return false;
	}
	d->draining = true;
	told_pause(d);
	d->drain_until_us = timeout_us ? worker_now() + timeout_us : 0;
	daemon_call_all(d, begin_drain, &how);
	splicing_rest(d);
	*message = strdup(how == DRAIN_OPEN ? "draining: handshakes under way go on, new ones pass "
					      "unjudged, then it stops"
					    : "draining: handshakes under way go on, new ones are "
					      "dropped, then it stops");
	log_notice("%s", *message ? *message : "draining");
	return true;
}

const struct control_ops answers_ops = {
	.status = answer_status,
	.flows = answers_flows,
	.flows_kill = answers_flows_kill,
	.failures = answer_failures,
	.rules = answer_rules,
	.config = answer_config,
	.reload = answer_reload,
	.confirm = answer_confirm,
	.sources = answer_sources,
	.block = answer_block,
	.unblock = answer_unblock,
	.backends = answers_backends,
	.administer = answers_administer,
	.drain = answer_drain,
};
