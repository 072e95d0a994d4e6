/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses that are never blocked, whatever is asked: nobody locks themselves out. */
#ifndef ACKGATE_KERNEL_PROTECTED_H
#define ACKGATE_KERNEL_PROTECTED_H

#include "core/addr.h"

#include <stdbool.h>

struct protected;

/*
 * Reads which ports sshd listens at from its configuration, FILE and every .conf in FILE.d, as far
 * as they are there and may be read: ask while still root. Port 22 is always one. NULL without
 * memory.
 */
struct protected *protected_open(const char *sshd_config);
void protected_close(struct protected *p);

/*
 * Whether the range holds loopback, an address of this host's own, or the peer of an SSH session
 * that stands now; *why is then a phrase that goes on from "it holds". What can't be found out
 * counts as held.
 */
bool protected_addr(const struct protected *p, const struct addr_range *range, const char **why);

#endif
