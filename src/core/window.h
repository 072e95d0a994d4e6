/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Window tracking for flows that are inspected in full, as seen from the middle (G. van Rooij,
 * "Real Stateful TCP Packet Filtering in IP Filter", 2001; RFC 9293, 3.10.7.4; scaling by RFC 7323,
 * section 2).
 */
#ifndef ACKGATE_CORE_WINDOW_H
#define ACKGATE_CORE_WINDOW_H

#include "core/packet.h"

#include <stdbool.h>
#include <stdint.h>

/* What one end has sent and may send; sequence numbers are its own. */
struct window_end {
	uint32_t next;    /* one past the highest it has sent */
	uint32_t limit;   /* one past the highest that the other end has allowed */
	uint32_t acked;   /* the other end's highest acknowledgement of it */
	uint32_t offered; /* the largest window it has offered, in bytes */
	uint32_t fin;     /* the number its FIN took, if fin_sent */
	uint8_t scale;    /* shift of the windows it offers */
	bool known;       /* it has been heard */
	bool fin_sent;
	bool liberal; /* joined midway: its scale is not known, nothing is out of its window */
};

struct window {
	struct window_end end[2]; /* by side: 0 the client, 1 the server */
	uint32_t reopen_isn;      /* of a SYN that came on the live flow, if `reopening` */
	bool reopening;
};

enum window_verdict {
	WINDOW_INSIDE,
	WINDOW_OUTSIDE_SEQ,
	WINDOW_OUTSIDE_ACK,
};

/* Begins with the client's SYN; a later SYN of the same flow begins anew. */
void window_syn(struct window *w, const struct segment *syn);
/* The server's SYN-ACK (or either SYN of a simultaneous open): settles both scales. */
void window_syn_ack(
	struct window *w, unsigned side, const struct segment *syn_ack, bool client_scales);
/* Begins with a segment from the middle of a flow whose handshake nobody saw. */
void window_join(struct window *w, unsigned side, const struct segment *seg);

enum window_verdict window_check(const struct window *w, unsigned side, const struct segment *seg);
/* Takes a segment that is inside into account. */
void window_update(struct window *w, unsigned side, const struct segment *seg);

/*
 * Whether an RST may be the one its receiver obeys: at the very next number it waits for (RFC 5961,
 * section 3.2), which is somewhere between what it has acknowledged and what it was sent.
 */
bool window_rst_obeyed(const struct window *w, unsigned side, const struct segment *seg);
/* Whether a segment from `side` acknowledges the other end's FIN. */
bool window_acks_fin(const struct window *w, unsigned side, const struct segment *seg);

#endif
