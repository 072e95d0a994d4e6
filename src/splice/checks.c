/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A check has a timer that runs at each interval, and a socket from then on, in one of two states:
 *
 *	connecting	until it is writable (the verdict is its error), or too late
 *	closing		the verdict was good; our FIN is sent, the server's awaited
 *
 * While closing, what the server says is read until its FIN, or it was enough: a close with unread
 * bytes would send a RST, which servers log as an error. A socket that is still there when the
 * timer runs again is cut. Timers of servers that come together start apart, so that checks spread
 * over the interval.
 */
#include "config.h"

#include "splice/checks.h"

#include "splice/resolver.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	ANSWER_MAX_US = 5000000,  /* for a connection to be established */
	CLOSE_MAX_US = 1000000,   /* for the server's FIN */
	CLOSE_MAX_BYTES = 65536,  /* before it */
	LOOKUP_US = 60000000,     /* names, again */
	LOOKUP_SOON_US = 5000000, /* after a failure */
};

struct check {
	struct event_base *base;
	struct server *server;
	uint64_t interval_us;
	struct event *timer;
	struct event *io; /* of fd; NULL: no socket */
	int fd;
	uint32_t turn; /* of the server's address */
	bool closing;
	size_t read; /* while closing */
	bool kept;   /* by the set that is being made */
};

struct checks {
	struct event_base *base;
	struct resolver *resolver;
	struct check **list;
	size_t count;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct timeval timeval_of(uint64_t us)
{
	return (struct timeval){(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
}

static void check_cut(struct check *k)
{
	if (!k->io)
		return;
	event_free(k->io);
	k->io = NULL;
	close(k->fd);
}

static void check_bad(struct check *k, int error)
{
	check_cut(k);
	server_bad(k->server, k->turn, error, true, now_us());
}

static bool await(struct check *k, short what, event_callback_fn then, uint64_t us)
{
	struct timeval timeout = timeval_of(us);

	k->io = event_new(k->base, k->fd, what, then, k);
	if (k->io && event_add(k->io, &timeout) == 0)
		return true;
	if (k->io)
		event_free(k->io);
	k->io = NULL;
	return false;
}

static void on_closing(evutil_socket_t fd, short what, void *arg)
{
	struct check *k = arg;
	struct timeval timeout = timeval_of(CLOSE_MAX_US);
	char bytes[4096];
	ssize_t n = -1;

	if (what & EV_READ)
		n = recv(fd, bytes, sizeof(bytes), 0);
	if (n > 0)
		k->read += (size_t)n;
	if (n <= 0 || k->read >= CLOSE_MAX_BYTES || event_add(k->io, &timeout) != 0)
		check_cut(k);
}

static void check_good(struct check *k)
{
	if (k->io)
		event_free(k->io);
	k->io = NULL;
	k->closing = true;
	k->read = 0;
	shutdown(k->fd, SHUT_WR);
	if (!await(k, EV_READ, on_closing, CLOSE_MAX_US))
		close(k->fd);
	server_good(k->server, true, now_us());
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct check *k = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	if (what & EV_TIMEOUT)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0)
		check_bad(k, error);
	else
		check_good(k);
}

/* Of ours, not the server's. */
static bool is_own_want(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
	       error == EADDRNOTAVAIL;
}

static void check_begin(struct check *k)
{
	uint64_t us = k->interval_us < ANSWER_MAX_US ? k->interval_us : ANSWER_MAX_US;
	struct sockaddr_storage to;
	socklen_t len;
	int error = 0;

	if (!server_address(k->server, &to, &len, &k->turn))
		return;
	k->closing = false;
	k->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (k->fd < 0 || connect(k->fd, (struct sockaddr *)&to, len) != 0)
		error = errno;
	if (error == 0) {
		check_good(k);
		return;
	}
	if (error == EINPROGRESS && await(k, EV_WRITE, on_connected, us))
		return;
	if (k->fd >= 0)
		close(k->fd);
	if (error != EINPROGRESS && !is_own_want(error))
		check_bad(k, error);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct check *k = arg;
	struct timeval next = timeval_of(k->interval_us);

	(void)fd;
	(void)what;
	event_add(k->timer, &next);
	if (k->io && !k->closing)
		check_bad(k, ETIMEDOUT);
	check_cut(k);
	if (server_state(k->server) != SERVER_IS_DISABLED)
		check_begin(k);
}

static void check_free(struct check *k)
{
	if (!k)
		return;
	check_cut(k);
	if (k->timer)
		event_free(k->timer);
	server_unref(k->server);
	free(k);
}

static struct check *check_new(struct event_base *base, struct server *server)
{
	struct check *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->base = base;
	k->server = server;
	server_ref(server);
	k->timer = event_new(base, -1, 0, on_timer, k);
	if (k->timer)
		return k;
	check_free(k);
	return NULL;
}

struct checks *checks_new(struct event_base *base)
{
	struct checks *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->base = base;
	c->resolver = resolver_new(LOOKUP_US, LOOKUP_SOON_US);
	if (c->resolver)
		return c;
	free(c);
	return NULL;
}

static struct check *find(const struct checks *c, const struct server *server)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->list[i]->server == server)
			return c->list[i];
	return NULL;
}

/* What checks_set is about to put in force. */
struct draft {
	struct check **list;
	struct server **named; /* borrowed */
	size_t count, named_count;
};

static bool draft_add(struct draft *d, struct checks *c, struct server *server, bool checked)
{
	struct check *k;

	if (server->kind == SERVER_NAME)
		d->named[d->named_count++] = server;
	if (!checked)
		return true;
	k = find(c, server);
	if (k)
		k->kept = true;
	else
		k = check_new(c->base, server);
	d->list[d->count] = k;
	d->count += k != NULL;
	return k != NULL;
}

static bool draft_fill(
	struct draft *d, struct checks *c, struct backend *const *backends, size_t count)
{
	size_t servers = 0;

	for (size_t i = 0; i < count; i++)
		servers += backend_server_count(backends[i]);
	d->list = calloc(servers + 1, sizeof(*d->list));
	d->named = calloc(servers + 1, sizeof(*d->named));
	if (!d->list || !d->named)
		return false;
	for (size_t i = 0; i < count; i++)
		for (unsigned n = 0; n < backend_server_count(backends[i]); n++)
			if (!draft_add(d, c, backend_server(backends[i], n),
				    backend_check(backends[i]) == CHECK_TCP))
				return false;
	return resolver_set(c->resolver, d->named, d->named_count);
}

/* But for those that the set in the making has kept. */
static void free_others(struct check **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!list[i]->kept)
			check_free(list[i]);
}

/* New ones begin apart; of the others only a changed interval counts. */
static void begin_all(const struct draft *d)
{
	for (size_t i = 0; i < d->count; i++) {
		struct check *k = d->list[i];
		uint64_t interval = atomic_load(&k->server->interval_us);
		struct timeval first = timeval_of(k->kept ? interval : interval * i / d->count);

		if (!k->kept || interval != k->interval_us)
			event_add(k->timer, &first);
		k->interval_us = interval;
		k->kept = false;
	}
}

bool checks_set(struct checks *c, struct backend *const *backends, size_t count)
{
	struct draft d = {0};
	bool good = draft_fill(&d, c, backends, count);

	if (!good) {
		free_others(d.list, d.count);
		for (size_t i = 0; i < c->count; i++)
			c->list[i]->kept = false;
		free(d.list);
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		backend_in_force(backends[i]);
	free_others(c->list, c->count);
	free(c->list);
	begin_all(&d);
	c->list = d.list;
	c->count = d.count;
out:
	free(d.named);
	return good;
}

void checks_free(struct checks *c)
{
	if (!c)
		return;
	free_others(c->list, c->count);
	free(c->list);
	resolver_free(c->resolver);
	free(c);
}
