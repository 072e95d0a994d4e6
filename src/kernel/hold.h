/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps the kernel translating while this process lives, whatever others flush: a table that
 * belongs to a socket of ours (`flags owner`, Linux 5.12) and holds a synproxy object. `nft flush
 * ruleset` passes it over, and it is gone with the socket. Without it connections with timestamps
 * could stall for good: one segment that is translated but for its timestamp is enough.
 */
#ifndef ACKGATE_KERNEL_HOLD_H
#define ACKGATE_KERNEL_HOLD_H

struct hold;

/* NULL with errno: this kernel can't, or there is no privilege. */
struct hold *hold_open(void);
void hold_close(struct hold *h);

#endif
