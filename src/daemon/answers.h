/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answers that answers.c does not hold itself: control_ops' flows and flows_kill,
 * backends and administer. */
#ifndef ACKGATE_DAEMON_ANSWERS_H
#define ACKGATE_DAEMON_ANSWERS_H

#include "control/filter.h"

#include <stdbool.h>

#include <jansson.h>

json_t *answers_flows(void *arg, const struct filter *filter, size_t limit);
long answers_flows_kill(void *arg, const struct filter *filter, char **message);
json_t *answers_backends(void *arg);
bool answers_administer(void *arg, const char *server, const char *how, char **message);

#endif
