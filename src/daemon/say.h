/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers of the control socket in words. */
#ifndef ACKGATE_DAEMON_SAY_H
#define ACKGATE_DAEMON_SAY_H

/* An allocated sentence, of any length, to be freed; NULL without memory. */
char *say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
