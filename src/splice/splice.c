/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/splice.h"

#include "splice/session.h"
#include "splice/splice_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool wants_record(void *arg)
{
	const struct splice *s = arg;

	return s->events->wants_record(s->arg);
}

static void ended(void *arg, const struct splice_record *record)
{
	const struct splice *s = arg;

	s->events->ended(s->arg, record);
}

static void accepting(void *arg, bool paused)
{
	const struct splice *s = arg;

	s->events->accepting(s->arg, paused);
}

static const struct splice_calls calls = {wants_record, ended, accepting};

static void told(void *arg, enum config_log_level level, const char *sentence)
{
	const struct splice *s = arg;

	s->events->told(s->arg, level, sentence);
}

static void room(void *arg)
{
	struct splice *s = arg;

	loop_wake_all(&s->loops[0]);
}

struct splice *splice_open(
	unsigned threads, const struct splice_events *events, void *arg, char *why, size_t why_size)
{
	struct splice *s = calloc(1, sizeof(*s));

	if (!s) {
		snprintf(why, why_size, "no memory");
		return NULL;
	}
	s->events = events;
	s->arg = arg;
	s->hooks = (struct server_hooks){told, room, s};
	for (unsigned i = 0; i < threads; i++) {
		int status = loop_open(&s->loops[i], &calls, s);

		s->loop_count++;
		if (status != 0) {
			snprintf(why, why_size, "a splice thread can't be made: %s",
				strerror(errno));
			splice_close(s);
			return NULL;
		}
	}
	s->checks = checks_new(s->loops[0].base);
	if (!s->checks) {
		snprintf(why, why_size, "no memory");
		splice_close(s);
		return NULL;
	}
	for (unsigned i = 0; i < threads; i++) {
		s->loops[i].peers = s->loops;
		s->loops[i].peer_count = threads;
	}
	return s;
}

bool splice_start(struct splice *s, char *why, size_t why_size)
{
	for (unsigned i = 0; i < s->loop_count; i++) {
		if (loop_start(&s->loops[i]) != 0) {
			snprintf(why, why_size, "a splice thread can't be started: %s",
				strerror(errno));
			return false;
		}
	}
	return true;
}

static void free_checks(struct loop *l, void *arg)
{
	(void)l;
	checks_free(arg);
}

void splice_close(struct splice *s)
{
	if (!s)
		return;
	if (s->checks)
		loop_call(&s->loops[0], free_checks, s->checks);
	/* All threads first: each may wake all others. */
	for (unsigned i = 0; i < s->loop_count; i++)
		loop_stop(&s->loops[i]);
	for (unsigned i = 0; i < s->loop_count; i++)
		loop_close(&s->loops[i]);
	state_free(&s->now);
	inherited_close(s);
	free(s);
}

static void rest(struct loop *l, void *arg)
{
	(void)arg;
	listener_rest_all(l);
}

void splice_rest(struct splice *s)
{
	for (unsigned i = 0; i < s->loop_count; i++)
		loop_call(&s->loops[i], rest, NULL);
}

void splice_totals(const struct splice *s, struct splice_totals *out)
{
	*out = (struct splice_totals){0};
	for (unsigned i = 0; i < s->loop_count; i++) {
		const struct loop *l = &s->loops[i];

		out->open += atomic_load_explicit(&l->open, memory_order_relaxed);
		out->total += atomic_load_explicit(&l->total, memory_order_relaxed);
		out->bytes_in += atomic_load_explicit(&l->bytes_in, memory_order_relaxed);
		out->bytes_out += atomic_load_explicit(&l->bytes_out, memory_order_relaxed);
	}
}
