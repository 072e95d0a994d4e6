/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes to conntrack entries, sent in batches.
 *
 * No request asks for an acknowledgement: the kernel answers refusals only, and those are swallowed
 * (most often "no such entry"). Of a mark nothing but our bit is ever written: CTA_MARK_MASK makes
 * the kernel keep the others.
 */
#ifndef ACKGATE_KERNEL_CONNTRACK_REQUESTS_H
#define ACKGATE_KERNEL_CONNTRACK_REQUESTS_H

#include "core/addr.h"

#include <stdbool.h>
#include <stdint.h>

struct conntrack_requests;

/* `mark`: our bit. NULL with errno. */
struct conntrack_requests *conntrack_requests_open(uint32_t mark);
void conntrack_requests_close(struct conntrack_requests *r);

/*
 * Each adds one request; a full batch is sent first. The tuple is that of either direction as its
 * packets are before NAT: the kernel finds the entry by both.
 */
void conntrack_requests_delete(struct conntrack_requests *r, const struct tuple *t);
void conntrack_requests_mark(struct conntrack_requests *r, const struct tuple *t, bool on);
/* An ESTABLISHED, marked entry without NAT for `timeout_s` seconds; refused if one is there, of
 * either direction. */
void conntrack_requests_create(
	struct conntrack_requests *r, const struct tuple *t, uint32_t timeout_s);

/* Sends the batch. */
void conntrack_requests_flush(struct conntrack_requests *r);

/* How many requests were ever granted, the batch's included: it is sent first. */
uint64_t conntrack_requests_granted(struct conntrack_requests *r);

#endif
