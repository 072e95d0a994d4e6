/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon looks after while it runs: that its kernel rules are still there, that its
 * workers go round, that connections which end in the kernel are uncounted, that log summaries come
 * out.
 */
#include "config.h"

#include "daemon/blocks.h"
#include "daemon/cookies.h"
#include "daemon/daemon_state.h"
#include "daemon/interception.h"
#include "daemon/log.h"
#include "daemon/nft_process.h"
#include "daemon/notify.h"
#include "daemon/splicing.h"
#include "daemon/told.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WHY = 512,
	ENDS_A_CALL = 256,
	WORDS_A_TURN = 16,
	INTACT_EVERY_US = 10 * 1000000,
	RECONCILE_EVERY_US = 60 * 1000000,
	MEND_AFTER_MS = 100, /* let whoever is changing rules finish */
	FLOODS_EVERY_MS = 100,
	STUCK_AFTER_US = 10 * 1000000,
};

/* Tuples on their way to every worker's engine, which knows its own. */
struct ends {
	struct daemon *d;
	void (*each)(struct engine *e, const struct tuple *t);
	size_t count;
	struct tuple tuples[ENDS_A_CALL];
};

static void hand_over(const struct worker_view *view, void *arg)
{
	const struct ends *ends = arg;

	for (size_t i = 0; i < ends->count; i++)
		ends->each(view->engine, &ends->tuples[i]);
}

static void flush_ends(struct ends *ends)
{
	if (ends->count)
		daemon_call_all(ends->d, hand_over, ends);
	ends->count = 0;
}

static void add_end(void *arg, const struct tuple *t)
{
	struct ends *ends = arg;

	ends->tuples[ends->count++] = *t;
	if (ends->count == ENDS_A_CALL)
		flush_ends(ends);
}

static void add_live(void *arg, const struct tuple *t, bool live)
{
	if (live)
		add_end(arg, t);
}

static void reconcile_begin(const struct worker_view *view, void *arg)
{
	(void)arg;
	engine_reconcile_begin(view->engine);
}

static void reconcile_end(const struct worker_view *view, void *arg)
{
	*(uint32_t *)arg += engine_reconcile_end(view->engine);
}

/* Events can be lost: what conntrack no longer has is uncounted now and then. */
static void reconcile(struct daemon *d)
{
	struct ends live = {.d = d, .each = engine_reconcile_seen};
	uint32_t gone = 0;

	d->reconciled_us = worker_now();
	daemon_call_all(d, reconcile_begin, NULL);
	if (conntrack_dump(d->conntrack, add_live, &live) < 0)
		return;
	flush_ends(&live);
	daemon_call_all(d, reconcile_end, &gone);
	if (gone)
		log_debug("%u connections had ended unnoticed", gone);
}

static void on_ends(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct ends ends = {.d = d, .each = engine_ended};
	bool all;

	(void)fd;
	(void)what;
	all = conntrack_events_read(d->ends, add_end, &ends);
	flush_ends(&ends);
	if (!all)
		reconcile(d);
}

static bool counts_connections(const struct policy *p)
{
	for (size_t i = 0; i < p->rule_count; i++)
		if (p->rules[i].connections_per_source)
			return true;
	return false;
}

static void stop_listening_for_ends(struct daemon *d)
{
	if (d->ends_event)
		event_free(d->ends_event);
	d->ends_event = NULL;
	if (d->ends)
		conntrack_events_close(d->ends);
	d->ends = NULL;
}

/* Nobody would hear of their ends, and they would keep their places for good. */
static void uncount_all(struct daemon *d)
{
	uint32_t count = 0;

	daemon_call_all(d, reconcile_begin, NULL);
	daemon_call_all(d, reconcile_end, &count);
}

/* The kernel makes events only while somebody listens, and they cost: so only while connections are
 * counted. */
void upkeep_follow_config(struct daemon *d)
{
	char why[WHY];

	interception_follow_config(d);
	if (!counts_connections(&d->config->policy)) {
		uncount_all(d);
		stop_listening_for_ends(d);
		return;
	}
	if (d->ends)
		return;
	d->ends = conntrack_events_open(d->config->netfilter.mark, why, sizeof(why));
	if (!d->ends) {
		log_warning("the ends of connections are noticed late: %s", why);
		return;
	}
	d->ends_event =
		event_new(d->base, conntrack_events_fd(d->ends), EV_READ | EV_PERSIST, on_ends, d);
	if (d->ends_event)
		event_add(d->ends_event, NULL);
}

static void lose_sight(const struct worker_view *view, void *arg)
{
	(void)arg;
	engine_hand_over(view->engine, true);
}

static void say_away(void)
{
	log_warning("somebody took our kernel rules away; putting them back");
}

void upkeep_rules_were_away(void *arg)
{
	struct daemon *d = arg;

	say_away();
	d->rules_away = true;
	daemon_adopt(d, d->config);
	daemon_call_all(d, lose_sight, NULL);
}

static void mend(struct daemon *d)
{
	bool judging;
	char why[WHY];

	d->intact_checked_us = worker_now();
	interception_mend(d);
	if (!d->ruleset || d->rules_fixed)
		return;
	judging = ruleset_intact(d->ruleset);
	if (judging && cookies_intact(d))
		return;
	if (judging)
		say_away();
	if (daemon_apply_rules(d, d->config, why, sizeof(why)) != 0)
		log_error("our kernel rules can't be put back: %s", why);
}

static void on_mend_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	mend(arg);
}

void upkeep_mend_soon(struct daemon *d)
{
	struct timeval soon = {.tv_usec = MEND_AFTER_MS * 1000};

	if (!event_pending(d->mend_timer, EV_TIMEOUT, NULL))
		event_add(d->mend_timer, &soon);
}

static void on_rules_changed(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	if (ruleset_watch_read(d->ruleset))
		upkeep_mend_soon(d);
}

static void tell_unreachable(const struct worker_view *view, void *arg)
{
	struct effects effects;

	engine_unreachable(view->engine, arg, &effects);
	worker_carry_out(view->worker, &effects);
}

static void take_word(struct daemon *d, struct worker_word *word)
{
	switch (word->kind) {
	case WORD_UNREACHABLE:
		daemon_call_all(d, tell_unreachable, &word->unreachable);
		break;
	case WORD_BLOCK:
		blocks_enforce(d, &word->block);
		break;
	case WORD_COOKIES:
		cookies_have_begun(d);
		break;
	}
}

static void on_words(evutil_socket_t fd, short what, void *arg)
{
	struct worker_word word;

	(void)what;
	/* Written whole and in one piece (PIPE_BUF), so read whole; and a few at a time, for the
	 * rest of the loop must have its turn. */
	for (int i = 0; i < WORDS_A_TURN && read(fd, &word, sizeof(word)) == (ssize_t)sizeof(word);
		i++)
		take_word(arg, &word);
}

static bool watch_words(struct daemon *d)
{
	d->words_event = event_new(d->base, d->words[0], EV_READ | EV_PERSIST, on_words, d);
	return d->words_event && event_add(d->words_event, NULL) == 0;
}

static bool workers_go_round(struct daemon *d)
{
	uint64_t now = worker_now();
	bool fine = true;

	for (unsigned i = 0; i < d->worker_count; i++) {
		uint64_t beat = worker_heartbeat(d->workers[i]);

		if (beat != d->beats[i] || d->beat_seen_us[i] == 0) {
			d->beats[i] = beat;
			d->beat_seen_us[i] = now;
		} else if (now - d->beat_seen_us[i] > STUCK_AFTER_US) {
			fine = false;
		}
	}
	return fine;
}

static void tell_untracked(struct daemon *d)
{
	struct ruleset_counts counts;

	if (d->untracked_told || !d->ruleset || ruleset_counts(d->ruleset, &counts) != 0 ||
		counts.untracked == 0)
		return;
	d->untracked_told = true;
	log_warning("notrack rules of others keep gated connections out of conntrack: they are let "
		    "through unjudged");
}

static void take_note(void *arg, const char *sentence)
{
	struct daemon *d = arg;

	for (size_t i = 0; i < d->note_count; i++)
		if (strcmp(d->notes[i], sentence) == 0)
			return;
	if (d->note_count == DAEMON_NOTES_MAX)
		return;
	d->notes[d->note_count] = strdup(sentence);
	if (!d->notes[d->note_count])
		return;
	d->note_count++;
	log_warning("%s", sentence);
}

/* They can't be started again: that takes a process that is root, and has no threads. */
static void look_after_children(struct daemon *d)
{
	const bool no_helper = helper_is_gone(d->helper), no_nft = nft_process_is_gone(d->nft);

	if (no_helper)
		take_note(d, "the helper process is gone: the configuration can't be reloaded, nor "
			     "iptables' rules be changed, until ackgated is restarted");
	if (no_nft)
		take_note(d, "the process that speaks with nftables is gone: the kernel's rules "
			     "can't be changed until ackgated is restarted");
	d->rules_fixed =
		no_nft || (no_helper && d->ruleset && ruleset_way(d->ruleset) == RULESET_IPTABLES);
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	uint64_t now = worker_now();

	(void)fd;
	(void)what;
	log_tick();
	look_after_children(d);
	if (workers_go_round(d))
		notify_watchdog();
	cookies_tick(d);
	splicing_tick(d);
	blocks_tick(d);
	if (now - d->intact_checked_us > INTACT_EVERY_US) {
		mend(d);
		tell_untracked(d);
	}
	if (counts_connections(&d->config->policy) && now - d->reconciled_us > RECONCILE_EVERY_US)
		reconcile(d);
}

static void on_floods(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	told_tick(arg);
}

void upkeep_survey(struct daemon *d)
{
	if (d->ruleset)
		ruleset_survey(d->ruleset, d->config->netfilter.mark, interception_mark(d->config),
			take_note, d);
}

static bool watch_rules(struct daemon *d)
{
	int fd = d->ruleset ? ruleset_watch_fd(d->ruleset) : -1;

	d->mend_timer = evtimer_new(d->base, on_mend_timer, d);
	if (fd < 0)
		return d->mend_timer != NULL;
	d->watch_event = event_new(d->base, fd, EV_READ | EV_PERSIST, on_rules_changed, d);
	return d->mend_timer && d->watch_event && event_add(d->watch_event, NULL) == 0;
}

bool upkeep_start(struct daemon *d, char *why, size_t why_size)
{
	struct timeval second = {.tv_sec = 1};
	struct timeval often = {.tv_usec = FLOODS_EVERY_MS * 1000};

	d->intact_checked_us = d->reconciled_us = worker_now();
	d->second_timer = event_new(d->base, -1, EV_PERSIST, on_second, d);
	d->floods_timer = event_new(d->base, -1, EV_PERSIST, on_floods, d);
	if (!d->second_timer || event_add(d->second_timer, &second) != 0 || !d->floods_timer ||
		event_add(d->floods_timer, &often) != 0 || !watch_rules(d) || !watch_words(d)) {
		snprintf(why, why_size, "can't set up the main event loop");
		return false;
	}
	upkeep_follow_config(d);
	return true;
}

void upkeep_stop(struct daemon *d)
{
	struct event *events[] = {
		d->second_timer, d->floods_timer, d->watch_event, d->mend_timer, d->words_event};

	stop_listening_for_ends(d);
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		if (events[i])
			event_free(events[i]);
	d->second_timer = d->floods_timer = d->watch_event = d->mend_timer = d->words_event = NULL;
	for (size_t i = 0; i < d->note_count; i++)
		free(d->notes[i]);
	d->note_count = 0;
}
