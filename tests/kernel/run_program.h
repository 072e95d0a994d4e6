/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ruleset_exec that runs the program in this process's namespaces. */
#ifndef ACKGATE_TESTS_KERNEL_RUN_PROGRAM_H
#define ACKGATE_TESTS_KERNEL_RUN_PROGRAM_H

int run_program(void *arg, const char *const argv[], const char *input, char **output);

#endif
