/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A splice thread: one libevent loop with listeners, sessions and a reserve of its own. Sessions
 * never change threads, so nothing of theirs is locked. What others want of a loop is done in its
 * thread: loop_call.
 */
#ifndef ACKGATE_SPLICE_LOOP_H
#define ACKGATE_SPLICE_LOOP_H

#include "splice/exhausted.h"
#include "splice/record.h"
#include "splice/reserve.h"
#include "splice/watch.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

struct listener;
struct session;

/* What the room tells those who run it, from any of its threads. */
struct splice_calls {
	/* Whether ended() is wanted for a connection that ended well. */
	bool (*wants_record)(void *arg);
	void (*ended)(void *arg, const struct splice_record *record);
	/* No descriptor is left to accept by; and there is again. */
	void (*accepting)(void *arg, bool paused);
};

TAILQ_HEAD(session_list, session);
TAILQ_HEAD(listener_list, listener);

struct loop {
	const struct splice_calls *calls;
	void *arg;
	struct event_base *base;
	struct reserve reserve;
	struct exhausted exhausted;
	struct watch watch; /* the sessions' sockets */
	uint64_t now_us;    /* monotonic, when the event that is being handled came */

	struct listener_list listeners;
	struct session_list sessions;
	struct session_list again;   /* had more to do than fits in one turn */
	struct session_list waiting; /* for a place at a server */
	struct session *spare;       /* memory of sessions that have ended */
	unsigned spare_count;
	struct event again_event;
	struct event resume_timer; /* accepting goes on, if descriptors can be had */
	bool paused;               /* for want of a descriptor */
	bool draining;             /* no more accepting */

	struct loop *peers; /* all loops, this one too */
	unsigned peer_count;

	/* Told to others. */
	atomic_uint open;
	atomic_uint_fast64_t total;
	atomic_uint_fast64_t bytes_in;
	atomic_uint_fast64_t bytes_out;

	pthread_t thread;
	bool running;
	int wake; /* eventfd */
	struct event wake_event;
	atomic_bool woken; /* somebody gave back a place that a listener or session waits for */
	pthread_mutex_t lock;
	pthread_cond_t done;
	void (*fn)(struct loop *l, void *arg);
	void *fn_arg;
	bool stop;
};

/* -1 with errno. Whatever happened, loop_close is due. */
int loop_open(struct loop *l, const struct splice_calls *calls, void *arg);
int loop_start(struct loop *l);
/* Ends the thread; what is in the loop stays. */
void loop_stop(struct loop *l);
/* Ends the thread, and all that is in the loop; of the others none may run any more. */
void loop_close(struct loop *l);

/* Runs `fn` in the loop's thread and waits for it; one caller at a time. Before loop_start it runs
 * right here. */
void loop_call(struct loop *l, void (*fn)(struct loop *l, void *arg), void *arg);

/* Places have become free: whoever waits for one, in whatever loop, may try again. */
void loop_wake_all(struct loop *l);

/* Monotonic microseconds, now. */
uint64_t loop_clock(void);

#endif
