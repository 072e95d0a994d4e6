/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration in the making, which still knows where in the files everything stood. */
#ifndef ACKGATE_CONFIG_DRAFT_H
#define ACKGATE_CONFIG_DRAFT_H

#include "config/arena.h"
#include "config/faults.h"
#include "config/options.h"

enum {
	DRAFT_BACKENDS_MAX = 256,
};

struct draft_key {
	struct place at; /* line 0: not given, so the default holds */
	bool faulty;     /* given, but what it means is not known */
};

struct draft_section {
	struct place at;
	bool has_keys;
};

/* A [rule NAME] or [backend NAME]. */
struct draft_named {
	const char *name;
	struct place at;
	bool faulty; /* not all of it is known, so how it relates to others isn't either */
	struct draft_key keys[OPTION_ROWS_MAX];
	union {
		struct config_rule rule;
		struct config_backend backend;
	};
};

struct draft_list {
	struct draft_named **list; /* with room for as many as there may be */
	size_t count;
};

struct draft {
	struct config *config; /* its policy is not filled in yet */
	struct arena *arena;
	struct faults *faults;
	struct draft_section sections[SECTION_COUNT]; /* those that may stand only once */
	struct draft_key keys[OPTION_ROWS_MAX];
	struct draft_list rules;
	struct draft_list backends;

	/* Where the walk through the files is. */
	enum section section;      /* SECTION_COUNT: in one that is no good */
	struct draft_named *named; /* in a rule or a backend */
	char title[208];           /* "[rule web]"; no line is longer */
};

/* A draft in which nothing is given yet. False without memory; the arena, if any, is the caller's
 * either way. */
bool draft_begin(struct draft *d, struct faults *faults);

/* Takes in the source `index` of faults->sources. */
void draft_read(struct draft *d, uint32_t index);

/* Adds the faults that no single value has. */
void validate(const struct draft *d);

/* Likewise of splice rules and backends. */
void splicing_validate(const struct draft *d);

/* Whether a rule can match clients of a family. */
bool splicing_takes_family(const struct config_rule *r, bool v4);

/* Fills in what the policy takes from other members. */
void config_derive(struct config *c);

#endif
