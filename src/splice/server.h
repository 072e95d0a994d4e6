/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One server of a backend: where it is, whether it is up, how many connections it has. All of it is
 * atomic: any thread may ask and tell at any time, and nothing here waits for another thread. A
 * server is counted by reference, since a reload replaces its backend while connections stand.
 * Times are monotonic microseconds.
 */
#ifndef ACKGATE_SPLICE_SERVER_H
#define ACKGATE_SPLICE_SERVER_H

#include "config/config.h"

#include <stdatomic.h>
#include <sys/socket.h>

enum {
	SERVER_ADDRESSES = 8, /* of one name */
	SERVER_WORDS = 64,
	SERVER_WHERE = 136, /* bytes of an address as text */
};

enum server_admin {
	SERVER_ENABLED,
	SERVER_DISABLED, /* no new connections, no checks */
	SERVER_DRAINING, /* no new connections; those that stand end by themselves */
};

enum server_state {
	SERVER_UP,
	SERVER_DOWN,
	SERVER_IS_DISABLED,
	SERVER_IS_DRAINING,
	SERVER_UNRESOLVED, /* a name that no address is known of */
};

/* What a backend's keeper wants to hear, in whichever thread it happens. They may neither wait nor
 * call checks_set or checks_free. */
struct server_hooks {
	/* A server has gone down or come up: one sentence for each change. */
	void (*told)(void *arg, enum config_log_level level, const char *sentence);
	/* Somebody was refused as BACKEND_FULL, and a server has come up or was enabled since. */
	void (*room)(void *arg);
	void *arg;
};

/* What all servers of a backend share, those of its former configurations included. */
struct server_pool {
	atomic_uint refs;
	_Atomic uint32_t connections;
	atomic_bool wanted; /* somebody was refused as BACKEND_FULL */
};

struct server {
	atomic_uint refs;
	struct server_pool *pool;
	struct server_hooks hooks;
	char *title; /* BACKEND/SERVER */
	const char *name;
	enum server_kind kind;
	char *host; /* SERVER_NAME */
	uint16_t port;
	struct sockaddr_storage fixed; /* of other kinds */
	socklen_t fixed_len;

	/* A reload may change these. */
	atomic_bool checked;
	_Atomic uint64_t interval_us;
	_Atomic uint32_t rise, fall;

	_Atomic uint32_t
		health; /* SERVER_IS_DOWN, and in a row: failures if up, good checks if down */
	_Atomic uint64_t trial_us; /* unchecked and down: when the next connection may try it */
	_Atomic uint64_t since_us; /* in its present state */
	_Atomic int last;          /* result: an errno, 0 good, -1 none yet */
	_Atomic int admin;         /* enum server_admin */
	_Atomic uint32_t connections;
	_Atomic uint64_t total, failures;

	/* Of a name: written by one thread; odd `version` while it does. */
	_Atomic uint32_t version;
	_Atomic uint32_t address_count;
	_Atomic uint64_t addresses[SERVER_ADDRESSES][2];
	_Atomic uint32_t turn;     /* counts up; modulo address_count, the one in use */
	atomic_bool lookup_wanted; /* a connection to it has failed */
	atomic_bool lookup_failed; /* the last one has, and it was said */
};

/* Without memory NULL. With one reference, and one on the pool. */
struct server *server_new(const struct config_backend *b, const struct config_server *c,
	struct server_pool *pool, const struct server_hooks *hooks, uint64_t now_us);
void server_ref(struct server *s);
void server_unref(struct server *s);

struct server_pool *server_pool_new(void);
void server_pool_ref(struct server_pool *p);
void server_pool_unref(struct server_pool *p);

/* What a new configuration says of checks, once it is in force. */
void server_settings(struct server *s, const struct config_backend *b);

/*
 * Where to connect to. False: a name that is not looked up yet. `turn` says which of a name's
 * addresses it is, for server_bad.
 */
bool server_address(
	const struct server *s, struct sockaddr_storage *to, socklen_t *len, uint32_t *turn);

/* Of a name; the thread that looks names up is the only one to call it. At most SERVER_ADDRESSES
 * count. An address that is still among them stays in use. */
void server_resolved(struct server *s, const struct addr *list, size_t count, uint64_t now_us);

bool server_is_up(const struct server *s);
enum server_state server_state(const struct server *s);
const char *server_state_word(enum server_state state);

void server_administer(struct server *s, enum server_admin admin, uint64_t now_us);

/* Whether a connection may try a server that is down and is not checked: once an interval. */
bool server_trial_due(const struct server *s, uint64_t now_us);
bool server_trial_claim(struct server *s, uint64_t now_us);

/* A connection or a check (`by_check`) has ended well, or with an errno. */
void server_good(struct server *s, bool by_check, uint64_t now_us);
void server_bad(struct server *s, uint32_t turn, int error, bool by_check, uint64_t now_us);

/* The last result: "connected", "connection refused", "not tried yet". */
const char *server_last_words(const struct server *s, char out[static SERVER_WORDS]);
const char *server_error_words(int error, char out[static SERVER_WORDS]);

/* "192.0.2.1:80", "unix:/run/x", "" while unresolved. */
const char *server_where(const struct server *s, char out[static SERVER_WHERE]);

#endif
