/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/conntrack_entry.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>

/* The attributes of one direction, so that both are read and written by the same code. */
struct direction {
	enum nf_conntrack_attr l3proto, l4proto;
	enum nf_conntrack_attr src4, dst4, src6, dst6, src_port, dst_port;
};

static const struct direction ORIGINAL = {
	ATTR_ORIG_L3PROTO,
	ATTR_ORIG_L4PROTO,
	ATTR_ORIG_IPV4_SRC,
	ATTR_ORIG_IPV4_DST,
	ATTR_ORIG_IPV6_SRC,
	ATTR_ORIG_IPV6_DST,
	ATTR_ORIG_PORT_SRC,
	ATTR_ORIG_PORT_DST,
};
static const struct direction REPLY = {
	ATTR_REPL_L3PROTO,
	ATTR_REPL_L4PROTO,
	ATTR_REPL_IPV4_SRC,
	ATTR_REPL_IPV4_DST,
	ATTR_REPL_IPV6_SRC,
	ATTR_REPL_IPV6_DST,
	ATTR_REPL_PORT_SRC,
	ATTR_REPL_PORT_DST,
};

static bool read_addr(const struct nf_conntrack *ct, enum nf_conntrack_attr v4,
	enum nf_conntrack_attr v6, struct addr *out)
{
	const void *bytes = nfct_get_attr(ct, v4);

	if (bytes != NULL) {
		*out = addr_v4(bytes);
		return true;
	}
	bytes = nfct_get_attr(ct, v6);
	if (bytes == NULL)
		return false;
	memcpy(out->b, bytes, sizeof(out->b));
	return true;
}

static bool read_direction(
	const struct nf_conntrack *ct, const struct direction *d, struct tuple *out)
{
	out->client_port = ntohs(nfct_get_attr_u16(ct, d->src_port));
	out->server_port = ntohs(nfct_get_attr_u16(ct, d->dst_port));
	return read_addr(ct, d->src4, d->src6, &out->client) &&
	       read_addr(ct, d->dst4, d->dst6, &out->server);
}

static bool read_entry(const struct nf_conntrack *ct, struct conntrack_entry *e)
{
	struct tuple reply;

	if (nfct_get_attr_u8(ct, ATTR_ORIG_L4PROTO) != IPPROTO_TCP ||
		!read_direction(ct, &ORIGINAL, &e->original) || !read_direction(ct, &REPLY, &reply))
		return false;
	e->tuple = e->original;
	e->tuple.server = reply.client;
	e->tuple.server_port = reply.client_port;
	e->mark = nfct_get_attr_u32(ct, ATTR_MARK);
	e->status = nfct_get_attr_u32(ct, ATTR_STATUS);
	e->tcp_state = nfct_get_attr_u8(ct, ATTR_TCP_STATE);
	return true;
}

bool conntrack_entry_read(const struct nlmsghdr *nlh, struct conntrack_entry *e)
{
	struct nf_conntrack *ct = nfct_new();
	bool ok = ct != NULL && nfct_nlmsg_parse(nlh, ct) >= 0 && read_entry(ct, e);

	if (ct != NULL)
		nfct_destroy(ct);
	return ok;
}

struct dump {
	uint32_t mark;
	void (*each)(void *arg, const struct conntrack_entry *e);
	void *arg;
};

/* The mark is looked at again, for kernels that don't filter. */
static void dump_entry(void *arg, const struct nlmsghdr *nlh)
{
	const struct dump *d = arg;
	struct conntrack_entry e;

	if (conntrack_entry_read(nlh, &e) && (e.mark & d->mark) == d->mark)
		d->each(d->arg, &e);
}

int conntrack_entry_dump(struct mnl_socket *nl, uint32_t mark,
	void (*each)(void *arg, const struct conntrack_entry *e), void *arg)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct dump d = {.mark = mark, .each = each, .arg = arg};
	struct nlmsghdr *nlh = netlink_put_netfilter(
		buf, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, 0, AF_UNSPEC, 0);

	if (mark != 0) {
		mnl_attr_put_u32(nlh, CTA_MARK, htonl(mark));
		mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(mark));
	}
	return netlink_dump(nl, nlh, dump_entry, &d);
}

bool conntrack_entry_ended(const struct conntrack_entry *e)
{
	return e->tcp_state == TCP_CONNTRACK_LAST_ACK || e->tcp_state == TCP_CONNTRACK_TIME_WAIT ||
	       e->tcp_state == TCP_CONNTRACK_CLOSE;
}

static void set_direction(struct nf_conntrack *ct, const struct direction *d, const struct tuple *t)
{
	bool v4 = addr_is_v4(&t->client);

	nfct_set_attr_u8(ct, d->l3proto, v4 ? AF_INET : AF_INET6);
	if (v4) {
		nfct_set_attr(ct, d->src4, t->client.b + 12);
		nfct_set_attr(ct, d->dst4, t->server.b + 12);
	} else {
		nfct_set_attr(ct, d->src6, t->client.b);
		nfct_set_attr(ct, d->dst6, t->server.b);
	}
	nfct_set_attr_u8(ct, d->l4proto, IPPROTO_TCP);
	nfct_set_attr_u16(ct, d->src_port, htons(t->client_port));
	nfct_set_attr_u16(ct, d->dst_port, htons(t->server_port));
}

void conntrack_entry_set_original(struct nf_conntrack *ct, const struct tuple *t)
{
	set_direction(ct, &ORIGINAL, t);
}

void conntrack_entry_set_reply(struct nf_conntrack *ct, const struct tuple *t)
{
	set_direction(ct, &REPLY, t);
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
