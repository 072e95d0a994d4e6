/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules as the engine sees them: immutable, complete, in the file's order. */
#ifndef ACKGATE_CORE_POLICY_H
#define ACKGATE_CORE_POLICY_H

#include "core/addr.h"

#include <stddef.h>

#define POLICY_RULES_MAX 1024
#define POLICY_NO_SLOT   UINT16_MAX

enum policy_mode {
	MODE_GATE,
	MODE_SPLICE,
	MODE_ACCEPT,
	MODE_DROP,
	MODE_REJECT
};
enum policy_inspect {
	INSPECT_HANDSHAKE,
	INSPECT_FULL
};
enum policy_over_limit {
	OVER_LIMIT_DROP,
	OVER_LIMIT_REJECT,
	OVER_LIMIT_BLOCK
};
enum policy_syncookies {
	SYNCOOKIES_ADAPTIVE,
	SYNCOOKIES_ALWAYS,
	SYNCOOKIES_NEVER
};

struct port_range {
	uint16_t first;
	uint16_t last;
};

/* `per_s` events a second on average, up to `burst` at once; per_s 0: no limit. */
struct policy_rate {
	uint32_t per_s;
	uint32_t burst;
};

#define POLICY_IFNAME 16

struct policy_rule {
	const char *name;
	/* The rule's number for counters and flows: kept across reloads for as long as the name
	 * stands. */
	uint16_t slot;

	/* An empty list matches everything. */
	const struct addr_range *from;
	size_t from_count;
	const struct addr_range *to;
	size_t to_count;
	const struct port_range *port;
	size_t port_count;
	const char (*interface)[POLICY_IFNAME];
	size_t interface_count;
	/* In place of `to` and `port`: where this host listens. */
	const struct endpoint *listen;
	size_t listen_count;
	bool local; /* matches what is delivered to this host's sockets, not what passes by */

	enum policy_mode mode;
	bool enforce;
	enum policy_inspect inspect;
	bool fastopen_strip;
	uint16_t mss; /* bytes; 0: off */
	enum policy_syncookies syncookies;
	/* Adaptive cookies begin and end at these shares of the half-open limit, in percent. */
	uint8_t syncookies_start;
	uint8_t syncookies_end;

	struct policy_rate syn_rate;     /* per source */
	uint32_t half_open;              /* 0: no limit of its own */
	uint32_t connections_per_source; /* 0: no limit */
	enum policy_over_limit over_limit;
	uint32_t block_time; /* seconds; of OVER_LIMIT_BLOCK */
};

/* Seconds; RFC 5382 asks for at least 4 minutes in transitory states and 2 h 4 min when
 * established. */
struct policy_timeouts {
	uint32_t syn_sent;
	uint32_t syn_received;
	uint32_t established;
	uint32_t fin_wait;
	uint32_t close_wait;
	uint32_t last_ack;
	uint32_t time_wait;
	uint32_t closed;
};

struct policy {
	const struct policy_rule *rules;
	size_t rule_count;
	bool enforce;      /* [daemon] enforce: holds for packets that no rule takes */
	bool by_interface; /* some rule names an interface: packets must come with a name */
	struct policy_timeouts timeouts;
	uint32_t adopt_window; /* seconds */
	bool adopt;
	uint8_t source_prefix4; /* bits that make one source */
	uint8_t source_prefix6;
	uint32_t half_open; /* [limits] half_open, of all shards: the limit of rules without one */
	uint32_t cookie_rotation; /* seconds that one key of SYN cookies is used for */
	/* Several gates share one secret: another may have sent the cookie that comes back here. */
	bool cookies_shared;
};

/* Whether the rule lets connections through once their handshake is complete; what is spliced is
 * gated first. */
static inline bool policy_gates(const struct policy_rule *r)
{
	return r->mode == MODE_GATE || r->mode == MODE_SPLICE;
}

/* Whether the rule takes connections that were on their way to other hosts: our own SYN after a
 * cookie would reach the server that the client meant, past the socket here. */
static inline bool policy_is_transparent(const struct policy_rule *r)
{
	return r->local && r->listen_count == 0;
}

/* Whether SYNs that fall under the rule may be answered with cookies. */
static inline bool policy_gives_cookies(const struct policy_rule *r)
{
	return policy_gates(r) && r->enforce && r->syncookies != SYNCOOKIES_NEVER &&
	       !policy_is_transparent(r);
}

/* Where a packet was seen. */
enum policy_place {
	POLICY_LOCAL,     /* it comes to this host, or from it */
	POLICY_FORWARDED, /* it passes by */
	POLICY_ANYWHERE,  /* not known: local rules may mean it too */
};

/*
 * The first rule that a packet from client to server:port, seen at `place` and come in by
 * `interface`, falls under; NULL if none. An interface that is not known (NULL) fits the gates that
 * name one, since what they let in has replies, and no other rule that does.
 */
const struct policy_rule *policy_match(const struct policy *p, const struct addr *client,
	const struct addr *server, uint16_t server_port, const char *interface,
	enum policy_place place);

/* Whether some rule would judge a connection that may have come in by any interface, at any place.
 */
bool policy_may_judge(const struct policy *p, const struct addr *client, const struct addr *server,
	uint16_t server_port);

/* Whether connections to the server fall under the rule, for some clients at least. */
bool policy_serves(const struct policy_rule *r, const struct addr *server, uint16_t port);

/*
 * The rule that judges all that arrives for a server, whoever sends it, by whichever interface
 * but lo it comes, and wherever it is seen; a rule that listens at the very address does. NULL if
 * there is none, or if it depends on those.
 */
const struct policy_rule *policy_judging_all(
	const struct policy *p, const struct addr *server, uint16_t port);

/*
 * Whether handshakes with the rule's own listeners may pass while all is calm, and only be told of:
 * nothing limits them by source or wants each to be answered with a cookie, and all that this host
 * is sent for those places falls under the rule, whoever sends it, by whichever interface but lo.
 */
bool policy_may_pass(const struct policy *p, const struct policy_rule *r);

/* The rule that holds a slot now; NULL if it was removed. */
const struct policy_rule *policy_rule_by_slot(const struct policy *p, uint16_t slot);

#endif
