/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
	DUMP_BUFFER = 32768, /* the most the kernel puts into one datagram of a dump */
};

/* Without the privilege to go beyond the host's limit, as much as the limit allows. */
static void set_receive_buffer(int fd, size_t bytes)
{
	int value = bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)bytes;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof(value)) == -1)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value));
}

struct mnl_socket *netlink_open(int bus, unsigned groups, size_t rcvbuf)
{
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int on = 1;

	if (nl == NULL)
		return NULL;
	set_receive_buffer(mnl_socket_get_fd(nl), rcvbuf);
	/* Refusals need not quote the whole request; kernels before 4.3 do all the same. */
	(void)mnl_socket_setsockopt(nl, NETLINK_CAP_ACK, &on, sizeof(on));
	if (mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) == -1) {
		int saved = errno;
		mnl_socket_close(nl);
		errno = saved;
		return NULL;
	}
	return nl;
}

int netlink_send(struct mnl_socket *nl, const void *messages, size_t len)
{
	ssize_t sent;

	do
		sent = mnl_socket_sendto(nl, messages, len);
	while (sent == -1 && errno == EINTR);
	return sent == -1 ? -1 : 0;
}

static ssize_t receive(struct mnl_socket *nl, void *buf, size_t size)
{
	ssize_t n;

	do
		n = recv(mnl_socket_get_fd(nl), buf, size, MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	return n;
}

int netlink_error(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(error->error))
		return EBADMSG;
	return -error->error;
}

static size_t count_refusals(const void *buf, int len)
{
	const struct nlmsghdr *nlh = buf;
	size_t refused = 0;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
		refused += nlh->nlmsg_type == NLMSG_ERROR && netlink_error(nlh) != 0;
	return refused;
}

size_t netlink_refusals(struct mnl_socket *nl)
{
	_Alignas(struct nlmsghdr) char buf[8192];
	size_t refused = 0;
	ssize_t n;

	while ((n = receive(nl, buf, sizeof(buf))) > 0 || (n == -1 && errno == ENOBUFS))
		if (n > 0)
			refused += count_refusals(buf, (int)n);
	return refused;
}

/* Returns 1 if the dump goes on, 0 at its end, -1 with errno. */
static int read_dump(
	const void *buf, int len, void (*each)(void *arg, const struct nlmsghdr *nlh), void *arg)
{
	const struct nlmsghdr *nlh = buf;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 0;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			errno = netlink_error(nlh);
			return errno != 0 ? -1 : 0;
		}
		if (nlh->nlmsg_type >= NLMSG_MIN_TYPE)
			each(arg, nlh);
	}
	return 1;
}

int netlink_dump(struct mnl_socket *nl, struct nlmsghdr *request,
	void (*each)(void *arg, const struct nlmsghdr *nlh), void *arg)
{
	char *buf = malloc(DUMP_BUFFER);
	int more = -1;
	int saved;

	if (buf == NULL)
		return -1;
	/* What an earlier, abandoned dump left behind. */
	(void)netlink_refusals(nl);
	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	if (netlink_send(nl, request, request->nlmsg_len) == -1)
		goto out;
	do {
		ssize_t n = receive(nl, buf, DUMP_BUFFER);
		more = n == -1 ? -1 : read_dump(buf, (int)n, each, arg);
	} while (more == 1);
out:
	saved = errno;
	free(buf);
	errno = saved;
	return more;
}

struct nlmsghdr *netlink_put_netfilter(void *buf, uint8_t subsystem, uint8_t type, uint16_t flags,
	uint8_t family, uint16_t resource)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));

	nlh->nlmsg_type = (uint16_t)(subsystem << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(resource);
	return nlh;
}
