/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
/*
 * Two layers. `h` is a keyed hash of whom the cookie is for; it never leaves this file whole. The
 * tag is a keyed hash of `h` and of what the cookie carries, so nothing in it can be changed; what
 * it carries is written xor'ed with bits of `h`, so that the numbers look random.
 *
 *	without timestamps	ISN:   24 bits of tag, then 8 of options: SACK, window scale (4), MSS class (3)
 *	with timestamps		ISN:   32 bits of tag
 *				TSval: 10 bits of tag, then 22 of options: ECN, SACK, window scale (4), MSS (16)
 *
 * Gates that share a secret may be of different versions and machines, so all that is hashed is
 * written in network order.
 */
/* clang-format on */
#include "core/cookie.h"

#include "core/wire.h"

enum {
	CLASS_BITS = 3,
	SCALE_SHIFT = CLASS_BITS,
	SACK_SHIFT = SCALE_SHIFT + 4,
	PLAIN_BITS = SACK_SHIFT + 1,

	TS_SCALE_SHIFT = 16,
	TS_SACK_SHIFT = 20,
	TS_ECN_SHIFT = 21,
	TS_BITS = 22,
};

/* What paths and links make of it, and some room below. */
static const uint16_t mss_classes[1 << CLASS_BITS] = {
	COOKIE_MSS_MIN, 536, 1220, 1360, 1400, 1440, 1460, 8960};

static void put64(uint8_t *p, uint64_t v)
{
	wire_put32(p, (uint32_t)(v >> 32));
	wire_put32(p + 4, (uint32_t)v);
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)wire_get32(p) << 32 | wire_get32(p + 4);
}

/* The secret's first half is the key, the second is hashed with the epoch. */
static uint64_t derive(const uint8_t secret[static COOKIE_SECRET], uint64_t epoch, uint8_t what)
{
	const struct siphash_key key = {get64(secret), get64(secret + 8)};
	uint8_t message[16 + 8 + 1];

	memcpy(message, secret + 16, 16);
	put64(message + 16, epoch);
	message[24] = what;
	return siphash(message, sizeof(message), &key);
}

static void derive_all(struct cookie_keys *k)
{
	for (unsigned i = 0; i < COOKIE_EPOCHS; i++) {
		uint64_t epoch = k->epoch + i - 1;

		k->of[i].mac.k0 = derive(k->secret, epoch, 0);
		k->of[i].mac.k1 = derive(k->secret, epoch, 1);
		k->of[i].tag.k0 = derive(k->secret, epoch, 2);
		k->of[i].tag.k1 = derive(k->secret, epoch, 3);
	}
}

void cookie_keys_init(struct cookie_keys *k, const uint8_t secret[static COOKIE_SECRET],
	uint32_t rotation, uint64_t unix_s)
{
	memmove(k->secret, secret, sizeof(k->secret)); /* it may be k's own */
	k->rotation = rotation;
	k->epoch = unix_s / rotation;
	derive_all(k);
}

void cookie_keys_follow(struct cookie_keys *k, uint64_t unix_s)
{
	uint64_t epoch = unix_s / k->rotation;

	if (epoch == k->epoch)
		return;
	k->epoch = epoch;
	derive_all(k);
}

/* An address takes 16 bytes of it, an IPv4 one 4: the lengths tell them apart. */
static size_t put_addr(uint8_t *to, const struct addr *a)
{
	bool v4 = addr_is_v4(a);

	memcpy(to, v4 ? a->b + 12 : a->b, v4 ? 4 : 16);
	return v4 ? 4 : 16;
}

static uint64_t hash_subject(const struct cookie_epoch *k, const struct cookie_subject *s)
{
	uint8_t message[3 * 16 + 3 * 2 + 4];
	size_t len = 0;

	len += put_addr(message + len, &s->tuple.client);
	len += put_addr(message + len, &s->tuple.server);
	len += put_addr(message + len, &s->public_addr);
	wire_put16(message + len, s->tuple.client_port);
	wire_put16(message + len + 2, s->tuple.server_port);
	wire_put16(message + len + 4, s->public_port);
	wire_put32(message + len + 6, s->client_isn);
	return siphash(message, len + 10, &k->mac);
}

static uint64_t tag_of(const struct cookie_epoch *k, uint64_t h, bool timestamps, uint32_t carried)
{
	uint8_t message[8 + 1 + 4];

	put64(message, h);
	message[8] = timestamps;
	wire_put32(message + 9, carried);
	return siphash(message, sizeof(message), &k->tag);
}

static uint32_t class_of(uint16_t mss)
{
	uint32_t class = 0;

	while (class + 1 < sizeof(mss_classes) / sizeof(*mss_classes) &&
		mss_classes[class + 1] <= mss)
		class ++;
	return class;
}

uint32_t cookie_make(const struct cookie_keys *k, const struct cookie_subject *s,
	const struct cookie_options *o, bool timestamps, uint32_t *tsval)
{
	const struct cookie_epoch *now = &k->of[1];
	uint64_t h = hash_subject(now, s);
	uint32_t carried;
	uint64_t tag;

	if (timestamps) {
		carried = o->mss | (uint32_t)(o->wscale & 15) << TS_SCALE_SHIFT |
			  (uint32_t)o->sack << TS_SACK_SHIFT | (uint32_t)o->ecn << TS_ECN_SHIFT;
		tag = tag_of(now, h, true, carried);
		*tsval = (carried | (uint32_t)(tag >> 32) << TS_BITS) ^ (uint32_t)h;
		return (uint32_t)tag;
	}
	carried = class_of(o->mss) | (uint32_t)(o->wscale & 15) << SCALE_SHIFT |
		  (uint32_t)o->sack << SACK_SHIFT;
	tag = tag_of(now, h, false, carried);
	*tsval = 0;
	return (uint32_t)tag << PLAIN_BITS | (carried ^ ((uint32_t)h & ((1u << PLAIN_BITS) - 1)));
}

static bool check_stamped(const struct cookie_epoch *k, uint64_t h, uint32_t isn, uint32_t tsval,
	struct cookie_options *o)
{
	uint32_t clear = tsval ^ (uint32_t)h;
	uint32_t carried = clear & ((1u << TS_BITS) - 1);
	uint64_t tag = tag_of(k, h, true, carried);

	if ((uint32_t)tag != isn || (uint32_t)(tag >> 32) << TS_BITS != clear - carried)
		return false;
	*o = (struct cookie_options){
		.mss = (uint16_t)carried,
		.wscale = carried >> TS_SCALE_SHIFT & 15,
		.sack = carried >> TS_SACK_SHIFT & 1,
		.ecn = carried >> TS_ECN_SHIFT & 1,
	};
	return true;
}

static bool check_plain(
	const struct cookie_epoch *k, uint64_t h, uint32_t isn, struct cookie_options *o)
{
	uint32_t carried = (isn ^ (uint32_t)h) & ((1u << PLAIN_BITS) - 1);

	if ((uint32_t)tag_of(k, h, false, carried) << PLAIN_BITS != (isn >> PLAIN_BITS)
									    << PLAIN_BITS)
		return false;
	*o = (struct cookie_options){
		.mss = mss_classes[carried & ((1u << CLASS_BITS) - 1)],
		.wscale = carried >> SCALE_SHIFT & 15,
		.sack = carried >> SACK_SHIFT & 1,
	};
	return true;
}

bool cookie_check(const struct cookie_keys *k, const struct cookie_subject *s, uint32_t isn,
	bool timestamps, uint32_t tsval, struct cookie_options *o)
{
	/* The likeliest first. */
	static const unsigned order[COOKIE_EPOCHS] = {1, 0, 2};

	for (unsigned i = 0; i < COOKIE_EPOCHS; i++) {
		const struct cookie_epoch *epoch = &k->of[order[i]];
		uint64_t h = hash_subject(epoch, s);

		if (timestamps ? check_stamped(epoch, h, isn, tsval, o)
			       : check_plain(epoch, h, isn, o))
			return true;
	}
	return false;
}
