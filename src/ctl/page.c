/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/page.h"

#include "ctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *tone_on(enum page_tone tone)
{
	static const char *const codes[] = {
		[TONE_PLAIN] = "",
		[TONE_GOOD] = "\033[1;32m",
		[TONE_WARN] = "\033[1;33m",
		[TONE_BAD] = "\033[1;31m",
	};
	return codes[tone];
}

/* The text word by word; a word goes to a new line if it would not end within the width. */
static void print_wrapped(const struct show *s, char *text)
{
	size_t column = PAGE_INDENT;
	char *rest = NULL;

	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		size_t len = strlen(word);
		if (column > PAGE_INDENT && s->width > 0 && column + 1 + len > s->width) {
			fprintf(s->to, "\n%*s", PAGE_INDENT, "");
			column = PAGE_INDENT;
		} else if (column > PAGE_INDENT) {
			fputc(' ', s->to);
			column++;
		}
		table_print_safely(s->to, word);
		column += len;
	}
}

void page_line(
	const struct show *s, enum page_tone tone, const char *label, const char *format, ...)
{
	bool coloured = s->colour && tone != TONE_PLAIN;
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	int len = vasprintf(&text, format, ap);
	va_end(ap);
	if (len < 0)
		return;
	fprintf(s->to, "%-*s", PAGE_INDENT, label);
	if (coloured)
		fputs(tone_on(tone), s->to);
	print_wrapped(s, text);
	fputs(coloured ? "\033[0m\n" : "\n", s->to);
	free(text);
}

static const json_t *look_up(const json_t *o, const char *group, const char *key)
{
	return json_object_get(group != NULL ? json_object_get(o, group) : o, key);
}

json_int_t page_number(const json_t *o, const char *group, const char *key)
{
	return json_integer_value(look_up(o, group, key));
}

bool page_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

const char *page_text(const json_t *o, const char *group, const char *key)
{
	const char *text = json_string_value(look_up(o, group, key));

	return text != NULL ? text : "";
}

const char *page_or_dash(const char *text)
{
	return text[0] != '\0' ? text : "-";
}
