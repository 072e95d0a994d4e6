/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Conntrack through ctnetlink: deleting and unmarking in batches, adoption, dumps, and the ends of
 * connections. */
#ifndef ACKGATE_KERNEL_CONNTRACK_H
#define ACKGATE_KERNEL_CONNTRACK_H

#include "core/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conntrack;

/* `mark`: our one bit. NULL with a sentence in `why`. One per thread. */
struct conntrack *conntrack_open(uint32_t mark, char *why, size_t why_size);
void conntrack_close(struct conntrack *ct);

/*
 * Adds to the batch: deletes the entry of the tuple, or clears our bit of its mark. The tuple's
 * server is the one after DNAT, so the entry is looked for by client to server and, for what NAT
 * made differ, by server to client. No entry is fine; one with both DNAT and SNAT is not
 * found, since neither of its tuples has both addresses: conntrack_delete_marked() finds that, at
 * the price of a dump. A full batch is sent first.
 *
 * A SYN that waits in a queue belongs to the entry it found. Unmarked, the entry takes the new
 * handshake in; deleted, it leaves the SYN without one, the SYN-ACK is INVALID, and the client has
 * to send its SYN again.
 */
void conntrack_delete(struct conntrack *ct, const struct tuple *t);
void conntrack_unmark(struct conntrack *ct, const struct tuple *t);
/* Sends the batch in one call and swallows the answers. */
void conntrack_flush(struct conntrack *ct);

/* Calls `each` for every TCP entry that carries our bit, server after DNAT. Returns how many, -1 on
 * failure. `live`: conntrack has it not in TIME_WAIT, LAST_ACK or CLOSE. */
long conntrack_dump(
	struct conntrack *ct, void (*each)(void *arg, const struct tuple *t, bool live), void *arg);

/* Deletes the entries that carry our bit and that `wanted` takes, whatever NAT they have; server
 * after DNAT. Returns how many, -1 on failure. */
long conntrack_delete_marked(
	struct conntrack *ct, bool (*wanted)(void *arg, const struct tuple *t), void *arg);

/*
 * Admits what stands: sets our bit on every TCP entry that is ESTABLISHED or half-closed, has seen
 * both ends and that `wanted` takes, and creates entries (ESTABLISHED, liberal windows) for this
 * host's own standing sockets that have none. `wanted` gets the tuple as a connection that arrived
 * at this host or passes it, and also the other way round where conntrack may have that wrong; NULL
 * takes all. What already carries the bit is not counted. Returns how many were adopted, -1 on
 * failure, what could be being done.
 */
long conntrack_adopt(
	struct conntrack *ct, bool (*wanted)(void *arg, const struct tuple *t), void *arg);

/* Clears our bit from every entry: returns how many, -1 on failure. */
long conntrack_clear_marks(struct conntrack *ct);

/* The ends of marked connections, as events. NULL with a sentence in `why`. */
struct conntrack_events;
struct conntrack_events *conntrack_events_open(uint32_t mark, char *why, size_t why_size);
void conntrack_events_close(struct conntrack_events *ev);
int conntrack_events_fd(const struct conntrack_events *ev);
/* Reads what is there; `ended` for each marked TCP connection that reached LAST_ACK, TIME_WAIT or
 * CLOSE or was destroyed (possibly more than once). False: events were lost (ENOBUFS), a dump is
 * due. */
bool conntrack_events_read(
	struct conntrack_events *ev, void (*ended)(void *arg, const struct tuple *t), void *arg);

#endif
