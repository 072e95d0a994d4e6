/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYNs that the kernel only tells of. It has dropped them, as it would have after a verdict, so
 * they may belong to any shard and find no flow: an answer needs none. All that can't be done is to
 * let one go on. The client's retransmission comes by the queue if conntrack knows its tuple, or
 * once its server is no longer listed.
 */
#include "core/engine_state.h"

void engine_answer_logged(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out)
{
	const struct segment *syn = &out->segment;
	const struct tuple t = {syn->src, syn->dst, syn->src_port, syn->dst_port};
	const struct policy_rule *rule = policy_match(e->policy, &syn->src, &syn->dst,
		syn->dst_port, NULL, in->hook == HOOK_INPUT ? POLICY_LOCAL : POLICY_FORWARDED);

	out->verdict = VERDICT_DROP;
	e->counters.logged++;
	if (!rule || !policy_gates(rule) || e->drain != DRAIN_OFF || !packet_flags_ok(syn->flags) ||
		(syn->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN) {
		e->counters.logged_in_vain++;
		return;
	}
	out->slot = rule->slot;
	e->counters.rules[rule->slot].matched++;
	if (!engine_refuse_at_once(e, rule, &t, now_us, out) &&
		!engine_challenge(e, rule, in, now_us, out))
		e->counters.logged_in_vain++;
}
