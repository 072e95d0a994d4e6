/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/records.h"

#include "control/endpoint.h"
#include "control/text.h"

#include <stdio.h>

static json_t *endpoint_json(const struct addr *a, uint16_t port)
{
	char text[ENDPOINT_TEXT];

	return json_string(endpoint_text(text, a, port));
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
	char text[2 * ENDPOINT_TEXT];

	for (size_t i = 0; i < n; i++) {
		endpoint_range_text(text, sizeof(text), &ranges[i]);
		json_array_append_new(list, json_string(text));
	}
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
	json_t *rate = NULL, *half_open = NULL, *connections = NULL;

	if (rule->syn_rate.per_s != 0)
		rate = json_pack("{s:I, s:I}", "per_s", (json_int_t)rule->syn_rate.per_s, "burst",
			(json_int_t)rule->syn_rate.burst);
	if (rule->half_open != 0)
		half_open = json_integer(rule->half_open);
	if (rule->connections_per_source != 0)
		connections = json_integer(rule->connections_per_source);
	return json_pack("{s:o?, s:o?, s:o?, s:s}", "syn_rate", rate, "half_open", half_open,
		"connections_per_source", connections, "over_limit", over[rule->over_limit]);
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
	failed |= json_object_set_new(o, "limits", limits_json(rule));
	if (failed) {
		json_decref(o);
		return NULL;
	}
	return o;
}
