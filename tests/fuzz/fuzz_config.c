/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a main file and a fragment: there is a configuration or there are faults, and what
 * is printed reads back. */
#include <config.h> /* Autoconf's: names beyond C11 */

#include "config/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static char *print(const struct config *c, size_t *len)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, len);

	must(to != NULL);
	config_print(c, to);
	fclose(to);
	return text;
}

/* One line for each fault, in the file's order. */
static void check_errors(const struct config_errors *errors)
{
	char last_file = 'a';
	unsigned long last_line = 1;

	for (size_t i = 0; i < errors->count; i++) {
		const char *e = errors->list[i];
		char *end;
		unsigned long line = strtoul(e + 2, &end, 10);

		must((e[0] == 'a' || e[0] == 'b') && e[1] == ':' && strncmp(end, ": ", 2) == 0);
		must(strchr(e, '\n') == NULL && strchr(e, '\x1b') == NULL);
		must(e[0] > last_file || (e[0] == last_file && line >= last_line));
		last_file = e[0];
		last_line = line;
	}
}

static void check_config(const struct config *c)
{
	bool seen[POLICY_RULES_MAX] = {false};
	size_t len, again_len;
	char *text = print(c, &len), *again_text;
	const struct config_source source = {.name = "a", .text = text, .len = len};
	struct config_errors errors = {0};
	struct config *again = config_parse(&source, 1, c, &errors);

	must(again != NULL && errors.count == 0);
	again_text = print(again, &again_len);
	must(len == again_len && memcmp(text, again_text, len) == 0);
	for (size_t i = 0; i < c->policy.rule_count; i++) {
		const struct policy_rule *r = &c->policy.rules[i];

		must(r->slot < POLICY_RULES_MAX && !seen[r->slot] &&
			again->policy.rules[i].slot == r->slot);
		seen[r->slot] = true;
		for (size_t k = 1; k < r->port_count; k++)
			must(r->port[k - 1].last < r->port[k].first);
		for (size_t k = 0; k < r->from_count; k++)
			must(addr_in_range(&r->from[k].last, &r->from[k]));
	}
	free(text);
	free(again_text);
	config_free(again);
}

/* The bytes behind a NUL, if there is one, are the fragment's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *split = size > 0 ? memchr(text, '\0', size) : NULL;
	size_t first = split != NULL ? (size_t)(split - text) : size;
	const struct config_source sources[] = {
		{.name = "a", .text = text, .len = first},
		{.name = "b",
			.text = split != NULL ? split + 1 : "",
			.len = split != NULL ? size - first - 1 : 0},
	};
	struct config_errors errors = {0};
	struct config *c = config_parse(sources, 2, NULL, &errors);

	must((c == NULL) == (errors.count > 0));
	check_errors(&errors);
	if (c != NULL)
		check_config(c);
	config_errors_free(&errors);
	config_free(c);
	return 0;
}
