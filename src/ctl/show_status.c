/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/reasons.h"
#include "ctl/page.h"
#include "ctl/table.h"
#include "ctl/units.h"

#include <stdlib.h>
#include <string.h>

/* More than these, and the page is no page any more. */
enum {
	REASONS_SHOWN = 6,
	RULES_SHOWN = 10,
	COOKIE_RULES_SHOWN = 3
};

static size_t rules_that_observe(const json_t *status)
{
	const json_t *rules = json_object_get(status, "rules");
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(rules); i++)
		n += json_is_false(json_object_get(json_array_get(rules, i), "enforce"));
	return n;
}

static void head(const struct show *s, const json_t *status)
{
	char up[UNITS_TEXT];
	size_t observing = rules_that_observe(status);
	const char *manage = page_text(status, NULL, "manage");
	json_int_t workers = page_number(status, NULL, "workers");
	json_int_t confirm_left = page_number(status, NULL, "confirm_left_s");

	page_line(s, TONE_PLAIN, "ackgate", "%s, up %s, %lld worker%s, kernel rules by %s",
		page_text(status, NULL, "version"),
		units_duration(up, page_number(status, NULL, "uptime_s")), (long long)workers,
		workers == 1 ? "" : "s", manage[0] != '\0' ? manage : "nobody");
	if (!page_true(status, "enforce"))
		page_line(
			s, TONE_WARN, "Gate", "OBSERVING ONLY: nothing is dropped (enforce = no)");
	else if (observing > 0)
		page_line(s, TONE_WARN, "Gate", "enforcing, but %zu of %zu rules only observe",
			observing, json_array_size(json_object_get(status, "rules")));
	else
		page_line(s, TONE_GOOD, "Gate", "enforcing");
	if (page_true(status, "draining"))
		page_line(
			s, TONE_WARN, "", "DRAINING: stops once the handshakes under way are done");
	if (confirm_left > 0)
		page_line(s, TONE_WARN, "", "the last reload is taken back in %s, unless confirmed",
			units_duration(up, confirm_left));
}

static void configuration(const struct show *s, const json_t *status)
{
	char ago[UNITS_TEXT], when[UNITS_TEXT];
	json_int_t loaded_at = page_number(status, "config", "loaded_at");
	const char *error = page_text(status, "config", "last_error");

	page_line(s, TONE_PLAIN, "Configuration", "%s, number %lld, loaded %s (%s ago)",
		page_text(status, "config", "file"),
		(long long)page_number(status, "config", "generation"), units_time(when, loaded_at),
		units_duration(ago, s->now - loaded_at));
	if (error[0] != '\0')
		page_line(s, TONE_BAD, "", "THE LAST RELOAD FAILED: %.*s",
			(int)strcspn(error, "\n"), error);
}

static void flows(const struct show *s, const json_t *status)
{
	char half[UNITS_TEXT], sent[UNITS_TEXT], received[UNITS_TEXT], followed[UNITS_TEXT],
		closing[UNITS_TEXT], kernel[UNITS_TEXT];
	json_int_t syn_sent = page_number(status, "flows", "syn_sent");
	json_int_t syn_received = page_number(status, "flows", "syn_received");

	page_line(s, TONE_PLAIN, "Flows",
		"%s half-open (%s wait for SYN-ACK, %s for ACK), %s established, %s closing, "
		"%s handed to the kernel",
		units_count(half, syn_sent + syn_received), units_count(sent, syn_sent),
		units_count(received, syn_received),
		units_count(followed, page_number(status, "flows", "established")),
		units_count(closing, page_number(status, "flows", "closing")),
		units_count(kernel, page_number(status, "flows", "offloaded")));
}

static const struct column word_columns[] = {{"", COLUMN_LEFT}, {"", COLUMN_RIGHT},
	{"", COLUMN_LEFT | COLUMN_ELASTIC | COLUMN_EXPENDABLE}};

/* Which step failed and why: only the causes that there were. */
static void causes(const struct show *s, const json_t *failed)
{
	static const struct column columns[] = {{"", COLUMN_LEFT}, {"", COLUMN_LEFT},
		{"", COLUMN_RIGHT}, {"", COLUMN_LEFT | COLUMN_ELASTIC | COLUMN_EXPENDABLE}};
	struct table *t = table_new(columns, 4);
	char step[32], n[UNITS_TEXT];

	for (unsigned c = CAUSE_NONE + 1; c < CAUSE_COUNT; c++) {
		json_int_t times = page_number(failed, NULL, cause_word((enum cause)c));
		if (times == 0)
			continue;
		snprintf(step, sizeof(step), "at %s", cause_step((enum cause)c));
		table_add(t, step);
		table_add(t, cause_word((enum cause)c));
		table_add(t, units_count(n, times));
		table_add(t, cause_meaning((enum cause)c));
	}
	table_print(t, s->to, s->width, PAGE_INDENT);
}

static json_int_t sum(json_t *counts)
{
	json_int_t total = 0;
	const char *word;
	json_t *n;

	json_object_foreach(counts, word, n) total += json_integer_value(n);
	return total;
}

static void handshakes(const struct show *s, const json_t *status)
{
	char started[UNITS_TEXT], completed[UNITS_TEXT], failed[UNITS_TEXT], share[32] = "";
	json_t *by_cause = json_object_get(json_object_get(status, "handshakes"), "failed");
	json_int_t good = page_number(status, "handshakes", "completed");
	json_int_t bad = sum(by_cause);

	if (good + bad > 0)
		snprintf(share, sizeof(share), " (%.1f%%)",
			100.0 * (double)good / (double)(good + bad));
	page_line(s, TONE_PLAIN, "Handshakes", "%s started, %s completed%s, %s failed",
		units_count(started, page_number(status, "handshakes", "started")),
		units_count(completed, good), share, units_count(failed, bad));
	if (bad > 0)
		causes(s, by_cause);
}

struct reason_count {
	enum reason reason;
	json_int_t count;
};

static int larger_first(const void *a, const void *b)
{
	const struct reason_count *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

/* Packets by reason, the most frequent first. */
static void reasons(const struct show *s, const char *label, json_t *counts)
{
	struct reason_count list[REASON_COUNT];
	char n[UNITS_TEXT];
	size_t count = 0;

	for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
		json_int_t times = page_number(counts, NULL, reason_word((enum reason)r));
		if (times > 0)
			list[count++] = (struct reason_count){(enum reason)r, times};
	}
	qsort(list, count, sizeof(list[0]), larger_first);
	page_line(s, TONE_PLAIN, label, "%s packets", units_count(n, sum(counts)));

	struct table *t = table_new(word_columns, 3);
	for (size_t i = 0; i < count && i < REASONS_SHOWN; i++) {
		table_add(t, reason_word(list[i].reason));
		table_add(t, units_count(n, list[i].count));
		table_add(t, reason_meaning(list[i].reason));
	}
	table_print(t, s->to, s->width, PAGE_INDENT);
	if (count > REASONS_SHOWN)
		page_line(s, TONE_PLAIN, "", "and %zu more reasons: ackgatectl --json status",
			count - REASONS_SHOWN);
}

static void queue(const struct show *s, const json_t *status)
{
	char packets[UNITS_TEXT], full[UNITS_TEXT], behind[UNITS_TEXT];
	json_int_t kernel = page_number(status, "queue", "kernel_dropped");
	json_int_t user = page_number(status, "queue", "user_dropped");

	units_count(packets, page_number(status, "queue", "packets"));
	if (kernel + user == 0)
		page_line(s, TONE_PLAIN, "Queue", "%s packets, none lost", packets);
	else
		page_line(s, TONE_BAD, "Queue",
			"%s packets; LOST %s as the queue was full, %s as the daemon was behind",
			packets, units_count(full, kernel), units_count(behind, user));
}

/* "; on for web, mail and 3 more"; nothing if they are off. */
static void cookies_on(const json_t *status, char *text, size_t size)
{
	const json_t *rule;
	size_t i, on = 0, used = 0;

	text[0] = '\0';
	if (json_is_true(json_object_get(json_object_get(status, "cookies"), "active")))
		used = (size_t)snprintf(text, size, "; on");
	json_array_foreach(json_object_get(status, "rules"), i, rule)
	{
		if (!page_true(rule, "cookies_active"))
			continue;
		if (on < COOKIE_RULES_SHOWN && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s %s",
				on == 0 ? " for" : ",", page_text(rule, NULL, "name"));
		on++;
	}
	if (on > COOKIE_RULES_SHOWN && used < size)
		snprintf(text + used, size - used, " and %zu more", on - COOKIE_RULES_SHOWN);
}

static void cookies(const struct show *s, const json_t *status)
{
	char sent[UNITS_TEXT], back[UNITS_TEXT], refused[UNITS_TEXT], on[256];

	cookies_on(status, on, sizeof(on));
	if (page_number(status, "cookies", "sent") == 0 && on[0] == '\0')
		return;
	page_line(s, on[0] != '\0' ? TONE_WARN : TONE_PLAIN, "Cookies",
		"%s sent, %s came back, %s refused%s",
		units_count(sent, page_number(status, "cookies", "sent")),
		units_count(back, page_number(status, "cookies", "accepted")),
		units_count(refused, page_number(status, "cookies", "refused")), on);
}

/* What only some gates have shows only there. */
static void extras(const struct show *s, const json_t *status)
{
	char a[UNITS_TEXT], b[UNITS_TEXT];

	cookies(s, status);
	if (page_number(status, "sources", "tracked") + page_number(status, "sources", "blocked") >
		0)
		page_line(s, TONE_PLAIN, "Sources", "%s tracked, %s blocked",
			units_count(a, page_number(status, "sources", "tracked")),
			units_count(b, page_number(status, "sources", "blocked")));
	if (page_number(status, "splice", "total") > 0)
		page_line(s, TONE_PLAIN, "Spliced", "%s open, %s in all",
			units_count(a, page_number(status, "splice", "open")),
			units_count(b, page_number(status, "splice", "total")));
}

static void notes(const struct show *s, const json_t *status)
{
	const json_t *list = json_object_get(status, "notes");
	json_int_t untracked = page_number(status, NULL, "untracked");
	char n[UNITS_TEXT];

	if (untracked > 0)
		page_line(s, TONE_WARN, "Note",
			"%s packets passed unjudged: rules of others took them out of conntrack",
			units_count(n, untracked));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *note = json_string_value(json_array_get(list, i));
		if (note != NULL)
			page_line(s, TONE_WARN, "Note", "%s", note);
	}
}

static void rules(const struct show *s, const json_t *status)
{
	static const struct column columns[] = {{"RULE", COLUMN_LEFT | COLUMN_ELASTIC},
		{"MODE", COLUMN_LEFT}, {"MATCHED", COLUMN_RIGHT}, {"ADMITTED", COLUMN_RIGHT},
		{"DROPPED", COLUMN_RIGHT}, {"HALF-OPEN", COLUMN_RIGHT | COLUMN_EXPENDABLE},
		{"", COLUMN_LEFT | COLUMN_EXPENDABLE}};
	static const char *const figures[] = {"matched", "admitted", "dropped", "half_open"};
	const json_t *list = json_object_get(status, "rules");
	size_t count = json_array_size(list);
	struct table *t = table_new(columns, 7);
	char n[UNITS_TEXT];

	fputc('\n', s->to);
	for (size_t i = 0; i < count && i < RULES_SHOWN; i++) {
		const json_t *rule = json_array_get(list, i);
		table_add(t, page_text(rule, NULL, "name"));
		table_add(t, page_text(rule, NULL, "mode"));
		for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++)
			table_add(t, units_count(n, page_number(rule, NULL, figures[f])));
		if (json_is_false(json_object_get(rule, "enforce")))
			table_add(t, "observes");
		else
			table_add(t, page_true(rule, "cookies_active") ? "cookies" : "");
	}
	table_print(t, s->to, s->width, 0);
	if (count == 0)
		fputs("No rules: every connection is left alone.\n", s->to);
	if (count > RULES_SHOWN)
		fprintf(s->to, "and %zu more: ackgatectl rules\n", count - RULES_SHOWN);
}

void show_status(const struct show *s, const json_t *status)
{
	json_t *observed = json_object_get(status, "observed");

	head(s, status);
	configuration(s, status);
	fputc('\n', s->to);
	flows(s, status);
	handshakes(s, status);
	reasons(s, "Dropped", json_object_get(status, "drops"));
	if (sum(observed) > 0)
		reasons(s, "Would drop", observed);
	queue(s, status);
	extras(s, status);
	notes(s, status);
	rules(s, status);
}
