/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/adoption.h"

#include "kernel/conntrack_entry.h"
#include "kernel/sockets.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/tcp.h>
#include <stdlib.h>

enum {
	TIMEOUT_HALF_CLOSED = 120, /* seconds; the kernel's own default */
};

struct adoption {
	struct conntrack_requests *requests;
	uint32_t mark;
	bool (*wanted)(void *arg, const struct tuple *t);
	void *arg;
	uint32_t timeout_established; /* seconds */
	uint8_t listening[65536 / 8]; /* local ports, a bit each */
};

static bool is_wanted(const struct adoption *a, const struct tuple *t)
{
	return a->wanted == NULL || a->wanted(a->arg, t);
}

/*
 * Assured: segments were seen from both ends. An entry that is merely ESTABLISHED may come of a
 * single ACK out of nowhere, which conntrack takes for the middle of a connection.
 */
static bool is_standing(const struct conntrack_entry *e)
{
	return (e->status & IPS_ASSURED) != 0 && (e->tcp_state == TCP_CONNTRACK_ESTABLISHED ||
							 e->tcp_state == TCP_CONNTRACK_FIN_WAIT ||
							 e->tcp_state == TCP_CONNTRACK_CLOSE_WAIT);
}

static void adopt_entry(void *arg, const struct conntrack_entry *e)
{
	struct adoption *a = arg;
	/* Conntrack may have met the connection halfway, by a segment of its server's. */
	struct tuple back = conntrack_entry_reversed(&e->tuple);

	if ((e->mark & a->mark) == 0 && is_standing(e) &&
		(is_wanted(a, &e->tuple) || is_wanted(a, &back)))
		conntrack_requests_mark(a->requests, &e->original, true);
}

static void note_listener(void *arg, const struct sockets_entry *s)
{
	struct adoption *a = arg;

	a->listening[s->local_port / 8] |= (uint8_t)(1 << s->local_port % 8);
}

static bool is_listening(const struct adoption *a, uint16_t port)
{
	return (a->listening[port / 8] & 1 << port % 8) != 0;
}

/*
 * A socket does not say which end opened it: one whose port has a listener was accepted. The others
 * are this host's own connections, no business of any rule, and must not be cut either.
 */
static void adopt_socket(void *arg, const struct sockets_entry *s)
{
	struct adoption *a = arg;
	struct tuple t = {
		.client = s->remote,
		.client_port = s->remote_port,
		.server = s->local,
		.server_port = s->local_port,
	};

	if (!is_listening(a, s->local_port))
		t = conntrack_entry_reversed(&t);
	else if (!is_wanted(a, &t))
		return;
	conntrack_requests_create(a->requests, &t,
		s->state == TCP_ESTABLISHED ? a->timeout_established : TIMEOUT_HALF_CLOSED);
}

static int adopt_sockets(struct adoption *a)
{
	const uint32_t standing = 1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 |
				  1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT;

	a->timeout_established = conntrack_entry_timeout_established();
	if (sockets_dump(1u << TCP_LISTEN, note_listener, a) == -1)
		return -1;
	return sockets_dump(standing, adopt_socket, a);
}

long adoption_run(struct mnl_socket *dumps, struct conntrack_requests *requests, uint32_t mark,
	bool (*wanted)(void *arg, const struct tuple *t), void *arg)
{
	struct adoption *a = calloc(1, sizeof(*a));
	uint64_t before = conntrack_requests_granted(requests);
	uint64_t granted;
	int rc;

	if (a == NULL)
		return -1;
	a->requests = requests;
	a->mark = mark;
	a->wanted = wanted;
	a->arg = arg;
	/* A socket with an entry refuses a second one, so the order does not matter. */
	rc = conntrack_entry_dump(dumps, 0, adopt_entry, a);
	if (rc == 0)
		rc = adopt_sockets(a);
	granted = conntrack_requests_granted(requests) - before;
	free(a);
	return rc == 0 ? (long)granted : -1;
}
