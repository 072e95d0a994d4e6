/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A client is a bufferevent and lives from accept to close. It is either being read from or being
 * written to: a request is taken from its input only when its output is empty, so that a client
 * that asks without reading the answers holds one answer and one bufferful of requests, no more.
 * The events that move it on:
 *
 *	bytes came, output ran dry	client_serve: answers one more request, if one is there
 *	end of file			serves what is there, closes once it is written
 *	line too long, timeout, error	says so if that is possible, and closes
 *
 * The list of clients is in the order of their last answered request. A new one beyond the bound
 * closes the list's first.
 */
#include "control/control.h"

#include "control/commands.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 16
};

static const struct timeval silent_for = {.tv_sec = 60};
static const struct timeval slow_for = {.tv_sec = 10};
static const struct timeval accept_pause = {.tv_sec = 1};

struct client {
	struct control *control;
	struct bufferevent *stream;
	bool finishing; /* nothing more is read; closed once the output is written */
	TAILQ_ENTRY(client) link;
};

struct control {
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *accept_again;
	const struct control_ops *ops;
	void *arg;
	TAILQ_HEAD(, client) clients;
	size_t client_count;
	struct sockaddr_un address;
};

static void client_close(struct client *cl)
{
	struct control *c = cl->control;

	TAILQ_REMOVE(&c->clients, cl, link);
	c->client_count--;
	bufferevent_free(cl->stream);
	free(cl);
}

static int append(const char *bytes, size_t len, void *output)
{
	return evbuffer_add(output, bytes, len);
}

/* Takes `answer`. False: no memory, and the client can't be told. */
static bool client_answer(struct client *cl, json_t *answer)
{
	struct evbuffer *output = bufferevent_get_output(cl->stream);
	bool written = answer != NULL &&
		       json_dump_callback(answer, append, output, JSON_COMPACT) == 0 &&
		       evbuffer_add(output, "\n", 1) == 0;

	json_decref(answer);
	return written;
}

/* The next whole line, or at the end of file what is left of one; NULL if there is none yet. */
static char *client_next_line(struct client *cl, size_t *len)
{
	struct evbuffer *input = bufferevent_get_input(cl->stream);
	char *line = evbuffer_readln(input, len, EVBUFFER_EOL_LF);

	if (line != NULL || !cl->finishing || evbuffer_get_length(input) == 0)
		return line;
	*len = evbuffer_get_length(input);
	line = malloc(*len);
	if (line != NULL)
		evbuffer_remove(input, line, *len);
	return line;
}

/*
 * Answers the next request if the last answer is out of the way. Closes the client when there is
 * nothing left to wait for.
 */
static void client_serve(struct client *cl)
{
	struct control *c = cl->control;
	size_t len;

	if (evbuffer_get_length(bufferevent_get_output(cl->stream)) > 0)
		return;
	char *line = client_next_line(cl, &len);
	if (line != NULL) {
		bool answered = client_answer(cl, commands_answer(line, len, c->ops, c->arg));
		free(line);
		TAILQ_REMOVE(&c->clients, cl, link);
		TAILQ_INSERT_TAIL(&c->clients, cl, link);
		if (answered)
			bufferevent_disable(cl->stream, EV_READ);
		else
			client_close(cl);
		return;
	}
	if (cl->finishing) {
		client_close(cl);
		return;
	}
	if (evbuffer_get_length(bufferevent_get_input(cl->stream)) >= CONTROL_LINE_MAX) {
		cl->finishing = true;
		evbuffer_drain(bufferevent_get_input(cl->stream), CONTROL_LINE_MAX);
		bufferevent_disable(cl->stream, EV_READ);
		if (!client_answer(cl, commands_refusal("the request is too long")))
			client_close(cl);
		return;
	}
	bufferevent_enable(cl->stream, EV_READ);
}

static void on_bytes(struct bufferevent *stream, void *arg)
{
	(void)stream;
	client_serve(arg);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
	struct client *cl = arg;

	(void)stream;
	if ((what & BEV_EVENT_EOF) == 0) {
		client_close(cl);
		return;
	}
	cl->finishing = true;
	client_serve(cl);
}

static struct client *client_new(struct control *c, evutil_socket_t fd)
{
	struct client *cl = calloc(1, sizeof(*cl));

	if (cl == NULL)
		return NULL;
	cl->control = c;
	cl->stream = bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (cl->stream == NULL) {
		free(cl);
		return NULL;
	}
	bufferevent_setcb(cl->stream, on_bytes, on_bytes, on_event, cl);
	bufferevent_setwatermark(cl->stream, EV_READ, 0, CONTROL_LINE_MAX);
	bufferevent_set_timeouts(cl->stream, &silent_for, &slow_for);
	TAILQ_INSERT_TAIL(&c->clients, cl, link);
	c->client_count++;
	return cl;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
	int peer_len, void *arg)
{
	struct control *c = arg;

	(void)listener, (void)peer, (void)peer_len;
	if (c->client_count >= CONTROL_CLIENTS_MAX)
		client_close(TAILQ_FIRST(&c->clients));
	struct client *cl = client_new(c, fd);
	if (cl == NULL) {
		evutil_closesocket(fd);
		return;
	}
	bufferevent_enable(cl->stream, EV_READ | EV_WRITE);
}

/* Out of descriptors: a listener left as it is would spin. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct control *c = arg;

	evconnlistener_disable(listener);
	event_add(c->accept_again, &accept_pause);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	(void)fd, (void)what;
	evconnlistener_enable(c->listener);
}

/* Connects and hangs up. 0: somebody listens there; else an errno value. */
static int knock(int fd, const struct sockaddr_un *address)
{
	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
}

/*
 * Root without CAP_DAC_OVERRIDE may not connect to what an earlier daemon gave to its user, so it
 * knocks as that user. For this thread's file accesses alone, and put back at once.
 */
static int knock_as_owner(int fd, const struct sockaddr_un *address, uid_t owner)
{
	int self = setfsuid(owner);
	int error = knock(fd, address);

	setfsuid((uid_t)self);
	return error;
}

/* As knock(), of whoever the socket belongs to. */
static int find_listener(const struct sockaddr_un *address, uid_t owner)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return errno;
	error = knock(fd, address);
	if (error == EACCES)
		error = knock_as_owner(fd, address, owner);
	close(fd);
	return error;
}

/* Makes the path free: removes a socket that nobody listens at. */
static bool clear_path(const struct sockaddr_un *address, char *why, size_t why_size)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return true;
		snprintf(why, why_size, "%s: %s", path, strerror(errno));
		return false;
	}
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, why_size,
			"%s is there and is no socket: name another path for 'control'", path);
		return false;
	}
	int error = find_listener(address, st.st_uid);
	/* EAGAIN is a full backlog's answer. */
	if (error == 0 || error == EAGAIN) {
		snprintf(why, why_size, "%s is in use: another ackgated runs", path);
		return false;
	}
	if (error != ECONNREFUSED) {
		snprintf(
			why, why_size, "%s is there, and may be in use: %s", path, strerror(error));
		return false;
	}
	if (unlink(path) < 0) {
		snprintf(why, why_size, "%s can't be replaced: %s", path, strerror(errno));
		return false;
	}
	return true;
}

/*
 * A socket bound to the path and listening, or -1. Nobody can connect before its mode is set, for
 * it listens last.
 */
static int listen_at(const struct sockaddr_un *address, char *why, size_t why_size)
{
	const char *path = address->sun_path;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		snprintf(why, why_size, "no UNIX socket to be had: %s", strerror(errno));
		return -1;
	}
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		snprintf(why, why_size, "%s: can't be made: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	if (chmod(path, 0660) < 0 || listen(fd, BACKLOG) < 0) {
		snprintf(why, why_size, "%s: %s", path, strerror(errno));
		unlink(path);
		close(fd);
		return -1;
	}
	return fd;
}

struct control *control_open(struct event_base *base, const char *path,
	const struct control_ops *ops, void *arg, char *why, size_t why_size)
{
	struct control *c = calloc(1, sizeof(*c));
	int fd = -1;

	if (c == NULL)
		goto no_memory;
	*c = (struct control){.base = base, .ops = ops, .arg = arg};
	TAILQ_INIT(&c->clients);
	c->address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(c->address.sun_path)) {
		snprintf(why, why_size, "the control socket's path has more than %zu bytes: %s",
			sizeof(c->address.sun_path) - 1, path);
		goto out;
	}
	strcpy(c->address.sun_path, path);
	if (!clear_path(&c->address, why, why_size))
		goto out;
	fd = listen_at(&c->address, why, why_size);
	if (fd < 0)
		goto out;

	c->accept_again = evtimer_new(base, on_accept_again, c);
	c->listener = evconnlistener_new(base, on_accept, c, LEV_OPT_CLOSE_ON_FREE, 0, fd);
	if (c->accept_again == NULL || c->listener == NULL)
		goto no_memory;
	evconnlistener_set_error_cb(c->listener, on_accept_error);
	return c;

no_memory:
	snprintf(why, why_size, "no memory for the control socket");
out:
	if (fd >= 0) {
		unlink(c->address.sun_path);
		if (c->listener == NULL)
			close(fd);
	}
	if (c != NULL) {
		c->address.sun_path[0] = '\0';
		control_close(c);
	}
	return NULL;
}

bool control_close(struct control *c)
{
	struct client *cl, *next;
	bool removed = true;

	if (c == NULL)
		return true;
	for (cl = TAILQ_FIRST(&c->clients); cl != NULL; cl = next) {
		next = TAILQ_NEXT(cl, link);
		client_close(cl);
	}
	if (c->listener != NULL)
		evconnlistener_free(c->listener);
	if (c->accept_again != NULL)
		event_free(c->accept_again);
	if (c->address.sun_path[0] != '\0')
		removed = unlink(c->address.sun_path) == 0 || errno == ENOENT;
	free(c);
	return removed;
}
