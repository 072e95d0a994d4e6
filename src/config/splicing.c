/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with splice rules and backends that no single value shows. */
#include <config.h> /* Autoconf's: names beyond C11 */

#include "config/draft.h"
#include "config/spelling.h"
#include "config/values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct place splicing_key(const struct draft_named *n, enum section section, const char *key)
{
	struct place at = n->keys[option_index(option_find(section, key))].at;

	return at.line != 0 ? at : n->at;
}

static struct place splicing_rule_key(const struct draft_named *r, const char *key)
{
	return splicing_key(r, SECTION_RULE, key);
}

static bool splicing_is_default(const struct option *o, const void *base)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);
	bool same = false;

	if (to != NULL) {
		option_print(o, base, to);
		fclose(to);
		same = strcmp(text, o->initial) == 0;
	}
	free(text);
	return same;
}

/* Keys that would do nothing; those that say what holds anyway may stay. */
static void splicing_check_unused(const struct draft *d, const struct draft_named *r)
{
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];

		if (r->keys[i].at.line == 0 || !option_is_of_splice(o) ||
			splicing_is_default(o, &r->rule))
			continue;
		faults_add(d->faults, r->keys[i].at,
			"[rule %s] %s is for mode = splice alone; give that too, or leave it out",
			r->name, o->key);
	}
}

static void splicing_check_listen(const struct draft *d, const struct draft_named *r)
{
	if (r->rule.splice.transparent)
		faults_add(d->faults, splicing_rule_key(r, "transparent"),
			"[rule %s] transparent = yes can't stand beside listen; leave one of them "
			"out",
			r->name);
	if (r->rule.rule.to_count > 0)
		faults_add(d->faults, splicing_rule_key(r, "to"),
			"[rule %s] to can't stand beside listen, which says it already; leave it "
			"out",
			r->name);
	if (r->rule.rule.port_count > 0)
		faults_add(d->faults, splicing_rule_key(r, "port"),
			"[rule %s] port can't stand beside listen, which says it already; leave it "
			"out",
			r->name);
}

/* Where the rule's connections come from. */
static void splicing_check_place(const struct draft *d, const struct draft_named *r)
{
	if (r->rule.splice.listen_count > 0)
		splicing_check_listen(d, r);
	else if (!r->rule.splice.transparent)
		faults_add(d->faults, splicing_rule_key(r, "mode"),
			"[rule %s] mode = splice has neither listen nor transparent = yes; give "
			"listen = 0.0.0.0:80, for instance",
			r->name);
	else if (r->rule.rule.port_count == 0)
		faults_add(d->faults, splicing_rule_key(r, "transparent"),
			"[rule %s] transparent = yes without port would take every connection, an "
			"administrator's too; give port",
			r->name);
}

static const struct draft_named *splicing_backend_named(const struct draft *d, const char *name)
{
	for (size_t i = 0; i < d->backends.count; i++) {
		if (strcmp(d->backends.list[i]->name, name) == 0)
			return d->backends.list[i];
	}
	return NULL;
}

static void splicing_unknown_backend(const struct draft *d, const struct draft_named *r)
{
	const char *name = r->rule.splice.backend;
	struct spelling near = {.word = name};

	for (size_t i = 0; i < d->backends.count; i++)
		spelling_consider(&near, d->backends.list[i]->name);
	if (near.nearest != NULL)
		faults_add(d->faults, splicing_rule_key(r, "backend"),
			"[rule %s] backend = %s is not there; did you mean '%s'?", r->name, name,
			near.nearest);
	else
		faults_add(d->faults, splicing_rule_key(r, "backend"),
			"[rule %s] backend = %s is not there; add a [backend %s]", r->name, name,
			name);
}

static void splicing_check_backend(const struct draft *d, const struct draft_named *r)
{
	const struct config_splice *s = &r->rule.splice;

	if (s->backend != NULL && splicing_backend_named(d, s->backend) == NULL)
		splicing_unknown_backend(d, r);
	else if (s->backend == NULL && s->listen_count > 0)
		faults_add(d->faults, splicing_rule_key(r, "backend"),
			"[rule %s] has no backend, and only with transparent = yes do clients name "
			"a server themselves; give backend = NAME and a [backend NAME]",
			r->name);
}

static void splicing_check_enforce(const struct draft *d, const struct draft_named *r)
{
	if (!r->rule.rule.enforce)
		faults_add(d->faults, splicing_rule_key(r, "enforce"),
			"[rule %s] enforce = no can't be: a splice rule can't observe, since it "
			"ends connections itself; use mode = gate, or leave it out",
			r->name);
	else if (!d->config->daemon.enforce)
		faults_add(d->faults, splicing_rule_key(r, "mode"),
			"[rule %s] mode = splice can't be with [daemon] enforce = no: a splice "
			"rule can't observe, since it ends connections itself; use mode = gate, or "
			"enforce = no in the other rules",
			r->name);
}

static void splicing_check_proxies(const struct draft *d, const struct draft_named *r)
{
	const struct config_splice *s = &r->rule.splice;

	if (s->accept_proxy != PROXY_OFF && s->trusted_proxy_count == 0)
		faults_add(d->faults, splicing_rule_key(r, "accept_proxy"),
			"[rule %s] accept_proxy has no trusted_proxies, and anybody could claim to "
			"be anybody; give the proxies' addresses there",
			r->name);
}

static bool splicing_has_family(const struct addr_range *list, size_t count, bool v4)
{
	for (size_t i = 0; i < count; i++) {
		if (addr_is_v4(&list[i].first) == v4)
			return true;
	}
	return count == 0;
}

static bool splicing_listens_to_family(const struct config_splice *s, bool v4)
{
	for (size_t i = 0; i < s->listen_count; i++) {
		if (addr_is_v4(&s->listen[i].addr) == v4)
			return true;
	}
	return false;
}

bool splicing_takes_family(const struct config_rule *r, bool v4)
{
	if (!splicing_has_family(r->rule.from, r->rule.from_count, v4))
		return false;
	if (r->splice.listen_count > 0)
		return splicing_listens_to_family(&r->splice, v4);
	return splicing_has_family(r->rule.to, r->rule.to_count, v4);
}

/* A name may stand for addresses of both families. */
static bool splicing_serves_family(const struct config_backend *b, bool v4)
{
	for (size_t i = 0; i < b->server_count; i++) {
		const struct config_server *s = &b->servers[i];

		if (s->kind == SERVER_NAME ||
			(s->kind == SERVER_ADDR && addr_is_v4(&s->at.addr) == v4))
			return true;
	}
	return false;
}

static void splicing_check_source_client(
	const struct draft *d, const struct draft_named *r, const struct config_backend *b)
{
	for (size_t i = 0; i < b->server_count; i++) {
		if (b->servers[i].kind != SERVER_UNIX)
			continue;
		faults_add(d->faults, splicing_rule_key(r, "source"),
			"[rule %s] source = client means nothing to %s of [backend %s]; give that "
			"server an address, or source = self with send_proxy",
			r->name, b->servers[i].name, b->name);
		return;
	}
	for (int v4 = 0; v4 <= 1; v4++) {
		if (!splicing_takes_family(&r->rule, v4) || splicing_serves_family(b, v4))
			continue;
		faults_add(d->faults, splicing_rule_key(r, "source"),
			"[rule %s] source = client leaves %s clients without a server, since "
			"[backend %s] has none of that family; add one, or narrow the rule",
			r->name, v4 ? "IPv4" : "IPv6", b->name);
	}
}

static void splicing_check_source_list(
	const struct draft *d, const struct draft_named *r, const struct config_backend *b)
{
	const struct config_splice *s = &r->rule.splice;

	for (size_t i = 0; i < b->server_count; i++) {
		const struct config_server *server = &b->servers[i];

		if (server->kind != SERVER_ADDR || splicing_has_family(s->sources, s->source_count,
							   addr_is_v4(&server->at.addr)))
			continue;
		faults_add(d->faults, splicing_rule_key(r, "source"),
			"[rule %s] source has no %s address for %s of [backend %s]; add one",
			r->name, addr_is_v4(&server->at.addr) ? "IPv4" : "IPv6", server->name,
			b->name);
		return;
	}
}

static void splicing_check_source(const struct draft *d, const struct draft_named *r)
{
	const struct config_splice *s = &r->rule.splice;
	const struct draft_named *b =
		s->backend != NULL ? splicing_backend_named(d, s->backend) : NULL;

	if (b == NULL || b->faulty)
		return;
	if (s->source == SOURCE_CLIENT)
		splicing_check_source_client(d, r, &b->backend);
	else if (s->source == SOURCE_LIST)
		splicing_check_source_list(d, r, &b->backend);
}

static bool splicing_overlap(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_is_v4(&a->addr) == addr_is_v4(&b->addr) &&
	       (addr_equal(&a->addr, &b->addr) || endpoint_is_any(a) || endpoint_is_any(b));
}

static void splicing_print(const struct endpoint *at, char *out, size_t size)
{
	FILE *to = fmemopen(out, size, "w");

	*out = '\0';
	if (to == NULL)
		return;
	value_print_endpoint(at, to);
	fclose(to);
}

static void splicing_report_overlap(const struct draft *d, const struct draft_named *r,
	const struct endpoint *at, const struct draft_named *other, const struct endpoint *there)
{
	char here[64], taken[64];

	splicing_print(at, here, sizeof(here));
	splicing_print(there, taken, sizeof(taken));
	faults_add(d->faults, splicing_rule_key(r, "listen"),
		"[rule %s] listen = %s takes in %s of [rule %s] in %s:%" PRIu32
		"; a place is one rule's, once",
		r->name, here, taken, other->name, d->faults->sources[other->at.source].name,
		splicing_rule_key(other, "listen").line);
}

/* One socket listens at one place. `other` is an earlier rule, or the same. */
static void splicing_check_overlap(
	const struct draft *d, const struct draft_named *r, const struct draft_named *other)
{
	const struct config_splice *a = &r->rule.splice, *b = &other->rule.splice;

	for (size_t i = 0; i < a->listen_count; i++) {
		for (size_t k = 0; k < (r == other ? i : b->listen_count); k++) {
			if (!splicing_overlap(&a->listen[i], &b->listen[k]))
				continue;
			splicing_report_overlap(d, r, &a->listen[i], other, &b->listen[k]);
			return;
		}
	}
}

static void splicing_check_rule(const struct draft *d, size_t index)
{
	const struct draft_named *r = d->rules.list[index];

	splicing_check_place(d, r);
	splicing_check_backend(d, r);
	splicing_check_enforce(d, r);
	splicing_check_proxies(d, r);
	splicing_check_source(d, r);
	for (size_t i = 0; i <= index; i++) {
		const struct draft_named *other = d->rules.list[i];

		if (!other->faulty && other->rule.rule.mode == MODE_SPLICE)
			splicing_check_overlap(d, r, other);
	}
}

void splicing_validate(const struct draft *d)
{
	for (size_t i = 0; i < d->backends.count; i++) {
		const struct draft_named *b = d->backends.list[i];

		if (!b->faulty && b->backend.server_count == 0)
			faults_add(d->faults, b->at,
				"[backend %s] has no servers; give servers = 192.0.2.1:80, for "
				"instance",
				b->name);
	}
	for (size_t i = 0; i < d->rules.count; i++) {
		const struct draft_named *r = d->rules.list[i];

		if (r->faulty)
			continue;
		if (r->rule.rule.mode == MODE_SPLICE)
			splicing_check_rule(d, i);
		else
			splicing_check_unused(d, r);
	}
}
