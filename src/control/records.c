/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/records.h"

#include "control/endpoint.h"
#include "control/text.h"

#include <stdio.h>
#include <string.h>

static json_t *endpoint_json(const struct addr *a, uint16_t port)
{
	char text[ENDPOINT_TEXT];

	return json_string(endpoint_text(text, a, port));
}

static json_t *range_json(const struct addr_range *range)
{
	char text[2 * ENDPOINT_TEXT];

	endpoint_range_text(text, sizeof(text), range);
	return json_string(text);
}

void records_flows_start(struct records_flows *f, size_t limit)
{
	*f = (struct records_flows){.list = json_array(), .limit = limit};
}

static json_t *flow_json(const struct engine_flow_info *flow, const char *rule)
{
	const struct tuple *t = &flow->tuple;

	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:s, s:I}", "client",
		endpoint_json(&t->client, t->client_port), "server",
		endpoint_json(&t->server, t->server_port), "rule", text_json(rule), "state",
		flow->flow_state, "client_state", flow->client_state, "server_state",
		flow->server_state, "age_s", (json_int_t)flow->age_s);
}

void records_flows_add(
	struct records_flows *f, const struct engine_flow_info *flow, const char *rule)
{
	f->total++;
	if (json_array_size(f->list) < f->limit)
		json_array_append_new(f->list, flow_json(flow, rule));
}

json_t *records_flows_end(struct records_flows *f)
{
	return json_pack("{s:o, s:I}", "flows", f->list, "total", (json_int_t)f->total);
}

json_t *records_failure(const struct failure *f, const char *rule)
{
	const struct report *r = &f->report;
	const char *reason = r->reason == REASON_NONE ? NULL : reason_word(r->reason);
	const char *cause = r->cause == CAUSE_NONE ? NULL : cause_word(r->cause);
	const char *step = r->cause == CAUSE_NONE ? NULL : cause_step(r->cause);
	char from[ENDPOINT_TEXT];

	if (r->cause == CAUSE_unreachable)
		endpoint_addr_text(from, &r->from);
	return json_pack("{s:f, s:o, s:o, s:o, s:s?, s:s?, s:s?, s:s?, s:b}", "at",
		(double)f->at_us / 1e6, "client",
		endpoint_json(&r->tuple.client, r->tuple.client_port), "server",
		endpoint_json(&r->tuple.server, r->tuple.server_port), "rule", text_json(rule),
		"reason", reason, "cause", cause, "step", step, "from",
		r->cause == CAUSE_unreachable ? from : NULL, "observed", r->observed);
}

static bool source_has_more(const struct records_source *a, const struct records_source *b)
{
	if (a->connections != b->connections)
		return a->connections > b->connections;
	return a->half_open > b->half_open;
}

void records_sources_start(struct records_sources *s)
{
	*s = (struct records_sources){.blocked = json_array()};
}

void records_sources_add(struct records_sources *s, const struct records_source *source)
{
	size_t at = s->count;

	s->tracked++;
	while (at > 0 && source_has_more(source, &s->most[at - 1]))
		at--;
	if (at == CONTROL_SOURCES_MAX)
		return;
	s->count += s->count < CONTROL_SOURCES_MAX;
	memmove(&s->most[at + 1], &s->most[at], (s->count - at - 1) * sizeof(s->most[0]));
	s->most[at] = *source;
}

void records_sources_add_block(
	struct records_sources *s, const struct addr_range *range, uint32_t left_s)
{
	s->blocked_total++;
	if (json_array_size(s->blocked) < CONTROL_BLOCKS_MAX)
		json_array_append_new(
			s->blocked, json_pack("{s:o, s:I}", "source", range_json(range), "left_s",
					    (json_int_t)left_s));
}

json_t *records_sources_end(struct records_sources *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->count; i++) {
		const struct records_source *source = &s->most[i];
		json_array_append_new(
			list, json_pack("{s:o, s:o, s:I, s:I}", "source",
				      range_json(&source->source), "rule", text_json(source->rule),
				      "connections", (json_int_t)source->connections, "half_open",
				      (json_int_t)source->half_open));
	}
	return json_pack("{s:I, s:o, s:o, s:I}", "tracked", (json_int_t)s->tracked, "sources", list,
		"blocked", s->blocked, "blocked_total", (json_int_t)s->blocked_total);
}

static const char *mode_word(enum policy_mode mode)
{
	static const char *const words[] = {
		[MODE_GATE] = "gate",
		[MODE_SPLICE] = "splice",
		[MODE_ACCEPT] = "accept",
		[MODE_DROP] = "drop",
		[MODE_REJECT] = "reject",
	};
	return words[mode];
}

json_t *records_rule_counts(const struct status_rule *r)
{
	return json_pack("{s:o, s:s, s:b, s:I, s:I, s:I, s:I, s:b}", "name",
		text_json(r->rule->name), "mode", mode_word(r->rule->mode), "enforce",
		r->rule->enforce, "matched", (json_int_t)r->matched, "admitted",
		(json_int_t)r->admitted, "dropped", (json_int_t)r->dropped, "half_open",
		(json_int_t)r->half_open, "cookies_active", r->cookies_active);
}

static json_t *ranges_json(const struct addr_range *ranges, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, range_json(&ranges[i]));
	return list;
}

static json_t *ports_json(const struct port_range *ranges, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct port_range *p = &ranges[i];
		json_array_append_new(list, p->first == p->last
						    ? json_sprintf("%u", p->first)
						    : json_sprintf("%u-%u", p->first, p->last));
	}
	return list;
}

static json_t *interfaces_json(const struct policy_rule *rule)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rule->interface_count; i++)
		json_array_append_new(list, text_json(rule->interface[i]));
	return list;
}

/* Limits that are off are null. */
static json_t *limits_json(const struct policy_rule *rule)
{
	static const char *const over[] = {
		[OVER_LIMIT_DROP] = "drop",
		[OVER_LIMIT_REJECT] = "reject",
		[OVER_LIMIT_BLOCK] = "block",
	};
	json_t *rate = NULL, *half_open = NULL, *connections = NULL, *block_time = NULL;

	if (rule->syn_rate.per_s != 0)
		rate = json_pack("{s:I, s:I}", "per_s", (json_int_t)rule->syn_rate.per_s, "burst",
			(json_int_t)rule->syn_rate.burst);
	if (rule->half_open != 0)
		half_open = json_integer(rule->half_open);
	if (rule->connections_per_source != 0)
		connections = json_integer(rule->connections_per_source);
	if (rule->over_limit == OVER_LIMIT_BLOCK)
		block_time = json_integer(rule->block_time);
	return json_pack("{s:o?, s:o?, s:o?, s:s, s:o?}", "syn_rate", rate, "half_open", half_open,
		"connections_per_source", connections, "over_limit", over[rule->over_limit],
		"block_time", block_time);
}

static json_t *trait_json(enum learned_trait trait)
{
	return trait == LEARNED_UNKNOWN ? json_null() : json_boolean(trait == LEARNED_YES);
}

static const char *route_word(const struct learned_server *s)
{
	if (s->route == LEARNED_ROUTE_ONE)
		return "one";
	if (s->route == LEARNED_ROUTE_MANY)
		return "many";
	return s->route_wanted ? "unknown" : "direct";
}

static json_t *learned_json(const struct learned_server *s)
{
	const struct learned_options *o = &s->options;
	json_t *public = NULL;

	if (s->route == LEARNED_ROUTE_ONE)
	public = endpoint_json(&s->public_addr, s->public_port);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o?, s:s}", "server",
		endpoint_json(&s->addr, s->port), "mss",
		o->mss != 0 ? json_integer(o->mss) : json_null(), "wscale",
		o->wscale == LEARNED_YES ? json_integer(o->wscale_shift) : trait_json(o->wscale),
		"sack", trait_json(o->sack), "timestamps", trait_json(o->timestamps), "ecn",
		trait_json(o->ecn), "public", public, "route", route_word(s));
}

static json_t *learned_list_json(const struct status_rule *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->learned_count; i++)
		json_array_append_new(list, learned_json(&r->learned[i]));
	return list;
}

static const char *syncookies_word(enum policy_syncookies when)
{
	static const char *const words[] = {
		[SYNCOOKIES_ADAPTIVE] = "adaptive",
		[SYNCOOKIES_ALWAYS] = "always",
		[SYNCOOKIES_NEVER] = "never",
	};
	return words[when];
}

json_t *records_rule(const struct status_rule *r)
{
	const struct policy_rule *rule = r->rule;
	json_t *o = records_rule_counts(r);
	int failed = o == NULL ? -1 : 0;

	failed |= json_object_set_new(o, "from", ranges_json(rule->from, rule->from_count));
	failed |= json_object_set_new(o, "to", ranges_json(rule->to, rule->to_count));
	failed |= json_object_set_new(o, "port", ports_json(rule->port, rule->port_count));
	failed |= json_object_set_new(o, "interface", interfaces_json(rule));
	failed |= json_object_set_new(
		o, "inspect", json_string(rule->inspect == INSPECT_FULL ? "full" : "handshake"));
	failed |= json_object_set_new(
		o, "fastopen", json_string(rule->fastopen_strip ? "strip" : "pass"));
	failed |= json_object_set_new(
		o, "mss", rule->mss != 0 ? json_integer(rule->mss) : json_null());
	failed |= json_object_set_new(
		o, "syncookies", json_string(syncookies_word(rule->syncookies)));
	failed |= json_object_set_new(o, "syncookies_start", json_integer(rule->syncookies_start));
	failed |= json_object_set_new(o, "syncookies_end", json_integer(rule->syncookies_end));
	failed |= json_object_set_new(o, "limits", limits_json(rule));
	failed |= json_object_set_new(o, "learned", learned_list_json(r));
	if (failed) {
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *records_server(const struct records_server *s)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:o}", "backend",
		s->backend, "server", s->server, "address", s->address, "state", s->state,
		"since_s", (json_int_t)s->since_s, "last", s->last, "connections",
		(json_int_t)s->connections, "total", (json_int_t)s->total, "failures",
		(json_int_t)s->failures, "weight", (json_int_t)s->weight, "max_connections",
		s->max_connections != 0 ? json_integer(s->max_connections) : json_null());
}

json_t *records_listener(const struct records_listener *l)
{
	return json_pack("{s:s, s:o, s:b, s:I, s:I, s:I}", "rule", l->rule, "address",
		endpoint_json(&l->at.addr, l->at.port), "transparent", l->transparent, "backlog",
		(json_int_t)l->backlog, "backlog_max", (json_int_t)l->backlog_max, "overflows",
		(json_int_t)l->overflows);
}
