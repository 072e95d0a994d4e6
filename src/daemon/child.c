/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	ANSWER_TIMEOUT_S = 40, /* more than a child itself waits for anything */
};

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

void child_dies_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void stand_apart(const char *name, pid_t parent)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE};
	sigset_t none;

	prctl(PR_SET_NAME, name);
	child_dies_with_parent();
	if (getppid() != parent)
		_exit(0);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	/* Whatever was inherited. */
	signal(SIGALRM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

bool child_start(
	struct child *c, const char *name, int keep, void (*serve)(int fd, void *arg), void *arg)
{
	const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	const pid_t parent = getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return false;
	c->fd = fds[0];
	c->pid = fork();
	if (c->pid < 0) {
		int saved = errno;

		close(fds[0]);
		close(fds[1]);
		errno = saved;
		return false;
	}
	if (c->pid == 0) {
		close_others(fds[1], keep);
		stand_apart(name, parent);
		serve(fds[1], arg);
		_exit(0);
	}
	close(fds[1]);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return true;
}

static bool give_up(struct child *c)
{
	close(c->fd);
	c->fd = -1;
	return false;
}

bool child_hear(struct child *c, struct frame *f)
{
	return c->fd >= 0 && (frame_receive(c->fd, f) || give_up(c));
}

bool child_ask(struct child *c, int32_t kind, const struct frame_part *parts, size_t count,
	struct frame *f)
{
	if (c->fd < 0)
		return false;
	if (frame_send(c->fd, kind, parts, count))
		return child_hear(c, f);
	return errno == EMSGSIZE ? false : give_up(c);
}

bool child_is_gone(const struct child *c)
{
	siginfo_t end = {0};

	return c->fd < 0 ||
	       (waitid(P_PID, (id_t)c->pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid);
}

void child_stop(struct child *c)
{
	if (c->fd >= 0)
		close(c->fd);
	else
		kill(c->pid, SIGKILL); /* it may hang */
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
}
