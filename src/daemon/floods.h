/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Floods as far as they concern the main thread: the kernel is told which servers are under one. */
#ifndef ACKGATE_DAEMON_FLOODS_H
#define ACKGATE_DAEMON_FLOODS_H

#include "daemon/daemon_state.h"

/* When the workers are there. Where the kernel can't, all SYNs are queued, as others are. */
void floods_open(struct daemon *d);
void floods_close(struct daemon *d);

/* The judging chains are in the kernel, for this configuration. */
void floods_apply(struct daemon *d, const struct config *c);
/* Some times a second. */
void floods_tick(struct daemon *d);
/* SYNs are queued from now on, until a tick finds that there is a flood. */
void floods_pause(struct daemon *d);
/* At the end. */
void floods_stop(struct daemon *d);

#endif
