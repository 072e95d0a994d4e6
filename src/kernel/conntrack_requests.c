/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/conntrack_requests.h"

#include "kernel/conntrack_entry.h"
#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>

enum {
	BATCH = 64,        /* requests */
	REQUEST_MAX = 512, /* bytes; the longest, a creation for IPv6, takes some 300 */
	RCVBUF = 1 << 20,  /* room for a batch of refusals many times over */
};

struct conntrack_requests {
	uint32_t mark;
	struct mnl_socket *nl;
	struct nf_conntrack
		*scratch4; /* for a tuple; a message is built from all that was ever set */
	struct nf_conntrack *scratch6;
	uint64_t asked;
	uint64_t refused;
	unsigned count;
	size_t len; /* bytes */
	_Alignas(struct nlmsghdr) uint8_t batch[BATCH * REQUEST_MAX];
};

struct conntrack_requests *conntrack_requests_open(uint32_t mark)
{
	struct conntrack_requests *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->mark = mark;
	r->nl = netlink_open(NETLINK_NETFILTER, 0, RCVBUF);
	if (r->nl == NULL)
		goto fail;
	r->scratch4 = nfct_new();
	r->scratch6 = nfct_new();
	if (r->scratch4 == NULL || r->scratch6 == NULL)
		goto fail;
	return r;
fail:
	conntrack_requests_close(r);
	return NULL;
}

void conntrack_requests_close(struct conntrack_requests *r)
{
	if (r == NULL)
		return;
	if (r->nl != NULL)
		mnl_socket_close(r->nl);
	if (r->scratch4 != NULL)
		nfct_destroy(r->scratch4);
	if (r->scratch6 != NULL)
		nfct_destroy(r->scratch6);
	free(r);
}

void conntrack_requests_flush(struct conntrack_requests *r)
{
	if (r->count == 0)
		return;
	if (netlink_send(r->nl, r->batch, r->len) == -1)
		r->refused += r->count;
	r->refused += netlink_refusals(r->nl);
	r->count = 0;
	r->len = 0;
}

uint64_t conntrack_requests_granted(struct conntrack_requests *r)
{
	conntrack_requests_flush(r);
	return r->asked - r->refused;
}

static struct nlmsghdr *begin(struct conntrack_requests *r, enum cntl_msg_types type,
	uint16_t flags, const struct tuple *t)
{
	uint8_t family = addr_is_v4(&t->client) ? AF_INET : AF_INET6;

	if (r->count == BATCH)
		conntrack_requests_flush(r);
	return netlink_put_netfilter(
		r->batch + r->len, NFNL_SUBSYS_CTNETLINK, (uint8_t)type, flags, family, 0);
}

static void end(struct conntrack_requests *r, const struct nlmsghdr *nlh)
{
	r->len += MNL_ALIGN(nlh->nlmsg_len);
	r->count++;
	r->asked++;
}

static void put_tuple(struct conntrack_requests *r, struct nlmsghdr *nlh, const struct tuple *t)
{
	struct nf_conntrack *scratch = addr_is_v4(&t->client) ? r->scratch4 : r->scratch6;

	conntrack_entry_set_original(scratch, t);
	nfct_nlmsg_build(nlh, scratch);
}

void conntrack_requests_delete(struct conntrack_requests *r, const struct tuple *t)
{
	struct nlmsghdr *nlh = begin(r, IPCTNL_MSG_CT_DELETE, 0, t);

	put_tuple(r, nlh, t);
	end(r, nlh);
}

void conntrack_requests_mark(struct conntrack_requests *r, const struct tuple *t, bool on)
{
	struct nlmsghdr *nlh = begin(r, IPCTNL_MSG_CT_NEW, 0, t);

	put_tuple(r, nlh, t);
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(on ? r->mark : 0));
	mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(r->mark));
	end(r, nlh);
}

static void fill_established(
	struct nf_conntrack *ct, const struct tuple *t, uint32_t mark, uint32_t timeout_s)
{
	const uint8_t liberal = IP_CT_TCP_FLAG_BE_LIBERAL;
	struct tuple back = conntrack_entry_reversed(t);

	conntrack_entry_set_original(ct, t);
	conntrack_entry_set_reply(ct, &back);
	nfct_set_attr_u32(ct, ATTR_STATUS, IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED);
	nfct_set_attr_u32(ct, ATTR_TIMEOUT, timeout_s);
	nfct_set_attr_u32(ct, ATTR_MARK, mark);
	nfct_set_attr_u8(ct, ATTR_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	/* Nobody knows the window scales by now, so sequence numbers can't be held against windows.
	 */
	nfct_set_attr_u8(ct, ATTR_TCP_FLAGS_ORIG, liberal);
	nfct_set_attr_u8(ct, ATTR_TCP_MASK_ORIG, liberal);
	nfct_set_attr_u8(ct, ATTR_TCP_FLAGS_REPL, liberal);
	nfct_set_attr_u8(ct, ATTR_TCP_MASK_REPL, liberal);
}

void conntrack_requests_create(
	struct conntrack_requests *r, const struct tuple *t, uint32_t timeout_s)
{
	struct nf_conntrack *entry = nfct_new();
	struct nlmsghdr *nlh;

	if (entry == NULL)
		return;
	fill_established(entry, t, r->mark, timeout_s);
	nlh = begin(r, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, t);
	nfct_nlmsg_build(nlh, entry);
	end(r, nlh);
	nfct_destroy(entry);
}
