/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/listener.h"

#include "splice/session.h"
#include "splice/sockaddr.h"
#include "splice/sockopt.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	BACKLOG = 65535,   /* the kernel takes net.core.somaxconn if that is less */
	FAST_OPENS = 1024, /* that may wait for their client's ACK */
	ACCEPTS = 4,       /* in one turn: more would leave the servers idle meanwhile */
	RESUME_MS = 100,
};

void listener_dress(int fd, bool transparent, const struct route *route)
{
	const struct config_splice *s = &route->set;

	(void)transparent;
	/* What is accepted inherits all of these. */
	(void)sockopt_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	session_keep_alive(fd, s);
	if (route->mss)
		(void)sockopt_set(fd, IPPROTO_TCP, TCP_MAXSEG, route->mss);
	(void)sockopt_set(fd, IPPROTO_TCP, TCP_FASTOPEN, route->fast_open ? FAST_OPENS : 0);
}

int listener_bind(const struct endpoint *at, bool transparent, const struct route *route)
{
	struct sockaddr_storage name;
	const socklen_t len = sockaddr_of(at, &name);
	int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -1;
	(void)sockopt_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	(void)sockopt_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (name.ss_family == AF_INET6)
		(void)sockopt_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (transparent && name.ss_family == AF_INET6)
		(void)sockopt_set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
	else if (transparent)
		(void)sockopt_set(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
	listener_dress(fd, transparent, route);
	if (bind(fd, (struct sockaddr *)&name, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int get(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) == 0 ? value : 0;
}

bool listener_place(int fd, struct endpoint *at, bool *transparent)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	if (get(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP ||
		!get(fd, SOL_SOCKET, SO_ACCEPTCONN) ||
		getsockname(fd, (struct sockaddr *)&name, &len) != 0 ||
		!sockaddr_endpoint(&name, at))
		return false;
	*transparent = name.ss_family == AF_INET6 ? get(fd, IPPROTO_IPV6, IPV6_TRANSPARENT)
						  : get(fd, IPPROTO_IP, IP_TRANSPARENT);
	return true;
}

static void rest(struct listener *listener)
{
	if (!listener->resting)
		event_del(&listener->event);
	listener->resting = true;
}

static void resume(struct listener *listener)
{
	if (listener->resting && event_add(&listener->event, NULL) == 0)
		listener->resting = false;
}

/* Whether nobody more can be served; whoever gives back a place then wakes us. */
static bool is_full(struct route *route)
{
	if (!route_full(route))
		return false;
	atomic_store(&route->tally->refused, true);
	/* Between the two it may have become free. */
	return route_full(route);
}

void listener_pause_all(struct loop *l)
{
	const struct timeval in = {.tv_usec = RESUME_MS * 1000};
	struct listener *each;

	TAILQ_FOREACH(each, &l->listeners, all)
	rest(each);
	event_add(&l->resume_timer, &in);
	if (!l->paused)
		l->calls->accepting(l->arg, true);
	l->paused = true;
}

static bool is_passing(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENETDOWN ||
	       error == EHOSTDOWN || error == EHOSTUNREACH || error == ENETUNREACH ||
	       error == ENOPROTOOPT || error == EOPNOTSUPP;
}

/* False: no more for now. Whoever finds no place at a server waits, and keeps others from coming.
 */
static bool accept_one(struct listener *listener)
{
	struct loop *l = listener->loop;
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int fd =
		accept4(listener->fd, (struct sockaddr *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		if (l->paused)
			l->calls->accepting(l->arg, false);
		l->paused = false;
		session_begin(l, listener->route, fd, &name);
		return !session_waits_for(l, listener->route->backend);
	}
	if (is_passing(errno))
		return true;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		listener_pause_all(l);
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)fd;
	(void)what;
	listener->loop->now_us = loop_clock();
	for (int i = 0; i < ACCEPTS; i++) {
		if (is_full(listener->route) ||
			session_waits_for(listener->loop, listener->route->backend)) {
			rest(listener);
			return;
		}
		if (!accept_one(listener))
			return;
	}
}

struct listener *listener_add(
	struct loop *l, int fd, const struct endpoint *at, bool transparent, struct route *route)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener) {
		close(fd);
		return NULL;
	}
	listener->loop = l;
	listener->fd = fd;
	listener->at = *at;
	listener->transparent = transparent;
	listener->route = route_ref(route);
	event_assign(&listener->event, l->base, fd, EV_READ | EV_PERSIST, on_readable, listener);
	listener->resting = true;
	if (!l->draining)
		resume(listener);
	TAILQ_INSERT_TAIL(&l->listeners, listener, all);
	return listener;
}

void listener_set_route(struct listener *listener, struct route *route)
{
	struct route *old = listener->route;

	listener->route = route_ref(route);
	listener_dress(listener->fd, listener->transparent, route);
	route_unref(old);
	if (!listener->loop->draining)
		resume(listener);
}

static void free_listener(struct listener *listener)
{
	rest(listener);
	TAILQ_REMOVE(&listener->loop->listeners, listener, all);
	close(listener->fd);
	route_unref(listener->route);
	free(listener);
}

void listener_finish(struct listener *listener)
{
	struct loop *l = listener->loop;
	struct sockaddr_storage name;

	for (;;) {
		socklen_t len = sizeof(name);
		int fd = accept4(
			listener->fd, (struct sockaddr *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			session_begin(l, listener->route, fd, &name);
		else if (!is_passing(errno))
			break;
	}
	free_listener(listener);
}

void listener_resume_all(struct loop *l)
{
	struct listener *each;

	if (l->draining)
		return;
	TAILQ_FOREACH(each, &l->listeners, all)
	if (!session_waits_for(l, each->route->backend))
		resume(each);
}

void listener_rest_all(struct loop *l)
{
	struct listener *each;

	l->draining = true;
	TAILQ_FOREACH(each, &l->listeners, all)
	rest(each);
}

void listener_close_all(struct loop *l)
{
	struct listener *each;

	while ((each = TAILQ_FIRST(&l->listeners)) != NULL)
		free_listener(each);
}

bool listener_read_backlog(int fd, struct listener_backlog *b)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	struct tcp_info info = {0};
	socklen_t len = sizeof(info), memory_len = sizeof(memory);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return false;
	/* So inet_diag(7) has it for sockets that listen. */
	b->now = info.tcpi_unacked;
	b->max = info.tcpi_sacked;
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &memory_len) == 0)
		b->overflows = memory[SK_MEMINFO_DROPS];
	return true;
}
