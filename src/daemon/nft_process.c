/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * The child gives up what it does not need, says so, and has a child of its own answer requests:
 *
 *	how to run it, the command	->  1 or 0 (whether it succeeded), what libnftables says
 *
 * That one, the runner, writes down how far it is where both can see it. When it comes to an end
 * amid a command, its parent answers in its place; unless all is over there is a new one then.
 */
#include "daemon/nft_process.h"

#include "daemon/child.h"
#include "daemon/privileges.h"
#include "kernel/nft_run.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	COMMAND_TIMEOUT_S = 30,
	FORK_AGAIN_US = 100000,
	COMMANDS = 10000, /* of one runner: whatever libnftables does not free goes with it */
	WHY = 256,
};

enum {
	FAILED,
	FINE
};

/* How far the runner is. */
enum {
	IDLE,
	RUNS,
	OVER, /* also while it reads and while it answers: of half a frame nobody can make anything
	       */
};

struct nft_process {
	struct child child;
};

/* False if nobody can be answered any more. */
static bool run(int fd, const struct frame *f, atomic_int *state)
{
	char *said;
	bool ok, answered;

	if (f->count != 1 || f->kind < NFT_RUN_PLAIN || f->kind > NFT_RUN_JSON_ELEMENTS)
		return false;
	atomic_store(state, RUNS);
	alarm(COMMAND_TIMEOUT_S);
	ok = nft_run_here(f->parts[0].bytes, (enum nft_run_how)f->kind, &said);
	alarm(0);
	atomic_store(state, OVER);
	answered = frame_send_words(fd, ok ? FINE : FAILED, said != NULL ? said : "no memory");
	if (!answered && errno == EMSGSIZE)
		answered = frame_send_words(fd, FAILED, "that is more than can be listed");
	/* From here on nobody waits for it: libnftables' damage may come to light at any free(). */
	if (answered)
		atomic_store(state, IDLE);
	free(said);
	return answered;
}

/* False at the end of file. */
static bool await_request(int fd)
{
	char byte;
	ssize_t n;

	do
		n = recv(fd, &byte, 1, MSG_PEEK);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

static void run_many(int fd, atomic_int *state, pid_t parent)
{
	struct frame f;
	bool answered = true;

	child_dies_with_parent();
	if (getppid() != parent)
		return;
	atomic_store(state, IDLE);
	for (int i = 0; i < COMMANDS && answered; i++) {
		answered = await_request(fd);
		if (answered) {
			atomic_store(state, OVER);
			answered = frame_receive(fd, &f) && run(fd, &f, state);
			frame_free(&f);
		}
	}
	if (!answered)
		atomic_store(state, OVER);
}

static bool answer_for(int fd, int status)
{
	char words[128];

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(words, sizeof(words), "libnftables has not ended within %d s",
			COMMAND_TIMEOUT_S);
	else if (WIFSIGNALED(status))
		snprintf(words, sizeof(words), "libnftables was ended by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(words, sizeof(words), "libnftables gave up");
	return frame_send_words(fd, FAILED, words);
}

/* False at the end of everything. */
static bool have_it_run(int fd, atomic_int *state)
{
	const pid_t self = getpid();
	pid_t pid = fork();
	int status;

	if (pid < 0) {
		usleep(FORK_AGAIN_US);
		return true;
	}
	if (pid == 0) {
		run_many(fd, state, self);
		_exit(EXIT_SUCCESS);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	if (atomic_load(state) == RUNS)
		return answer_for(fd, status);
	return atomic_load(state) == IDLE;
}

static void serve(int fd, void *user)
{
	char why[WHY] = "";
	atomic_int *state = mmap(
		NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool fine = state != MAP_FAILED;

	if (!fine)
		snprintf(why, sizeof(why), "no memory to share: %s", strerror(errno));
	privileges_are_ours();
	fine = fine && privileges_drop_to_admin(user, why, sizeof(why));
	child_dies_with_parent();
	fine = frame_send_words(fd, fine ? FINE : FAILED, why) && fine;
	while (fine)
		fine = have_it_run(fd, state);
}

static bool ask(void *arg, const char *command, enum nft_run_how how, char **said)
{
	struct nft_process *p = arg;
	const struct frame_part part = {command, strlen(command)};
	struct frame f;
	bool ok;

	if (!child_ask(&p->child, (int32_t)how, &part, 1, &f)) {
		*said = strdup(p->child.fd < 0 ? "the process that speaks with nftables is gone"
					       : "that is more than it takes");
		return false;
	}
	ok = f.kind == FINE;
	*said = strdup(f.count > 0 ? f.parts[0].bytes : "");
	frame_free(&f);
	return ok;
}

static bool is_ready(struct nft_process *p, char *why, size_t why_size)
{
	struct frame f;
	bool ready;

	if (!child_hear(&p->child, &f)) {
		snprintf(why, why_size, "the process that speaks with nftables has not come up");
		return false;
	}
	ready = f.kind == FINE;
	if (!ready)
		snprintf(why, why_size, "%s", f.count > 0 ? f.parts[0].bytes : "");
	frame_free(&f);
	return ready;
}

struct nft_process *nft_process_start(const char *user, char *why, size_t why_size)
{
	struct nft_process *p = malloc(sizeof(*p));

	if (p == NULL ||
		!child_start(&p->child, "ackgated-nft", -1, serve, (void *)(uintptr_t)user)) {
		snprintf(why, why_size,
			"the process that speaks with nftables can't be started: %s",
			strerror(errno));
		free(p);
		return NULL;
	}
	if (is_ready(p, why, why_size)) {
		nft_run_elsewhere(ask, p);
		return p;
	}
	child_stop(&p->child);
	free(p);
	return NULL;
}

bool nft_process_is_gone(const struct nft_process *p)
{
	return child_is_gone(&p->child);
}

void nft_process_stop(struct nft_process *p)
{
	if (p == NULL)
		return;
	nft_run_elsewhere(NULL, NULL);
	child_stop(&p->child);
	free(p);
}
