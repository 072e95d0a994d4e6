/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One step of a handshake: which cell, whether the numbers hold, what is remembered. */
#include "core/handshake.h"

#include "core/seq.h"

#include <stddef.h>

static enum hs_kind kind_of(const struct window *w, enum hs_side side, const struct segment *seg)
{
	if (seg->flags & TCP_RST)
		return HS_RST;
	if (seg->flags & TCP_SYN)
		return seg->flags & TCP_ACK ? HS_SYN_ACK : HS_SYN;
	if (w && window_acks_fin(w, side, seg))
		return HS_ACK_OF_FIN;
	return seg->flags & TCP_FIN ? HS_FIN : HS_ACK;
}

/* The client's first number after what the server has acknowledged of its SYN is at most this far
 * on. */
static uint32_t syn_data(const struct handshake *h)
{
	return h->state == HS_SYN_SENT && h->flags & HS_DATA_IN_SYN ? h->server_isn : 0;
}

static bool acks_syn(const struct handshake *h, const struct segment *seg)
{
	if (!(seg->flags & TCP_ACK))
		return false;
	if (h->state == HS_SYN_RCVD && h->flags & HS_DATA_IN_SYN)
		return seq_between(h->client_isn + 1, seg->ack, h->client_isn + 1 + UINT16_MAX);
	return seq_between(h->client_isn + 1, seg->ack, h->client_isn + 1 + syn_data(h));
}

/*
 * The third ACK. Its sequence number is the client's next, one less if it probes (RFC
 * 9293, 3.8.6.1), or as far on as the SYN-ACK's unscaled window allows if segments before it were
 * lost.
 */
static bool acks_answer(const struct handshake *h, const struct segment *seg)
{
	uint32_t early = h->flags & HS_DATA_TAKEN ? UINT16_MAX : 0;

	if (!(seg->flags & TCP_ACK))
		return false;
	if (seq_between(h->server_isn + 1, seg->ack, h->server_isn + 1 + early))
		return true;
	return h->flags & HS_HAS_OTHER && seg->ack == h->other_isn + 1;
}

static bool acks_newer(const struct handshake *h, const struct segment *seg)
{
	return h->state == HS_SYN_RENEWED && seg->ack == h->other_isn + 1;
}

static bool acks_older(const struct handshake *h, const struct segment *seg)
{
	return h->state == HS_SYN_SENT && h->flags & HS_OLDER_SYN && seg->flags & TCP_ACK &&
	       seg->ack == h->other_isn + 1;
}

static bool clients_next(const struct handshake *h, const struct segment *seg)
{
	return seq_between(h->client_isn, seg->seq, h->client_isn + 1 + UINT16_MAX);
}

uint32_t hs_server_waits_for(const struct handshake *h)
{
	bool took_data = h->state == HS_SYN_RCVD &&
			 (h->flags & (HS_DATA_TAKEN | HS_HAS_OTHER)) == HS_DATA_TAKEN;

	return (took_data ? h->other_isn : h->client_isn) + 1;
}

/* Exact, or the server would challenge it and keep what is forgotten here. */
static bool rst_of_client(const struct handshake *h, const struct segment *seg)
{
	return seg->seq == hs_server_waits_for(h);
}

static bool rst_of_server(const struct handshake *h, const struct segment *seg)
{
	uint32_t early = h->flags & HS_DATA_TAKEN ? UINT16_MAX : 0;

	if (seq_between(h->server_isn + 1, seg->seq, h->server_isn + 1 + early))
		return true;
	if (h->flags & HS_HAS_OTHER && seg->seq == h->other_isn + 1)
		return true;
	/* A listener that has forgotten the SYN answers its retransmission like a closed port. */
	return seg->flags & TCP_ACK && seg->seq == 0 && (acks_syn(h, seg) || acks_newer(h, seg));
}

static bool holds(enum hs_check check, const struct handshake *h, const struct window *w,
	enum hs_side side, const struct segment *seg)
{
	switch (check) {
	case HS_CLIENT_ISN:
		return seg->seq == h->client_isn;
	case HS_OTHER_ISN:
		return seg->seq != h->client_isn;
	case HS_SERVER_ISN:
		return h->flags & HS_WAS_CROSSED && seg->seq == h->server_isn;
	case HS_ACKS_SYN:
		return acks_syn(h, seg);
	case HS_ACKS_BOTH_SYN:
		return acks_syn(h, seg) && seg->seq == h->server_isn;
	case HS_ACKS_NEWER:
		return acks_newer(h, seg);
	case HS_CROSSED_ACK:
		return h->flags & HS_WAS_CROSSED && seg->ack == h->server_isn + 1 &&
		       seg->seq == h->client_isn;
	case HS_COMPLETES:
		return acks_answer(h, seg) && clients_next(h, seg);
	case HS_RST_OF_SYN:
		return acks_syn(h, seg);
	case HS_RST_OF_OLD:
		return h->flags & HS_HAS_OTHER && seg->seq == h->other_isn + 1;
	case HS_RST_OF_CLIENT:
		return rst_of_client(h, seg);
	case HS_RST_OF_SERVER:
		return rst_of_server(h, seg);
	case HS_IN_WINDOW:
	case HS_RST_IN_WINDOW:
		return !w || window_check(w, side, seg) == WINDOW_INSIDE;
	case HS_REOPENS:
		return w && w->has_other &&
		       seq_between(w->other.acked + 1, seg->ack, w->other.next);
	case HS_ANY:
	case HS_CHECKS:
		break;
	}
	return true;
}

void hs_open(struct handshake *h, const struct segment *syn, bool data_kept)
{
	h->client_isn = syn->seq;
	h->server_isn = 0;
	h->other_isn = 0;
	h->state = HS_SYN_SENT;
	h->flags &= HS_COUNTED | HS_SEEN | HS_OVER;
	if (data_kept && syn->data_len > 0) {
		h->flags |= HS_DATA_IN_SYN;
		h->server_isn = syn->data_len < UINT16_MAX ? syn->data_len : UINT16_MAX;
	}
}

void hs_prove(struct handshake *h, uint32_t client_isn, uint32_t cookie_isn)
{
	h->client_isn = client_isn;
	h->server_isn = cookie_isn;
	h->other_isn = 0;
	h->state = HS_OPENING;
	h->flags &= HS_COUNTED | HS_SEEN;
}

void hs_join_syn_ack(struct handshake *h, const struct segment *syn_ack)
{
	h->client_isn = syn_ack->ack - 1;
	h->server_isn = syn_ack->seq;
	h->other_isn = 0;
	h->state = HS_SYN_RCVD;
	h->flags = 0;
}

static void remember_other(struct handshake *h, uint32_t isn)
{
	h->other_isn = isn;
	h->flags |= HS_HAS_OTHER;
}

void hs_restart(struct handshake *h, const struct segment *syn, bool data_kept)
{
	uint32_t older = h->flags & HS_OLDER_SYN ? h->other_isn : h->client_isn;

	hs_open(h, syn, data_kept);
	remember_other(h, older);
	h->flags |= HS_OLDER_SYN;
}

/* A word about an older connection. One about the earlier SYN is no news. */
static void challenged(struct handshake *h, struct window *w, const struct segment *seg)
{
	if (acks_older(h, seg))
		return;
	remember_other(h, seg->ack - 1);
	h->flags &= ~HS_OLDER_SYN;
	if (w)
		w->has_other = false;
}

static void answer(struct handshake *h, struct window *w, const struct segment *syn_ack)
{
	h->flags &= ~(HS_HAS_OTHER | HS_OLDER_SYN);
	if (h->flags & HS_DATA_IN_SYN && syn_ack->ack != h->client_isn + 1) {
		h->flags |= HS_DATA_TAKEN;
		h->other_isn = syn_ack->ack - 1;
	}
	h->server_isn = syn_ack->seq;
	if (w) {
		w->has_other = false;
		window_syn_ack(w, syn_ack);
	}
}

/*
 * The client's last SYN may have been anybody's, sent to make this handshake fail. So both remain:
 * the client answers the SYN-ACK with an ACK, or with an RST if the last was its own.
 */
static void answer_older(struct handshake *h, struct window *w, const struct segment *syn_ack)
{
	uint32_t newer = h->client_isn;

	h->client_isn = h->other_isn;
	h->other_isn = newer;
	h->server_isn = syn_ack->seq;
	h->flags &= HS_COUNTED | HS_SEEN | HS_OVER | HS_UNREACHABLE;
	h->state = HS_SYN_RENEWED;
	if (w)
		window_answer_older(w, syn_ack);
}

/* The older handshake's flags say nothing about the newer one. */
static void answer_newer(struct handshake *h, struct window *w, const struct segment *syn_ack)
{
	h->client_isn = syn_ack->ack - 1;
	h->server_isn = syn_ack->seq;
	h->flags &= HS_COUNTED | HS_SEEN | HS_OVER;
	if (w)
		window_reopen(w, syn_ack);
}

static void renew(struct handshake *h, struct window *w, const struct segment *syn)
{
	h->flags &= ~HS_HAS_OTHER;
	h->other_isn = syn->seq;
	if (w)
		window_note_syn(w, syn);
}

static void forgo(struct handshake *h, struct window *w)
{
	uint32_t older = h->client_isn;

	h->client_isn = h->other_isn;
	h->server_isn = 0;
	h->flags &= HS_COUNTED | HS_SEEN | HS_OVER;
	remember_other(h, older);
	if (w)
		*w = (struct window){.end[HS_FROM_CLIENT] = w->other};
}

static void admit(struct handshake *h, struct window *w, const struct segment *seg)
{
	/* The client answered the server's earlier SYN-ACK. */
	if (h->flags & HS_HAS_OTHER && seg->ack == h->other_isn + 1) {
		h->server_isn = h->other_isn;
		if (w)
			window_choose_isn(w, h->server_isn);
	}
	if (w)
		window_update(w, HS_FROM_CLIENT, seg);
}

/* What an act changes in the numbers. */
static void carry_out(enum hs_act act, struct handshake *h, struct window *w, enum hs_side side,
	const struct segment *seg)
{
	switch (act) {
	case HS_CHALLENGED:
		challenged(h, w, seg);
		return;
	case HS_REANSWER:
		if (seg->seq == h->server_isn)
			return;
		remember_other(h, h->server_isn);
		h->server_isn = seg->seq;
		if (w)
			window_syn_ack(w, seg);
		return;
	case HS_CROSS:
		h->flags |= HS_WAS_CROSSED;
		h->flags &= ~(HS_HAS_OTHER | HS_OLDER_SYN);
		h->server_isn = seg->seq;
		if (w) {
			w->has_other = false;
			window_syn_ack(w, seg);
		}
		return;
	case HS_ANSWER:
		answer(h, w, seg);
		return;
	case HS_RENEW:
		renew(h, w, seg);
		return;
	case HS_ANSWER_OLDER:
		answer_older(h, w, seg);
		return;
	case HS_ANSWER_NEWER:
	case HS_REOPEN:
		answer_newer(h, w, seg);
		return;
	case HS_FORGO:
		forgo(h, w);
		return;
	case HS_NOTE_SYN:
		if (w)
			window_note_syn(w, seg);
		return;
	case HS_ADMIT:
		admit(h, w, seg);
		return;
	case HS_PASS:
		if (w && !(seg->flags & (TCP_SYN | TCP_RST)) &&
			window_check(w, side, seg) == WINDOW_INSIDE)
			window_update(w, side, seg);
		return;
	case HS_DROP:
	case HS_OPEN:
	case HS_RESTART:
	case HS_REFUSED:
	case HS_CLIENT_RESET:
	case HS_COOKIE:
	case HS_HOLD:
	case HS_PROVE:
	case HS_TRANSLATE:
	case HS_REBUKE:
	case HS_ACTS:
		return;
	}
}

/* The cell's other way: what answers an older SYN of this client goes through although it does not
 * answer the last one. */
static struct hs_outcome not_held(const struct hs_cell *cell, struct handshake *h, struct window *w,
	enum hs_side side, const struct segment *seg)
{
	if (acks_older(h, seg) && cell->check == HS_ACKS_SYN) {
		carry_out(HS_ANSWER_OLDER, h, w, side, seg);
		return (struct hs_outcome){HS_ANSWER_OLDER, REASON_NONE};
	}
	if (acks_older(h, seg) && cell->check == HS_RST_OF_SYN)
		return (struct hs_outcome){HS_PASS, REASON_NONE};
	if (cell->check == HS_ACKS_SYN && h->state == HS_SYN_SENT && h->flags & HS_HAS_OTHER &&
		seg->ack == h->other_isn + 1)
		return (struct hs_outcome){HS_PASS, REASON_NONE};
	if (cell->otherwise == HS_DROP && cell->check == HS_COMPLETES && acks_answer(h, seg))
		return (struct hs_outcome){HS_DROP, REASON_bad_seq};
	carry_out(cell->otherwise, h, w, side, seg);
	return (struct hs_outcome){
		cell->otherwise, cell->otherwise == HS_DROP ? cell->reason : REASON_NONE};
}

static struct hs_outcome step(struct handshake *h, struct window *w, enum hs_side side,
	enum hs_kind kind, const struct segment *seg)
{
	const struct hs_cell *cell = hs_cell((enum hs_state)h->state, side, kind);

	if (!holds(cell->check, h, w, side, seg))
		return not_held(cell, h, w, side, seg);
	carry_out(cell->act, h, w, side, seg);
	if (cell->act == HS_DROP)
		return (struct hs_outcome){HS_DROP, cell->reason};
	/* An RST that its receiver will not obey is passed for the challenge it earns, and ends
	 * nothing. */
	if (cell->check == HS_RST_IN_WINDOW && w && !window_rst_obeyed(w, side, seg))
		return (struct hs_outcome){HS_PASS, REASON_NONE};
	if (cell->act != HS_OPEN)
		h->state = cell->next;
	return (struct hs_outcome){cell->act, REASON_NONE};
}

/* The server's FIN came before the third ACK, as one with Fast Open may. */
static void meet_early_fin(struct handshake *h, const struct window *w, const struct segment *seg)
{
	if (w->end[HS_FROM_SERVER].fin_sent)
		h->state = window_acks_fin(w, HS_FROM_CLIENT, seg) ? HS_HALF_SERVER : HS_FIN_SERVER;
}

struct hs_outcome hs_step(
	struct handshake *h, struct window *w, enum hs_side side, const struct segment *seg)
{
	enum hs_kind kind = kind_of(w, side, seg);
	struct hs_outcome outcome = step(h, w, side, kind, seg);
	bool admitted = outcome.act == HS_ADMIT;

	if (!w || h->state < HS_ESTABLISHED)
		return outcome;
	if (admitted)
		meet_early_fin(h, w, seg);
	/* A FIN behind the acknowledgement of the other's FIN, or on the third ACK, is a step of
	 * its own. */
	if (seg->flags & TCP_FIN && (admitted || (outcome.act == HS_PASS && kind == HS_ACK_OF_FIN)))
		step(h, w, side, HS_FIN, seg);
	return outcome;
}
