/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection that began with a SYN cookie: the client knows another ISN of the server's than the
 * server does, so from the server's SYN-ACK on the kernel has to translate (docs/cookies.md).
 */
#ifndef ACKGATE_CORE_TRANSLATION_H
#define ACKGATE_CORE_TRANSLATION_H

#include "core/build.h"

struct translation {
	struct tuple tuple; /* the server is the one after DNAT */
	uint16_t slot;      /* the rule's */
	/* What the client connected to: the server itself, or what DNAT leads from. */
	struct addr public_addr;
	uint16_t public_port;

	uint32_t client_isn;
	uint32_t cookie_isn; /* what the client takes for the server's ISN */
	uint32_t server_isn;

	bool scales; /* both ends do (RFC 7323, section 2) */
	uint8_t client_wscale;
	uint8_t server_wscale;
	bool sack;
	bool timestamps;
	uint32_t cookie_tsval; /* in the SYN-ACK that the client got */
	uint32_t server_tsval; /* in the server's own */
	uint32_t client_tsval; /* the client's latest */

	uint16_t client_window; /* as it stood in the third ACK, scaled */
	uint16_t server_window; /* as it stood in the server's SYN-ACK, not scaled */
};

/* The server's window as the client is told it, in units of its scale: what is open must not look
 * closed. */
uint16_t translation_window(const struct translation *t);

/* The client's third ACK, as the server must see it; `client` is the client as SNAT shows it to the
 * server. Returns the packet's length in bytes. */
size_t translation_build_ack(const struct translation *t, const struct addr *client,
	uint16_t client_port, uint8_t out[static BUILD_MAX]);
/* Opens to the client the window that the SYN-ACK kept closed. */
size_t translation_build_update(const struct translation *t, uint8_t out[static BUILD_MAX]);

#endif
