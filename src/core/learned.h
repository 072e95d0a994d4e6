/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What servers answer, learned from their own SYN-ACKs: a SYN cookie must promise exactly that, for
 * it is sent before the server is asked. And what public address leads to them where DNAT does.
 *
 * A table of fixed size, shared by all workers, without locks. Servers share sets of eight places;
 * a new one takes the place of the one that was met longest ago.
 */
#ifndef ACKGATE_CORE_LEARNED_H
#define ACKGATE_CORE_LEARNED_H

#include "core/addr.h"
#include "core/siphash.h"
#include "core/tcpopt.h"

struct learned;

/* What a server does if a client asks for it. */
enum learned_trait {
	LEARNED_UNKNOWN,
	LEARNED_NO,
	LEARNED_YES
};

struct learned_options {
	uint16_t mss; /* bytes; 0: not known */
	uint8_t wscale_shift;
	enum learned_trait wscale; /* RFC 7323, section 2 */
	enum learned_trait sack;   /* RFC 2018 */
	enum learned_trait timestamps;
	enum learned_trait ecn; /* RFC 3168, section 6.1.1 */
};

enum learned_route {
	LEARNED_ROUTE_UNKNOWN,
	LEARNED_ROUTE_ONE,  /* `to` is the only public address that DNAT leads from */
	LEARNED_ROUTE_MANY, /* several do: a SYN does not say which it was sent to */
};

struct learned_server {
	struct addr addr; /* after DNAT */
	uint16_t port;
	struct learned_options options;
	enum learned_route route;
	struct addr public_addr; /* ROUTE_ONE */
	uint16_t public_port;
	bool route_wanted; /* a SYN came by DNAT, and the way was not known */
};

/* NULL without memory. */
struct learned *learned_new(uint32_t servers, const struct siphash_key *key);
void learned_free(struct learned *l);

/* What a SYN asks for, or'ed. */
enum learned_asked {
	LEARNED_ASKED_WSCALE = 1,
	LEARNED_ASKED_SACK = 2,
	LEARNED_ASKED_TIMESTAMPS = 4,
	LEARNED_ASKED_ECN = 8,
};
unsigned learned_asks(const struct segment *syn);

/* What a SYN-ACK without MSS option counts as (RFC 9293, 3.7.1, names 536 and 1220). */
enum {
	LEARNED_MSS_NONE = 536
};

/*
 * A server's SYN-ACK, and what the SYN that it answers asked for: a trait that was not asked for
 * stays as it is known. Of the MSS the highest counts: a lower one says that the path to that
 * client is narrow. True if that is news.
 */
bool learned_hear(struct learned *l, const struct segment *syn_ack, unsigned asked);

/* What is known of a server; false if nothing is. */
bool learned_find(const struct learned *l, const struct addr *addr, uint16_t port,
	struct learned_server *out);

/* Likewise, of a SYN that wants a cookie in its name: those are counted. */
bool learned_meet(
	struct learned *l, const struct addr *addr, uint16_t port, struct learned_server *out);
/* Calls `each` for every server that was met since the last call of this, with how often. One
 * caller at a time. */
void learned_met(struct learned *l,
	void (*each)(void *arg, const struct learned_server *server, uint32_t times), void *arg);

/* What an earlier process knew. */
void learned_recall(struct learned *l, const struct learned_server *server);

/* It answered otherwise than it had: its options are to be learned anew. */
void learned_forget(struct learned *l, const struct addr *addr, uint16_t port);

/* A SYN for it came by DNAT from an address that is not known. True the first time. */
bool learned_want_route(struct learned *l, const struct addr *addr, uint16_t port);
/* True once for each server: that its way is not known has yet to be told. */
bool learned_tell_route(struct learned *l, const struct addr *addr, uint16_t port);
/* A connection was seen that DNAT led from public to the server. True if that is news. */
bool learned_route(struct learned *l, const struct addr *addr, uint16_t port,
	const struct addr *public_addr, uint16_t public_port);

/* Calls `each` for every server that something is known of. */
void learned_each(const struct learned *l,
	void (*each)(void *arg, const struct learned_server *server), void *arg);

#endif
