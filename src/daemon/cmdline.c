/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/cmdline.h"

#include <event2/event.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum {
	LONG_PURGE = 256
};

static bool parse_level(const char *word, enum config_log_level *level)
{
	static const char *const words[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_NOTICE] = "notice",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(word, words[i]) != 0)
			continue;
		*level = (enum config_log_level)i;
		return true;
	}
	fprintf(stderr,
		"ackgated: -d %s: no such level; error, warning, notice, info and debug are\n",
		word);
	return false;
}

bool cmdline_parse(int argc, char **argv, struct cmdline *out)
{
	static const struct option longs[] = {
		{"purge", no_argument, NULL, LONG_PURGE},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	int c;

	*out = (struct cmdline){.file = SYSCONFDIR "/ackgate.ini"};
	while ((c = getopt_long(argc, argv, "c:tnd:Vh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			out->file = optarg;
			break;
		case 't':
			out->task = TASK_TEST;
			break;
		case 'n':
			out->task = TASK_PRINT_RULES;
			break;
		case LONG_PURGE:
			out->task = TASK_PURGE;
			break;
		case 'd':
			if (!parse_level(optarg, &out->level))
				return false;
			out->has_level = true;
			break;
		case 'V':
			out->task = TASK_VERSION;
			return true;
		case 'h':
			out->task = TASK_HELP;
			return true;
		default:
			return false;
		}
	}
	if (optind == argc)
		return true;
	fprintf(stderr, "ackgated: '%s' is no option; -h shows those that are\n", argv[optind]);
	return false;
}

void cmdline_help(void)
{
	puts("ackgated [-c FILE] [-d LEVEL]   let TCP connections through once their handshake has "
	     "completed\n"
	     "\n"
	     "  -c FILE   configuration [" SYSCONFDIR "/ackgate.ini], then conf.d/*.ini beside it\n"
	     "  -d LEVEL  log error, warning, notice, info or debug and above, whatever the file "
	     "says\n"
	     "  -t        test the configuration and exit\n"
	     "  -n        print the kernel rules that would be installed and exit\n"
	     "  --purge   take away everything of ours in the kernel and exit\n"
	     "  -V        version and build features\n"
	     "  -h        this help\n"
	     "\n"
	     "It stays in the foreground. SIGHUP reads the configuration again, SIGUSR1 writes the "
	     "status into\n"
	     "the log, SIGTERM and SIGINT stop it.\n"
	     "Exit status: 0 fine, 1 bad configuration, 2 bad usage, 3 the kernel or the system "
	     "refused.");
}

void cmdline_version(void)
{
#ifdef HAVE_SYSTEMD
	const char *systemd = "systemd";
#else
	const char *systemd = "no systemd";
#endif

	printf("ackgated " PACKAGE_VERSION " (libevent %s, %s)\n", event_get_version(), systemd);
}
