/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's answers for people to read. What an answer lacks, as a daemon of another version
 * may, shows as zero or not at all.
 */
#ifndef ACKGATE_CTL_SHOW_H
#define ACKGATE_CTL_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct show {
	FILE *to;
	size_t width; /* columns; 0: no bound */
	bool colour;
	int64_t now; /* seconds since the epoch */
};

/* One page: whether the gate enforces, what it let through and what not, and the rules. */
void show_status(const struct show *s, const json_t *result);
void show_flows(const struct show *s, const json_t *result);
void show_killed(const struct show *s, const json_t *result);
void show_failures(const struct show *s, const json_t *result);
/* With what was learned of the servers behind them. */
void show_rules(const struct show *s, const json_t *result);
/* Those with the most connections, and who is blocked. */
void show_sources(const struct show *s, const json_t *result);
/* Servers, and where clients are accepted. */
void show_backends(const struct show *s, const json_t *result);
void show_config(const struct show *s, const json_t *result);
/* The daemon's message, if it has one. */
void show_message(const struct show *s, const json_t *result);

#endif
