/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses and ports as people write them: 192.0.2.1:80, [2001:db8::1]:80, 192.0.2.0/24. */
#ifndef ACKGATE_CONTROL_ENDPOINT_H
#define ACKGATE_CONTROL_ENDPOINT_H

#include "core/addr.h"

#include <stddef.h>

/* Room for the longest text, "[" IPv6 "]:65535", and its end. */
enum {
	ENDPOINT_TEXT = 56
};

/* ADDR:PORT, with an IPv6 address in brackets (RFC 3986, 3.2.2). Returns out. */
const char *endpoint_text(char out[static ENDPOINT_TEXT], const struct addr *a, uint16_t port);
/* The address alone, without brackets. Returns out. */
const char *endpoint_addr_text(char out[static ENDPOINT_TEXT], const struct addr *a);
/* FIRST alone if the range is one address, ADDR/N if it is a prefix, else FIRST-LAST. */
void endpoint_range_text(char *out, size_t size, const struct addr_range *r);

/*
 * ADDR or ADDR/N; bits beyond the prefix are ignored. False: not such a text, *out is unspecified.
 */
bool endpoint_parse_range(const char *text, struct addr_range *out);
/* ADDR[/N], ADDR4:PORT or [ADDR6]:PORT; *port is 0 where none is given. False: not such a text. */
bool endpoint_parse(const char *text, struct addr_range *out, uint16_t *port);
/* 1 to 65535, digits alone. */
bool endpoint_parse_port(const char *text, uint16_t *port);

#endif
