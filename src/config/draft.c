/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/draft.h"

#include "config/ini.h"
#include "config/spelling.h"

#include <inttypes.h>
#include <string.h>

static const char *draft_file(const struct draft *d, struct place at)
{
	return d->faults->sources[at.source].name;
}

static void draft_unknown_section(struct draft *d, struct place at, const char *kind)
{
	struct spelling near = {.word = kind};

	for (enum section s = 0; s < SECTION_COUNT; s++) {
		spelling_consider(&near, section_rows[s].name);
	}
	if (near.nearest != NULL)
		faults_add(d->faults, at, "unknown section %s; did you mean [%s]?", d->title,
			near.nearest);
	else
		faults_add(d->faults, at,
			"unknown section %s; there are [daemon], [netfilter], [limits], [cookies], "
			"[timeouts], [rule NAME] and [backend NAME]",
			d->title);
}

static const struct draft_named *draft_twin(const struct draft_list *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++) {
		if (strcmp(l->list[i]->name, name) == 0)
			return l->list[i];
	}
	return NULL;
}

static struct draft_named *draft_new(
	struct draft *d, struct place at, enum section section, const char *name)
{
	struct draft_named *n = arena_alloc(d->arena, 1, sizeof(*n));
	void *base = n == NULL ? NULL : section == SECTION_RULE ? (void *)&n->rule : &n->backend;

	if (n == NULL || (n->name = arena_strdup(d->arena, name)) == NULL ||
		!option_defaults(section, base, d->arena))
		return NULL;
	n->at = at;
	if (section == SECTION_RULE)
		n->rule.rule.name = n->name;
	else
		n->backend.name = n->name;
	return n;
}

/* Even a rule or backend with a bad name gets a draft, so that its keys are looked at; it is kept
 * only if it is good so far. */
static void draft_open_named(
	struct draft *d, struct place at, enum section section, const char *name)
{
	struct draft_list *l = section == SECTION_RULE ? &d->rules : &d->backends;
	size_t most = section == SECTION_RULE ? POLICY_RULES_MAX : DRAFT_BACKENDS_MAX;
	const char *kind = section_rows[section].name;
	const struct draft_named *twin = draft_twin(l, name);
	struct draft_named *n = draft_new(d, at, section, name);

	if (n == NULL) {
		d->faults->lost = true;
		return;
	}
	d->section = section;
	d->named = n;
	if (!option_name_good(name))
		faults_add(d->faults, at,
			"%s is no name for a %s; give at most %d letters, digits, - and _",
			d->title, kind, OPTION_NAME_MAX);
	else if (section == SECTION_BACKEND && strcmp(name, "original") == 0)
		faults_add(d->faults, at,
			"%s has a name that means the client's own destination; give another",
			d->title);
	else if (twin != NULL)
		faults_add(d->faults, at,
			"%s stands twice, first in %s:%" PRIu32 "; give each %s a name of its own",
			d->title, draft_file(d, twin->at), twin->at.line, kind);
	else if (l->count == most)
		faults_add(d->faults, at, "%s is one %s too many; at most %zu fit", d->title, kind,
			most);
	else
		l->list[l->count++] = n;
}

/* A section that one file leaves empty, as the shipped one does, another file may fill. */
static void draft_open_single(struct draft *d, struct place at, enum section section)
{
	struct place first = d->sections[section].at;

	d->section = section;
	if (first.line == 0 || (first.source != at.source && !d->sections[section].has_keys))
		d->sections[section].at = at;
	else
		faults_add(d->faults, at,
			"%s stands twice, first in %s:%" PRIu32 "; put its keys there", d->title,
			draft_file(d, first), first.line);
}

static void draft_section(void *arg, struct place at, const char *kind, const char *name)
{
	struct draft *d = arg;
	enum section section = section_find(kind);

	d->section = SECTION_COUNT;
	d->named = NULL;
	snprintf(d->title, sizeof(d->title), name != NULL ? "[%s %s]" : "[%s]", kind, name);
	if (*kind == '\0')
		return;
	if (section == SECTION_COUNT) {
		draft_unknown_section(d, at, kind);
	} else if (section_rows[section].named && name == NULL) {
		faults_add(d->faults, at, "%s has no name; write [%s NAME]", d->title, kind);
	} else if (!section_rows[section].named && name != NULL) {
		faults_add(d->faults, at,
			"%s has a name, but there is one such section only; write [%s]", d->title,
			kind);
	} else if (section_rows[section].named) {
		draft_open_named(d, at, section, name);
	} else {
		draft_open_single(d, at, section);
	}
}

static void draft_unknown_key(struct draft *d, struct place at, const char *key)
{
	struct spelling near = {.word = key};

	for (size_t i = 0; i < option_row_count; i++) {
		if (option_rows[i].section == d->section && !option_rows[i].later)
			spelling_consider(&near, option_rows[i].key);
	}
	if (near.nearest != NULL) {
		faults_add(d->faults, at, "unknown key '%s' in %s; did you mean '%s'?", key,
			d->title, near.nearest);
		return;
	}
	for (enum section s = 0; s < SECTION_COUNT; s++) {
		if (option_find(s, key) == NULL)
			continue;
		faults_add(d->faults, at, "unknown key '%s' in %s; it belongs into [%s%s]", key,
			d->title, section_rows[s].name, section_rows[s].named ? " NAME" : "");
		return;
	}
	faults_add(d->faults, at, "unknown key '%s' in %s; ackgate.ini(5) lists those there are",
		key, d->title);
}

struct draft_complaint {
	struct draft *draft;
	struct place at;
};

static void draft_complain(void *arg, uint32_t line, const char *sentence)
{
	const struct draft_complaint *c = arg;
	struct place at = {.source = c->at.source, .line = c->at.line + line};

	faults_add(c->draft->faults, at, "%s %s", c->draft->title, sentence);
}

static bool draft_key_given_twice(
	struct draft *d, struct place at, const struct option *o, const struct draft_key *given)
{
	if (given->at.line == 0)
		return false;
	faults_add(d->faults, at,
		"'%s' is given twice in %s, first in %s:%" PRIu32 "; remove one of them", o->key,
		d->title, draft_file(d, given->at), given->at.line);
	return true;
}

/* Whether the key is good so far that its value counts. */
static bool draft_take(struct draft *d, struct place at, const struct option *o, const char *value)
{
	struct draft_key *given = &(d->named != NULL ? d->named->keys : d->keys)[option_index(o)];
	struct draft_complaint complaint = {.draft = d, .at = at};
	void *base = d->section == SECTION_RULE      ? (void *)&d->named->rule
		     : d->section == SECTION_BACKEND ? (void *)&d->named->backend
						     : (void *)d->config;

	if (draft_key_given_twice(d, at, o, given))
		return false;
	given->at = at;
	d->sections[o->section].has_keys = true;
	if (o->later)
		faults_add(d->faults, at, "'%s' in %s is not in this version; leave it out", o->key,
			d->title);
	else if (option_parse(o, value, base, d->arena, draft_complain, &complaint))
		return true;
	given->faulty = true;
	return false;
}

static void draft_key(void *arg, struct place at, const char *key, const char *value)
{
	struct draft *d = arg;
	const struct option *o;
	bool good = false;

	if (d->section == SECTION_COUNT)
		return;
	o = option_find(d->section, key);
	if (o == NULL)
		draft_unknown_key(d, at, key);
	else
		good = draft_take(d, at, o, value);
	if (!good && d->named != NULL)
		d->named->faulty = true;
}

bool draft_begin(struct draft *d, struct faults *faults)
{
	*d = (struct draft){.faults = faults, .section = SECTION_COUNT};
	d->arena = arena_new();
	if (d->arena == NULL)
		return false;
	d->config = arena_alloc(d->arena, 1, sizeof(*d->config));
	d->rules.list = arena_alloc(d->arena, POLICY_RULES_MAX, sizeof(*d->rules.list));
	d->backends.list = arena_alloc(d->arena, DRAFT_BACKENDS_MAX, sizeof(*d->backends.list));
	if (d->config == NULL || d->rules.list == NULL || d->backends.list == NULL)
		return false;
	for (enum section s = 0; s < SECTION_COUNT; s++) {
		if (!section_rows[s].named && !option_defaults(s, d->config, d->arena))
			return false;
	}
	return true;
}

void draft_read(struct draft *d, uint32_t index)
{
	static const struct ini_visitor visitor = {.section = draft_section, .key = draft_key};

	d->section = SECTION_COUNT;
	d->named = NULL;
	ini_walk(d->faults, index, &visitor, d);
}
