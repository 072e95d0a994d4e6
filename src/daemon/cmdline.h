/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of ackgated. */
#ifndef ACKGATE_DAEMON_CMDLINE_H
#define ACKGATE_DAEMON_CMDLINE_H

#include "config/config.h"

enum cmdline_task {
	TASK_RUN,
	TASK_TEST,
	TASK_PRINT_RULES,
	TASK_PURGE,
	TASK_VERSION,
	TASK_HELP
};

struct cmdline {
	enum cmdline_task task;
	const char *file;
	bool has_level; /* -d: instead of the file's log_level */
	enum config_log_level level;
};

/* False, with the fault told on standard error, if the arguments can't be understood. */
bool cmdline_parse(int argc, char **argv, struct cmdline *out);
void cmdline_help(void);
void cmdline_version(void);

#endif
