/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: to standard error or to the journal, from any thread. Each place that logs, and each
 * reason a handshake is refused for, has its own bound of 10 lines a second and 50 at once; what
 * goes beyond is counted and summed up in one line. Nothing is allocated, and a journal or a reader
 * of standard error that has stopped reading costs lines, never time.
 */
#ifndef ACKGATE_DAEMON_LOG_H
#define ACKGATE_DAEMON_LOG_H

#include "config/config.h"
#include "core/engine.h"

#include <stdatomic.h>

/* One place that logs, or one kind of message. Static, and zero at first. */
struct log_site {
	_Atomic(uint64_t) full_at;   /* monotonic microseconds: see log_site_allows */
	atomic_uint_fast64_t unsaid; /* lines withheld since the last summary */
	atomic_bool listed; /* among those that log_tick looks at; the rest is set by then */
	const char *name;
	struct log_site *next;
};

enum {
	LOG_PER_S = 10,
	LOG_BURST = 50,
};

/*
 * Where to, and down to which level; LOG_TO_AUTO is the journal if standard error goes there. To be
 * called before threads are started.
 */
void log_open(enum config_log to, enum config_log_level level);
/* Safe at any time. */
void log_set_level(enum config_log_level level);
bool log_wanted(enum config_log_level level);

/* To be called about once a second, by one thread: "N more of these were not logged". */
void log_tick(void);

/* One line, cut at about 1000 bytes; control characters become '?'. */
void log_write(struct log_site *site, enum config_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define LOG_AT(level, ...)                                                                         \
	do {                                                                                       \
		static struct log_site log_site_;                                                  \
		if (log_wanted(level))                                                             \
			log_write(&log_site_, (level), __VA_ARGS__);                               \
	} while (0)
#define log_error(...)   LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_AT(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  LOG_AT(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* One of the journal's fields; no value has a line break. */
struct log_field {
	const char *name;
	const char *value;
};

/* Whether a line of that site fits into its bound; if not it is counted, and summed up by name. */
bool log_site_takes(struct log_site *site, const char *name);
/* One line, which a site has taken, with fields for the journal. Control characters become '?'. */
void log_with_fields(
	enum config_log_level level, char *text, const struct log_field *fields, size_t count);

/*
 * Text that somebody asked for, of any length (faults of a file, the status on SIGUSR1): a line
 * each, long ones broken, all of them.
 */
void log_text(enum config_log_level level, const char *text);

/*
 * A refused handshake or packet, at info: who, which rule (NULL: none), which reason or cause. In
 * the journal with the fields ACKGATE_CLIENT, ACKGATE_SERVER, ACKGATE_RULE, ACKGATE_REASON and
 * ACKGATE_CAUSE.
 */
void log_refused(const struct report *report, const char *rule);

/* What the engine has to tell of a rule (NULL: it is gone). */
void log_notable(const struct notice *notice, const char *rule);

/*
 * Whether one more line fits in at now_us. By the generic cell rate algorithm, so that one atomic
 * word does. For log.c and its test.
 */
bool log_site_allows(struct log_site *site, uint64_t now_us);

/* Where the journal listens, if not where log_open looks. For log.c and its test. */
void log_journal(const char *path);

#endif
