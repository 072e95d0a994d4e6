/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "run_program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	NO_SUCH_PROGRAM = 127
};

int run_program(void *arg, const char *const argv[], const char *input, char **output)
{
	char name[] = "/tmp/ackgate-program-XXXXXX";
	char command[256];
	size_t len = 0, size;
	int status, in = mkstemp(name);

	(void)arg;
	assert_int_not_equal(in, -1);
	if (input != NULL)
		assert_int_equal(write(in, input, strlen(input)), strlen(input));
	close(in);
	for (; *argv != NULL; argv++)
		len += (size_t)snprintf(command + len, sizeof(command) - len, "%s ", *argv);
	snprintf(command + len, sizeof(command) - len, "<%s 2>&1", name);

	FILE *from = popen(command, "re");
	assert_non_null(from);
	FILE *to = open_memstream(output, &size);
	assert_non_null(to);
	for (int c = fgetc(from); c != EOF; c = fgetc(from))
		fputc(c, to);
	fclose(to);
	status = pclose(from);
	unlink(name);
	return WIFEXITED(status) ? WEXITSTATUS(status) : NO_SUCH_PROGRAM;
}
