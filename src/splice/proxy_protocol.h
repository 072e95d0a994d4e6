/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): what a proxy says of the
 * client before the client's first byte. Bytes in, bytes out.
 */
#ifndef ACKGATE_SPLICE_PROXY_PROTOCOL_H
#define ACKGATE_SPLICE_PROXY_PROTOCOL_H

#include "config/splicing.h"

enum {
	PROXY_LENGTH_MAX = 536, /* of version 2: addresses and TLVs */
	PROXY_HEADER_MAX = 16 + PROXY_LENGTH_MAX,
	PROXY_BUILD_MAX = 108, /* of what is built */
};

enum proxy_verdict {
	PROXY_NEED_MORE,
	PROXY_BAD,
	PROXY_DONE
};

struct proxy_header {
	size_t len; /* of the header: the client's bytes follow */
	bool local; /* it names nobody: the connection's own addresses count */
	struct endpoint source, destination;
	const char *fault; /* why it is PROXY_BAD, in a few words */
};

/*
 * Reads the first `len` bytes of a connection, all that are there so far; PROXY_HEADER_MAX are
 * enough. `allowed` is PROXY_V1, PROXY_V2 or PROXY_ANY. A header that can't become a good one is
 * bad at its first wrong byte. Fills of `out` what belongs to the verdict. Version 1's UNKNOWN, and
 * version 2's LOCAL and address families other than TCP over IPv4 and IPv6, are local. TLVs are
 * passed over.
 */
enum proxy_verdict proxy_parse(
	const uint8_t *bytes, size_t len, enum proxy_protocol allowed, struct proxy_header *out);

/*
 * Writes a header of `version`, PROXY_V1 or PROXY_V2; its length. Both endpoints NULL: UNKNOWN or
 * LOCAL. If one is IPv4 and the other IPv6, the former is mapped (RFC 4291, 2.5.5.2).
 */
size_t proxy_build(uint8_t out[static PROXY_BUILD_MAX], enum proxy_protocol version,
	const struct endpoint *source, const struct endpoint *destination);

#endif
