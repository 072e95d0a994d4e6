/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/program.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	OUTPUT_MAX = 8 << 20,
	TOKEN_MAX = 32
};

static const char *const directories[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin"};

static const char *const programs[] = {
	"iptables",
	"iptables-restore",
	"iptables-save",
	"ip6tables",
	"ip6tables-restore",
	"ip6tables-save",
};

/*
 * All that -restore and -save are ever told: everything else could be a file to read or to write.
 */
static const char *const plain_arguments[] = {
	"-n",
	"--noflush",
	"-c",
	"--counters",
	"-t",
	"--test",
	"--table",
	"-T",
	"-v",
	"--verbose",
	"-w",
	"--wait",
	"-V",
	"--version",
	"raw",
	"mangle",
	"nat",
	"filter",
	"security",
};

static bool is_in(const char *word, const char *const list[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, list[i]) == 0)
			return true;
	return false;
}

#define IS_IN(word, list) is_in(word, list, sizeof(list) / sizeof((list)[0]))

static bool is_number(const char *word)
{
	return word[0] != '\0' && word[strspn(word, "0123456789")] == '\0';
}

/*
 * Whether getopt_long could take the word for -M or --modprobe, which name a program to run as
 * root: -M may follow other letters in one word, and long options may be cut short.
 */
static bool names_modprobe(const char *word)
{
	static const char modprobe[] = "--modprobe";
	size_t name = strcspn(word, "=");

	if (word[0] != '-')
		return false;
	if (word[1] != '-')
		return strchr(word, 'M') != NULL;
	return name > 2 && name < sizeof(modprobe) && strncmp(word, modprobe, name) == 0;
}

/*
 * iptables-restore lets quotes and backslashes stand inside words, so they are passed over. Long
 * words are cut.
 */
static bool input_names_modprobe(const char *input)
{
	char word[TOKEN_MAX];
	size_t len = 0;

	for (;; input++) {
		if (*input == '"' || *input == '\'' || *input == '\\')
			continue;
		if (*input != '\0' && !isspace((unsigned char)*input)) {
			if (len < sizeof(word) - 1)
				word[len++] = *input;
			continue;
		}
		word[len] = '\0';
		if (names_modprobe(word))
			return true;
		if (*input == '\0')
			return false;
		len = 0;
	}
}

bool program_allowed(const char *const argv[], const char *input, char *why, size_t why_size)
{
	if (argv[0] == NULL || !IS_IN(argv[0], programs)) {
		snprintf(why, why_size, "the helper does not run '%s'", argv[0] ? argv[0] : "");
		return false;
	}
	bool plain = strchr(argv[0], '-') != NULL;
	for (size_t i = 1; argv[i] != NULL; i++) {
		bool fine = plain ? IS_IN(argv[i], plain_arguments) || is_number(argv[i])
				  : !names_modprobe(argv[i]);
		if (!fine) {
			snprintf(why, why_size, "the helper does not run %s with '%s'", argv[0],
				argv[i]);
			return false;
		}
	}
	if (input != NULL && input_names_modprobe(input)) {
		snprintf(why, why_size, "the helper does not run %s with --modprobe", argv[0]);
		return false;
	}
	return true;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In the child. Its exit status 127 and one line say that there is no such program. */
_Noreturn static void become(const char *const argv[], int in, int out)
{
	static char path_variable[] = "PATH=/usr/sbin:/sbin:/usr/bin:/bin", locale[] = "LC_ALL=C";
	char *environment[] = {path_variable, locale, NULL};
	char path[64];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
		dup2(out, STDERR_FILENO) < 0)
		_exit(127);
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directories[i], argv[0]);
		/* execve promises not to change what it is given, C can't say so */
		execve(path, (char *const *)(uintptr_t)argv, environment);
	}
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

struct exchange {
	int in;  /* the child's standard input; -1 once all is written */
	int out; /* its output */
	const char *input;
	size_t input_left;
	FILE *output;
	size_t output_len;
};

static void close_input(struct exchange *x)
{
	if (x->in >= 0)
		close(x->in);
	x->in = -1;
}

static void write_input(struct exchange *x)
{
	ssize_t n = write(x->in, x->input, x->input_left);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		close_input(x); /* it reads no further: its own words will say why */
		return;
	}
	x->input += n;
	x->input_left -= (size_t)n;
	if (x->input_left == 0)
		close_input(x);
}

/* False at the end. Output beyond the bound is read, so that the program goes on, and forgotten. */
static bool read_output(struct exchange *x)
{
	char bytes[16384];
	ssize_t n = read(x->out, bytes, sizeof(bytes));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n > 0 && x->output_len < OUTPUT_MAX) {
		fwrite(bytes, 1, (size_t)n, x->output);
		x->output_len += (size_t)n;
	}
	return n > 0;
}

/* Feeds the child and reads it to its end. False if it has not ended by the deadline. */
static bool converse(struct exchange *x, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = x->out, .events = POLLIN},
			{.fd = x->in, .events = POLLOUT},
		};
		int64_t left = deadline_ms - now_ms();
		if (left <= 0)
			return false;
		if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
			return false;
		if (fds[1].revents != 0)
			write_input(x);
		if (fds[0].revents != 0 && !read_output(x))
			return true;
	}
}

static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void close_pipe(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int program_run(const char *const argv[], const char *input, int timeout_ms, char **output)
{
	int to[2] = {-1, -1}, from[2] = {-1, -1}, status = -1;
	size_t len = 0;
	pid_t child;

	*output = NULL;
	struct exchange x = {.in = -1, .output = open_memstream(output, &len)};
	if (x.output == NULL)
		return -1;
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		goto failed;
	fcntl(to[1], F_SETFL, O_NONBLOCK);
	child = fork();
	if (child < 0)
		goto failed;
	if (child == 0)
		become(argv, to[0], from[1]);

	close(to[0]);
	close(from[1]);
	x.in = to[1];
	x.out = from[0];
	to[0] = to[1] = from[0] = from[1] = -1;
	x.input = input;
	x.input_left = input != NULL ? strlen(input) : 0;
	if (x.input_left == 0)
		close_input(&x);
	bool ended = converse(&x, now_ms() + timeout_ms);
	if (!ended)
		kill(child, SIGKILL);
	close_input(&x);
	close(x.out);
	status = wait_for(child);
	if (!ended) {
		fprintf(x.output, "%s did not end within %d s\n", argv[0], timeout_ms / 1000);
		status = -1;
	}
	fclose(x.output);
	return status;

failed:
	fprintf(x.output, "%s can't be run: %s\n", argv[0], strerror(errno));
	fclose(x.output);
	close_pipe(to);
	close_pipe(from);
	return -1;
}
