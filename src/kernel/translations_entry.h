/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A translated connection as ctnetlink is told of it. */
#ifndef ACKGATE_KERNEL_TRANSLATIONS_ENTRY_H
#define ACKGATE_KERNEL_TRANSLATIONS_ENTRY_H

#include "core/translation.h"

#include <libmnl/libmnl.h>

/* What the old entry says, and what every new one has. */
struct translations_entry {
	const struct addr *client; /* as the server sees it */
	uint16_t client_port;
	uint32_t mark;
	uint32_t timeout_s;
};

/* What the client connected to is not the server itself. */
bool translations_entry_has_dnat(const struct translation *t);
/* The connection as the client sees it: with what it connected to. */
struct tuple translations_entry_original(const struct translation *t);

/* Writes all of a new entry: at most 512 bytes with the head. */
void translations_entry_put(
	struct nlmsghdr *nlh, const struct translation *t, const struct translations_entry *e);

#endif
