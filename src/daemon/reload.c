/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reload builds the whole new configuration before it touches anything. The engines learn of new
 * rules before the kernel does: a packet that the kernel sends must find its rule there, while one
 * sent by an old rule that is gone is let through like any other that no rule names. If the kernel
 * refuses, the engines go back. Only cookies come after the kernel's rules, which must let their
 * answers in.
 */
#include "config.h"

#include "core/limiter.h"
#include "daemon/cookies.h"
#include "daemon/daemon_state.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/say.h"
#include "daemon/splicing.h"
#include "daemon/told.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	WHY = 512
};

static char *all_faults(const struct config_errors *errors)
{
	size_t len = 1;
	char *text, *end;

	for (size_t i = 0; i < errors->count; i++)
		len += strlen(errors->list[i]) + 1;
	text = malloc(len);
	if (!text)
		return NULL;
	end = text;
	*end = '\0';
	for (size_t i = 0; i < errors->count; i++)
		end += sprintf(end, "%s%s", i ? "\n" : "", errors->list[i]);
	return text;
}

static void name_kept(const char *section, const char *key, void *arg)
{
	(void)arg;
	log_warning(
		"[%s] %s has changed, which needs a restart: it keeps its old value", section, key);
}

static void set_policy(const struct worker_view *view, void *arg)
{
	engine_set_policy(view->engine, arg);
}

static void hand_over(const struct worker_view *view, void *arg)
{
	(void)arg;
	engine_hand_over(view->engine, false);
}

static void tell_engines(struct daemon *d, struct config *c)
{
	daemon_call_all(d, set_policy, &c->policy);
}

static void hold_cookies(const struct worker_view *view, void *arg)
{
	engine_hold_cookies(view->engine, arg, true);
}

/* Puts `next` in force; on failure all is as it was. */
static bool swap(struct daemon *d, struct config *next, char *why, size_t why_size)
{
	bool held[POLICY_RULES_MAX], refused;

	if (!splicing_prepare(d, next, why, why_size))
		return false;
	daemon_adopt(d, next);
	told_pause(d);
	cookies_new_in(d, next, held);
	daemon_call_all(d, hold_cookies, held);
	tell_engines(d, next);
	refused = daemon_apply_rules(d, next, why, why_size) != 0;
	if (refused)
		tell_engines(d, d->config);
	daemon_call_all(d, hold_cookies, NULL);
	if (refused) {
		splicing_abandon(d);
		return false;
	}
	splicing_commit(d);
	/* Once more, for what completed in between. */
	daemon_adopt(d, next);
	daemon_call_all(d, hand_over, NULL);
	d->config = next;
	limiter_forget_half_open(engine_shared_limiter(d->shared));
	d->generation++;
	d->loaded_at = time(NULL);
	if (!d->options->has_level)
		log_set_level(next->daemon.log_level);
	upkeep_follow_config(d);
	return true;
}

static void remember_error(struct daemon *d, const char *text)
{
	free(d->last_error);
	d->last_error = text ? strdup(text) : NULL;
}

static struct config *build(struct daemon *d, struct config_errors *errors)
{
	size_t count = 0;
	struct config_source *sources = helper_read_config(d->helper, &count, errors);
	struct config *next = sources ? config_parse(sources, count, d->config, errors) : NULL;

	helper_free_sources(sources, count);
	if (next)
		config_keep_restart_keys(d->config, next, name_kept, d);
	return next;
}

static void on_confirm_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	reload_on_timer(arg);
}

static bool await_confirmation(struct daemon *d, struct config *old, uint64_t confirm_us)
{
	struct timeval in = {.tv_sec = (time_t)(confirm_us / 1000000),
		.tv_usec = (suseconds_t)(confirm_us % 1000000)};

	if (!d->confirm_timer)
		d->confirm_timer = evtimer_new(d->base, on_confirm_timer, d);
	if (!d->confirm_timer || event_add(d->confirm_timer, &in) != 0)
		return false;
	d->unconfirmed_old = old;
	return true;
}

static bool reload(struct daemon *d, uint64_t confirm_us, char **message)
{
	struct config_errors errors = {0};
	struct config *old = d->config;
	struct config *next = build(d, &errors);
	char why[WHY];

	if (!next) {
		*message = all_faults(&errors);
		config_errors_free(&errors);
		return false;
	}
	if (!swap(d, next, why, sizeof(why))) {
		config_free(next);
		*message = say("the system refused it: %s", why);
		return false;
	}
	if (confirm_us && await_confirmation(d, old, confirm_us)) {
		*message = say("generation %llu is in force; the one before comes back in %llu s "
			       "unless confirmed",
			(unsigned long long)d->generation,
			(unsigned long long)(confirm_us / 1000000));
	} else {
		config_free(old);
		*message = say("generation %llu is in force", (unsigned long long)d->generation);
	}
	return true;
}

bool reload_now(struct daemon *d, uint64_t confirm_us, char **message)
{
	bool fine;

	if (d->stopping) {
		*message = say("the daemon is stopping");
		return false;
	}
	notify_reloading();
	if (d->unconfirmed_old) {
		*message = say("the last reload still waits for its confirmation");
		log_warning("not reloaded: %s", *message ? *message : "");
		notify_ready();
		return false;
	}
	fine = reload(d, confirm_us, message);
	remember_error(d, fine ? NULL : *message ? *message : "no memory");
	if (fine) {
		log_notice("%s reloaded: %s", d->options->file, *message ? *message : "");
		upkeep_survey(d);
	} else {
		log_error("not reloaded, nothing has changed:");
		log_text(LOG_LEVEL_ERROR, d->last_error ? d->last_error : "no memory");
	}
	notify_ready();
	return fine;
}

bool reload_confirm(struct daemon *d, char **message)
{
	if (!d->unconfirmed_old) {
		*message = say("no reload waits for a confirmation");
		return false;
	}
	evtimer_del(d->confirm_timer);
	config_free(d->unconfirmed_old);
	d->unconfirmed_old = NULL;
	*message = say("generation %llu is confirmed", (unsigned long long)d->generation);
	log_notice("%s", *message ? *message : "confirmed");
	return true;
}

void reload_on_timer(struct daemon *d)
{
	struct config *unconfirmed = d->config;
	struct config *old = d->unconfirmed_old;
	static const struct timeval again = {.tv_sec = 1};
	char why[WHY];

	if (d->stopping)
		return;
	if (!swap(d, old, why, sizeof(why))) {
		log_error("the reload was not confirmed, but the kernel refused the old rules, "
			  "which are tried again: %s",
			why);
		event_add(d->confirm_timer, &again);
		return;
	}
	d->unconfirmed_old = NULL;
	config_free(unconfirmed);
	remember_error(d, "the last reload was not confirmed in time and was taken back");
	log_warning(
		"the reload was not confirmed in time: the configuration before is in force again");
}
