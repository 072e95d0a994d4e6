/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/window.h"

#include "core/seq.h"

/* How far behind an acknowledgement may lag: a window, but never less than an unscaled one and a
 * segment. */
enum {
	ACK_LAG_MIN = 66000
};

static uint32_t offered_by(const struct window_end *end, const struct segment *seg)
{
	/* The window of a segment with SYN is never scaled (RFC 7323, section 2.2). */
	uint32_t bytes = seg->flags & TCP_SYN ? seg->window : (uint32_t)seg->window << end->scale;

	return bytes > 0 ? bytes : 1; /* a zero window still lets a probe of one byte in */
}

void window_syn(struct window *w, const struct segment *syn)
{
	*w = (struct window){0};
	struct window_end *client = &w->end[0];

	client->next = syn->seq + packet_seq_len(syn);
	client->acked = syn->seq;
	client->limit = client->next;
	client->offered = offered_by(client, syn);
	client->known = true;
	client->scale = syn->opt.has_wscale ? syn->opt.wscale : 0;
}

void window_syn_ack(
	struct window *w, unsigned side, const struct segment *syn_ack, bool client_scales)
{
	struct window_end *self = &w->end[side];
	struct window_end *peer = &w->end[!side];

	self->next = syn_ack->seq + packet_seq_len(syn_ack);
	self->acked = syn_ack->seq;
	self->limit = self->next + peer->offered;
	self->offered = offered_by(self, syn_ack);
	self->known = true;
	self->fin_sent = false;
	/* Both scale or neither does (RFC 7323, section 1.3). */
	if (client_scales && syn_ack->opt.has_wscale) {
		self->scale = syn_ack->opt.wscale;
	} else {
		self->scale = 0;
		peer->scale = 0;
	}
	if (syn_ack->flags & TCP_ACK) {
		peer->limit = syn_ack->ack + self->offered;
		peer->acked = syn_ack->ack;
	}
}

void window_join(struct window *w, unsigned side, const struct segment *seg)
{
	*w = (struct window){0};
	struct window_end *self = &w->end[side];
	struct window_end *peer = &w->end[!side];

	self->liberal = peer->liberal = true;
	self->scale = peer->scale = 14;
	self->known = peer->known = true;
	self->next = seg->seq + packet_seq_len(seg);
	self->offered = offered_by(self, seg);
	self->limit = self->next + UINT16_MAX;
	self->acked = seg->seq;
	peer->next = peer->acked = seg->ack;
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
	if (seq_before(last, self->next - lag(peer->offered)))
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
	uint32_t offered = offered_by(self, seg);

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

	return !self->known || self->liberal || seq_between(self->acked, seg->seq, self->next);
}

bool window_acks_fin(const struct window *w, unsigned side, const struct segment *seg)
{
	const struct window_end *peer = &w->end[!side];

	return (seg->flags & TCP_ACK) && peer->fin_sent && seq_before(peer->fin, seg->ack);
}
