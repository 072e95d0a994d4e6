/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The secret that SYN cookies are made from. */
#ifndef ACKGATE_DAEMON_SECRET_H
#define ACKGATE_DAEMON_SECRET_H

#include "core/cookie.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads the secret from `file`, which must hold 32 bytes or more and be readable by nobody but its
 * owner. With `make` a file that is missing is made, mode 0600, from the system's random numbers.
 * False with a sentence in `why`.
 */
bool secret_load(const char *file, bool make, uint8_t secret[static COOKIE_SECRET], char *why,
	size_t why_size);

#endif
