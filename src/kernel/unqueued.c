/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * What a logged SYN of a flooded server can't have is anything but a cookie: it is gone. So only
 * those come to the log for which nothing else is possible: pure SYNs that conntrack calls new and
 * holds no entry of (over one there may be a flow, which some shard knows), whose destination was
 * not changed, that carry no signature, and whose source is no link-local address. All others go on
 * to the queue.
 *
 * Of a listener's connections all that is not admitted yet is told and given our bit, by which the
 * judging chains let it go on and take the ACK for the one that admits. Left to those chains is
 * what conntrack does not know, and a SYN over an admitted connection: whether the listener takes
 * it decides on the mark. So is all of a connection that user space itself has opened in a client's
 * name, once that had proved a cookie: a set holds those, since the listener's answers are not for
 * the client. The worker is chosen by the pair of ends, whichever of them sends.
 *
 * The table's chains stand one priority before the judging chains. iptables on nf_tables has its
 * table "security" at 150, and others may have rules in it before ours: then there is no place that
 * is behind all of theirs, and likewise with the legacy tables, which nf_tables does not show.
 */
#include "config.h"

#include "kernel/unqueued.h"

#include "kernel/nft_run.h"
#include "kernel/ranges.h"

#include <stdlib.h>
#include <string.h>

#define TABLE   "inet ackgate_unqueued"
#define TRIAL   TABLE "_trial"
#define IS_SYN  "tcp flags & (fin | syn | rst | ack) == syn "
#define NO_OPEN "tcp flags & (syn | rst) == 0 "

enum {
	JUDGING = 50, /* the judging chains' priority, by nftables */
	LINE = 256,
	OPENED_LASTS_S = 120, /* longer than user space asks a server */
	/* New connections that are only told of: more than a proxy of many CPUs has, and no flood
	 * that fills conntrack's table before the daemon has seen it. */
	SYNS_PER_S = 30000,
	SYNS_AT_ONCE = 3000,
};

struct unqueued {
	struct unqueued_plan plan;
	bool spreads; /* the kernel can hash */
	bool tells;   /* it can tell of listeners */
	int priority; /* the judging chains', for what is in the kernel; 0: nothing is */
	size_t rules;
};

static void write_map(FILE *to, const char *name, const char *type)
{
	fprintf(to, "\tmap %s {\n\t\ttype %s : verdict; flags timeout;\n\t}\n", name, type);
}

static void write_maps(FILE *to, const struct unqueued_plan *p)
{
	if (p->servers) {
		write_map(to, "servers4", "ipv4_addr . inet_service");
		write_map(to, "servers6", "ipv6_addr . inet_service");
	}
	if (p->listeners) {
		write_map(to, "places4", "ipv4_addr . inet_service");
		write_map(to, "places6", "ipv6_addr . inet_service");
		write_map(to, "ports4", "inet_service");
		write_map(to, "ports6", "inet_service");
		fputs("\tset opened {\n\t\ttypeof ct id; flags dynamic,timeout; size 65536;\n\t}\n",
			to);
	}
}

/* All that can only be had from the queue goes back to where it came from, and on. */
static void write_worker(FILE *to, const struct unqueued_plan *p, unsigned worker)
{
	fprintf(to,
		"\tchain worker%u {\n"
		"\t\t%sct state new ct status & (confirmed | dnat) == 0 "
		"tcp option 19 missing tcp option 29 missing log group %u drop\n\t}\n",
		worker, p->listeners ? IS_SYN : "", p->group + worker);
}

static void write_choice(FILE *to, unsigned workers, const char *chain)
{
	fputs(" vmap { ", to);
	for (unsigned i = 0; i < workers; i++)
		fprintf(to, "%s%u : goto %s%u", i == 0 ? "" : ", ", i, chain, i);
	fputs(" }\n", to);
}

/* Source addresses may vary or not; with each may go any port. */
static void write_spread(FILE *to, unsigned workers)
{
	fputs("\tchain all_workers {\n", to);
	for (int v6 = 0; v6 < 2; v6++) {
		fprintf(to, "\t\tjhash %s saddr . tcp sport mod %u", v6 ? "ip6" : "ip", workers);
		write_choice(to, workers, "worker");
	}
	fputs("\t}\n", to);
}

/* By the client's end, whichever end sends: with one seed, so that both ways come to one worker. */
static void write_teller(FILE *to, const struct unqueued_plan *p, bool reply)
{
	const char end = reply ? 'd' : 's';

	for (int v6 = 0; v6 < 2; v6++) {
		fprintf(to, "\t\tct direction %s jhash %s %caddr . tcp %cport mod %u seed 0x%x",
			reply ? "reply" : "original", v6 ? "ip6" : "ip", end, end, p->workers,
			p->seed);
		write_choice(to, p->workers, "tell");
	}
}

static void write_tell(FILE *to, const struct unqueued_plan *p, bool spreads)
{
	const unsigned workers = spreads ? p->workers : 1;

	for (unsigned i = 0; i < workers; i++)
		fprintf(to, "\tchain tell%u {\n\t\tlog group %u\n\t}\n", i, p->group + i);
	fprintf(to,
		"\tchain tell {\n"
		"\t\tmeta mark set meta mark | 0x%08x\n",
		p->mark);
	if (spreads) {
		write_teller(to, p, false);
		write_teller(to, p, true);
	} else {
		fputs("\t\tgoto tell0\n", to);
	}
	fputs("\t}\n", to);
}

/* What is above the limit is queued, whatever the daemon has come to know of it. */
static void write_listener(FILE *to, const struct unqueued_plan *p)
{
	fprintf(to,
		"\tchain own_syns {\n"
		"\t\tmeta mark & 0x%08x != 0 " IS_SYN "update @opened { ct id timeout %us }\n"
		"\t}\n"
		"\tchain listener {\n"
		"\t\tct mark & 0x%08x != 0 return\n"
		"\t\tct id @opened return\n"
		"\t\tct state established,related goto tell\n"
		"\t\t" IS_SYN "ct state new limit rate %u/second burst %u packets goto tell\n"
		"\t}\n",
		p->mark, OPENED_LASTS_S, p->mark, SYNS_PER_S, SYNS_AT_ONCE);
}

static void write_head(FILE *to, const char *hook, int priority)
{
	fprintf(to,
		"\tchain %s {\n"
		"\t\ttype filter hook %s priority %d; policy accept;\n",
		hook, hook, priority);
}

/* In as few rules as it takes: a flood passes them all. */
static void write_servers(FILE *to, const char *where)
{
	fprintf(to,
		"\t\t%sip saddr != 169.254.0.0/16 ip daddr . tcp dport vmap @servers4\n"
		"\t\t%sip6 saddr != fe80::/10 ip6 daddr . tcp dport vmap @servers6\n",
		where, where);
}

static void write_listeners(FILE *to, char end)
{
	fprintf(to,
		"\t\tip %caddr . tcp %cport vmap @places4\n"
		"\t\tip6 %caddr . tcp %cport vmap @places6\n"
		"\t\tmeta nfproto ipv4 tcp %cport vmap @ports4\n"
		"\t\tmeta nfproto ipv6 tcp %cport vmap @ports6\n",
		end, end, end, end, end, end);
}

static void write_input(FILE *to, const struct unqueued_plan *p, int priority)
{
	write_head(to, "input", priority);
	if (p->listeners)
		fprintf(to,
			"\t\t" NO_OPEN "ct mark & 0x%08x != 0 return\n"
			"\t\tmeta l4proto != tcp return\n"
			"\t\tct direction reply return\n"
			"\t\tiif \"lo\" goto own_syns\n",
			p->mark);
	else
		fputs("\t\ttcp flags & (fin | syn | rst | ack) != syn return\n", to);
	if (p->servers)
		write_servers(to, p->listeners ? "" : "iif != \"lo\" ");
	if (p->listeners)
		write_listeners(to, 'd');
	fputs("\t}\n", to);
}

static void write_forward(FILE *to, int priority)
{
	write_head(to, "forward", priority);
	fputs("\t\ttcp flags & (fin | syn | rst | ack) != syn return\n", to);
	write_servers(to, "");
	fputs("\t}\n", to);
}

/* A listener's own words: what it says before the ACK, but for SYN-ACK and RST, is for the
 * judging chains. */
static void write_output(FILE *to, int priority)
{
	write_head(to, "output", priority);
	fputs("\t\t" NO_OPEN "return\n"
	      "\t\tmeta l4proto != tcp return\n"
	      "\t\tct direction original return\n"
	      "\t\toif \"lo\" return\n",
		to);
	write_listeners(to, 's');
	fputs("\t}\n", to);
}

static void write_table(
	FILE *to, const char *table, const struct unqueued_plan *p, bool spreads, int priority)
{
	fprintf(to, "table %s {\n", table);
	write_maps(to, p);
	if (p->servers) {
		for (unsigned i = 0; i < p->workers; i++)
			write_worker(to, p, i);
		if (spreads)
			write_spread(to, p->workers);
	}
	if (p->listeners) {
		write_tell(to, p, spreads);
		write_listener(to, p);
	}
	write_input(to, p, priority);
	if (p->servers)
		write_forward(to, priority);
	if (p->listeners)
		write_output(to, priority);
	fputs("}\n", to);
}

static bool can(const struct unqueued_plan *plan, bool servers, bool listeners, bool spreads)
{
	struct unqueued_plan all = *plan;
	char *text = NULL;
	size_t size;
	bool forbidden;
	FILE *to = open_memstream(&text, &size);

	if (to == NULL)
		return false;
	all.servers = servers;
	all.listeners = listeners;
	write_table(to, TRIAL, &all, spreads, JUDGING - 1);
	bool ok = fclose(to) == 0 && nft_run_trial(text, &forbidden);
	free(text);
	return ok;
}

struct unqueued *unqueued_open(const struct unqueued_plan *plan, char *why, size_t why_size)
{
	struct unqueued *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	u->plan = *plan;
	u->spreads = plan->workers > 1 && can(plan, true, false, true);
	/* All of a handshake must come to one worker, which that depends on. */
	u->tells = can(plan, false, true, u->spreads);
	if (u->spreads || can(plan, true, false, false))
		return u;
	snprintf(why, why_size,
		"nf_tables can't log, or has no sets with timeouts (modules nft_log and "
		"nfnetlink_log)");
	free(u);
	return NULL;
}

bool unqueued_tells(const struct unqueued *u)
{
	return u->tells;
}

void unqueued_close(struct unqueued *u)
{
	free(u);
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
static bool install(struct unqueued *u, int priority, json_t *there, char *why, size_t why_size)
{
	char *text = NULL;
	size_t size;
	bool ok = false;
	FILE *to = open_memstream(&text, &size);

	if (to != NULL) {
		nft_run_write_clearing(there, TABLE, to);
		write_table(to, TABLE, &u->plan, u->spreads, priority - 1);
		ok = fclose(to) == 0;
	}
	if (!ok)
		snprintf(why, why_size, "out of memory");
	ok = ok && nft_run_or_say(text, "refused it", why, why_size);
	free(text);
	return ok;
}

int unqueued_apply(struct unqueued *u, bool servers, bool listeners, char *why, size_t why_size)
{
	const bool same = u->plan.servers == servers && u->plan.listeners == listeners;
	int priority = priority_of_judging(u->plan.way);
	json_t *there = nft_run_list("list table " TABLE, NFT_RUN_JSON);
	bool ok = same && u->priority == priority && u->rules > 0 && count_rules(there) == u->rules;

	u->plan.servers = servers;
	u->plan.listeners = listeners;
	if (priority == 0) {
		ok = false;
		snprintf(why, why_size,
			"iptables' table \"security\" can't be read, holds rules of others, or is "
			"not nf_tables'");
	} else if (!ok) {
		ok = install(u, priority, there, why, why_size) ||
		     (unqueued_remove(why, why_size) == 0 &&
			     install(u, priority, NULL, why, why_size));
		json_decref(there);
		there = nft_run_list("list table " TABLE, NFT_RUN_JSON);
		u->rules = count_rules(there);
	}
	json_decref(there);
	u->priority = ok ? priority : 0;
	return ok ? 0 : -1;
}

int unqueued_remove(char *why, size_t why_size)
{
	return nft_run_delete_table(TABLE, why, why_size) ? 0 : -1;
}

static void write_server(FILE *to, const struct unqueued *u, const struct unqueued_server *s)
{
	const struct addr_range only = {s->addr, s->addr};
	char text[RANGES_TEXT];

	addr_range_print(text, &only);
	fprintf(to, "add element " TABLE " servers%s { %s . %u timeout %us : goto ",
		addr_is_v4(&s->addr) ? "4" : "6", text, s->port, UNQUEUED_SERVER_LASTS_S);
	if (s->spread && u->spreads)
		fputs("all_workers }\n", to);
	else
		fprintf(to, "worker%u }\n", s->worker % u->plan.workers);
}

static void list_listener(FILE *to, const struct endpoint *at)
{
	const struct addr_range only = {at->addr, at->addr};
	const char *family = addr_is_v4(&at->addr) ? "4" : "6";
	char text[RANGES_TEXT];

	addr_range_print(text, &only);
	if (endpoint_is_any(at))
		fprintf(to, "add element " TABLE " ports%s { %u ", family, at->port);
	else
		fprintf(to, "add element " TABLE " places%s { %s . %u ", family, text, at->port);
	fprintf(to, "timeout %us : goto listener }\n", UNQUEUED_LISTENER_LASTS_S);
}

/* One that is there keeps its timeout when it is added again. */
static void write_flushes(FILE *to, const struct unqueued_plan *p)
{
	if (p->servers)
		fputs("flush map " TABLE " servers4\nflush map " TABLE " servers6\n", to);
	if (p->listeners)
		fputs("flush map " TABLE " places4\nflush map " TABLE " places6\n"
		      "flush map " TABLE " ports4\nflush map " TABLE " ports6\n",
			to);
}

static void write_lists(FILE *to, const struct unqueued *u, const struct unqueued_lists *l)
{
	write_flushes(to, &u->plan);
	for (size_t i = 0; i < l->server_count; i++)
		write_server(to, u, &l->servers[i]);
	for (size_t i = 0; i < l->listener_count; i++)
		list_listener(to, &l->listeners[i]);
}

int unqueued_list(
	struct unqueued *u, const struct unqueued_lists *lists, char *why, size_t why_size)
{
	char *text = NULL;
	size_t size;
	FILE *to;
	bool ok = false;

	if (u->priority == 0) {
		snprintf(why, why_size, "the table is not there");
		return -1;
	}
	to = open_memstream(&text, &size);
	if (to != NULL) {
		write_lists(to, u, lists);
		ok = fclose(to) == 0;
	}
	if (!ok)
		snprintf(why, why_size, "out of memory");
	ok = ok && nft_run_or_say(text, "refused it", why, why_size);
	free(text);
	return ok ? 0 : -1;
}

int unqueued_print(const struct unqueued_plan *plan, FILE *to)
{
	fputs("add table " TABLE "\nflush table " TABLE "\n", to);
	write_table(to, TABLE, plan, plan->workers > 1,
		(plan->way == RULESET_NFTABLES ? JUDGING : 150) - 1);
	return ferror(to) ? -1 : 0;
}
