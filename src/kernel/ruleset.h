/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's rules that feed the queues: rendered from the policy, put in and changed atomically,
 * taken away at the end, by nftables or by iptables. Nothing that is not ours is ever touched.
 */
#ifndef ACKGATE_KERNEL_RULESET_H
#define ACKGATE_KERNEL_RULESET_H

#include "core/engine.h"
#include "core/policy.h"
#include "core/reasons.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum ruleset_way {
	RULESET_NFTABLES,
	RULESET_IPTABLES
};

/* DNAT leads from the public address to the server, and no other way does. */
struct ruleset_route {
	struct addr server;
	struct addr public_addr;
	uint16_t port;
	uint16_t public_port;
};

struct ruleset_plan {
	const struct policy *policy;
	uint16_t queue; /* the first of LANES * workers numbers: those of lane L begin at queue + L
			 * workers */
	unsigned workers;
	uint32_t mark;  /* one bit, of packet and connection marks */
	bool fail_open; /* new handshakes pass while nobody reads the queue */
	bool translate; /* the kernel can translate what begins with a cookie, and some rule gives
			   them */
	const bool *proofs_wanted; /* by slot: cookies are under way, so all ACKs are asked about;
				      NULL: none are */
	const struct ruleset_route *routes;
	size_t route_count;
	/* Called if rules of ours were missing, just before all are put in; NULL: nobody asks. */
	void (*were_away)(void *arg);
	void *arg;
};

/*
 * Runs a program as root and waits for it: argv ends with NULL, `input` (may be NULL) is its
 * standard input. Returns its exit status, or -1 if it could not be run; *output (may be NULL to
 * discard) becomes its standard output and error, to be freed by the caller.
 */
typedef int (*ruleset_exec)(void *arg, const char *const argv[], const char *input, char **output);

struct ruleset;

/* What the kernel dropped by our rules, since this process first put them in: packets. */
struct ruleset_counts {
	uint64_t drops[REASON_COUNT];
	uint64_t observed[REASON_COUNT];       /* would have been dropped, but for enforce = no */
	uint64_t rule_drops[POLICY_RULES_MAX]; /* by slot */
	uint64_t untracked; /* packets of gated ports that others took out of conntrack: they were
			       let go */
};

/*
 * Finds out by a trial rule which way this kernel and machine have, `wanted` alone if not NULL.
 * NULL with a sentence that names what is missing in `why` (give it 1000 bytes).
 */
struct ruleset *ruleset_open(const enum ruleset_way *wanted, ruleset_exec exec, void *exec_arg,
	char *why, size_t why_size);
void ruleset_close(struct ruleset *r); /* rules stay */
enum ruleset_way ruleset_way(const struct ruleset *r);
/* "nftables" or "iptables". */
const char *ruleset_way_name(enum ruleset_way way);

/*
 * Installs or changes to the plan's rules: a failure leaves what was there. Atomically; by
 * iptables, so for each family. What an earlier process left is taken over. -1 with a sentence in
 * `why`.
 */
int ruleset_apply(struct ruleset *r, const struct ruleset_plan *plan, char *why, size_t why_size);

/* Takes all our rules away; none there is fine. */
int ruleset_remove(struct ruleset *r, char *why, size_t why_size);

/* Whether what was applied last is still all there (somebody may have flushed). */
bool ruleset_intact(struct ruleset *r);

/* Adds up the kernel's counters, those of rules replaced since included. -1 if they can't be read:
 * *out is what was known before. */
int ruleset_counts(struct ruleset *r, struct ruleset_counts *out);

/* Prints the rules as `nft -f` or `iptables-restore` would take them. -1 without memory, or with a
 * sentence printed instead. */
int ruleset_print(enum ruleset_way way, const struct ruleset_plan *plan, FILE *to);

/* Takes away everything of ours in either way, whatever is there: `ackgated --purge`. */
int ruleset_purge(ruleset_exec exec, void *exec_arg, char *why, size_t why_size);

/* Calls `say` with a sentence for each thing found on the host that keeps the gate from judging:
 * notrack rules, SYNPROXY, rules of others that write our marks' bits, bridges without
 * br_netfilter, conntrack zones. `tproxy_mark` 0: it is not used. */
void ruleset_survey(struct ruleset *r, uint32_t mark, uint32_t tproxy_mark,
	void (*say)(void *arg, const char *sentence), void *arg);

/*
 * A descriptor that becomes readable when somebody changes the kernel's nftables rules
 * (iptables-nft's are such, too), and its reading: true if others took rules away, so that a look
 * at ruleset_intact is due. -1: this kernel can't tell.
 */
int ruleset_watch_fd(struct ruleset *r);
bool ruleset_watch_read(struct ruleset *r);

#endif
