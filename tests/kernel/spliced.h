/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket proxy in this very process, in a network namespace of its own. Its loop is turned by
 * whoever waits for something here, so what comes between two turns is up to the test. What fails
 * here fails the test; nothing is waited for longer than some seconds.
 */
#ifndef ACKGATE_TESTS_KERNEL_SPLICED_H
#define ACKGATE_TESTS_KERNEL_SPLICED_H

#include "splice/splice_state.h"

#include <pthread.h>

enum {
	SPLICED_PORT = 8000,   /* where rule r listens */
	SPLICED_SERVER = 9000, /* and, from here on, its servers */
	SPLICED_SERVERS = 4,
	SPLICED_RECORDS = 64,
};

struct spliced_mode {
	bool v6;
	bool splice;
	unsigned threads; /* 0: one */
};

struct spliced {
	struct spliced_mode mode;
	struct splice *splice;
	struct config *config;
	unsigned fds; /* of this process, before */
	bool threads; /* the loops turn themselves */
	pthread_mutex_t lock;
	struct splice_record records[SPLICED_RECORDS];
	unsigned ended; /* records so far */
	unsigned seen;  /* of them, by spliced_ended */
	unsigned pauses, resumes;
	char listening[512]; /* names of sockets, "-" before those that went */
};

/* Rule r with a backend of `servers` servers at 127.0.0.1 or ::1, checks off; further lines for
 * either, in which @ is that address. */
void spliced_open(struct spliced *g, const struct spliced_mode *mode, unsigned servers,
	const char *rule, const char *backend);
/* All of the text is the caller's. */
void spliced_open_text(struct spliced *g, const struct spliced_mode *mode, const char *text);
/* Puts another text in force. False: it was refused, for the reason in `why`. */
bool spliced_reload(struct spliced *g, const char *text, char *why, size_t size);
/* Loops in threads of their own from now on. */
void spliced_start(struct spliced *g);
/* Nothing may be left over. */
void spliced_close(struct spliced *g);

/* One turn. */
void spliced_turn(struct spliced *g);
void spliced_turn_for(struct spliced *g, unsigned ms);

uint64_t spliced_clock_ms(void);
void spliced_nap(void);

#define SPLICED_UNTIL(g, condition)                                                                \
	do {                                                                                       \
		const uint64_t spliced_end = spliced_clock_ms() + 5000;                            \
		for (;;) {                                                                         \
			spliced_turn(g);                                                           \
			if (condition)                                                             \
				break;                                                             \
			if (spliced_clock_ms() > spliced_end)                                      \
				fail_msg("never: %s", #condition);                                 \
			spliced_nap();                                                             \
		}                                                                                  \
	} while (0)

const char *spliced_host(const struct spliced *g);
/* A listening server, by its number. */
int spliced_server(const struct spliced *g, unsigned number);
int spliced_client(const struct spliced *g);
/* The gate's connection to it. */
int spliced_accept(struct spliced *g, int server);
/* A client, the connection that the gate made for it, and the server that took it. */
void spliced_pair(struct spliced *g, int server, int *client, int *there);

/* Sends all of it, which has to arrive as it is. */
void spliced_says(struct spliced *g, int from, int to, const char *text);
/* So many bytes of a pattern. */
void spliced_sends(struct spliced *g, int from, size_t bytes);
void spliced_gets(struct spliced *g, int to, size_t bytes);
/* A FIN, or an RST, and nothing before it. */
void spliced_fin(struct spliced *g, int fd);
void spliced_rst(struct spliced *g, int fd);
/* Closes with an RST. */
void spliced_cut(int fd);
/* Nothing comes. */
void spliced_silent(struct spliced *g, int fd, unsigned ms);

/* The next record is there, and it says so. */
const struct splice_record *spliced_ended(
	struct spliced *g, enum splice_end end, enum splice_side by, enum splice_phase phase);

#endif
