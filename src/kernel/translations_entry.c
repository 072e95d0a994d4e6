/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/translations_entry.h"

#include "kernel/conntrack_entry.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

bool translations_entry_has_dnat(const struct translation *t)
{
	return t->public_port != t->tuple.server_port ||
	       !addr_equal(&t->public_addr, &t->tuple.server);
}

struct tuple translations_entry_original(const struct translation *t)
{
	return (struct tuple){
		.client = t->tuple.client,
		.server = t->public_addr,
		.client_port = t->tuple.client_port,
		.server_port = t->public_port,
	};
}

/* `type`: CTA_NAT_SRC or CTA_NAT_DST; what is replaced becomes exactly this. */
static void put_nat(struct nlmsghdr *nlh, uint16_t type, const struct addr *a, uint16_t port)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);
	struct nlattr *ports;

	if (addr_is_v4(a)) {
		mnl_attr_put(nlh, CTA_NAT_V4_MINIP, 4, a->b + 12);
		mnl_attr_put(nlh, CTA_NAT_V4_MAXIP, 4, a->b + 12);
	} else {
		mnl_attr_put(nlh, CTA_NAT_V6_MINIP, sizeof(a->b), a->b);
		mnl_attr_put(nlh, CTA_NAT_V6_MAXIP, sizeof(a->b), a->b);
	}
	ports = mnl_attr_nest_start(nlh, CTA_NAT_PROTO);
	mnl_attr_put_u16(nlh, CTA_PROTONAT_PORT_MIN, htons(port));
	mnl_attr_put_u16(nlh, CTA_PROTONAT_PORT_MAX, htons(port));
	mnl_attr_nest_end(nlh, ports);
	mnl_attr_nest_end(nlh, nest);
}

static void put_seq_adj(struct nlmsghdr *nlh, const struct translation *t)
{
	uint32_t offset = htonl(t->cookie_isn - t->server_isn);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_SEQ_ADJ_REPLY);

	mnl_attr_put_u32(nlh, CTA_SEQADJ_CORRECTION_POS, htonl(t->server_isn));
	mnl_attr_put_u32(nlh, CTA_SEQADJ_OFFSET_BEFORE, offset);
	mnl_attr_put_u32(nlh, CTA_SEQADJ_OFFSET_AFTER, offset);
	mnl_attr_nest_end(nlh, nest);
}

/* The kernel gives a server's RST the number ISN + 1 unless somebody resends it: right at least
 * until the server has sent bytes. */
static void put_synproxy(struct nlmsghdr *nlh, const struct translation *t)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_SYNPROXY);
	uint32_t its = t->timestamps ? t->cookie_tsval : 0;
	uint32_t ts_offset = t->timestamps ? t->server_tsval - t->cookie_tsval : 0;

	mnl_attr_put_u32(nlh, CTA_SYNPROXY_ISN, htonl(t->cookie_isn));
	mnl_attr_put_u32(nlh, CTA_SYNPROXY_ITS, htonl(its));
	mnl_attr_put_u32(nlh, CTA_SYNPROXY_TSOFF, htonl(ts_offset));
	mnl_attr_nest_end(nlh, nest);
}

static bool has_snat(const struct translation *t, const struct translations_entry *e)
{
	return e->client_port != t->tuple.client_port || !addr_equal(e->client, &t->tuple.client);
}

void translations_entry_put(
	struct nlmsghdr *nlh, const struct translation *t, const struct translations_entry *e)
{
	struct tuple original = translations_entry_original(t);
	const struct conntrack_entry_standing standing = {
		.mark = e->mark,
		.timeout_s = e->timeout_s,
		.tcp_flags = (uint8_t)((t->scales ? IP_CT_TCP_FLAG_WINDOW_SCALE : 0) |
				       (t->sack ? IP_CT_TCP_FLAG_SACK_PERM : 0)),
		.client_wscale = t->client_wscale,
		.server_wscale = t->server_wscale,
	};

	conntrack_entry_put_standing(nlh, &original, &standing);
	/* Both if either: the kernel would choose a port for a side that is left out. */
	if (translations_entry_has_dnat(t) || has_snat(t, e)) {
		put_nat(nlh, CTA_NAT_DST, &t->tuple.server, t->tuple.server_port);
		put_nat(nlh, CTA_NAT_SRC, e->client, e->client_port);
	}
	put_seq_adj(nlh, t);
	put_synproxy(nlh, t);
}
