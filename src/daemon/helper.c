/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * helper_start forks while the process is root. The child answers one frame after another over a
 * socketpair:
 *
 *	EXEC         input, argv[0], argv[1] ...	->  exit status, output
 *	READ_CONFIG					->  0, name, text, name, text ...
 *							or -1, fault, fault ...
 *	REMOVE_SOCKET					->  0 or -1, what is wrong
 *
 * The daemon faces the network, so the child trusts it no further than that: programs and arguments
 * are those of program_allowed, the configuration's path and the socket's folder and name were
 * fixed before the fork, a frame that is wrong ends the child. It keeps the capabilities that
 * iptables needs and reading others' files, and no other.
 *
 * It ignores the signals that all processes get alike (child.h): the daemon still needs it then, to
 * take the rules away.
 */
#include "daemon/helper.h"

#include "daemon/child.h"
#include "daemon/privileges.h"
#include "daemon/program.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	REQUEST_EXEC = 1,
	REQUEST_READ_CONFIG,
	REQUEST_REMOVE_SOCKET
};

enum {
	EXEC_TIMEOUT_MS = 30000,
	ARGUMENTS_MAX = 128,
};

struct helper {
	struct child child;
};

/* What the child was given before the fork. The folder is open, so that no path is followed twice:
 * -1 if it could not be. */
struct charge {
	const char *config_file;
	int folder;
	const char *socket;
};

/* parts: input, argv[0], argv[1] ...; an input of no bytes stands for none. */
static bool answer_exec(int fd, const struct frame *f)
{
	const char *argv[ARGUMENTS_MAX + 1] = {NULL};
	char why[256];
	char *output = NULL;

	if (f->count < 2 || f->count > ARGUMENTS_MAX)
		return false;
	for (size_t i = 1; i < f->count; i++)
		argv[i - 1] = f->parts[i].bytes;
	if (!program_allowed(argv, f->parts[0].bytes, why, sizeof(why)))
		return frame_send_words(fd, -1, why);
	int status = program_run(argv, f->parts[0].bytes, EXEC_TIMEOUT_MS, &output);
	bool sent = frame_send_words(fd, status, output != NULL ? output : "no memory");
	free(output);
	return sent;
}

static bool answer_config(int fd, const char *file)
{
	struct frame_part parts[FRAME_PARTS_MAX];
	struct config_errors errors = {0};
	size_t count = 0, n = 0;
	int32_t kind = 0;

	struct config_source *sources = config_read(file, &count, &errors);
	if (sources == NULL) {
		kind = -1;
		for (size_t i = 0; i < errors.count && n < FRAME_PARTS_MAX; i++)
			parts[n++] = (struct frame_part){errors.list[i], strlen(errors.list[i])};
	} else {
		for (size_t i = 0; i < count && n + 1 < FRAME_PARTS_MAX; i++) {
			parts[n++] = (struct frame_part){sources[i].name, strlen(sources[i].name)};
			parts[n++] = (struct frame_part){sources[i].text, sources[i].len};
		}
	}
	bool sent = frame_send(fd, kind, parts, n);
	if (!sent && errno == EMSGSIZE)
		sent = frame_send_words(fd, -1, "the configuration files are too large");
	config_sources_free(sources, count);
	config_errors_free(&errors);
	return sent;
}

static bool answer_socket(int fd, const struct charge *charge)
{
	struct stat st;

	if (fstatat(charge->folder, charge->socket, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return frame_send_words(fd, -1, "it is no socket");
		if (unlinkat(charge->folder, charge->socket, 0) == 0)
			return frame_send_words(fd, 0, "");
	}
	return errno == ENOENT ? frame_send_words(fd, 0, "")
			       : frame_send_words(fd, -1, strerror(errno));
}

static bool answer(int fd, const struct frame *f, const struct charge *charge)
{
	if (f->kind == REQUEST_EXEC)
		return answer_exec(fd, f);
	if (f->kind == REQUEST_READ_CONFIG)
		return answer_config(fd, charge->config_file);
	if (f->kind == REQUEST_REMOVE_SOCKET)
		return answer_socket(fd, charge);
	return false;
}

/* As far as it may: a container may have taken some away before, or the right to give them up. */
static void keep_few_capabilities(void)
{
	static const unsigned kept[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_DAC_READ_SEARCH};
	capng_type_t sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET;

	privileges_are_ours();
	capng_get_caps_process();
	bool have[sizeof(kept) / sizeof(kept[0])];
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]);
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (have[i])
			capng_update(CAPNG_ADD, sets, kept[i]);
	capng_apply(CAPNG_SELECT_ALL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void serve(int fd, void *arg)
{
	struct frame f;
	bool answered = true;

	keep_few_capabilities();
	while (answered && frame_receive(fd, &f)) {
		answered = answer(fd, &f, arg);
		frame_free(&f);
	}
}

static struct charge charge_of(const char *config_file, const char *control)
{
	struct charge charge = {.config_file = config_file, .folder = -1};
	const char *slash = strrchr(control, '/');
	char *folder = strndup(control, slash == NULL ? 0 : (size_t)(slash + 1 - control));

	charge.socket = slash == NULL ? control : slash + 1;
	if (folder != NULL)
		charge.folder =
			open(slash == NULL ? "." : folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	return charge;
}

struct helper *helper_start(
	const char *config_file, const char *control, char *why, size_t why_size)
{
	struct charge charge = charge_of(config_file, control);
	struct helper *h = malloc(sizeof(*h));
	bool started = h != NULL &&
		       child_start(&h->child, "ackgated-helper", charge.folder, serve, &charge);

	if (!started)
		snprintf(why, why_size, "the helper process can't be started: %s", strerror(errno));
	if (charge.folder >= 0)
		close(charge.folder);
	if (started)
		return h;
	free(h);
	return NULL;
}

bool helper_is_gone(const struct helper *h)
{
	return child_is_gone(&h->child);
}

void helper_stop(struct helper *h)
{
	if (h == NULL)
		return;
	child_stop(&h->child);
	free(h);
}

int helper_exec(void *arg, const char *const argv[], const char *input, char **output)
{
	struct helper *h = arg;
	struct frame_part parts[ARGUMENTS_MAX];
	struct frame f;
	size_t n = 0;

	if (input == NULL)
		input = "";
	parts[n++] = (struct frame_part){input, strlen(input)};
	for (; *argv != NULL && n < ARGUMENTS_MAX; argv++)
		parts[n++] = (struct frame_part){*argv, strlen(*argv)};
	if (*argv != NULL || !child_ask(&h->child, REQUEST_EXEC, parts, n, &f)) {
		if (output != NULL)
			*output = strdup(h->child.fd < 0
						 ? "the helper process is gone"
						 : "that is more than the helper process takes");
		return -1;
	}
	int status = f.kind;
	if (output != NULL)
		*output = strdup(f.count > 0 ? f.parts[0].bytes : "");
	frame_free(&f);
	return status;
}

/* A copy of a part, its NUL included. */
static char *copy_part(const struct frame_part *part)
{
	char *copy = malloc(part->len + 1);

	if (copy != NULL)
		memcpy(copy, part->bytes, part->len + 1);
	return copy;
}

static struct config_source *copy_sources(const struct frame *f, size_t *count)
{
	struct config_source *sources = calloc(f->count / 2 + 1, sizeof(*sources));
	bool whole = sources != NULL;

	*count = 0;
	for (size_t i = 0; whole && i + 1 < f->count; i += 2) {
		struct config_source *s = &sources[(*count)++];
		s->name = copy_part(&f->parts[i]);
		s->text = copy_part(&f->parts[i + 1]);
		s->len = f->parts[i + 1].len;
		whole = s->name != NULL && s->text != NULL;
	}
	if (whole)
		return sources;
	helper_free_sources(sources, *count);
	return NULL;
}

void helper_free_sources(struct config_source *sources, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free((void *)(uintptr_t)sources[i].name);
		free((void *)(uintptr_t)sources[i].text);
	}
	free(sources);
}

struct config_source *helper_read_config(
	struct helper *h, size_t *count, struct config_errors *errors)
{
	struct config_source *sources = NULL;
	struct frame f;

	if (!child_ask(&h->child, REQUEST_READ_CONFIG, NULL, 0, &f)) {
		config_errors_add(
			errors, "the helper process that reads the configuration is gone: restart");
		return NULL;
	}
	if (f.kind == 0)
		sources = copy_sources(&f, count);
	else
		for (size_t i = 0; i < f.count; i++)
			config_errors_add(errors, f.parts[i].bytes);
	if (sources == NULL && errors->count == 0)
		config_errors_add(errors, "no memory to read the configuration");
	frame_free(&f);
	return sources;
}

bool helper_remove_socket(struct helper *h, char *why, size_t why_size)
{
	struct frame f;

	if (h == NULL || !child_ask(&h->child, REQUEST_REMOVE_SOCKET, NULL, 0, &f)) {
		snprintf(why, why_size, "the helper process is gone");
		return false;
	}
	bool removed = f.kind == 0;
	snprintf(why, why_size, "%s", f.count > 0 ? f.parts[0].bytes : "");
	frame_free(&f);
	return removed;
}
