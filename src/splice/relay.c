/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session whose ends are both there. */
#include "config.h"

#include "splice/session.h"

#include "splice/sockopt.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

static enum splice_side other(enum splice_side side)
{
	return side == SPLICE_CLIENT ? SPLICE_SERVER : SPLICE_CLIENT;
}

static enum splice_end end_of(int error)
{
	return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH
		       ? SPLICE_END_lost
		       : SPLICE_END_reset;
}

/* The end `side` is broken for good, and had not ended before. */
static void broke(struct session *s, enum splice_side side, int error)
{
	session_end(s, end_of(error), side, error);
}

/* Bytes that its peer has not acknowledged, a FIN included. */
static int unacknowledged(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

/* The end that is broken, if what it had said is all on its way to the other. */
static bool lingers(const struct session *s, enum splice_side *broken)
{
	for (int side = 0; side < 2; side++) {
		if (s->directions[side].state != DIRECTION_DONE ||
			s->directions[other(side)].state != DIRECTION_DEAD)
			continue;
		*broken = (enum splice_side)side;
		return true;
	}
	return false;
}

void relay_look_at_linger(struct session *s)
{
	enum splice_side broken = SPLICE_GATE;

	if (lingers(s, &broken) && unacknowledged(s->ends[other(broken)].fd) > 0)
		session_time(s);
	else
		session_end(s, SPLICE_END_reset, broken, 0);
}

/* The receiver of a direction takes nothing any more. What it has said itself is still passed on.
 */
static void bury(struct session *s, enum splice_side side)
{
	struct direction *d = &s->directions[side];

	d->state = DIRECTION_DEAD;
	direction_end(d, &s->loop->reserve);
	s->ends[other(side)].readable = true;
}

/*
 * Whether this error of an end says that it broke without having ended before. EPIPE: after its
 * FIN (Linux, tcp_reset). A UNIX socket's server that closes with bytes unread is told by
 * ECONNRESET alone; what it has said can still be read, and then its end.
 */
static bool is_abrupt(const struct session *s, enum splice_side side, int error)
{
	if (error == ECONNRESET && side == SPLICE_SERVER && s->server &&
		s->server->kind == SERVER_UNIX)
		return false;
	return error != EPIPE;
}

/*
 * Something has happened at an end that nothing can be read of now: its FIN was read before, or the
 * other end is full. False if that was its end, and the session's.
 */
static bool look_for_reset(struct session *s, enum splice_side side)
{
	const struct direction *d = &s->directions[side];
	int error = sockopt_take_error(s->ends[side].fd);

	if (!error)
		return true;
	if (d->state == DIRECTION_OPEN && is_abrupt(s, side, error)) {
		broke(s, side, error);
		return false;
	}
	if (s->directions[other(side)].state == DIRECTION_DONE) {
		/* Both had ended: nobody misses anything but the last ACK. */
		if (d->state != DIRECTION_DONE)
			return true;
		session_end(s, SPLICE_END_closed, side, 0);
		return false;
	}
	bury(s, other(side));
	return true;
}

/* False: the session has ended. */
static bool finished(struct session *s, enum splice_side side)
{
	struct direction *d = &s->directions[side];

	d->state = DIRECTION_DONE;
	if (s->directions[other(side)].state == DIRECTION_DONE) {
		session_end(s, SPLICE_END_closed, other(side), 0);
		return false;
	}
	if (shutdown(s->ends[other(side)].fd, SHUT_WR) != 0)
		bury(s, side);
	if (s->phase == SPLICE_OPEN)
		session_enter(s, SPLICE_HALF);
	return true;
}

static bool discard(struct session *s, enum splice_side side)
{
	struct end *from = &s->ends[side];
	enum direction_outcome outcome;

	if (!from->readable)
		return true;
	outcome = direction_discard(&s->loop->reserve, from->fd);
	if (outcome == DIRECTION_READ_FAILED) {
		broke(s, side, errno);
		return false;
	}
	if (outcome == DIRECTION_GOES_ON)
		session_later(s);
	else
		from->readable = false;
	return true;
}

/* One thread writes them, others read. */
static void count(struct session *s, enum splice_side side, uint64_t bytes)
{
	atomic_uint_fast64_t *sum =
		side == SPLICE_CLIENT ? &s->loop->bytes_in : &s->loop->bytes_out;

	s->last_us = s->loop->now_us;
	atomic_store_explicit(
		sum, atomic_load_explicit(sum, memory_order_relaxed) + bytes, memory_order_relaxed);
}

/* The kernel, having told an error once, lets that end look like a FIN (Linux, tcp_recvmsg). False:
 * the session has ended. */
static bool write_failed(struct session *s, enum splice_side side, int error)
{
	if (is_abrupt(s, other(side), error)) {
		broke(s, other(side), error);
		return false;
	}
	bury(s, side);
	return true;
}

/* The same. */
static bool read_failed(struct session *s, enum splice_side side, int error)
{
	if (is_abrupt(s, side, error)) {
		broke(s, side, error);
		return false;
	}
	bury(s, other(side));
	session_later(s);
	return true;
}

/* False: the session has ended. */
static bool move(struct session *s, enum splice_side side)
{
	struct direction *d = &s->directions[side];
	struct end *from = &s->ends[side], *to = &s->ends[other(side)];
	const uint64_t before = d->bytes;
	enum direction_outcome outcome;
	int error;

	d->to_the_end = from->to_the_end;
	outcome = direction_move(d, &s->loop->reserve, from->fd, to->fd);
	error = errno;
	if (d->bytes != before)
		count(s, side, d->bytes - before);
	switch (outcome) {
	case DIRECTION_WAITS_TO_READ:
		from->readable = false;
		return true;
	case DIRECTION_WAITS_TO_WRITE:
		to->writable = false;
		return true;
	case DIRECTION_GOES_ON:
		session_later(s);
		return true;
	case DIRECTION_FINISHED:
		return finished(s, side);
	case DIRECTION_READ_FAILED:
		return read_failed(s, side, error);
	case DIRECTION_WRITE_FAILED:
		return write_failed(s, side, error);
	}
	return true;
}

/* False: the session has ended. */
static bool run(struct session *s, enum splice_side side)
{
	struct direction *d = &s->directions[side];
	struct end *from = &s->ends[side];
	const bool pending = direction_holds(d) || d->state == DIRECTION_ENDED;

	switch (d->state) {
	case DIRECTION_DEAD:
		return discard(s, side);
	case DIRECTION_DONE:
		if (!from->readable)
			return true;
		from->readable = false;
		return look_for_reset(s, side);
	default:
		break;
	}
	if (s->ends[other(side)].writable && (pending || from->readable))
		return move(s, side);
	if (!from->readable)
		return true;
	/* It can't be read now; but has it ended? It is readable still, for later. */
	return look_for_reset(s, side);
}

static void settle(struct session *s)
{
	enum splice_side broken = SPLICE_GATE;

	if (s->directions[0].state == DIRECTION_DEAD && s->directions[1].state == DIRECTION_DEAD) {
		session_end(s, SPLICE_END_reset, SPLICE_GATE, 0);
		return;
	}
	if (s->phase == SPLICE_LINGER || !lingers(s, &broken))
		return;
	if (unacknowledged(s->ends[other(broken)].fd) == 0)
		session_end(s, SPLICE_END_reset, broken, 0);
	else
		session_enter(s, SPLICE_LINGER);
}

void relay_go_on(struct session *s)
{
	/* A direction that dies leaves something to do for the other. */
	if (!run(s, SPLICE_CLIENT) || !run(s, SPLICE_SERVER))
		return;
	if (s->directions[SPLICE_SERVER].state == DIRECTION_DEAD &&
		s->ends[SPLICE_CLIENT].readable && !run(s, SPLICE_CLIENT))
		return;
	settle(s);
}

void relay_begin(struct session *s)
{
	s->ends[SPLICE_SERVER].writable = true;
	s->ends[SPLICE_CLIENT].writable = true;
	s->last_us = s->loop->now_us;
	session_enter(s, SPLICE_OPEN);
	if (s->deaf)
		bury(s, SPLICE_SERVER);
	relay_go_on(s);
}
