/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inih splits keys from values; all else it does not tell us or does not do safely happens in the
 * reader that feeds it.
 *
 * inih asks the reader for a line, and calls the handler for that line before it asks for the next
 * one. So the reader's line number is right in the handler, though inih gives none. The reader lets
 * inih see nothing but sound `key = value` lines without indentation, comment or end of line, short
 * enough for its buffer, in which neither truncation nor its other ways of reading a line (`key :
 * value`, continuation of the line above) can arise. Sections the reader takes itself, since inih
 * does not report empty ones.
 *
 * The one continuation there is: a value that ends with a comma goes on in the next line if that
 * one is indented. inih then sees an indented line and calls the handler with the key before. The
 * reader does not know that a value is complete before it has seen the line after, hence ini_flush.
 */
#include "config/ini.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct walk {
	struct faults *faults;
	const struct ini_visitor *visitor;
	void *arg;

	const char *next; /* unread text */
	const char *end;
	struct place here; /* the line read last */

	bool in_section; /* a section was opened, be it a faulty one */
	bool more;       /* the line handed to inih continues a list */
	bool handed;     /* inih has a line and has not called the handler for it */
	struct place key_at;
	uint32_t last_line; /* of the value so far */
	char key[INI_LINE_MAX + 1];
	char *value; /* as long as the whole source, which no value exceeds */
	size_t value_len;
};

static bool ini_is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* How many bytes a UTF-8 character with this first one has; 0 if none starts so (RFC 3629, 3). */
static size_t ini_utf8_expected(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* Bytes of the UTF-8 character at s; 0 if there is none. */
static size_t ini_utf8_len(const unsigned char *s, size_t left)
{
	static const uint32_t smallest[] = {[2] = 0x80, [3] = 0x800, [4] = 0x10000};
	size_t len = ini_utf8_expected(s[0]);
	uint32_t c;

	if (len < 2 || len > left)
		return len < 2 ? len : 0;
	c = s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return len;
}

static bool ini_is_control(const unsigned char *s, size_t char_len)
{
	if (char_len == 1)
		return (s[0] < 0x20 && s[0] != '\t') || s[0] == 0x7f;
	return char_len == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

/* Only text that is safe to hand to inih and to quote in a message passes. */
static bool ini_line_sound(struct walk *w, const char *line, size_t len)
{
	const unsigned char *s = (const unsigned char *)line;

	if (len > INI_LINE_MAX) {
		faults_add(w->faults, w->here,
			"the line has %zu bytes; at most %d fit, and a list may go on in an "
			"indented line after a comma",
			len, INI_LINE_MAX);
		return false;
	}
	for (size_t i = 0, n; i < len; i += n) {
		n = ini_utf8_len(s + i, len - i);
		if (n == 0) {
			faults_add(w->faults, w->here,
				"byte 0x%02x in column %zu is not UTF-8; write the file in UTF-8",
				s[i], i + 1);
			return false;
		}
		if (ini_is_control(s + i, n)) {
			faults_add(w->faults, w->here,
				"control character 0x%02x in column %zu; of these a text may hold "
				"tabs and line ends only",
				s[i + n - 1], i + 1);
			return false;
		}
	}
	return true;
}

/* A comment starts with ; or # where the line starts or after white space. */
static size_t ini_without_comment(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((line[i] == ';' || line[i] == '#') && (i == 0 || ini_is_space(line[i - 1])))
			return i;
	}
	return len;
}

static bool ini_next_line(struct walk *w, const char **line, size_t *len)
{
	const char *eol;

	if (w->next == w->end)
		return false;
	eol = memchr(w->next, '\n', (size_t)(w->end - w->next));
	*line = w->next;
	*len = (size_t)((eol != NULL ? eol : w->end) - w->next);
	w->next = eol != NULL ? eol + 1 : w->end;
	w->here.line++;
	if (*len > 0 && (*line)[*len - 1] == '\r')
		--*len;
	return true;
}

/* The value before is complete. */
static void ini_flush(struct walk *w)
{
	if (w->key_at.line == 0)
		return;
	w->visitor->key(w->arg, w->key_at, w->key, w->value);
	w->key_at.line = 0;
}

static bool ini_list_goes_on(const struct walk *w)
{
	return w->key_at.line != 0 && w->value_len > 0 && w->value[w->value_len - 1] == ',';
}

/* `text` starts with '[' and ends with no white space. */
static void ini_section(struct walk *w, char *text, size_t len)
{
	char *close = strchr(text, ']');
	char *kind = text + 1, *name;

	w->in_section = true;
	if (close != text + len - 1) {
		faults_add(w->faults, w->here,
			"'%s' is no section; write it as [NAME] and nothing more in the line",
			text);
		w->visitor->section(w->arg, w->here, "", NULL);
		return;
	}
	while (ini_is_space(*kind))
		kind++;
	while (close > kind && ini_is_space(close[-1]))
		close--;
	*close = '\0';
	name = kind + strcspn(kind, " \t");
	if (*name != '\0') {
		*name++ = '\0';
		while (ini_is_space(*name))
			name++;
	}
	if (*kind == '\0')
		faults_add(w->faults, w->here, "a section without a name; write it as [NAME]");
	w->visitor->section(w->arg, w->here, kind, *name != '\0' ? name : NULL);
}

static bool ini_key_line_sound(struct walk *w, const char *text)
{
	const char *equals = strchr(text, '=');
	const char *colon = strchr(text, ':');

	if (equals == NULL || (colon != NULL && colon < equals)) {
		faults_add(w->faults, w->here, "missing '=' in '%s'; write KEY = VALUE", text);
		return false;
	}
	if (equals == text) {
		faults_add(w->faults, w->here, "nothing before the '='; write KEY = VALUE");
		return false;
	}
	if (!w->in_section) {
		faults_add(w->faults, w->here,
			"'%s' stands before any section; put it below a line such as [daemon]",
			text);
		return false;
	}
	return true;
}

/* What a line says, without indentation, comment and end of line. */
struct line {
	const char *text;
	size_t len;
	bool indented;
};

static bool ini_next_text(struct walk *w, struct line *out)
{
	while (ini_next_line(w, &out->text, &out->len)) {
		if (!ini_line_sound(w, out->text, out->len))
			continue;
		out->indented = out->len > 0 && ini_is_space(out->text[0]);
		out->len = ini_without_comment(out->text, out->len);
		while (out->len > 0 && ini_is_space(out->text[out->len - 1]))
			out->len--;
		for (; out->len > 0 && ini_is_space(out->text[0]); out->text++)
			out->len--;
		if (out->len > 0)
			return true;
	}
	return false;
}

/* Whether inih and its handler can do what the theory above says. */
static bool ini_fits(struct walk *w, int size)
{
	bool fits = size >= INI_LINE_MAX + 3 && !w->handed;

	if (!fits)
		faults_add(w->faults, w->here,
			"this build of inih does not take the line; it needs room for %d bytes and "
			"continued lines",
			INI_LINE_MAX + 3);
	return fits;
}

/* inih's fgets: the next line that it may see. */
static char *ini_reader_line(char *out, int size, void *arg)
{
	struct walk *w = arg;
	struct line line;

	if (!ini_fits(w, size))
		return NULL;
	while (!w->handed && ini_next_text(w, &line)) {
		w->more = line.indented && ini_list_goes_on(w);
		if (!w->more)
			ini_flush(w);
		/* A blank before it makes it a continuation to inih. */
		snprintf(out, (size_t)size, "%s%.*s", w->more ? " " : "", (int)line.len, line.text);
		if (!w->more && out[0] == '[')
			ini_section(w, out, line.len);
		else
			w->handed = w->more || ini_key_line_sound(w, out);
	}
	return w->handed ? out : NULL;
}

static int ini_handle(void *arg, const char *section, const char *key, const char *value)
{
	struct walk *w = arg;
	size_t len = strlen(value);

	(void)section;
	w->handed = false;
	if (!w->more) {
		memcpy(w->key, key, strlen(key) + 1); /* a key is shorter than its line */
		w->key_at = w->here;
		w->last_line = w->here.line;
		w->value_len = 0;
	}
	for (; w->last_line < w->here.line; w->last_line++)
		w->value[w->value_len++] = '\n';
	memcpy(w->value + w->value_len, value, len + 1);
	w->value_len += len;
	return 1;
}

void ini_walk(struct faults *faults, uint32_t index, const struct ini_visitor *visitor, void *arg)
{
	static const char bom[] = "\xef\xbb\xbf";
	const struct config_source *source = &faults->sources[index];
	struct walk w = {
		.faults = faults, .visitor = visitor, .arg = arg, .here = {.source = index}};

	w.value = malloc(source->len + 1);
	if (w.value == NULL) {
		faults->lost = true;
		return;
	}
	w.next = source->text;
	w.end = source->text + source->len;
	if (source->len >= 3 && memcmp(source->text, bom, 3) == 0)
		w.next += 3;
	ini_parse_stream(ini_reader_line, &w, ini_handle, &w);
	ini_flush(&w);
	free(w.value);
}
