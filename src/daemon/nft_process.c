/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * The child gives up what it does not need, says so, and answers requests:
 *
 *	how to run it, the command	->  1 or 0 (whether it succeeded), what libnftables says
 *
 * Each command has a process of its own, forked from the child, which is small and has no more than
 * that open. It answers and exits with 0; for one that came to another end the child answers.
 */
#include "daemon/nft_process.h"

#include "daemon/child.h"
#include "daemon/privileges.h"
#include "kernel/nft_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	COMMAND_TIMEOUT_S = 30,
	WHY = 256,
};

enum {
	FAILED,
	FINE
};

struct nft_process {
	struct child child;
};

_Noreturn static void run(int fd, const struct frame *f)
{
	char *said;
	bool ok, answered;

	alarm(COMMAND_TIMEOUT_S);
	ok = nft_run_here(f->parts[0].bytes, (enum nft_run_how)f->kind, &said);
	alarm(0); /* half an answer would be worse than none */
	answered = frame_send_words(fd, ok ? FINE : FAILED, said != NULL ? said : "no memory");
	if (!answered && errno == EMSGSIZE)
		answered = frame_send_words(fd, FAILED, "that is more than can be listed");
	_exit(answered ? EXIT_SUCCESS : EXIT_FAILURE);
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

static bool answer(int fd, const struct frame *f)
{
	int status;
	pid_t pid;

	if (f->count != 1 || f->kind < NFT_RUN_PLAIN || f->kind > NFT_RUN_JSON_ELEMENTS)
		return false;
	pid = fork();
	if (pid < 0)
		return frame_send_words(fd, FAILED, strerror(errno));
	if (pid == 0)
		run(fd, f);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return status == 0 || answer_for(fd, status);
}

static void serve(int fd, void *user)
{
	struct frame f;
	char why[WHY] = "";
	bool fine = privileges_drop_to_admin(user, why, sizeof(why));

	child_dies_with_parent();
	fine = frame_send_words(fd, fine ? FINE : FAILED, why) && fine;
	while (fine && frame_receive(fd, &f)) {
		fine = answer(fd, &f);
		frame_free(&f);
	}
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
