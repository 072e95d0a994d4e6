/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sequence numbers compare modulo 2^32 (RFC 9293, section 3.4). */
#ifndef ACKGATE_CORE_SEQ_H
#define ACKGATE_CORE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_at_or_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

/* Whether first <= x <= last, walking forward from first; right at every wrap. */
static inline bool seq_between(uint32_t first, uint32_t x, uint32_t last)
{
	return x - first <= last - first;
}

#endif
