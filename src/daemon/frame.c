/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* On the wire: this, then for each part its length in 32 bits and its bytes. */
struct header {
	int32_t kind;
	uint32_t count;
	uint32_t bytes; /* of everything after the header */
};

static bool send_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool receive_all(int fd, void *data, size_t len)
{
	char *at = data;

	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

bool frame_send(int fd, int32_t kind, const struct frame_part *parts, size_t count)
{
	size_t bytes = 0;

	errno = EMSGSIZE;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len > FRAME_BYTES_MAX)
			return false;
		bytes += sizeof(uint32_t) + parts[i].len;
	}
	if (count > FRAME_PARTS_MAX || bytes > FRAME_BYTES_MAX)
		return false;

	const struct header h = {.kind = kind, .count = (uint32_t)count, .bytes = (uint32_t)bytes};
	if (!send_all(fd, &h, sizeof(h)))
		return false;
	for (size_t i = 0; i < count; i++) {
		uint32_t len = (uint32_t)parts[i].len;
		if (!send_all(fd, &len, sizeof(len)) || !send_all(fd, parts[i].bytes, len))
			return false;
	}
	return true;
}

bool frame_send_words(int fd, int32_t kind, const char *words)
{
	const struct frame_part part = {words, strlen(words)};

	return frame_send(fd, kind, &part, 1);
}

/*
 * Points the parts into `raw`. A part's bytes are moved back over its length, which makes room for
 * the NUL after them.
 */
static bool split(struct frame *f, char *raw, size_t bytes)
{
	for (size_t i = 0; i < f->count; i++) {
		uint32_t len;
		if (bytes < sizeof(len))
			return false;
		memcpy(&len, raw, sizeof(len));
		bytes -= sizeof(len);
		if (len > bytes)
			return false;
		memmove(raw, raw + sizeof(len), len);
		raw[len] = '\0';
		f->parts[i] = (struct frame_part){.bytes = raw, .len = len};
		raw += sizeof(len) + len;
		bytes -= len;
	}
	return bytes == 0;
}

bool frame_receive(int fd, struct frame *f)
{
	struct header h;

	*f = (struct frame){0};
	if (!receive_all(fd, &h, sizeof(h)))
		return false;
	errno = EPROTO;
	if (h.count > FRAME_PARTS_MAX || h.bytes > FRAME_BYTES_MAX)
		return false;
	f->kind = h.kind;
	f->count = h.count;
	f->parts = calloc(h.count + 1, sizeof(*f->parts));
	f->storage = malloc(h.bytes + 1);
	if (f->parts != NULL && f->storage != NULL && receive_all(fd, f->storage, h.bytes) &&
		split(f, f->storage, h.bytes))
		return true;
	frame_free(f);
	return false;
}

void frame_free(struct frame *f)
{
	free(f->parts);
	free(f->storage);
	*f = (struct frame){0};
}
