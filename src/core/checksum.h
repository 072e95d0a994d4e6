/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Internet checksum (RFC 1071). */
#ifndef ACKGATE_CORE_CHECKSUM_H
#define ACKGATE_CORE_CHECKSUM_H

#include "core/addr.h"

#include <stddef.h>

/*
 * Both return what belongs into the checksum field if that field is zero now, and 0 if the field is
 * right as it is. `len` in bytes; the TCP segment is header and data, src and dst make its
 * pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1).
 */
uint16_t checksum_ipv4(const uint8_t *header, size_t len);
uint16_t checksum_tcp(
	const struct addr *src, const struct addr *dst, const uint8_t *segment, size_t len);
/* RFC 4443, section 2.3. */
uint16_t checksum_icmpv6(
	const struct addr *src, const struct addr *dst, const uint8_t *message, size_t len);

#endif
