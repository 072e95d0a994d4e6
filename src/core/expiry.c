/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How flows leave the table other than by their own packets: time, conntrack's word, an
 * administrator's; and how they are shown. */
#include "core/engine_state.h"

enum {
	LINGER_MS = 2000,
	ASK_AGAIN_MS = 1000,
	EFFECTS_A_FLOW = 3, /* at most, of one that is abandoned or killed */
};

/* Beyond 49 days is never. */
static uint32_t in_ms(uint32_t seconds)
{
	return seconds < UINT32_MAX / 1000 ? seconds * 1000 : UINT32_MAX;
}

static uint32_t timeout_ms(const struct policy_timeouts *t, enum flow_list list)
{
	switch (list) {
	case FLOW_SYN_SENT:
		return in_ms(t->syn_sent);
	case FLOW_SYN_RCVD:
		return in_ms(t->syn_received);
	case FLOW_OPENING:
		return ASK_AGAIN_MS;
	case FLOW_LINGER:
		return LINGER_MS;
	case FLOW_ESTABLISHED:
		return in_ms(t->established);
	case FLOW_FIN_WAIT:
		return in_ms(t->fin_wait);
	case FLOW_CLOSE_WAIT:
		return in_ms(t->close_wait);
	case FLOW_LAST_ACK:
		return in_ms(t->last_ack);
	case FLOW_TIME_WAIT:
		return in_ms(t->time_wait);
	case FLOW_RESET:
		return in_ms(t->closed);
	case FLOW_COUNTED:
	case FLOW_LISTS:
		break;
	}
	return UINT32_MAX;
}

void engine_expire_followed(
	struct engine *e, uint32_t number, enum flow_list list, struct effects *out)
{
	struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = engine_rule_of(e, f);

	/* What is inspected in full must not live on in the kernel; unless its rule has changed,
	 * and it is the kernel's now. */
	if (list != FLOW_LINGER && rule && rule->enforce && rule->inspect == INSPECT_FULL)
		engine_effect(out, EFFECT_CT_DELETE)->tuple = f->tuple;
	engine_forget(e, number);
}

static void expire(struct engine *e, uint32_t number, enum flow_list list, uint64_t now_us,
	struct effects *out)
{
	if (list == FLOW_OPENING)
		engine_ask_again(e, number, now_us, out);
	else if (engine_is_half_open(list))
		engine_abandon(
			e, number, list == FLOW_SYN_SENT ? CAUSE_no_syn_ack : CAUSE_no_ack, out);
	else
		engine_expire_followed(e, number, list, out);
}

bool engine_expire(struct engine *e, uint64_t now_us, struct effects *out)
{
	out->count = 0;
	if (engine_pressure(e, now_us, out))
		return true;
	for (enum flow_list list = 0; list < FLOW_LISTS; list++) {
		uint32_t limit = timeout_ms(&e->policy->timeouts, list);

		if (list == FLOW_COUNTED)
			continue;
		for (;;) {
			uint32_t oldest = flow_oldest(e->table, list);

			if (!oldest || flow_age_ms(flow_at(e->table, oldest), now_us) < limit)
				break;
			if (out->count + EFFECTS_A_FLOW > ENGINE_EFFECTS)
				return true;
			expire(e, oldest, list, now_us, out);
		}
	}
	return false;
}

static uint32_t find_client_first(struct engine *e, const struct tuple *t)
{
	enum hs_side side = HS_FROM_CLIENT;
	uint32_t number =
		flow_find(e->table, &t->client, t->client_port, &t->server, t->server_port, &side);

	return side == HS_FROM_CLIENT ? number : 0;
}

void engine_ended(struct engine *e, const struct tuple *t)
{
	uint32_t number = find_client_first(e, t);

	if (number && flow_at(e->table, number)->hs.state == HS_OFFLOADED)
		engine_forget(e, number);
}

void engine_reconcile_begin(struct engine *e)
{
	for (uint32_t n = flow_oldest(e->table, FLOW_COUNTED); n; n = flow_at(e->table, n)->next)
		flow_at(e->table, n)->hs.flags &= (uint8_t)~HS_SEEN;
}

void engine_reconcile_seen(struct engine *e, const struct tuple *t)
{
	uint32_t number = find_client_first(e, t);

	if (number)
		flow_at(e->table, number)->hs.flags |= HS_SEEN;
}

uint32_t engine_reconcile_end(struct engine *e)
{
	uint32_t gone = 0;

	for (uint32_t n = flow_oldest(e->table, FLOW_COUNTED), next; n; n = next) {
		next = flow_at(e->table, n)->next;
		if (flow_at(e->table, n)->hs.flags & HS_SEEN)
			continue;
		engine_forget(e, n);
		gone++;
	}
	return gone;
}

/* From here on the kernel carries it alone, or nobody has to judge it. */
static void leave_alone(struct engine *e, uint32_t number, enum flow_list list)
{
	struct flow *f = flow_at(e->table, number);

	if (!(f->hs.flags & HS_COUNTED)) {
		engine_forget(e, number);
		return;
	}
	f->hs.state = HS_OFFLOADED;
	f->hs.flags &= HS_COUNTED | HS_SEEN;
	engine_settle(e, number, list, true, (uint64_t)f->since_ms * 1000);
}

static void hand_over(struct engine *e, uint32_t number, enum flow_list list, bool unseen)
{
	struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = policy_match(e->policy, &f->tuple.client, &f->tuple.server,
		f->tuple.server_port, NULL, POLICY_ANYWHERE);
	bool judged = rule && rule->mode != MODE_ACCEPT;
	bool inspected = judged && rule->inspect == INSPECT_FULL;
	bool half_open = engine_is_half_open(list);

	if (list == FLOW_OPENING) {
		if (!rule || !policy_gates(rule))
			engine_give_up(e, number);
		return;
	}
	if (f->hs.tag & ENGINE_TAG_FULL && (!inspected || (unseen && !half_open))) {
		f->hs.tag &= (uint16_t)~ENGINE_TAG_FULL;
		if (!half_open)
			leave_alone(e, number, list);
	}
	if (half_open && !judged)
		leave_alone(e, number, list);
	else if (half_open && unseen)
		f->hs.tag |= ENGINE_TAG_UNSEEN;
}

void engine_hand_over(struct engine *e, bool unseen)
{
	for (enum flow_list list = 0; list < FLOW_LISTS; list++) {
		if (list == FLOW_LINGER || list == FLOW_COUNTED)
			continue;
		for (uint32_t n = flow_oldest(e->table, list), next; n; n = next) {
			next = flow_at(e->table, n)->next;
			hand_over(e, n, list, unseen);
		}
	}
}

/* Calls `each` for half-open flows of the slots that are set; it may take them away. */
static void for_each_half_open(struct engine *e, const bool *slots,
	void (*each)(struct engine *e, uint32_t number, enum flow_list list))
{
	static const enum flow_list half_open[] = {FLOW_SYN_SENT, FLOW_SYN_RCVD};

	for (size_t i = 0; i < sizeof(half_open) / sizeof(half_open[0]); i++) {
		for (uint32_t n = flow_oldest(e->table, half_open[i]), next; n; n = next) {
			const struct flow *f = flow_at(e->table, n);

			next = f->next;
			if (slots[engine_slot(f)])
				each(e, n, half_open[i]);
		}
	}
}

static void follow_no_more(struct engine *e, uint32_t number, enum flow_list list)
{
	atomic_fetch_add_explicit(&e->shared->unfollowed[engine_slot(flow_at(e->table, number))], 1,
		memory_order_relaxed);
	leave_alone(e, number, list);
}

static void unsee(struct engine *e, uint32_t number, enum flow_list list)
{
	(void)list;
	flow_at(e->table, number)->hs.tag |= ENGINE_TAG_UNSEEN;
}

void engine_retell(struct engine *e, const bool *changed)
{
	for_each_half_open(e, changed, e->limits.shards > 1 ? follow_no_more : unsee);
}

void engine_missed(struct engine *e, uint64_t now_us)
{
	if (!e->tells)
		return;
	atomic_store_explicit(&e->shared->missed_us, now_us, memory_order_relaxed);
	for_each_half_open(e, e->told, follow_no_more);
}

static void reset_end(struct effects *out, const struct tuple *t, enum hs_side end, uint32_t seq,
	bool with_ack, uint32_t ack)
{
	uint8_t rst[BUILD_RST_MAX];
	size_t len;

	if (end == HS_FROM_CLIENT)
		len = build_rst(rst, &t->server, t->server_port, &t->client, t->client_port, seq,
			with_ack, ack);
	else
		len = build_rst(rst, &t->client, t->client_port, &t->server, t->server_port, seq,
			with_ack, ack);
	engine_send(out, rst, len);
}

/* The client may still wait for the SYN-ACK: its RST must acknowledge the SYN. */
static void reset_half_open(const struct flow *f, struct effects *out)
{
	uint32_t acked = hs_server_waits_for(&f->hs);
	bool answered = engine_list_of(f) == FLOW_SYN_RCVD;

	if (answered)
		reset_end(out, &f->tuple, HS_FROM_SERVER, acked, false, 0);
	reset_end(out, &f->tuple, HS_FROM_CLIENT, answered ? f->hs.server_isn + 1 : 0, true, acked);
}

static void kill_half_open(struct engine *e, const struct flow *f, struct effects *out)
{
	bool answered = engine_list_of(f) == FLOW_SYN_RCVD;

	if (f->hs.flags & HS_OVER)
		return;
	reset_half_open(f, out);
	if (!(f->hs.flags & HS_UNREACHABLE))
		engine_failed(e, f, answered ? CAUSE_no_ack : CAUSE_no_syn_ack, NULL, out);
}

bool engine_kill(struct engine *e, const struct tuple *t, struct effects *out)
{
	uint32_t number = find_client_first(e, t);
	struct flow *f;
	struct window *w;

	out->count = 0;
	if (!number)
		return false;
	f = flow_at(e->table, number);
	if (f->hs.state == HS_OPENING) {
		engine_opening_failed(e, number, CAUSE_no_syn_ack, out);
		return true;
	}
	w = engine_window_of(e, number);
	engine_effect(out, EFFECT_CT_DELETE)->tuple = f->tuple;
	if (hs_half_open(&f->hs)) {
		kill_half_open(e, f, out);
	} else if (w) {
		reset_end(out, t, HS_FROM_SERVER, w->end[HS_FROM_CLIENT].next, false, 0);
		reset_end(out, t, HS_FROM_CLIENT, w->end[HS_FROM_SERVER].next, false, 0);
	}
	engine_forget(e, number);
	return true;
}

struct engine_gauges engine_gauges(const struct engine *e)
{
	struct engine_gauges g = {
		.syn_sent = flow_count(e->table, FLOW_SYN_SENT),
		.syn_received = flow_count(e->table, FLOW_SYN_RCVD),
		.opening = flow_count(e->table, FLOW_OPENING),
		.established = flow_count(e->table, FLOW_ESTABLISHED),
		.offloaded = flow_count(e->table, FLOW_COUNTED),
	};

	for (enum flow_list list = FLOW_FIN_WAIT; list <= FLOW_RESET; list++)
		g.closing += flow_count(e->table, list);
	return g;
}

void engine_flows(const struct engine *e, uint64_t now_us,
	bool (*each)(const struct engine_flow_info *, void *), void *arg)
{
	for (enum flow_list list = 0; list < FLOW_LISTS; list++) {
		for (uint32_t n = flow_oldest(e->table, list); n; n = flow_at(e->table, n)->next) {
			const struct flow *f = flow_at(e->table, n);
			struct engine_flow_info info = {
				.tuple = f->tuple,
				.slot = engine_slot(f),
				.client_state = hs_end_state(f->hs.state, HS_FROM_CLIENT),
				.server_state = hs_end_state(f->hs.state, HS_FROM_SERVER),
				.flow_state = hs_flow_word(f->hs.state),
				.age_s = flow_age_ms(f, now_us) / 1000,
				.offloaded = f->hs.state == HS_OFFLOADED,
			};

			if (!each(&info, arg))
				return;
		}
	}
}
