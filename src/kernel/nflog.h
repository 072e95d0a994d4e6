/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One group of nfnetlink_log: packets that the kernel only tells of, many in one message. */
#ifndef ACKGATE_KERNEL_NFLOG_H
#define ACKGATE_KERNEL_NFLOG_H

#include "core/engine.h"

#include <stddef.h>
#include <stdint.h>

struct nflog;

/* Binds the group; `mark`: our bit, which packets carry that were let go on. NULL with a sentence
 * in `why` (somebody else holds it, no privilege, no kernel support). */
struct nflog *nflog_open(uint16_t group, uint32_t mark, char *why, size_t why_size);
void nflog_close(struct nflog *l); /* NULL is fine */
int nflog_fd(const struct nflog *l);

/*
 * Reads one message without waiting and calls `each` for every packet in it, with its fate; what
 * it is given lasts until it returns. Returns how many packets, 0 if there was no message, -1
 * with errno.
 */
int nflog_run(struct nflog *l, void (*each)(void *arg, const struct engine_packet *in), void *arg);

/* Packets that were lost for want of room in the socket, as far as later ones have told. */
uint64_t nflog_lost(const struct nflog *l);

#endif
