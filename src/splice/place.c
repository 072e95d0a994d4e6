/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/splice_state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No colons there: systemd's names of descriptors have none. */
void place_name(struct place *p)
{
	const bool v4 = addr_is_v4(&p->at.addr);
	char text[INET6_ADDRSTRLEN];

	if (p->transparent) {
		snprintf(p->name, sizeof(p->name), "tproxy%d-%s", v4 ? 4 : 6, p->route->name);
		return;
	}
	inet_ntop(
		v4 ? AF_INET : AF_INET6, v4 ? p->at.addr.b + 12 : p->at.addr.b, text, sizeof(text));
	for (char *c = text; *c; c++)
		if (*c == ':')
			*c = '_';
	snprintf(p->name, sizeof(p->name), "listen-%s-%u", text, p->at.port);
}

bool splice_inherit(struct splice *s, const struct splice_socket *socket)
{
	struct inherited *in = &s->inherited[s->inherited_count];
	int flags;

	if (s->inherited_count == SPLICE_INHERITED_MAX ||
		!listener_place(socket->fd, &in->at, &in->transparent) ||
		(flags = fcntl(socket->fd, F_GETFL)) < 0)
		return false;
	fcntl(socket->fd, F_SETFL, flags | O_NONBLOCK);
	fcntl(socket->fd, F_SETFD, FD_CLOEXEC);
	in->socket.fd = socket->fd;
	in->socket.name = strdup(socket->name ? socket->name : "");
	s->inherited_count++;
	return true;
}

static bool fits(const struct inherited *in, const struct place *p)
{
	if (in->socket.fd < 0 || in->transparent != p->transparent)
		return false;
	/* Any port does for what is led there. */
	if (p->transparent)
		return in->socket.name && strcmp(in->socket.name, p->name) == 0;
	return in->at.port == p->at.port && addr_equal(&in->at.addr, &p->at.addr);
}

unsigned inherited_take(struct splice *s, const struct place *p, int fds[static SPLICE_THREADS_MAX])
{
	unsigned count = 0;

	for (size_t i = 0; i < s->inherited_count && count < SPLICE_THREADS_MAX; i++) {
		struct inherited *in = &s->inherited[i];

		if (!fits(in, p))
			continue;
		fds[count++] = in->socket.fd;
		in->socket.fd = -1;
	}
	return count;
}

void inherited_close(struct splice *s)
{
	for (size_t i = 0; i < s->inherited_count; i++) {
		struct inherited *in = &s->inherited[i];

		if (in->socket.fd >= 0) {
			close(in->socket.fd);
			s->events->listens(s->arg, in->socket.name ? in->socket.name : "", -1);
		}
		free((void *)(uintptr_t)in->socket.name);
	}
	s->inherited_count = 0;
}

void place_shut(struct place *p)
{
	for (unsigned i = 0; p->fresh && i < p->count; i++)
		close(p->fds[i]);
	p->count = 0;
}

/* One that was handed to us is shared by the threads that have none of their own. */
static int share(struct splice *s, struct place *p)
{
	const unsigned given = p->count;

	for (unsigned i = 0; i < given; i++)
		listener_dress(p->fds[i], p->transparent, p->route);
	while (p->count < s->loop_count) {
		int fd = fcntl(p->fds[p->count % given], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -1;
		p->fds[p->count++] = fd;
	}
	return 0;
}

static int open_new(struct splice *s, struct place *p)
{
	while (p->count < s->loop_count) {
		int fd = listener_bind(&p->at, p->transparent, p->route);
		bool transparent;

		if (fd < 0)
			return -1;
		p->fds[p->count++] = fd;
		/* The kernel has chosen the port: the other threads' sockets have it too. */
		if (p->at.port == 0)
			(void)listener_place(fd, &p->at, &transparent);
	}
	return 0;
}

int place_open(struct splice *s, struct place *p)
{
	int status, error;
	bool transparent;

	p->fresh = true;
	p->count = inherited_take(s, p, p->fds);
	if (p->count && p->transparent)
		(void)listener_place(p->fds[0], &p->at, &transparent);
	status = p->count ? share(s, p) : open_new(s, p);
	error = errno;
	if (status != 0)
		place_shut(p);
	errno = error;
	return status;
}
