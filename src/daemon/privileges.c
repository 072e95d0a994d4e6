/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/privileges.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

void privileges_are_ours(void)
{
	capng_setpid(getpid());
}

bool privileges_enough(char *why, size_t why_size)
{
	if (capng_get_caps_process() == 0 &&
		capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) &&
		capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_RAW))
		return true;
	snprintf(why, why_size, "CAP_NET_ADMIN and CAP_NET_RAW are needed: start as root");
	return false;
}

static bool has_folders(const char *path)
{
	bool found = false;
	struct stat st;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return true;
	for (const struct dirent *e = readdir(dir); e != NULL && !found; e = readdir(dir))
		found = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			(fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
				S_ISDIR(st.st_mode));
	closedir(dir);
	return found;
}

/* /, /srv, /tmp, /var/lib: what is in there is not ours alone, or will not be. */
static bool is_shared(const char *path, const struct stat *st)
{
	return S_ISDIR(st->st_mode) &&
	       (strrchr(path, '/') == path || (st->st_mode & (S_ISVTX | S_IWGRP | S_IWOTH)) ||
		       has_folders(path));
}

static bool give(const char *path, const struct passwd *pw, char *why, size_t why_size)
{
	struct stat st;

	if (lstat(path, &st) == 0) {
		if (st.st_uid == pw->pw_uid)
			return true;
		if (is_shared(path, &st)) {
			snprintf(why, why_size,
				"%s is shared with others, so it is not given to user '%s': name a "
				"folder of our own",
				path, pw->pw_name);
			return false;
		}
		if (fchownat(AT_FDCWD, path, pw->pw_uid, pw->pw_gid, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	if (errno == ENOENT)
		return true;
	snprintf(why, why_size, "%s can't be given to user '%s': %s", path, pw->pw_name,
		strerror(errno));
	return false;
}

static bool give_away(
	const char *const owned[], const struct passwd *pw, char *why, size_t why_size)
{
	for (; *owned != NULL; owned++)
		if (!give(*owned, pw, why, why_size))
			return false;
	return true;
}

static const struct passwd *find(const char *user, char *why, size_t why_size)
{
	const struct passwd *pw = getpwnam(user);

	if (pw == NULL)
		snprintf(why, why_size,
			"there is no user '%s': create it (`useradd --system %s`), or say user = "
			"root",
			user, user);
	return pw;
}

static int choose_admin(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	return capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
}

static int choose_daemons(void)
{
	/* Only listeners of splice rules want it, so some may start without. */
	const bool binds = capng_have_capability(CAPNG_PERMITTED, CAP_NET_BIND_SERVICE);

	if (choose_admin() < 0 ||
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_RAW) < 0)
		return -1;
	return binds ? capng_update(
			       CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE)
		     : 0;
}

/* Becomes pw's user with the capabilities that `choose` leaves alone. */
static bool become(const struct passwd *pw, int (*choose)(void), char *why, size_t why_size)
{
	int rc = choose();

	if (rc == 0)
		rc = pw->pw_uid == 0 ? capng_apply(CAPNG_SELECT_ALL)
				     : capng_change_id((int)pw->pw_uid, (int)pw->pw_gid,
					       CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING |
						       CAPNG_CLEAR_AMBIENT);
	if (rc != 0) {
		snprintf(why, why_size,
			"can't become user '%s' with fewer capabilities (step %d): %s", pw->pw_name,
			-rc, strerror(errno));
		return false;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		snprintf(why, why_size, "no_new_privs: %s", strerror(errno));
		return false;
	}
	return true;
}

bool privileges_drop(const char *user, const char *const owned[], char *why, size_t why_size)
{
	const struct passwd *pw = find(user, why, why_size);

	return pw != NULL && give_away(owned, pw, why, why_size) &&
	       become(pw, choose_daemons, why, why_size);
}

bool privileges_drop_to_admin(const char *user, char *why, size_t why_size)
{
	const struct passwd *pw = find(user, why, why_size);

	return pw != NULL && become(pw, choose_admin, why, why_size);
}
