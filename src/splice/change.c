/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From one configuration to the next. */
#include "config.h"

#include "splice/splice_state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct making {
	struct splice *s;
	struct splice_change *change;
	const struct config *config;
	char *why;
	size_t why_size;
};

static bool refuse(const struct making *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool refuse(const struct making *m, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->why, m->why_size, format, args);
	va_end(args);
	return false;
}

struct route *state_route(const struct state *s, uint16_t slot)
{
	for (size_t i = 0; i < s->route_count; i++)
		if (s->routes[i]->slot == slot)
			return s->routes[i];
	return NULL;
}

struct backend *state_backend(const struct state *s, const char *name)
{
	for (size_t i = 0; i < s->backend_count; i++)
		if (strcmp(backend_name(s->backends[i]), name) == 0)
			return s->backends[i];
	return NULL;
}

static const struct place *state_place(const struct state *s, const struct place *like)
{
	for (size_t i = 0; i < s->place_count; i++)
		if (strcmp(s->places[i].name, like->name) == 0)
			return &s->places[i];
	return NULL;
}

void state_free(struct state *s)
{
	for (size_t i = 0; i < s->route_count; i++)
		route_unref(s->routes[i]);
	for (size_t i = 0; i < s->backend_count; i++)
		backend_unref(s->backends[i]);
	free(s->routes);
	free(s->backends);
	free(s->places);
	*s = (struct state){0};
}

static bool make_backends(const struct making *m)
{
	struct state *next = &m->change->next;
	const size_t count = m->config->backend_count;

	next->backends = calloc(count + 1, sizeof(struct backend *));
	for (size_t i = 0; next->backends && i < count; i++) {
		const struct config_backend *c = &m->config->backends[i];
		struct backend *b = backend_new(
			c, state_backend(&m->s->now, c->name), &m->s->hooks, loop_clock());

		if (!b)
			return refuse(m, "no memory for backend %s", c->name);
		next->backends[next->backend_count++] = b;
	}
	return next->backends ? true : refuse(m, "no memory for backends");
}

static const struct route *old_route(const struct splice *s, const char *name)
{
	for (size_t i = 0; i < s->now.route_count; i++)
		if (strcmp(s->now.routes[i]->name, name) == 0)
			return s->now.routes[i];
	return NULL;
}

static bool make_routes(const struct making *m)
{
	struct state *next = &m->change->next;
	const struct policy *p = &m->config->policy;

	next->routes = calloc(p->rule_count + 1, sizeof(struct route *));
	for (size_t i = 0; next->routes && i < p->rule_count; i++) {
		const struct config_splice *set = &m->config->splices[i];
		struct route *r;

		if (p->rules[i].mode != MODE_SPLICE)
			continue;
		r = route_new(&p->rules[i], set,
			set->backend ? state_backend(next, set->backend) : NULL,
			old_route(m->s, p->rules[i].name));
		if (!r)
			return refuse(m, "no memory for rule %s", p->rules[i].name);
		next->routes[next->route_count++] = r;
	}
	return next->routes ? true : refuse(m, "no memory for rules");
}

static void print_place(const struct place *p, char *out, size_t size)
{
	const bool v4 = addr_is_v4(&p->at.addr);
	char text[INET6_ADDRSTRLEN];

	inet_ntop(
		v4 ? AF_INET : AF_INET6, v4 ? p->at.addr.b + 12 : p->at.addr.b, text, sizeof(text));
	snprintf(out, size, v4 ? "%s:%u" : "[%s]:%u", text, p->at.port);
}

static bool add_place(const struct making *m, struct route *route, const struct endpoint *at)
{
	struct state *next = &m->change->next;
	struct place *place = &next->places[next->place_count];
	const struct place *old;
	char text[SPLICE_PLACE_NAME];

	*place = (struct place){.at = *at, .transparent = route->set.transparent, .route = route};
	place_name(place);
	old = state_place(&m->s->now, place);
	if (old) {
		*place = *old;
		place->route = route;
		place->fresh = false;
	} else if (place_open(m->s, place) != 0) {
		/* A host may well do without one of the families. */
		if (place->transparent && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
			return true;
		print_place(place, text, sizeof(text));
		return refuse(
			m, "rule %s can't listen at %s: %s", route->name, text, strerror(errno));
	}
	if (place->transparent)
		route->ports[addr_is_v4(&place->at.addr)] = place->at.port;
	next->place_count++;
	return true;
}

static bool make_places(const struct making *m)
{
	/* What is led there needs no address of its own, and nobody else is to reach it. */
	static const struct endpoint loopback[2] = {
		{.addr = {.b = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}}},
		{.addr = {.b = {[15] = 1}}}};
	struct state *next = &m->change->next;
	size_t count = 0;

	for (size_t i = 0; i < next->route_count; i++)
		count += next->routes[i]->set.listen_count + 2;
	next->places = calloc(count + 1, sizeof(struct place));
	if (!next->places)
		return refuse(m, "no memory for listeners");
	for (size_t i = 0; i < next->route_count; i++) {
		struct route *r = next->routes[i];
		const struct endpoint *list = r->set.transparent ? loopback : r->set.listen;
		const size_t places = r->set.transparent ? 2 : r->set.listen_count;

		for (size_t k = 0; k < places; k++)
			if (!add_place(m, r, &list[k]))
				return false;
	}
	return true;
}

struct splice_change *splice_prepare(
	struct splice *s, const struct config *c, char *why, size_t why_size)
{
	struct splice_change *change = calloc(1, sizeof(*change));
	const struct making m = {s, change, c, why, why_size};

	if (!change) {
		snprintf(why, why_size, "no memory");
		return NULL;
	}
	if (make_backends(&m) && make_routes(&m) && make_places(&m))
		return change;
	splice_abandon(s, change);
	return NULL;
}

void splice_abandon(struct splice *s, struct splice_change *change)
{
	(void)s;
	if (!change)
		return;
	for (size_t i = 0; i < change->next.place_count; i++)
		if (change->next.places[i].fresh)
			place_shut(&change->next.places[i]);
	state_free(&change->next);
	free(change);
}

/* What one loop has to do. */
struct swap {
	struct splice *s;
	struct state *next;
	unsigned index;
};

static void take_up(const struct swap *w, struct loop *l, struct place *p)
{
	for (unsigned i = w->index; i < p->count; i += w->s->loop_count) {
		if (p->fresh)
			p->listeners[i] =
				listener_add(l, p->fds[i], &p->at, p->transparent, p->route);
		else if (p->listeners[i])
			listener_set_route(p->listeners[i], p->route);
	}
}

static void swap_loop(struct loop *l, void *arg)
{
	const struct swap *w = arg;
	struct state *now = &w->s->now;

	for (size_t i = 0; i < w->next->place_count; i++)
		take_up(w, l, &w->next->places[i]);
	for (size_t i = 0; i < now->place_count; i++) {
		struct place *p = &now->places[i];

		if (state_place(w->next, p))
			continue;
		for (unsigned k = w->index; k < p->count; k += w->s->loop_count)
			if (p->listeners[k])
				listener_finish(p->listeners[k]);
	}
}

/* Whoever keeps sockets for us hears of new ones first. */
static void tell_places(const struct splice *s, const struct state *next)
{
	for (size_t i = 0; i < next->place_count; i++) {
		const struct place *p = &next->places[i];

		for (unsigned k = 0; p->fresh && k < p->count; k++)
			s->events->listens(s->arg, p->name, p->fds[k]);
	}
	for (size_t i = 0; i < s->now.place_count; i++)
		if (!state_place(next, &s->now.places[i]))
			s->events->listens(s->arg, s->now.places[i].name, -1);
}

static void set_checks(struct loop *l, void *arg)
{
	struct splice *s = arg;

	(void)l;
	if (!checks_set(s->checks, s->now.backends, s->now.backend_count))
		s->events->told(s->arg, LOG_LEVEL_ERROR,
			"no memory to check the servers: those of before are checked");
}

void splice_commit(struct splice *s, struct splice_change *change)
{
	struct state old = s->now;

	tell_places(s, &change->next);
	for (unsigned i = 0; i < s->loop_count; i++) {
		struct swap w = {s, &change->next, i};

		loop_call(&s->loops[i], swap_loop, &w);
	}
	s->now = change->next;
	for (size_t i = 0; i < s->now.place_count; i++)
		s->now.places[i].fresh = false;
	loop_call(&s->loops[0], set_checks, s);
	state_free(&old);
	inherited_close(s);
	free(change);
}

uint16_t splice_port(
	const struct splice *s, const struct splice_change *change, uint16_t slot, bool v4)
{
	const struct route *r = state_route(change ? &change->next : &s->now, slot);

	return r ? r->ports[v4] : 0;
}
