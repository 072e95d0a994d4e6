/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A growing list of strings. A failed allocation is remembered, so that only the end has to look.
 */
#ifndef ACKGATE_KERNEL_WORDS_H
#define ACKGATE_KERNEL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise; free with words_free. */
struct words {
	char **list;
	size_t count;
	bool failed;
};

__attribute__((format(printf, 2, 3))) void words_add(struct words *w, const char *format, ...);
bool words_have(const struct words *w, const char *word);
void words_free(struct words *w);

#endif
