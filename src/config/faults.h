/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with a configuration: gathered in any order, handed over in the file's. */
#ifndef ACKGATE_CONFIG_FAULTS_H
#define ACKGATE_CONFIG_FAULTS_H

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line of one of the sources; line 0: nowhere. */
struct place {
	uint32_t source;
	uint32_t line; /* from 1 */
};

struct fault {
	struct place at;
	size_t order; /* of being found: tells faults of one line apart */
	char *text;
};

struct faults {
	const struct config_source *sources;
	struct fault *list;
	size_t count;
	size_t room;
	bool lost; /* no memory for one of them */
};

/* "what is wrong, and what would be right", without the file and the line. */
void faults_add(struct faults *f, struct place at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

bool faults_any(const struct faults *f);

/* Appends all of them to *errors as FILE:LINE: TEXT, ordered by file and line, and empties *f. */
void faults_hand_over(struct faults *f, struct config_errors *errors);

#endif
