/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYN cookies: all that has to be remembered of a SYN, in the numbers of the SYN-ACK that answers
 * it (RFC 4987, section 3.6). docs/cookies.md has the layout.
 *
 * A cookie holds for both ends' addresses and ports, the public address the client asked for, the
 * client's ISN and one epoch of the wall clock. Keys are derived from a secret and the epoch's
 * number, so gates that share the secret accept each other's. Everything in it is under the MAC.
 */
#ifndef ACKGATE_CORE_COOKIE_H
#define ACKGATE_CORE_COOKIE_H

#include "core/addr.h"
#include "core/siphash.h"
#include "core/tcpopt.h"

enum {
	COOKIE_SECRET = 32, /* bytes */
	COOKIE_EPOCHS = 3,  /* that are accepted: this one, the one before, the one after */
	COOKIE_NO_WSCALE = 15,
	COOKIE_MSS_MIN = 216, /* a client that takes less gets no cookie */
};

struct cookie_epoch {
	struct siphash_key mac;
	struct siphash_key tag;
};

struct cookie_keys {
	uint8_t secret[COOKIE_SECRET];
	uint32_t rotation;                     /* seconds of an epoch */
	uint64_t epoch;                        /* now */
	struct cookie_epoch of[COOKIE_EPOCHS]; /* epoch - 1, epoch, epoch + 1 */
};

/* What is promised to, and asked of, both ends. */
struct cookie_options {
	uint16_t mss;   /* the client's, bytes; without timestamps rounded down to one of eight */
	uint8_t wscale; /* the client's shift, or COOKIE_NO_WSCALE */
	bool sack;
	bool ecn; /* kept only with timestamps */
};

/* Whom a cookie is for. */
struct cookie_subject {
	struct tuple tuple; /* the server is the one after DNAT */
	struct addr public_addr;
	uint16_t public_port;
	uint32_t client_isn;
};

void cookie_keys_init(struct cookie_keys *k, const uint8_t secret[static COOKIE_SECRET],
	uint32_t rotation, uint64_t unix_s);
/* Follows the clock, wherever it went. */
void cookie_keys_follow(struct cookie_keys *k, uint64_t unix_s);

/* The server's ISN, and its TSval if the client sends timestamps (*tsval is 0 otherwise). */
uint32_t cookie_make(const struct cookie_keys *k, const struct cookie_subject *s,
	const struct cookie_options *o, bool timestamps, uint32_t *tsval);

/*
 * Whether `isn` (and `tsval`, the number that the client echoes) is a cookie for that subject of
 * one of the three epochs; *o is then what it carries.
 */
bool cookie_check(const struct cookie_keys *k, const struct cookie_subject *s, uint32_t isn,
	bool timestamps, uint32_t tsval, struct cookie_options *o);

#endif
