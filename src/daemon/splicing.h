/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Splice mode as the daemon runs it: start, reload, stop, and what of it is logged. */
#ifndef ACKGATE_DAEMON_SPLICING_H
#define ACKGATE_DAEMON_SPLICING_H

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>

struct daemon;

/* Takes the sockets that systemd has handed over; before any process is forked that would keep
 * them. */
void splicing_inherit(struct daemon *d);

/* As many descriptors as the system lets us have. Before the queues are opened, which go by it. */
void splicing_raise_limit(void);

/* What of a configuration can fail: places that can't be listened at. Nothing changes yet; one of
 * the two below has to follow. False with a sentence in `why`. */
bool splicing_prepare(struct daemon *d, const struct config *c, char *why, size_t why_size);
void splicing_commit(struct daemon *d);
void splicing_abandon(struct daemon *d);

/* Threads run from now on, also those that a later reload asks for first. */
bool splicing_start(struct daemon *d, char *why, size_t why_size);

/* Once a second: rules whose backend is down refuse SYNs. */
void splicing_tick(struct daemon *d);

/* No new connections; whether any are left. */
void splicing_rest(struct daemon *d);
bool splicing_idle(const struct daemon *d);

struct status;
void splicing_status(const struct daemon *d, struct status *out);

void splicing_close(struct daemon *d);

#endif
