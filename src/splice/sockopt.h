/* SPDX-License-Identifier: GPL-2.0-or-later */
/* socket(7) options that are numbers. */
#ifndef ACKGATE_SPLICE_SOCKOPT_H
#define ACKGATE_SPLICE_SOCKOPT_H

#include <errno.h>
#include <sys/socket.h>

/* -1 with errno. Most callers ignore it: what this kernel does not know a connection does without.
 */
static inline int sockopt_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* What broke the socket, an errno, which is forgotten with that; 0: nothing. */
static inline int sockopt_take_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

#endif
