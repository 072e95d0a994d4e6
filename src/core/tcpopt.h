/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP options: one pass over the list, no allocation. */
#ifndef ACKGATE_CORE_TCPOPT_H
#define ACKGATE_CORE_TCPOPT_H

#include "core/packet.h"

/*
 * Reads `len` bytes of options that begin 20 bytes into the TCP header (RFC 9293, section 3.2). False, with *out
 * unspecified, if a length is below 2, runs over the end, or is not the one the kind is defined to have.
 */
bool tcpopt_parse(const uint8_t *options, size_t len, struct tcp_options *out);

#endif
