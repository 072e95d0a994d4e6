/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PROXY protocol's reader. The first byte says which versions are allowed. However many bytes
 * are there at first, the verdict is the same in the end; and what was read can be written and read
 * again.
 */
#include "splice/proxy_protocol.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool same(const struct endpoint *a, const struct endpoint *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port;
}

static void check_again(const struct proxy_header *h, enum proxy_protocol version)
{
	uint8_t bytes[PROXY_BUILD_MAX];
	struct proxy_header again;
	size_t len = proxy_build(
		bytes, version, h->local ? NULL : &h->source, h->local ? NULL : &h->destination);

	require(len <= sizeof(bytes));
	require(proxy_parse(bytes, len, version, &again) == PROXY_DONE);
	require(again.len == len && again.local == h->local);
	if (!h->local)
		require(same(&again.source, &h->source) &&
			same(&again.destination, &h->destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum proxy_protocol allowed[] = {PROXY_V1, PROXY_V2, PROXY_ANY};
	enum proxy_verdict last = PROXY_NEED_MORE;
	struct proxy_header h;

	if (size < 1)
		return 0;
	size_t len = size - 1;
	for (size_t n = 0; n <= len; n++) {
		/* Of its own, so that reading beyond it is seen. */
		uint8_t *bytes = malloc(n);
		require(n == 0 || bytes != NULL);
		if (n > 0)
			memcpy(bytes, data + 1, n);
		enum proxy_verdict v = proxy_parse(bytes, n, allowed[data[0] % 3], &h);
		require(last == PROXY_NEED_MORE || v == last);
		require(v != PROXY_NEED_MORE || n < PROXY_HEADER_MAX);
		require(v != PROXY_BAD || h.fault != NULL);
		require(v != PROXY_DONE || h.len <= n);
		require(v != PROXY_DONE || last == PROXY_DONE || h.len == n);
		last = v;
		free(bytes);
	}
	if (last == PROXY_DONE) {
		check_again(&h, PROXY_V1);
		check_again(&h, PROXY_V2);
	}
	return 0;
}
