/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012). */
#ifndef ACKGATE_CORE_SIPHASH_H
#define ACKGATE_CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0;
	uint64_t k1;
};

uint64_t siphash(const void *data, size_t len, const struct siphash_key *key);

/* SipHash-1-3, for hash tables: the same promises against collisions, half the rounds. */
uint64_t siphash13(const void *data, size_t len, const struct siphash_key *key);

#endif
