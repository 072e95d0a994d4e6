/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SECRET_MAX = 4096, /* bytes; beyond that a file is something else */
};

static bool explain(const char *what, const char *file, char *why, size_t why_size)
{
	snprintf(why, why_size, "the cookies' secret %s %s: %s", file, what, strerror(errno));
	return false;
}

static bool make_file(const char *file, char *why, size_t why_size)
{
	uint8_t bytes[COOKIE_SECRET];
	bool fine;
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return explain("can't be made", file, why, why_size);
	fine = getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
	       write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) && fsync(fd) == 0;
	if (!fine) {
		explain("can't be written", file, why, why_size);
		unlink(file);
	}
	close(fd);
	return fine;
}

/* Whatever is in the file, all of it counts; 32 random bytes or their letters in a longer text. */
static void digest(const uint8_t *bytes, size_t len, uint8_t secret[static COOKIE_SECRET])
{
	for (uint64_t i = 0; i < COOKIE_SECRET / sizeof(uint64_t); i++) {
		const struct siphash_key key = {i, len};
		uint64_t part = siphash(bytes, len, &key);

		memcpy(secret + i * sizeof(part), &part, sizeof(part));
	}
}

static bool read_file(
	int fd, const char *file, uint8_t secret[static COOKIE_SECRET], char *why, size_t why_size)
{
	uint8_t bytes[SECRET_MAX];
	struct stat st;
	ssize_t len;

	if (fstat(fd, &st) != 0)
		return explain("can't be read", file, why, why_size);
	if (!S_ISREG(st.st_mode) || st.st_mode & (S_IRWXG | S_IRWXO)) {
		snprintf(why, why_size,
			"the cookies' secret %s may be read by others than its owner: chmod 600 it",
			file);
		return false;
	}
	len = read(fd, bytes, sizeof(bytes));
	if (len < 0)
		return explain("can't be read", file, why, why_size);
	if (len < COOKIE_SECRET) {
		snprintf(why, why_size, "the cookies' secret %s holds %zd bytes: %d are needed",
			file, len, COOKIE_SECRET);
		return false;
	}
	if (len == COOKIE_SECRET)
		memcpy(secret, bytes, COOKIE_SECRET);
	else
		digest(bytes, (size_t)len, secret);
	return true;
}

bool secret_load(const char *file, bool make, uint8_t secret[static COOKIE_SECRET], char *why,
	size_t why_size)
{
	bool fine;
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = open(file, flags);

	if (fd < 0 && errno == ENOENT && make) {
		if (!make_file(file, why, why_size))
			return false;
		fd = open(file, flags);
	}
	if (fd < 0)
		return explain("can't be read", file, why, why_size);
	fine = read_file(fd, file, secret, why, why_size);
	close(fd);
	return fine;
}
