/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The helper: a small process that stays root when the daemon no longer is, for the three things
 * that need it. It runs the iptables programs, reads the configuration files named when it was
 * started, and removes the control socket from a folder that is root's. See helper.c for what it
 * refuses.
 *
 * To be started before anything else is open and before threads; to be used by one thread. Calls
 * wait for the answer, 40 s at most.
 */
#ifndef ACKGATE_DAEMON_HELPER_H
#define ACKGATE_DAEMON_HELPER_H

#include "config/config.h"

struct helper;

/* `control` is the control socket's path, whose folder is there. NULL with a sentence in `why`. */
struct helper *helper_start(
	const char *config_file, const char *control, char *why, size_t why_size);
bool helper_is_gone(const struct helper *h);
/* The helper sees the end of its socket and exits; waits for that. NULL is fine. */
void helper_stop(struct helper *h);

/*
 * A ruleset_exec (kernel/ruleset.h) whose `arg` is the struct helper. argv[0] is the bare name of
 * an iptables program. -1 if the helper is gone, refuses, or the program did not end within 30 s;
 * *output then says which.
 */
int helper_exec(void *arg, const char *const argv[], const char *input, char **output);

/*
 * Does config_read of the file given to helper_start. NULL with all faults in *errors; otherwise to
 * be freed with helper_free_sources, not with config_sources_free.
 */
struct config_source *helper_read_config(
	struct helper *h, size_t *count, struct config_errors *errors);
void helper_free_sources(struct config_source *sources, size_t count);

/*
 * Removes the file at the path given to helper_start, if it is a socket, from the folder that was
 * there then. True as well if there is none; false with the reason in `why`.
 */
bool helper_remove_socket(struct helper *h, char *why, size_t why_size);

#endif
