/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows, failures and rules as the control socket shows them. All results are new references, NULL
 * without memory.
 */
#ifndef ACKGATE_CONTROL_RECORDS_H
#define ACKGATE_CONTROL_RECORDS_H

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

/*
 * What product scripts rely on: {name, mode, matched, admitted, dropped, half_open,
 * cookies_active}, and enforce.
 */
json_t *records_rule_counts(const struct status_rule *r);
/*
 * The same and what the rule says: {from, to, port, interface} as lists of text, inspect, fastopen,
 * mss, limits {...}.
 */
json_t *records_rule(const struct status_rule *r);

#endif
