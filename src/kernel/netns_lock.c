/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/netns_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HOLDER_TEXT = 24, /* bytes: a process id and a line's end */
};

static int lock_path(const char *folder, char path[static PATH_MAX])
{
	struct stat ns;
	int len;

	if (stat("/proc/thread-self/ns/net", &ns) == -1)
		return -1;
	len = snprintf(path, PATH_MAX, "%s/netns-%ju.lock", folder, (uintmax_t)ns.st_ino);
	if (len < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static void write_holder(int fd)
{
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%ld\n", (long)getpid());
}

/* What the holder wrote, as seen from its pid namespace; 0: not yet anything. */
static long read_holder(int fd)
{
	char text[HOLDER_TEXT] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static void explain_held(int fd, char *why, size_t size)
{
	long holder = read_holder(fd);

	if (holder > 0)
		snprintf(why, size, "another ackgated runs in this network namespace (process %ld)",
			holder);
	else
		snprintf(why, size, "another ackgated runs in this network namespace");
}

int netns_lock_take(const char *folder, char *why, size_t why_size)
{
	char path[PATH_MAX];
	int fd;

	if (lock_path(folder, path) == -1) {
		snprintf(why, why_size, "can't tell the network namespace: %s", strerror(errno));
		return -1;
	}
	/* If it can't be made, opening says why. */
	(void)mkdir(folder, 0755);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		write_holder(fd);
		return fd;
	}
	if (fd != -1 && errno == EWOULDBLOCK)
		explain_held(fd, why, why_size);
	else
		snprintf(why, why_size, "can't take the network namespace's lock %s: %s", path,
			strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}
