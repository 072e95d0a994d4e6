/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the views share: labelled lines that wrap, and looking things up in an answer. */
#ifndef ACKGATE_CTL_PAGE_H
#define ACKGATE_CTL_PAGE_H

#include "ctl/show.h"

#include <stddef.h>

enum {
	PAGE_INDENT = 15
};

enum page_tone {
	TONE_PLAIN,
	TONE_GOOD,
	TONE_WARN,
	TONE_BAD
};

/*
 * "LABEL          text ...": wrapped at blanks under itself. An empty label continues the one
 * above.
 */
void page_line(const struct show *s, enum page_tone tone, const char *label, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* o[group][key], or o[key] if group is NULL; 0, false and "" if there is no such thing. */
json_int_t page_number(const json_t *o, const char *group, const char *key);
bool page_true(const json_t *o, const char *key);
const char *page_text(const json_t *o, const char *group, const char *key);
/* The text, or "-" if it is empty. */
const char *page_or_dash(const char *text);

#endif
