/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/window.h"

#include "core/seq.h"

/* How far behind an acknowledgement may lag: a window, but never less than an unscaled one and a
 * segment. */
enum {
	ACK_LAG_MIN = 66000
};

/* Both ends scale or neither does (RFC 7323, section 1.3), and never the window of a segment with
 * SYN (section 2.2). */
static uint32_t offered_by(const struct window *w, unsigned side, const struct segment *seg)
{
	bool scaled = w->end[0].scales && w->end[1].scales && !(seg->flags & TCP_SYN);
	uint32_t bytes = (uint32_t)seg->window << (scaled ? w->end[side].scale : 0);

	return bytes > 0 ? bytes : 1; /* a zero window still lets a probe of one byte in */
}

/* An end as its SYN or SYN-ACK describes it. */
static struct window_end opened_by(const struct segment *syn, uint32_t data)
{
	return (struct window_end){
		.next = syn->seq + 1 + data,
		.limit = syn->seq + 1 + data,
		.acked = syn->seq,
		.offered = syn->window > 0 ? syn->window : 1,
		.scale = syn->opt.wscale,
		.scales = syn->opt.has_wscale,
		.known = true,
	};
}

void window_syn(struct window *w, const struct segment *syn, bool data_kept)
{
	*w = (struct window){.end[0] = opened_by(syn, data_kept ? syn->data_len : 0)};
}

void window_restart(struct window *w, const struct segment *syn, bool data_kept)
{
	struct window_end first = w->has_other ? w->other : w->end[0];

	window_syn(w, syn, data_kept);
	w->other = first;
	w->has_other = true;
}

void window_answer_older(struct window *w, const struct segment *syn_ack)
{
	*w = (struct window){.end[0] = w->other, .other = w->end[0], .has_other = true};
	window_syn_ack(w, syn_ack);
}

void window_syn_ack(struct window *w, const struct segment *syn_ack)
{
	struct window_end *client = &w->end[0];
	struct window_end *server = &w->end[1];
	bool liberal = server->liberal;

	*server = opened_by(syn_ack, syn_ack->data_len);
	server->liberal = liberal;
	server->limit = server->next + client->offered;
	if (syn_ack->flags & TCP_ACK) {
		client->limit = syn_ack->ack + server->offered;
		client->acked = syn_ack->ack;
	}
}

void window_note_syn(struct window *w, const struct segment *syn)
{
	w->other = opened_by(syn, syn->data_len);
	w->has_other = true;
}

void window_reopen(struct window *w, const struct segment *syn_ack)
{
	*w = (struct window){.end[0] = w->other, .offset = w->offset};
	window_syn_ack(w, syn_ack);
}

void window_choose_isn(struct window *w, uint32_t server_isn)
{
	struct window_end *server = &w->end[1];

	server->next = server_isn + 1;
	server->acked = server_isn + 1;
	server->limit = server_isn + 1 + w->end[0].offered;
}

/* No scale was heard: the largest is assumed. */
static struct window_end joined(uint32_t next)
{
	return (struct window_end){
		.next = next,
		.acked = next,
		.scale = 14,
		.scales = true,
		.known = true,
		.liberal = true,
	};
}

void window_join(struct window *w, unsigned side, const struct segment *seg)
{
	struct window_end *self = &w->end[side];
	struct window_end *peer = &w->end[!side];

	*w = (struct window){0};
	*self = joined(seg->seq + packet_seq_len(seg));
	*peer = joined(seg->ack);
	self->acked = seg->seq;
	self->offered = offered_by(w, side, seg);
	self->limit = self->next + UINT16_MAX;
	peer->offered = UINT16_MAX;
	peer->limit = seg->ack + self->offered;
}

static uint32_t lag(uint32_t offered)
{
	return offered > ACK_LAG_MIN ? offered : ACK_LAG_MIN;
}

enum window_verdict window_check(const struct window *w, unsigned side, const struct segment *seg)
{
	const struct window_end *self = &w->end[side];
	const struct window_end *peer = &w->end[!side];
	uint32_t last = seg->seq + packet_seq_len(seg);

	if (!self->known || self->liberal)
		return WINDOW_INSIDE;
	/* A probe of a zero window, or of an end that may be gone, goes one past. */
	if (!seq_at_or_before(last, self->limit + 1))
		return WINDOW_OUTSIDE_SEQ;
	/* A copy sent needlessly, and overtaken by a window of newer data, is old but nobody's
	 * forgery. */
	if (seq_before(last, self->next - lag(self->offered) - lag(peer->offered)))
		return WINDOW_OUTSIDE_SEQ;
	if (!(seg->flags & TCP_ACK) || !peer->known)
		return WINDOW_INSIDE;
	if (!seq_at_or_before(seg->ack, peer->next))
		return WINDOW_OUTSIDE_ACK;
	if (seq_before(seg->ack, peer->next - lag(self->offered) - lag(peer->offered)))
		return WINDOW_OUTSIDE_ACK;
	return WINDOW_INSIDE;
}

void window_update(struct window *w, unsigned side, const struct segment *seg)
{
	struct window_end *self = &w->end[side];
	struct window_end *peer = &w->end[!side];
	uint32_t last = seg->seq + packet_seq_len(seg);
	uint32_t offered = offered_by(w, side, seg);

	if (!self->known || seq_before(self->next, last))
		self->next = last;
	self->known = true;
	if (offered > self->offered)
		self->offered = offered;
	if (seg->flags & TCP_FIN) {
		self->fin_sent = true;
		self->fin = last - 1;
	}
	if (!(seg->flags & TCP_ACK))
		return;
	if (self->liberal && seq_before(peer->next, seg->ack))
		peer->next = seg->ack;
	if (seq_before(peer->acked, seg->ack))
		peer->acked = seg->ack;
	if (seq_before(peer->limit, seg->ack + offered))
		peer->limit = seg->ack + offered;
}

bool window_rst_obeyed(const struct window *w, unsigned side, const struct segment *seg)
{
	const struct window_end *self = &w->end[side];

	return !self->known || self->liberal || seg->seq == self->acked || seg->seq == self->next;
}

bool window_acks_fin(const struct window *w, unsigned side, const struct segment *seg)
{
	const struct window_end *peer = &w->end[!side];

	return (seg->flags & TCP_ACK) && peer->fin_sent && seq_before(peer->fin, seg->ack);
}
