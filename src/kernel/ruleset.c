/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/ruleset.h"

#include "kernel/lasting.h"
#include "kernel/lasting_render.h"
#include "kernel/netlink.h"
#include "kernel/nft_run.h"
#include "kernel/ruleset_way.h"
#include "kernel/unqueued.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>

enum {
	CLAUSE = 400,
	WATCH_BUFFER = 1 << 18
};

struct ruleset {
	enum ruleset_way way;
	struct ruleset_host host;
	struct mnl_socket *watch;
	long rules;                   /* in the kernel since the last apply; -1: none was applied */
	struct ruleset_counts folded; /* of rules that others replaced */
	/* Of those that are there, when they were last read: somebody may take them away. */
	struct ruleset_counts seen;
};

static const struct ruleset_way_ops *const ways[] = {
	[RULESET_NFTABLES] = &ruleset_nft,
	[RULESET_IPTABLES] = &ruleset_iptables,
};

void ruleset_first_line(char *out, size_t size, const char *said)
{
	size_t lines = 0, len = 0;
	out[0] = '\0';
	/* Two lines: the second is what the first is about, be it a line number or the rule itself.
	 */
	while (said != NULL && *said != '\0' && lines < 2 && len + 1 < size) {
		int line = (int)strcspn(said, "\n");
		if (line > 0 && said[0] != '#') {
			int n = snprintf(
				out + len, size - len, "%s%.*s", lines == 0 ? "" : " ", line, said);
			len = n < 0 ? size : len + (size_t)n;
			lines++;
		}
		said += line;
		said += *said == '\n';
	}
	if (lines == 0)
		snprintf(out, size, "it did not say why");
}

struct ruleset *ruleset_open(const enum ruleset_way *wanted, ruleset_exec exec, void *exec_arg,
	char *why, size_t why_size)
{
	char clause[2][CLAUSE];
	struct ruleset *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	r->host = (struct ruleset_host){.exec = exec, .exec_arg = exec_arg};
	r->rules = -1;

	for (r->way = RULESET_NFTABLES; r->way <= RULESET_IPTABLES; r->way++) {
		if (wanted != NULL && *wanted != r->way)
			continue;
		if (ways[r->way]->probe(&r->host, clause[r->way], CLAUSE))
			return r;
	}
	if (wanted != NULL)
		snprintf(why, why_size, "no rules by %s: %s", ways[*wanted]->name, clause[*wanted]);
	else
		snprintf(why, why_size, "no rules by nftables: %s; nor by iptables: %s", clause[0],
			clause[1]);
	free(r);
	return NULL;
}

void ruleset_close(struct ruleset *r)
{
	if (r == NULL)
		return;
	if (r->watch != NULL)
		mnl_socket_close(r->watch);
	free(r);
}

enum ruleset_way ruleset_way(const struct ruleset *r)
{
	return r->way;
}

const struct ruleset_host *ruleset_host(const struct ruleset *r)
{
	return &r->host;
}

const char *ruleset_way_name(enum ruleset_way way)
{
	return ways[way]->name;
}

/* Names go into the kernel's rules as they are: nothing in them may mean something there. */
static bool interface_ok(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-:@";
	return name[0] != '\0' && name[0] != '-' && name[strspn(name, allowed)] == '\0';
}

static bool plan_ok(const struct ruleset_plan *plan, char *why, size_t why_size)
{
	if (plan->mark == 0 || (plan->mark & (plan->mark - 1)) != 0) {
		snprintf(why, why_size, "mark 0x%x is not exactly one bit", (unsigned)plan->mark);
		return false;
	}
	if (plan->workers == 0 || plan->queue + LANES * plan->workers - 1 > UINT16_MAX) {
		snprintf(why, why_size, "queue numbers %u to %u do not exist", plan->queue,
			plan->queue + LANES * plan->workers - 1);
		return false;
	}
	for (size_t i = 0; i < plan->policy->rule_count; i++) {
		const struct policy_rule *r = &plan->policy->rules[i];
		if (r->slot >= POLICY_RULES_MAX) {
			snprintf(why, why_size, "rule %s: slot %u does not exist", r->name,
				(unsigned)r->slot);
			return false;
		}
		for (size_t n = 0; n < r->interface_count; n++) {
			if (interface_ok(r->interface[n]))
				continue;
			snprintf(why, why_size,
				"rule %s: interface \"%s\" can't be named in a rule", r->name,
				r->interface[n]);
			return false;
		}
	}
	return true;
}

/* False if there is nothing to be read. */
static bool read_rules(struct ruleset *r, struct ruleset_found *found)
{
	if (r->rules < 0 || !ways[r->way]->read(&r->host, found))
		return false;
	chain_counts_raise(&r->seen, &found->counts);
	return true;
}

static bool clear_way(
	enum ruleset_way way, const struct ruleset_host *host, char *why, size_t why_size)
{
	struct ruleset_found found;
	/* A way that the machine does not have holds nothing of ours. */
	if (!ways[way]->read(host, &found) || !found.anything)
		return true;
	return ways[way]->remove(host, why, why_size);
}

/* An earlier process may have gone the other way: no packet is to be judged twice. */
static void clear_other_way(struct ruleset *r)
{
	char why[CLAUSE];
	struct ruleset_host host = {
		.exec = r->host.exec, .exec_arg = r->host.exec_arg, .ipv6 = true};

	clear_way(r->way == RULESET_NFTABLES ? RULESET_IPTABLES : RULESET_NFTABLES, &host, why,
		sizeof(why));
}

/* What the watch has to say about our own changes, those of programs we ran included. */
static void forget_own_changes(struct ruleset *r)
{
	if (r->watch != NULL)
		ruleset_watch_read(r);
}

/* What passed meanwhile has not been seen. */
static void tell_away(const struct ruleset *r, const struct ruleset_plan *plan)
{
	if (r->rules >= 0 && plan->were_away != NULL)
		plan->were_away(plan->arg);
}

int ruleset_apply(struct ruleset *r, const struct ruleset_plan *plan, char *why, size_t why_size)
{
	struct ruleset_found before;
	struct chains *chains;
	bool first = r->rules < 0;

	if (!plan_ok(plan, why, why_size))
		return -1;
	chains = chains_new(plan);
	if (chains == NULL) {
		snprintf(why, why_size, "out of memory for the rules");
		return -1;
	}
	/* Rules that an earlier process left are taken over with what they let through, but not
	 * with their counts. */
	read_rules(r, &before);
	long rules = ways[r->way]->install(&r->host, chains, r->rules, why, why_size);
	if (rules == RULESET_DISTURBED) {
		tell_away(r, plan);
		why[0] = '\0';
		rules = ways[r->way]->install(&r->host, chains, RULESET_ANY, why, why_size);
	}
	if (rules >= 0) {
		r->rules = rules;
		chain_counts_add(&r->folded, &r->seen);
		r->seen = (struct ruleset_counts){0};
		if (first)
			clear_other_way(r);
	}
	chains_free(chains);
	forget_own_changes(r);
	return rules >= 0 ? 0 : -1;
}

int ruleset_remove(struct ruleset *r, char *why, size_t why_size)
{
	bool ok = ways[r->way]->remove(&r->host, why, why_size);
	if (ok)
		r->rules = -1;
	forget_own_changes(r);
	return ok ? 0 : -1;
}

bool ruleset_intact(struct ruleset *r)
{
	struct ruleset_found found;
	return read_rules(r, &found) && (long)found.rules == r->rules;
}

int ruleset_counts(struct ruleset *r, struct ruleset_counts *out)
{
	struct ruleset_found found;
	bool known = r->rules < 0 || read_rules(r, &found);

	*out = r->folded;
	chain_counts_add(out, &r->seen);
	return known ? 0 : -1;
}

int ruleset_print(enum ruleset_way way, const struct ruleset_plan *plan, FILE *to)
{
	char why[CLAUSE];
	if (!plan_ok(plan, why, sizeof(why))) {
		fprintf(to, "# %s\n", why);
		return -1;
	}
	struct chains *chains = chains_new(plan);
	bool ok = chains != NULL && ways[way]->print(chains, to);
	chains_free(chains);
	return ok ? 0 : -1;
}

int ruleset_purge(ruleset_exec exec, void *exec_arg, char *why, size_t why_size)
{
	struct ruleset_host host = {.exec = exec, .exec_arg = exec_arg, .ipv6 = true};
	bool ok = true;
	for (enum ruleset_way way = RULESET_NFTABLES; way <= RULESET_IPTABLES; way++)
		ok &= clear_way(way, &host, why, why_size);
	ok &= unqueued_remove(why, why_size) == 0;
	if (lasting_there())
		ok &= nft_run_delete_table(LASTING_TABLE, why, why_size);
	return ok ? 0 : -1;
}

int ruleset_watch_fd(struct ruleset *r)
{
	if (r->watch == NULL)
		r->watch =
			netlink_open(NETLINK_NETFILTER, 1u << (NFNLGRP_NFTABLES - 1), WATCH_BUFFER);
	return r->watch != NULL ? mnl_socket_get_fd(r->watch) : -1;
}

static bool takes_away(const struct nlmsghdr *nlh)
{
	switch (NFNL_MSG_TYPE(nlh->nlmsg_type)) {
	case NFT_MSG_DELTABLE:
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_DELRULE:
	case NFT_MSG_DELOBJ: /* translation's */
		return true;
	default:
		return false;
	}
}

bool ruleset_watch_read(struct ruleset *r)
{
	_Alignas(struct nlmsghdr) char buf[1 << 16];
	bool taken = false;

	for (;;) {
		ssize_t got = mnl_socket_recvfrom(r->watch, buf, sizeof(buf));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS) {
			taken = true; /* too much happened to know */
			continue;
		}
		if (got <= 0)
			return taken;
		int left = (int)got;
		for (const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)buf;
			mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			taken |= takes_away(nlh);
	}
}
