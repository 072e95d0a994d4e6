/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What SYN cookies need of the main thread: the secret, the kernel's translation, and two things
 * that the kernel's rules follow. Where cookies are under way all ACKs of no connection are asked
 * about; elsewhere only some, so that a flood of them ends in the kernel. And where DNAT leads to a
 * server from exactly one address, its SYNs may be answered from there.
 */
#include "config.h"

#include "daemon/cookies.h"

#include "daemon/daemon_state.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

enum {
	WHY = 512,
	ROUTES_EVERY_US = 1000000, /* while a way is looked for */
	ROUTES_AGAIN_US = 60000000,
	SHARE_OF_DUMPS =
		20, /* a dump of a large table takes its time: at most one part in so many */
	STANDING_EVERY_US = 60000000,
	SAVE_EVERY_US = 2000000,
	UNDER_WAY_US = 1000000, /* most ways there and back take less */
};

static const char SSHD_CONFIG[] = "/etc/ssh/sshd_config";

/* The secret of our own is our own user's, like all else in the state's folder. */
static bool load_own_secret(struct daemon *d, char *why, size_t why_size)
{
	const char *folder = d->config->daemon.state_dir;
	char file[sizeof(d->config->daemon.state_dir) + sizeof("/cookie.secret")];

	snprintf(file, sizeof(file), "%s/cookie.secret", folder);
	if (secret_load(file, true, d->secret, why, why_size))
		return true;
	log_warning("%s; cookies don't outlive this process", why);
	if (getrandom(d->secret, sizeof(d->secret), 0) == (ssize_t)sizeof(d->secret))
		return true;
	snprintf(why, why_size, "no random numbers: %s", strerror(errno));
	return false;
}

bool cookies_wanted(const struct policy *p)
{
	for (size_t i = 0; i < p->rule_count; i++)
		if (policy_gives_cookies(&p->rules[i]))
			return true;
	return false;
}

/* With rules of somebody else's making, whether theirs are there. */
static bool can_translate(const struct daemon *d)
{
	return !lasting_cannot_translate(d->lasting) && (d->ruleset || lasting_there());
}

static bool translates(const struct daemon *d, const struct config *c)
{
	return d->can_translate && (d->standing || cookies_wanted(&c->policy));
}

bool cookies_open(struct daemon *d, char *why, size_t why_size)
{
	const char *missing;

	d->lasting = lasting_open();
	d->protected = protected_open(SSHD_CONFIG);
	if (!d->lasting || !d->protected) {
		snprintf(why, why_size, "no memory");
		return false;
	}
	d->translations = translations_open(d->config->netfilter.mark, NULL, NULL, why, why_size);
	if (!d->translations)
		return false;
	if (d->config->cookies.secret_file[0] &&
		!secret_load(d->config->cookies.secret_file, false, d->secret, why, why_size))
		return false;
	mkdir(d->config->daemon.state_dir, 0750);
	d->can_translate = can_translate(d);
	missing = lasting_cannot_translate(d->lasting);
	if (missing && cookies_wanted(&d->config->policy))
		log_warning("no SYN cookies: %s", missing);
	missing = lasting_cannot_block(d->lasting);
	if (missing)
		log_warning("no source can be blocked: %s", missing);
	d->standing = translations_count(d->translations) != 0;
	return true;
}

void cookies_close(struct daemon *d)
{
	hold_close(d->hold);
	lasting_close(d->lasting);
	protected_close(d->protected);
	translations_close(d->translations);
	explicit_bzero(d->secret, sizeof(d->secret));
}

/* True if the rules have to follow. */
static bool update_proofs(struct daemon *d, const struct policy *p)
{
	uint64_t lasts = 2 * (uint64_t)p->cookie_rotation * 1000000;
	uint64_t now = worker_now();
	bool changed = false;

	for (size_t i = 0; i < p->rule_count; i++) {
		uint16_t slot = p->rules[i].slot;
		uint64_t sent = engine_shared_cookie_sent(d->shared, slot);
		/* What was given is taken back, whatever the rule says now. */
		bool wanted = (policy_gives_cookies(&p->rules[i]) &&
				      engine_shared_cookies_on(d->shared, slot)) ||
			      (sent && sent + lasts > now);

		changed |= wanted != d->proofs_wanted[slot];
		d->proofs_wanted[slot] = wanted;
	}
	return changed;
}

void cookies_plan(struct daemon *d, const struct config *c, struct ruleset_plan *plan)
{
	update_proofs(d, &c->policy);
	plan->translate = translates(d, c);
	plan->proofs_wanted = d->proofs_wanted;
	plan->routes = d->routes;
	plan->route_count = d->route_count;
}

/* Against others' flushes; on older kernels they are mended as everything else is, if too late for
 * some connections. */
static void follow_hold(struct daemon *d, bool wanted)
{
	if (wanted && !d->hold_tried) {
		d->hold = hold_open();
		d->hold_tried = true;
		if (!d->hold)
			log_info("connections of cookies may stall if somebody flushes nftables' "
				 "rules: this kernel can't hold a table (%s)",
				strerror(errno));
	} else if (!wanted) {
		hold_close(d->hold);
		d->hold = NULL;
		d->hold_tried = false;
	}
}

int cookies_apply(struct daemon *d, const struct config *c, char *why, size_t why_size)
{
	/* From here on such connections may stand, whatever later rules say. */
	d->standing |= translates(d, c);
	follow_hold(d, translates(d, c));
	return lasting_apply(d->lasting, &c->policy, translates(d, c), why, why_size);
}

void cookies_go_back(struct daemon *d)
{
	char why[WHY];

	if (d->rules_in)
		lasting_apply(
			d->lasting, &d->config->policy, translates(d, d->config), why, sizeof(why));
	else
		lasting_remove(
			d->lasting, translations_count(d->translations) != 0, why, sizeof(why));
}

bool cookies_intact(struct daemon *d)
{
	return lasting_intact(d->lasting);
}

void cookies_new_in(
	const struct daemon *d, const struct config *next, bool slots[static POLICY_RULES_MAX])
{
	const struct policy *p = &next->policy;

	memset(slots, 0, POLICY_RULES_MAX * sizeof(*slots));
	for (size_t i = 0; i < p->rule_count; i++) {
		uint16_t slot = p->rules[i].slot;
		const struct policy_rule *old = policy_rule_by_slot(&d->config->policy, slot);

		slots[slot] =
			policy_gives_cookies(&p->rules[i]) && !(old && policy_gives_cookies(old));
	}
}

static void apply_again(struct daemon *d)
{
	char why[WHY];

	if (daemon_apply_rules(d, d->config, why, sizeof(why)) != 0)
		log_error("the kernel's rules can't follow the cookies: %s", why);
}

static void take_route(void *arg, const struct addr *server, uint16_t port,
	const struct addr *public_addr, uint16_t public_port)
{
	struct daemon *d = arg;
	const struct policy *p = &d->config->policy;

	for (size_t i = 0; i < p->rule_count; i++)
		if (policy_gives_cookies(&p->rules[i]) &&
			policy_serves(&p->rules[i], server, port)) {
			d->routes_changed |= learned_route(engine_shared_learned(d->shared), server,
				port, public_addr, public_port);
			return;
		}
}

static void list_route(void *arg, const struct learned_server *server)
{
	struct daemon *d = arg;

	d->routes_wanted |= server->route_wanted;
	d->routes_missing |= server->route_wanted && server->route == LEARNED_ROUTE_UNKNOWN;
	if (server->route != LEARNED_ROUTE_ONE || d->route_count == DAEMON_ROUTES_MAX)
		return;
	d->routes[d->route_count++] = (struct ruleset_route){.server = server->addr,
		.public_addr = server->public_addr,
		.port = server->port,
		.public_port = server->public_port};
}

static void list_routes(struct daemon *d)
{
	d->route_count = 0;
	d->routes_wanted = d->routes_missing = false;
	learned_each(engine_shared_learned(d->shared), list_route, d);
}

/* Looks through conntrack for ways that DNAT leads; true if there is news. */
static bool look_for_routes(struct daemon *d)
{
	uint64_t began = worker_now();

	d->routes_changed = false;
	if (translations_routes(d->translations, take_route, d) != 0)
		log_warning("conntrack could not be asked for DNAT: %s", strerror(errno));
	d->routes_looked_us = worker_now();
	d->routes_took_us = d->routes_looked_us - began;
	if (d->routes_changed)
		list_routes(d);
	return d->routes_changed;
}

static bool routes_due(const struct daemon *d)
{
	uint64_t since = worker_now() - d->routes_looked_us;

	if (!d->routes_wanted || since < SHARE_OF_DUMPS * d->routes_took_us)
		return false;
	return since > (d->routes_missing ? ROUTES_EVERY_US : ROUTES_AGAIN_US);
}

/* A restart in the middle of a flood must not ask the servers all over again. */
static void save_memory(struct daemon *d)
{
	d->memory_saved_us = worker_now();
	memory_save(d->config->daemon.state_dir, engine_shared_learned(d->shared), &d->memory_hash);
}

static void set_secret(const struct worker_view *view, void *arg)
{
	engine_cookies(view->engine, arg, (uint64_t)time(NULL));
}

bool cookies_begin(struct daemon *d, char *why, size_t why_size)
{
	if (!d->config->cookies.secret_file[0] && !load_own_secret(d, why, why_size))
		return false;
	if (d->can_translate)
		daemon_call_all(d, set_secret, d->secret);
	memory_load(d->config->daemon.state_dir, engine_shared_learned(d->shared));
	list_routes(d);
	if (translates(d, d->config))
		look_for_routes(d);
	else if (d->ruleset && lasting_there() &&
		 lasting_remove(d->lasting, false, why, why_size) != 0)
		return false;
	return true;
}

/* What an earlier process left to the kernel ends some day. */
static bool standing_has_ended(struct daemon *d)
{
	uint64_t now = worker_now();

	if (!d->standing || now - d->standing_looked_us < STANDING_EVERY_US)
		return false;
	d->standing_looked_us = now;
	if (cookies_wanted(&d->config->policy))
		return false;
	d->standing = translations_count(d->translations) != 0;
	return !d->standing;
}

void cookies_have_begun(struct daemon *d)
{
	if (d->can_translate && update_proofs(d, &d->config->policy))
		apply_again(d);
}

void cookies_tick(struct daemon *d)
{
	bool changed;

	if (!d->can_translate)
		return;
	if (worker_now() - d->memory_saved_us > SAVE_EVERY_US)
		save_memory(d);
	changed = update_proofs(d, &d->config->policy) || d->rules_stale;
	list_routes(d);
	if (routes_due(d))
		changed |= look_for_routes(d);
	changed |= standing_has_ended(d);
	if (changed && !d->rules_fixed)
		apply_again(d);
}

bool cookies_under_way(const struct daemon *d)
{
	const struct policy *p = &d->config->policy;
	uint64_t now = worker_now();

	for (size_t i = 0; d->can_translate && i < p->rule_count; i++) {
		uint64_t sent = engine_shared_cookie_sent(d->shared, p->rules[i].slot);

		if (sent && sent + UNDER_WAY_US > now)
			return true;
	}
	return false;
}

void cookies_stop(struct daemon *d)
{
	if (d->can_translate)
		save_memory(d);
	/* What could not be counted may stand. */
	long standing = d->can_translate ? translations_count(d->translations) : 0;
	char why[WHY];

	if (lasting_remove(d->lasting, standing != 0, why, sizeof(why)) != 0)
		log_error("table inet ackgate_lasting could not be taken away: %s", why);
	else if (standing > 0)
		log_notice(
			"%ld connections that began with a cookie stand: what the kernel needs to "
			"translate them stays, table inet ackgate_lasting, until the next start "
			"finds it idle, or ackgated --purge",
			standing);
}
