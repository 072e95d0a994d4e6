/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SYN cookies as far as they concern the main thread. */
#ifndef ACKGATE_DAEMON_COOKIES_H
#define ACKGATE_DAEMON_COOKIES_H

#include "daemon/daemon_state.h"

/* While still root. False with a sentence in `why`. */
bool cookies_open(struct daemon *d, char *why, size_t why_size);
void cookies_close(struct daemon *d);

/* Fills in what a plan says of cookies. */
void cookies_plan(struct daemon *d, const struct config *c, struct ruleset_plan *plan);
/* Which rules are to give cookies whose answers the kernel's rules do not let in yet. */
void cookies_new_in(
	const struct daemon *d, const struct config *next, bool slots[static POLICY_RULES_MAX]);
/* Whether some rule may give cookies. */
bool cookies_wanted(const struct policy *p);
/* The kernel has refused rules: what may outlive the daemon is as it was before them. */
void cookies_go_back(struct daemon *d);
/* Puts in what may outlive the daemon. -1 with a sentence in `why`. */
int cookies_apply(struct daemon *d, const struct config *c, char *why, size_t why_size);
bool cookies_intact(struct daemon *d);

/*
 * When privileges have been dropped and no worker runs yet: our own secret, what an earlier process
 * knew of servers, what DNAT does with connections that stand. False with a sentence in `why`.
 */
bool cookies_begin(struct daemon *d, char *why, size_t why_size);
/* About once a second. */
void cookies_tick(struct daemon *d);
/* A worker says so. */
void cookies_have_begun(struct daemon *d);
/* Whether clients may be about to answer a cookie. */
bool cookies_under_way(const struct daemon *d);
/* At the end: all goes, unless translated connections stand. */
void cookies_stop(struct daemon *d);

#endif
