/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/siphash.h"

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

/* Least significant byte first; compilers make one load of it where that is the machine's order. */
static inline uint64_t load64(const uint8_t *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
	       (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
	       (uint64_t)p[7] << 56;
}

/* The message's length in the top byte, what is left of it below. */
static inline uint64_t last_word(const uint8_t *rest, size_t len)
{
	uint64_t word = (uint64_t)len << 56;

	for (size_t i = 0; i < len % 8; i++)
		word |= (uint64_t)rest[i] << 8 * i;
	return word;
}

/* The number of rounds is a constant where these are called: a copy for each unrolls them. */
#ifdef __GNUC__
#define ALWAYS_INLINE __attribute__((always_inline))
#else
#define ALWAYS_INLINE
#endif

static inline ALWAYS_INLINE void rounds(struct state *s, unsigned count)
{
	while (count-- > 0) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 = rotate(s->v2, 32);
	}
}

static inline void compress(struct state *s, uint64_t word, unsigned count)
{
	s->v3 ^= word;
	rounds(s, count);
	s->v0 ^= word;
}

static inline ALWAYS_INLINE uint64_t hash(
	const uint8_t *p, size_t len, const struct siphash_key *key, unsigned c, unsigned d)
{
	struct state s = {
		.v0 = key->k0 ^ 0x736f6d6570736575,
		.v1 = key->k1 ^ 0x646f72616e646f6d,
		.v2 = key->k0 ^ 0x6c7967656e657261,
		.v3 = key->k1 ^ 0x7465646279746573,
	};
	const uint8_t *end = p + len - len % 8;

	for (; p != end; p += 8)
		compress(&s, load64(p), c);
	compress(&s, last_word(p, len), c);
	s.v2 ^= 0xff;
	rounds(&s, d);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash(const void *data, size_t len, const struct siphash_key *key)
{
	return hash(data, len, key, 2, 4);
}

uint64_t siphash13(const void *data, size_t len, const struct siphash_key *key)
{
	return hash(data, len, key, 1, 3);
}
