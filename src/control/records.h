/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows, failures, sources and rules as the control socket shows them. All results are new
 * references, NULL without memory.
 */
#ifndef ACKGATE_CONTROL_RECORDS_H
#define ACKGATE_CONTROL_RECORDS_H

#include "control/control.h"
#include "control/status.h"

/* Collects flows for `flows`: start, one call for each flow that the filter takes, end. */
struct records_flows {
	json_t *list;
	size_t limit;
	uint64_t total; /* taken by the filter, shown or not */
};

void records_flows_start(struct records_flows *f, size_t limit);
/* `rule`: name of the slot's rule, NULL if it is gone. */
void records_flows_add(
	struct records_flows *f, const struct engine_flow_info *flow, const char *rule);
/* {"flows": [{client, server, rule, state, client_state, server_state, age_s}], "total": N} */
json_t *records_flows_end(struct records_flows *f);

/* A packet or a handshake that was refused, to be remembered for `failures`. */
struct failure {
	int64_t at_us; /* since the epoch */
	struct report report;
};

/*
 * {"at", client, server, rule, reason, cause, step, from, observed}: `at` in seconds since the
 * epoch, with fractions; what does not apply is null. To be put into {"failures": [...]}, newest
 * first.
 */
json_t *records_failure(const struct failure *f, const char *rule);

struct records_source {
	struct addr_range source;
	const char *rule; /* NULL if it is gone */
	uint32_t connections;
	uint32_t half_open;
};

/* Collects for `sources`: start, one call for each source and each block, end. */
struct records_sources {
	struct records_source most[CONTROL_SOURCES_MAX]; /* connections, in falling order */
	size_t count;
	uint64_t tracked; /* shown or not */
	json_t *blocked;
	uint64_t blocked_total;
};

void records_sources_start(struct records_sources *s);
/* Keeps those with the most connections. The rule's name is borrowed until the end. */
void records_sources_add(struct records_sources *s, const struct records_source *source);
void records_sources_add_block(
	struct records_sources *s, const struct addr_range *range, uint32_t left_s);
/*
 * {"tracked": N, "sources": [{source, rule, connections, half_open}], "blocked": [{source,
 * left_s}], "blocked_total": N}
 */
json_t *records_sources_end(struct records_sources *s);

/* A server of a backend. Strings are borrowed; durations in seconds. */
struct records_server {
	const char *backend;
	const char *server;
	const char *address; /* where it is; empty: not known */
	const char *state;   /* up, down, disabled, draining, unresolved */
	uint64_t since_s;    /* for how long */
	const char *last;    /* what came of the last check or connection */
	uint32_t connections;
	uint64_t total;
	uint64_t failures;
	uint32_t weight;
	uint32_t max_connections; /* 0: no limit */
};

/* {backend, server, address, state, since_s, last, connections, total, failures, weight,
 * max_connections}, null for no limit. To be put into {"servers": [...], "listeners": [...]}. */
json_t *records_server(const struct records_server *s);

/* A place that splice rules listen at. */
struct records_listener {
	const char *rule;
	struct endpoint at;
	bool transparent;
	uint32_t backlog;
	uint32_t backlog_max;
	uint32_t overflows;
};

/* {rule, address, transparent, backlog, backlog_max, overflows} */
json_t *records_listener(const struct records_listener *l);

/*
 * What product scripts rely on: {name, mode, matched, admitted, dropped, half_open,
 * cookies_active}, and enforce.
 */
json_t *records_rule_counts(const struct status_rule *r);
/*
 * The same and what the rule says: {from, to, port, interface} as lists of text, inspect, fastopen,
 * mss, syncookies, syncookies_start and _end in percent, limits {...}, and what its servers answer:
 * learned [{server, mss, wscale, sack, timestamps, ecn, public, route}]. There, null is what is not
 * known; wscale is a number or false; `route` says how clients reach the server: direct, or one,
 * many or unknown for the public addresses that DNAT leads from.
 */
json_t *records_rule(const struct status_rule *r);

#endif
