/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets that accept. Each thread has one for each place to listen at, all of them bound there
 * with SO_REUSEPORT; one that was handed to us (by systemd, or by the process before) is shared by
 * the threads. A reload only exchanges the route of a socket whose place stays.
 *
 * A listener rests while its rule or its backend has no place: who comes waits in the kernel's
 * backlog.
 */
#ifndef ACKGATE_SPLICE_LISTENER_H
#define ACKGATE_SPLICE_LISTENER_H

#include "splice/loop.h"
#include "splice/route.h"

struct listener {
	TAILQ_ENTRY(listener) all;
	struct loop *loop;
	int fd;
	struct event event;
	struct endpoint at;
	bool transparent;
	bool resting;
	bool closing;
	struct route *route; /* a reference */
	unsigned mark;       /* of a reload: whether its place stays */
};

/* A socket bound there and listening, in the ways that the route asks for; `port` 0: any. -1 with
 * errno. */
int listener_bind(const struct endpoint *at, bool transparent, const struct route *route);
/* The ways that the route asks for, for a socket that listens already. */
void listener_dress(int fd, bool transparent, const struct route *route);
/* Where a socket listens. False if it is none of TCP that does. */
bool listener_place(int fd, struct endpoint *at, bool *transparent);

/* Begins to accept, in the loop's thread. Owns the descriptor and a new reference of the route.
 * NULL without memory; the descriptor is closed. */
struct listener *listener_add(
	struct loop *l, int fd, const struct endpoint *at, bool transparent, struct route *route);
void listener_set_route(struct listener *listener, struct route *route);
/* Accepts what waits in its backlog, and closes it. */
void listener_finish(struct listener *listener);

/* No descriptor is left: all rest for a moment. */
void listener_pause_all(struct loop *l);
/* All that rest try again. */
void listener_resume_all(struct loop *l);
/* No more accepting; the sockets stay open, for whoever comes after us. */
void listener_rest_all(struct loop *l);
void listener_close_all(struct loop *l);

/* What the kernel says of a listener's backlog. */
struct listener_backlog {
	uint32_t now;
	uint32_t max;
	uint32_t overflows; /* connections dropped since it was bound: mostly for a full backlog */
};

bool listener_read_backlog(int fd, struct listener_backlog *b);

#endif
