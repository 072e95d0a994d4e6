/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/page.h"
#include "ctl/table.h"
#include "ctl/units.h"

static void most(const struct show *s, const json_t *result)
{
	static const struct column columns[] = {{"SOURCE", COLUMN_LEFT},
		{"RULE", COLUMN_LEFT | COLUMN_ELASTIC}, {"CONNECTIONS", COLUMN_RIGHT},
		{"HALF-OPEN", COLUMN_RIGHT | COLUMN_EXPENDABLE}};
	const json_t *list = json_object_get(result, "sources");
	json_int_t tracked = page_number(result, NULL, "tracked");
	size_t count = json_array_size(list);
	struct table *t;
	char n[UNITS_TEXT], all[UNITS_TEXT];

	if (count == 0) {
		fputs("no sources are remembered\n", s->to);
		return;
	}
	t = table_new(columns, 4);
	for (size_t i = 0; i < count; i++) {
		const json_t *source = json_array_get(list, i);
		table_add(t, page_text(source, NULL, "source"));
		table_add(t, page_or_dash(page_text(source, NULL, "rule")));
		table_add(t, units_count(n, page_number(source, NULL, "connections")));
		table_add(t, units_count(n, page_number(source, NULL, "half_open")));
	}
	table_print(t, s->to, s->width, 0);
	if (tracked > (json_int_t)count)
		fprintf(s->to, "%s of %s sources: those with the most connections\n",
			units_count(n, (int64_t)count), units_count(all, tracked));
}

static void blocked(const struct show *s, const json_t *result)
{
	static const struct column columns[] = {
		{"BLOCKED", COLUMN_LEFT}, {"TIME LEFT", COLUMN_RIGHT}};
	const json_t *list = json_object_get(result, "blocked");
	json_int_t total = page_number(result, NULL, "blocked_total");
	size_t count = json_array_size(list);
	struct table *t;
	char n[UNITS_TEXT], all[UNITS_TEXT];

	if (count == 0) {
		fputs("nobody is blocked\n", s->to);
		return;
	}
	t = table_new(columns, 2);
	for (size_t i = 0; i < count; i++) {
		const json_t *block = json_array_get(list, i);
		table_add(t, page_text(block, NULL, "source"));
		table_add(t, units_duration(n, page_number(block, NULL, "left_s")));
	}
	table_print(t, s->to, s->width, 0);
	if (total > (json_int_t)count)
		fprintf(s->to, "%s of %s that are blocked\n", units_count(n, (int64_t)count),
			units_count(all, total));
}

void show_sources(const struct show *s, const json_t *result)
{
	most(s, result);
	fputc('\n', s->to);
	blocked(s, result);
}
