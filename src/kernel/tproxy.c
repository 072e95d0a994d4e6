/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/tproxy.h"

#include "kernel/netlink.h"
#include "kernel/nft_run.h"
#include "kernel/tproxy_render.h"
#include "kernel/tproxy_routing.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#define TRIAL TPROXY_TABLE "_trial"

enum {
	LINE = 256,
	WATCH_BUFFER = 1 << 16
};

struct tproxy {
	bool probed;
	const char *cannot; /* NULL: nothing is missing */
	long rules;         /* in the table since the last apply; -1: none was applied */
	uint32_t mark;      /* 0: nothing was wanted */
	bool cleared;       /* what an earlier process left */
	struct mnl_socket *watch;
};

bool tproxy_wanted(const struct policy *policy, const struct config_splice *splices)
{
	for (size_t i = 0; i < policy->rule_count; i++)
		if (policy->rules[i].mode == MODE_SPLICE &&
			(splices[i].transparent || splices[i].source == SOURCE_CLIENT))
			return true;
	return false;
}

struct tproxy *tproxy_open(void)
{
	struct tproxy *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->rules = -1;
	return t;
}

void tproxy_close(struct tproxy *t)
{
	if (t == NULL)
		return;
	if (t->watch != NULL)
		mnl_socket_close(t->watch);
	free(t);
}

static bool can(const char *rule, bool *forbidden)
{
	char text[LINE];

	snprintf(text, sizeof(text),
		"table " TRIAL " {\n\tchain trial {\n"
		"\t\ttype filter hook prerouting priority -95;\n\t\t%s\n\t}\n}\n",
		rule);
	return nft_run_trial(text, forbidden);
}

static const char *probe(void)
{
	static const struct {
		const char *rule;
		const char *lacking;
	} trials[] = {
		{"", "the kernel has no nf_tables for IPv4 and IPv6 (module nf_tables, "
		     "CONFIG_NF_TABLES_INET)"},
		{"meta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:1",
			"the kernel has no \"tproxy\" statement (module nft_tproxy, "
			"CONFIG_NFT_TPROXY)"},
		{"socket wildcard 1 socket transparent 1",
			"the kernel has no \"socket wildcard\" expression (module nft_socket, "
			"CONFIG_NFT_SOCKET, Linux 5.10 or later)"},
		{"fib daddr type local", "the kernel has no \"fib\" expression (module "
					 "nft_fib_inet, CONFIG_NFT_FIB_INET)"},
	};
	bool forbidden;

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		if (!can(trials[i].rule, &forbidden))
			return forbidden ? "CAP_NET_ADMIN is needed to change the kernel's rules"
					 : trials[i].lacking;
	return NULL;
}

const char *tproxy_cannot(struct tproxy *t)
{
	if (!t->probed)
		t->cannot = probe();
	t->probed = true;
	return t->cannot;
}

static json_t *list(void)
{
	return nft_run_list("list table " TPROXY_TABLE, NFT_RUN_JSON);
}

static long install(const struct tproxy_plan *plan, char *why, size_t why_size)
{
	char *text = NULL;
	size_t size;
	long rules = -1;
	json_t *there = list();
	FILE *to = open_memstream(&text, &size);

	if (to != NULL) {
		nft_run_write_clearing(there, TPROXY_TABLE, to);
		rules = tproxy_render(to, TPROXY_TABLE, plan);
		if (fclose(to) != 0)
			rules = -1;
	}
	if (rules < 0)
		snprintf(why, why_size, "out of memory for the rules");
	else if (!nft_run_or_say(text, "refused the rules of transparent rules", why, why_size))
		rules = -1;
	free(text);
	json_decref(there);
	return rules;
}

/* What an earlier process left is of no use: its sockets are gone. */
static int clear_remains(struct tproxy *t, char *why, size_t why_size)
{
	if (!t->cleared && tproxy_remove(t, why, why_size) != 0)
		return -1;
	t->cleared = true;
	return 0;
}

/* What is marked must have a way to go, or it is lost: routing goes first, here and in mending. */
int tproxy_apply(struct tproxy *t, const struct tproxy_plan *plan, char *why, size_t why_size)
{
	char unused[LINE];

	if (t->mark == 0 && !tproxy_wanted(plan->policy, plan->splices))
		return clear_remains(t, why, why_size);
	if (tproxy_cannot(t) != NULL) {
		snprintf(why, why_size, "transparent interception: %s", tproxy_cannot(t));
		return -1;
	}
	if (plan->mark == 0 || (plan->mark & (plan->mark - 1)) != 0 ||
		plan->mark == plan->gate_mark) {
		snprintf(why, why_size, "tproxy_mark 0x%x is not one bit of its own",
			(unsigned)plan->mark);
		return -1;
	}
	long rules = -1;
	if (tproxy_routing_apply(plan->mark, why, why_size) == 0)
		rules = install(plan, why, why_size);
	if (rules < 0) {
		if (t->mark == 0)
			tproxy_routing_remove(unused, sizeof(unused));
		return -1;
	}
	t->rules = rules;
	t->mark = plan->mark;
	return 0;
}

int tproxy_remove(struct tproxy *t, char *why, size_t why_size)
{
	json_t *there = list();
	bool ok = there == NULL || nft_run_delete_table(TPROXY_TABLE, why, why_size);

	json_decref(there);
	if (!ok || tproxy_routing_remove(why, why_size) != 0)
		return -1;
	if (t != NULL) {
		t->rules = -1;
		t->mark = 0;
	}
	return 0;
}

bool tproxy_intact(struct tproxy *t)
{
	struct ruleset_found found;

	if (t->mark == 0)
		return true;
	json_t *there = list();
	nft_run_read(there, &found);
	json_decref(there);
	return (long)found.rules == t->rules && tproxy_routing_intact(t->mark);
}

int tproxy_watch_fd(struct tproxy *t)
{
	if (t->watch == NULL)
		t->watch = netlink_open(NETLINK_ROUTE,
			RTMGRP_IPV4_RULE | 1u << (RTNLGRP_IPV6_RULE - 1), WATCH_BUFFER);
	return t->watch != NULL ? mnl_socket_get_fd(t->watch) : -1;
}

bool tproxy_watch_read(struct tproxy *t)
{
	_Alignas(struct nlmsghdr) char buf[1 << 13];
	bool taken = false;

	for (;;) {
		ssize_t got = mnl_socket_recvfrom(t->watch, buf, sizeof(buf));
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
			taken |= nlh->nlmsg_type == RTM_DELRULE;
	}
}

int tproxy_print(const struct tproxy_plan *plan, FILE *to)
{
	if (!tproxy_wanted(plan->policy, plan->splices))
		return 0;
	tproxy_routing_print(plan->mark, "# ", to);
	nft_run_write_clearing(NULL, TPROXY_TABLE, to);
	return tproxy_render(to, TPROXY_TABLE, plan) < 0 ? -1 : 0;
}
