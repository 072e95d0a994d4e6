/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transparent interception: what the kernel needs so that connections to foreign addresses are
 * taken by our listeners, and that answers to connections which we open under a client's address
 * come to us. An nftables table of its own, "inet ackgate_tproxy", whichever way the queues are
 * fed, and policy routing (tproxy_routing.h). Needs Linux 4.19 and CAP_NET_ADMIN.
 *
 * Both stay when the process is killed: without a listener nothing is taken, and new connections
 * are forwarded as they would be without us, or dropped if a failure is to close the gate. Whoever
 * applies or removes next takes them over.
 */
#ifndef ACKGATE_KERNEL_TPROXY_H
#define ACKGATE_KERNEL_TPROXY_H

#include "config/splicing.h"
#include "core/policy.h"

#include <stdio.h>

/*
 * Ports of a rule's transparent listeners, one for each family; 0: there is none, and the rule
 * takes nothing of that family. They listen at 127.0.0.1 and ::1, where nobody else reaches them,
 * or at all addresses.
 */
struct tproxy_ports {
	uint16_t v4;
	uint16_t v6;
};

struct tproxy_plan {
	const struct policy *policy;
	const struct config_splice *splices; /* by the position of their rule */
	uint32_t mark;      /* [netfilter] tproxy_mark, one bit of packets' marks */
	uint32_t gate_mark; /* [netfilter] mark: what carries it came from us and is not taken */
	bool fail_open; /* [netfilter] on_failure: what becomes of SYNs whose listener is gone */
	const struct tproxy_ports *ports; /* by the position of their rule; NULL: no listeners */
};

struct tproxy;

/* NULL without memory. */
struct tproxy *tproxy_open(void);
void tproxy_close(struct tproxy *t); /* what is in the kernel stays */

/* Whether some rule accepts connections to any address, or opens them as the client. */
bool tproxy_wanted(const struct policy *policy, const struct config_splice *splices);

/* A sentence that says what this kernel lacks, found out by trial when first asked; NULL: nothing.
 */
const char *tproxy_cannot(struct tproxy *t);

/*
 * Puts in or changes what the plan wants; the table in one transaction. If nothing was wanted
 * yet, what an earlier process left is taken away; if nothing is any more, what was taken goes on.
 * -1 with a sentence in `why`: the table is as it was then.
 */
int tproxy_apply(struct tproxy *t, const struct tproxy_plan *plan, char *why, size_t why_size);

/* Takes everything away, by whichever process it was made; `t` may be NULL. -1 with a sentence in
 * `why`. */
int tproxy_remove(struct tproxy *t, char *why, size_t why_size);

/* Whether what was applied last is still all there. */
bool tproxy_intact(struct tproxy *t);

/*
 * A descriptor that becomes readable when somebody changes the host's routing rules, and its
 * reading: true if some were deleted, so that a look at tproxy_intact is due. -1: with errno. What
 * happens to the table is ruleset_watch_fd's to tell, and a route that is gone nobody's.
 */
int tproxy_watch_fd(struct tproxy *t);
bool tproxy_watch_read(struct tproxy *t);

/* Prints the table as `nft -f` takes it, with the ip commands in comments; nothing if nothing is
 * wanted. Listeners whose ports are not known yet make comments, too. -1 without memory. */
int tproxy_print(const struct tproxy_plan *plan, FILE *to);

#endif
