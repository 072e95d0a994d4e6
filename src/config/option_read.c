/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h> /* Autoconf's: names beyond C11 */

#include "config/options.h"

#include "config/lists.h"
#include "config/spelling.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

/* One value on its way from text to member. */
struct reading {
	const struct option *option;
	void *base;
	struct arena *arena;
	option_complain complain;
	void *arg;
};

enum section section_find(const char *name)
{
	enum section s = 0;

	while (s < SECTION_COUNT && strcmp(section_rows[s].name, name) != 0)
		s++;
	return s;
}

bool option_is_of_splice(const struct option *o)
{
	return o->section == SECTION_RULE && o->offset >= offsetof(struct config_rule, splice);
}

size_t option_index(const struct option *o)
{
	return (size_t)(o - option_rows);
}

const struct option *option_find(enum section section, const char *key)
{
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_rows[i].section == section && strcmp(option_rows[i].key, key) == 0)
			return &option_rows[i];
	}
	return NULL;
}

bool option_name_good(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	return strlen(name) <= OPTION_NAME_MAX && name[strspn(name, allowed)] == '\0';
}

static void option_store_at(void *at, size_t size, uint64_t value)
{
	uint32_t v32 = (uint32_t)value;
	uint16_t v16 = (uint16_t)value;
	uint8_t v8 = (uint8_t)value;

	switch (size) {
	case sizeof(value):
		memcpy(at, &value, sizeof(value));
		break;
	case sizeof(v32):
		memcpy(at, &v32, sizeof(v32));
		break;
	case sizeof(v16):
		memcpy(at, &v16, sizeof(v16));
		break;
	case sizeof(v8):
		memcpy(at, &v8, sizeof(v8));
		break;
	}
}

static void option_store(const struct option *o, void *base, uint64_t value)
{
	option_store_at((char *)base + o->offset, o->size, value);
}

/* "KEY = ITEM WRONG; give TAKES", or "KEY WRONG; ..." if the item is empty. */
static void reading_fault(
	const struct reading *r, uint32_t line, const char *item, const char *wrong)
{
	char *sentence = NULL;
	size_t len;
	FILE *to = open_memstream(&sentence, &len);

	if (to != NULL) {
		fprintf(to, "%s%s%s %s; give ", r->option->key, *item != '\0' ? " = " : "", item,
			wrong);
		option_print_takes(r->option, to);
		fclose(to);
	}
	r->complain(r->arg, line, sentence != NULL ? sentence : wrong);
	free(sentence);
}

static void reading_later(const struct reading *r, const char *word)
{
	char *sentence = NULL;
	size_t len;
	FILE *to = open_memstream(&sentence, &len);

	if (to != NULL) {
		fprintf(to, "%s = %s is not in this version; ", r->option->key, word);
		option_print_words(r->option, "and", to);
		fputs(option_words_here(r->option) > 1 ? " are" : " is", to);
		fclose(to);
	}
	r->complain(r->arg, 0, sentence != NULL ? sentence : "is not in this version");
	free(sentence);
}

static bool reading_word(const struct reading *r, const char *text)
{
	const struct option_word *w = r->option->words;
	struct spelling near = {.word = text};
	char wrong[64];

	while (w->word != NULL && strcmp(w->word, text) != 0 && strcmp(w->word, "*") != 0)
		spelling_consider(&near, (w++)->word);
	if (w->word != NULL && !w->later) {
		option_store(r->option, r->base, w->value);
		return true;
	}
	if (w->word != NULL) {
		reading_later(r, text);
		return false;
	}
	if (near.nearest != NULL)
		snprintf(wrong, sizeof(wrong), "is none of its words (did you mean '%s'?)",
			near.nearest);
	reading_fault(r, 0, text, near.nearest != NULL ? wrong : "is none of its words");
	return false;
}

static bool reading_number(
	const struct reading *r, const char *text, const char *(*parse)(const char *, uint64_t *))
{
	const struct option *o = r->option;
	uint64_t value;
	const char *wrong = parse(text, &value);

	if (wrong == NULL && value < o->min)
		wrong = "is too small";
	if (wrong == NULL && value > o->max)
		wrong = "is too large";
	if (wrong != NULL) {
		reading_fault(r, 0, text, wrong);
		return false;
	}
	option_store(o, r->base, value);
	return true;
}

static bool reading_rate(const struct reading *r, const char *text)
{
	const struct option *o = r->option;
	struct policy_rate rate;
	const char *wrong = value_parse_rate(text, &rate);

	if (wrong == NULL && (rate.per_s > o->max || rate.burst > o->max))
		wrong = "is too large";
	if (wrong != NULL) {
		reading_fault(r, 0, text, wrong);
		return false;
	}
	memcpy((char *)r->base + o->offset, &rate, sizeof(rate));
	return true;
}

static bool reading_text(
	const struct reading *r, const char *text, const char *(*parse)(const char *))
{
	const struct option *o = r->option;
	char *at = (char *)r->base + o->offset;
	size_t len = strlen(text);
	const char *wrong = len >= o->size ? "is too long" : parse(text);

	if (wrong != NULL) {
		reading_fault(r, 0, text, wrong);
		return false;
	}
	memset(at, 0, o->size); /* so that memcmp tells whether two are equal */
	memcpy(at, text, len);
	return true;
}

static void reading_list_fault(void *arg, uint32_t line, const char *item, const char *wrong)
{
	reading_fault(arg, line, item, wrong);
}

static bool reading_list(struct reading *r, const char *text, enum list_kind kind)
{
	const struct option *o = r->option;
	struct list list;

	if (!list_parse(kind, text, r->arena, &list, reading_list_fault, r))
		return false;
	memcpy((char *)r->base + o->offset, &list.items, sizeof(list.items));
	memcpy((char *)r->base + o->count_offset, &list.count, sizeof(list.count));
	return true;
}

/* A word's value, and no addresses; or the addresses, and "*"'s value. */
static bool reading_hosts(struct reading *r, const char *text)
{
	const struct option *o = r->option;
	const struct option_word *w = o->words;
	void *items = (char *)r->base + o->offset;
	size_t *count = (void *)((char *)r->base + o->count_offset);

	while (strcmp(w->word, text) != 0 && strcmp(w->word, "*") != 0)
		w++;
	memset(items, 0, o->size);
	*count = 0;
	option_store_at((char *)r->base + o->word_offset, sizeof(enum splice_source), w->value);
	return strcmp(w->word, "*") != 0 || reading_list(r, text, LIST_HOSTS);
}

static bool reading_name(const struct reading *r, const char *text)
{
	const char *copy;

	if (!option_name_good(text)) {
		reading_fault(r, 0, text, "is no name of a section");
		return false;
	}
	copy = arena_strdup(r->arena, text);
	if (copy == NULL) {
		reading_fault(r, 0, text, "does not fit into memory");
		return false;
	}
	memcpy((char *)r->base + r->option->offset, &copy, sizeof(copy));
	return true;
}

static bool option_is_list(const struct option *o)
{
	return o->count_offset != 0;
}

static bool reading_value(struct reading *r, const char *text)
{
	switch (r->option->type) {
	case OPTION_WORD:
		return reading_word(r, text);
	case OPTION_NUMBER:
		return reading_number(r, text, value_parse_number);
	case OPTION_SIZE:
		return reading_number(r, text, value_parse_size);
	case OPTION_DURATION:
		return reading_number(r, text, value_parse_duration);
	case OPTION_SECONDS:
		return reading_number(r, text, value_parse_seconds);
	case OPTION_PERCENT:
		return reading_number(r, text, value_parse_percent);
	case OPTION_BIT:
		return reading_number(r, text, value_parse_bit);
	case OPTION_RATE:
		return reading_rate(r, text);
	case OPTION_USER:
		return reading_text(r, text, value_parse_user);
	case OPTION_PATH:
		return reading_text(r, text, value_parse_path);
	case OPTION_ADDRS:
		return reading_list(r, text, LIST_ADDRS);
	case OPTION_PORTS:
		return reading_list(r, text, LIST_PORTS);
	case OPTION_INTERFACES:
		return reading_list(r, text, LIST_INTERFACES);
	case OPTION_ENDPOINTS:
		return reading_list(r, text, LIST_ENDPOINTS);
	case OPTION_SERVERS:
		return reading_list(r, text, LIST_SERVERS);
	case OPTION_HOSTS:
		return reading_hosts(r, text);
	case OPTION_NAME:
		return reading_name(r, text);
	case OPTION_TEXT:
		break;
	}
	return false;
}

bool option_parse(const struct option *o, const char *text, void *base, struct arena *arena,
	option_complain complain, void *arg)
{
	struct reading r = {
		.option = o, .base = base, .arena = arena, .complain = complain, .arg = arg};

	if (*text == '\0') {
		reading_fault(&r, 0, "", "has no value");
		return false;
	}
	if (o->zero != NULL && strcmp(text, o->zero) == 0) {
		memset((char *)base + o->offset, 0, o->size);
		if (option_is_list(o))
			memset((char *)base + o->count_offset, 0, sizeof(size_t));
		return true;
	}
	if (!option_is_list(o) && strchr(text, '\n') != NULL) {
		reading_fault(&r, 0, "", "has more than one value");
		return false;
	}
	return reading_value(&r, text);
}

static void option_default_is_wrong(void *arg, uint32_t line, const char *sentence)
{
	(void)arg;
	(void)line;
	(void)sentence;
}

bool option_defaults(enum section section, void *base, struct arena *arena)
{
	bool good = true;

	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];

		if (o->section == section && !o->later && o->initial != NULL)
			good &= option_parse(
				o, o->initial, base, arena, option_default_is_wrong, NULL);
	}
	return good;
}
