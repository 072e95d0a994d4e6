/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration: immutable, validated, complete. Built from text in one go; if anything is wrong
 * with the text there is no configuration, only the list of all its faults.
 */
#ifndef ACKGATE_CONFIG_CONFIG_H
#define ACKGATE_CONFIG_CONFIG_H

#include "config/splicing.h"
#include "core/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_manage {
	MANAGE_AUTO,
	MANAGE_NFTABLES,
	MANAGE_IPTABLES,
	MANAGE_NONE
};
enum config_log {
	LOG_TO_AUTO,
	LOG_TO_STDERR,
	LOG_TO_JOURNAL
};
enum config_log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

enum {
	CONFIG_AUTO_WORKERS_MAX = 8
};

struct config {
	struct {
		char user[32];     /* root: privileges are kept */
		uint32_t workers;  /* 0: as many as CPUs, at most CONFIG_AUTO_WORKERS_MAX */
		char control[108]; /* as long as a UNIX socket's path may be */
		enum config_log log;
		enum config_log_level log_level;
		bool enforce;
		char state_dir[192];
		uint64_t drain_us; /* how long a stop waits for spliced connections */
	} daemon;
	struct {
		enum config_manage manage;
		uint16_t queue; /* numbers queue .. queue + LANES * workers - 1 are ours */
		uint32_t queue_length;
		uint32_t mark;        /* exactly one bit */
		uint32_t tproxy_mark; /* exactly one bit, another one */
		bool fail_open;
		bool adopt;
		uint64_t adopt_window_us;
	} netfilter;
	struct {
		uint32_t half_open;
		uint32_t flows;
		uint32_t sources;
		uint8_t source_prefix4;
		uint8_t source_prefix6;
		uint32_t handshakes_in_flight;
		const struct addr_range *never_block;
		size_t never_block_count;
	} limits;
	struct {
		char secret_file[192]; /* empty: one in state_dir that the daemon makes */
		uint64_t rotation_us;
	} cookies;
	struct {
		uint64_t syn_sent_us, syn_received_us, established_us, fin_wait_us, close_wait_us,
			last_ack_us, time_wait_us, closed_us;
	} timeouts;

	/* What the engine and the kernel's rules work from. Each rule's `enforce` already has
	 * [daemon] enforce in it. */
	struct policy policy;

	const struct config_splice *splices; /* by the position of their rule in policy.rules */
	const struct config_backend *backends;
	size_t backend_count;

	const char *file; /* the main file's path, for messages */
	void *storage;    /* owns all of the above */
};

/* One file's text, read by whoever may read it. The name is what messages say. */
struct config_source {
	const char *name;
	const char *text;
	size_t len;
};

/* Faults in the file's order, each "FILE:LINE: what is wrong, and what would be right".
 * Zero-initialise; free with config_errors_free. */
struct config_errors {
	size_t count;
	char **list;
};

/*
 * Builds a configuration from the main file and its conf.d fragments, in that order. `previous`
 * (may be NULL) lends its rules' slots to rules of the same name. NULL if there are faults, all of
 * which are in *errors.
 */
struct config *config_parse(const struct config_source *sources, size_t count,
	const struct config *previous, struct config_errors *errors);
void config_free(struct config *c);
/* Appends a copy of the text; false without memory. */
bool config_errors_add(struct config_errors *errors, const char *text);
void config_errors_free(struct config_errors *errors);

/*
 * Reads FILE and conf.d / *.ini beside it, in name order. Returns an allocated list to be freed
 * with config_sources_free; an unreadable file is a fault in *errors and the result is NULL.
 */
struct config_source *config_read(const char *file, size_t *count, struct config_errors *errors);
void config_sources_free(struct config_source *sources, size_t count);

/* Prints what is in force, defaults included, as an INI that reads back to the same configuration.
 */
void config_print(const struct config *c, FILE *to);

/*
 * What a reload from `old` to `next` can't change before a restart: calls each(section, key) for
 * such keys whose values differ, and gives `next` the old value so that `config` tells the truth.
 */
void config_keep_restart_keys(const struct config *old, struct config *next,
	void (*each)(const char *section, const char *key, void *arg), void *arg);

#endif
