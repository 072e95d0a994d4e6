/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conntrack entries that translate sequence numbers, acknowledgements and timestamps of connections
 * that began with a SYN cookie. One per thread.
 */
#ifndef ACKGATE_KERNEL_TRANSLATIONS_H
#define ACKGATE_KERNEL_TRANSLATIONS_H

#include "core/translation.h"

#include <stddef.h>

struct translations;

/*
 * What became of one: `client` and `client_port` are how the server sees the client (SNAT of the
 * host's rules may have changed it), `error` is 0 or an errno value: EEXIST if another connection
 * has these addresses, ENOMEM if conntrack's table is full.
 */
typedef void (*translations_done)(void *arg, const struct translation *t, const struct addr *client,
	uint16_t client_port, int error);

/* `mark`: our bit. NULL with a sentence in `why`. */
struct translations *translations_open(
	uint32_t mark, translations_done done, void *arg, char *why, size_t why_size);
void translations_close(struct translations *tr);

/*
 * Adds to the batch; a full one is flushed first. The entry that the kernel made of our own SYN
 * (client to server after DNAT, tracked, so the host's SNAT rules were asked) becomes one that is
 * ESTABLISHED, marked, and translates.
 */
void translations_add(struct translations *tr, const struct translation *t);
/* Looks the old entries up, deletes them, makes the new ones, each for the whole batch in one call;
 * then says what became of each. */
void translations_flush(struct translations *tr);

/* A connection of conntrack's, by what a hook shows of it. */
struct translations_found {
	struct tuple client_side; /* client, and what it connected to */
	struct tuple server_side; /* the client as the server sees it, and the server */
	bool translated;
	uint32_t offset;   /* added to the server's sequence numbers on their way to the client */
	bool by_ctnetlink; /* made by a program: the kernel miswrites RSTs of the server's */
	bool timestamps;
	uint32_t ts_offset; /* subtracted from the server's TSval on its way to the client */
};

/*
 * The entry with one of: `t` as the original direction; `t` reversed as the direction of the
 * replies. False if there is none. Asks the kernel at once: for what is rare.
 */
bool translations_find(
	struct translations *tr, const struct tuple *t, struct translations_found *out);

/* Connections that stand and are translated; -1 with errno. A dump. */
long translations_count(struct translations *tr);

/*
 * Calls `each` for every TCP connection whose destination DNAT has changed: the server after DNAT,
 * and what the client connected to. -1 with errno. A dump.
 */
int translations_routes(struct translations *tr,
	void (*each)(void *arg, const struct addr *server, uint16_t port,
		const struct addr *public_addr, uint16_t public_port),
	void *arg);

#endif
