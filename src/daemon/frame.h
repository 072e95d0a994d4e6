/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon and its children say to each other: frames over a stream socket, a kind and a
 * list of byte strings. Both ends run on one machine from one binary, so numbers are in its order.
 * The reader trusts nothing in a frame.
 */
#ifndef ACKGATE_DAEMON_FRAME_H
#define ACKGATE_DAEMON_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_BYTES_MAX = 64 << 20,
	FRAME_PARTS_MAX = 4096,
};

/* Bytes and, after them, a NUL that is not counted. */
struct frame_part {
	const char *bytes;
	size_t len;
};

struct frame {
	int32_t kind;
	size_t count;
	struct frame_part *parts;
	char *storage;
};

/* False with errno: EMSGSIZE if it is too large, and nothing was sent. */
bool frame_send(int fd, int32_t kind, const struct frame_part *parts, size_t count);
/* A frame of one part, a string. */
bool frame_send_words(int fd, int32_t kind, const char *words);
/*
 * Waits for a whole frame; false at the end of file, on errors (errno) and for frames that are
 * wrong. Free with frame_free.
 */
bool frame_receive(int fd, struct frame *f);
void frame_free(struct frame *f);

#endif
