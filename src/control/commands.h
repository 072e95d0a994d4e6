/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's commands: one request in, one answer out, no I/O. */
#ifndef ACKGATE_CONTROL_COMMANDS_H
#define ACKGATE_CONTROL_COMMANDS_H

#include "control/control.h"

/*
 * Runs one request, `len` bytes of anything at all without the newline. Returns the answer object;
 * whatever is wrong with the request is said in it. NULL only without memory.
 */
json_t *commands_answer(const char *request, size_t len, const struct control_ops *ops, void *arg);

/* {"ok": false, "error": sentence}; NULL without memory. */
json_t *commands_refusal(const char *sentence);

#endif
