/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of the running daemon, shared by daemon.c, reload.c, upkeep.c and answers.c. All of it
 * belongs to the main thread. */
#ifndef ACKGATE_DAEMON_DAEMON_STATE_H
#define ACKGATE_DAEMON_DAEMON_STATE_H

#include "control/control.h"
#include "core/calm.h"
#include "core/floods.h"
#include "daemon/cmdline.h"
#include "daemon/helper.h"
#include "daemon/worker.h"
#include "kernel/conntrack.h"
#include "kernel/hold.h"
#include "kernel/lasting.h"
#include "kernel/protected.h"
#include "kernel/ruleset.h"
#include "kernel/tproxy.h"
#include "kernel/translations.h"
#include "kernel/unqueued.h"
#include "splice/splice.h"

enum {
	DAEMON_WORKERS_MAX = 64,
	DAEMON_SIGNALS = 4,
	DAEMON_NOTES_MAX = 16,
	DAEMON_ROUTES_MAX = 64,
	DAEMON_LAST_BLOCKS = 16,
	DAEMON_KILLS_MAX = 64,
	DAEMON_SOCKETS_MAX = 256
};

struct daemon_block {
	struct addr_range range;
	uint64_t at_us; /* 0: none */
};

struct daemon {
	const struct cmdline *options;
	struct config *config;
	struct config *unconfirmed_old; /* what to go back to unless confirmed in time */
	uint64_t generation;
	int64_t loaded_at; /* seconds since the epoch */
	char *last_error;  /* of the last reload; NULL if it went well */
	uint64_t started_us;

	struct helper *helper;
	struct nft_process *nft; /* what nft_run is done in */
	int netns_lock;
	struct ruleset *ruleset; /* NULL: manage = none */
	bool rules_in;
	bool rules_fixed; /* nobody is there who could change them */
	bool rules_away;  /* they were: what came meanwhile is to be adopted */
	bool rules_stale; /* the kernel refused the last change of them */
	struct conntrack *conntrack;
	struct engine_shared *shared;
	struct worker *workers[DAEMON_WORKERS_MAX];
	unsigned worker_count;
	struct control *control;

	struct event_base *base;
	struct event *signals[DAEMON_SIGNALS];
	struct event *confirm_timer;
	struct event *drain_timer;
	struct event *stop_timer;
	bool draining;
	bool stopping;
	uint64_t stop_after_us; /* no earlier */
	uint64_t stop_at_us;    /* no later */
	uint64_t drain_until_us;

	int words[2]; /* a pipe, for struct worker_word */

	/* splicing.c */
	struct splice *splice; /* NULL: no rule has asked for it yet */
	struct splice_change *splice_next;
	bool splice_runs;
	struct {
		int fd;
		char name[SPLICE_PLACE_NAME];
	} inherited[DAEMON_SOCKETS_MAX];
	unsigned inherited_count;

	/* cookies.c */
	struct lasting *lasting;
	struct hold *hold; /* while anything is translated; NULL: this kernel can't */
	bool hold_tried;
	struct translations *translations;
	uint8_t secret[COOKIE_SECRET];
	bool can_translate;
	bool standing; /* translated connections of an earlier process */
	uint64_t standing_looked_us;
	bool proofs_wanted[POLICY_RULES_MAX]; /* by slot */
	uint64_t memory_saved_us;
	uint64_t memory_hash; /* of what was saved */
	struct ruleset_route routes[DAEMON_ROUTES_MAX];
	size_t route_count;
	bool routes_wanted;
	bool routes_missing;
	bool routes_changed;
	uint64_t routes_looked_us;
	uint64_t routes_took_us;

	/* told.c */
	struct unqueued *unqueued; /* NULL: this kernel can't */
	bool servers_listed;       /* the table is there for them */
	bool listeners_listed;
	uint64_t told_us;
	uint64_t told_gave_up_us; /* 0: it has not */
	struct floods floods;
	bool floods_spread;     /* over all workers */
	uint64_t floods_behind; /* how often workers were */
	struct calm calm;
	bool engines_told[POLICY_RULES_MAX]; /* by slot: that the kernel tells them */

	/* blocks.c */
	struct protected *protected;
	struct daemon_block last_blocks[DAEMON_LAST_BLOCKS];
	struct addr_range to_kill[DAEMON_KILLS_MAX]; /* their flows, in the next second */
	size_t kill_count;

	/* interception.c */
	struct tproxy *tproxy;
	struct event *routing_event;
	bool intercepting; /* some rules wanted it since the start */

	/* upkeep.c */
	struct event *words_event;
	struct event *second_timer;
	struct event *floods_timer;
	struct event *watch_event;
	struct event *mend_timer;
	struct event *ends_event;
	struct conntrack_events *ends;
	uint64_t intact_checked_us;
	uint64_t reconciled_us;
	uint64_t beats[DAEMON_WORKERS_MAX];
	uint64_t beat_seen_us[DAEMON_WORKERS_MAX];
	bool untracked_told;
	char *notes[DAEMON_NOTES_MAX]; /* what keeps the gate from judging */
	size_t note_count;

	/* answers.c: connections that the kernel carries for us, counted not too often */
	uint64_t marked_us;
	uint64_t marked_took_us;
	uint32_t marked;
	bool no_destroy_told;
};

/* Puts a configuration's rules into the kernel. -1 with a sentence in `why`. */
int daemon_apply_rules(struct daemon *d, const struct config *c, char *why, size_t why_size);
/* Admits what stands of the connections that a configuration's rules name. */
long daemon_adopt(struct daemon *d, const struct config *c);
void daemon_call_all(
	struct daemon *d, void (*fn)(const struct worker_view *view, void *arg), void *arg);
void daemon_stop(struct daemon *d);

/* reload.c. *message, to be freed, says what happened; confirm_us 0: for good. */
bool reload_now(struct daemon *d, uint64_t confirm_us, char **message);
bool reload_confirm(struct daemon *d, char **message);
void reload_on_timer(struct daemon *d);

/* upkeep.c */
bool upkeep_start(struct daemon *d, char *why, size_t why_size);
void upkeep_stop(struct daemon *d);
/* What depends on the configuration in force: whether ends of connections have to be listened for.
 */
void upkeep_follow_config(struct daemon *d);
void upkeep_survey(struct daemon *d);
/* Somebody may have taken away what is ours in the kernel. */
void upkeep_mend_soon(struct daemon *d);
/* For ruleset_plan: what came and went meanwhile has not been seen. `arg` is the daemon. */
void upkeep_rules_were_away(void *arg);

/* answers.c */
extern const struct control_ops answers_ops;
void answers_log_status(struct daemon *d);
/* As `flows kill` would, all flows of these clients that an enforcing rule judges. */
void answers_kill_clients(struct daemon *d, const struct addr_range *clients, size_t count);

#endif
