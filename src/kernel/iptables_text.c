/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading and changing: lines in, lines out. How a step becomes lines is iptables_render.c's.
 *
 * A chain that is declared is flushed if it exists, so a change declares all our chains, old and
 * new, fills the new and deletes the others, all in the table's one transaction. The hooks' jumps
 * are only added where they are missing.
 */
#include "config.h"

#include "kernel/iptables_text.h"

#include <inttypes.h>
#include <stdlib.h>

#define OURS "ACKGATE_"

const char *iptables_table_name(enum iptables_table table)
{
	static const char *const names[IPTABLES_TABLES] = {
		[IPTABLES_RAW] = "raw",
		[IPTABLES_MANGLE] = "mangle",
		[IPTABLES_SECURITY] = "security",
	};
	return names[table];
}

static bool is_ours(const char *chain)
{
	return strncmp(chain, OURS, strlen(OURS)) == 0;
}

static bool leads_to_ours(const char *rule)
{
	const char *target = strstr(rule, " -j " OURS);
	return target != NULL || strstr(rule, " -g " OURS) != NULL;
}

static void parse_comment(const char *rule, uint64_t packets, struct ruleset_counts *counts)
{
	static const char before[] = "--comment ";
	const char *comment = strstr(rule, before);
	if (comment == NULL)
		return;
	comment += strlen(before);
	chain_tally_add(counts, comment + (*comment == '"'), packets);
}

/* One line, "[12:3456] -A CHAIN ...". */
static void parse_rule(
	struct iptables_text *out, FILE *rules, const char *line, struct ruleset_counts *counts)
{
	uint64_t packets = 0;
	const char *rule = strstr(line, "-A ");
	if (rule == NULL)
		return;
	if (!is_ours(rule + 3)) {
		if (leads_to_ours(rule))
			words_add(&out->jumps, "%s", rule);
		return;
	}
	fprintf(rules, "%s\n", rule);
	out->rule_count++;
	if (counts != NULL && sscanf(line, "[%" SCNu64 ":", &packets) == 1)
		parse_comment(rule, packets, counts);
}

bool iptables_text_parse(
	struct iptables_text *out, const char *saved, struct ruleset_counts *counts)
{
	size_t size;
	FILE *rules = open_memstream(&out->rules, &size);
	char *copy = strdup(saved);
	bool ok = false;

	if (rules == NULL || copy == NULL)
		goto out;
	char *rest = copy;
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		if (line[0] == ':' && is_ours(line + 1))
			words_add(&out->chains, "%.*s", (int)strcspn(line + 1, " "), line + 1);
		else if (line[0] == '[' || line[0] == '-')
			parse_rule(out, rules, line, counts);
	}
	ok = !out->chains.failed && !out->jumps.failed;
out:
	free(copy);
	if (rules != NULL && fclose(rules) != 0)
		ok = false;
	return ok;
}

static void write_jumps(
	FILE *to, const struct iptables_text *there, const struct iptables_text *wanted)
{
	for (size_t i = 0; i < wanted->jumps.count; i++)
		if (!words_have(&there->jumps, wanted->jumps.list[i]))
			fprintf(to, "%s\n", wanted->jumps.list[i]);
	for (size_t i = 0; i < there->jumps.count; i++)
		if (!words_have(&wanted->jumps, there->jumps.list[i]))
			fprintf(to, "-D%s\n", there->jumps.list[i] + strlen("-A"));
}

void iptables_text_write_change(FILE *to, enum iptables_table table,
	const struct iptables_text *there, const struct iptables_text *wanted)
{
	if (there->chains.count + there->jumps.count + wanted->chains.count == 0)
		return; /* a table that is not named need not exist */
	fprintf(to, "*%s\n", iptables_table_name(table));
	for (size_t i = 0; i < there->chains.count; i++)
		if (!words_have(&wanted->chains, there->chains.list[i]))
			fprintf(to, ":%s - [0:0]\n", there->chains.list[i]);
	for (size_t i = 0; i < wanted->chains.count; i++)
		fprintf(to, ":%s - [0:0]\n", wanted->chains.list[i]);
	fputs(wanted->rules != NULL ? wanted->rules : "", to);
	write_jumps(to, there, wanted);
	for (size_t i = 0; i < there->chains.count; i++)
		if (!words_have(&wanted->chains, there->chains.list[i]))
			fprintf(to, "-X %s\n", there->chains.list[i]);
	fputs("COMMIT\n", to);
}

void iptables_text_free(struct iptables_text *t)
{
	words_free(&t->chains);
	words_free(&t->jumps);
	free(t->rules);
	*t = (struct iptables_text){0};
}
