/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the front shows of what is in force. */
#include "config.h"

#include "splice/splice_state.h"

#include <string.h>

void splice_each_place(const struct splice *s,
	void (*each)(void *arg, const struct splice_place_view *place), void *arg)
{
	for (size_t i = 0; i < s->now.place_count; i++) {
		const struct place *p = &s->now.places[i];
		struct splice_place_view view = {
			.rule = p->route->name, .at = p->at, .transparent = p->transparent};

		for (unsigned k = 0; k < p->count; k++) {
			struct listener_backlog b = {0};

			if (!p->listeners[k] || !listener_read_backlog(p->listeners[k]->fd, &b))
				continue;
			view.backlog.now += b.now;
			view.backlog.max += b.max;
			view.backlog.overflows += b.overflows;
		}
		each(arg, &view);
	}
}

static bool is_down(const struct backend *b)
{
	for (unsigned i = 0; i < backend_server_count(b); i++) {
		struct backend_view view;

		backend_view(b, i, &view);
		if (view.state == SERVER_UP)
			return false;
	}
	return true;
}

void splice_each_rule(const struct splice *s,
	void (*each)(void *arg, const struct splice_rule_view *rule), void *arg)
{
	for (size_t i = 0; i < s->now.route_count; i++) {
		const struct route *r = s->now.routes[i];
		const struct splice_rule_view view = {
			.slot = r->slot,
			.open = atomic_load_explicit(&r->tally->open, memory_order_relaxed),
			.total = atomic_load_explicit(&r->tally->total, memory_order_relaxed),
			.backend_down = r->backend && is_down(r->backend),
		};

		each(arg, &view);
	}
}

void splice_each_server(const struct splice *s,
	void (*each)(void *arg, const char *backend, const struct backend_view *server), void *arg)
{
	for (size_t i = 0; i < s->now.backend_count; i++) {
		const struct backend *b = s->now.backends[i];

		for (unsigned k = 0; k < backend_server_count(b); k++) {
			struct backend_view view;

			backend_view(b, k, &view);
			each(arg, backend_name(b), &view);
		}
	}
}

bool splice_administer(
	struct splice *s, const char *backend, const char *server, enum server_admin admin)
{
	struct backend *b = state_backend(&s->now, backend);

	return b && backend_administer(b, server, admin, loop_clock());
}
