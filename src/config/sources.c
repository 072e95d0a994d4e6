/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files to texts: the main one, then those of conf.d beside it that end in .ini, in name order. */
#include <config.h> /* Autoconf's: names beyond C11 */

#include "config/arena.h"
#include "config/faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SOURCE_MAX = 1024 * 1024, /* bytes */
};

/* What callers hold is `list`; the rest is for giving it back. */
struct sources {
	struct arena *arena;
	struct config_source list[];
};

static struct sources *sources_of(struct config_source *list)
{
	return (struct sources *)(void *)((char *)list - offsetof(struct sources, list));
}

void config_sources_free(struct config_source *list, size_t count)
{
	struct sources *s;

	(void)count;
	if (list == NULL)
		return;
	s = sources_of(list);
	arena_free(s->arena);
	free(s);
}

/* Reads to the end or until the buffer is full; -1 with errno. */
static ssize_t source_fill(int fd, char *buffer, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buffer + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* NULL, or why there is no text. */
static const char *source_read(struct config_source *s, struct arena *arena)
{
	const char *why = NULL;
	char *buffer = NULL, *text;
	ssize_t len;
	int fd = open(s->name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return strerror(errno);
	buffer = malloc(SOURCE_MAX + 1);
	len = buffer != NULL ? source_fill(fd, buffer, SOURCE_MAX + 1) : -1;
	if (len < 0) {
		why = strerror(errno);
		goto out;
	}
	if (len > SOURCE_MAX) {
		why = "it is larger than 1 MiB";
		goto out;
	}
	text = arena_alloc(arena, (size_t)len + 1, 1);
	if (text == NULL) {
		why = strerror(ENOMEM);
		goto out;
	}
	memcpy(text, buffer, (size_t)len);
	s->text = text;
	s->len = (size_t)len;
out:
	free(buffer);
	close(fd);
	return why;
}

static int conf_d_wanted(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".ini") == 0;
}

static int conf_d_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* "DIRECTORY/a/b", where DIRECTORY is that of the main file; b may be empty. */
static char *path_beside(struct arena *arena, const char *file, const char *a, const char *b)
{
	const char *slash = strrchr(file, '/');
	size_t len = slash != NULL ? (size_t)(slash - file) + 1 : 0;
	size_t size = len + strlen(a) + strlen(b) + 2;
	char *path = arena_alloc(arena, size, 1);

	if (path == NULL)
		return NULL;
	memcpy(path, file, len);
	snprintf(path + len, size - len, "%s%s%s", a, *b != '\0' ? "/" : "", b);
	return path;
}

/* No directory is fine: 0 entries. -1 with errno. */
static int conf_d_list(struct arena *arena, const char *file, struct dirent ***entries)
{
	char *path = path_beside(arena, file, "conf.d", "");
	int n;

	*entries = NULL;
	if (path == NULL)
		return -1;
	n = scandir(path, entries, conf_d_wanted, conf_d_order);
	return n < 0 && errno == ENOENT ? 0 : n;
}

static void conf_d_free(struct dirent **entries, int n)
{
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
}

/* Named, but without their texts. NULL without memory. */
static struct sources *sources_new(
	struct arena *arena, const char *file, struct dirent **entries, size_t n)
{
	struct sources *s = calloc(1, sizeof(*s) + (n + 1) * sizeof(s->list[0]));
	bool good = s != NULL;

	for (size_t i = 0; good && i < n + 1; i++) {
		if (i == 0)
			s->list[i].name = arena_strdup(arena, file);
		else
			s->list[i].name =
				path_beside(arena, file, "conf.d", entries[i - 1]->d_name);
		good = s->list[i].name != NULL;
	}
	if (!good) {
		free(s);
		return NULL;
	}
	s->arena = arena;
	return s;
}

static void sources_read(struct sources *s, size_t count, struct faults *faults)
{
	for (size_t i = 0; i < count; i++) {
		const char *why = source_read(&s->list[i], s->arena);

		if (why != NULL)
			faults_add(faults, (struct place){.source = (uint32_t)i, .line = 1},
				"the file can't be read: %s; name one that can", why);
	}
}

struct config_source *config_read(const char *file, size_t *count, struct config_errors *errors)
{
	struct config_source main_file = {.name = file};
	struct faults faults = {.sources = &main_file};
	struct arena *arena = arena_new();
	struct sources *s = NULL;
	struct dirent **entries = NULL;
	int n = arena != NULL ? conf_d_list(arena, file, &entries) : -1;

	if (n < 0) {
		faults_add(&faults, (struct place){.line = 1},
			"conf.d beside the file can't be read: %s; make it a readable directory",
			strerror(errno));
		goto out;
	}
	s = sources_new(arena, file, entries, (size_t)n);
	if (s == NULL) {
		faults.lost = true;
		goto out;
	}
	faults.sources = s->list;
	*count = (size_t)n + 1;
	sources_read(s, *count, &faults);
out:
	conf_d_free(entries, n);
	if (!faults_any(&faults))
		return s->list;
	faults_hand_over(&faults, errors);
	free(s);
	arena_free(arena);
	return NULL;
}
