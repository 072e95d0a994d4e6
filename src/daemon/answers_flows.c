/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flows shown and killed. */
#include "config.h"

#include "control/records.h"
#include "core/handshake.h"
#include "daemon/answers.h"
#include "daemon/daemon_state.h"
#include "daemon/log.h"
#include "kernel/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Flows of the engines, then the connections that the kernel carries on. */
struct flow_walk {
	struct daemon *d;
	const struct filter *filter;
	const struct addr_range *clients; /* of take_client */
	size_t client_count;
	void (*take)(struct flow_walk *walk, const struct engine_flow_info *flow, const char *rule);
	struct engine *engine;
	struct records_flows records;
	struct tuple *tuples; /* to be killed */
	size_t count, room;
};

static bool walk_flow(const struct engine_flow_info *flow, void *arg)
{
	struct flow_walk *walk = arg;
	const char *rule = engine_rule_name(walk->engine, flow->slot);

	if (!flow->offloaded && filter_match(walk->filter, flow, rule))
		walk->take(walk, flow, rule);
	return true;
}

static void walk_shard(const struct worker_view *view, void *arg)
{
	struct flow_walk *walk = arg;

	walk->engine = view->engine;
	engine_flows(view->engine, view->now_us, walk_flow, walk);
}

static void walk_marked(void *arg, const struct tuple *t, bool live)
{
	struct flow_walk *walk = arg;
	const struct policy_rule *rule = policy_match(&walk->d->config->policy, &t->client,
		&t->server, t->server_port, NULL, POLICY_ANYWHERE);
	struct engine_flow_info flow = {
		.tuple = *t,
		.slot = rule ? rule->slot : POLICY_NO_SLOT,
		.client_state = hs_end_state(HS_OFFLOADED, HS_FROM_CLIENT),
		.server_state = hs_end_state(HS_OFFLOADED, HS_FROM_SERVER),
		.flow_state = hs_flow_word(HS_OFFLOADED),
		.offloaded = true,
	};

	/* What is inspected in full is in an engine too. Whoever is blocked can't close what he was
	 * closing. */
	if ((!live && !walk->clients) || (rule && rule->inspect == INSPECT_FULL))
		return;
	if (filter_match(walk->filter, &flow, rule ? rule->name : NULL))
		walk->take(walk, &flow, rule ? rule->name : NULL);
}

static void walk_all(struct flow_walk *walk)
{
	daemon_call_all(walk->d, walk_shard, walk);
	conntrack_dump(walk->d->conntrack, walk_marked, walk);
}

static void take_record(
	struct flow_walk *walk, const struct engine_flow_info *flow, const char *rule)
{
	records_flows_add(&walk->records, flow, rule);
}

json_t *answers_flows(void *arg, const struct filter *filter, size_t limit)
{
	struct flow_walk walk = {.d = arg, .filter = filter, .take = take_record};

	records_flows_start(&walk.records, limit);
	walk_all(&walk);
	return records_flows_end(&walk.records);
}

static void take_tuple(
	struct flow_walk *walk, const struct engine_flow_info *flow, const char *rule)
{
	(void)rule;
	if (walk->count == walk->room) {
		size_t room = walk->room ? 2 * walk->room : 64;
		struct tuple *grown = realloc(walk->tuples, room * sizeof(*grown));

		if (!grown)
			return;
		walk->tuples = grown;
		walk->room = room;
	}
	walk->tuples[walk->count++] = flow->tuple;
}

static void kill_in_shard(const struct worker_view *view, void *arg)
{
	const struct flow_walk *walk = arg;
	struct effects effects;

	for (size_t i = 0; i < walk->count; i++)
		if (engine_kill(view->engine, &walk->tuples[i], &effects))
			worker_carry_out(view->worker, &effects);
}

static int tuple_order(const void *a, const void *b)
{
	const struct tuple *x = a, *y = b;
	int order = memcmp(&x->client, &y->client, sizeof(x->client));

	if (order == 0)
		order = memcmp(&x->server, &y->server, sizeof(x->server));
	if (order == 0)
		order = (x->client_port > y->client_port) - (x->client_port < y->client_port);
	if (order == 0)
		order = (x->server_port > y->server_port) - (x->server_port < y->server_port);
	return order;
}

static bool is_picked(void *arg, const struct tuple *t)
{
	const struct flow_walk *walk = arg;

	return bsearch(t, walk->tuples, walk->count, sizeof(*t), tuple_order) != NULL;
}

/* Half-open flows have no mark yet, so each is looked for by its tuple too. */
static void kill_entries(struct daemon *d, struct flow_walk *walk)
{
	for (size_t i = 0; i < walk->count; i++)
		conntrack_delete(d->conntrack, &walk->tuples[i]);
	conntrack_flush(d->conntrack);
	if (conntrack_delete_marked(d->conntrack, is_picked, walk) < 0)
		log_warning("conntrack could not be asked for what NAT hides: %s", strerror(errno));
}

static bool is_end_of_picked(void *arg, const struct sockets_entry *s)
{
	const struct tuple accepted = {.client = s->remote,
		.client_port = s->remote_port,
		.server = s->local,
		.server_port = s->local_port};
	const struct tuple opened = {.client = s->local,
		.client_port = s->local_port,
		.server = s->remote,
		.server_port = s->remote_port};

	return is_picked(arg, &accepted) || is_picked(arg, &opened);
}

/* This host's own ends: a socket left standing would be adopted by the next reload. Before anything
 * else, so that their RSTs still pass. */
static void kill_sockets(struct daemon *d, struct flow_walk *walk)
{
	int error = sockets_destroy(is_end_of_picked, walk) < 0 ? errno : 0;

	if (error == EOPNOTSUPP && !d->no_destroy_told)
		log_warning("this kernel can't close sockets of killed flows "
			    "(CONFIG_INET_DIAG_DESTROY): a reload admits them again");
	else if (error != 0 && error != EOPNOTSUPP)
		log_warning("sockets of killed flows could not be closed: %s", strerror(error));
	d->no_destroy_told |= error == EOPNOTSUPP;
}

static void kill_picked(struct daemon *d, struct flow_walk *walk)
{
	qsort(walk->tuples, walk->count, sizeof(*walk->tuples), tuple_order);
	kill_sockets(d, walk);
	daemon_call_all(d, kill_in_shard, walk);
	kill_entries(d, walk);
}

long answers_flows_kill(void *arg, const struct filter *filter, char **message)
{
	struct daemon *d = arg;
	struct flow_walk walk = {.d = d, .filter = filter, .take = take_tuple};

	(void)message;
	walk_all(&walk);
	if (walk.count > 0)
		kill_picked(d, &walk);
	free(walk.tuples);
	log_notice("%zu flows were killed", walk.count);
	return (long)walk.count;
}

static bool is_of_clients(const struct flow_walk *walk, const struct addr *client)
{
	for (size_t i = 0; i < walk->client_count; i++)
		if (addr_in_range(client, &walk->clients[i]))
			return true;
	return false;
}

/* A rule that observes cuts nothing. */
static void take_client(
	struct flow_walk *walk, const struct engine_flow_info *flow, const char *name)
{
	const struct policy_rule *rule = policy_rule_by_slot(&walk->d->config->policy, flow->slot);

	if (rule && rule->enforce && rule->mode != MODE_ACCEPT &&
		is_of_clients(walk, &flow->tuple.client))
		take_tuple(walk, flow, name);
}

void answers_kill_clients(struct daemon *d, const struct addr_range *clients, size_t count)
{
	const struct filter all = {0};
	struct flow_walk walk = {.d = d,
		.filter = &all,
		.take = take_client,
		.clients = clients,
		.client_count = count};

	walk_all(&walk);
	if (walk.count > 0)
		kill_picked(d, &walk);
	free(walk.tuples);
}
