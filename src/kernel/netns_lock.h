/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One daemon a network namespace: a locked file, named after the namespace, where root alone may
 * write. The lock goes with the process; the file stays, for whoever removed it could remove one
 * that another has just locked. Daemons that share a namespace but not this folder, as containers
 * may, don't see each other's.
 */
#ifndef ACKGATE_KERNEL_NETNS_LOCK_H
#define ACKGATE_KERNEL_NETNS_LOCK_H

#include <stddef.h>

/* Makes `folder` if it is missing. A descriptor that holds the namespace until it is closed; -1
 * with a sentence in `why` that names the holder, if it can be had. */
int netns_lock_take(const char *folder, char *why, size_t why_size);

#endif
