/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const struct timeval patience = {.tv_sec = 120};

static void say(char **why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(char **why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (vasprintf(why, format, ap) < 0)
		*why = NULL;
	va_end(ap);
}

/* Connected, or -1 with *why and *outcome. */
static int connect_to(const char *path, enum client_outcome *outcome, char **why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*outcome = CLIENT_BAD_USAGE;
	if (strlen(path) >= sizeof(address.sun_path)) {
		say(why, "the socket's path has more than %zu bytes", sizeof(address.sun_path) - 1);
		return -1;
	}
	strcpy(address.sun_path, path);
	*outcome = CLIENT_NO_DAEMON;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		say(why, "no UNIX socket to be had: %s", strerror(errno));
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;

	if (errno == EACCES || errno == EPERM) {
		*outcome = CLIENT_REFUSED;
		say(why, "%s: you may not: be root, or a member of the daemon's group", path);
	} else if (errno == ENOENT || errno == ECONNREFUSED) {
		say(why, "no daemon at %s: start ackgated, or name its socket with -s", path);
	} else {
		say(why, "%s: %s", path, strerror(errno));
	}
	close(fd);
	return -1;
}

static int send_bytes(const char *bytes, size_t len, void *arg)
{
	const int *fd = arg;

	while (len > 0) {
		ssize_t n = send(*fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static size_t receive_bytes(void *out, size_t size, void *arg)
{
	const int *fd = arg;
	ssize_t n;

	do
		n = recv(*fd, out, size, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? (size_t)-1 : (size_t)n;
}

/* The daemon's answer to the request, or NULL. */
static json_t *exchange(int fd, const json_t *request)
{
	json_error_t e;

	if (json_dump_callback(request, send_bytes, &fd, JSON_COMPACT) < 0 ||
		send_bytes("\n", 1, &fd) < 0)
		return NULL;
	/*
	 * Without more to come, the daemon closes after its answer, which then ends with the
	 * stream.
	 */
	shutdown(fd, SHUT_WR);
	return json_load_callback(receive_bytes, &fd, 0, &e);
}

enum client_outcome client_ask(
	const char *path, const char *command, json_t *args, json_t **result, char **why)
{
	enum client_outcome outcome;
	const char *error = NULL;
	int ok = 0;

	*result = NULL;
	*why = NULL;
	json_t *request =
		json_pack("{s:s, s:o}", "command", command, "args", args ? args : json_object());
	int fd = connect_to(path, &outcome, why);
	if (fd < 0) {
		json_decref(request);
		return outcome;
	}
	errno = 0;
	json_t *answer = exchange(fd, request);
	int saved = errno;
	close(fd);
	json_decref(request);

	outcome = CLIENT_REFUSED;
	if (answer == NULL && (saved == EAGAIN || saved == EWOULDBLOCK))
		say(why, "the daemon does not answer");
	else if (json_unpack(answer, "{s:b, s?:s, s?:O}", "ok", &ok, "error", &error, "result",
			 result) < 0)
		say(why, "the daemon's answer is cut short or no answer");
	else if (!ok)
		say(why, "%s", error != NULL ? error : "refused");
	else if (*result == NULL)
		say(why, "the daemon's answer has no result");
	else
		outcome = CLIENT_DONE;
	json_decref(answer);
	return outcome;
}
