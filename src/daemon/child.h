/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process of ours that answers one frame after another over a socket pair. To be started before
 * threads, and to be used by one of them.
 */
#ifndef ACKGATE_DAEMON_CHILD_H
#define ACKGATE_DAEMON_CHILD_H

#include "daemon/frame.h"

#include <sys/types.h>

struct child {
	pid_t pid;
	int fd; /* -1: it is gone */
};

/*
 * Forks; in the child `serve` is called with its end of the pair and `arg`, and the process ends
 * when that returns. No other descriptor is open there but the standard ones and `keep` (-1: none).
 * It dies with its parent, and ignores the signals that a terminal or a service manager sends to
 * all processes alike. False with errno.
 */
bool child_start(
	struct child *c, const char *name, int keep, void (*serve)(int fd, void *arg), void *arg);
/* Once more, after a change of user: the kernel forgets it then (PR_SET_PDEATHSIG). */
void child_dies_with_parent(void);

/*
 * One request and its answer, for which it waits 40 s at most; the answer is to be freed with
 * frame_free. A child that failed is not spoken to again: an answer that comes late would be taken
 * for the next one's. False if it is gone; and with c->fd still there for a request that is too
 * large, which was not sent and does no harm.
 */
bool child_ask(struct child *c, int32_t kind, const struct frame_part *parts, size_t count,
	struct frame *f);
/* The next frame, which nothing was asked for. */
bool child_hear(struct child *c, struct frame *f);

/* Whether it has ended, be it of its own accord. */
bool child_is_gone(const struct child *c);

/* The child sees the end of its socket and exits; waits for that. */
void child_stop(struct child *c);

#endif
