/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "splice/exhausted.h"

void exhausted_add(struct exhausted *x, const struct addr *source, const struct endpoint *server,
	uint64_t now_us)
{
	x->pairs[x->next].source = *source;
	x->pairs[x->next].server = *server;
	x->pairs[x->next].until_us = now_us + EXHAUSTED_US;
	x->next = (x->next + 1) % EXHAUSTED_PAIRS;
}

/* From the newest on, so that where nothing is exhausted one look is enough. */
bool exhausted_has(const struct exhausted *x, const struct addr *source,
	const struct endpoint *server, uint64_t now_us)
{
	for (unsigned age = 1; age <= EXHAUSTED_PAIRS; age++) {
		unsigned i = (x->next + EXHAUSTED_PAIRS - age) % EXHAUSTED_PAIRS;

		if (x->pairs[i].until_us <= now_us)
			return false;
		if (x->pairs[i].server.port == server->port &&
			addr_equal(&x->pairs[i].server.addr, &server->addr) &&
			addr_equal(&x->pairs[i].source, source))
			return true;
	}
	return false;
}
