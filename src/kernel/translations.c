/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/translations.h"

#include "kernel/conntrack_entry.h"
#include "kernel/netlink.h"
#include "kernel/translations_entry.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
	BATCH = 64,        /* translations */
	CREATE_MAX = 512,  /* bytes of a request */
	TUPLE_MAX = 128,   /* bytes of a request that is no more than a tuple */
	ANSWERS = 16,      /* that are read at once */
	ANSWER_MAX = 2048, /* bytes */
	RCVBUF = 1 << 20,  /* bytes: room for a batch of answers */
	DUMP_RCVBUF = 1 << 20,
};

struct pending {
	struct translation t;
	struct addr client; /* as the server sees it, and its port */
	uint16_t client_port;
	uint32_t mark; /* the old entry's */
	int error;
};

/*
 * The answers to a batch are told apart by their numbers: first_seq is that of its first request.
 * Requests whose answers nobody needs carry the number before it.
 */
struct translations {
	uint32_t mark;
	uint32_t timeout_s;
	translations_done done;
	void *arg;
	struct mnl_socket *nl;
	struct mnl_socket *dumps; /* of its own, so that a flush can come amid a dump */
	uint32_t first_seq;
	unsigned count;
	struct pending batch[BATCH];
	size_t out_len; /* bytes */
	_Alignas(struct nlmsghdr) uint8_t out[BATCH * (CREATE_MAX + 2 * TUPLE_MAX)];
	struct mmsghdr headers[ANSWERS];
	struct iovec iov[ANSWERS];
	_Alignas(struct nlmsghdr) uint8_t answers[ANSWERS][ANSWER_MAX];
};

struct translations *translations_open(
	uint32_t mark, translations_done done, void *arg, char *why, size_t why_size)
{
	struct translations *tr = calloc(1, sizeof(*tr));

	if (tr != NULL) {
		tr->mark = mark;
		tr->timeout_s = conntrack_entry_timeout_established();
		tr->done = done;
		tr->arg = arg;
		tr->first_seq = 1;
		tr->nl = netlink_open(NETLINK_NETFILTER, 0, RCVBUF);
		tr->dumps = netlink_open(NETLINK_NETFILTER, 0, DUMP_RCVBUF);
	}
	if (tr == NULL || tr->nl == NULL || tr->dumps == NULL) {
		snprintf(why, why_size, "can't speak with conntrack: %s", strerror(errno));
		translations_close(tr);
		return NULL;
	}
	for (unsigned i = 0; i < ANSWERS; i++) {
		tr->iov[i] = (struct iovec){.iov_base = tr->answers[i], .iov_len = ANSWER_MAX};
		tr->headers[i].msg_hdr.msg_iov = &tr->iov[i];
		tr->headers[i].msg_hdr.msg_iovlen = 1;
	}
	return tr;
}

void translations_close(struct translations *tr)
{
	if (tr == NULL)
		return;
	if (tr->nl != NULL)
		mnl_socket_close(tr->nl);
	if (tr->dumps != NULL)
		mnl_socket_close(tr->dumps);
	free(tr);
}

static bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
	return addr_equal(&a->client, &b->client) && addr_equal(&a->server, &b->server) &&
	       a->client_port == b->client_port && a->server_port == b->server_port;
}

static struct nlmsghdr *begin(struct translations *tr, enum cntl_msg_types type, uint16_t flags,
	uint32_t seq, const struct tuple *t)
{
	uint8_t family = addr_is_v4(&t->client) ? AF_INET : AF_INET6;
	struct nlmsghdr *nlh = netlink_put_netfilter(
		tr->out + tr->out_len, NFNL_SUBSYS_CTNETLINK, (uint8_t)type, flags, family, 0);

	nlh->nlmsg_seq = seq;
	return nlh;
}

static void end(struct translations *tr, const struct nlmsghdr *nlh)
{
	tr->out_len += MNL_ALIGN(nlh->nlmsg_len);
}

/* GET or DELETE. */
static void ask(struct translations *tr, enum cntl_msg_types type, uint32_t seq, uint16_t direction,
	const struct tuple *t)
{
	struct nlmsghdr *nlh = begin(tr, type, 0, seq, t);

	conntrack_entry_put_tuple(nlh, direction, t);
	end(tr, nlh);
}

/* The connection that an answer is about; NULL if about none of the batch. */
static struct pending *answered(struct translations *tr, const struct nlmsghdr *nlh)
{
	uint32_t i = nlh->nlmsg_seq - tr->first_seq;

	return i < tr->count ? &tr->batch[i] : NULL;
}

/* Answers that are there are read to the last, lest the next batch finds the socket full. */
static void read_answers(
	struct translations *tr, void (*each)(void *arg, const struct nlmsghdr *nlh), void *arg)
{
	int fd = mnl_socket_get_fd(tr->nl);
	int n;

	while ((n = recvmmsg(fd, tr->headers, ANSWERS, MSG_DONTWAIT, NULL)) > 0 ||
		(n == -1 && (errno == EINTR || errno == ENOBUFS))) {
		for (int i = 0; i < n; i++) {
			const struct nlmsghdr *nlh = (const void *)tr->answers[i];
			int len = (int)tr->headers[i].msg_len;

			for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
				each(arg, nlh);
		}
	}
}

/* Sends the requests and reads what the kernel says to them. -1 with errno if it took none. */
static int exchange(
	struct translations *tr, void (*each)(void *arg, const struct nlmsghdr *nlh), void *arg)
{
	size_t len = tr->out_len;

	tr->out_len = 0;
	if (netlink_send(tr->nl, tr->out, len) == -1)
		return -1;
	read_answers(tr, each, arg);
	return 0;
}

static void exchange_batch(
	struct translations *tr, void (*each)(void *arg, const struct nlmsghdr *nlh))
{
	if (exchange(tr, each, tr) == -1)
		for (unsigned i = 0; i < tr->count; i++)
			tr->batch[i].error = errno;
	tr->first_seq += BATCH + 1;
}

/*
 * Without an entry there was no SNAT. One whose replies go where our SYN went is a connection of
 * the server's own.
 */
static void note_old_entry(void *arg, const struct nlmsghdr *nlh)
{
	struct translations *tr = arg;
	struct pending *p = answered(tr, nlh);
	struct conntrack_entry e;

	if (p == NULL)
		return;
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		p->error = netlink_error(nlh) == ENOENT ? 0 : netlink_error(nlh);
	} else if (!conntrack_entry_read(nlh, &e)) {
		p->error = EBADMSG;
	} else if (!tuple_equal(&e.original, &p->t.tuple)) {
		p->error = EEXIST;
	} else {
		p->error = 0;
		p->client = e.reply.client;
		p->client_port = e.reply.client_port;
		p->mark = e.mark;
	}
}

static void look_up(struct translations *tr)
{
	for (unsigned i = 0; i < tr->count; i++)
		ask(tr, IPCTNL_MSG_CT_GET, tr->first_seq + i, CTA_TUPLE_ORIG,
			&tr->batch[i].t.tuple);
	exchange_batch(tr, note_old_entry);
}

static void note_refusal(void *arg, const struct nlmsghdr *nlh)
{
	struct translations *tr = arg;
	struct pending *p = answered(tr, nlh);

	if (p != NULL && nlh->nlmsg_type == NLMSG_ERROR)
		p->error = netlink_error(nlh);
}

/* With DNAT, an earlier connection of the client's may have left an entry in its own words. */
static void put_replacement(struct translations *tr, unsigned i)
{
	const struct pending *p = &tr->batch[i];
	const struct translations_entry e = {
		.client = &p->client,
		.client_port = p->client_port,
		.mark = p->mark | tr->mark,
		.timeout_s = tr->timeout_s,
	};
	struct tuple original = translations_entry_original(&p->t);
	uint32_t nobody = tr->first_seq - 1;
	struct nlmsghdr *nlh;

	ask(tr, IPCTNL_MSG_CT_DELETE, nobody, CTA_TUPLE_ORIG, &p->t.tuple);
	if (translations_entry_has_dnat(&p->t))
		ask(tr, IPCTNL_MSG_CT_DELETE, nobody, CTA_TUPLE_ORIG, &original);
	nlh = begin(tr, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, tr->first_seq + i, &original);
	translations_entry_put(nlh, &p->t, &e);
	end(tr, nlh);
}

static void replace(struct translations *tr)
{
	for (unsigned i = 0; i < tr->count; i++)
		if (tr->batch[i].error == 0)
			put_replacement(tr, i);
	if (tr->out_len > 0)
		exchange_batch(tr, note_refusal);
}

void translations_add(struct translations *tr, const struct translation *t)
{
	if (tr->count == BATCH)
		translations_flush(tr);
	tr->batch[tr->count++] = (struct pending){
		.t = *t,
		.client = t->tuple.client,
		.client_port = t->tuple.client_port,
		.error = ENOBUFS, /* until an answer comes */
	};
}

void translations_flush(struct translations *tr)
{
	if (tr->count == 0)
		return;
	look_up(tr);
	replace(tr);
	for (unsigned i = 0; i < tr->count; i++) {
		const struct pending *p = &tr->batch[i];

		tr->done(tr->arg, &p->t, &p->client, p->client_port, p->error);
	}
	tr->count = 0;
}

struct search {
	struct conntrack_entry e;
	uint32_t seq;
	bool found;
};

static void note_found(void *arg, const struct nlmsghdr *nlh)
{
	struct search *s = arg;

	if (nlh->nlmsg_seq == s->seq && nlh->nlmsg_type != NLMSG_ERROR)
		s->found = conntrack_entry_read(nlh, &s->e);
}

/* The kernel looks in both directions, whichever it was asked for. */
static bool search(
	struct translations *tr, struct search *s, uint16_t direction, const struct tuple *t)
{
	const struct tuple back = conntrack_entry_reversed(t);
	const bool reply = direction == CTA_TUPLE_REPLY;

	s->found = false;
	s->seq = tr->first_seq++;
	ask(tr, IPCTNL_MSG_CT_GET, s->seq, direction, reply ? &back : t);
	return exchange(tr, note_found, s) == 0 && s->found &&
	       tuple_equal(reply ? &s->e.reply : &s->e.original, t);
}

bool translations_find(
	struct translations *tr, const struct tuple *t, struct translations_found *out)
{
	struct search s;

	if (!search(tr, &s, CTA_TUPLE_ORIG, t) && !search(tr, &s, CTA_TUPLE_REPLY, t))
		return false;
	*out = (struct translations_found){
		.client_side = s.e.original,
		.server_side = s.e.reply,
		.translated = s.e.translated,
		.offset = s.e.offset,
		.by_ctnetlink = s.e.synproxy,
		.timestamps = s.e.its != 0 || s.e.ts_offset != 0,
		.ts_offset = s.e.ts_offset,
	};
	return true;
}

/* Without our bit too: those that stood when the marks were cleared need the kernel as before. */
static void count_translated(void *arg, const struct conntrack_entry *e)
{
	long *count = arg;

	*count += e->translated && e->synproxy && !conntrack_entry_ended(e);
}

long translations_count(struct translations *tr)
{
	long count = 0;
	int rc = conntrack_entry_dump_status(tr->dumps, IPS_SEQ_ADJUST, count_translated, &count);

	return rc == 0 ? count : -1;
}

struct routes {
	void (*each)(void *arg, const struct addr *server, uint16_t port,
		const struct addr *public_addr, uint16_t public_port);
	void *arg;
};

static void see_route(void *arg, const struct conntrack_entry *e)
{
	const struct routes *r = arg;

	r->each(r->arg, &e->tuple.server, e->tuple.server_port, &e->original.server,
		e->original.server_port);
}

int translations_routes(struct translations *tr,
	void (*each)(void *arg, const struct addr *server, uint16_t port,
		const struct addr *public_addr, uint16_t public_port),
	void *arg)
{
	struct routes r = {.each = each, .arg = arg};

	return conntrack_entry_dump_status(tr->dumps, IPS_DST_NAT, see_route, &r);
}
