/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/loop.h"

#include "splice/listener.h"
#include "splice/session.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

uint64_t loop_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void wake(const struct loop *l)
{
	const uint64_t one = 1;

	if (l->wake < 0)
		return;
	/* It can fail only if the counter is full, and then the loop wakes anyway. */
	if (write(l->wake, &one, sizeof(one)) < 0)
		return;
}

void loop_wake_all(struct loop *l)
{
	for (unsigned i = 0; i < l->peer_count; i++)
		if (!atomic_exchange(&l->peers[i].woken, true))
			wake(&l->peers[i]);
}

static void run_call(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->fn) {
		l->now_us = loop_clock();
		l->fn(l, l->fn_arg);
		l->fn = NULL;
		pthread_cond_signal(&l->done);
	}
	if (l->stop)
		event_base_loopbreak(l->base);
	pthread_mutex_unlock(&l->lock);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	run_call(l);
	if (atomic_exchange(&l->woken, false)) {
		l->now_us = loop_clock();
		session_retry_waiting(l);
		listener_resume_all(l);
	}
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->now_us = loop_clock();
	session_retry_waiting(l);
	listener_resume_all(l);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->now_us = loop_clock();
	session_run_again(l);
}

void loop_call(struct loop *l, void (*fn)(struct loop *l, void *arg), void *arg)
{
	if (!l->running) {
		l->now_us = loop_clock();
		fn(l, arg);
		return;
	}
	pthread_mutex_lock(&l->lock);
	l->fn = fn;
	l->fn_arg = arg;
	wake(l);
	while (l->fn)
		pthread_cond_wait(&l->done, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

int loop_open(struct loop *l, const struct splice_calls *calls, void *arg)
{
	struct event_config *config = event_config_new();

	*l = (struct loop){.calls = calls, .arg = arg, .wake = -1, .watch.epoll = -1};
	TAILQ_INIT(&l->listeners);
	TAILQ_INIT(&l->sessions);
	TAILQ_INIT(&l->again);
	TAILQ_INIT(&l->waiting);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->done, NULL);
	if (!config)
		return -1;
	/* The loop has its own clock, and nobody else touches its base. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
	l->base = event_base_new_with_config(config);
	event_config_free(config);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!l->base || l->wake < 0 || reserve_open(&l->reserve) != 0)
		return -1;
	event_assign(&l->wake_event, l->base, l->wake, EV_READ | EV_PERSIST, on_wake, l);
	event_assign(&l->again_event, l->base, -1, 0, on_again, l);
	event_assign(&l->resume_timer, l->base, -1, 0, on_resume, l);
	return event_add(&l->wake_event, NULL) == 0 ? watch_open(&l->watch, l->base, session_told)
						    : -1;
}

static void *run(void *arg)
{
	struct loop *l = arg;

	pthread_setname_np(pthread_self(), "splice");
	event_base_dispatch(l->base);
	return NULL;
}

int loop_start(struct loop *l)
{
	int error = pthread_create(&l->thread, NULL, run, l);

	if (error) {
		errno = error;
		return -1;
	}
	l->running = true;
	return 0;
}

void loop_stop(struct loop *l)
{
	if (!l->running)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	wake(l);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	l->running = false;
}

void loop_close(struct loop *l)
{
	loop_stop(l);
	if (l->base) {
		l->now_us = loop_clock();
		listener_close_all(l);
		session_end_all(l);
		watch_close(&l->watch);
		event_base_free(l->base);
		reserve_close(&l->reserve);
	}
	if (l->wake >= 0)
		close(l->wake);
	l->wake = -1; /* sessions of other loops may still wake all */
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->done);
}
