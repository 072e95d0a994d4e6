/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that the kernel would miswrite on connections it translates, sent again as they should
 * be: a server's RST, and ICMP errors about segments that are too big (docs/cookies.md).
 */
#ifndef ACKGATE_DAEMON_RESEND_H
#define ACKGATE_DAEMON_RESEND_H

#include "core/engine.h"
#include "core/learned.h"
#include "kernel/inject.h"
#include "kernel/translations.h"

/* What both work with. */
struct resend {
	struct translations *translations;
	struct inject *inject;
	const struct learned *learned;
};

/* Both return whether it has been sent instead of the packet that came, which must be dropped then.
 */
bool resend_rst(const struct resend *with, const struct server_rst *rst);
bool resend_too_big(const struct resend *with, const struct size_error *error);

#endif
