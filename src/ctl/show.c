/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/show.h"

#include "core/reasons.h"
#include "ctl/page.h"
#include "ctl/table.h"
#include "ctl/units.h"

#include <string.h>

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
		table_add(t, page_or_dash(page_text(flow, NULL, "rule")));
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
		table_add(t, page_or_dash(page_text(failure, NULL, "rule")));
		failure_words(failure, t);
	}
	table_print(t, s->to, s->width, 0);
	if (json_array_size(list) == 0)
		fputs("no failures since the start\n", s->to);
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
