/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A gateway whose connections get entries that translate. What fails here fails the test. */
#ifndef ACKGATE_TESTS_KERNEL_GATEWAY_H
#define ACKGATE_TESTS_KERNEL_GATEWAY_H

#include "kernel/translations.h"
#include "netns.h"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

enum {
	GATEWAY_MARK = 0x40,
	GATEWAY_OTHERS_MARK = 0x08, /* on whatever the gateway sends */
	GATEWAY_DONE_MAX = 256,
	GATEWAY_CLIENT_ISN = 1000,
	GATEWAY_COOKIE_ISN = 0x10,
	GATEWAY_SERVER_ISN = 0xfffffff0,
	GATEWAY_COOKIE_TSVAL = 100,
	GATEWAY_SERVER_TSVAL = 90,
};

struct gateway_done {
	struct translation t;
	struct addr client;
	uint16_t client_port;
	int error;
};

/* Beside it, at 10.2.0.2 and fd02::2, is a server that never answers. */
struct gateway {
	int gate, server; /* namespaces */
	struct translations *tr;
	unsigned count;
	struct gateway_done done[GATEWAY_DONE_MAX];
};

/* The gateway is current then. */
void gateway_open(struct gateway *n);
void gateway_close(const struct gateway *n);

struct tuple gateway_tuple(
	const char *client, uint16_t client_port, const char *server, uint16_t server_port);
/* A client of its port to the family's server, without NAT. */
struct tuple gateway_to_server(bool v4, uint16_t client_port);

/* With all options on. */
struct translation gateway_translation(const struct tuple *t);
struct translation gateway_by_dnat(
	const struct tuple *t, const char *public_addr, uint16_t public_port);

/* As the daemon sends it: by a raw socket, and tracked. */
void gateway_send(const struct tuple *t, uint8_t flags, uint32_t seq);
void gateway_send_syn(const struct tuple *t);

/* The entry of an original direction as another reader sees it; NULL if there is none. */
struct nf_conntrack *gateway_entry(const struct tuple *t);

/* Makes one, which has to succeed. */
const struct gateway_done *gateway_make(struct gateway *n, const struct translation *t);

void gateway_check_done(
	const struct gateway *n, unsigned i, const struct translation *t, int error);
void gateway_check_seen_as(
	const struct gateway *n, unsigned i, const struct addr *client, uint16_t port);
/* All of the entry of `original`, but its NAT. */
void gateway_check_made(const struct translation *t, const struct tuple *original, uint32_t mark);

#endif
