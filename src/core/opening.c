/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A valid cookie proves that the client is where it says, and that its SYN has passed all that
 * judges SYNs. The gate then does the server's handshake in the client's name: its SYN goes out
 * with the client's own ISN and options, so that nothing the client says need be translated but its
 * acknowledgements. Until the server answers the flow is OPENING and nothing passes either way; the
 * client's window is closed, so it has sent nothing that could be lost.
 *
 * The server's SYN-ACK ends that: EFFECT_TRANSLATE has the kernel do the rest, and the flow leaves
 * like any other that is admitted. A server that says less than the client was promised can't be
 * translated: both ends are reset, and it is learned anew.
 */
#include "core/engine_state.h"

enum {
	ASK_EVERY_S = 1, /* FLOW_OPENING is a list of one time to live */

	/* Wrong cookies of one source in any case, and a second: more are not looked at. */
	GUESSES_PER_S = 100,
	GUESSES_BURST = 200,
	GUESSES_SLOT = 0x8000, /* beside the rule's own count of the source */
};

static struct opening *opening_of(struct engine *e, uint32_t number)
{
	return &e->more[number].opening;
}

uint32_t engine_openings(const struct engine *e)
{
	return flow_count(e->table, FLOW_OPENING);
}

static void send_segment(struct effects *out, const struct build_segment *s)
{
	struct effect *effect = engine_effect(out, EFFECT_SEND);

	effect->send.len = (uint8_t)build_segment(effect->send.bytes, s);
}

static struct build_segment to_server(const struct flow *f)
{
	return (struct build_segment){
		.src = f->tuple.client,
		.dst = f->tuple.server,
		.src_port = f->tuple.client_port,
		.dst_port = f->tuple.server_port,
	};
}

static struct build_segment to_client(const struct flow *f, const struct opening *o)
{
	return (struct build_segment){
		.src = o->public_addr,
		.dst = f->tuple.client,
		.src_port = o->public_port,
		.dst_port = f->tuple.client_port,
	};
}

/* A SYN's window is not scaled (RFC 7323, section 2.2), the ACK's was. */
static uint16_t syn_window(const struct opening *o)
{
	uint32_t window = o->window;

	if (o->options.wscale != COOKIE_NO_WSCALE)
		window <<= o->options.wscale;
	return window < UINT16_MAX ? (uint16_t)window : UINT16_MAX;
}

static void ask_server(const struct flow *f, const struct opening *o, struct effects *out)
{
	struct build_segment syn = to_server(f);

	syn.seq = f->hs.client_isn;
	syn.flags = o->options.ecn ? TCP_SYN | TCP_ECE | TCP_CWR : TCP_SYN;
	syn.window = syn_window(o);
	syn.mss = o->options.mss;
	syn.sack_permitted = o->options.sack;
	syn.has_wscale = o->options.wscale != COOKIE_NO_WSCALE;
	syn.wscale = o->options.wscale;
	syn.has_timestamp = o->timestamps;
	syn.tsval = o->client_tsval;
	send_segment(out, &syn);
}

static void reset_server(const struct flow *f, uint32_t seq, struct effects *out)
{
	struct build_segment rst = to_server(f);

	rst.seq = seq;
	rst.flags = TCP_RST;
	send_segment(out, &rst);
}

/* At the very number the client waits for (RFC 5961, section 3.2). */
static void reset_client(const struct flow *f, const struct opening *o, struct effects *out)
{
	struct build_segment rst = to_client(f, o);

	rst.seq = f->hs.server_isn + 1;
	rst.ack = f->hs.client_isn + 1;
	rst.flags = TCP_RST | TCP_ACK;
	send_segment(out, &rst);
}

/* One candidate for the client's ISN, and each public address the server may have. */
static bool check_isn(const struct engine *e, const struct learned_server *server, uint32_t isn,
	const struct segment *ack, struct cookie_subject *s, struct cookie_options *o)
{
	const struct tcp_options *opt = &ack->opt;

	*s = (struct cookie_subject){
		.tuple = {ack->src, ack->dst, ack->src_port, ack->dst_port},
		.public_addr = ack->dst,
		.public_port = ack->dst_port,
		.client_isn = isn,
	};
	if (cookie_check(&e->keys, s, ack->ack - 1, opt->has_timestamp, opt->tsecr, o))
		return true;
	if (server->route != LEARNED_ROUTE_ONE)
		return false;
	s->public_addr = server->public_addr;
	s->public_port = server->public_port;
	return cookie_check(&e->keys, s, ack->ack - 1, opt->has_timestamp, opt->tsecr, o);
}

/* The ACK's number is the client's next, or one less if it probes a closed window or keeps alive
 * (RFC 9293, 3.8.6.1; RFC 1122, 4.2.3.6). */
static bool check_ack(const struct engine *e, const struct learned_server *server,
	const struct segment *ack, struct cookie_subject *s, struct cookie_options *o)
{
	return check_isn(e, server, ack->seq - 1, ack, s, o) ||
	       (ack->data_len <= 1 && check_isn(e, server, ack->seq, ack, s, o));
}

/* Whether this process has sent a cookie for the rule that is still good. */
static bool has_sent(const struct engine *e, const struct policy_rule *rule, uint64_t now_us)
{
	uint64_t sent = engine_shared_cookie_sent(e->shared, rule->slot);

	/* Another worker may be ahead by a batch. */
	return sent && now_us < sent + 2 * (uint64_t)e->policy->cookie_rotation * 1000000;
}

/* An ACK can only carry a cookie where some were sent: by this process, by one before it, or by
 * another gate. */
static bool may_be_cookie(const struct engine *e, const struct policy_rule *rule, uint64_t now_us)
{
	uint64_t lasts = 2 * (uint64_t)e->policy->cookie_rotation * 1000000;

	if (!e->can_translate || !rule->enforce)
		return false;
	if (!policy_gives_cookies(rule)) /* it may have until a moment ago */
		return has_sent(e, rule, now_us);
	return e->policy->cookies_shared || now_us - e->started_us < lasts ||
	       has_sent(e, rule, now_us);
}

static bool may_guess(struct engine *e, const struct policy_rule *rule, const struct addr *client,
	uint64_t now_us, bool wrong)
{
	static const struct policy_rate rate = {GUESSES_PER_S, GUESSES_BURST};
	struct addr source = engine_source(e, client);
	uint16_t slot = (uint16_t)(rule->slot | GUESSES_SLOT);

	if (wrong)
		return limiter_take(e->shared->limiter, &source, slot, &rate, now_us);
	return limiter_fits(e->shared->limiter, &source, slot, &rate, now_us);
}

/* SYNs are counted when they come, but a cookie may come back any number of times. */
static bool within_syn_rate(
	struct engine *e, const struct policy_rule *rule, const struct tuple *t, uint64_t now_us)
{
	const struct policy_rate rate = {2 * rule->syn_rate.per_s, 2 * rule->syn_rate.burst};
	struct addr source = engine_source(e, &t->client);

	return rule->over_limit == OVER_LIMIT_BLOCK ||
	       limiter_complete(e->shared->limiter, &source, rule->slot, &rate, now_us);
}

/* True if the flow may go on to the server. */
static bool within_limits(struct engine *e, const struct policy_rule *rule, struct flow *f,
	uint64_t now_us, struct decision *out)
{
	if (!engine_within_rate(e, rule, &f->tuple, now_us, out))
		return false;
	if (!within_syn_rate(e, rule, &f->tuple, now_us)) {
		engine_refuse(e, rule, REASON_source_rate, CAUSE_limited, &f->tuple, out);
		return false;
	}
	if (engine_count_for_source(e, f, rule, now_us))
		return true;
	engine_refuse(e, rule, REASON_source_connections, CAUSE_limited, &f->tuple, out);
	engine_block(e, rule, &f->tuple.client, &out->effects);
	return false;
}

static void begin(struct engine *e, const struct policy_rule *rule,
	const struct cookie_subject *subject, const struct cookie_options *options,
	const struct learned_server *server, uint64_t now_us, struct decision *out)
{
	const struct segment *ack = &out->segment;
	uint32_t number = flow_insert(e->table, &subject->tuple, FLOW_OPENING, now_us);
	struct flow *f = flow_at(e->table, number);
	struct opening *o = opening_of(e, number);

	if (!number)
		return;
	f->hs.tag = rule->slot;
	hs_prove(&f->hs, subject->client_isn, ack->ack - 1);
	*o = (struct opening){
		.public_addr = subject->public_addr,
		.public_port = subject->public_port,
		.options = *options,
		.promised = server->options,
		.timestamps = ack->opt.has_timestamp,
		.window = ack->window,
		.cookie_tsval = ack->opt.tsecr,
		.client_tsval = ack->opt.tsval,
	};
	if (!within_limits(e, rule, f, now_us, out)) {
		if (rule->over_limit == OVER_LIMIT_REJECT)
			reset_client(f, o, &out->effects);
		engine_forget(e, number);
		return;
	}
	/* Whatever the kernel has of an older connection would be in the way of the SYN. */
	engine_effect(&out->effects, EFFECT_CT_DELETE)->tuple = f->tuple;
	ask_server(f, o, &out->effects);
}

/* The client has begun anew since, and proven so. */
static void abandon_older(struct engine *e, const struct tuple *t, struct effects *out)
{
	enum hs_side side;
	uint32_t number =
		flow_find(e->table, &t->client, t->client_port, &t->server, t->server_port, &side);
	const struct flow *f = flow_at(e->table, number);

	if (!number)
		return;
	if (f->hs.state == HS_OPENING || hs_half_open(&f->hs)) {
		reset_server(f, hs_server_waits_for(&f->hs), out);
		if (!(f->hs.flags & (HS_UNREACHABLE | HS_OVER)))
			engine_failed(e, f, CAUSE_client_reset, NULL, out);
	}
	engine_forget(e, number);
}

static void refuse(struct engine *e, const struct policy_rule *rule, enum reason reason,
	enum cause cause, struct decision *out)
{
	const struct segment *ack = &out->segment;
	const struct tuple t = {ack->src, ack->dst, ack->src_port, ack->dst_port};

	/* Nothing that may be of others' is judged any more. */
	if (e->drain == DRAIN_OPEN && cause == CAUSE_NONE && out->verdict == VERDICT_ACCEPT)
		return;
	engine_refuse(e, rule, reason, cause, &t, out);
}

/* Where no cookie is known to have been sent, it is no more than a stray. */
static void refuse_guess(
	struct engine *e, const struct policy_rule *rule, uint64_t now_us, struct decision *out)
{
	bool sent = has_sent(e, rule, now_us);

	may_guess(e, rule, &out->segment.src, now_us, true);
	e->counters.cookies_refused += sent;
	refuse(e, rule, sent ? REASON_bad_cookie : REASON_no_flow, CAUSE_NONE, out);
}

/* A FIN may be all that the client has to say, its ACK having been lost. */
static bool may_acknowledge(const struct segment *seg)
{
	return (seg->flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK;
}

/* A valid cookie: whatever else there is of the tuple makes way. */
static void accept(struct engine *e, const struct policy_rule *rule,
	const struct cookie_subject *subject, const struct cookie_options *options,
	const struct learned_server *server, uint64_t now_us, struct decision *out)
{
	e->counters.started++;
	engine_answered(e, rule->slot);
	abandon_older(e, &subject->tuple, &out->effects);
	if (engine_openings(e) >= e->limits.in_flight) {
		refuse(e, rule, REASON_in_flight_full, CAUSE_limited, out);
		return;
	}
	if (!engine_has_place(e, rule, &out->effects)) {
		refuse(e, rule, REASON_table_full, CAUSE_limited, out);
		return;
	}
	e->counters.cookies_accepted++;
	out->verdict = VERDICT_DROP;
	begin(e, rule, subject, options, server, now_us, out);
}

void engine_prove(
	struct engine *e, const struct policy_rule *rule, uint64_t now_us, struct decision *out)
{
	const struct segment *ack = &out->segment;
	struct learned_server server = {.route = LEARNED_ROUTE_UNKNOWN};
	struct cookie_subject subject;
	struct cookie_options options;

	if (!may_acknowledge(ack) || !may_be_cookie(e, rule, now_us)) {
		refuse(e, rule, REASON_no_flow, CAUSE_NONE, out);
		return;
	}
	learned_find(e->shared->learned, &ack->dst, ack->dst_port, &server);
	/* With timestamps a guess is hopeless, however often it is tried. */
	if (!ack->opt.has_timestamp && !may_guess(e, rule, &ack->src, now_us, false)) {
		refuse(e, rule, REASON_source_rate, CAUSE_NONE, out);
		return;
	}
	if (!check_ack(e, &server, ack, &subject, &options)) {
		refuse_guess(e, rule, now_us, out);
		return;
	}
	accept(e, rule, &subject, &options, &server, now_us, out);
}

bool engine_prove_instead(
	struct engine *e, const struct policy_rule *rule, uint64_t now_us, struct decision *out)
{
	const struct segment *ack = &out->segment;
	struct learned_server server = {.route = LEARNED_ROUTE_UNKNOWN};
	struct cookie_subject subject;
	struct cookie_options options;

	if (!may_acknowledge(ack) || !may_be_cookie(e, rule, now_us) ||
		(!ack->opt.has_timestamp && !may_guess(e, rule, &ack->src, now_us, false)))
		return false;
	learned_find(e->shared->learned, &ack->dst, ack->dst_port, &server);
	if (!check_ack(e, &server, ack, &subject, &options)) {
		may_guess(e, rule, &ack->src, now_us, true);
		return false;
	}
	accept(e, rule, &subject, &options, &server, now_us, out);
	return true;
}

void engine_rebuke(struct engine *e, uint32_t number, struct decision *out)
{
	struct flow *f = flow_at(e->table, number);

	out->verdict = VERDICT_DROP;
	reset_server(f, out->segment.ack, &out->effects);
	ask_server(f, opening_of(e, number), &out->effects);
}

void engine_opening_failed(struct engine *e, uint32_t number, enum cause cause, struct effects *out)
{
	struct flow *f = flow_at(e->table, number);

	engine_effect(out, EFFECT_CT_DELETE)->tuple = f->tuple;
	if (cause == CAUSE_client_reset)
		reset_server(f, f->hs.client_isn + 1, out);
	else
		reset_client(f, opening_of(e, number), out);
	if (!(f->hs.flags & HS_UNREACHABLE))
		engine_failed(e, f, cause, NULL, out);
	engine_forget(e, number);
}

void engine_give_up(struct engine *e, uint32_t number)
{
	opening_of(e, number)->given_up = true;
}

void engine_ask_again(struct engine *e, uint32_t number, uint64_t now_us, struct effects *out)
{
	struct flow *f = flow_at(e->table, number);
	struct opening *o = opening_of(e, number);

	if (o->given_up || ++o->tries * ASK_EVERY_S >= e->policy->timeouts.syn_sent) {
		engine_opening_failed(e, number, CAUSE_no_syn_ack, out);
		return;
	}
	ask_server(f, o, out);
	flow_move(e->table, number, FLOW_OPENING, FLOW_OPENING, now_us);
}

/*
 * All that the client was promised; what is not known of that is taken as it comes. A smaller MSS
 * than promised is the path's, not the server's, and path MTU discovery sees to it.
 */
static bool keeps_promise(const struct opening *o, const struct segment *syn_ack)
{
	const struct tcp_options *opt = &syn_ack->opt;

	if (o->options.wscale != COOKIE_NO_WSCALE &&
		(!opt->has_wscale || (o->promised.wscale == LEARNED_YES &&
					     opt->wscale != o->promised.wscale_shift)))
		return false;
	if (o->options.ecn && (syn_ack->flags & (TCP_ECE | TCP_CWR)) != TCP_ECE)
		return false;
	return (!o->options.sack || opt->sack_permitted) && (!o->timestamps || opt->has_timestamp);
}

static unsigned asked_of(const struct opening *o)
{
	return (o->options.wscale != COOKIE_NO_WSCALE ? LEARNED_ASKED_WSCALE : 0u) |
	       (o->options.sack ? LEARNED_ASKED_SACK : 0u) |
	       (o->timestamps ? LEARNED_ASKED_TIMESTAMPS : 0u) |
	       (o->options.ecn ? LEARNED_ASKED_ECN : 0u);
}

static void break_promise(struct engine *e, uint32_t number, struct decision *out)
{
	const struct segment *syn_ack = &out->segment;
	struct effect *effect = engine_effect(&out->effects, EFFECT_NOTICE);
	struct flow *f = flow_at(e->table, number);

	effect->notice = (struct notice){.kind = NOTICE_RELEARNED,
		.slot = engine_slot(f),
		.server = syn_ack->src,
		.port = syn_ack->src_port};
	learned_forget(e->shared->learned, &syn_ack->src, syn_ack->src_port);
	learned_hear(e->shared->learned, syn_ack, asked_of(opening_of(e, number)));
	reset_server(f, f->hs.client_isn + 1, &out->effects);
	f->hs.state = HS_OPENING;
	engine_opening_failed(e, number, CAUSE_limited, &out->effects);
}

static struct translation translation_of(
	const struct flow *f, const struct opening *o, const struct segment *syn_ack)
{
	bool scales = o->options.wscale != COOKIE_NO_WSCALE;

	return (struct translation){
		.tuple = f->tuple,
		.slot = engine_slot(f),
		.public_addr = o->public_addr,
		.public_port = o->public_port,
		.client_isn = f->hs.client_isn,
		.cookie_isn = f->hs.server_isn,
		.server_isn = syn_ack->seq,
		.scales = scales,
		.client_wscale = scales ? o->options.wscale : 0,
		.server_wscale = scales ? syn_ack->opt.wscale : 0,
		.sack = o->options.sack,
		.timestamps = o->timestamps,
		.cookie_tsval = o->cookie_tsval,
		.server_tsval = syn_ack->opt.tsval,
		.client_tsval = o->client_tsval,
		.client_window = o->window,
		.server_window = syn_ack->window,
	};
}

/* As if both ends' SYNs had come by, in the numbers that the client knows. */
static void follow(struct engine *e, uint32_t number, const struct translation *t)
{
	struct window *w = &e->more[number].window;
	struct segment syn = {.seq = t->client_isn, .flags = TCP_SYN, .window = UINT16_MAX};
	struct segment syn_ack = {.seq = t->cookie_isn,
		.ack = t->client_isn + 1,
		.flags = TCP_SYN | TCP_ACK,
		.window = t->server_window};
	uint32_t told = (uint32_t)translation_window(t) << t->server_wscale;
	struct segment ack = {.seq = t->client_isn + 1,
		.ack = t->cookie_isn + 1,
		.flags = TCP_ACK,
		.window = t->client_window};

	syn.opt.has_wscale = syn_ack.opt.has_wscale = t->scales;
	syn.opt.wscale = t->client_wscale;
	syn_ack.opt.wscale = t->server_wscale;
	window_syn(w, &syn, false);
	window_syn_ack(w, &syn_ack);
	if (told > t->server_window)
		w->end[HS_FROM_CLIENT].limit += told - t->server_window;
	window_update(w, HS_FROM_CLIENT, &ack);
	w->offset = t->cookie_isn - t->server_isn;
	flow_at(e->table, number)->hs.tag |= ENGINE_TAG_FULL;
}

void engine_translate(struct engine *e, uint32_t number, uint64_t now_us, struct decision *out)
{
	struct flow *f = flow_at(e->table, number);
	const struct policy_rule *rule = engine_rule_of(e, f);
	const struct opening *o = opening_of(e, number);
	struct translation *t;

	out->verdict = VERDICT_DROP;
	if (!keeps_promise(o, &out->segment)) {
		break_promise(e, number, out);
		return;
	}
	learned_hear(e->shared->learned, &out->segment, asked_of(o));
	t = &engine_effect(&out->effects, EFFECT_TRANSLATE)->translation;
	*t = translation_of(f, o, &out->segment);
	engine_taken(e, number, &out->effects); /* it was said to be unreachable, maybe */
	e->counters.completed++;
	e->counters.rules[engine_slot(f)].admitted++;
	if (rule && rule->inspect == INSPECT_FULL)
		follow(e, number, t);
	else
		f->hs.state = HS_OFFLOADED;
	f->hs.flags |= HS_SEEN;
	engine_settle(e, number, FLOW_OPENING, true, now_us);
}

/* The flow that a translation was made for; 0 if it is gone, or another has its ends by now. */
static uint32_t flow_of(const struct engine *e, const struct translation *t)
{
	enum hs_side side = HS_FROM_CLIENT;
	uint32_t number = flow_find(e->table, &t->tuple.client, t->tuple.client_port,
		&t->tuple.server, t->tuple.server_port, &side);
	const struct flow *f = flow_at(e->table, number);
	bool same = number && side == HS_FROM_CLIENT && f->hs.state >= HS_OFFLOADED &&
		    f->hs.client_isn == t->client_isn && f->hs.server_isn == t->cookie_isn;

	return same ? number : 0;
}

void engine_untranslated(struct engine *e, const struct translation *t, struct effects *out)
{
	const struct opening o = {.public_addr = t->public_addr, .public_port = t->public_port};
	const struct flow gone = {.tuple = t->tuple,
		.hs = {.client_isn = t->client_isn, .server_isn = t->cookie_isn, .tag = t->slot}};
	uint32_t number = flow_of(e, t);

	out->count = 0;
	reset_server(&gone, t->client_isn + 1, out);
	reset_client(&gone, &o, out);
	e->counters.completed--;
	e->counters.rules[t->slot].admitted--;
	engine_failed(e, &gone, CAUSE_limited, NULL, out);
	if (number)
		engine_forget(e, number);
}
