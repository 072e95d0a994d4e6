/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel gathers packets until there are THRESHOLD of them, or until DELAY has passed since the
 * first, and sends them as one datagram of many netlink messages. They are gone by then: nothing is
 * answered, and what is lost is lost. Each has a number, so that losses show.
 */
#include "config.h"

#include "kernel/nflog.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	THRESHOLD = 160, /* packets */
	DELAY = 1,       /* hundredths of a second */
	COPY_RANGE = 256,
	MESSAGE = 32768,           /* bytes that the kernel sets aside for them */
	BUFFER = 2 * MESSAGE,      /* more than it ever sends */
	WAITING = 4 * 1024 * 1024, /* bytes in the socket, the kernel's own included */
};

struct nflog {
	struct mnl_socket *nl;
	uint32_t mark;
	bool counting; /* the kernel numbers packets, and some have come */
	uint32_t next;
	uint64_t lost;
	_Alignas(struct nlmsghdr) uint8_t in[BUFFER];
};

static int request(struct nflog *l, struct nlmsghdr *nlh)
{
	_Alignas(struct nlmsghdr) char buf[256];
	const struct nlmsghdr *answer = (const void *)buf;

	nlh->nlmsg_flags |= NLM_F_ACK;
	if (netlink_send(l->nl, nlh, nlh->nlmsg_len) == -1)
		return errno;
	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(l->nl), buf, sizeof(buf), MSG_DONTWAIT);
		if (n < (ssize_t)(sizeof(*answer) + sizeof(int)))
			return n < 0 ? errno : EPROTO;
		/* Packets may have come already: SYNs, which will be sent again. */
		if (answer->nlmsg_type == NLMSG_ERROR)
			return netlink_error(answer);
	}
}

static int bind_group(struct nflog *l, uint16_t group)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nfulnl_msg_config_cmd bind = {.command = NFULNL_CFG_CMD_BIND};
	struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(COPY_RANGE), .copy_mode = NFULNL_COPY_PACKET};
	struct nlmsghdr *nlh = netlink_put_netfilter(
		buf, NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG, 0, AF_UNSPEC, group);

	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(bind), &bind);
	mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(nlh, NFULA_CFG_NLBUFSIZ, htonl(MESSAGE));
	mnl_attr_put_u32(nlh, NFULA_CFG_TIMEOUT, htonl(DELAY));
	mnl_attr_put_u32(nlh, NFULA_CFG_QTHRESH, htonl(THRESHOLD));
	mnl_attr_put_u16(nlh, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
	return request(l, nlh);
}

static int open_socket(struct nflog *l)
{
	int on = 1;

	l->nl = netlink_open(NETLINK_NETFILTER, 0, WAITING);
	if (l->nl == NULL)
		return errno;
	(void)mnl_socket_setsockopt(l->nl, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	return 0;
}

struct nflog *nflog_open(uint16_t group, uint32_t mark, char *why, size_t why_size)
{
	struct nflog *l = calloc(1, sizeof(*l));
	int error;

	if (l == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	l->mark = mark;
	error = open_socket(l);
	if (error == 0)
		error = bind_group(l, group);
	if (error == 0)
		return l;
	if (error == EINVAL || error == EPROTONOSUPPORT)
		snprintf(why, why_size,
			"this kernel has no packet log (CONFIG_NETFILTER_NETLINK_LOG, module "
			"nfnetlink_log)");
	else if (error == EBUSY)
		snprintf(why, why_size, "log group %u is held by another program", group);
	else
		snprintf(why, why_size, "can't open log group %u: %s", group, strerror(error));
	nflog_close(l);
	return NULL;
}

void nflog_close(struct nflog *l)
{
	if (l == NULL)
		return;
	if (l->nl != NULL)
		mnl_socket_close(l->nl);
	free(l);
}

int nflog_fd(const struct nflog *l)
{
	return mnl_socket_get_fd(l->nl);
}

uint64_t nflog_lost(const struct nflog *l)
{
	return l->lost;
}

/* What of a packet's message is of interest. */
struct told {
	const struct nlattr *header;
	const struct nlattr *payload;
	const struct nlattr *number;
	const struct nlattr *mark;
};

static int remember_attribute(const struct nlattr *attr, void *data)
{
	struct told *t = data;

	if (mnl_attr_get_type(attr) == NFULA_PACKET_HDR)
		t->header = attr;
	else if (mnl_attr_get_type(attr) == NFULA_PAYLOAD)
		t->payload = attr;
	else if (mnl_attr_get_type(attr) == NFULA_SEQ)
		t->number = attr;
	else if (mnl_attr_get_type(attr) == NFULA_MARK)
		t->mark = attr;
	return MNL_CB_OK;
}

static void count_lost(struct nflog *l, const struct nlattr *attr)
{
	uint32_t number;

	if (attr == NULL || mnl_attr_get_payload_len(attr) != sizeof(number))
		return;
	number = ntohl(mnl_attr_get_u32(attr));
	if (l->counting)
		l->lost += number - l->next;
	l->counting = true;
	l->next = number + 1;
}

static enum engine_hook hook_of(const struct nlattr *attr)
{
	const struct nfulnl_msg_packet_hdr *header;

	if (attr == NULL || mnl_attr_get_payload_len(attr) < sizeof(*header))
		return HOOK_FORWARD;
	header = mnl_attr_get_payload(attr);
	switch (header->hook) {
	case NF_INET_LOCAL_IN:
		return HOOK_INPUT;
	case NF_INET_LOCAL_OUT:
		return HOOK_OUTPUT;
	default:
		return HOOK_FORWARD;
	}
}

static enum engine_fate fate_of(const struct nflog *l, const struct nlattr *mark)
{
	bool passed = mark != NULL && mnl_attr_get_payload_len(mark) == sizeof(uint32_t) &&
		      ntohl(mnl_attr_get_u32(mark)) & l->mark;

	return passed ? FATE_PASSED : FATE_DROPPED;
}

/* True if it was a packet. */
static bool read_message(struct nflog *l, const struct nlmsghdr *nlh, struct engine_packet *p)
{
	struct told t = {NULL, NULL, NULL, NULL};

	if (nlh->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
		mnl_attr_parse(nlh, sizeof(struct nfgenmsg), remember_attribute, &t) < 0)
		return false;
	count_lost(l, t.number);
	if (t.payload == NULL)
		return false;
	*p = (struct engine_packet){
		.bytes = mnl_attr_get_payload(t.payload),
		.captured = mnl_attr_get_payload_len(t.payload),
		.hook = hook_of(t.header),
		.fate = fate_of(l, t.mark),
	};
	/* How long a packet was that it has cut, the kernel does not say. */
	p->on_wire = p->captured < COPY_RANGE ? p->captured : UINT16_MAX;
	return true;
}

int nflog_run(struct nflog *l, void (*each)(void *arg, const struct engine_packet *in), void *arg)
{
	struct engine_packet packet;
	int packets = 0, left;
	ssize_t n;

	do
		n = recv(nflog_fd(l), l->in, sizeof(l->in), MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN || errno == ENOBUFS ? 0 : -1;
	left = (int)n;
	for (const struct nlmsghdr *nlh = (const void *)l->in; mnl_nlmsg_ok(nlh, left);
		nlh = mnl_nlmsg_next(nlh, &left)) {
		if (!read_message(l, nlh, &packet))
			continue;
		each(arg, &packet);
		packets++;
	}
	return packets;
}
