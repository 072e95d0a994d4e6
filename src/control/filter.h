/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The language that picks flows, shared by `flows` and `flows kill`. Terms joined by blanks, all of
 * which must hold, each at most once; no term at all picks every flow.
 *
 *	client ADDR[/N]		the client's address
 *	server ADDR[/N]		the server's address, as the gate sees it: after DNAT
 *	server ADDR:PORT	... and its port; [ADDR6]:PORT for IPv6
 *	port N			the server's port
 *	rule NAME		the rule that judged the flow
 *	state WORD		half-open, admitted or closing, or a state that either end is in
 */
#ifndef ACKGATE_CONTROL_FILTER_H
#define ACKGATE_CONTROL_FILTER_H

#include "core/engine.h"

enum filter_term {
	FILTER_CLIENT = 0x01,
	FILTER_SERVER = 0x02,
	FILTER_PORT = 0x04,
	FILTER_RULE = 0x08,
	FILTER_STATE = 0x10,
};

enum {
	FILTER_WORD = 128
};

struct filter {
	unsigned terms; /* enum filter_term, or'ed: the fields below that count */
	struct addr_range client;
	struct addr_range server;
	uint16_t server_port; /* 0: any */
	uint16_t port;
	char rule[FILTER_WORD];
	char state[FILTER_WORD];
};

/* False with a sentence in `why` that says what is wrong and what would be right. */
bool filter_parse(struct filter *f, const char *text, char *why, size_t why_size);

/* `rule` is the name of the rule that holds the flow's slot, NULL if it is gone. */
bool filter_match(const struct filter *f, const struct engine_flow_info *flow, const char *rule);

#endif
