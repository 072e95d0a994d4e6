/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables with aligned columns that fit the terminal: if they are too wide, elastic columns are cut
 * shorter, then expendable columns are left out from the right.
 */
#ifndef ACKGATE_CTL_TABLE_H
#define ACKGATE_CTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

enum {
	TABLE_COLUMNS = 12
};

enum column_kind {
	COLUMN_LEFT = 0x00,
	COLUMN_RIGHT = 0x01,      /* numbers */
	COLUMN_ELASTIC = 0x02,    /* may be cut, with a '~' at the cut */
	COLUMN_EXPENDABLE = 0x04, /* may be left out */
};

struct column {
	const char *title;
	unsigned kind; /* enum column_kind, or'ed */
};

struct table;

/* Borrows the columns. NULL without memory. */
struct table *table_new(const struct column *columns, size_t count);
/*
 * One cell after another, row by row; copied. NULL is an empty cell. Memory that runs out leaves
 * cells empty.
 */
void table_add(struct table *t, const char *cell);
/*
 * Prints what was added and frees the table. `width` in columns of the terminal, 0: no bound.
 * `indent` blanks lead each line.
 */
void table_print(struct table *t, FILE *to, size_t width, size_t indent);

/* Prints text with control characters as '?'. */
void table_print_safely(FILE *to, const char *text);

#endif
