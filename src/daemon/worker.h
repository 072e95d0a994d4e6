/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker: one thread, one libevent loop, one shard of flows, and a queue for each lane.
 *
 * Whatever others want of a worker's engine is done in the worker's own thread, between two
 * batches: worker_call. So a packet's way has no lock.
 */
#ifndef ACKGATE_DAEMON_WORKER_H
#define ACKGATE_DAEMON_WORKER_H

#include "config/config.h"
#include "control/records.h"
#include "core/engine.h"
#include "kernel/inject.h"
#include "kernel/queue.h"

struct worker;

struct worker_setup {
	unsigned index;
	unsigned workers;
	const struct config *config;
	struct engine_shared *shared;
	struct siphash_key key;
	int words; /* a pipe that does not block, for struct worker_word */
};

/* What workers tell the main thread. */
enum worker_word_kind {
	WORD_UNREACHABLE, /* maybe about a flow of another shard */
	WORD_BLOCK,
	WORD_COOKIES, /* have begun for some rule */
};

struct worker_word {
	enum worker_word_kind kind;
	union {
		struct unreachable unreachable;
		struct block block;
	};
};

enum {
	WORKER_FAILURES = 512
};

/* What a worker_call gets to see, in the worker's thread. */
struct worker_view {
	struct engine *engine;
	uint64_t now_us;
	/* The last failures, a ring: failures[(failure_count - 1) % WORKER_FAILURES] is the newest.
	 */
	const struct failure *failures;
	uint64_t failure_count;
	struct queue_stats queue[LANES];
	uint64_t log_lost; /* packets */
	struct worker *worker;
};

/* Binds the queues and opens the sockets, in the caller's thread and with its privileges. NULL with
 * a sentence in `why`. */
struct worker *worker_open(const struct worker_setup *setup, char *why, size_t why_size);
/* Whether it reads the packet log, group number queue + index. */
bool worker_hears_log(const struct worker *w);
/* How often it had more of it to read than it takes in a row. */
uint64_t worker_times_behind(const struct worker *w);
/* Starts the thread, which begins with what the queues hold by then. False with a sentence in
 * `why`. */
bool worker_start(struct worker *w, char *why, size_t why_size);
/* Ends the thread if it runs, and closes everything; packets still in the queues are dropped by the
 * kernel. NULL is fine. */
void worker_close(struct worker *w);

/* Runs `fn` in the worker's thread and waits for it; one caller at a time. Before worker_start it
 * runs right here. */
void worker_call(
	struct worker *w, void (*fn)(const struct worker_view *view, void *arg), void *arg);

/* Carries out effects that a called function got from the engine. */
void worker_carry_out(struct worker *w, const struct effects *effects);

/* Changes as long as the worker's loop goes round. */
uint64_t worker_heartbeat(const struct worker *w);

/* Monotonic microseconds. */
uint64_t worker_now(void);

#endif
