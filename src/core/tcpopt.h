/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP options: one pass over the list, no allocation. */
#ifndef ACKGATE_CORE_TCPOPT_H
#define ACKGATE_CORE_TCPOPT_H

#include "core/packet.h"

/* The kinds the gate acts on. */
enum tcp_option_kind {
	TCP_OPTION_EOL = 0,
	TCP_OPTION_NOP = 1,
	TCP_OPTION_MSS = 2,            /* RFC 9293, section 3.2 */
	TCP_OPTION_WSCALE = 3,         /* RFC 7323, section 2.2 */
	TCP_OPTION_SACK_PERMITTED = 4, /* RFC 2018, section 2 */
	TCP_OPTION_TIMESTAMP = 8,      /* RFC 7323, section 3.2 */
	TCP_OPTION_MD5 = 19,           /* RFC 2385 */
	TCP_OPTION_AO = 29,            /* RFC 5925 */
	TCP_OPTION_FASTOPEN = 34,      /* RFC 7413, section 4.1.1 */
	TCP_OPTION_EXPERIMENT = 254,   /* RFC 6994; Fast Open before it had a number of its own */
};

/*
 * Reads `len` bytes of options that begin 20 bytes into the TCP header (RFC 9293, section 3.1).
 * False, with *out unspecified, if a length is below 2, runs over the end, or is not one that its
 * kind is defined to have; and if MSS, window scale, timestamps or Fast Open, in either form, is
 * given twice. Kinds the gate does not act on are skipped.
 */
bool tcpopt_parse(const uint8_t *options, size_t len, struct tcp_options *out);

#endif
