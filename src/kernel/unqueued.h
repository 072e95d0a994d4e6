/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that need no verdict: the kernel only tells of them, by nfnetlink_log, right before the
 * judging chains would queue them. Many come in one message, so each costs far less. Two kinds:
 *
 * - SYNs of servers under a flood, all of which are answered with cookies: they are dropped.
 * - handshakes with listeners of our own, while all is calm: this host's TCP judges them as well as
 *   we could, so they pass, and we hear how each went.
 *
 * A table of its own, "inet ackgate_unqueued", whose rules change with the kinds that are wanted
 * alone; maps say which servers and listeners. What is in them leaves by itself after a while, so
 * that nothing is dropped, and nothing passes, for long when the daemon is gone.
 */
#ifndef ACKGATE_KERNEL_UNQUEUED_H
#define ACKGATE_KERNEL_UNQUEUED_H

#include "kernel/ruleset.h"

enum {
	UNQUEUED_SERVER_LASTS_S = 3,
	UNQUEUED_LISTENER_LASTS_S = 12
};

struct unqueued;

struct unqueued_server {
	struct addr addr;
	uint16_t port;
	unsigned worker; /* that is told */
	bool spread;     /* all are, in turn, if the kernel can */
};

struct unqueued_plan {
	enum ruleset_way way; /* that feeds the queues */
	uint16_t group;       /* the first of as many as there are workers */
	unsigned workers;
	uint32_t mark; /* our bit of the marks */
	uint32_t seed; /* of the choice of a worker that is told of a handshake */
	bool servers;  /* some may come to be listed */
	bool listeners;
};

struct unqueued_lists {
	const struct unqueued_server *servers;
	size_t server_count;
	const struct endpoint *listeners; /* a family's unspecified address: all of its addresses */
	size_t listener_count;
};

/* Finds out by trial whether this kernel can. NULL with a sentence in `why`: it can't, not even for
 * servers, or there is no memory. */
struct unqueued *unqueued_open(const struct unqueued_plan *plan, char *why, size_t why_size);
/* Whether it can for listeners. */
bool unqueued_tells(const struct unqueued *u);
void unqueued_close(struct unqueued *u); /* what is in the kernel stays */

/*
 * Puts the table in if it is not there as it should be, for these kinds; nothing is in its maps
 * then. To be called when the judging chains are in the kernel: it stands before them, and behind
 * all that others have before them. -1 with a sentence in `why`: there is no such place, or the
 * kernel refused.
 */
int unqueued_apply(struct unqueued *u, bool servers, bool listeners, char *why, size_t why_size);
/* None there is fine. */
int unqueued_remove(char *why, size_t why_size);

/* For the next UNQUEUED_..._LASTS_S, these and no others. -1 with a sentence in `why`; all is as it
 * was then. */
int unqueued_list(
	struct unqueued *u, const struct unqueued_lists *lists, char *why, size_t why_size);

/* Prints the table as `nft -f` takes it. -1 without memory. */
int unqueued_print(const struct unqueued_plan *plan, FILE *to);

#endif
