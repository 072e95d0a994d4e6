/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A SYN is answered in the server's name with what the server is known to answer, and forgotten:
 * the client's options are in the numbers of the answer (cookie.h). The window is closed, so that
 * nothing but the third ACK comes before the server has been asked.
 *
 * Only what the server is known to do is promised. A SYN that asks for something of which nobody
 * knows yet goes to the server as if there were no cookies, and the answer teaches it.
 *
 * A SYN over a standing connection gets a cookie at any time: if the client comes back with it, the
 * old connection is its own to end, and if the kernel translates that one, no other way would do.
 */
#include "core/engine_state.h"

#include "core/wire.h"

/* fe80::/10 (RFC 4291, 2.5.6) and 169.254.0.0/16 (RFC 3927): an address alone does not say which
 * link. */
static bool is_link_local(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->b[12] == 169 && a->b[13] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static bool knows(const struct learned_options *o, unsigned asked)
{
	return o->mss && !(asked & LEARNED_ASKED_WSCALE && o->wscale == LEARNED_UNKNOWN) &&
	       !(asked & LEARNED_ASKED_SACK && o->sack == LEARNED_UNKNOWN) &&
	       !(asked & LEARNED_ASKED_TIMESTAMPS && o->timestamps == LEARNED_UNKNOWN) &&
	       !(asked & LEARNED_ASKED_ECN && o->ecn == LEARNED_UNKNOWN);
}

/* A client that says nothing takes what RFC 9293, 3.7.1, says. */
static uint16_t mss_of(const struct segment *syn)
{
	if (syn->opt.mss)
		return syn->opt.mss;
	return addr_is_v4(&syn->src) ? 536 : 1220;
}

static uint16_t clamped(uint16_t mss, const struct policy_rule *rule)
{
	return rule->mss && mss > rule->mss ? rule->mss : mss;
}

/*
 * Where the client sent its SYN; false if that is not known. One over a standing connection does
 * not say whether DNAT changed it.
 */
static bool find_public(struct engine *e, const struct policy_rule *rule,
	const struct engine_packet *in, const struct learned_server *server,
	struct cookie_subject *s, struct effects *out)
{
	struct effect *effect;

	if (in->lane != LANE_DNAT)
		return !in->hint ||
		       (server->route == LEARNED_ROUTE_UNKNOWN && !server->route_wanted);
	if (in->hint && server->route == LEARNED_ROUTE_ONE) {
		s->public_addr = server->public_addr;
		s->public_port = server->public_port;
		return true;
	}
	if (learned_tell_route(e->shared->learned, &s->tuple.server, s->tuple.server_port)) {
		effect = engine_effect(out, EFFECT_NOTICE);
		effect->notice = (struct notice){.kind = NOTICE_ROUTE_UNKNOWN,
			.slot = rule->slot,
			.server = s->tuple.server,
			.port = s->tuple.server_port};
	}
	return false;
}

static void answer(struct engine *e, const struct policy_rule *rule,
	const struct cookie_subject *subject, const struct learned_options *known,
	struct decision *out)
{
	const struct segment *syn = &out->segment;
	unsigned asked = learned_asks(syn);
	bool timestamps = syn->opt.has_timestamp && known->timestamps == LEARNED_YES;
	bool scales = syn->opt.has_wscale && known->wscale == LEARNED_YES;
	const struct cookie_options options = {
		.mss = clamped(mss_of(syn), rule),
		.wscale = scales ? syn->opt.wscale : COOKIE_NO_WSCALE,
		.sack = syn->opt.sack_permitted && known->sack == LEARNED_YES,
		.ecn = asked & LEARNED_ASKED_ECN && known->ecn == LEARNED_YES && timestamps,
	};
	struct build_segment reply = {
		.src = subject->public_addr,
		.dst = syn->src,
		.src_port = subject->public_port,
		.dst_port = syn->src_port,
		.ack = syn->seq + 1,
		.flags = options.ecn ? TCP_SYN | TCP_ACK | TCP_ECE : TCP_SYN | TCP_ACK,
		.mss = clamped(known->mss, rule),
		.sack_permitted = options.sack,
		.has_wscale = scales,
		.wscale = known->wscale_shift,
		.has_timestamp = timestamps,
		.tsecr = syn->opt.tsval,
	};
	struct effect *effect = engine_effect(&out->effects, EFFECT_SEND);

	reply.seq = cookie_make(&e->keys, subject, &options, timestamps, &reply.tsval);
	effect->send.len = (uint8_t)build_segment(effect->send.bytes, &reply);
}

bool engine_challenge(struct engine *e, const struct policy_rule *rule,
	const struct engine_packet *in, uint64_t now_us, struct decision *out)
{
	const struct segment *syn = &out->segment;
	struct cookie_subject subject = {
		.tuple = {syn->src, syn->dst, syn->src_port, syn->dst_port},
		.public_addr = syn->dst,
		.public_port = syn->dst_port,
		.client_isn = syn->seq,
	};
	struct learned_server server = {.route = LEARNED_ROUTE_UNKNOWN};
	unsigned asked = learned_asks(syn);

	/* It can't go to the server any more; ECN, which few ask for, is just not promised. */
	if (in->fate == FATE_DROPPED)
		asked &= ~(unsigned)LEARNED_ASKED_ECN;

	if (out->passed || !e->can_translate || e->held[rule->slot] ||
		!policy_gives_cookies(rule) || syn->opt.has_auth || is_link_local(&syn->src) ||
		clamped(mss_of(syn), rule) < COOKIE_MSS_MIN)
		return false;
	learned_meet(e->shared->learned, &syn->dst, syn->dst_port, &server);
	if (!find_public(e, rule, in, &server, &subject, &out->effects) ||
		!knows(&server.options, asked))
		return false;
	answer(e, rule, &subject, &server.options, out);
	out->verdict = VERDICT_DROP;
	out->change_syn = false;
	e->counters.cookies_sent++;
	if (e->sent[rule->slot]++ == 0)
		atomic_store_explicit(
			&e->shared->cookie_sent_us[rule->slot], now_us, memory_order_relaxed);
	return true;
}
