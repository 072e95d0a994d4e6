/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/page.h"
#include "ctl/table.h"
#include "ctl/units.h"

#include <string.h>

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
	json_int_t block_time = page_number(limits, NULL, "block_time");
	char text[256] = "", n[UNITS_TEXT];
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
	if (block_time > 0)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "block_time %s, ",
			units_duration(n, block_time));
	if (used >= 2)
		text[used - 2] = '\0';
	table_add(t, page_or_dash(text));
}

static void add_cookies(struct table *t, const json_t *rule)
{
	const char *when = page_text(rule, NULL, "syncookies");
	bool gates = strcmp(page_text(rule, NULL, "mode"), "gate") == 0;
	bool on = strcmp(when, "adaptive") == 0 && page_true(rule, "cookies_active");
	char text[64];

	snprintf(text, sizeof(text), "%s%s", gates ? page_or_dash(when) : "-",
		gates && on ? ", on" : "");
	table_add(t, text);
}

static bool is_known(const json_t *trait)
{
	return json_is_integer(trait) || json_is_boolean(trait);
}

static void print_trait(const struct show *s, const char *name, const json_t *trait)
{
	if (json_is_integer(trait))
		fprintf(s->to, "%s %lld", name, (long long)json_integer_value(trait));
	else
		fprintf(s->to, "%s%s", json_is_false(trait) ? "no " : "", name);
}

/* "answers with mss 1460, no sack; not known yet: ecn" */
static void print_traits(const struct show *s, const json_t *server)
{
	static const char *const names[] = {"mss", "wscale", "sack", "timestamps", "ecn"};
	const char *before = " answers with ";
	size_t known = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *trait = json_object_get(server, names[i]);
		if (!is_known(trait))
			continue;
		fputs(before, s->to);
		print_trait(s, names[i], trait);
		before = ", ";
		known++;
	}
	if (known == 0)
		fputs(" has not answered yet", s->to);
	before = "; not known yet: ";
	for (size_t i = 0; known > 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		if (is_known(json_object_get(server, names[i])))
			continue;
		fprintf(s->to, "%s%s", before, names[i]);
		before = ", ";
	}
}

static void print_route(const struct show *s, const json_t *server)
{
	const char *route = page_text(server, NULL, "route");
	const char *public = page_text(server, NULL, "public");

	if (strcmp(route, "many") == 0)
		fputs("; reached by several addresses", s->to);
	else if (strcmp(route, "unknown") == 0)
		fputs("; reached by DNAT, it is not known yet from where", s->to);
	else if (public[0] != '\0') {
		fputs("; reached as ", s->to);
		table_print_safely(s->to, public);
	}
}

/* What cookies promise, since the servers do: a line each. */
static void print_learned(const struct show *s, const json_t *rules)
{
	const json_t *rule, *server;
	size_t r, i;

	json_array_foreach(rules, r, rule)
	{
		json_array_foreach(json_object_get(rule, "learned"), i, server)
		{
			fputs("  ", s->to);
			table_print_safely(s->to, page_text(rule, NULL, "name"));
			fputs(": ", s->to);
			table_print_safely(s->to, page_text(server, NULL, "server"));
			print_traits(s, server);
			print_route(s, server);
			fputc('\n', s->to);
		}
	}
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
		{"COOKIES", COLUMN_LEFT | COLUMN_EXPENDABLE},
		{"LIMITS", COLUMN_LEFT | COLUMN_ELASTIC | COLUMN_EXPENDABLE}};
	static const char *const figures[] = {"matched", "admitted", "dropped", "half_open"};
	const json_t *list = json_object_get(result, "rules");
	struct table *t = table_new(columns, 12);
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
		add_cookies(t, rule);
		add_limits(t, json_object_get(rule, "limits"));
	}
	table_print(t, s->to, s->width, 0);
	if (json_array_size(list) == 0)
		fputs("no rules: every connection is left alone\n", s->to);
	print_learned(s, list);
}
