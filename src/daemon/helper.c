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
 * It ends when its socket does, or with its parent, and ignores the signals that a terminal or a
 * service manager sends to all processes alike: the daemon still needs it then, to take the rules
 * away. Nothing else is open in it, for it is started first.
 */
#include "daemon/helper.h"

#include "daemon/frame.h"
#include "daemon/program.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	REQUEST_EXEC = 1,
	REQUEST_READ_CONFIG,
	REQUEST_REMOVE_SOCKET
};

enum {
	EXEC_TIMEOUT_MS = 30000,
	ANSWER_TIMEOUT_S = 40, /* more than the helper itself waits */
	ARGUMENTS_MAX = 128,
};

struct helper {
	pid_t pid;
	int fd; /* -1: it is gone */
};

/* What the child was given before the fork. The folder is open, so that no path is followed twice:
 * -1 if it could not be. */
struct charge {
	const char *config_file;
	int folder;
	const char *socket;
};

static bool answer_words(int fd, int32_t kind, const char *words)
{
	const struct frame_part part = {words, strlen(words)};

	return frame_send(fd, kind, &part, 1);
}

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
		return answer_words(fd, -1, why);
	int status = program_run(argv, f->parts[0].bytes, EXEC_TIMEOUT_MS, &output);
	bool sent = answer_words(fd, status, output != NULL ? output : "no memory");
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
		sent = answer_words(fd, -1, "the configuration files are too large");
	config_sources_free(sources, count);
	config_errors_free(&errors);
	return sent;
}

static bool answer_socket(int fd, const struct charge *charge)
{
	struct stat st;

	if (fstatat(charge->folder, charge->socket, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return answer_words(fd, -1, "it is no socket");
		if (unlinkat(charge->folder, charge->socket, 0) == 0)
			return answer_words(fd, 0, "");
	}
	return errno == ENOENT ? answer_words(fd, 0, "") : answer_words(fd, -1, strerror(errno));
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

_Noreturn static void serve(int fd, pid_t parent, const struct charge *charge)
{
	struct frame f;

	prctl(PR_SET_NAME, "ackgated-helper");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	keep_few_capabilities();
	while (frame_receive(fd, &f)) {
		bool answered = answer(fd, &f, charge);
		frame_free(&f);
		if (!answered)
			break;
	}
	_exit(0);
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

/* Sockets that were handed to the daemon are not the child's: it would keep them open. */
static void close_others(int a, int b)
{
	const int low = a < b ? a : b, high = a < b ? b : a;

	if (low > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
	if (low < 0 || high > low + 1)
		close_range((unsigned)(low < 0 ? STDERR_FILENO : low) + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0u, 0);
}

struct helper *helper_start(
	const char *config_file, const char *control, char *why, size_t why_size)
{
	const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	const struct charge charge = charge_of(config_file, control);
	struct helper *h = malloc(sizeof(*h));
	pid_t parent = getpid();
	int fds[2] = {-1, -1};

	if (h == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		goto failed;
	h->fd = fds[0];
	h->pid = fork();
	if (h->pid < 0)
		goto failed;
	if (h->pid == 0) {
		close_others(fds[1], charge.folder);
		serve(fds[1], parent, &charge);
	}
	close(fds[1]);
	if (charge.folder >= 0)
		close(charge.folder);
	setsockopt(h->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return h;

failed:
	snprintf(why, why_size, "the helper process can't be started: %s", strerror(errno));
	if (fds[0] >= 0) {
		close(fds[0]);
		close(fds[1]);
	}
	if (charge.folder >= 0)
		close(charge.folder);
	free(h);
	return NULL;
}

void helper_stop(struct helper *h)
{
	if (h == NULL)
		return;
	if (h->fd >= 0)
		close(h->fd);
	while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(h);
}

/*
 * One request and its answer. A helper that failed is not spoken to again: an answer that comes
 * late would be taken for the next one's. A request that is too large was not sent and does no
 * harm.
 */
static bool ask(struct helper *h, int32_t kind, const struct frame_part *parts, size_t count,
	struct frame *f)
{
	if (h->fd < 0)
		return false;
	if (frame_send(h->fd, kind, parts, count)) {
		if (frame_receive(h->fd, f))
			return true;
	} else if (errno == EMSGSIZE) {
		return false;
	}
	close(h->fd);
	h->fd = -1;
	return false;
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
	if (*argv != NULL || !ask(h, REQUEST_EXEC, parts, n, &f)) {
		if (output != NULL)
			*output = strdup(h->fd < 0 ? "the helper process is gone"
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

	if (!ask(h, REQUEST_READ_CONFIG, NULL, 0, &f)) {
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

	if (h == NULL || !ask(h, REQUEST_REMOVE_SOCKET, NULL, 0, &f)) {
		snprintf(why, why_size, "the helper process is gone");
		return false;
	}
	bool removed = f.kind == 0;
	snprintf(why, why_size, "%s", f.count > 0 ? f.parts[0].bytes : "");
	frame_free(&f);
	return removed;
}
