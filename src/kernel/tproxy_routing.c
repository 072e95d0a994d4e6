/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first rule keeps two lookups away from the table, both of which the kernel makes as if from
 * lo: that of the way back to a packet's source where net.ipv4.conf.*.src_valid_mark is set (as
 * wg-quick does), which would find that source to be this host and drop the packet as martian; and
 * that of what we send, if somebody's CONNMARK restores the bit on it.
 */
#include "config.h"

#include "kernel/tproxy_routing.h"

#include "kernel/netlink.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

enum {
	RCVBUF = 1 << 18,
	MESSAGE = 512,
	RULES = 3,
	STALE_MAX = 32,      /* rules of ours that don't belong; more of them take more turns */
	GET_STRICT_CHK = 12, /* NETLINK_GET_STRICT_CHK, not in older headers */
};

struct route_rule {
	uint32_t priority;
	uint32_t table;
	uint32_t mark;
	uint32_t mask;
	uint32_t target; /* of FR_ACT_GOTO */
	uint8_t action;
	uint8_t protocol;
	bool lo;    /* of packets that come from lo */
	bool other; /* asks for something that none of ours does */
};

struct search {
	struct mnl_socket *nl;
	uint8_t family;
	struct route_rule wanted[RULES];
	size_t wanted_count;
	unsigned lo; /* interface index */

	/* found */
	bool rule_there[RULES];
	bool route_there;
	bool foreign; /* somebody else's */
	size_t stale_count;
	struct route_rule stale[STALE_MAX];
};

static void want_rules(struct search *s, uint32_t mark)
{
	const struct route_rule all = {
		.mark = mark,
		.mask = mark,
		.protocol = TPROXY_ROUTING_PROTOCOL,
	};
	struct route_rule *past = &s->wanted[0], *look = &s->wanted[1], *end = &s->wanted[2];

	*past = *look = all;
	past->priority = TPROXY_ROUTING_PRIORITY;
	past->action = FR_ACT_GOTO;
	past->target = TPROXY_ROUTING_PRIORITY + 2;
	past->lo = true;
	look->priority = TPROXY_ROUTING_PRIORITY + 1;
	look->action = FR_ACT_TO_TBL;
	look->table = TPROXY_ROUTING_TABLE;
	*end = (struct route_rule){
		.priority = TPROXY_ROUTING_PRIORITY + 2,
		.action = FR_ACT_NOP,
		.protocol = TPROXY_ROUTING_PROTOCOL,
	};
	s->wanted_count = RULES;
}

static bool same_rule(const struct route_rule *a, const struct route_rule *b)
{
	return a->priority == b->priority && a->table == b->table && a->mark == b->mark &&
	       a->mask == b->mask && a->target == b->target && a->action == b->action &&
	       a->protocol == b->protocol && a->lo == b->lo && a->other == b->other;
}

static struct route_rule read_rule(const struct nlmsghdr *nlh)
{
	const struct fib_rule_hdr *head = mnl_nlmsg_get_payload(nlh);
	struct nlattr *attr;
	struct route_rule r = {
		.action = head->action,
		.table = head->table,
		.other = head->src_len != 0 || head->dst_len != 0 || head->tos != 0 ||
			 (head->flags & FIB_RULE_INVERT),
	};

	mnl_attr_for_each(attr, nlh, sizeof(*head))
	{
		switch (mnl_attr_get_type(attr)) {
		case FRA_PRIORITY:
			r.priority = mnl_attr_get_u32(attr);
			break;
		case FRA_TABLE:
			r.table = mnl_attr_get_u32(attr);
			break;
		case FRA_FWMARK:
			r.mark = mnl_attr_get_u32(attr);
			break;
		case FRA_FWMASK:
			r.mask = mnl_attr_get_u32(attr);
			break;
		case FRA_GOTO:
			r.target = mnl_attr_get_u32(attr);
			break;
		case FRA_PROTOCOL:
			r.protocol = mnl_attr_get_u8(attr);
			break;
		case FRA_IIFNAME:
			r.lo = strcmp(mnl_attr_get_str(attr), "lo") == 0;
			r.other |= !r.lo;
			break;
		default: /* what the kernel says of any rule is of no matter */
			break;
		}
	}
	if (r.action != FR_ACT_TO_TBL)
		r.table = 0;
	return r;
}

static void look_at_rule(void *arg, const struct nlmsghdr *nlh)
{
	struct search *s = arg;

	if (nlh->nlmsg_type != RTM_NEWRULE ||
		mnl_nlmsg_get_payload_len(nlh) < sizeof(struct fib_rule_hdr))
		return;
	struct route_rule r = read_rule(nlh);
	for (size_t i = 0; i < s->wanted_count; i++)
		if (!s->rule_there[i] && same_rule(&r, &s->wanted[i])) {
			s->rule_there[i] = true;
			return;
		}
	if (r.protocol != TPROXY_ROUTING_PROTOCOL)
		s->foreign |= r.action == FR_ACT_TO_TBL && r.table == TPROXY_ROUTING_TABLE;
	else if (s->stale_count < STALE_MAX)
		s->stale[s->stale_count++] = r;
}

static void look_at_route(void *arg, const struct nlmsghdr *nlh)
{
	struct search *s = arg;
	const struct rtmsg *head = mnl_nlmsg_get_payload(nlh);
	struct nlattr *attr;
	uint32_t table, out = 0;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*head))
		return;
	table = head->rtm_table;
	mnl_attr_for_each(attr, nlh, sizeof(*head))
	{
		if (mnl_attr_get_type(attr) == RTA_TABLE)
			table = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == RTA_OIF)
			out = mnl_attr_get_u32(attr);
	}
	if (table != TPROXY_ROUTING_TABLE)
		return;
	if (head->rtm_protocol == TPROXY_ROUTING_PROTOCOL && head->rtm_type == RTN_LOCAL &&
		head->rtm_dst_len == 0 && out == s->lo)
		s->route_there = true;
	else
		s->foreign = true;
}

static struct nlmsghdr *put_route(void *buf, const struct search *s, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *head = mnl_nlmsg_put_extra_header(nlh, sizeof(*head));

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	head->rtm_family = s->family;
	if (type != RTM_GETROUTE) {
		head->rtm_protocol = TPROXY_ROUTING_PROTOCOL;
		head->rtm_type = RTN_LOCAL;
		head->rtm_scope = s->family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
		mnl_attr_put_u32(nlh, RTA_OIF, s->lo);
	}
	mnl_attr_put_u32(nlh, RTA_TABLE, TPROXY_ROUTING_TABLE);
	return nlh;
}

static struct nlmsghdr *put_rule(void *buf, const struct search *s, const struct route_rule *r,
	uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *head = mnl_nlmsg_put_extra_header(nlh, sizeof(*head));

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	head->family = s->family;
	head->action = r->action;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, r->priority);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, r->protocol);
	if (r->table != 0)
		mnl_attr_put_u32(nlh, FRA_TABLE, r->table);
	if (r->mask != 0) {
		mnl_attr_put_u32(nlh, FRA_FWMARK, r->mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, r->mask);
	}
	if (r->target != 0)
		mnl_attr_put_u32(nlh, FRA_GOTO, r->target);
	if (r->lo)
		mnl_attr_put_strz(nlh, FRA_IIFNAME, "lo");
	return nlh;
}

/* Sends a request and reads its acknowledgement. An errno value; 0: it was done. */
static int ask(struct mnl_socket *nl, struct nlmsghdr *request)
{
	_Alignas(struct nlmsghdr) char buf[4096];
	int error = EIO;
	ssize_t n;

	request->nlmsg_flags |= NLM_F_ACK;
	if (netlink_send(nl, request, request->nlmsg_len) == -1)
		return errno;
	while ((n = mnl_socket_recvfrom(nl, buf, sizeof(buf))) > 0) {
		const struct nlmsghdr *nlh = (const void *)buf;
		int left = (int)n;
		if (mnl_nlmsg_ok(nlh, left) && nlh->nlmsg_type == NLMSG_ERROR)
			error = netlink_error(nlh);
	}
	return error;
}

/* Only our table is wanted of a gateway's routes, which may be a million; older kernels give all.
 */
static bool search(struct search *s)
{
	_Alignas(struct nlmsghdr) char buf[MESSAGE];
	int on = 1;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *head = mnl_nlmsg_put_extra_header(nlh, sizeof(*head));

	nlh->nlmsg_type = RTM_GETRULE;
	head->family = s->family;
	if (netlink_dump(s->nl, nlh, look_at_rule, s) == -1)
		return false;
	(void)mnl_socket_setsockopt(s->nl, GET_STRICT_CHK, &on, sizeof(on));
	nlh = put_route(buf, s, RTM_GETROUTE, 0);
	bool ok = netlink_dump(s->nl, nlh, look_at_route, s) == 0 ||
		  errno == ENOENT; /* nothing was ever put into the table */
	on = 0;
	(void)mnl_socket_setsockopt(s->nl, GET_STRICT_CHK, &on, sizeof(on));
	return ok;
}

static const char *family_name(const struct search *s)
{
	return s->family == AF_INET ? "IPv4" : "IPv6";
}

static bool explain(const struct search *s, const char *what, int error, char *why, size_t why_size)
{
	snprintf(why, why_size, "policy routing of %s: %s: %s", family_name(s), what,
		strerror(error));
	return false;
}

static bool delete_stale(struct search *s, char *why, size_t why_size)
{
	_Alignas(struct nlmsghdr) char buf[MESSAGE];

	for (size_t i = 0; i < s->stale_count; i++) {
		int error = ask(s->nl, put_rule(buf, s, &s->stale[i], RTM_DELRULE, 0));
		if (error != 0 && error != ENOENT)
			return explain(s, "a rule of ours can't be deleted", error, why, why_size);
	}
	return true;
}

static bool delete_route(struct search *s, char *why, size_t why_size)
{
	_Alignas(struct nlmsghdr) char buf[MESSAGE];
	int error = s->route_there ? ask(s->nl, put_route(buf, s, RTM_DELROUTE, 0)) : 0;

	if (error != 0 && error != ESRCH)
		return explain(s, "our route can't be deleted", error, why, why_size);
	return true;
}

/* The last rule first: others lead to it. */
static bool add_missing(struct search *s, char *why, size_t why_size)
{
	_Alignas(struct nlmsghdr) char buf[MESSAGE];
	const uint16_t fresh = NLM_F_CREATE | NLM_F_EXCL;
	int error = s->route_there ? 0 : ask(s->nl, put_route(buf, s, RTM_NEWROUTE, fresh));

	if (error != 0)
		return explain(s, "no local route in table 5200 (is lo up?)", error, why, why_size);
	for (size_t i = RULES; i-- > 0;) {
		if (s->rule_there[i])
			continue;
		error = ask(s->nl, put_rule(buf, s, &s->wanted[i], RTM_NEWRULE, fresh));
		if (error != 0)
			return explain(s, "the kernel refuses a rule", error, why, why_size);
	}
	return true;
}

/* CONFIG_IP_MULTIPLE_TABLES is off. */
static bool no_policy_routing(void)
{
	return errno == EOPNOTSUPP || errno == EAFNOSUPPORT;
}

static bool apply_family(struct search *s, char *why, size_t why_size)
{
	bool known = search(s);

	if (!known && no_policy_routing()) {
		snprintf(why, why_size,
			"the kernel has no policy routing for %s (CONFIG_%s_MULTIPLE_TABLES)",
			family_name(s), s->family == AF_INET ? "IP" : "IPV6");
		return false;
	}
	if (!known)
		return explain(s, "what is there can't be read", errno, why, why_size);
	if (s->foreign) {
		snprintf(why, why_size,
			"somebody else uses %s routing table %u, which transparent interception "
			"needs for itself",
			family_name(s), (unsigned)TPROXY_ROUTING_TABLE);
		return false;
	}
	return delete_stale(s, why, why_size) && add_missing(s, why, why_size);
}

static bool remove_family(struct search *s, char *why, size_t why_size)
{
	do {
		s->stale_count = 0;
		s->route_there = false;
		bool known = search(s);
		if (!known && no_policy_routing())
			return true;
		if (!known)
			return explain(s, "what is there can't be read", errno, why, why_size);
		if (!delete_stale(s, why, why_size) || !delete_route(s, why, why_size))
			return false;
	} while (s->stale_count == STALE_MAX);
	return true;
}

static bool check_family(struct search *s, char *why, size_t why_size)
{
	bool ok = search(s) && s->route_there;

	(void)why, (void)why_size;
	for (size_t i = 0; i < s->wanted_count; i++)
		ok &= s->rule_there[i];
	return ok;
}

bool tproxy_routing_has_ipv6(void)
{
	FILE *f = fopen("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "r");
	int c = f != NULL ? fgetc(f) : '1';

	if (f != NULL)
		fclose(f);
	return c == '0';
}

/* `mark` 0: nothing is wanted. */
static bool each_family(uint32_t mark, bool ipv6,
	bool (*fn)(struct search *s, char *why, size_t why_size), char *why, size_t why_size)
{
	struct mnl_socket *nl = netlink_open(NETLINK_ROUTE, 0, RCVBUF);
	bool ok = nl != NULL;

	if (!ok)
		snprintf(why, why_size, "netlink: %s", strerror(errno));
	for (int i = 0; ok && i < 2; i++) {
		struct search s = {
			.nl = nl,
			.family = i == 0 ? AF_INET : AF_INET6,
			.lo = if_nametoindex("lo"),
		};
		if (i == 1 && !ipv6)
			break;
		if (mark != 0)
			want_rules(&s, mark);
		ok = fn(&s, why, why_size);
	}
	if (nl != NULL)
		mnl_socket_close(nl);
	return ok;
}

int tproxy_routing_apply(uint32_t mark, char *why, size_t why_size)
{
	return each_family(mark, tproxy_routing_has_ipv6(), apply_family, why, why_size) ? 0 : -1;
}

int tproxy_routing_remove(char *why, size_t why_size)
{
	return each_family(0, true, remove_family, why, why_size) ? 0 : -1;
}

bool tproxy_routing_intact(uint32_t mark)
{
	char why[MESSAGE];

	return each_family(mark, tproxy_routing_has_ipv6(), check_family, why, sizeof(why));
}

void tproxy_routing_print(uint32_t mark, const char *before, FILE *to)
{
	static const char *const families[] = {"ip", "ip -6"};
	const unsigned bit = mark, first = TPROXY_ROUTING_PRIORITY, table = TPROXY_ROUTING_TABLE,
		       protocol = TPROXY_ROUTING_PROTOCOL;

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		const char *ip = families[i];
		fprintf(to, "%s%s rule add pref %u protocol %u iif lo fwmark 0x%x/0x%x goto %u\n",
			before, ip, first, protocol, bit, bit, first + 2);
		fprintf(to, "%s%s rule add pref %u protocol %u fwmark 0x%x/0x%x lookup %u\n",
			before, ip, first + 1, protocol, bit, bit, table);
		fprintf(to, "%s%s rule add pref %u protocol %u nop\n", before, ip, first + 2,
			protocol);
		fprintf(to, "%s%s route add local default dev lo table %u protocol %u\n", before,
			ip, table, protocol);
	}
}
