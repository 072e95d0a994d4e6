/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/conntrack.h"
#include "kernel/conntrack_entry.h"
#include "kernel/netlink.h"

#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_compat.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
	RCVBUF = 16 << 20, /* bytes: some ten thousand events */
	READS = 256,       /* events a call, so that packets don't wait for long */
	EVENT_MAX = 8192,  /* bytes */
};

struct conntrack_events {
	uint32_t mark;
	struct mnl_socket *nl;
	_Alignas(struct nlmsghdr) char buf[EVENT_MAX];
};

/* In the kernel, so that connections that are none of ours don't even wake us. */
static int attach_filter(int fd, uint32_t mark)
{
	struct nfct_filter *filter = nfct_filter_create();
	const struct nfct_filter_dump_mark ours = {.val = mark, .mask = mark};
	int rc;

	if (filter == NULL)
		return -1;
	nfct_filter_add_attr_u32(filter, NFCT_FILTER_L4PROTO, IPPROTO_TCP);
	nfct_filter_add_attr(filter, NFCT_FILTER_MARK, &ours);
	rc = nfct_filter_attach(fd, filter);
	nfct_filter_destroy(filter);
	return rc;
}

struct conntrack_events *conntrack_events_open(uint32_t mark, char *why, size_t why_size)
{
	const unsigned groups = NF_NETLINK_CONNTRACK_UPDATE | NF_NETLINK_CONNTRACK_DESTROY;
	struct conntrack_events *ev = calloc(1, sizeof(*ev));

	if (ev != NULL) {
		ev->mark = mark;
		ev->nl = netlink_open(NETLINK_NETFILTER, groups, RCVBUF);
	}
	if (ev == NULL || ev->nl == NULL || attach_filter(mnl_socket_get_fd(ev->nl), mark) == -1) {
		snprintf(why, why_size, "can't listen to conntrack's events: %s", strerror(errno));
		conntrack_events_close(ev);
		return NULL;
	}
	return ev;
}

void conntrack_events_close(struct conntrack_events *ev)
{
	if (ev == NULL)
		return;
	if (ev->nl != NULL)
		mnl_socket_close(ev->nl);
	free(ev);
}

int conntrack_events_fd(const struct conntrack_events *ev)
{
	return mnl_socket_get_fd(ev->nl);
}

static void read_event(const struct conntrack_events *ev, const struct nlmsghdr *nlh,
	void (*ended)(void *arg, const struct tuple *t), void *arg)
{
	struct conntrack_entry e;
	bool destroyed = nlh->nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE);

	if (!destroyed && nlh->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW))
		return;
	if (conntrack_entry_read(nlh, &e) && (e.mark & ev->mark) != 0 &&
		(destroyed || conntrack_entry_ended(&e)))
		ended(arg, &e.tuple);
}

bool conntrack_events_read(
	struct conntrack_events *ev, void (*ended)(void *arg, const struct tuple *t), void *arg)
{
	bool complete = true;

	for (unsigned i = 0; i < READS; i++) {
		const struct nlmsghdr *nlh = (const void *)ev->buf;
		ssize_t n = recv(conntrack_events_fd(ev), ev->buf, sizeof(ev->buf), MSG_DONTWAIT);
		int len = (int)n;

		if (n == -1 && errno == ENOBUFS)
			complete = false;
		else if (n == -1 && errno != EINTR)
			break;
		for (; n > 0 && mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
			read_event(ev, nlh, ended, arg);
	}
	return complete;
}
