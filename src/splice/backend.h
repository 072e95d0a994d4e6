/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The servers of a backend, and which of them takes the next connection. A backend is shared by all
 * threads that splice; nobody waits for anybody. Times are monotonic microseconds.
 *
 * A connection's way:
 *
 *	s = backend_take(b, client, 0, now, &index, &why);   a place, until it is given back
 *	server_address(s, &to, &len, &turn);                 connect there
 *	backend_connected(s, now);                           or
 *	backend_failed(s, turn, errno, now);
 *	backend_give_back(s);                                in either case, at its end
 *
 * and to try another one after a failure, backend_take with the bit 1 << index set in `tried`.
 */
#ifndef ACKGATE_SPLICE_BACKEND_H
#define ACKGATE_SPLICE_BACKEND_H

#include "splice/server.h"

struct backend;

enum backend_refusal {
	BACKEND_FULL,      /* those that are up have all the connections they may: wait */
	BACKEND_DOWN,      /* no server is up and enabled */
	BACKEND_NONE_LEFT, /* those that are have been tried */
};

/*
 * Copies all of `c` and `hooks`. Servers of the same name in `old` (or NULL), a backend of the same
 * name, are shared with it: health, administrative state and counts go on, and they keep their
 * hooks. Nothing of `old` changes, so a backend that is never used may just be let go. Once it
 * replaces `old`, who waits for room should try again. One reference. NULL without memory.
 */
struct backend *backend_new(const struct config_backend *c, const struct backend *old,
	const struct server_hooks *hooks, uint64_t now_us);
void backend_ref(struct backend *b);
void backend_unref(struct backend *b);

const char *backend_name(const struct backend *b);
/* How many servers are to be tried after the first. */
uint32_t backend_retries(const struct backend *b);

/*
 * A place at one of the servers but for those in `tried`, a bit for each index; NULL, and why. The
 * place holds a reference. Who was refused as BACKEND_FULL is told when to try again: by
 * backend_give_back's result, or the hook `room`.
 */
struct server *backend_take(struct backend *b, const struct addr *client, uint64_t tried,
	uint64_t now_us, unsigned *index, enum backend_refusal *why);

/* Ends the place. True: somebody was refused as BACKEND_FULL meanwhile, of whichever thread; all
 * who wait should try again. */
bool backend_give_back(struct server *s);

/* What came of connecting: `fall` failures in a row take a server down. `turn` is
 * server_address's, `error` an errno. */
void backend_connected(struct server *s, uint64_t now_us);
void backend_failed(struct server *s, uint32_t turn, int error, uint64_t now_us);

/* For every server of that name as the configuration writes it. False: there is none. */
bool backend_administer(
	struct backend *b, const char *server, enum server_admin admin, uint64_t now_us);

/* For people. `name` is the backend's. */
struct backend_view {
	const char *name;
	char where[SERVER_WHERE]; /* server_where */
	enum server_state state;  /* server_state_word */
	uint64_t since_us;
	char last[SERVER_WORDS]; /* server_last_words */
	uint32_t connections;
	uint64_t total;
	uint64_t failures;
	uint32_t weight;
	uint32_t max_connections; /* 0: no limit */
};

unsigned backend_server_count(const struct backend *b);
void backend_view(const struct backend *b, unsigned index, struct backend_view *out);
/* Of all its servers, and those that it no longer has. */
uint32_t backend_connections(const struct backend *b);
/* 0: no limit */
uint32_t backend_max_connections(const struct backend *b);

/* A server itself, for checks; borrowed. */
struct server *backend_server(const struct backend *b, unsigned index);
enum backend_check backend_check(const struct backend *b);
/* Puts the configuration's checks in force for all servers; checks_set does it. */
void backend_in_force(struct backend *b);

#endif
