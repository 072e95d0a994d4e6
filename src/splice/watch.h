/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many sockets watched edge-triggered, for everything, from when they are added until they are
 * closed: an epoll(7) instance of its own, which the loop's libevent sees as one readable
 * descriptor. libevent would hide errors behind "readable and writable", so that each reader had to
 * read until EAGAIN to be sure to miss none, and would take each socket out again before it is
 * closed.
 */
#ifndef ACKGATE_SPLICE_WATCH_H
#define ACKGATE_SPLICE_WATCH_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/epoll.h>

enum {
	WATCH_BATCH = 64
};

/* `of` is what the socket was added with, `events` of epoll_ctl(2). */
typedef void (*watch_told)(void *of, uint32_t events);

struct watch {
	int epoll; /* -1: not open */
	struct event event;
	watch_told told;
	struct epoll_event batch[WATCH_BATCH];
	int at; /* of the batch, what is being told */
	int count;
};

/* -1 with errno. watch_close is due either way. */
int watch_open(struct watch *w, struct event_base *base, watch_told told);
void watch_close(struct watch *w);

/* False with errno. Closing the socket ends it, and watch_forget has to be called with that. */
bool watch_add(struct watch *w, int fd, void *of);
/* What is known already of `of` is not told. */
void watch_forget(struct watch *w, const void *of);

#endif
