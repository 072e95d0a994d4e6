/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/session.h"

#include "splice/listener.h"
#include "splice/sockaddr.h"
#include "splice/sockopt.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	SPARES = 1024,  /* sessions whose memory is kept */
	KEEPALIVES = 4, /* unanswered ones until an end is given up */
	LINGER_MS = 20, /* between two looks at what is not acknowledged yet */
	LINGER_MAX_S = 60,
};

void session_keep_alive(int fd, const struct config_splice *s)
{
	unsigned idle = (unsigned)((s->keepalive_us + 999999) / 1000000);
	unsigned between = idle / KEEPALIVES;

	(void)sockopt_set(fd, SOL_SOCKET, SO_KEEPALIVE, idle > 0);
	if (idle) {
		(void)sockopt_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle > 32767 ? 32767 : (int)idle);
		(void)sockopt_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, between > 0 ? (int)between : 1);
		(void)sockopt_set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVES);
	}
}

/* How long an end may be silent: until keepalive would have given it up, had it nothing to
 * acknowledge. 0: for ever. */
static uint64_t patience_of(const struct session *s)
{
	return 2 * s->route->set.keepalive_us;
}

/*
 * Whether the peer has acknowledged nothing, and said nothing, for longer than that although it
 * should have: there, keepalive does not count, and the kernel goes on for a quarter of an hour.
 * TCP_USER_TIMEOUT would be the kernel's word for it (RFC 5482), but takes the place of keepalive's
 * own limit, and cuts a reader whose window is closed although it answers each probe.
 */
static bool is_silent(const struct session *s, enum splice_side side)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	const uint64_t ms = patience_of(s) / 1000;

	return ms && getsockopt(s->ends[side].fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_unacked > 0 && info.tcpi_last_ack_recv >= ms &&
	       info.tcpi_last_data_recv >= ms;
}

static struct session *take_memory(struct loop *l)
{
	struct session *s = l->spare;

	if (!s)
		return malloc(sizeof(*s));
	l->spare = TAILQ_NEXT(s, all);
	l->spare_count--;
	return s;
}

static void give_memory(struct loop *l, struct session *s)
{
	if (l->spare_count == SPARES) {
		free(s);
		return;
	}
	TAILQ_NEXT(s, all) = l->spare;
	l->spare = s;
	l->spare_count++;
}

void session_told(void *of, uint32_t events)
{
	struct end *end = of;
	struct session *s = end->session;

	s->loop->now_us = loop_clock();
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLERR | EPOLLHUP))
		end->readable = true;
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		end->writable = true;
	/* Behind what can be read there is an end, or an urgent byte at which reading stops. */
	if (events & (EPOLLRDHUP | EPOLLPRI | EPOLLERR | EPOLLHUP))
		end->to_the_end = true;
	if (s->phase < SPLICE_OPEN)
		opening_go_on(s);
	else
		relay_go_on(s);
}

bool session_watch(struct session *s, enum splice_side side)
{
	struct end *end = &s->ends[side];

	end->session = s;
	end->readable = end->writable = end->to_the_end = false;
	return watch_add(&s->loop->watch, end->fd, end);
}

void session_unwatch(struct session *s, enum splice_side side)
{
	watch_forget(&s->loop->watch, &s->ends[side]);
}

/* Microseconds; UINT64_MAX: never. */
static uint64_t after(uint64_t since, uint64_t timeout)
{
	return timeout ? since + timeout : UINT64_MAX;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t limit_of(const struct session *s, enum splice_end *end)
{
	const struct config_splice *set = &s->route->set;
	uint64_t total = after(s->began_us, set->total_timeout_us), own, idle;

	switch (s->phase) {
	case SPLICE_OPEN:
		own = after(s->last_us, set->idle_timeout_us);
		*end = SPLICE_END_idle;
		break;
	case SPLICE_HALF:
		own = after(s->last_us, set->half_closed_timeout_us);
		idle = after(s->last_us, set->idle_timeout_us);
		*end = own <= idle ? SPLICE_END_half_closed : SPLICE_END_idle;
		own = earlier(own, idle);
		break;
	case SPLICE_LINGER:
		own = s->phase_us + LINGER_MAX_S * UINT64_C(1000000);
		*end = SPLICE_END_reset;
		break;
	case SPLICE_DATA:
		own = after(s->phase_us, set->idle_timeout_us);
		*end = SPLICE_END_idle;
		break;
	default:
		own = after(s->phase_us, set->connect_timeout_us);
		*end = s->phase == SPLICE_PROXY  ? SPLICE_END_no_proxy
		       : s->phase == SPLICE_WAIT ? (enum splice_end)s->lack
						 : SPLICE_END_no_syn_ack;
		break;
	}
	if (total < own)
		*end = SPLICE_END_total;
	return earlier(total, own);
}

static void set_timer(struct session *s, uint64_t at_us)
{
	uint64_t in = at_us > s->loop->now_us ? at_us - s->loop->now_us : 0;
	const struct timeval t = {
		.tv_sec = (time_t)(in / 1000000), .tv_usec = (suseconds_t)(in % 1000000)};

	s->timer_us = event_add(&s->timer, &t) == 0 ? at_us : UINT64_MAX;
}

void session_time(struct session *s)
{
	enum splice_end end;
	uint64_t at = limit_of(s, &end);

	if (s->phase == SPLICE_LINGER)
		at = s->loop->now_us + LINGER_MS * 1000;
	else if (s->phase >= SPLICE_OPEN)
		at = earlier(at, after(s->loop->now_us, patience_of(s) / 2));
	if (at < s->timer_us)
		set_timer(s, at);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	enum splice_end end;
	uint64_t at;

	(void)fd;
	(void)what;
	s->loop->now_us = loop_clock();
	s->timer_us = UINT64_MAX;
	at = limit_of(s, &end);
	if (at <= s->loop->now_us) {
		if (s->phase == SPLICE_CONNECT && end == SPLICE_END_no_syn_ack)
			opening_timed_out(s);
		else
			session_end(s, end,
				end == SPLICE_END_no_proxy ? SPLICE_CLIENT : SPLICE_GATE, 0);
		return;
	}
	for (int side = 0; s->phase >= SPLICE_OPEN && side < 2; side++) {
		if (is_silent(s, (enum splice_side)side)) {
			session_end(s, SPLICE_END_lost, (enum splice_side)side, ETIMEDOUT);
			return;
		}
	}
	/* Short connections need none, so it waits for the first time-out that was no end. */
	if (s->phase >= SPLICE_OPEN && !s->kept_alive) {
		session_keep_alive(s->ends[SPLICE_SERVER].fd, &s->route->set);
		s->kept_alive = true;
	}
	if (s->phase == SPLICE_LINGER)
		relay_look_at_linger(s);
	else
		session_time(s);
}

void session_enter(struct session *s, enum splice_phase phase)
{
	s->phase = phase;
	s->phase_us = s->loop->now_us;
	session_time(s);
}

static uint32_t handshake_time(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	/* All that was measured so far is the time from our SYN-ACK to the ACK. */
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_rtt : 0;
}

void session_begin(
	struct loop *l, struct route *route, int fd, const struct sockaddr_storage *client)
{
	struct session *s = take_memory(l);

	if (!s) {
		close(fd);
		return;
	}
	*s = (struct session){
		.loop = l,
		.route = route_ref(route),
		.ends = {{.fd = fd}, {.fd = -1}},
		.timer_us = UINT64_MAX,
		.began_us = l->now_us,
		.last_us = l->now_us,
	};
	(void)sockaddr_endpoint(client, &s->client);
	direction_begin(&s->directions[SPLICE_CLIENT], route->set.splice);
	direction_begin(&s->directions[SPLICE_SERVER], route->set.splice);
	TAILQ_INSERT_TAIL(&l->sessions, s, all);
	event_assign(&s->timer, l->base, -1, 0, on_timer, s);
	atomic_fetch_add_explicit(&l->open, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->total, 1, memory_order_relaxed);
	atomic_fetch_add(&route->tally->open, 1);
	atomic_fetch_add_explicit(&route->tally->total, 1, memory_order_relaxed);
	if (l->calls->wants_record(l->arg))
		s->handshake_us = handshake_time(fd);
	if (!session_watch(s, SPLICE_CLIENT)) {
		session_end(s, SPLICE_END_failed, SPLICE_GATE, ENOMEM);
		return;
	}
	s->phase = SPLICE_PROXY;
	s->phase_us = l->now_us;
	opening_go_on(s);
}

/* Which ends are reset: the one that is not the cause; both if the gate is, lest an answer that is
 * cut pass for a whole one. Where nothing was on its way a FIN does. */
static bool is_reset(
	const struct session *s, enum splice_end end, enum splice_side by, enum splice_side side)
{
	static const bool gentle[SPLICE_END_COUNT] = {
		[SPLICE_END_closed] = true,
		[SPLICE_END_idle] = true,
		[SPLICE_END_half_closed] = true,
	};

	return !gentle[end] && (side != by || s->phase < SPLICE_OPEN);
}

/* Leaves the peer where it is: it hears nothing until it sends something more. */
static void fall_silent(int fd)
{
	(void)sockopt_set(fd, IPPROTO_TCP, TCP_REPAIR, 1);
}

static void close_end(struct session *s, enum splice_side side, bool reset, bool silent)
{
	const struct linger at_once = {.l_onoff = 1};
	struct end *end = &s->ends[side];

	if (end->fd < 0)
		return;
	session_unwatch(s, side);
	if (silent)
		fall_silent(end->fd);
	else if (reset)
		(void)setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(end->fd);
	end->fd = -1;
}

static void tell(const struct session *s, enum splice_end end, enum splice_side by, int error)
{
	const struct backend *b = s->route->backend;
	const struct server *server = s->server;

	/* That of the last try is no longer ours, but still the backend's. */
	if (!server && b && s->retries)
		server = backend_server(b, s->index);
	const struct splice_record record = {
		.client = s->client,
		.rule = s->route->name,
		.slot = s->route->slot,
		.backend = b ? backend_name(b) : NULL,
		.server = server ? server->name : NULL,
		.end = end,
		.by = by,
		.phase = (enum splice_phase)s->phase,
		.error = error,
		.handshake_us = s->handshake_us,
		.connect_us = s->connect_us,
		.total_us = s->loop->now_us - s->began_us,
		.bytes_in = s->directions[SPLICE_CLIENT].bytes,
		.bytes_out = s->directions[SPLICE_SERVER].bytes,
		.retries = s->retries,
		.as_client = s->route->set.source == SOURCE_CLIENT,
	};

	s->loop->calls->ended(s->loop->arg, &record);
}

static void leave_queues(struct session *s)
{
	if (s->in_again)
		TAILQ_REMOVE(&s->loop->again, s, queued);
	if (s->in_waiting)
		TAILQ_REMOVE(&s->loop->waiting, s, queued);
	s->in_again = s->in_waiting = false;
}

static void count_out(struct session *s)
{
	struct route_tally *t = s->route->tally;
	struct loop *l = s->loop;
	bool wake = s->server && backend_give_back(s->server);
	uint64_t in = s->directions[SPLICE_CLIENT].bytes, out = s->directions[SPLICE_SERVER].bytes;

	s->server = NULL;
	atomic_fetch_sub_explicit(&l->open, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->bytes_in, in, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->bytes_out, out, memory_order_relaxed);
	atomic_fetch_sub(&t->open, 1);
	if (atomic_load_explicit(&t->refused, memory_order_relaxed) &&
		atomic_exchange(&t->refused, false))
		wake = true;
	if (wake || l->paused)
		loop_wake_all(l);
}

void session_end(struct session *s, enum splice_end end, enum splice_side by, int error)
{
	struct loop *l = s->loop;
	bool silent = end == SPLICE_END_backend_down && s->route->silent;

	if (end != SPLICE_END_closed || l->calls->wants_record(l->arg))
		tell(s, end, by, error);
	leave_queues(s);
	close_end(s, SPLICE_SERVER, is_reset(s, end, by, SPLICE_SERVER), false);
	close_end(s, SPLICE_CLIENT, is_reset(s, end, by, SPLICE_CLIENT), silent);
	event_del(&s->timer);
	count_out(s);
	direction_end(&s->directions[SPLICE_CLIENT], &l->reserve);
	direction_end(&s->directions[SPLICE_SERVER], &l->reserve);
	TAILQ_REMOVE(&l->sessions, s, all);
	route_unref(s->route);
	give_memory(l, s);
}

void session_later(struct session *s)
{
	/* Not event_active, which would come before libevent looks at anybody else. */
	static const struct timeval next_round;

	if (s->in_again)
		return;
	TAILQ_INSERT_TAIL(&s->loop->again, s, queued);
	s->in_again = true;
	if (event_add(&s->loop->again_event, &next_round) != 0)
		event_active(&s->loop->again_event, 0, 0);
}

void session_run_again(struct loop *l)
{
	struct session *s, *last = TAILQ_LAST(&l->again, session_list);

	/* Those that come back meanwhile have to wait for the next round. */
	while ((s = TAILQ_FIRST(&l->again)) != NULL) {
		bool was_last = s == last;

		TAILQ_REMOVE(&l->again, s, queued);
		s->in_again = false;
		relay_go_on(s);
		if (was_last)
			break;
	}
}

void session_wait(struct session *s, enum splice_end lack)
{
	s->lack = (uint8_t)lack;
	if (s->in_waiting)
		return;
	TAILQ_INSERT_TAIL(&s->loop->waiting, s, queued);
	s->in_waiting = true;
	/* Who was woken in vain has waited all along. */
	if (s->phase != SPLICE_WAIT)
		session_enter(s, SPLICE_WAIT);
}

bool session_waits_for(const struct loop *l, const struct backend *b)
{
	const struct session *s;

	if (!b)
		return false;
	TAILQ_FOREACH(s, &l->waiting, queued)
	if (s->route->backend == b)
		return true;
	return false;
}

void session_retry_waiting(struct loop *l)
{
	struct session *s, *last = TAILQ_LAST(&l->waiting, session_list);

	while ((s = TAILQ_FIRST(&l->waiting)) != NULL) {
		bool was_last = s == last;

		TAILQ_REMOVE(&l->waiting, s, queued);
		s->in_waiting = false;
		opening_go_on(s);
		if (was_last)
			break;
	}
}

void session_end_all(struct loop *l)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&l->sessions)) != NULL)
		session_end(s, SPLICE_END_stopped, SPLICE_GATE, 0);
	while ((s = l->spare) != NULL) {
		l->spare = TAILQ_NEXT(s, all);
		free(s);
	}
	l->spare_count = 0;
}
