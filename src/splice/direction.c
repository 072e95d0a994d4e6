/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/direction.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TURN_BYTES = 1 << 20, /* passed on before it is others' turn */
	TURN_ROUNDS = 32,
	BULK = 16384,   /* bytes of one read: as many or more come in bulk */
	MANY_BULKS = 2, /* in a row make it splice */
	FEW = 4096,     /* bytes of one splice: fewer are better copied */
	MANY_FEWS = 8,  /* in a row make it copy */
	SPLICE_MAX = 1 << 20,
};

void direction_begin(struct direction *d, bool splice)
{
	*d = (struct direction){
		.to_the_end = true,
		.state = DIRECTION_OPEN,
		.way = splice ? DIRECTION_COPIES : DIRECTION_ONLY_COPIES,
	};
}

static bool would_block(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
}

static bool keep(struct direction *d, struct reserve *r, const uint8_t *bytes, size_t len)
{
	if (!d->buffer)
		d->buffer = reserve_take_buffer(r);
	if (!d->buffer)
		return false;
	memcpy(d->buffer, bytes, len);
	d->buffer_at = 0;
	d->in_buffer = (uint32_t)len;
	return true;
}

bool direction_prepend(struct direction *d, struct reserve *r, const uint8_t *bytes, size_t len)
{
	d->foreign = (uint32_t)len;
	return keep(d, r, bytes, len);
}

static void drop_buffer(struct direction *d, struct reserve *r)
{
	if (d->buffer)
		reserve_give_buffer(r, d->buffer);
	d->buffer = NULL;
	d->in_buffer = d->buffer_at = 0;
}

static void drop_pipe(struct direction *d, struct reserve *r)
{
	if (d->has_pipe)
		reserve_give_pipe(r, d->pipe, d->in_pipe);
	d->has_pipe = false;
	d->in_pipe = 0;
}

void direction_end(struct direction *d, struct reserve *r)
{
	drop_buffer(d, r);
	drop_pipe(d, r);
}

/* Bytes of the buffer: what was prepended is none of the sender's. */
static void count(struct direction *d, uint32_t n)
{
	uint32_t foreign = n < d->foreign ? n : d->foreign;

	d->foreign -= foreign;
	d->bytes += n - foreign;
}

/* All of the buffer, or until the receiver is full. */
static enum direction_outcome write_buffer(struct direction *d, struct reserve *r, int to)
{
	while (d->in_buffer) {
		ssize_t n = send(to, d->buffer + d->buffer_at, d->in_buffer, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return would_block(errno) ? DIRECTION_WAITS_TO_WRITE
						  : DIRECTION_WRITE_FAILED;
		d->buffer_at += (uint32_t)n;
		d->in_buffer -= (uint32_t)n;
		count(d, (uint32_t)n);
	}
	drop_buffer(d, r);
	return DIRECTION_GOES_ON;
}

/* What is in the pipe goes on by hand: these sockets can't splice. */
static enum direction_outcome leave_splicing(struct direction *d, struct reserve *r)
{
	d->way = DIRECTION_ONLY_COPIES;
	while (d->in_pipe) {
		size_t want = d->in_pipe < RESERVE_BUFFER ? d->in_pipe : RESERVE_BUFFER;
		ssize_t n = read(d->pipe.out, r->scratch, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || !keep(d, r, r->scratch, (size_t)n))
			return DIRECTION_WRITE_FAILED;
		d->in_pipe -= (uint32_t)n;
		if (d->in_pipe)
			return DIRECTION_GOES_ON; /* the rest when these are gone */
	}
	drop_pipe(d, r);
	return DIRECTION_GOES_ON;
}

static bool cannot_splice(int error)
{
	return error == EINVAL || error == ENOSYS || error == EPERM || error == EOPNOTSUPP;
}

/* All of the pipe, or until the receiver is full. */
static enum direction_outcome write_pipe(struct direction *d, struct reserve *r, int to)
{
	if (d->way == DIRECTION_ONLY_COPIES && d->in_pipe)
		return leave_splicing(d, r);
	while (d->in_pipe) {
		ssize_t n = splice(
			d->pipe.out, NULL, to, NULL, d->in_pipe, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && would_block(errno))
			return DIRECTION_WAITS_TO_WRITE;
		if (n < 0 && cannot_splice(errno))
			return leave_splicing(d, r);
		if (n <= 0)
			return DIRECTION_WRITE_FAILED;
		d->in_pipe -= (uint32_t)n;
		d->bytes += (uint64_t)n;
	}
	return DIRECTION_GOES_ON;
}

static enum direction_outcome read_failed(void)
{
	return would_block(errno) ? DIRECTION_WAITS_TO_READ : DIRECTION_READ_FAILED;
}

static void consider_splicing(struct direction *d, size_t n)
{
	if (d->way != DIRECTION_COPIES)
		return;
	d->streak = n >= BULK ? (uint8_t)(d->streak + 1) : 0;
	if (d->streak >= MANY_BULKS) {
		d->way = DIRECTION_SPLICES;
		d->streak = 0;
	}
}

/*
 * Fills the scratch with what there is. *after says what comes behind those bytes: GOES_ON if there
 * may be more. An end is looked for before they are sent, so that the FIN goes in the last segment.
 */
static size_t read_some(
	struct direction *d, struct reserve *r, int from, enum direction_outcome *after)
{
	size_t n = 0;

	*after = DIRECTION_GOES_ON;
	while (n < RESERVE_BUFFER) {
		const size_t room = RESERVE_BUFFER - n;
		ssize_t got = recv(from, r->scratch + n, room, 0);

		if (got > 0) {
			n += (size_t)got;
			if ((size_t)got == room || d->to_the_end)
				continue;
			*after = DIRECTION_WAITS_TO_READ;
			break;
		}
		if (got == 0)
			d->state = DIRECTION_ENDED;
		else if (errno == EINTR)
			continue;
		else
			*after = read_failed();
		break;
	}
	return n;
}

static enum direction_outcome copy_once(struct direction *d, struct reserve *r, int from, int to)
{
	enum direction_outcome after;
	const size_t n = read_some(d, r, from, &after);
	const int error = errno, more = d->state == DIRECTION_ENDED ? MSG_MORE : 0;
	ssize_t sent;

	if (n == 0)
		return after;
	consider_splicing(d, n);
	do
		sent = send(to, r->scratch, n, MSG_NOSIGNAL | more);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && !would_block(errno))
		return DIRECTION_WRITE_FAILED;
	if (sent < 0)
		sent = 0;
	d->bytes += (uint64_t)sent;
	if ((size_t)sent < n) {
		if (!keep(d, r, r->scratch + sent, n - (size_t)sent))
			return DIRECTION_WRITE_FAILED;
		/* An error that was read is gone: it has to be told now. */
		after = after == DIRECTION_READ_FAILED ? after : DIRECTION_GOES_ON;
	}
	errno = error;
	return after;
}

static void consider_copying(struct direction *d, ssize_t n)
{
	d->streak = n < FEW ? (uint8_t)(d->streak + 1) : 0;
	if (d->streak >= MANY_FEWS) {
		d->way = DIRECTION_COPIES;
		d->streak = 0;
	}
}

/* The pipe is empty, so what is missing is at the sender. */
static enum direction_outcome splice_once(struct direction *d, struct reserve *r, int from, int to)
{
	ssize_t n;

	if (!d->has_pipe && reserve_take_pipe(r, &d->pipe) != 0) {
		d->way = DIRECTION_COPIES;
		return DIRECTION_GOES_ON;
	}
	d->has_pipe = true;
	n = splice(from, NULL, d->pipe.in, NULL, SPLICE_MAX, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n < 0 && errno == EINTR)
		return DIRECTION_GOES_ON;
	if (n < 0 && cannot_splice(errno)) {
		d->way = DIRECTION_ONLY_COPIES;
		return DIRECTION_GOES_ON;
	}
	/* Nothing, or an urgent byte, at which splice stops and recv does not. */
	if (n < 0 && would_block(errno))
		return d->to_the_end ? copy_once(d, r, from, to) : DIRECTION_WAITS_TO_READ;
	if (n < 0)
		return DIRECTION_READ_FAILED;
	if (n == 0)
		d->state = DIRECTION_ENDED;
	d->in_pipe = (uint32_t)n;
	consider_copying(d, n);
	return DIRECTION_GOES_ON;
}

static enum direction_outcome round_once(struct direction *d, struct reserve *r, int from, int to)
{
	enum direction_outcome outcome = write_buffer(d, r, to);

	if (outcome == DIRECTION_GOES_ON)
		outcome = write_pipe(d, r, to);
	if (outcome != DIRECTION_GOES_ON || direction_holds(d))
		return outcome;
	if (d->state == DIRECTION_ENDED)
		return DIRECTION_FINISHED;
	return d->way == DIRECTION_SPLICES ? splice_once(d, r, from, to)
					   : copy_once(d, r, from, to);
}

enum direction_outcome direction_move(struct direction *d, struct reserve *r, int from, int to)
{
	const uint64_t before = d->bytes;
	enum direction_outcome outcome = DIRECTION_GOES_ON;

	for (int i = 0;
		i < TURN_ROUNDS && outcome == DIRECTION_GOES_ON && d->bytes - before < TURN_BYTES;
		i++)
		outcome = round_once(d, r, from, to);
	if (!direction_holds(d)) {
		int error = errno;

		direction_end(d, r);
		errno = error;
	}
	return outcome;
}

enum direction_outcome direction_discard(struct reserve *r, int from)
{
	for (int i = 0; i < TURN_ROUNDS; i++) {
		ssize_t n = recv(from, r->scratch, RESERVE_BUFFER, MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return read_failed();
		if (n == 0)
			return DIRECTION_FINISHED;
	}
	return DIRECTION_GOES_ON;
}
