/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing for tests; cmocka.h comes first. */
#ifndef ACKGATE_TESTS_UNIT_PARSED_H
#define ACKGATE_TESTS_UNIT_PARSED_H

#include "core/packet.h"
#include "vectors.h"

#include <stdlib.h>

struct parsed {
	enum packet_kind kind;
	struct segment seg;
	struct addr from;
};

/* From a heap block of just that size, so that a sanitizer sees every byte read too far. */
static inline struct parsed parse_part(
	const uint8_t *bytes, size_t captured, size_t on_wire, bool verify)
{
	uint8_t *exact = malloc(captured ? captured : 1);
	struct parsed p;

	assert_non_null(exact);
	memcpy(exact, bytes, captured);
	memset(&p, 0xee, sizeof(p));
	p.kind = packet_parse(exact, captured, on_wire, verify, &p.seg, &p.from);
	free(exact);
	return p;
}

static inline struct parsed parse(const struct sample *s)
{
	return parse_part(s->bytes, s->len, s->len, false);
}

static inline enum packet_kind kind(const struct sample *s)
{
	return parse(s).kind;
}

static inline struct addr v6(const char bytes[static 16])
{
	struct addr a;
	memcpy(a.b, bytes, 16);
	return a;
}

static const uint8_t client4[] = {192, 0, 2, 1};
static const uint8_t server4[] = {198, 51, 100, 2};
#define CLIENT6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define SERVER6 "\x20\x01\x0d\xb8\0\x01\0\0\0\0\0\0\0\0\0\x02"

static inline void assert_addr(const struct addr *got, struct addr expected)
{
	assert_memory_equal(got->b, expected.b, sizeof(expected.b));
}

#endif
