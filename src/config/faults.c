/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h> /* Autoconf's: names beyond C11 */

#include "config/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool faults_grow(struct faults *f)
{
	size_t room = f->room == 0 ? 16 : f->room * 2;
	struct fault *list;

	if (f->count < f->room)
		return true;
	list = realloc(f->list, room * sizeof(*list));
	if (list == NULL)
		return false;
	f->list = list;
	f->room = room;
	return true;
}

void faults_add(struct faults *f, struct place at, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0) {
		f->lost = true;
		return;
	}
	if (!faults_grow(f)) {
		f->lost = true;
		free(text);
		return;
	}
	f->list[f->count] = (struct fault){.at = at, .order = f->count, .text = text};
	f->count++;
}

bool faults_any(const struct faults *f)
{
	return f->count > 0 || f->lost;
}

static int faults_compare(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	if (x->at.source != y->at.source)
		return x->at.source < y->at.source ? -1 : 1;
	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

bool config_errors_add(struct config_errors *errors, const char *text)
{
	char **list = realloc(errors->list, (errors->count + 1) * sizeof(*list));

	if (list == NULL)
		return false;
	errors->list = list;
	list[errors->count] = strdup(text);
	if (list[errors->count] == NULL)
		return false;
	errors->count++;
	return true;
}

static bool errors_add(
	struct config_errors *errors, const struct config_source *source, const struct fault *f)
{
	char *line;
	bool added;

	if (asprintf(&line, "%s:%u: %s", source->name, f->at.line, f->text) < 0)
		return false;
	added = config_errors_add(errors, line);
	free(line);
	return added;
}

static char no_memory[] = "out of memory; nothing is wrong with the file as far as it was read";

void faults_hand_over(struct faults *f, struct config_errors *errors)
{
	if (f->count > 0)
		qsort(f->list, f->count, sizeof(*f->list), faults_compare);
	for (size_t i = 0; i < f->count; i++) {
		errors_add(errors, &f->sources[f->list[i].at.source], &f->list[i]);
		free(f->list[i].text);
	}
	if (f->lost && f->sources != NULL)
		errors_add(errors, &f->sources[0],
			&(struct fault){.at = {.line = 1}, .text = no_memory});
	free(f->list);
	*f = (struct faults){.sources = f->sources};
}

void config_errors_free(struct config_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		free(errors->list[i]);
	free(errors->list);
	*errors = (struct config_errors){0};
}
