/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeps backends' health: servers with `check = tcp` are connected to at each interval, and
 * names are looked up (resolver.h). One event base does the checks; its thread calls all of this.
 */
#ifndef ACKGATE_SPLICE_CHECKS_H
#define ACKGATE_SPLICE_CHECKS_H

#include "splice/backend.h"

struct checks;
struct event_base;

/* Without memory NULL. */
struct checks *checks_new(struct event_base *base);

/*
 * Puts these backends in force, and no others: from now on they are checked as their configuration
 * says, which also holds for failures of connections. A server that was checked before keeps its
 * time of the next check, so reloads in a row don't put it off. Takes references of its own. False
 * without memory or a thread: nothing has changed then.
 */
bool checks_set(struct checks *c, struct backend *const *backends, size_t count);

/* No hook is called any more once it returns. */
void checks_free(struct checks *c);

#endif
