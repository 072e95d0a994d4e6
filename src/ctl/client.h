/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's end of the control socket. */
#ifndef ACKGATE_CTL_CLIENT_H
#define ACKGATE_CTL_CLIENT_H

#include <jansson.h>
#include <stddef.h>

/* These are the program's exit statuses as well. */
enum client_outcome {
	CLIENT_DONE = 0,
	CLIENT_REFUSED = 1,
	CLIENT_BAD_USAGE = 2,
	CLIENT_NO_DAEMON = 3,
};

/*
 * Asks the daemon at `path` and waits for the answer, two minutes at most. *result is a new
 * reference when done; otherwise `why` has a text of one or more lines, allocated (NULL without
 * memory). Takes `args`, which may be NULL.
 */
enum client_outcome client_ask(
	const char *path, const char *command, json_t *args, json_t **result, char **why);

#endif
