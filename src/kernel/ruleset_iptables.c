/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The iptables way: chains ACKGATE_... in the tables security, raw and mangle, for each family, by
 * the programs of whichever variant (nft or legacy) the host uses. Each table changes in one
 * transaction; if a later one fails, those before it are changed back.
 */
#include "config.h"

#include "kernel/iptables_text.h"
#include "kernel/ruleset_way.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	FAMILIES = 2,
	NO_SUCH_PROGRAM = 127,
	SAID = 256
};

static const char *const restore_program[FAMILIES] = {
	[RANGES_IPV4] = "iptables-restore",
	[RANGES_IPV6] = "ip6tables-restore",
};
static const char *const save_program[FAMILIES] = {
	[RANGES_IPV4] = "iptables-save",
	[RANGES_IPV6] = "ip6tables-save",
};

/* Everything of ours, in every family and table. */
struct everything {
	struct iptables_text part[FAMILIES][IPTABLES_TABLES];
};

static void free_everything(struct everything *e)
{
	for (size_t f = 0; f < FAMILIES; f++)
		for (size_t t = 0; t < IPTABLES_TABLES; t++)
			iptables_text_free(&e->part[f][t]);
}

static size_t families(const struct ruleset_host *host)
{
	return host->ipv6 ? FAMILIES : 1;
}

int ruleset_run_program(
	const struct ruleset_host *host, const char *const argv[], const char *input, char **output)
{
	*output = NULL;
	if (host->exec == NULL)
		return -1;
	int status = host->exec(host->exec_arg, argv, input, output);
	return status == NO_SUCH_PROGRAM ? -1 : status;
}

static int restore(
	const struct ruleset_host *host, enum ranges_family family, const char *input, char **said)
{
	const char *const argv[] = {restore_program[family], "-w", "--noflush", NULL};
	return ruleset_run_program(host, argv, input, said);
}

static bool says(const char *said, const char *words)
{
	return said != NULL && strstr(said, words) != NULL;
}

/* What is missing, as a clause. */
static void explain(
	char *why, size_t why_size, enum ranges_family family, int status, const char *said)
{
	const char *program = restore_program[family];
	char line[SAID];

	ruleset_first_line(line, sizeof(line), said);
	if (status < 0)
		snprintf(why, why_size, "the program %s can't be run (package iptables)", program);
	else if (says(said, "not permitted") || says(said, "ermission denied"))
		snprintf(why, why_size, "%s lacks the privilege to change the kernel's rules",
			program);
	else if (says(said, "Table does not exist"))
		snprintf(why, why_size,
			"the kernel lacks one of the tables \"security\" and \"raw\" of %s: %s",
			family == RANGES_IPV4
				? "iptables (modules iptable_security, iptable_raw)"
				: "ip6tables (modules ip6table_security, ip6table_raw)",
			line);
	else
		snprintf(why, why_size,
			"%s refused a rule that needs NFQUEUE, CT, mark, connmark, conntrack, "
			"limit, "
			"multiport and comment: %s",
			program, line);
}

/* In chains that nothing leads to. Taken away in a second transaction: the legacy tables are only
 * looked at as they end up. */
static bool probe_family(
	const struct ruleset_host *host, enum ranges_family family, char *why, size_t why_size)
{
	static const char trial[] =
		"*raw\n:ACKGATE_TRIAL - [0:0]\n"
		"-A ACKGATE_TRIAL -m mark --mark 0x1/0x1 -j CT --notrack\nCOMMIT\n"
		"*security\n:ACKGATE_TRIAL - [0:0]\n"
		"-A ACKGATE_TRIAL -p tcp -m multiport --dports 1,2 -m mark --mark 0x1/0x1"
		" -m connmark --mark 0x1/0x1 -m tcp --tcp-flags SYN SYN"
		" -m conntrack --ctstate NEW --ctdir ORIGINAL -m limit --limit 1/second"
		" -m comment --comment \"ackgate:trial\" -j NFQUEUE --queue-balance 0:1"
		" --queue-bypass\n"
		"-A ACKGATE_TRIAL -j CONNMARK --set-xmark 0x1/0x1\n"
		"-A ACKGATE_TRIAL -j MARK --set-xmark 0x1/0x1\nCOMMIT\n";
	static const char end[] = "*raw\n-F ACKGATE_TRIAL\n-X ACKGATE_TRIAL\nCOMMIT\n"
				  "*security\n-F ACKGATE_TRIAL\n-X ACKGATE_TRIAL\nCOMMIT\n";
	static const char end_raw[] = "*raw\n-F ACKGATE_TRIAL\n-X ACKGATE_TRIAL\nCOMMIT\n";
	char *said;

	int status = restore(host, family, trial, &said);
	if (status != 0)
		explain(why, why_size, family, status, said);
	free(said);
	if (status >= 0) {
		restore(host, family, status == 0 ? end : end_raw, &said);
		free(said);
	}
	return status == 0;
}

static bool host_has_ipv6(void)
{
	return access("/proc/net/if_inet6", F_OK) == 0;
}

static bool probe(struct ruleset_host *host, char *why, size_t why_size)
{
	host->ipv6 = false;
	if (!probe_family(host, RANGES_IPV4, why, why_size))
		return false;
	/* Where there is IPv6, rules for IPv4 alone would leave a door open. */
	if (host_has_ipv6() && !probe_family(host, RANGES_IPV6, why, why_size))
		return false;
	host->ipv6 = host_has_ipv6();
	return true;
}

static bool list_table(const struct ruleset_host *host, enum ranges_family family,
	enum iptables_table table, struct iptables_text *out, struct ruleset_counts *counts)
{
	const char *const argv[] = {
		save_program[family], "-c", "-t", iptables_table_name(table), NULL};
	char *saved;

	int status = ruleset_run_program(host, argv, NULL, &saved);
	bool ok = status == 0 && iptables_text_parse(out, saved != NULL ? saved : "", counts);
	free(saved);
	/* Only cookies need mangle, and a kernel without it holds none of ours there. */
	return ok || (table == IPTABLES_MANGLE && status > 0);
}

static bool list_everything(
	const struct ruleset_host *host, struct everything *out, struct ruleset_counts *counts)
{
	*out = (struct everything){0};
	for (size_t f = 0; f < families(host); f++)
		for (size_t t = 0; t < IPTABLES_TABLES; t++)
			if (!list_table(host, (enum ranges_family)f, (enum iptables_table)t,
				    &out->part[f][t], counts))
				return false;
	return true;
}

static size_t count_table(const struct iptables_text *t)
{
	return t->rule_count + t->jumps.count;
}

static size_t count_rules(const struct everything *e)
{
	size_t rules = 0;
	for (size_t f = 0; f < FAMILIES; f++)
		for (size_t t = 0; t < IPTABLES_TABLES; t++)
			rules += count_table(&e->part[f][t]);
	return rules;
}

static bool any_chains(const struct everything *e)
{
	for (size_t f = 0; f < FAMILIES; f++)
		for (size_t t = 0; t < IPTABLES_TABLES; t++)
			if (e->part[f][t].chains.count > 0)
				return true;
	return false;
}

static bool read_tables(const struct ruleset_host *host, struct ruleset_found *out)
{
	struct everything there;
	*out = (struct ruleset_found){0};
	bool ok = list_everything(host, &there, &out->counts);
	out->rules = count_rules(&there);
	out->anything = any_chains(&there);
	free_everything(&there);
	return ok;
}

static bool change_family(const struct ruleset_host *host, enum ranges_family family,
	const struct everything *there, const struct everything *wanted, char *why, size_t why_size)
{
	char *input = NULL, *said = NULL;
	char line[SAID];
	size_t size;
	int status = -1;
	FILE *to = open_memstream(&input, &size);

	if (to == NULL)
		goto memory;
	for (size_t t = 0; t < IPTABLES_TABLES; t++)
		iptables_text_write_change(to, (enum iptables_table)t, &there->part[family][t],
			&wanted->part[family][t]);
	if (fclose(to) != 0)
		goto memory;
	status = restore(host, family, input, &said);
	if (status != 0) {
		ruleset_first_line(line, sizeof(line), said);
		snprintf(why, why_size, "%s refused the rules: %s", restore_program[family], line);
	}
	goto out;
memory:
	snprintf(why, why_size, "out of memory for the rules");
out:
	free(input);
	free(said);
	return status == 0;
}

/* Whether a table is neither as it was nor as it was to be. */
static bool is_disturbed(const struct iptables_text *there, const struct iptables_text *before,
	const struct iptables_text *wanted)
{
	const size_t rules = count_table(there);

	return rules != count_table(before) && rules != count_table(wanted);
}

/* The families up to `family`, which was refused, as they were; what can't be is left for the next
 * change. RULESET_DISTURBED if somebody else has changed them meanwhile. */
static int change_back(const struct ruleset_host *host, size_t family,
	const struct everything *before, const struct everything *wanted)
{
	char why[SAID];
	struct everything there;
	bool listed = list_everything(host, &there, NULL), disturbed = false;

	for (size_t f = 0; listed && f <= family; f++) {
		for (size_t t = 0; t < IPTABLES_TABLES; t++)
			disturbed |= is_disturbed(
				&there.part[f][t], &before->part[f][t], &wanted->part[f][t]);
		change_family(host, (enum ranges_family)f, &there, before, why, sizeof(why));
	}
	free_everything(&there);
	return disturbed ? RULESET_DISTURBED : RULESET_REFUSED;
}

/* 0, RULESET_REFUSED or RULESET_DISTURBED. */
static int change_to(const struct ruleset_host *host, const struct everything *wanted,
	long expected, char *why, size_t why_size)
{
	struct everything there;
	int result = 0;

	if (!list_everything(host, &there, NULL)) {
		snprintf(why, why_size, "iptables-save did not show the rules that are there");
		result = RULESET_REFUSED;
	} else if (expected != RULESET_ANY && expected != (long)count_rules(&there)) {
		snprintf(why, why_size, "somebody has taken our rules away");
		result = RULESET_DISTURBED;
	}
	for (size_t f = 0; result == 0 && f < families(host); f++)
		if (!change_family(host, (enum ranges_family)f, &there, wanted, why, why_size))
			result = change_back(host, f, &there, wanted);
	free_everything(&there);
	return result;
}

static long install(const struct ruleset_host *host, const struct chains *chains, long expected,
	char *why, size_t why_size)
{
	struct everything wanted = {0};
	bool ok = true;
	long rules = RULESET_REFUSED;

	for (size_t f = 0; ok && f < families(host); f++)
		for (size_t t = 0; ok && t < IPTABLES_TABLES; t++)
			ok = iptables_text_render(&wanted.part[f][t], chains, (enum ranges_family)f,
				(enum iptables_table)t, false);
	if (!ok)
		snprintf(why, why_size, "out of memory for the rules");
	else
		rules = change_to(host, &wanted, expected, why, why_size);
	if (rules == 0)
		rules = (long)count_rules(&wanted);
	free_everything(&wanted);
	return rules;
}

static bool remove_tables(const struct ruleset_host *host, char *why, size_t why_size)
{
	const struct everything nothing = {0};
	return change_to(host, &nothing, RULESET_ANY, why, why_size) == 0;
}

static bool print(const struct chains *chains, FILE *to)
{
	const struct iptables_text nothing = {0};
	bool ok = true;

	for (size_t f = 0; ok && f < FAMILIES; f++) {
		fprintf(to, "# %s --noflush\n", restore_program[f]);
		for (size_t t = 0; ok && t < IPTABLES_TABLES; t++) {
			struct iptables_text wanted = {0};
			ok = iptables_text_render(&wanted, chains, (enum ranges_family)f,
				(enum iptables_table)t, true);
			iptables_text_write_change(to, (enum iptables_table)t, &nothing, &wanted);
			iptables_text_free(&wanted);
		}
	}
	return ok;
}

const struct ruleset_way_ops ruleset_iptables = {
	.name = "iptables",
	.probe = probe,
	.read = read_tables,
	.install = install,
	.remove = remove_tables,
	.print = print,
};
