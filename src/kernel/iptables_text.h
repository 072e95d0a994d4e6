/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Our chains as iptables-restore writes them, and as iptables-save shows them. */
#ifndef ACKGATE_KERNEL_IPTABLES_TEXT_H
#define ACKGATE_KERNEL_IPTABLES_TEXT_H

#include "kernel/chains.h"
#include "kernel/ranges.h"
#include "kernel/words.h"

enum iptables_table {
	IPTABLES_RAW,
	IPTABLES_MANGLE,
	IPTABLES_SECURITY,
	IPTABLES_TABLES
};

/* What is ours in one table of one family. Zero-initialise; free with iptables_text_free. */
struct iptables_text {
	struct words chains;
	struct words
		jumps; /* rules of other chains that lead to ours: "-A INPUT -j ACKGATE_INPUT" */
	char *rules;   /* lines */
	size_t rule_count;
};

const char *iptables_table_name(enum iptables_table table);

/* `with_names`: comments say which rule a chain belongs to. False without memory. */
bool iptables_text_render(struct iptables_text *out, const struct chains *chains,
	enum ranges_family family, enum iptables_table table, bool with_names);

/* Reads what `iptables-save -c -t TABLE` said; counts (may be NULL) are added to. False without
 * memory. */
bool iptables_text_parse(
	struct iptables_text *out, const char *saved, struct ruleset_counts *counts);

/* Writes what turns `there` into `wanted`, for iptables-restore --noflush. */
void iptables_text_write_change(FILE *to, enum iptables_table table,
	const struct iptables_text *there, const struct iptables_text *wanted);

void iptables_text_free(struct iptables_text *t);

#endif
