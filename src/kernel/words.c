/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void words_add(struct words *w, const char *format, ...)
{
	char **grown = realloc(w->list, (w->count + 1) * sizeof(*grown));
	if (grown == NULL) {
		w->failed = true;
		return;
	}
	w->list = grown;

	va_list args;
	va_start(args, format);
	if (vasprintf(&w->list[w->count], format, args) < 0)
		w->failed = true;
	else
		w->count++;
	va_end(args);
}

bool words_have(const struct words *w, const char *word)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->list[i], word) == 0)
			return true;
	return false;
}

void words_free(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->list[i]);
	free(w->list);
	*w = (struct words){0};
}
