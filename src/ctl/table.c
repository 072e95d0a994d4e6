/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	GAP = 2,
	ELASTIC_MIN = 8
};

struct table {
	const struct column *columns;
	size_t column_count;
	char **cells;
	size_t count;
	size_t room;
};

/* How the table will be laid out; a width of 0 leaves the column out. */
struct layout {
	size_t width[TABLE_COLUMNS];
	size_t last; /* column that ends the line */
};

struct table *table_new(const struct column *columns, size_t count)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t != NULL) {
		t->columns = columns;
		t->column_count = count;
	}
	return t;
}

void table_add(struct table *t, const char *cell)
{
	if (t == NULL)
		return;
	if (t->count == t->room) {
		size_t room = t->room == 0 ? 64 : t->room * 2;
		char **cells = realloc(t->cells, room * sizeof(*cells));
		if (cells == NULL)
			return;
		t->cells = cells;
		t->room = room;
	}
	t->cells[t->count++] = strdup(cell != NULL ? cell : "");
}

/* Columns of the terminal; every character of UTF-8 is taken for one. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_char(FILE *to, char c)
{
	unsigned char u = (unsigned char)c;

	fputc(u < 0x20 || u == 0x7f ? '?' : c, to);
}

void table_print_safely(FILE *to, const char *text)
{
	for (; *text != '\0'; text++)
		print_char(to, *text);
}

/* The first `width` characters; if that is not all, the last of them is a '~'. */
static void print_cut(FILE *to, const char *text, size_t width)
{
	bool cut = text_width(text) > width;
	size_t shown = 0;

	for (; *text != '\0'; text++) {
		shown += ((unsigned char)*text & 0xc0) != 0x80;
		if (cut && shown == width) {
			fputc('~', to);
			return;
		}
		print_char(to, *text);
	}
}

static const char *cell_at(const struct table *t, size_t row, size_t column)
{
	const char *cell = t->cells[row * t->column_count + column];

	return cell != NULL ? cell : "";
}

static size_t total_width(const struct table *t, const struct layout *l)
{
	size_t total = 0;

	for (size_t c = 0; c < t->column_count; c++)
		if (l->width[c] > 0)
			total += l->width[c] + (total > 0 ? GAP : 0);
	return total;
}

static size_t widest_elastic(const struct table *t, const struct layout *l)
{
	size_t widest = t->column_count;

	for (size_t c = 0; c < t->column_count; c++) {
		if (!(t->columns[c].kind & COLUMN_ELASTIC) || l->width[c] <= ELASTIC_MIN)
			continue;
		if (widest == t->column_count || l->width[c] > l->width[widest])
			widest = c;
	}
	return widest;
}

static void fit(const struct table *t, struct layout *l, size_t width)
{
	while (total_width(t, l) > width) {
		size_t c = widest_elastic(t, l);
		if (c == t->column_count)
			break;
		l->width[c]--;
	}
	for (size_t c = t->column_count; c-- > 0 && total_width(t, l) > width;)
		if (t->columns[c].kind & COLUMN_EXPENDABLE)
			l->width[c] = 0;
}

static struct layout lay_out(const struct table *t, size_t rows, size_t width)
{
	struct layout l = {0};

	for (size_t c = 0; c < t->column_count; c++) {
		l.width[c] = text_width(t->columns[c].title);
		for (size_t r = 0; r < rows; r++) {
			size_t w = text_width(cell_at(t, r, c));
			if (w > l.width[c])
				l.width[c] = w;
		}
	}
	if (width > 0)
		fit(t, &l, width);
	for (size_t c = 0; c < t->column_count; c++)
		if (l.width[c] > 0)
			l.last = c;
	return l;
}

static void print_cell(
	FILE *to, const struct column *column, const char *text, size_t width, bool last)
{
	size_t shown = text_width(text);
	int pad = shown < width ? (int)(width - shown) : 0;
	bool right = (column->kind & COLUMN_RIGHT) != 0;

	if (right)
		fprintf(to, "%*s", pad, "");
	print_cut(to, text, width);
	if (!last)
		fprintf(to, "%*s", (right ? 0 : pad) + GAP, "");
}

static void print_row(
	const struct table *t, const struct layout *l, FILE *to, size_t indent, const size_t *row)
{
	fprintf(to, "%*s", (int)indent, "");
	for (size_t c = 0; c < t->column_count; c++) {
		const char *text = row != NULL ? cell_at(t, *row, c) : t->columns[c].title;
		if (l->width[c] > 0)
			print_cell(to, &t->columns[c], text, l->width[c], c == l->last);
	}
	fputc('\n', to);
}

static bool has_titles(const struct table *t)
{
	for (size_t c = 0; c < t->column_count; c++)
		if (t->columns[c].title[0] != '\0')
			return true;
	return false;
}

void table_print(struct table *t, FILE *to, size_t width, size_t indent)
{
	if (t == NULL)
		return;
	size_t rows = t->count / t->column_count;
	size_t inner = width > indent ? width - indent : width;
	struct layout l = lay_out(t, rows, inner);

	if (rows > 0 && has_titles(t))
		print_row(t, &l, to, indent, NULL);
	for (size_t r = 0; r < rows; r++)
		print_row(t, &l, to, indent, &r);
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}
