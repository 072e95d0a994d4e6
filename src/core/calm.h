/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which rules' handshakes need no verdict for now: nothing would be refused, and nobody answered
 * with a cookie. */
#ifndef ACKGATE_CORE_CALM_H
#define ACKGATE_CORE_CALM_H

#include "core/engine.h"

enum {
	/* As many as the kernel lets wait for their ACK at one listener, by default. */
	CALM_HALF_OPEN = 4096,
	CALM_UNHEARD_OF = 256,
	CALM_AFTER_US = 5000000, /* without anything that disturbs it */
};

struct calm {
	bool told[POLICY_RULES_MAX];         /* by slot */
	uint64_t rough_us[POLICY_RULES_MAX]; /* when it last was not; 0: never */
};

/* How many handshakes may be under way, when the calm ends, of which no word has come: those of the
 * hundredth of a second that a word may take, and where words were lost as many as a calm has. */
uint32_t calm_unheard_of(const struct engine_shared *shared, uint64_t now_us);

/* Brings it up to date; to be called some times a second, by one thread. True if rules have come or
 * gone. */
bool calm_look(struct calm *c, const struct policy *p, const struct engine_shared *shared,
	uint64_t now_us);

#endif
