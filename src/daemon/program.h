/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The programs that the helper runs: which, with what, and how they are run. */
#ifndef ACKGATE_DAEMON_PROGRAM_H
#define ACKGATE_DAEMON_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the helper may run this: one of iptables, iptables-restore, iptables-save and their
 * ip6tables twins, by its bare name, with nothing among its arguments and its input that makes it
 * run another program or read or write a file. `input` may be NULL. False with a sentence in `why`.
 */
bool program_allowed(const char *const argv[], const char *input, char *why, size_t why_size);

/*
 * Runs a program from the system's own directories with an empty environment but for PATH and
 * LC_ALL, and waits for it. Returns its exit status, or -1 if it could not be run, was killed by a
 * signal, or was killed here after timeout_ms. *output, to be freed, is its standard output and
 * error, or the sentence that says why it failed; NULL without memory.
 */
int program_run(const char *const argv[], const char *input, int timeout_ms, char **output);

#endif
