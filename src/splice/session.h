/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One spliced connection, from accept to its last byte.
 *
 * Theory of operation
 *
 * Both sockets are watched edge-triggered for everything, once and for all; a session remembers of
 * each end whether it may be read and written, and takes that back at EAGAIN, or at a short read
 * with nothing behind it (to_the_end). So a byte costs no change of what is watched. A session that
 * has more to do than fits into one turn comes again after all others.
 *
 * Phases go in one direction: (PROXY header) -> (first data) -> (a place at a server) -> connect ->
 * open -> half-closed, see record.h. Until open, nothing is read of the client's bytes: a FIN or
 * data that come early stay in its socket and are found there.
 *
 * The two directions are independent (direction.h). An end's FIN is passed on after its last byte
 * and leaves the other direction alone. An RST is passed on as an RST, at once, with one exception:
 * an end that had sent its FIN before it broke has said all it had to say. Then the other end is
 * given everything, has to acknowledge it (LINGER), and is reset after that, for what it still
 * sends reaches nobody.
 *
 * The one timer of a session is set for the earliest of its limits and looks, when it fires,
 * whether that limit was moved meanwhile by bytes that came; bytes themselves do not touch it.
 */
#ifndef ACKGATE_SPLICE_SESSION_H
#define ACKGATE_SPLICE_SESSION_H

#include "splice/direction.h"
#include "splice/loop.h"
#include "splice/route.h"

struct end {
	struct session *session;
	int fd; /* -1: not there yet */
	bool readable;
	bool writable;
	bool to_the_end; /* it can't be told by a short read that nothing is left */
};

struct session {
	TAILQ_ENTRY(session) all;
	TAILQ_ENTRY(session) queued; /* in loop->again or loop->waiting */
	struct loop *loop;
	struct route *route;            /* a reference */
	struct server *server;          /* a place at it; NULL: none */
	struct end ends[2];             /* SPLICE_CLIENT, SPLICE_SERVER */
	struct direction directions[2]; /* by the end they come from */
	struct event timer;

	struct endpoint client;
	struct endpoint asked; /* where the client went; port 0: not looked up yet */
	bool in_again;
	bool in_waiting;
	bool deaf;       /* the client has broken after its FIN, before it had a server */
	bool kept_alive; /* the server's socket has its keepalive */
	uint8_t phase;
	uint8_t retries;
	uint8_t index;  /* the server's, in its backend */
	uint8_t fault;  /* enum splice_end of the last try */
	uint8_t lack;   /* the end of a wait in vain, an enum splice_end */
	int error;      /* of the last try, an errno */
	uint32_t turn;  /* of server_address */
	uint64_t tried; /* servers, a bit each */
	uint64_t timer_us;
	uint64_t began_us;
	uint64_t phase_us;   /* since when it is in its phase */
	uint64_t connect_us; /* how long that took */
	uint64_t last_us;    /* a byte was passed on */
	uint32_t handshake_us;
};

/* A client is here. Owns the descriptor. */
void session_begin(
	struct loop *l, struct route *route, int fd, const struct sockaddr_storage *client);

/* Ends it: `by` is who was the cause. The client is reset unless both ends have closed or the
 * reason is a time-out; what it holds is given back. */
void session_end(struct session *s, enum splice_end end, enum splice_side by, int error);

/* The phase is another one now. */
void session_enter(struct session *s, enum splice_phase phase);
/* It comes again after all others. */
void session_later(struct session *s);
/* Starts watching an end whose descriptor is set. False without memory. */
bool session_watch(struct session *s, enum splice_side side);
/* Before it is closed. */
void session_unwatch(struct session *s, enum splice_side side);
/* A watch_told, of an end. */
void session_told(void *of, uint32_t events);
/* The timer fires no later than the earliest limit of the phase. */
void session_time(struct session *s);

/* Keepalive as the rule says. */
void session_keep_alive(int fd, const struct config_splice *set);

/* Until there is what it lacks; if there never is, `lack` is its end. */
void session_wait(struct session *s, enum splice_end lack);
bool session_waits_for(const struct loop *l, const struct backend *b);
void session_retry_waiting(struct loop *l);
void session_run_again(struct loop *l);
/* Connections that are not open yet, or all of them. */
void session_end_all(struct loop *l);

/* What is next in each phase; in opening.c and relay.c. */
void opening_go_on(struct session *s);
void opening_timed_out(struct session *s);
void relay_begin(struct session *s);
void relay_go_on(struct session *s);
void relay_look_at_linger(struct session *s);

#endif
