/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/show.h"

#include "core/reasons.h"
#include "ctl/page.h"
#include "ctl/table.h"
#include "ctl/units.h"

#include <string.h>

static const char *or_dash(const char *text)
{
	return text[0] != '\0' ? text : "-";
}

void show_flows(const struct show *s, const json_t *result)
{
	static const struct column columns[] = {{"CLIENT", COLUMN_LEFT | COLUMN_ELASTIC},
		{"SERVER", COLUMN_LEFT | COLUMN_ELASTIC}, {"RULE", COLUMN_LEFT | COLUMN_ELASTIC},
		{"STATE", COLUMN_LEFT}, {"CLIENT IS", COLUMN_LEFT | COLUMN_EXPENDABLE},
		{"SERVER IS", COLUMN_LEFT | COLUMN_EXPENDABLE},
		{"SINCE", COLUMN_RIGHT | COLUMN_EXPENDABLE}};
	const json_t *list = json_object_get(result, "flows");
	json_int_t total = page_number(result, NULL, "total");
	size_t count = json_array_size(list);
	struct table *t = table_new(columns, 7);
	char since[UNITS_TEXT], shown[UNITS_TEXT], all[UNITS_TEXT];

	for (size_t i = 0; i < count; i++) {
		const json_t *flow = json_array_get(list, i);
		table_add(t, page_text(flow, NULL, "client"));
		table_add(t, page_text(flow, NULL, "server"));
		table_add(t, or_dash(page_text(flow, NULL, "rule")));
		table_add(t, page_text(flow, NULL, "state"));
		table_add(t, page_text(flow, NULL, "client_state"));
		table_add(t, page_text(flow, NULL, "server_state"));
		table_add(t, units_duration(since, page_number(flow, NULL, "age_s")));
	}
	table_print(t, s->to, s->width, 0);
	if (total > (json_int_t)count)
		fprintf(s->to, "%s of %s flows: a filter or --limit shows others\n",
			units_count(shown, (int64_t)count), units_count(all, total));
	else if (count == 0)
		fputs("no flows\n", s->to);
}

void show_killed(const struct show *s, const json_t *result)
{
	json_int_t killed = page_number(result, NULL, "killed");
	char n[UNITS_TEXT];

	fprintf(s->to, "%s flow%s killed\n", units_count(n, killed), killed == 1 ? "" : "s");
}

/* "no_syn_ack at SYN-ACK, the server did not answer": what the daemon said, and what it means. */
static void failure_words(const json_t *failure, struct table *t)
{
	const char *cause = page_text(failure, NULL, "cause");
	const char *reason = page_text(failure, NULL, "reason");
	const char *from = page_text(failure, NULL, "from");
	const char *meaning = "";
	char text[128];

	for (unsigned c = CAUSE_NONE + 1; c < CAUSE_COUNT; c++)
		if (strcmp(cause_word((enum cause)c), cause) == 0)
			meaning = cause_meaning((enum cause)c);
	for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++)
		if (strcmp(reason_word((enum reason)r), reason) == 0)
			meaning = reason_meaning((enum reason)r);
	if (reason[0] != '\0')
		snprintf(text, sizeof(text), "%s", reason);
	else
		snprintf(text, sizeof(text), "%s at %s", cause, page_text(failure, NULL, "step"));
	table_add(t, text);
	table_add(t, page_true(failure, "observed") ? "let go" : "refused");
	snprintf(text, sizeof(text), "%s%s%s", meaning, from[0] != '\0' ? ": says " : "", from);
	table_add(t, text);
}

void show_failures(const struct show *s, const json_t *result)
{
	static const struct column columns[] = {{"TIME", COLUMN_LEFT | COLUMN_EXPENDABLE},
		{"CLIENT", COLUMN_LEFT | COLUMN_ELASTIC}, {"SERVER", COLUMN_LEFT | COLUMN_ELASTIC},
		{"RULE", COLUMN_LEFT | COLUMN_ELASTIC}, {"WHY", COLUMN_LEFT},
		{"AND SO", COLUMN_LEFT | COLUMN_EXPENDABLE},
		{"MEANING", COLUMN_LEFT | COLUMN_ELASTIC | COLUMN_EXPENDABLE}};
	const json_t *list = json_object_get(result, "failures");
	struct table *t = table_new(columns, 7);
	char when[UNITS_TEXT];

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *failure = json_array_get(list, i);
		double at = json_number_value(json_object_get(failure, "at"));
		table_add(t, units_time(when, (int64_t)at));
		table_add(t, page_text(failure, NULL, "client"));
		table_add(t, page_text(failure, NULL, "server"));
		table_add(t, or_dash(page_text(failure, NULL, "rule")));
		failure_words(failure, t);
	}
	table_print(t, s->to, s->width, 0);
	if (json_array_size(list) == 0)
		fputs("no failures since the start\n", s->to);
}

/* A list of texts with commas, or "any". */
static void add_list(struct table *t, const json_t *list)
{
	char text[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < json_array_size(list) && used < sizeof(text); i++) {
		const char *item = json_string_value(json_array_get(list, i));
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
			i > 0 ? ", " : "", item != NULL ? item : "?");
	}
	table_add(t, text[0] != '\0' ? text : "any");
}

static void add_limits(struct table *t, const json_t *limits)
{
	const json_t *rate = json_object_get(limits, "syn_rate");
	json_int_t half_open = page_number(limits, NULL, "half_open");
	json_int_t connections = page_number(limits, NULL, "connections_per_source");
	char text[256] = "";
	size_t used = 0;

	if (json_is_object(rate))
		used += (size_t)snprintf(text, sizeof(text), "syn_rate %lld/s burst %lld, ",
			(long long)page_number(rate, NULL, "per_s"),
			(long long)page_number(rate, NULL, "burst"));
	if (half_open > 0)
		used += (size_t)snprintf(
			text + used, sizeof(text) - used, "half_open %lld, ", (long long)half_open);
	if (connections > 0)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
			"connections_per_source %lld, ", (long long)connections);
	if (used >= 2)
		text[used - 2] = '\0';
	table_add(t, or_dash(text));
}

void show_rules(const struct show *s, const json_t *result)
{
	static const struct column columns[] = {{"RULE", COLUMN_LEFT | COLUMN_ELASTIC},
		{"MODE", COLUMN_LEFT}, {"FROM", COLUMN_LEFT | COLUMN_ELASTIC | COLUMN_EXPENDABLE},
		{"TO", COLUMN_LEFT | COLUMN_ELASTIC | COLUMN_EXPENDABLE},
		{"PORT", COLUMN_LEFT | COLUMN_ELASTIC},
		{"BY", COLUMN_LEFT | COLUMN_ELASTIC | COLUMN_EXPENDABLE}, {"MATCHED", COLUMN_RIGHT},
		{"ADMITTED", COLUMN_RIGHT}, {"DROPPED", COLUMN_RIGHT},
		{"HALF-OPEN", COLUMN_RIGHT | COLUMN_EXPENDABLE},
		{"LIMITS", COLUMN_LEFT | COLUMN_ELASTIC | COLUMN_EXPENDABLE}};
	static const char *const figures[] = {"matched", "admitted", "dropped", "half_open"};
	const json_t *list = json_object_get(result, "rules");
	struct table *t = table_new(columns, 11);
	char text[64];

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *rule = json_array_get(list, i);
		bool observes = json_is_false(json_object_get(rule, "enforce"));
		table_add(t, page_text(rule, NULL, "name"));
		snprintf(text, sizeof(text), "%s%s", page_text(rule, NULL, "mode"),
			observes ? ", observes" : "");
		table_add(t, text);
		add_list(t, json_object_get(rule, "from"));
		add_list(t, json_object_get(rule, "to"));
		add_list(t, json_object_get(rule, "port"));
		add_list(t, json_object_get(rule, "interface"));
		for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++)
			table_add(t, units_count(text, page_number(rule, NULL, figures[f])));
		add_limits(t, json_object_get(rule, "limits"));
	}
	table_print(t, s->to, s->width, 0);
	if (json_array_size(list) == 0)
		fputs("no rules: every connection is left alone\n", s->to);
}

void show_config(const struct show *s, const json_t *result)
{
	fputs(page_text(result, NULL, "text"), s->to);
}

void show_message(const struct show *s, const json_t *result)
{
	const char *message = page_text(result, NULL, "message");

	if (message[0] != '\0')
		fprintf(s->to, "%s\n", message);
}
