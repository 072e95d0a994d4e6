/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What there is to say of a spliced connection once it has ended. */
#ifndef ACKGATE_SPLICE_RECORD_H
#define ACKGATE_SPLICE_RECORD_H

#include "core/addr.h"

#include <stdbool.h>
#include <stdint.h>

/* Why it ended: name, the words of the log. */
#define SPLICE_ENDS(X)                                                                             \
	X(closed, "closed")                                                                        \
	X(reset, "reset")                                                                          \
	X(lost, "no answer any more")                                                              \
	X(idle, "idle_timeout")                                                                    \
	X(half_closed, "half_closed_timeout")                                                      \
	X(total, "total_timeout")                                                                  \
	X(bad_proxy, "a malformed PROXY header")                                                   \
	X(untrusted_proxy, "not one of trusted_proxies")                                           \
	X(no_proxy, "no PROXY header in time")                                                     \
	X(refused, "the server refused")                                                           \
	X(no_syn_ack, "no answer from the server within connect_timeout")                          \
	X(unreachable, "the server can't be reached")                                              \
	X(no_local_port, "no local port is left towards the server")                               \
	X(backend_down, "no server of the backend is up")                                          \
	X(backend_full, "no place at a server within connect_timeout")                             \
	X(no_fds, "no file descriptor within connect_timeout")                                     \
	X(loop, "the client asked for this gate itself")                                           \
	X(failed, "the system refused")                                                            \
	X(stopped, "the daemon stops")

enum splice_end {
#define SPLICE_END_NAME(name, words) SPLICE_END_##name,
	SPLICE_ENDS(SPLICE_END_NAME)
#undef SPLICE_END_NAME
	SPLICE_END_COUNT
};

/* Which end of the connection did it. */
enum splice_side {
	SPLICE_CLIENT,
	SPLICE_SERVER,
	SPLICE_GATE
};

/* The phase it was in then. */
enum splice_phase {
	SPLICE_PROXY,   /* the PROXY header is awaited */
	SPLICE_DATA,    /* the client's first bytes are */
	SPLICE_WAIT,    /* for a place at a server */
	SPLICE_CONNECT, /* for the server's handshake */
	SPLICE_OPEN,    /* bytes go both ways */
	SPLICE_HALF,    /* one end has sent its FIN */
	SPLICE_LINGER,  /* what an end has sent before it broke is on its way to the other */
};

/* Strings are borrowed; times in microseconds. */
struct splice_record {
	struct endpoint client; /* as the PROXY header says, if there was one */
	const char *rule;
	uint16_t slot;
	const char *backend; /* NULL: the address that the client asked for */
	const char *server;  /* NULL: none was asked */
	enum splice_end end;
	enum splice_side by;
	enum splice_phase phase;
	int error;             /* errno of what failed; 0 */
	uint64_t handshake_us; /* from our SYN-ACK to the client's ACK; 0: not measured */
	uint64_t connect_us;   /* until the server's handshake was done; 0: never */
	uint64_t total_us;
	uint64_t bytes_in;  /* from the client */
	uint64_t bytes_out; /* to it */
	uint8_t retries;
	bool as_client; /* the server was asked from the client's address */
};

/* "idle_timeout", the words of the log. */
const char *splice_end_words(enum splice_end end);
/* "client", "server", "gate". */
const char *splice_side_word(enum splice_side side);
/* "proxy", "data", "wait", "connect", "open", "half-closed", "linger". */
const char *splice_phase_word(enum splice_phase phase);

#endif
