/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * What a logged SYN can't have is anything but a cookie: it is gone. So only those come to the log
 * for which nothing else is possible: pure SYNs that conntrack calls new and holds no entry of
 * (over one there may be a flow, which some shard knows), whose destination was not changed, that
 * carry no signature, and whose source is no link-local address. All others go on to the queue.
 *
 * The table's chains stand one priority before the judging chains. iptables on nf_tables has its
 * table "security" at 150, and others may have rules in it before ours: then there is no place that
 * is behind all of theirs, and likewise with the legacy tables, which nf_tables does not show.
 */
#include "config.h"

#include "kernel/flooded.h"

#include "kernel/nft_run.h"
#include "kernel/ranges.h"

#include <stdlib.h>
#include <string.h>

#define TABLE "inet ackgate_flooded"
#define TRIAL TABLE "_trial"

enum {
	JUDGING = 50, /* the judging chains' priority, by nftables */
	LINE = 256,
};

struct flooded {
	struct flooded_plan plan;
	bool spreads; /* the kernel can hash */
	int priority; /* the judging chains', for what is in the kernel; 0: nothing is */
	size_t rules;
};

/* All that can only be had from the queue goes back to where it came from, and on. */
static void write_group(FILE *to, unsigned worker, unsigned group)
{
	fprintf(to,
		"\tchain worker%u {\n"
		"\t\tct state new ct status & (confirmed | dnat) == 0 "
		"tcp option 19 missing tcp option 29 missing log group %u drop\n\t}\n",
		worker, group);
}

/* Source addresses may vary or not; with each may go any port. */
static void write_spread(FILE *to, unsigned workers)
{
	fputs("\tchain all_workers {\n", to);
	for (int v6 = 0; v6 < 2; v6++) {
		fprintf(to, "\t\tjhash %s saddr . tcp sport mod %u vmap { ", v6 ? "ip6" : "ip",
			workers);
		for (unsigned i = 0; i < workers; i++)
			fprintf(to, "%s%u : goto worker%u", i == 0 ? "" : ", ", i, i);
		fputs(" }\n", to);
	}
	fputs("\t}\n", to);
}

/* In as few rules as it takes: a flood passes them all. */
static void write_hook(FILE *to, const char *hook, const char *where, int priority)
{
	fprintf(to,
		"\tchain %s {\n"
		"\t\ttype filter hook %s priority %d; policy accept;\n"
		"\t\ttcp flags & (fin | syn | rst | ack) != syn return\n"
		"\t\t%sip saddr != 169.254.0.0/16 ip daddr . tcp dport vmap @servers4\n"
		"\t\t%sip6 saddr != fe80::/10 ip6 daddr . tcp dport vmap @servers6\n"
		"\t}\n",
		hook, hook, priority, where, where);
}

static void write_table(
	FILE *to, const char *table, const struct flooded_plan *plan, bool spreads, int priority)
{
	fprintf(to,
		"table %s {\n"
		"\tmap servers4 {\n"
		"\t\ttype ipv4_addr . inet_service : verdict; flags timeout;\n\t}\n"
		"\tmap servers6 {\n"
		"\t\ttype ipv6_addr . inet_service : verdict; flags timeout;\n\t}\n",
		table);
	for (unsigned i = 0; i < plan->workers; i++)
		write_group(to, i, plan->group + i);
	if (spreads)
		write_spread(to, plan->workers);
	write_hook(to, "input", "iif != \"lo\" ", priority);
	write_hook(to, "forward", "", priority);
	fputs("}\n", to);
}

static bool run(const char *text, char *why, size_t why_size)
{
	char line[LINE];
	char *said;
	bool ok = nft_run(text, NFT_RUN_PLAIN, &said);

	if (!ok) {
		ruleset_first_line(line, sizeof(line), said);
		snprintf(why, why_size, "nftables refused it: %s", line);
	}
	free(said);
	return ok;
}

static bool can(const struct flooded_plan *plan, bool spreads)
{
	char *text = NULL;
	size_t size;
	bool forbidden;
	FILE *to = open_memstream(&text, &size);

	if (to == NULL)
		return false;
	write_table(to, TRIAL, plan, spreads, JUDGING - 1);
	bool ok = fclose(to) == 0 && nft_run_trial(text, &forbidden);
	free(text);
	return ok;
}

struct flooded *flooded_open(const struct flooded_plan *plan, char *why, size_t why_size)
{
	struct flooded *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	f->plan = *plan;
	f->spreads = plan->workers > 1 && can(plan, true);
	if (f->spreads || can(plan, false))
		return f;
	snprintf(why, why_size,
		"nf_tables can't log, or has no sets with timeouts (modules nft_log and "
		"nfnetlink_log)");
	free(f);
	return NULL;
}

void flooded_close(struct flooded *f)
{
	free(f);
}

/* The priority of the chain that iptables has at a hook, 0 if others have rules in it; `absent` if
 * there is none, or none of nf_tables'. */
static int priority_of(const char *family, const char *hook, int absent)
{
	char command[LINE];
	int priority = 0;
	unsigned rules = 0;
	size_t i;
	json_t *item;

	snprintf(command, sizeof(command), "list chain %s security %s", family, hook);
	json_t *root = nft_run_list(command, NFT_RUN_JSON);
	if (root == NULL)
		return absent;
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		json_t *chain = json_object_get(item, "chain");
		if (chain != NULL)
			priority = (int)json_integer_value(json_object_get(chain, "prio"));
		rules += json_object_get(item, "rule") != NULL;
	}
	json_decref(root);
	return rules == 1 ? priority : 0;
}

/* Where all of ours are, and none of others'; 0 if there is no such place. */
static int priority_of_judging(enum ruleset_way way)
{
	if (way == RULESET_NFTABLES)
		return JUDGING;
	int priority = priority_of("ip", "INPUT", 0);
	/* A host without IPv6 has no chains of it. */
	bool same = priority_of("ip", "FORWARD", 0) == priority &&
		    priority_of("ip6", "INPUT", priority) == priority &&
		    priority_of("ip6", "FORWARD", priority) == priority;
	return same ? priority : 0;
}

static size_t count_rules(json_t *root)
{
	struct ruleset_found found;

	nft_run_read(root, &found);
	return found.rules;
}

/* A table of an earlier process is filled anew: deleting its base chains would make the kernel drop
 * what waits in the queues. Only one at another priority has to go. */
static bool install(struct flooded *f, int priority, json_t *there, char *why, size_t why_size)
{
	char *text = NULL;
	size_t size;
	bool ok = false;
	FILE *to = open_memstream(&text, &size);

	if (to != NULL) {
		nft_run_write_clearing(there, TABLE, to);
		write_table(to, TABLE, &f->plan, f->spreads, priority - 1);
		ok = fclose(to) == 0;
	}
	if (!ok)
		snprintf(why, why_size, "out of memory");
	ok = ok && run(text, why, why_size);
	free(text);
	return ok;
}

int flooded_apply(struct flooded *f, char *why, size_t why_size)
{
	int priority = priority_of_judging(f->plan.way);
	json_t *there = nft_run_list("list table " TABLE, NFT_RUN_JSON);
	bool ok = f->priority == priority && f->rules > 0 && count_rules(there) == f->rules;

	if (priority == 0) {
		snprintf(why, why_size,
			"iptables' table \"security\" holds rules of others, or is not nf_tables'");
	} else if (!ok) {
		ok = install(f, priority, there, why, why_size) ||
		     (flooded_remove(why, why_size) == 0 &&
			     install(f, priority, NULL, why, why_size));
		json_decref(there);
		there = nft_run_list("list table " TABLE, NFT_RUN_JSON);
		f->rules = count_rules(there);
	}
	json_decref(there);
	f->priority = ok ? priority : 0;
	return ok ? 0 : -1;
}

int flooded_remove(char *why, size_t why_size)
{
	return nft_run_delete_table(TABLE, why, why_size) ? 0 : -1;
}

static void write_server(FILE *to, const struct flooded *f, const struct flooded_server *s)
{
	const struct addr_range only = {s->addr, s->addr};
	char text[RANGES_TEXT];

	addr_range_print(text, &only);
	fprintf(to, "add element " TABLE " servers%s { %s . %u timeout %us : goto ",
		addr_is_v4(&s->addr) ? "4" : "6", text, s->port, FLOODED_LASTS_S);
	if (s->spread && f->spreads)
		fputs("all_workers }\n", to);
	else
		fprintf(to, "worker%u }\n", s->worker % f->plan.workers);
}

int flooded_list(struct flooded *f, const struct flooded_server *servers, size_t count, char *why,
	size_t why_size)
{
	char *text = NULL;
	size_t size;
	FILE *to;
	bool ok = false;

	if (f->priority == 0) {
		snprintf(why, why_size, "the table is not there");
		return -1;
	}
	to = open_memstream(&text, &size);
	if (to != NULL) {
		/* One that is there keeps its timeout when it is added again. */
		fputs("flush map " TABLE " servers4\nflush map " TABLE " servers6\n", to);
		for (size_t i = 0; i < count; i++)
			write_server(to, f, &servers[i]);
		ok = fclose(to) == 0;
	}
	if (!ok)
		snprintf(why, why_size, "out of memory");
	ok = ok && run(text, why, why_size);
	free(text);
	return ok ? 0 : -1;
}

int flooded_print(const struct flooded_plan *plan, FILE *to)
{
	fputs("add table " TABLE "\nflush table " TABLE "\n", to);
	write_table(to, TABLE, plan, plan->workers > 1,
		(plan->way == RULESET_NFTABLES ? JUDGING : 150) - 1);
	return ferror(to) ? -1 : 0;
}
