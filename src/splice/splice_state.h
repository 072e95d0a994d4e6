/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of the room's front: what is in force, and what may be next. */
#ifndef ACKGATE_SPLICE_SPLICE_STATE_H
#define ACKGATE_SPLICE_SPLICE_STATE_H

#include "splice/checks.h"
#include "splice/splice.h"

enum {
	SPLICE_INHERITED_MAX = 256
};

/* Where connections are accepted: one socket for each thread, or as many as were handed to us. */
struct place {
	char name[SPLICE_PLACE_NAME];
	struct endpoint at;
	bool transparent;
	bool fresh;          /* its sockets are no listeners yet */
	struct route *route; /* borrowed of the state */
	unsigned count;
	int fds[SPLICE_THREADS_MAX];
	struct listener *listeners[SPLICE_THREADS_MAX]; /* socket i is loop i % loops' */
};

struct state {
	struct backend **backends;
	size_t backend_count;
	struct route **routes;
	size_t route_count;
	struct place *places;
	size_t place_count;
};

struct splice_change {
	struct state next;
};

struct inherited {
	struct splice_socket socket; /* fd -1: it has a listener now; the name is our own */
	struct endpoint at;
	bool transparent;
};

struct splice {
	const struct splice_events *events;
	void *arg;
	struct server_hooks hooks;
	struct loop loops[SPLICE_THREADS_MAX];
	unsigned loop_count;
	struct checks *checks; /* in the first loop's thread */
	struct state now;
	struct inherited inherited[SPLICE_INHERITED_MAX];
	size_t inherited_count;
};

struct route *state_route(const struct state *s, uint16_t slot);
struct backend *state_backend(const struct state *s, const char *name);
void state_free(struct state *s);

/* The sockets of a fresh place: those handed to us, else new ones. -1 with errno. */
int place_open(struct splice *s, struct place *place);
/* Closes what place_open opened. */
void place_shut(struct place *place);
/* A name for it that systemd takes, sd_pid_notify_with_fds(3). */
void place_name(struct place *place);

/* Sockets of that place, out of those handed to us; how many. */
unsigned inherited_take(
	struct splice *s, const struct place *place, int fds[static SPLICE_THREADS_MAX]);
void inherited_close(struct splice *s);

#endif
