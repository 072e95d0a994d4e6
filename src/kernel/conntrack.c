/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/conntrack.h"

#include "kernel/adoption.h"
#include "kernel/conntrack_entry.h"
#include "kernel/conntrack_requests.h"
#include "kernel/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	DUMP_RCVBUF = 1 << 20, /* bytes */
};

/* Dumps have a socket of their own, so that what they find can be changed at once. */
struct conntrack {
	uint32_t mark;
	struct conntrack_requests *requests;
	struct mnl_socket *dumps;
};

struct conntrack *conntrack_open(uint32_t mark, char *why, size_t why_size)
{
	struct conntrack *ct = calloc(1, sizeof(*ct));

	if (ct != NULL) {
		ct->mark = mark;
		ct->requests = conntrack_requests_open(mark);
		ct->dumps = netlink_open(NETLINK_NETFILTER, 0, DUMP_RCVBUF);
	}
	if (ct == NULL || ct->requests == NULL || ct->dumps == NULL) {
		snprintf(why, why_size, "can't speak with conntrack: %s", strerror(errno));
		conntrack_close(ct);
		return NULL;
	}
	return ct;
}

void conntrack_close(struct conntrack *ct)
{
	if (ct == NULL)
		return;
	conntrack_requests_close(ct->requests);
	if (ct->dumps != NULL)
		mnl_socket_close(ct->dumps);
	free(ct);
}

void conntrack_delete(struct conntrack *ct, const struct tuple *t)
{
	struct tuple back = conntrack_entry_reversed(t);

	conntrack_requests_delete(ct->requests, t);
	conntrack_requests_delete(ct->requests, &back);
}

void conntrack_unmark(struct conntrack *ct, const struct tuple *t)
{
	struct tuple back = conntrack_entry_reversed(t);

	conntrack_requests_mark(ct->requests, t, false);
	conntrack_requests_mark(ct->requests, &back, false);
}

void conntrack_flush(struct conntrack *ct)
{
	conntrack_requests_flush(ct->requests);
}

struct marked_dump {
	void (*each)(void *arg, const struct tuple *t, bool live);
	void *arg;
	long count;
};

static void see_marked(void *arg, const struct conntrack_entry *e)
{
	struct marked_dump *d = arg;

	d->count++;
	d->each(d->arg, &e->tuple, !conntrack_entry_ended(e));
}

long conntrack_dump(
	struct conntrack *ct, void (*each)(void *arg, const struct tuple *t, bool live), void *arg)
{
	struct marked_dump d = {.each = each, .arg = arg};

	return conntrack_entry_dump(ct->dumps, ct->mark, see_marked, &d) == 0 ? d.count : -1;
}

long conntrack_adopt(
	struct conntrack *ct, bool (*wanted)(void *arg, const struct tuple *t), void *arg)
{
	return adoption_run(ct->dumps, ct->requests, ct->mark, wanted, arg);
}

struct deletion {
	struct conntrack_requests *requests;
	bool (*wanted)(void *arg, const struct tuple *t);
	void *arg;
};

static void delete_wanted(void *arg, const struct conntrack_entry *e)
{
	struct deletion *d = arg;

	if (d->wanted(d->arg, &e->tuple))
		conntrack_requests_delete(d->requests, &e->original);
}

long conntrack_delete_marked(
	struct conntrack *ct, bool (*wanted)(void *arg, const struct tuple *t), void *arg)
{
	struct deletion d = {.requests = ct->requests, .wanted = wanted, .arg = arg};
	uint64_t before = conntrack_requests_granted(ct->requests);
	int rc = conntrack_entry_dump(ct->dumps, ct->mark, delete_wanted, &d);
	uint64_t deleted = conntrack_requests_granted(ct->requests) - before;

	return rc == 0 ? (long)deleted : -1;
}

static void clear_mark(void *arg, const struct conntrack_entry *e)
{
	struct conntrack *ct = arg;

	conntrack_requests_mark(ct->requests, &e->original, false);
}

long conntrack_clear_marks(struct conntrack *ct)
{
	uint64_t before = conntrack_requests_granted(ct->requests);
	int rc = conntrack_entry_dump(ct->dumps, ct->mark, clear_mark, ct);
	uint64_t cleared = conntrack_requests_granted(ct->requests) - before;

	return rc == 0 ? (long)cleared : -1;
}
