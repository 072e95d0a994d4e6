/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks up the names of servers, in a thread of its own, since getaddrinfo may take half a minute.
 * A name that can't be looked up is said once, by its server's hook, and so is that it can be
 * again; addresses that were known stay.
 */
#ifndef ACKGATE_SPLICE_RESOLVER_H
#define ACKGATE_SPLICE_RESOLVER_H

#include "splice/server.h"

struct resolver;

/*
 * Each name is looked up again `again_us` after the last time, or `soon_us` after it if it failed,
 * or a connection to the server has failed. NULL without memory.
 */
struct resolver *resolver_new(uint64_t again_us, uint64_t soon_us);

/* These servers from now on, all SERVER_NAME; takes references of its own. False without memory or
 * a thread: nothing has changed then. */
bool resolver_set(struct resolver *r, struct server *const *servers, size_t count);

/* Doesn't wait for a lookup, but its result is for nobody: no hook is called once this returns. */
void resolver_free(struct resolver *r);

#endif
