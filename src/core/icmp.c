/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ICMP errors about gated connections. All travel on: what they say is only taken note of. */
#include "core/engine_state.h"

/* The sender of what is quoted counts as the client. */
static struct tuple quoted(const struct segment *seg)
{
	return (struct tuple){seg->src, seg->dst, seg->src_port, seg->dst_port};
}

/* False if the SYN is not of this shard. */
static bool take_unreachable(struct engine *e, const struct unreachable *u, struct effects *out)
{
	const struct tuple *t = &u->tuple;
	enum hs_side side = HS_FROM_CLIENT;
	uint32_t number =
		flow_find(e->table, &t->client, t->client_port, &t->server, t->server_port, &side);
	struct flow *f = number ? flow_at(e->table, number) : NULL;

	if (!f || side != HS_FROM_CLIENT)
		return false;
	if ((f->hs.state == HS_SYN_SENT || f->hs.state == HS_OPENING) &&
		u->seq == f->hs.client_isn && !(f->hs.flags & (HS_OVER | HS_UNREACHABLE))) {
		engine_failed(e, f, CAUSE_unreachable, &u->from, out);
		f->hs.flags |= HS_UNREACHABLE;
	}
	return true;
}

void engine_unreachable(struct engine *e, const struct unreachable *u, struct effects *out)
{
	out->count = 0;
	take_unreachable(e, u, out);
}

void engine_judge_icmp(struct engine *e, const struct addr *from, struct decision *out)
{
	struct unreachable u = {
		.tuple = quoted(&out->segment),
		.seq = out->segment.seq,
		.from = *from,
	};

	if (!take_unreachable(e, &u, &out->effects))
		engine_effect(&out->effects, EFFECT_PASS_ON)->unreachable = u;
}

void engine_judge_too_big(struct engine *e, const struct engine_packet *in, const struct addr *from,
	struct decision *out)
{
	if (!e->can_translate || in->lane != LANE_PROOFS)
		return;
	engine_effect(&out->effects, EFFECT_TOO_BIG)->too_big = (struct size_error){
		.quoted = quoted(&out->segment),
		.seq = out->segment.seq,
		.mtu = out->segment.ack,
		.from = *from,
		.arrived = in->hook == HOOK_PREROUTING,
	};
}
