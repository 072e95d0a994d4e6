/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's state at one moment: gathered once by the daemon, then shown as JSON. */
#ifndef ACKGATE_CONTROL_STATUS_H
#define ACKGATE_CONTROL_STATUS_H

#include "core/engine.h"

#include <jansson.h>

/* One rule's figures, all shards and the kernel's own drops together. */
struct status_rule {
	const struct policy_rule *rule;
	uint64_t matched;
	uint64_t admitted;
	uint64_t dropped;
	uint32_t half_open;
	bool cookies_active;
	const struct learned_server *learned; /* servers behind it, for `rules` */
	size_t learned_count;
};

/* Sums over all shards. Strings are borrowed. */
struct status {
	const char *version;
	uint64_t uptime_s;
	bool enforce; /* [daemon] enforce */
	bool draining;
	uint32_t confirm_left_s; /* until an unconfirmed reload is taken back; 0: none is open */
	const char *manage;      /* the way in use: nftables, iptables or none */
	unsigned workers;

	struct {
		const char *file;
		int64_t loaded_at;      /* seconds since the epoch */
		uint64_t generation;    /* 1 after the start, one more for each reload */
		const char *last_error; /* of the last reload, if it failed; else NULL */
	} config;
	struct {
		uint64_t packets;
		uint64_t kernel_dropped;
		uint64_t user_dropped;
		uint64_t overruns;
	} queue;
	struct engine_gauges flows;
	struct {
		uint64_t started;
		uint64_t completed;
		uint64_t failed[CAUSE_COUNT];
		uint64_t evicted;
		uint64_t adopted;
	} handshakes;
	uint64_t drops[REASON_COUNT];    /* packets, the kernel's by our rules folded in */
	uint64_t observed[REASON_COUNT]; /* let go by enforce = no */
	uint64_t untracked; /* packets let go because others took them out of conntrack */
	struct {
		uint64_t sent;
		uint64_t accepted;
		uint64_t refused;
		uint64_t logged; /* SYNs that the kernel dropped and told of */
		uint64_t logged_in_vain;
		uint64_t log_lost; /* SYNs that it could not tell of */
		bool active;       /* for some rule */
	} cookies;
	struct {
		uint32_t tracked;
		uint32_t blocked;
	} sources;
	struct {
		uint32_t open;
		uint64_t total;
		uint64_t bytes_in;
		uint64_t bytes_out;
	} splice;
	const struct status_rule *rules; /* in the file's order */
	size_t rule_count;
	const char *const *notes; /* sentences: what on this host keeps the gate from judging */
	size_t note_count;
};

/* A new reference; NULL without memory. */
json_t *status_json(const struct status *s);

#endif
