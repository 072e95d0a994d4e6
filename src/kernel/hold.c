/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/hold.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_synproxy.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifndef NFPROTO_INET
#define NFPROTO_INET 1 /* linux/netfilter.h, which does not go with netinet/in.h */
#endif

#define HOLD_TABLE "ackgate_held"

enum {
	RCVBUF = 1 << 16,
	TABLE_F_OWNER = 2, /* NFT_TABLE_F_OWNER, not in older headers */
};

struct hold {
	struct mnl_socket *nl;
};

static char *put_edge(char *at, uint16_t type)
{
	struct nlmsghdr *nlh = netlink_put_netfilter(
		at, NFNL_SUBSYS_NONE, (uint8_t)type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);

	return at + MNL_ALIGN(nlh->nlmsg_len);
}

static char *put_table(char *at)
{
	struct nlmsghdr *nlh = netlink_put_netfilter(at, NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE,
		NLM_F_CREATE | NLM_F_EXCL, NFPROTO_INET, 0);

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, HOLD_TABLE);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(TABLE_F_OWNER));
	return at + MNL_ALIGN(nlh->nlmsg_len);
}

/* What it says is of no matter, since nothing refers to it. */
static char *put_object(char *at)
{
	struct nlmsghdr *nlh = netlink_put_netfilter(at, NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWOBJ,
		NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
	struct nlattr *data;

	mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, HOLD_TABLE);
	mnl_attr_put_strz(nlh, NFTA_OBJ_NAME, "translation");
	mnl_attr_put_u32(nlh, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_SYNPROXY));
	data = mnl_attr_nest_start(nlh, NFTA_OBJ_DATA);
	mnl_attr_put_u16(nlh, NFTA_SYNPROXY_MSS, htons(1460));
	mnl_attr_put_u8(nlh, NFTA_SYNPROXY_WSCALE, 7);
	mnl_attr_put_u32(nlh, NFTA_SYNPROXY_FLAGS,
		htonl(NF_SYNPROXY_OPT_MSS | NF_SYNPROXY_OPT_WSCALE | NF_SYNPROXY_OPT_SACK_PERM |
			NF_SYNPROXY_OPT_TIMESTAMP));
	mnl_attr_nest_end(nlh, data);
	return at + MNL_ALIGN(nlh->nlmsg_len);
}

/* 0, or why the kernel refused: one of its answers is about what was asked for. */
static int answer_of(struct mnl_socket *nl)
{
	_Alignas(struct nlmsghdr) char buf[1024];
	int error = EIO;
	ssize_t n;

	while ((n = recv(mnl_socket_get_fd(nl), buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *nlh = (const void *)buf;

		for (int left = (int)n; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			error = netlink_error(nlh);
			if (error != 0)
				return error;
		}
	}
	return error;
}

struct hold *hold_open(void)
{
	_Alignas(struct nlmsghdr) char batch[1024];
	struct hold *h = calloc(1, sizeof(*h));
	char *at = batch;
	int error = ENOMEM;

	if (h == NULL)
		return NULL;
	h->nl = netlink_open(NETLINK_NETFILTER, 0, RCVBUF);
	at = put_edge(at, NFNL_MSG_BATCH_BEGIN);
	at = put_object(put_table(at));
	at = put_edge(at, NFNL_MSG_BATCH_END);
	if (h->nl == NULL || netlink_send(h->nl, batch, (size_t)(at - batch)) == -1)
		error = errno;
	else
		error = answer_of(h->nl);
	if (error == 0)
		return h;
	hold_close(h);
	errno = error;
	return NULL;
}

void hold_close(struct hold *h)
{
	if (h == NULL)
		return;
	if (h->nl != NULL)
		mnl_socket_close(h->nl);
	free(h);
}
