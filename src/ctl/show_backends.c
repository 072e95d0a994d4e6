/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/page.h"
#include "ctl/table.h"
#include "ctl/units.h"

static void servers(const struct show *s, const json_t *result)
{
	static const struct column columns[] = {{"SERVER", COLUMN_LEFT | COLUMN_ELASTIC},
		{"STATE", COLUMN_LEFT}, {"SINCE", COLUMN_RIGHT}, {"OPEN", COLUMN_RIGHT},
		{"TOTAL", COLUMN_RIGHT}, {"FAILURES", COLUMN_RIGHT | COLUMN_EXPENDABLE},
		{"WEIGHT", COLUMN_RIGHT | COLUMN_EXPENDABLE},
		{"LAST RESULT", COLUMN_LEFT | COLUMN_EXPENDABLE}};
	const json_t *list = json_object_get(result, "servers");
	struct table *t;
	char n[UNITS_TEXT], name[256];

	if (json_array_size(list) == 0) {
		fputs("no rule has a backend\n", s->to);
		return;
	}
	t = table_new(columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *server = json_array_get(list, i);

		snprintf(name, sizeof(name), "%s/%s", page_text(server, NULL, "backend"),
			page_text(server, NULL, "server"));
		table_add(t, name);
		table_add(t, page_text(server, NULL, "state"));
		table_add(t, units_duration(n, page_number(server, NULL, "since_s")));
		table_add(t, units_count(n, page_number(server, NULL, "connections")));
		table_add(t, units_count(n, page_number(server, NULL, "total")));
		table_add(t, units_count(n, page_number(server, NULL, "failures")));
		table_add(t, units_count(n, page_number(server, NULL, "weight")));
		table_add(t, page_or_dash(page_text(server, NULL, "last")));
	}
	table_print(t, s->to, s->width, 0);
}

static void listeners(const struct show *s, const json_t *result)
{
	static const struct column columns[] = {{"LISTENS AT", COLUMN_LEFT | COLUMN_ELASTIC},
		{"RULE", COLUMN_LEFT}, {"BACKLOG", COLUMN_RIGHT}, {"OF", COLUMN_RIGHT},
		{"OVERFLOWS", COLUMN_RIGHT}};
	const json_t *list = json_object_get(result, "listeners");
	struct table *t;
	char n[UNITS_TEXT], name[128];

	if (json_array_size(list) == 0)
		return;
	t = table_new(columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *place = json_array_get(list, i);

		snprintf(name, sizeof(name), "%s%s", page_text(place, NULL, "address"),
			json_is_true(json_object_get(place, "transparent")) ? " (intercepted)"
									    : "");
		table_add(t, name);
		table_add(t, page_text(place, NULL, "rule"));
		table_add(t, units_count(n, page_number(place, NULL, "backlog")));
		table_add(t, units_count(n, page_number(place, NULL, "backlog_max")));
		table_add(t, units_count(n, page_number(place, NULL, "overflows")));
	}
	fputc('\n', s->to);
	table_print(t, s->to, s->width, 0);
}

void show_backends(const struct show *s, const json_t *result)
{
	servers(s, result);
	listeners(s, result);
}
