/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/conntrack_entry.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
	TIMEOUT_ESTABLISHED = 5 * 24 * 3600, /* seconds; the kernel's own default */
};

/* What a tuple is made of. */
enum {
	HAS_SRC = 1,
	HAS_DST = 2,
	HAS_SRC_PORT = 4,
	HAS_DST_PORT = 8,
	HAS_TCP = 16,
	HAS_ALL = 31,
};

static bool read_addr(const struct nlattr *attr, struct addr *out)
{
	const uint8_t *bytes = mnl_attr_get_payload(attr);

	if (mnl_attr_get_payload_len(attr) == 4)
		*out = addr_v4(bytes);
	else if (mnl_attr_get_payload_len(attr) == sizeof(out->b))
		memcpy(out->b, bytes, sizeof(out->b));
	else
		return false;
	return true;
}

static bool read_u32(const struct nlattr *attr, uint32_t *out)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*out))
		return false;
	*out = ntohl(mnl_attr_get_u32(attr));
	return true;
}

static bool read_port(const struct nlattr *attr, uint16_t *out)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*out))
		return false;
	*out = ntohs(mnl_attr_get_u16(attr));
	return true;
}

static unsigned read_ip(const struct nlattr *nest, struct tuple *out)
{
	struct nlattr *attr;
	unsigned has = 0;

	mnl_attr_for_each_nested(attr, nest)
	{
		uint16_t type = mnl_attr_get_type(attr);

		if ((type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC) &&
			read_addr(attr, &out->client))
			has |= HAS_SRC;
		else if ((type == CTA_IP_V4_DST || type == CTA_IP_V6_DST) &&
			 read_addr(attr, &out->server))
			has |= HAS_DST;
	}
	return has;
}

static unsigned read_proto(const struct nlattr *nest, struct tuple *out)
{
	struct nlattr *attr;
	unsigned has = 0;

	mnl_attr_for_each_nested(attr, nest)
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type == CTA_PROTO_NUM && mnl_attr_get_payload_len(attr) > 0 &&
			mnl_attr_get_u8(attr) == IPPROTO_TCP)
			has |= HAS_TCP;
		else if (type == CTA_PROTO_SRC_PORT && read_port(attr, &out->client_port))
			has |= HAS_SRC_PORT;
		else if (type == CTA_PROTO_DST_PORT && read_port(attr, &out->server_port))
			has |= HAS_DST_PORT;
	}
	return has;
}

static bool read_tuple(const struct nlattr *nest, struct tuple *out)
{
	struct nlattr *attr;
	unsigned has = 0;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == CTA_TUPLE_IP)
			has |= read_ip(attr, out);
		else if (mnl_attr_get_type(attr) == CTA_TUPLE_PROTO)
			has |= read_proto(attr, out);
	}
	return has == HAS_ALL;
}

static void read_protoinfo(const struct nlattr *nest, struct conntrack_entry *e)
{
	struct nlattr *tcp, *attr;

	mnl_attr_for_each_nested(tcp, nest)
	{
		if (mnl_attr_get_type(tcp) != CTA_PROTOINFO_TCP)
			continue;
		mnl_attr_for_each_nested(attr, tcp)
		{
			if (mnl_attr_get_type(attr) == CTA_PROTOINFO_TCP_STATE &&
				mnl_attr_get_payload_len(attr) > 0)
				e->tcp_state = mnl_attr_get_u8(attr);
		}
	}
}

/* Both offsets, of before a position and after it, are the same wherever we look. */
static void read_seq_adj(const struct nlattr *nest, struct conntrack_entry *e)
{
	struct nlattr *attr;

	e->translated = true;
	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == CTA_SEQADJ_OFFSET_AFTER)
			read_u32(attr, &e->offset);
	}
}

static void read_synproxy(const struct nlattr *nest, struct conntrack_entry *e)
{
	struct nlattr *attr;

	e->synproxy = true;
	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == CTA_SYNPROXY_ITS)
			read_u32(attr, &e->its);
		else if (mnl_attr_get_type(attr) == CTA_SYNPROXY_TSOFF)
			read_u32(attr, &e->ts_offset);
	}
}

static bool read_attr(const struct nlattr *attr, struct conntrack_entry *e)
{
	switch (mnl_attr_get_type(attr)) {
	case CTA_TUPLE_ORIG:
		return read_tuple(attr, &e->original);
	case CTA_TUPLE_REPLY:
		return read_tuple(attr, &e->reply);
	case CTA_STATUS:
		return read_u32(attr, &e->status);
	case CTA_MARK:
		return read_u32(attr, &e->mark);
	case CTA_PROTOINFO:
		read_protoinfo(attr, e);
		return true;
	case CTA_SEQ_ADJ_REPLY:
		read_seq_adj(attr, e);
		return true;
	case CTA_SYNPROXY:
		read_synproxy(attr, e);
		return true;
	default:
		return true;
	}
}

bool conntrack_entry_read(const struct nlmsghdr *nlh, struct conntrack_entry *e)
{
	struct nlattr *attr;
	unsigned tuples = 0;

	memset(e, 0, sizeof(*e));
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return false;
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (!read_attr(attr, e))
			return false;
		tuples |= mnl_attr_get_type(attr) == CTA_TUPLE_ORIG ? 1u : 0;
		tuples |= mnl_attr_get_type(attr) == CTA_TUPLE_REPLY ? 2u : 0;
	}
	e->reply = conntrack_entry_reversed(&e->reply);
	e->tuple = e->original;
	e->tuple.server = e->reply.server;
	e->tuple.server_port = e->reply.server_port;
	return tuples == 3;
}

struct dump {
	uint32_t mark;
	uint32_t status;
	void (*each)(void *arg, const struct conntrack_entry *e);
	void *arg;
};

/* The bits are looked at again, for kernels that don't filter. */
static void dump_entry(void *arg, const struct nlmsghdr *nlh)
{
	const struct dump *d = arg;
	struct conntrack_entry e;

	if (conntrack_entry_read(nlh, &e) && (e.mark & d->mark) == d->mark &&
		(e.status & d->status) == d->status)
		d->each(d->arg, &e);
}

static int dump(struct mnl_socket *nl, struct dump *d)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = netlink_put_netfilter(
		buf, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, 0, AF_UNSPEC, 0);

	if (d->mark != 0) {
		mnl_attr_put_u32(nlh, CTA_MARK, htonl(d->mark));
		mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(d->mark));
	}
	if (d->status != 0)
		mnl_attr_put_u32(nlh, CTA_STATUS, htonl(d->status));
	return netlink_dump(nl, nlh, dump_entry, d);
}

int conntrack_entry_dump(struct mnl_socket *nl, uint32_t mark,
	void (*each)(void *arg, const struct conntrack_entry *e), void *arg)
{
	struct dump d = {.mark = mark, .each = each, .arg = arg};

	return dump(nl, &d);
}

int conntrack_entry_dump_status(struct mnl_socket *nl, uint32_t status,
	void (*each)(void *arg, const struct conntrack_entry *e), void *arg)
{
	struct dump d = {.status = status, .each = each, .arg = arg};

	return dump(nl, &d);
}

bool conntrack_entry_ended(const struct conntrack_entry *e)
{
	return e->tcp_state == TCP_CONNTRACK_LAST_ACK || e->tcp_state == TCP_CONNTRACK_TIME_WAIT ||
	       e->tcp_state == TCP_CONNTRACK_CLOSE;
}

static void put_ip(struct nlmsghdr *nlh, const struct tuple *t)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	if (addr_is_v4(&t->client)) {
		mnl_attr_put(nlh, CTA_IP_V4_SRC, 4, t->client.b + 12);
		mnl_attr_put(nlh, CTA_IP_V4_DST, 4, t->server.b + 12);
	} else {
		mnl_attr_put(nlh, CTA_IP_V6_SRC, sizeof(t->client.b), t->client.b);
		mnl_attr_put(nlh, CTA_IP_V6_DST, sizeof(t->server.b), t->server.b);
	}
	mnl_attr_nest_end(nlh, nest);
}

void conntrack_entry_put_tuple(struct nlmsghdr *nlh, uint16_t type, const struct tuple *t)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);
	struct nlattr *proto;

	put_ip(nlh, t);
	proto = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(t->client_port));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(t->server_port));
	mnl_attr_nest_end(nlh, proto);
	mnl_attr_nest_end(nlh, nest);
}

static void put_protoinfo(struct nlmsghdr *nlh, const struct conntrack_entry_standing *s)
{
	const struct nf_ct_tcp_flags flags = {.flags = s->tcp_flags, .mask = s->tcp_flags};
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);

	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(flags), &flags);
	mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(flags), &flags);
	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, s->client_wscale);
	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_WSCALE_REPLY, s->server_wscale);
	mnl_attr_nest_end(nlh, tcp);
	mnl_attr_nest_end(nlh, nest);
}

void conntrack_entry_put_standing(
	struct nlmsghdr *nlh, const struct tuple *t, const struct conntrack_entry_standing *s)
{
	struct tuple back = conntrack_entry_reversed(t);

	conntrack_entry_put_tuple(nlh, CTA_TUPLE_ORIG, t);
	conntrack_entry_put_tuple(nlh, CTA_TUPLE_REPLY, &back);
	mnl_attr_put_u32(nlh, CTA_STATUS, htonl(IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED));
	mnl_attr_put_u32(nlh, CTA_TIMEOUT, htonl(s->timeout_s));
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(s->mark));
	put_protoinfo(nlh, s);
}

uint32_t conntrack_entry_timeout_established(void)
{
	FILE *f = fopen("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", "re");
	unsigned long seconds;

	if (f == NULL)
		return TIMEOUT_ESTABLISHED;
	if (fscanf(f, "%lu", &seconds) != 1 || seconds == 0 || seconds > INT32_MAX)
		seconds = TIMEOUT_ESTABLISHED;
	fclose(f);
	return (uint32_t)seconds;
}

struct tuple conntrack_entry_reversed(const struct tuple *t)
{
	return (struct tuple){
		.client = t->server,
		.server = t->client,
		.client_port = t->server_port,
		.server_port = t->client_port,
	};
}
