/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One NFQUEUE: read and answered in batches. */
#ifndef ACKGATE_KERNEL_QUEUE_H
#define ACKGATE_KERNEL_QUEUE_H

#include "core/engine.h"

#include <stddef.h>
#include <stdint.h>

struct queue;

/* What queue_run reads at most. */
enum {
	QUEUE_BATCH = 64
};

struct queue_options {
	uint16_t number;
	uint32_t length;       /* packets; at most 32768 */
	uint32_t copy_range;   /* bytes of each packet to copy; 0: all */
	uint32_t mark;         /* our bit */
	enum engine_lane lane; /* what its packets are */
	bool closes_first;     /* when the process dies: before its connections */
};

/* What a batch is asked of, with the caller's argument. */
struct queue_calls {
	/* All of a batch, before any of it is judged; all but the interfaces' names is filled in.
	 * May be NULL. */
	void (*expect)(void *arg, const struct engine_packet *packets, size_t count);
	/* Each packet; `ifindex` is where it came in, 0 if nowhere. */
	void (*judge)(void *arg, struct engine_packet *in, uint32_t ifindex, struct decision *out);
	/* Once all are judged, and before the verdicts go out. May be NULL. */
	void (*before_verdicts)(void *arg);
};

/* Binds the queue and sets it up in one message. NULL with a sentence in `why` (somebody else holds
 * it, no privilege, no kernel support). */
struct queue *queue_open(const struct queue_options *o, char *why, size_t why_size);
void queue_close(struct queue *q);
int queue_fd(const struct queue *q);

/*
 * Reads one batch without waiting, has each packet judged, sends all verdicts in one call: drop;
 * accept with our bit of the packet's mark cleared; admit as REPEAT with our bit set. Changed SYNs
 * replace the packet. Returns how many packets, 0 if there were none, -1 with errno.
 */
int queue_run(struct queue *q, const struct queue_calls *calls, void *arg);

struct queue_stats {
	uint64_t packets;        /* read here */
	uint64_t kernel_dropped; /* queue full */
	uint64_t user_dropped;   /* socket full */
	uint64_t overruns;       /* ENOBUFS seen */
};

/* Counters of this queue, by its own thread; the kernel's columns come from
 * /proc/net/netfilter/nfnetlink_queue and are 0 if it is not there. */
void queue_stats(const struct queue *q, struct queue_stats *out);

#endif
