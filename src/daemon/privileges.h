/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From root to what the daemon needs for its work: a user of its own, CAP_NET_ADMIN and
 * CAP_NET_RAW.
 */
#ifndef ACKGATE_DAEMON_PRIVILEGES_H
#define ACKGATE_DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/* To be called after a fork: libcap-ng would mean the parent's still (before 0.7.10). */
void privileges_are_ours(void);

/* Whether the process has what privileges_drop keeps. False with a sentence in `why`. */
bool privileges_enough(char *why, size_t why_size);

/*
 * Becomes `user` with its groups, and keeps the two capabilities alone, for good: the bounding set
 * is empty and no_new_privs set. "root" keeps uid 0 and loses the other capabilities all the same.
 * The paths of `owned` (ends with NULL) are given to the user before, those that exist: the state
 * directory, the control socket. A folder that is shared with others is an error: one below the
 * root, one that others may write to, one that holds folders. To be called before threads are
 * started, for capabilities are each thread's own. False with a sentence in `why`.
 */
bool privileges_drop(const char *user, const char *const owned[], char *why, size_t why_size);
/* The same for a process that owns nothing and keeps CAP_NET_ADMIN alone. */
bool privileges_drop_to_admin(const char *user, char *why, size_t why_size);

#endif
