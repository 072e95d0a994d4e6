/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One daemon a network namespace: abstract UNIX socket names belong to the namespace, and go with
 * the process. */
#ifndef ACKGATE_KERNEL_NETNS_LOCK_H
#define ACKGATE_KERNEL_NETNS_LOCK_H

#include <stddef.h>

/* A descriptor that holds the namespace until it is closed; -1 with a sentence in `why` that names
 * the holder, if it can be had. */
int netns_lock_take(char *why, size_t why_size);

#endif
