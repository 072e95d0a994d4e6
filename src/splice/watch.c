/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "splice/watch.h"

#include <unistd.h>

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)what;
	/* What is more than fits is still there in the loop's next round. */
	w->count = epoll_wait(fd, w->batch, WATCH_BATCH, 0);
	for (w->at = 0; w->at < w->count; w->at++) {
		void *of = w->batch[w->at].data.ptr;

		if (of)
			w->told(of, w->batch[w->at].events);
	}
	w->count = 0;
}

int watch_open(struct watch *w, struct event_base *base, watch_told told)
{
	w->told = told;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -1;
	event_assign(&w->event, base, w->epoll, EV_READ | EV_PERSIST, on_ready, w);
	return event_add(&w->event, NULL);
}

void watch_close(struct watch *w)
{
	if (w->epoll < 0)
		return;
	event_del(&w->event);
	close(w->epoll);
	w->epoll = -1;
}

bool watch_add(struct watch *w, int fd, void *of)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET, .data.ptr = of};

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void watch_forget(struct watch *w, const void *of)
{
	for (int i = w->at + 1; i < w->count; i++)
		if (w->batch[i].data.ptr == of)
			w->batch[i].data.ptr = NULL;
}
