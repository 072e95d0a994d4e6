/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel only tells of instead of asking, as far as it concerns the main thread: which
 * servers are under a flood, and with which listeners all is calm. */
#ifndef ACKGATE_DAEMON_TOLD_H
#define ACKGATE_DAEMON_TOLD_H

#include "daemon/daemon_state.h"

/* When the workers are there. Where the kernel can't, all SYNs are queued. */
void told_open(struct daemon *d);
void told_close(struct daemon *d);

/* Whether some rule has listeners that may come to be told of. */
bool told_of_listeners(const struct policy *p);

/* The judging chains are in the kernel, for this configuration. */
void told_apply(struct daemon *d, const struct config *c);
/* Some times a second. */
void told_tick(struct daemon *d);
/* All is queued from now on, until a tick finds that it need not be. */
void told_pause(struct daemon *d);
/* At the end. */
void told_stop(struct daemon *d);

#endif
