/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/daemon.h"

int main(int argc, char **argv)
{
	struct cmdline options;

	if (!cmdline_parse(argc, argv, &options))
		return EXIT_USAGE;
	switch (options.task) {
	case TASK_RUN:
		return daemon_run(&options);
	case TASK_TEST:
		return daemon_test(&options);
	case TASK_PRINT_RULES:
		return daemon_print_rules(&options);
	case TASK_PURGE:
		return daemon_purge(&options);
	case TASK_VERSION:
		cmdline_version();
		return EXIT_FINE;
	case TASK_HELP:
		cmdline_help();
		return EXIT_FINE;
	}
	return EXIT_USAGE;
}
