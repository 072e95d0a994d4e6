/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/sockets.h"

#include "kernel/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static struct addr read_addr(uint8_t family, const __be32 words[4])
{
	struct addr a;

	if (family == AF_INET)
		return addr_v4((const uint8_t *)words);
	memcpy(a.b, words, sizeof(a.b));
	return a;
}

static bool read_socket(const struct nlmsghdr *nlh, struct sockets_entry *s)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return false;
	s->local = read_addr(m->idiag_family, m->id.idiag_src);
	s->remote = read_addr(m->idiag_family, m->id.idiag_dst);
	s->local_port = ntohs(m->id.idiag_sport);
	s->remote_port = ntohs(m->id.idiag_dport);
	s->state = m->idiag_state;
	return true;
}

static int dump_family(struct mnl_socket *nl, uint8_t family, uint32_t states,
	void (*each)(void *arg, const struct nlmsghdr *nlh), void *arg)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(nlh, sizeof(*request));

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->sdiag_family = family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = states;
	return netlink_dump(nl, nlh, each, arg);
}

static int dump(uint32_t states, void (*each)(void *arg, const struct nlmsghdr *nlh), void *arg)
{
	struct mnl_socket *nl = netlink_open(NETLINK_SOCK_DIAG, 0, 1 << 18);
	int rc, saved;

	if (nl == NULL)
		return -1;
	rc = dump_family(nl, AF_INET, states, each, arg);
	if (rc == 0)
		rc = dump_family(nl, AF_INET6, states, each, arg);
	saved = errno;
	mnl_socket_close(nl);
	errno = saved;
	return rc;
}

struct listing {
	void (*each)(void *arg, const struct sockets_entry *s);
	void *arg;
};

static void list_socket(void *arg, const struct nlmsghdr *nlh)
{
	const struct listing *l = arg;
	struct sockets_entry s;

	if (read_socket(nlh, &s))
		l->each(l->arg, &s);
}

int sockets_dump(uint32_t states, void (*each)(void *arg, const struct sockets_entry *s), void *arg)
{
	struct listing l = {.each = each, .arg = arg};

	return dump(states, list_socket, &l);
}

struct destruction {
	struct mnl_socket *nl; /* of its own: the dump goes on meanwhile */
	bool (*wanted)(void *arg, const struct sockets_entry *s);
	void *arg;
	long count;
	int error;
};

/* What the kernel had against the request just sent; 0: nothing, it is done. */
static int refusal(struct mnl_socket *nl)
{
	_Alignas(struct nlmsghdr) char buf[1024];
	const struct nlmsghdr *nlh = (const void *)buf;
	ssize_t n = recv(mnl_socket_get_fd(nl), buf, sizeof(buf), MSG_DONTWAIT);

	if (n <= 0 || !mnl_nlmsg_ok(nlh, (int)n) || nlh->nlmsg_type != NLMSG_ERROR)
		return 0;
	return netlink_error(nlh);
}

/*
 * Named by its cookie too. Without it the kernel would take the listener of the port, if the
 * connection has gone in the meantime.
 */
static int destroy(struct mnl_socket *nl, const struct inet_diag_msg *m)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(nlh, sizeof(*request));

	nlh->nlmsg_type = SOCK_DESTROY;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	request->sdiag_family = m->idiag_family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->id = m->id;
	return netlink_send(nl, nlh, nlh->nlmsg_len) == -1 ? errno : refusal(nl);
}

static void destroy_wanted(void *arg, const struct nlmsghdr *nlh)
{
	struct destruction *d = arg;
	struct sockets_entry s;
	int error;

	if (!read_socket(nlh, &s) || !d->wanted(d->arg, &s))
		return;
	error = destroy(d->nl, mnl_nlmsg_get_payload(nlh));
	if (error == 0)
		d->count++;
	else if (error != ENOENT && error != ESTALE) /* it has gone by itself */
		d->error = error;
}

long sockets_destroy(bool (*wanted)(void *arg, const struct sockets_entry *s), void *arg)
{
	const uint32_t open = 1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_SYN_RECV |
			      1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT |
			      1u << TCP_LAST_ACK | 1u << TCP_CLOSING;
	struct destruction d = {.wanted = wanted, .arg = arg};

	d.nl = netlink_open(NETLINK_SOCK_DIAG, 0, 1 << 16);
	if (d.nl == NULL)
		return -1;
	if (dump(open, destroy_wanted, &d) == -1)
		d.error = errno;
	mnl_socket_close(d.nl);
	errno = d.error;
	return d.error == 0 ? d.count : -1;
}
