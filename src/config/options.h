/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every option is one row. Parsing, defaults, `ackgatectl config`, what a reload can change, the
 * manual page and the shipped file come from the rows and from nowhere else.
 */
#ifndef ACKGATE_CONFIG_OPTIONS_H
#define ACKGATE_CONFIG_OPTIONS_H

#include "config/arena.h"
#include "config/config.h"

enum section {
	SECTION_DAEMON,
	SECTION_NETFILTER,
	SECTION_LIMITS,
	SECTION_COOKIES,
	SECTION_TIMEOUTS,
	SECTION_RULE,
	SECTION_BACKEND,
	SECTION_COUNT
};

struct section_row {
	const char *name;
	bool named; /* [KIND NAME], and there may be several */
	const char *help;
};

extern const struct section_row section_rows[SECTION_COUNT];

/* What the keys of a [rule NAME] are read into; a configuration keeps the two apart. */
struct config_rule {
	struct policy_rule rule;
	struct config_splice splice;
};

/* SECTION_COUNT if there is no such section. */
enum section section_find(const char *name);

enum option_type {
	OPTION_WORD,       /* one of `words` */
	OPTION_NUMBER,     /* min to max, or `zero` */
	OPTION_SIZE,       /* likewise, k, m and g allowed */
	OPTION_DURATION,   /* likewise, stored in microseconds */
	OPTION_SECONDS,    /* likewise, stored in seconds; min and max are seconds too */
	OPTION_PERCENT,    /* min to max */
	OPTION_RATE,       /* struct policy_rate; max holds for both of its numbers */
	OPTION_BIT,        /* a number with one bit set */
	OPTION_USER,       /* a char array */
	OPTION_PATH,       /* a char array */
	OPTION_ADDRS,      /* a pointer and a count; none at all is `zero` */
	OPTION_PORTS,      /* likewise */
	OPTION_INTERFACES, /* likewise */
	OPTION_ENDPOINTS,  /* likewise */
	OPTION_SERVERS,    /* likewise, in the order given */
	OPTION_HOSTS, /* likewise, single addresses, or one of `words`, whose value is stored at
			 word_offset; "*" stands for the addresses */
	OPTION_NAME,  /* a pointer to a section's name; NULL is `zero` */
	OPTION_TEXT,  /* never stored: the type of keys that are not in this version */
};

struct option_word {
	const char *word; /* "*" stands for every other value */
	uint64_t value;
	bool later;
};

struct option {
	enum section section;
	const char *key;
	enum option_type type;
	size_t offset; /* in struct config, config_rule or config_backend, as the section says */
	size_t size;   /* of the member; 0: nothing is stored */
	size_t count_offset;
	size_t word_offset;
	uint64_t min;
	uint64_t max;
	const char *unit;
	const char *zero;    /* the word for 0 or nothing; NULL: there is none */
	const char *initial; /* the default, as it would be written; NULL: it has to be given */
	const char *example; /* of what has no default */
	const struct option_word *words;
	bool restart; /* a reload can't change it */
	bool later;   /* the key is known, but not in this version */
	const char *help;
};

/* In the order of the sections. */
extern const struct option option_rows[];
extern const size_t option_row_count;

enum {
	OPTION_ROWS_MAX = 96, /* for arrays with one element for each row */
	OPTION_NAME_MAX = 31, /* bytes of a rule's or a backend's name */
};

/* Whether a rule or a backend may be called so. */
bool option_name_good(const char *name);

size_t option_index(const struct option *o);

/* Whether the key is of mode = splice alone. */
bool option_is_of_splice(const struct option *o);

/* NULL if the section has no such key. */
const struct option *option_find(enum section section, const char *key);

/* Told what is wrong with a value and what would be right, and how many newlines of the value stand
 * before that. */
typedef void (*option_complain)(void *arg, uint32_t line, const char *sentence);

/*
 * Reads `text` into the row's member of *base, lists into the arena. False after at least one
 * complaint. The key must not be `later`.
 */
bool option_parse(const struct option *o, const char *text, void *base, struct arena *arena,
	option_complain complain, void *arg);

/* Gives all members of a section that have one their default. False without memory. */
bool option_defaults(enum section section, void *base, struct arena *arena);

/* The row's value in *base, as it would be written. Lists go on in a new line with a tab before it
 * when they are long. */
void option_print(const struct option *o, const void *base, FILE *to);

/* The words of this version, "A, B and C", and how many they are. */
void option_print_words(const struct option *o, const char *conjunction, FILE *to);
size_t option_words_here(const struct option *o);

/* What the option takes: "a number from 1 to 64, or auto". */
void option_print_takes(const struct option *o, FILE *to);

#endif
