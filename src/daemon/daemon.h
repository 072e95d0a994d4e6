/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon: everything put together, from the first argument to the exit status. */
#ifndef ACKGATE_DAEMON_DAEMON_H
#define ACKGATE_DAEMON_DAEMON_H

#include "daemon/cmdline.h"

/* The exit statuses that scripts rely on. */
enum {
	EXIT_FINE = 0,
	EXIT_CONFIG = 1,
	EXIT_USAGE = 2,
	EXIT_SYSTEM = 3
};

/* Runs until SIGTERM or SIGINT, or until drained. Returns the exit status. */
int daemon_run(const struct cmdline *options);

/* `ackgated -t`, `-n` and `--purge`. */
int daemon_test(const struct cmdline *options);
int daemon_print_rules(const struct cmdline *options);
int daemon_purge(const struct cmdline *options);

#endif
