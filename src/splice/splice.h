/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket proxy: threads that accept connections, open those to the servers and move bytes.
 * Every function here is for one thread, the main one; those of struct splice_events are called in
 * any.
 *
 * A configuration is put in force in two steps: splice_prepare does all that can fail and changes
 * nothing, splice_commit can't fail. Sockets of places that stay listened at stay open, and
 * connections go on under what they began with.
 */
#ifndef ACKGATE_SPLICE_SPLICE_H
#define ACKGATE_SPLICE_SPLICE_H

#include "config/config.h"
#include "splice/backend.h"
#include "splice/listener.h"
#include "splice/record.h"

struct splice;
struct splice_change;

enum {
	SPLICE_THREADS_MAX = 64,
	SPLICE_PLACE_NAME = 96,
};

struct splice_events {
	/* Whether ended() is wanted for a connection that ended well. */
	bool (*wants_record)(void *arg);
	void (*ended)(void *arg, const struct splice_record *record);
	/* No descriptor is left to accept by; or there is again. */
	void (*accepting)(void *arg, bool paused);
	/* One sentence about a server. */
	void (*told)(void *arg, enum config_log_level level, const char *sentence);
	/*
	 * A socket listens, or does no more (fd -1, all of that name): whoever keeps sockets for
	 * the process that comes after us may take a copy. In the main thread.
	 */
	void (*listens)(void *arg, const char *name, int fd);
};

/* A socket that was handed to us, and the name that it came by. */
struct splice_socket {
	int fd;
	const char *name;
};

/* Nothing runs yet; to be started after privileges were dropped. NULL with a sentence in `why`. */
struct splice *splice_open(unsigned threads, const struct splice_events *events, void *arg,
	char *why, size_t why_size);
/* Sockets to be taken instead of new ones where a rule listens at their place. Owned from now on;
 * what the first splice_commit has no use for is closed. False: it is no socket that listens. */
bool splice_inherit(struct splice *s, const struct splice_socket *socket);
bool splice_start(struct splice *s, char *why, size_t why_size);
/* Ends all connections that are left. NULL is fine. */
void splice_close(struct splice *s);

/* NULL with a sentence in `why` (a place that can't be listened at, memory): nothing has changed.
 */
struct splice_change *splice_prepare(
	struct splice *s, const struct config *c, char *why, size_t why_size);
void splice_commit(struct splice *s, struct splice_change *change);
void splice_abandon(struct splice *s, struct splice_change *change);

/* Where a transparent rule's connections are to be led, of that change or in force (NULL): the port
 * for IPv4, or IPv6; 0: the kernel can't. */
uint16_t splice_port(
	const struct splice *s, const struct splice_change *change, uint16_t slot, bool v4);

/* No more accepting; what stands goes on. */
void splice_rest(struct splice *s);

struct splice_totals {
	uint32_t open;
	uint64_t total;
	uint64_t bytes_in;
	uint64_t bytes_out;
};
void splice_totals(const struct splice *s, struct splice_totals *out);

/* One place that is listened at. */
struct splice_place_view {
	const char *rule;
	struct endpoint at;
	bool transparent;
	struct listener_backlog backlog; /* of all its sockets */
};
void splice_each_place(const struct splice *s,
	void (*each)(void *arg, const struct splice_place_view *place), void *arg);

/* Each rule's connections. */
struct splice_rule_view {
	uint16_t slot;
	uint32_t open;
	uint64_t total;
	bool backend_down; /* no server of its backend is up */
};
void splice_each_rule(const struct splice *s,
	void (*each)(void *arg, const struct splice_rule_view *rule), void *arg);

void splice_each_server(const struct splice *s,
	void (*each)(void *arg, const char *backend, const struct backend_view *server), void *arg);
/* False: there is no such backend or server. */
bool splice_administer(
	struct splice *s, const char *backend, const char *server, enum server_admin admin);

#endif
