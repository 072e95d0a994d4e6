/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text to sections and keys. What they mean is config.c's business. */
#ifndef ACKGATE_CONFIG_INI_H
#define ACKGATE_CONFIG_INI_H

#include "config/faults.h"

enum {
	INI_LINE_MAX = 197, /* bytes, the line's end not counted */
};

struct ini_visitor {
	/* [KIND] or [KIND NAME]; the name is NULL if there is none. */
	void (*section)(void *arg, struct place at, const char *kind, const char *name);
	/*
	 * KEY = VALUE, without white space around either; the value may be empty. A list that went
	 * on over several lines has a newline for each of them, so that a fault in it can be told
	 * by its line.
	 */
	void (*key)(void *arg, struct place at, const char *key, const char *value);
};

/* Walks through the source `index` of faults->sources in order. Lines that are no INI become
 * faults. */
void ini_walk(struct faults *faults, uint32_t index, const struct ini_visitor *visitor, void *arg);

#endif
