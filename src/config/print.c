/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/options.h"

/* What only mode = splice reads is left out elsewhere. */
static void config_print_section(enum section section, const void *base, bool splice, FILE *to)
{
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];

		if (o->section != section || o->later || (option_is_of_splice(o) && !splice))
			continue;
		fprintf(to, "%s = ", o->key);
		option_print(o, base, to);
		fputc('\n', to);
	}
}

void config_print(const struct config *c, FILE *to)
{
	for (enum section s = 0; s < SECTION_COUNT; s++) {
		if (section_rows[s].named)
			continue;
		fprintf(to, "%s[%s]\n", s == 0 ? "" : "\n", section_rows[s].name);
		config_print_section(s, c, false, to);
	}
	for (size_t i = 0; i < c->policy.rule_count; i++) {
		const struct config_rule r = {.rule = c->policy.rules[i], .splice = c->splices[i]};

		fprintf(to, "\n[rule %s]\n", r.rule.name);
		config_print_section(SECTION_RULE, &r, r.rule.mode == MODE_SPLICE, to);
	}
	for (size_t i = 0; i < c->backend_count; i++) {
		fprintf(to, "\n[backend %s]\n", c->backends[i].name);
		config_print_section(SECTION_BACKEND, &c->backends[i], true, to);
	}
}
