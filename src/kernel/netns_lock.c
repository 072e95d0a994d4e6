/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/netns_lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char NAME[] = "@ackgate"; /* the @ stands for the zero byte of an abstract name */

static socklen_t lock_address(struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(a->sun_path + 1, NAME + 1, sizeof(NAME) - 2);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(NAME) - 1);
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Whom a connection to the name would reach: it listens, so the kernel knows. -1: it can't be had.
 */
static int find_holder(struct ucred *holder)
{
	struct sockaddr_un a;
	socklen_t len = lock_address(&a);
	socklen_t size = sizeof(*holder);
	int fd = unix_socket();
	int rc = -1;

	if (fd == -1)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a, len) == 0)
		rc = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, holder, &size);
	close(fd);
	/* A holder in a pid namespace that we don't see into has pid 0 here. */
	return rc == 0 && holder->pid > 0 ? 0 : -1;
}

static void explain_failure(int error, char *why, size_t size)
{
	struct ucred holder;

	if (error != EADDRINUSE)
		snprintf(why, size, "can't take the network namespace's lock %s: %s", NAME,
			strerror(error));
	else if (find_holder(&holder) == 0)
		snprintf(why, size,
			"another ackgated runs in this network namespace (process %ld, user id "
			"%lu)",
			(long)holder.pid, (unsigned long)holder.uid);
	else
		snprintf(why, size, "another ackgated runs in this network namespace");
}

int netns_lock_take(char *why, size_t why_size)
{
	struct sockaddr_un a;
	socklen_t len = lock_address(&a);
	int fd = unix_socket();

	/* Nobody ever accepts: whoever asks for the holder's pid leaves a place of the backlog
	 * taken. */
	if (fd != -1 && bind(fd, (const struct sockaddr *)&a, len) == 0 &&
		listen(fd, SOMAXCONN) == 0)
		return fd;
	explain_failure(errno, why, why_size);
	if (fd != -1)
		close(fd);
	return -1;
}
