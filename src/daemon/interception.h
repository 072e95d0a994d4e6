/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transparent interception as far as it concerns the main thread: nothing is done in the kernel
 * while no rule wants it, but that remains of an earlier process are taken away. */
#ifndef ACKGATE_DAEMON_INTERCEPTION_H
#define ACKGATE_DAEMON_INTERCEPTION_H

#include "daemon/daemon_state.h"

bool interception_open(struct daemon *d, char *why, size_t why_size);
void interception_close(struct daemon *d);

/* Puts in what a configuration's rules want, whoever feeds the queues; splicing_prepare
 * comes first, since listeners have to be there. -1 with a sentence in `why`. */
int interception_apply(struct daemon *d, const struct config *c, char *why, size_t why_size);
/* The kernel has refused other rules of `refused`: those in force are again, if any are. */
void interception_go_back(struct daemon *d, const struct config *refused);
/* Puts back what others took away. */
void interception_mend(struct daemon *d);
/* When the configuration in force is another: others' changes are listened for from now on. */
void interception_follow_config(struct daemon *d);
/* Takes it away at the end. */
void interception_stop(struct daemon *d);

/* What `ackgated -n` says of it; without privileges. -1 without memory. */
int interception_print(const struct config *c, FILE *to);
/* [netfilter] tproxy_mark if it is used, else 0. */
uint32_t interception_mark(const struct config *c);

#endif
