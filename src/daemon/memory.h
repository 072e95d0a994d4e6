/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of servers, kept across restarts: the file "learned" in the state's folder, JSON.
 */
#ifndef ACKGATE_DAEMON_MEMORY_H
#define ACKGATE_DAEMON_MEMORY_H

#include "core/learned.h"

/* A file that is missing or unreadable is no fault: everything can be learned again. */
void memory_load(const char *folder, struct learned *learned);

/* Writes the file anew if what it would hold is not what *hash says was saved last. */
void memory_save(const char *folder, const struct learned *learned, uint64_t *hash);

#endif
