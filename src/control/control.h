/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: a UNIX stream socket, mode 0660. Each line of a client's is one JSON object,
 *
 *	{"command": "flows", "args": {"filter": "port 443", "limit": 100}}
 *
 * and is answered by one line, {"ok": true, "result": ...} or {"ok": false, "error": "..."}. The
 * commands are listed in commands.c; what they answer with is made by control/status.h and
 * control/records.h.
 *
 * Everything runs in the loop of the given event_base and in its thread; the callbacks are called
 * there. The process must ignore SIGPIPE. A client costs a bounded amount of memory, is read from
 * only once it has taken its last answer, and is closed when it is silent or slow for too long;
 * when there are too many, the one that has been idle longest makes room.
 */
#ifndef ACKGATE_CONTROL_CONTROL_H
#define ACKGATE_CONTROL_CONTROL_H

#include "config/config.h"
#include "control/filter.h"

#include <jansson.h>

struct event_base;
struct control;

/* Bounds on one client and on all. */
enum {
	CONTROL_LINE_MAX = 16384, /* bytes of a request, its newline included */
	CONTROL_CLIENTS_MAX = 32,
	CONTROL_FLOWS_MAX = 10000,  /* flows in one answer */
	CONTROL_SOURCES_MAX = 100,  /* sources in one answer */
	CONTROL_BLOCKS_MAX = 10000, /* blocks in one answer */
	CONTROL_BLOCK_S = 600,      /* how long a block lasts if nobody says */
	CONTROL_BLOCK_MAX_S = 30 * 86400,
};

/*
 * What the daemon knows and does. Results are new references and become the client's "result"; NULL
 * stands for no memory. A bool is false if the daemon refuses; *message, where there is one, comes
 * in as NULL and may be set to an allocated text (of one or more lines) for the client, which
 * control frees: what was done, or why it was refused.
 */
struct control_ops {
	json_t *(*status)(void *arg); /* status_json() */
	/* The flows that the filter takes, at most `limit` of them: records_flows_end(). */
	json_t *(*flows)(void *arg, const struct filter *filter, size_t limit);
	/* Returns how many flows were killed, or -1 with *message. The filter is never empty. */
	long (*flows_kill)(void *arg, const struct filter *filter, char **message);
	json_t *(*failures)(void *arg); /* {"failures": [records_failure() ...]} */
	json_t *(*rules)(void *arg);    /* {"rules": [records_rule() ...]} */
	/* In force now; never NULL, and read before the loop goes on. */
	const struct config *(*config)(void *arg);
	/* confirm_us 0: for good; else the old one comes back unless confirmed within that time. */
	bool (*reload)(void *arg, uint64_t confirm_us, char **message);
	bool (*confirm)(void *arg, char **message);
	json_t *(*sources)(void *arg); /* records_sources_end() */
	/* for_us is never 0. */
	bool (*block)(void *arg, const struct addr_range *range, uint64_t for_us, char **message);
	bool (*unblock)(void *arg, const struct addr_range *range, char **message);
	json_t *(*backends)(
		void *arg); /* {"servers": [records_server() ...], "listeners": [...]} */
	/* `server` is BACKEND/SERVER; `how` is enable, disable or drain. */
	bool (*administer)(void *arg, const char *server, const char *how, char **message);
	/*
	 * Begins to leave new handshakes alone and returns at once; the daemon stops when those
	 * under way are done, or after timeout_us if that is not 0.
	 */
	bool (*drain)(void *arg, uint64_t timeout_us, char **message);
};

/*
 * Listens at `path`. A socket file that nobody listens at any more is replaced; one in use, or a
 * file that is no socket, is left alone and refused. `ops` must outlive the control. NULL with a
 * sentence in `why`.
 */
struct control *control_open(struct event_base *base, const char *path,
	const struct control_ops *ops, void *arg, char *why, size_t why_size);
/*
 * Closes all clients and removes the socket file. NULL is fine. False if the file stays: the folder
 * is another user's.
 */
bool control_close(struct control *c);

#endif
