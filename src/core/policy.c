/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/policy.h"

static bool addr_listed(const struct addr *a, const struct addr_range *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (addr_in_range(a, &list[i]))
			return true;
	return count == 0;
}

static bool port_listed(uint16_t port, const struct port_range *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (port >= list[i].first && port <= list[i].last)
			return true;
	return count == 0;
}

/* A family's unspecified address stands for all of them. */
static bool endpoint_listed(const struct addr *a, uint16_t port, const struct policy_rule *r)
{
	for (size_t i = 0; i < r->listen_count; i++) {
		const struct endpoint *at = &r->listen[i];

		if (at->port == port &&
			(addr_equal(&at->addr, a) ||
				(endpoint_is_any(at) && addr_is_v4(&at->addr) == addr_is_v4(a))))
			return true;
	}
	return false;
}

/* Whether an earlier rule may want what is sent to a place; that may be all of a family's
 * addresses. */
static bool may_want(const struct policy_rule *r, const struct endpoint *at)
{
	const bool any = endpoint_is_any(at), v4 = addr_is_v4(&at->addr);

	if (r->listen_count == 0)
		return port_listed(at->port, r->port, r->port_count) &&
		       (any || addr_listed(&at->addr, r->to, r->to_count));
	for (size_t i = 0; i < r->listen_count; i++)
		if (r->listen[i].port == at->port &&
			(addr_equal(&r->listen[i].addr, &at->addr) ||
				((any || endpoint_is_any(&r->listen[i])) &&
					addr_is_v4(&r->listen[i].addr) == v4)))
			return true;
	return false;
}

/* lo is for rules that name it. */
static bool interface_listed(const char *name, const struct policy_rule *r)
{
	if (r->interface_count == 0)
		return !name || strcmp(name, "lo") != 0;
	for (size_t i = 0; i < r->interface_count; i++)
		if (name ? strcmp(name, r->interface[i]) == 0 : policy_gates(r))
			return true;
	return false;
}

static bool ends_listed(const struct policy_rule *r, const struct addr *client,
	const struct addr *server, uint16_t server_port)
{
	return policy_serves(r, server, server_port) && addr_listed(client, r->from, r->from_count);
}

const struct policy_rule *policy_match(const struct policy *p, const struct addr *client,
	const struct addr *server, uint16_t server_port, const char *interface,
	enum policy_place place)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];

		if (r->local && place == POLICY_FORWARDED)
			continue;
		if (ends_listed(r, client, server, server_port) && interface_listed(interface, r))
			return r;
	}
	return NULL;
}

bool policy_may_judge(const struct policy *p, const struct addr *client, const struct addr *server,
	uint16_t server_port)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];

		if (!ends_listed(r, client, server, server_port))
			continue;
		if (r->mode != MODE_ACCEPT)
			return true;
		if (r->interface_count == 0)
			return false;
	}
	return false;
}

bool policy_serves(const struct policy_rule *r, const struct addr *server, uint16_t port)
{
	if (r->listen_count > 0)
		return endpoint_listed(server, port, r);
	return port_listed(port, r->port, r->port_count) && addr_listed(server, r->to, r->to_count);
}

/* Whether a rule about what is delivered here serves a server that may be on another host, too. One
 * that listens at the very address does not: it is our own. */
static bool may_be_elsewhere(const struct policy_rule *r, const struct addr *server)
{
	if (!r->local)
		return false;
	for (size_t i = 0; i < r->listen_count; i++)
		if (addr_equal(&r->listen[i].addr, server))
			return false;
	return true;
}

const struct policy_rule *policy_judging_all(
	const struct policy *p, const struct addr *server, uint16_t port)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];

		if (policy_serves(r, server, port))
			return r->from_count || r->interface_count || may_be_elsewhere(r, server)
				       ? NULL
				       : r;
	}
	return NULL;
}

bool policy_may_pass(const struct policy *p, const struct policy_rule *r)
{
	if (!r->local || r->listen_count == 0 || r->mode != MODE_SPLICE ||
		r->inspect != INSPECT_HANDSHAKE || r->syncookies == SYNCOOKIES_ALWAYS ||
		r->syn_rate.per_s || r->connections_per_source || r->from_count ||
		r->interface_count)
		return false;
	for (const struct policy_rule *earlier = p->rules; earlier < r; earlier++)
		for (size_t i = 0; i < r->listen_count; i++)
			if (may_want(earlier, &r->listen[i]))
				return false;
	return true;
}

const struct policy_rule *policy_rule_by_slot(const struct policy *p, uint16_t slot)
{
	for (size_t i = 0; i < p->rule_count; i++)
		if (p->rules[i].slot == slot)
			return &p->rules[i];
	return NULL;
}
