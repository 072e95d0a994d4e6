/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blocked sources: the kernel drops what comes from them, for a while. */
#ifndef ACKGATE_DAEMON_BLOCKS_H
#define ACKGATE_DAEMON_BLOCKS_H

#include "daemon/daemon_state.h"

/* An administrator's wish. *message says what was done, or why not. */
bool blocks_add(struct daemon *d, const struct addr_range *range, uint32_t seconds, char **message);
bool blocks_remove(struct daemon *d, const struct addr_range *range, char **message);
/* About once a second: ends what stands of those that rules have blocked since. */
void blocks_tick(struct daemon *d);
/* A rule's, by a worker's word. */
void blocks_enforce(struct daemon *d, const struct block *b);

#endif
