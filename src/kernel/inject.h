/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of our own, from any source address, by raw sockets; marked with our bit, so our rules
 * let them by. */
#ifndef ACKGATE_KERNEL_INJECT_H
#define ACKGATE_KERNEL_INJECT_H

#include <stddef.h>
#include <stdint.h>

struct inject;

/* NULL with a sentence in `why`. IPv6 may be missing on the host: sending it then fails silently
 * and is counted. */
struct inject *inject_open(uint32_t mark, char *why, size_t why_size);
void inject_close(struct inject *i);

/* Copies a complete IP packet of up to 128 bytes to the batch; a full batch is sent first. */
void inject_add(struct inject *i, const uint8_t *bytes, size_t len);
/* Sends the batch, one system call a family. */
void inject_flush(struct inject *i);

struct inject_stats {
	uint64_t sent;
	uint64_t failed;
	int last_errno;
};
void inject_stats(const struct inject *i, struct inject_stats *out);

#endif
