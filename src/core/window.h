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
	uint8_t scale;    /* shift of the windows it offers, if both ends scale */
	bool scales;      /* its SYN said so */
	bool known;       /* it has been heard */
	bool fin_sent;
	bool liberal; /* joined midway: its scale is not known, nothing is out of its window */
};

struct window {
	struct window_end end[2]; /* by side: 0 the client, 1 the server */
	/* The client, as another SYN describes it: a later one that came on the flow, or, until the
	 * server has answered, an earlier one. */
	struct window_end other;
	bool has_other;
	uint32_t offset; /* added to the server's numbers: what the kernel will do to them */
};

enum window_verdict {
	WINDOW_INSIDE,
	WINDOW_OUTSIDE_SEQ,
	WINDOW_OUTSIDE_ACK,
};

/* Begins with the client's SYN, of whose data `data_kept` says whether it goes on; a later SYN of
 * the same flow begins anew. */
void window_syn(struct window *w, const struct segment *syn, bool data_kept);
/* Another SYN before the server has answered: the first is remembered. */
void window_restart(struct window *w, const struct segment *syn, bool data_kept);
/* The server's SYN-ACK to that first one: the last is a later one now. */
void window_answer_older(struct window *w, const struct segment *syn_ack);
/* The server's SYN-ACK, or its SYN in a simultaneous open. */
void window_syn_ack(struct window *w, const struct segment *syn_ack);
/* A SYN with another ISN on a flow whose server has answered: nothing changes until the server
 * takes it. */
void window_note_syn(struct window *w, const struct segment *syn);
/* The server's SYN-ACK to the SYN that was noted: it begins with these two. */
void window_reopen(struct window *w, const struct segment *syn_ack);
/* The client chose the server's other ISN, of a server that answered with two. */
void window_choose_isn(struct window *w, uint32_t server_isn);
/* Begins with a segment from the middle of a flow whose handshake nobody saw. */
void window_join(struct window *w, unsigned side, const struct segment *seg);

enum window_verdict window_check(const struct window *w, unsigned side, const struct segment *seg);
/* Takes a segment that is inside into account. */
void window_update(struct window *w, unsigned side, const struct segment *seg);

/*
 * Whether an RST is one that its receiver obeys: at the very next number it waits for (RFC 5961,
 * section 3.2), which is what it has acknowledged, or all it was sent if its acknowledgement is
 * still under way.
 */
bool window_rst_obeyed(const struct window *w, unsigned side, const struct segment *seg);
/* Whether a segment from `side` acknowledges the other end's FIN. */
bool window_acks_fin(const struct window *w, unsigned side, const struct segment *seg);

#endif
