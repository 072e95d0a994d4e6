/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps that SYN cookies add to the chains; judgement.c says where. None is added unless the
 * plan translates. */
#ifndef ACKGATE_KERNEL_JUDGEMENT_COOKIES_H
#define ACKGATE_KERNEL_JUDGEMENT_COOKIES_H

#include "kernel/chains.h"

/* The chains that are of cookies alone: what may prove a cookie, and SYNs whose destination was
 * changed. */
void judgement_cookies_build(struct chains *c);

/* In the client's chain of a rule that gives cookies, before all its other SYNs are asked about:
 * those whose destination was changed. */
void judgement_cookies_syns(struct chains *c, size_t chain, const struct policy_rule *r);
/* At a hook that replies pass: RSTs of servers. */
void judgement_cookies_resets(struct chains *c, size_t chain);
/* Before conntrack: ICMP about sizes. */
void judgement_cookies_sizes(struct chains *c, size_t chain);

#endif
