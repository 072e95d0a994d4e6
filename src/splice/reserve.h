/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What directions borrow while they hold bytes: kernel pipes and buffers. One for each thread, so
 * nothing is locked. What comes back is kept for the next one, up to a bound.
 */
#ifndef ACKGATE_SPLICE_RESERVE_H
#define ACKGATE_SPLICE_RESERVE_H

#include <stddef.h>
#include <stdint.h>

enum {
	RESERVE_BUFFER = 32768, /* bytes of a buffer, and of the scratch */
	RESERVE_KEEP = 64,      /* pipes and buffers, each, that are kept for later */
};

struct conduit {
	int in;  /* bytes are written here */
	int out; /* and read here */
};

struct reserve {
	struct conduit conduits[RESERVE_KEEP];
	size_t conduit_count;
	uint8_t *buffers[RESERVE_KEEP];
	size_t buffer_count;
	uint8_t *scratch;    /* RESERVE_BUFFER bytes, for the moment */
	uint32_t lent_pipes; /* for the status, and for tests */
	uint32_t lent_buffers;
};

/* -1 without memory. */
int reserve_open(struct reserve *r);
/* All that was lent must be back. */
void reserve_close(struct reserve *r);

/* An empty pipe that does not block; -1 with errno if none can be had. */
int reserve_take_pipe(struct reserve *r, struct conduit *pipe);
/* `held`: bytes still in it; such a pipe is closed. */
void reserve_give_pipe(struct reserve *r, struct conduit pipe, size_t held);

/* RESERVE_BUFFER bytes; NULL without memory. */
uint8_t *reserve_take_buffer(struct reserve *r);
void reserve_give_buffer(struct reserve *r, uint8_t *buffer);

#endif
