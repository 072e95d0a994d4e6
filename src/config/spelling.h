/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What somebody may have meant to type. */
#ifndef ACKGATE_CONFIG_SPELLING_H
#define ACKGATE_CONFIG_SPELLING_H

/* Start with the word alone filled in. */
struct spelling {
	const char *word;
	const char *nearest; /* of those considered; NULL if none is near */
	unsigned distance;
};

/* `candidate` must outlive *s. */
void spelling_consider(struct spelling *s, const char *candidate);

#endif
