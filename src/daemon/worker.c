/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/worker.h"

#include "daemon/log.h"
#include "daemon/resend.h"
#include "kernel/conntrack.h"
#include "kernel/ifname.h"
#include "kernel/nflog.h"
#include "kernel/translations.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCHES = 16,      /* read in a row before the loop looks at anything else */
	COPY_RANGE = 2048, /* all of a SYN, with the data that Fast Open puts in it */
	EXPIRE_MS = 100,
	ROUNDS_BEHIND = 4, /* longer than others may have had its CPU */
	WHY = 256,

	EVENT_LOG = LANES,
	EVENT_WAKE,
	EVENT_EXPIRY,
	EVENTS
};

/* Who reads which queue, for the loop. */
struct reader {
	struct worker *worker;
	enum engine_lane lane;
};

struct worker {
	struct engine *engine;
	struct queue *queue[LANES];
	struct nflog *log; /* NULL: the kernel has none for us */
	struct conntrack *conntrack;
	struct translations *translations;
	const struct learned *learned;
	struct inject *inject;
	struct ifname_cache interfaces;
	bool by_interface;
	uint64_t now_us;

	struct failure failures[WORKER_FAILURES];
	uint64_t failure_count;
	atomic_uint_fast64_t heartbeat;
	unsigned rounds;             /* after which there was more in the log */
	atomic_uint_fast64_t behind; /* times */

	struct event_base *base;
	struct event *events[EVENTS];
	struct reader readers[LANES];
	int words;
	int wake; /* eventfd */
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* of the call */
	pthread_cond_t done;
	void (*fn)(const struct worker_view *view, void *arg);
	void *arg;
	bool stop;
};

uint64_t worker_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t worker_heartbeat(const struct worker *w)
{
	return atomic_load_explicit(&w->heartbeat, memory_order_relaxed);
}

uint64_t worker_times_behind(const struct worker *w)
{
	return atomic_load_explicit(&w->behind, memory_order_relaxed);
}

static const char *rule_name(const struct worker *w, uint16_t slot)
{
	return engine_rule_name(w->engine, slot);
}

/* A handshake that failed is told at info and kept; a packet that was nothing but stray is told at
 * debug. */
static void take_report(struct worker *w, const struct report *r)
{
	struct timespec t;

	if (r->cause == CAUSE_NONE && r->reason != REASON_rule) {
		if (log_wanted(LOG_LEVEL_DEBUG))
			log_refused(r, rule_name(w, r->slot));
		return;
	}
	clock_gettime(CLOCK_REALTIME, &t);
	w->failures[w->failure_count++ % WORKER_FAILURES] = (struct failure){
		.at_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000,
		.report = *r,
	};
	log_refused(r, rule_name(w, r->slot));
}

/* A full pipe loses it: what it says will show again. */
static void tell_main(const struct worker *w, const struct worker_word *word)
{
	if (write(w->words, word, sizeof(*word)) < 0 && errno != EAGAIN)
		log_debug("the main thread could not be told: %s", strerror(errno));
}

static void pass_on(const struct worker *w, const struct unreachable *u)
{
	const struct worker_word word = {.kind = WORD_UNREACHABLE, .unreachable = *u};

	tell_main(w, &word);
}

static void ask_for_block(const struct worker *w, const struct block *b)
{
	const struct worker_word word = {.kind = WORD_BLOCK, .block = *b};

	tell_main(w, &word);
}

static void take_notice(const struct worker *w, const struct notice *n)
{
	const struct worker_word word = {.kind = WORD_COOKIES};

	log_notable(n, rule_name(w, n->slot));
	if (n->kind == NOTICE_COOKIES_ON)
		tell_main(w, &word);
}

static void queue_effects(struct worker *w, const struct effects *effects)
{
	for (size_t i = 0; i < effects->count; i++) {
		const struct effect *e = &effects->list[i];

		switch (e->type) {
		case EFFECT_CT_DELETE:
			conntrack_delete(w->conntrack, &e->tuple);
			break;
		case EFFECT_CT_UNMARK:
			conntrack_unmark(w->conntrack, &e->tuple);
			break;
		case EFFECT_SEND:
			inject_add(w->inject, e->send.bytes, e->send.len);
			break;
		case EFFECT_REPORT:
			take_report(w, &e->report);
			break;
		case EFFECT_PASS_ON:
			pass_on(w, &e->unreachable);
			break;
		case EFFECT_TRANSLATE:
			translations_add(w->translations, &e->translation);
			break;
		case EFFECT_BLOCK:
			ask_for_block(w, &e->block);
			break;
		case EFFECT_NOTICE:
			take_notice(w, &e->notice);
			break;
		case EFFECT_RST:
		case EFFECT_TOO_BIG:
			break; /* judge() has seen to it */
		}
	}
}

void worker_carry_out(struct worker *w, const struct effects *effects)
{
	queue_effects(w, effects);
	conntrack_flush(w->conntrack);
	translations_flush(w->translations);
	inject_flush(w->inject);
}

/* The kernel translates from now on; or it can't, and both ends have to be told. */
static void on_translated(void *arg, const struct translation *t, const struct addr *client,
	uint16_t client_port, int error)
{
	struct worker *w = arg;
	uint8_t bytes[BUILD_MAX];
	struct effects effects;

	if (error) {
		log_warning("a connection that began with a cookie could not be made: %s",
			error == ENOMEM ? "conntrack's table is full" : strerror(error));
		engine_untranslated(w->engine, t, &effects);
		queue_effects(w, &effects);
		return;
	}
	inject_add(w->inject, bytes, translation_build_ack(t, client, client_port, bytes));
	inject_add(w->inject, bytes, translation_build_update(t, bytes));
}

static void resend(struct worker *w, struct decision *out)
{
	const struct resend with = {w->translations, w->inject, w->learned};

	for (size_t i = 0; i < out->effects.count; i++) {
		const struct effect *e = &out->effects.list[i];

		if ((e->type == EFFECT_RST && resend_rst(&with, &e->rst)) ||
			(e->type == EFFECT_TOO_BIG && resend_too_big(&with, &e->too_big)))
			out->verdict = VERDICT_DROP;
	}
}

static void judge(void *arg, struct engine_packet *in, uint32_t ifindex, struct decision *out)
{
	struct worker *w = arg;

	if (w->by_interface && ifindex)
		in->interface = ifname_get(&w->interfaces, ifindex, w->now_us);
	engine_packet(w->engine, in, w->now_us, out);
	if (in->lane == LANE_ADMITTED || in->lane == LANE_PROOFS)
		resend(w, out);
	queue_effects(w, &out->effects);
}

static void before_verdicts(void *arg)
{
	struct worker *w = arg;

	conntrack_flush(w->conntrack);
	translations_flush(w->translations);
}

static void expect(void *arg, const struct engine_packet *packets, size_t count)
{
	const struct worker *w = arg;

	engine_expect(w->engine, packets, count);
}

static uint64_t unix_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return (uint64_t)t.tv_sec;
}

/* One batch; how many packets it was, 0 also if it failed. */
static int read_batch(struct worker *w, enum engine_lane lane)
{
	static const struct queue_calls calls = {expect, judge, before_verdicts};
	int n;

	w->now_us = worker_now();
	engine_clock(w->engine, unix_seconds());
	n = queue_run(w->queue[lane], &calls, w);
	if (n < 0)
		log_error("reading the packet queue failed: %s", strerror(errno));
	inject_flush(w->inject);
	return n > 0 ? n : 0;
}

/* What honest clients wait for under a flood of SYNs. */
static int read_honest(struct worker *w)
{
	return read_batch(w, LANE_PROOFS) + read_batch(w, LANE_ANSWERS);
}

/* While the verdicts were carried out the next packets have likely come. */
static void read_queue(struct worker *w, enum engine_lane lane)
{
	int n = 1;

	for (int i = 0; i < BATCHES && n > 0; i++)
		n = read_batch(w, lane) + read_honest(w);
}

static void on_queue(evutil_socket_t fd, short what, void *arg)
{
	const struct reader *r = arg;

	(void)fd;
	(void)what;
	read_queue(r->worker, r->lane);
}

static void hear(void *arg, const struct engine_packet *in)
{
	struct worker *w = arg;
	struct decision d;

	engine_packet(w->engine, in, w->now_us, &d);
	queue_effects(w, &d.effects);
}

static int read_logged_batch(struct worker *w)
{
	const uint64_t lost = nflog_lost(w->log);
	int n;

	w->now_us = worker_now();
	engine_clock(w->engine, unix_seconds());
	n = nflog_run(w->log, hear, w);
	if (n < 0)
		log_error("reading the packet log failed: %s", strerror(errno));
	if (nflog_lost(w->log) != lost)
		engine_missed(w->engine, w->now_us);
	conntrack_flush(w->conntrack);
	inject_flush(w->inject);
	return n > 0 ? n : 0;
}

static void on_logged(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	int n = 1;

	(void)fd;
	(void)what;
	for (int i = 0; i < BATCHES && n > 0; i++) {
		n = read_logged_batch(w);
		read_honest(w);
	}
	w->rounds = n > 0 ? w->rounds + 1 : 0;
	if (w->rounds >= ROUNDS_BEHIND)
		atomic_fetch_add_explicit(&w->behind, 1, memory_order_relaxed);
}

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct effects effects;
	bool more;

	(void)fd;
	(void)what;
	atomic_fetch_add_explicit(&w->heartbeat, 1, memory_order_relaxed);
	w->now_us = worker_now();
	engine_clock(w->engine, unix_seconds());
	do {
		more = engine_expire(w->engine, w->now_us, &effects);
		queue_effects(w, &effects);
	} while (more);
	conntrack_flush(w->conntrack);
	inject_flush(w->inject);
}

static void run_call(struct worker *w)
{
	struct worker_view view = {
		.engine = w->engine,
		.now_us = worker_now(),
		.failures = w->failures,
		.failure_count = w->failure_count,
		.worker = w,
	};

	for (int i = 0; i < LANES; i++)
		queue_stats(w->queue[i], &view.queue[i]);
	view.log_lost = w->log ? nflog_lost(w->log) : 0;
	w->fn(&view, w->arg);
	w->by_interface = engine_by_interface(w->engine);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&w->lock);
	if (w->fn)
		run_call(w);
	w->fn = NULL;
	if (w->stop)
		event_base_loopbreak(w->base);
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
}

static void wake(struct worker *w)
{
	uint64_t one = 1;

	while (write(w->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void worker_call(struct worker *w, void (*fn)(const struct worker_view *view, void *arg), void *arg)
{
	pthread_mutex_lock(&w->lock);
	w->fn = fn;
	w->arg = arg;
	if (!w->running) {
		run_call(w);
		w->fn = NULL;
	} else {
		wake(w);
		while (w->fn)
			pthread_cond_wait(&w->done, &w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

static void *loop(void *arg)
{
	struct worker *w = arg;

	event_base_dispatch(w->base);
	return NULL;
}

static bool open_queue(struct worker *w, const struct worker_setup *s, enum engine_lane lane,
	char *why, size_t why_size)
{
	struct queue_options o = {
		.number = (uint16_t)(s->config->netfilter.queue + s->index + lane * s->workers),
		.length = s->config->netfilter.queue_length,
		.copy_range = COPY_RANGE,
		.mark = s->config->netfilter.mark,
		.lane = lane,
		.closes_first = lane == LANE_ADMITTED,
	};

	w->queue[lane] = queue_open(&o, why, why_size);
	return w->queue[lane] != NULL;
}

/* A lookup in a large table costs as much for the page tables as for the table itself. */
static void ask_for_large_pages(void *start, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)start + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)start + size) & ~(page - 1);

	if (from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
}

static bool open_engine(struct worker *w, const struct worker_setup *s, char *why, size_t why_size)
{
	struct engine_limits limits = {
		.half_open = s->config->limits.half_open / s->workers,
		.flows = s->config->limits.flows / s->workers,
		.in_flight = s->config->limits.handshakes_in_flight / s->workers,
		.shards = s->workers,
	};

	if (limits.half_open == 0)
		limits.half_open = 1;
	if (limits.in_flight == 0)
		limits.in_flight = 1;
	w->engine = engine_new(&limits, &s->config->policy, s->shared, &s->key, worker_now());
	if (!w->engine)
		snprintf(why, why_size, "no memory for %u half-open and %u admitted flows",
			limits.half_open, limits.flows);
	else
		engine_memory(w->engine, ask_for_large_pages);
	return w->engine != NULL;
}

static bool open_loop(struct worker *w, char *why, size_t why_size)
{
	struct timeval every = {.tv_usec = EXPIRE_MS * 1000};

	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->base = event_base_new();
	if (w->base && w->wake >= 0) {
		for (int i = 0; i < LANES; i++) {
			w->readers[i] = (struct reader){w, (enum engine_lane)i};
			w->events[i] = event_new(w->base, queue_fd(w->queue[i]),
				EV_READ | EV_PERSIST, on_queue, &w->readers[i]);
		}
		if (w->log)
			w->events[EVENT_LOG] = event_new(
				w->base, nflog_fd(w->log), EV_READ | EV_PERSIST, on_logged, w);
		w->events[EVENT_WAKE] =
			event_new(w->base, w->wake, EV_READ | EV_PERSIST, on_wake, w);
		w->events[EVENT_EXPIRY] = event_new(w->base, -1, EV_PERSIST, on_expiry, w);
	}
	for (int i = 0; i < EVENTS; i++) {
		if (i == EVENT_LOG && !w->log)
			continue;
		if (!w->events[i] ||
			event_add(w->events[i], i == EVENT_EXPIRY ? &every : NULL) != 0) {
			snprintf(why, why_size, "can't set up a worker's event loop");
			return false;
		}
	}
	return true;
}

/* Nobody has to have it. */
static void open_log(struct worker *w, const struct worker_setup *s)
{
	char why[WHY];

	w->log = nflog_open((uint16_t)(s->config->netfilter.queue + s->index),
		s->config->netfilter.mark, why, sizeof(why));
	if (!w->log)
		log_debug("SYNs are queued in floods, too: %s", why);
}

bool worker_hears_log(const struct worker *w)
{
	return w->log != NULL;
}

struct worker *worker_open(const struct worker_setup *s, char *why, size_t why_size)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w) {
		snprintf(why, why_size, "no memory for a worker");
		return NULL;
	}
	w->wake = -1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->done, NULL);
	if (!open_engine(w, s, why, why_size))
		goto out;
	for (int lane = 0; lane < LANES; lane++)
		if (!open_queue(w, s, (enum engine_lane)lane, why, why_size))
			goto out;
	open_log(w, s);
	w->conntrack = conntrack_open(s->config->netfilter.mark, why, why_size);
	w->translations = w->conntrack ? translations_open(s->config->netfilter.mark, on_translated,
						 w, why, why_size)
				       : NULL;
	w->inject = w->translations ? inject_open(s->config->netfilter.mark, why, why_size) : NULL;
	if (!w->inject || !open_loop(w, why, why_size))
		goto out;
	w->by_interface = s->config->policy.by_interface;
	w->words = s->words;
	w->learned = engine_shared_learned(s->shared);
	return w;
out:
	worker_close(w);
	return NULL;
}

bool worker_start(struct worker *w, char *why, size_t why_size)
{
	int error = pthread_create(&w->thread, NULL, loop, w);

	if (error) {
		snprintf(why, why_size, "can't start a worker's thread: %s", strerror(error));
		return false;
	}
	w->running = true;
	return true;
}

void worker_close(struct worker *w)
{
	if (!w)
		return;
	if (w->running) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_mutex_unlock(&w->lock);
		wake(w);
		pthread_join(w->thread, NULL);
	}
	for (int i = 0; i < EVENTS; i++)
		if (w->events[i])
			event_free(w->events[i]);
	if (w->base)
		event_base_free(w->base);
	if (w->wake >= 0)
		close(w->wake);
	for (int i = 0; i < LANES; i++)
		if (w->queue[i])
			queue_close(w->queue[i]);
	nflog_close(w->log);
	if (w->conntrack)
		conntrack_close(w->conntrack);
	translations_close(w->translations);
	if (w->inject)
		inject_close(w->inject);
	engine_free(w->engine);
	pthread_cond_destroy(&w->done);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
