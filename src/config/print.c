/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/options.h"

static void config_print_section(enum section section, const void *base, FILE *to)
{
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];

		if (o->section != section || o->later)
			continue;
		fprintf(to, "%s = ", o->key);
		option_print(o, base, to);
		fputc('\n', to);
	}
}

void config_print(const struct config *c, FILE *to)
{
	for (enum section s = 0; s < SECTION_COUNT; s++) {
		if (section_rows[s].named || section_rows[s].later)
			continue;
		fprintf(to, "%s[%s]\n", s == 0 ? "" : "\n", section_rows[s].name);
		config_print_section(s, c, to);
	}
	for (size_t i = 0; i < c->policy.rule_count; i++) {
		fprintf(to, "\n[rule %s]\n", c->policy.rules[i].name);
		config_print_section(SECTION_RULE, &c->policy.rules[i], to);
	}
}
