/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start and stop.
 *
 * The order of the start is what keeps standing connections alive: the queues are bound before any
 * rule can send packets to them; what stands is admitted before the rules go in and once more
 * after, for what completed in between; the workers begin to judge last, with all that waited in
 * the queues meanwhile. Everything is opened as root; privileges are dropped before the first
 * thread starts, since capabilities are each thread's own, and before the rules are touched: a
 * start that fails leaves them as they were.
 *
 * Stopping is the reverse: rules first, so that no packet is sent to a queue that nobody reads.
 */
#include "config.h"

#include "daemon/daemon.h"

#include "daemon/cookies.h"
#include "daemon/daemon_state.h"
#include "daemon/interception.h"
#include "daemon/log.h"
#include "daemon/nft_process.h"
#include "daemon/notify.h"
#include "daemon/privileges.h"
#include "daemon/program.h"
#include "daemon/splicing.h"
#include "daemon/told.h"
#include "kernel/netns_lock.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	WHY = 512,
	PROGRAM_TIMEOUT_MS = 30000,
	STOP_COOKIES_MS = 500,
	STOP_LOOK_MS = 20,
	STOP_GRACE_US = 30000000, /* to take the rules away */
};

/* Wherever this program is installed: others have to see the same locks. */
static const char LOCK_FOLDER[] = "/run/ackgate";

static void print_faults(const struct config_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		fprintf(stderr, "%s\n", errors->list[i]);
}

static struct config *load(const char *file)
{
	struct config_errors errors = {0};
	struct config *c = NULL;
	size_t count;
	struct config_source *sources = config_read(file, &count, &errors);

	if (sources)
		c = config_parse(sources, count, NULL, &errors);
	print_faults(&errors);
	config_errors_free(&errors);
	config_sources_free(sources, sources ? count : 0);
	return c;
}

/* The programs run right here: for what happens before there is a daemon. */
static int exec_here(void *arg, const char *const argv[], const char *input, char **output)
{
	char *unwanted = NULL;
	int status = program_run(argv, input, PROGRAM_TIMEOUT_MS, output ? output : &unwanted);

	(void)arg;
	free(unwanted);
	return status;
}

static unsigned workers_of(const struct config *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = c->daemon.workers;

	if (n == 0)
		n = cpus > CONFIG_AUTO_WORKERS_MAX ? CONFIG_AUTO_WORKERS_MAX
		    : cpus < 1                     ? 1
						   : (unsigned)cpus;
	return n < DAEMON_WORKERS_MAX ? n : DAEMON_WORKERS_MAX;
}

static struct ruleset_plan plan_of(const struct config *c)
{
	return (struct ruleset_plan){
		.policy = &c->policy,
		.queue = c->netfilter.queue,
		.workers = workers_of(c),
		.mark = c->netfilter.mark,
		.fail_open = c->netfilter.fail_open,
	};
}

static struct ruleset *open_ruleset(
	const struct config *c, ruleset_exec exec, void *arg, char *why, size_t why_size)
{
	enum ruleset_way way =
		c->netfilter.manage == MANAGE_IPTABLES ? RULESET_IPTABLES : RULESET_NFTABLES;

	return ruleset_open(
		c->netfilter.manage == MANAGE_AUTO ? NULL : &way, exec, arg, why, why_size);
}

int daemon_test(const struct cmdline *options)
{
	struct config *c = load(options->file);

	if (!c)
		return EXIT_CONFIG;
	printf("%s: fine, %zu rule%s\n", options->file, c->policy.rule_count,
		c->policy.rule_count == 1 ? "" : "s");
	config_free(c);
	return EXIT_FINE;
}

static void print_unqueued(enum ruleset_way way, const struct ruleset_plan *plan)
{
	const struct unqueued_plan of = {
		.way = way,
		.group = plan->queue,
		.workers = plan->workers,
		.mark = plan->mark,
		.seed = 1, /* any */
		.servers = plan->translate,
		.listeners = told_of_listeners(plan->policy),
	};

	if (of.servers || of.listeners)
		unqueued_print(&of, stdout);
}

int daemon_print_rules(const struct cmdline *options)
{
	struct config *c = load(options->file);
	enum ruleset_way way = RULESET_NFTABLES;
	struct ruleset_plan plan;
	char why[WHY];

	if (!c)
		return EXIT_CONFIG;
	if (c->netfilter.manage == MANAGE_IPTABLES) {
		way = RULESET_IPTABLES;
	} else if (c->netfilter.manage != MANAGE_NFTABLES && privileges_enough(why, sizeof(why))) {
		struct ruleset *r = open_ruleset(c, exec_here, NULL, why, sizeof(why));

		if (r)
			way = ruleset_way(r);
		ruleset_close(r);
	}
	plan = plan_of(c);
	plan.translate = cookies_wanted(&c->policy);
	ruleset_print(way, &plan, stdout);
	lasting_print(&c->policy, plan.translate, stdout);
	interception_print(c, stdout);
	print_unqueued(way, &plan);
	config_free(c);
	return EXIT_FINE;
}

int daemon_purge(const struct cmdline *options)
{
	struct config *c = load(options->file);
	struct conntrack *conntrack;
	char why[WHY];
	int lock;

	if (!c)
		return EXIT_CONFIG;
	lock = privileges_enough(why, sizeof(why)) ? netns_lock_take(LOCK_FOLDER, why, sizeof(why))
						   : -1;
	if (lock < 0 || ruleset_purge(exec_here, NULL, why, sizeof(why)) != 0 ||
		tproxy_remove(NULL, why, sizeof(why)) != 0)
		goto refused;
	conntrack = conntrack_open(c->netfilter.mark, why, sizeof(why));
	if (!conntrack)
		goto refused;
	conntrack_clear_marks(conntrack);
	conntrack_close(conntrack);
	close(lock);
	config_free(c);
	return EXIT_FINE;
refused:
	fprintf(stderr, "ackgated: %s\n", why);
	if (lock >= 0)
		close(lock);
	config_free(c);
	return EXIT_SYSTEM;
}

void daemon_call_all(
	struct daemon *d, void (*fn)(const struct worker_view *view, void *arg), void *arg)
{
	for (unsigned i = 0; i < d->worker_count; i++)
		worker_call(d->workers[i], fn, arg);
}

int daemon_apply_rules(struct daemon *d, const struct config *c, char *why, size_t why_size)
{
	struct ruleset_plan plan = plan_of(c);

	if (interception_apply(d, c, why, why_size) != 0)
		return -1;
	if (!d->ruleset)
		return 0;
	plan.workers = d->worker_count;
	plan.were_away = upkeep_rules_were_away;
	plan.arg = d;
	cookies_plan(d, c, &plan);
	d->rules_stale = cookies_apply(d, c, why, why_size) != 0 ||
			 ruleset_apply(d->ruleset, &plan, why, why_size) != 0;
	if (d->rules_stale) {
		cookies_go_back(d);
		interception_go_back(d, c);
		return -1;
	}
	d->rules_in = true;
	/* Once more, for what completed before they were back. */
	if (d->rules_away)
		daemon_adopt(d, c);
	d->rules_away = false;
	told_apply(d, c);
	return 0;
}

static bool named_by_rule(void *arg, const struct tuple *t)
{
	return policy_may_judge(arg, &t->client, &t->server, t->server_port);
}

long daemon_adopt(struct daemon *d, const struct config *c)
{
	struct policy policy = c->policy;
	long n = conntrack_adopt(d->conntrack, named_by_rule, &policy);

	if (n < 0)
		log_warning("standing connections could not all be looked up: %s", strerror(errno));
	return n;
}

static bool open_workers(struct daemon *d, char *why, size_t why_size)
{
	struct worker_setup setup = {.config = d->config,
		.shared = d->shared,
		.workers = workers_of(d->config),
		.words = -1};

	if (pipe2(d->words, O_CLOEXEC | O_NONBLOCK) != 0) {
		snprintf(why, why_size, "can't make a pipe: %s", strerror(errno));
		return false;
	}
	setup.words = d->words[1];
	for (unsigned i = 0; i < setup.workers; i++) {
		setup.index = i;
		if (getrandom(&setup.key, sizeof(setup.key), 0) != (ssize_t)sizeof(setup.key)) {
			snprintf(why, why_size, "no random numbers: %s", strerror(errno));
			return false;
		}
		d->workers[i] = worker_open(&setup, why, why_size);
		if (!d->workers[i])
			return false;
		d->worker_count++;
	}
	return true;
}

static bool open_shared(struct daemon *d, char *why, size_t why_size)
{
	struct siphash_key key;

	if (getrandom(&key, sizeof(key), 0) == (ssize_t)sizeof(key))
		d->shared = engine_shared_new(d->config->limits.sources, &key);
	if (!d->shared)
		snprintf(why, why_size, "no memory for %u sources", d->config->limits.sources);
	return d->shared != NULL;
}

/* The rules go in, around what stands. */
static bool begin_gating(struct daemon *d, char *why, size_t why_size)
{
	long adopted = 0;

	if (d->config->netfilter.adopt)
		adopted = daemon_adopt(d, d->config);
	if (daemon_apply_rules(d, d->config, why, why_size) != 0)
		return false;
	if (d->config->netfilter.adopt)
		adopted += daemon_adopt(d, d->config);
	if (adopted > 0)
		log_info("standing connections admitted: %ld", adopted);
	return true;
}

/* The folder of a file; made if it is missing, as systemd or tmpfiles would have. */
static void make_folder_of(const char *file)
{
	char folder[256];
	const char *slash = strrchr(file, '/');

	if (!slash || slash == file || (size_t)(slash - file) >= sizeof(folder))
		return;
	memcpy(folder, file, (size_t)(slash - file));
	folder[slash - file] = '\0';
	mkdir(folder, 0755);
}

static bool open_all(struct daemon *d, char *why, size_t why_size)
{
	d->netns_lock = netns_lock_take(LOCK_FOLDER, why, why_size);
	if (d->netns_lock < 0)
		return false;
	if (d->config->netfilter.manage != MANAGE_NONE) {
		d->ruleset = open_ruleset(d->config, helper_exec, d->helper, why, why_size);
		if (!d->ruleset)
			return false;
	}
	splicing_raise_limit();
	d->conntrack = conntrack_open(d->config->netfilter.mark, why, why_size);
	if (!d->conntrack || !open_shared(d, why, why_size) || !cookies_open(d, why, why_size) ||
		!interception_open(d, why, why_size) || !open_workers(d, why, why_size))
		return false;
	told_open(d);
	d->base = event_base_new();
	if (!d->base) {
		snprintf(why, why_size, "can't make an event loop");
		return false;
	}
	if (!splicing_prepare(d, d->config, why, why_size))
		return false;
	d->control =
		control_open(d->base, d->config->daemon.control, &answers_ops, d, why, why_size);
	return d->control != NULL;
}

static bool drop_privileges(struct daemon *d, char *why, size_t why_size)
{
	const char *folder = d->config->daemon.state_dir;
	char secret[sizeof(d->config->daemon.state_dir) + sizeof("/cookie.secret")];
	char learned[sizeof(secret)];
	/* systemd gives the folder, and what is in it, back to root before each start. */
	const char *const owned[] = {secret, learned, folder, d->config->daemon.control, NULL};

	snprintf(secret, sizeof(secret), "%s/cookie.secret", folder);
	snprintf(learned, sizeof(learned), "%s/learned", folder);
	return privileges_drop(d->config->daemon.user, owned, why, why_size);
}

void daemon_stop(struct daemon *d)
{
	event_base_loopbreak(d->base);
}

static void give_no_more_cookies(const struct worker_view *view, void *arg)
{
	engine_hold_cookies(view->engine, arg, false);
}

static void on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	const uint64_t now = worker_now();

	(void)fd;
	(void)what;
	if (now >= d->stop_after_us && (splicing_idle(d) || now >= d->stop_at_us))
		daemon_stop(d);
}

/*
 * Clients that have been sent a cookie get a moment to come back with it: without us, their server
 * would reset them. Spliced connections may end by themselves for as long as [daemon] drain says. A
 * second signal does not wait.
 */
static void stop_gently(struct daemon *d)
{
	static const struct timeval often = {.tv_usec = STOP_LOOK_MS * 1000};
	const bool cookies = cookies_under_way(d);
	const uint64_t now = worker_now();
	bool all[POLICY_RULES_MAX], spliced;

	/* First, so that nobody comes in between. */
	splicing_rest(d);
	spliced = !splicing_idle(d);
	if (d->stopping || (!cookies && !spliced)) {
		daemon_stop(d);
		return;
	}
	d->stopping = true;
	d->stop_after_us = cookies ? now + STOP_COOKIES_MS * 1000 : now;
	d->stop_at_us = now + d->config->daemon.drain_us;
	d->stop_timer = event_new(d->base, -1, EV_PERSIST, on_stop_timer, d);
	if (!d->stop_timer || event_add(d->stop_timer, &often) != 0) {
		daemon_stop(d);
		return;
	}
	memset(all, true, sizeof(all));
	told_pause(d);
	daemon_call_all(d, give_no_more_cookies, all);
	notify_stop_lasts(d->config->daemon.drain_us + STOP_GRACE_US);
	if (spliced)
		log_notice("stopping once the spliced connections have ended, or after %llu s",
			(unsigned long long)(d->config->daemon.drain_us / 1000000));
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct daemon *d = arg;
	char *message = NULL;

	(void)what;
	switch (number) {
	case SIGHUP:
		reload_now(d, 0, &message);
		break;
	case SIGUSR1:
		answers_log_status(d);
		break;
	default:
		stop_gently(d);
		break;
	}
	free(message);
}

static bool listen_to_signals(struct daemon *d)
{
	static const int numbers[DAEMON_SIGNALS] = {SIGHUP, SIGUSR1, SIGTERM, SIGINT};

	for (int i = 0; i < DAEMON_SIGNALS; i++) {
		d->signals[i] = evsignal_new(d->base, numbers[i], on_signal, d);
		if (!d->signals[i] || event_add(d->signals[i], NULL) != 0)
			return false;
	}
	return true;
}

/* Signals are the main thread's alone. */
static bool start_workers(struct daemon *d, char *why, size_t why_size)
{
	sigset_t all, before;
	bool fine = true;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < d->worker_count && fine; i++)
		fine = worker_start(d->workers[i], why, why_size);
	fine = fine && splicing_start(d, why, why_size);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return fine;
}

static const char *way_word(const struct daemon *d)
{
	if (!d->ruleset)
		return "rules of others";
	return ruleset_way(d->ruleset) == RULESET_NFTABLES ? "nftables" : "iptables";
}

static bool start(struct daemon *d, char *why, size_t why_size)
{
	if (!open_all(d, why, why_size) || !drop_privileges(d, why, why_size) ||
		!cookies_begin(d, why, why_size) || !begin_gating(d, why, why_size))
		return false;
	splicing_commit(d);
	upkeep_survey(d);
	if (!upkeep_start(d, why, why_size))
		return false;
	if (!listen_to_signals(d)) {
		snprintf(why, why_size, "can't listen to signals");
		return false;
	}
	return start_workers(d, why, why_size);
}

static void say_started(struct daemon *d)
{
	log_notice("ackgated " PACKAGE_VERSION
		   " judges by %zu rule%s of %s, through %s and %u queue%s%s",
		d->config->policy.rule_count, d->config->policy.rule_count == 1 ? "" : "s",
		d->options->file, way_word(d), d->worker_count, d->worker_count == 1 ? "" : "s",
		d->config->daemon.enforce ? "" : "; enforce = no: nothing is dropped");
	notify_status("judging by %zu rules", d->config->policy.rule_count);
	notify_ready();
}

static void take_rules_away(struct daemon *d)
{
	char why[WHY];

	if (!d->ruleset || !d->rules_in)
		return;
	told_stop(d);
	if (ruleset_remove(d->ruleset, why, sizeof(why)) != 0)
		log_error(
			"our kernel rules could not be taken away: %s; ackgated --purge does", why);
	else
		conntrack_clear_marks(d->conntrack);
	cookies_stop(d);
}

/* systemd keeps the folder root's, and so is one that we made. */
static void close_control(struct daemon *d)
{
	char why[WHY];

	if (!control_close(d->control) && !helper_remove_socket(d->helper, why, sizeof(why)))
		log_warning("%s stays: %s", d->config->daemon.control, why);
}

static void close_all(struct daemon *d)
{
	upkeep_stop(d);
	splicing_close(d);
	interception_stop(d);
	take_rules_away(d);
	close_control(d);
	for (unsigned i = 0; i < d->worker_count; i++)
		worker_close(d->workers[i]);
	for (int i = 0; i < DAEMON_SIGNALS; i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	if (d->confirm_timer)
		event_free(d->confirm_timer);
	if (d->drain_timer)
		event_free(d->drain_timer);
	if (d->stop_timer)
		event_free(d->stop_timer);
	if (d->base)
		event_base_free(d->base);
	engine_shared_free(d->shared);
	if (d->conntrack)
		conntrack_close(d->conntrack);
	ruleset_close(d->ruleset);
	told_close(d);
	cookies_close(d);
	interception_close(d);
	for (int i = 0; i < 2; i++)
		if (d->words[i] >= 0)
			close(d->words[i]);
	if (d->netns_lock >= 0)
		close(d->netns_lock);
	nft_process_stop(d->nft);
	helper_stop(d->helper);
	config_free(d->unconfirmed_old);
	config_free(d->config);
	free(d->last_error);
}

int daemon_run(const struct cmdline *options)
{
	struct daemon d = {.options = options,
		.netns_lock = -1,
		.words = {-1, -1},
		.generation = 1,
		.started_us = worker_now()};
	char why[WHY] = "";
	int status = EXIT_SYSTEM;

	signal(SIGPIPE, SIG_IGN);
	d.config = load(options->file);
	if (!d.config)
		return EXIT_CONFIG;
	d.loaded_at = time(NULL);
	if (privileges_enough(why, sizeof(why))) {
		make_folder_of(d.config->daemon.control);
		d.helper = helper_start(options->file, d.config->daemon.control, why, sizeof(why));
		if (d.helper)
			d.nft = nft_process_start(d.config->daemon.user, why, sizeof(why));
	}
	splicing_inherit(&d);
	log_open(d.config->daemon.log,
		options->has_level ? options->level : d.config->daemon.log_level);
	if (!d.nft || !start(&d, why, sizeof(why))) {
		log_error("%s", why);
		goto out;
	}
	say_started(&d);
	event_base_dispatch(d.base);
	notify_stopping();
	log_notice("stopping");
	status = EXIT_FINE;
out:
	close_all(&d);
	return status;
}
