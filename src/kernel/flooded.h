/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers under a flood, all of whose SYNs are answered with cookies: the kernel tells of those
 * SYNs by nfnetlink_log and drops them, right before the judging chains would queue them. A table
 * of its own, "inet ackgate_flooded", whose rules never change; two maps say which servers, and
 * which worker is told. One at a time, for as long as it keeps up: the larger the batches, the less
 * each SYN costs.
 *
 * Servers leave the maps by themselves after FLOODED_LASTS_S, so that nothing is dropped for long
 * when the daemon is gone.
 */
#ifndef ACKGATE_KERNEL_FLOODED_H
#define ACKGATE_KERNEL_FLOODED_H

#include "kernel/ruleset.h"

enum {
	FLOODED_LASTS_S = 3
};

struct flooded;

struct flooded_server {
	struct addr addr;
	uint16_t port;
	unsigned worker; /* that is told */
	bool spread;     /* all are, in turn, if the kernel can */
};

struct flooded_plan {
	enum ruleset_way way; /* that feeds the queues */
	uint16_t group;       /* the first of as many as there are workers */
	unsigned workers;
};

/* Finds out by trial whether this kernel can. NULL with a sentence in `why`: it can't, or there is
 * no memory. */
struct flooded *flooded_open(const struct flooded_plan *plan, char *why, size_t why_size);
void flooded_close(struct flooded *f); /* what is in the kernel stays */

/*
 * Puts the table in if it is not there as it should be; no server is in its maps then. To be called
 * when the judging chains are in the kernel: it stands before them, and behind all that others have
 * before them. -1 with a sentence in `why`: there is no such place, or the kernel refused.
 */
int flooded_apply(struct flooded *f, char *why, size_t why_size);
/* None there is fine. */
int flooded_remove(char *why, size_t why_size);

/* For the next FLOODED_LASTS_S, SYNs to these servers and no others are logged and dropped. -1 with
 * a sentence in `why`; all is as it was then. */
int flooded_list(struct flooded *f, const struct flooded_server *servers, size_t count, char *why,
	size_t why_size);

/* Prints the table as `nft -f` takes it. -1 without memory. */
int flooded_print(const struct flooded_plan *plan, FILE *to);

#endif
