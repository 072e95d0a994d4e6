/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session until its server's handshake is done. */
#include "config.h"

#include "splice/session.h"

#include "splice/dial.h"
#include "splice/listener.h"
#include "splice/proxy_protocol.h"
#include "splice/sockaddr.h"
#include "splice/sockopt.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum next {
	NEXT,  /* the next phase can begin */
	LATER, /* something has to come first */
	GONE,  /* the session has ended */
};

static enum next end_by_client(struct session *s, int error)
{
	session_end(s, error ? SPLICE_END_reset : SPLICE_END_closed, SPLICE_CLIENT, error);
	return GONE;
}

/* SIOCINQ counts nothing of what a SYN has brought (Fast Open) until the client's ACK. */
static bool has_syn_data(int fd)
{
	struct pollfd client = {.fd = fd, .events = POLLIN | POLLRDHUP};

	return poll(&client, 1, 0) == 1 && client.revents == POLLIN;
}

/* Not by recv, which would take an error that nobody has seen yet. */
static bool has_data(const struct session *s)
{
	const int fd = s->ends[SPLICE_CLIENT].fd;
	int bytes = 0;

	return (ioctl(fd, SIOCINQ, &bytes) == 0 && bytes > 0) ||
	       (s->route->fast_open && has_syn_data(fd));
}

/* What has broken the client's end; 0: nothing, or only after its FIN (EPIPE), and what it had sent
 * before is still to be passed on. */
static int client_error(struct session *s)
{
	int error =
		s->ends[SPLICE_CLIENT].readable ? sockopt_take_error(s->ends[SPLICE_CLIENT].fd) : 0;

	if (error != EPIPE || !has_data(s))
		return error;
	s->deaf = true;
	return 0;
}

/* Whether the client has sent its FIN, or is gone. */
static bool has_ended(const struct session *s)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	/* With Fast Open it may be here before its ACK. */
	return getsockopt(s->ends[SPLICE_CLIENT].fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_SYN_RECV;
}

/* What the client has sent so far, at most `size` bytes, which stay where they are; -1: nothing
 * yet, and -2: the session has ended. */
static ssize_t peek(struct session *s, uint8_t *bytes, size_t size)
{
	struct end *client = &s->ends[SPLICE_CLIENT];
	ssize_t n = recv(client->fd, bytes, size, MSG_PEEK);

	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		client->readable = false;
		return -1;
	}
	end_by_client(s, n < 0 ? errno : 0);
	return -2;
}

/* -- the PROXY header -- */

static bool is_trusted(const struct session *s)
{
	const struct config_splice *set = &s->route->set;

	for (size_t i = 0; i < set->trusted_proxy_count; i++)
		if (addr_in_range(&s->client.addr, &set->trusted_proxies[i]))
			return true;
	return false;
}

static enum next take_header(struct session *s, const struct proxy_header *header)
{
	uint8_t *scratch = s->loop->reserve.scratch;

	/* It was seen to be there. */
	if (recv(s->ends[SPLICE_CLIENT].fd, scratch, header->len, 0) != (ssize_t)header->len)
		return end_by_client(s, EIO);
	if (!header->local) {
		s->client = header->source;
		s->asked = header->destination;
	}
	return NEXT;
}

static enum next read_proxy(struct session *s)
{
	uint8_t bytes[PROXY_HEADER_MAX];
	struct proxy_header header;
	enum proxy_verdict verdict;
	ssize_t n;

	if (s->route->set.accept_proxy == PROXY_OFF)
		return NEXT;
	if (!is_trusted(s)) {
		session_end(s, SPLICE_END_untrusted_proxy, SPLICE_CLIENT, 0);
		return GONE;
	}
	n = peek(s, bytes, sizeof(bytes));
	if (n < 0)
		return n == -1 ? LATER : GONE;
	verdict = proxy_parse(bytes, (size_t)n, s->route->set.accept_proxy, &header);
	if (verdict == PROXY_NEED_MORE)
		return has_ended(s)
			       ? end_by_client(s, sockopt_take_error(s->ends[SPLICE_CLIENT].fd))
			       : LATER;
	if (verdict == PROXY_DONE)
		return take_header(s, &header);
	session_end(s, SPLICE_END_bad_proxy, SPLICE_CLIENT, 0);
	return GONE;
}

/* -- the client's first bytes -- */

static enum next await_data(struct session *s)
{
	uint8_t byte;
	ssize_t n;

	if (!s->route->set.wait_for_data)
		return NEXT;
	n = peek(s, &byte, 1);
	return n > 0 ? NEXT : n == -1 ? LATER : GONE;
}

/* -- the server -- */

static const struct endpoint *where_it_asked(struct session *s)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	if (s->asked.port == 0 &&
		getsockname(s->ends[SPLICE_CLIENT].fd, (struct sockaddr *)&name, &len) == 0)
		(void)sockaddr_endpoint(&name, &s->asked);
	return &s->asked;
}

static void give_back(struct session *s)
{
	if (s->server && backend_give_back(s->server))
		loop_wake_all(s->loop);
	s->server = NULL;
}

static void close_server(struct session *s)
{
	struct end *server = &s->ends[SPLICE_SERVER];

	if (server->fd < 0)
		return;
	session_unwatch(s, SPLICE_SERVER);
	close(server->fd);
	server->fd = -1;
}

static enum splice_end end_of(int error)
{
	switch (error) {
	case ETIMEDOUT:
		return SPLICE_END_no_syn_ack;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case ENOENT:
		return SPLICE_END_unreachable;
	default:
		return SPLICE_END_refused;
	}
}

/* Whether another server may be tried. */
static bool may_retry(const struct session *s)
{
	return s->route->backend && s->retries < backend_retries(s->route->backend);
}

static enum next failed(struct session *s, enum dial_fault fault, int error)
{
	enum splice_end end = fault == DIAL_NO_PORT  ? SPLICE_END_no_local_port
			      : fault == DIAL_SYSTEM ? SPLICE_END_failed
						     : end_of(error);

	close_server(s);
	if (fault == DIAL_NO_FDS) {
		listener_pause_all(s->loop);
		give_back(s);
		session_wait(s, SPLICE_END_no_fds);
		return LATER;
	}
	if (s->server && fault == DIAL_SERVER)
		backend_failed(s->server, s->turn, error, s->loop->now_us);
	if (s->server && may_retry(s)) {
		s->fault = (uint8_t)end;
		s->error = error;
		s->tried |= UINT64_C(1) << s->index;
		s->retries++;
		give_back(s);
		return NEXT;
	}
	session_end(s, end, fault == DIAL_SERVER ? SPLICE_SERVER : SPLICE_GATE, error);
	return GONE;
}

/* A place at a server, and its address. */
static enum next choose(struct session *s, struct sockaddr_storage *to, socklen_t *len)
{
	enum backend_refusal why;
	unsigned index = 0;

	s->server = backend_take(
		s->route->backend, &s->client.addr, s->tried, s->loop->now_us, &index, &why);
	if (!s->server && why == BACKEND_FULL) {
		session_wait(s, SPLICE_END_backend_full);
		return LATER;
	}
	if (!s->server) {
		session_end(s, s->retries ? s->fault : SPLICE_END_backend_down, SPLICE_SERVER,
			s->error);
		return GONE;
	}
	s->index = (uint8_t)index;
	if (server_address(s->server, to, len, &s->turn))
		return NEXT;
	session_end(s, SPLICE_END_backend_down, SPLICE_SERVER, 0);
	return GONE;
}

/* Nobody is led to the port that intercepted connections are taken at: the client means it. */
static bool leads_to_us(const struct session *s)
{
	return s->asked.port == s->route->ports[addr_is_v4(&s->asked.addr)];
}

static enum next choose_asked(struct session *s, struct sockaddr_storage *to, socklen_t *len)
{
	(void)where_it_asked(s);
	if (leads_to_us(s)) {
		session_end(s, SPLICE_END_loop, SPLICE_GATE, 0);
		return GONE;
	}
	*len = sockaddr_of(&s->asked, to);
	return NEXT;
}

static enum next connected(struct session *s)
{
	s->connect_us = s->loop->now_us - s->phase_us;
	if (s->connect_us == 0)
		s->connect_us = 1;
	if (s->server)
		backend_connected(s->server, s->loop->now_us);
	return NEXT;
}

/* NEXT: try again, at another server. */
static enum next connect_once(struct session *s)
{
	struct sockaddr_storage to;
	socklen_t len = 0;
	enum dial_fault fault;
	bool done = false;
	enum next next = s->route->backend ? choose(s, &to, &len) : choose_asked(s, &to, &len);

	if (next != NEXT)
		return next;
	const struct dial dial = {
		.route = s->route,
		.to = &to,
		.len = len,
		.client = &s->client,
		.avoid = s->route->set.source == SOURCE_CLIENT ? where_it_asked(s) : NULL,
		.turn = (unsigned)s->loop->total,
		.has_data = has_data(s),
		.exhausted = &s->loop->exhausted,
		.now_us = s->loop->now_us,
	};
	s->ends[SPLICE_SERVER].fd = dial_begin(&dial, &done, &fault);
	if (fault != DIAL_NONE)
		return failed(s, fault, errno);
	if (!session_watch(s, SPLICE_SERVER)) {
		session_end(s, SPLICE_END_failed, SPLICE_GATE, ENOMEM);
		return GONE;
	}
	s->ends[SPLICE_SERVER].writable = done;
	session_enter(s, SPLICE_CONNECT);
	return LATER;
}

static enum next connect_server(struct session *s)
{
	enum next next;

	do
		next = connect_once(s);
	while (next == NEXT);
	return next;
}

/* Both ends of it may have something to say meanwhile. */
static enum next look_at_connect(struct session *s)
{
	struct end *server = &s->ends[SPLICE_SERVER];
	int error;

	/* An error shows as both. */
	if (server->writable && !server->readable)
		return connected(s);
	if (server->readable) {
		error = sockopt_take_error(server->fd);
		/* EPIPE: it broke after its FIN, so there may be an answer. */
		if ((!error || error == EPIPE) && server->writable)
			return connected(s);
		if (error) {
			enum next next = failed(s, DIAL_SERVER, error);

			return next == NEXT ? connect_server(s) : next;
		}
	}
	error = client_error(s);
	return error ? end_by_client(s, error) : LATER;
}

static bool send_header(struct session *s)
{
	uint8_t bytes[PROXY_BUILD_MAX];
	const enum proxy_protocol version = s->route->set.send_proxy;
	size_t len;

	if (version == PROXY_OFF)
		return true;
	len = proxy_build(bytes, version, &s->client, where_it_asked(s));
	return direction_prepend(&s->directions[SPLICE_CLIENT], &s->loop->reserve, bytes, len);
}

static void open(struct session *s)
{
	if (send_header(s))
		relay_begin(s);
	else
		session_end(s, SPLICE_END_failed, SPLICE_GATE, ENOMEM);
}

static enum next look_at_wait(struct session *s)
{
	int error = client_error(s);

	if (error)
		return end_by_client(s, error);
	return s->in_waiting ? LATER : connect_server(s);
}

void opening_go_on(struct session *s)
{
	enum next next = NEXT;

	if (s->phase == SPLICE_PROXY) {
		next = read_proxy(s);
		if (next == NEXT)
			session_enter(s, SPLICE_DATA);
		else if (next == LATER)
			session_time(s);
	}
	if (next == NEXT && s->phase == SPLICE_DATA) {
		next = await_data(s);
		if (next == NEXT)
			next = connect_server(s);
	} else if (next == NEXT && s->phase == SPLICE_WAIT) {
		next = look_at_wait(s);
	}
	if (next != GONE && s->phase == SPLICE_CONNECT && look_at_connect(s) == NEXT)
		open(s);
}

void opening_timed_out(struct session *s)
{
	enum next next = failed(s, DIAL_SERVER, ETIMEDOUT);

	if (next == NEXT)
		connect_server(s);
}
