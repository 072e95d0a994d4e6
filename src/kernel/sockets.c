/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/sockets.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

struct dump {
	void (*each)(void *arg, const struct sockets_entry *s);
	void *arg;
};

static struct addr read_addr(uint8_t family, const __be32 words[4])
{
	struct addr a;

	if (family == AF_INET)
		return addr_v4((const uint8_t *)words);
	memcpy(a.b, words, sizeof(a.b));
	return a;
}

static void read_socket(void *arg, const struct nlmsghdr *nlh)
{
	const struct dump *d = arg;
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct sockets_entry s;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return;
	s.local = read_addr(m->idiag_family, m->id.idiag_src);
	s.remote = read_addr(m->idiag_family, m->id.idiag_dst);
	s.local_port = ntohs(m->id.idiag_sport);
	s.remote_port = ntohs(m->id.idiag_dport);
	s.state = m->idiag_state;
	d->each(d->arg, &s);
}

static int dump_family(struct mnl_socket *nl, uint8_t family, uint32_t states, struct dump *d)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(nlh, sizeof(*request));

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->sdiag_family = family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = states;
	return netlink_dump(nl, nlh, read_socket, d);
}

int sockets_dump(uint32_t states, void (*each)(void *arg, const struct sockets_entry *s), void *arg)
{
	struct dump d = {.each = each, .arg = arg};
	struct mnl_socket *nl = netlink_open(NETLINK_SOCK_DIAG, 0, 1 << 18);
	int rc, saved;

	if (nl == NULL)
		return -1;
	rc = dump_family(nl, AF_INET, states, &d);
	if (rc == 0)
		rc = dump_family(nl, AF_INET6, states, &d);
	saved = errno;
	mnl_socket_close(nl);
	errno = saved;
	return rc;
}
