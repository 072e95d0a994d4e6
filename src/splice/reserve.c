/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/reserve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	/* Of a pipe: enough for the segments of one softirq round; all that idles holds nothing. */
	PIPE_BYTES = 256 * 1024
};

int reserve_open(struct reserve *r)
{
	*r = (struct reserve){.scratch = malloc(RESERVE_BUFFER)};
	return r->scratch ? 0 : -1;
}

static void close_pipe(struct conduit pipe)
{
	close(pipe.in);
	close(pipe.out);
}

void reserve_close(struct reserve *r)
{
	while (r->conduit_count)
		close_pipe(r->conduits[--r->conduit_count]);
	while (r->buffer_count)
		free(r->buffers[--r->buffer_count]);
	free(r->scratch);
	r->scratch = NULL;
}

int reserve_take_pipe(struct reserve *r, struct conduit *pipe)
{
	int fds[2];

	if (r->conduit_count) {
		*pipe = r->conduits[--r->conduit_count];
		r->lent_pipes++;
		return 0;
	}
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	/* A user may have so much in pipes only: a small one does as well. */
	fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	*pipe = (struct conduit){.in = fds[1], .out = fds[0]};
	r->lent_pipes++;
	return 0;
}

void reserve_give_pipe(struct reserve *r, struct conduit pipe, size_t held)
{
	r->lent_pipes--;
	if (held || r->conduit_count == RESERVE_KEEP)
		close_pipe(pipe);
	else
		r->conduits[r->conduit_count++] = pipe;
}

uint8_t *reserve_take_buffer(struct reserve *r)
{
	uint8_t *buffer = r->buffer_count ? r->buffers[--r->buffer_count] : malloc(RESERVE_BUFFER);

	if (buffer)
		r->lent_buffers++;
	return buffer;
}

void reserve_give_buffer(struct reserve *r, uint8_t *buffer)
{
	r->lent_buffers--;
	if (r->buffer_count == RESERVE_KEEP)
		free(buffer);
	else
		r->buffers[r->buffer_count++] = buffer;
}
