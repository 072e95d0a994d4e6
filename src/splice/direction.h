/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One direction of a connection's bytes: from one stream socket to another, neither of which
 * blocks.
 *
 * Bytes are copied through the thread's scratch as long as they come in small pieces, and move
 * inside the kernel, by splice(2) through a pipe, once they come in bulk. A pipe or a buffer is
 * held only while the receiver does not take what the sender has sent. SPLICE_F_MORE is never set:
 * it would hold back the last bytes of an answer. (MSG_MORE is, if a FIN follows at once.)
 */
#ifndef ACKGATE_SPLICE_DIRECTION_H
#define ACKGATE_SPLICE_DIRECTION_H

#include "splice/reserve.h"

#include <stdbool.h>

enum direction_state {
	DIRECTION_OPEN,
	DIRECTION_ENDED, /* the sender's FIN was read, its last bytes may still be here */
	DIRECTION_DONE,  /* and passed on */
	DIRECTION_DEAD,  /* the receiver takes nothing any more */
};

enum direction_way {
	DIRECTION_COPIES,
	DIRECTION_SPLICES,
	DIRECTION_ONLY_COPIES, /* splicing is off, or these sockets can't */
};

struct direction {
	struct conduit pipe; /* of has_pipe */
	uint8_t *buffer;     /* NULL: none */
	uint32_t in_pipe;    /* bytes */
	uint32_t in_buffer;
	uint32_t buffer_at;
	uint32_t foreign; /* of in_buffer, the first ones: not the sender's */
	bool has_pipe;
	uint8_t state;
	uint8_t way;
	bool to_the_end; /* a short read does not mean that nothing is left */
	uint8_t streak;  /* reads in a row that speak for the other way */
	uint64_t bytes;  /* of the sender's, passed on so far */
};

enum direction_outcome {
	DIRECTION_WAITS_TO_READ,
	DIRECTION_WAITS_TO_WRITE,
	DIRECTION_GOES_ON,     /* others' turn; call again */
	DIRECTION_FINISHED,    /* the sender has ended, and all it sent is passed on */
	DIRECTION_READ_FAILED, /* errno */
	DIRECTION_WRITE_FAILED,
};

/* `splice`: whether bytes may move by splice(2) at all. */
void direction_begin(struct direction *d, bool splice);

/* Bytes that go before the sender's own: at most RESERVE_BUFFER, and only at first. False without
 * memory. */
bool direction_prepend(struct direction *d, struct reserve *r, const uint8_t *bytes, size_t len);

/* Whether it holds bytes that the receiver has not taken yet. */
static inline bool direction_holds(const struct direction *d)
{
	return d->in_pipe || d->in_buffer;
}

/* Passes on what there is, for as long as it is this direction's turn. */
enum direction_outcome direction_move(struct direction *d, struct reserve *r, int from, int to);

/* Reads what there is and forgets it. */
enum direction_outcome direction_discard(struct reserve *r, int from);

/* Gives back what it holds, and forgets the bytes. */
void direction_end(struct direction *d, struct reserve *r);

#endif
