/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/conntrack_requests.h"

#include "kernel/conntrack_entry.h"
#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
	BATCH = 64,        /* requests */
	REQUEST_MAX = 512, /* bytes; the longest, a creation for IPv6, takes some 300 */
	RCVBUF = 1 << 20,  /* room for a batch of refusals many times over */
};

struct conntrack_requests {
	uint32_t mark;
	struct mnl_socket *nl;
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
	if (r->nl == NULL) {
		conntrack_requests_close(r);
		return NULL;
	}
	return r;
}

void conntrack_requests_close(struct conntrack_requests *r)
{
	if (r == NULL)
		return;
	if (r->nl != NULL)
		mnl_socket_close(r->nl);
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

void conntrack_requests_delete(struct conntrack_requests *r, const struct tuple *t)
{
	struct nlmsghdr *nlh = begin(r, IPCTNL_MSG_CT_DELETE, 0, t);

	conntrack_entry_put_tuple(nlh, CTA_TUPLE_ORIG, t);
	end(r, nlh);
}

void conntrack_requests_mark(struct conntrack_requests *r, const struct tuple *t, bool on)
{
	struct nlmsghdr *nlh = begin(r, IPCTNL_MSG_CT_NEW, 0, t);

	conntrack_entry_put_tuple(nlh, CTA_TUPLE_ORIG, t);
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(on ? r->mark : 0));
	mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(r->mark));
	end(r, nlh);
}

void conntrack_requests_create(
	struct conntrack_requests *r, const struct tuple *t, uint32_t timeout_s)
{
	struct nlmsghdr *nlh = begin(r, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, t);
	/* Nobody knows the window scales by now, so sequence numbers can't be held against windows.
	 */
	const struct conntrack_entry_standing standing = {
		.mark = r->mark,
		.timeout_s = timeout_s,
		.tcp_flags = IP_CT_TCP_FLAG_BE_LIBERAL,
	};

	conntrack_entry_put_standing(nlh, t, &standing);
	end(r, nlh);
}
