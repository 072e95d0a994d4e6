/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of an engine, shared by the files that make it up. */
#ifndef ACKGATE_CORE_ENGINE_STATE_H
#define ACKGATE_CORE_ENGINE_STATE_H

#include "core/engine.h"
#include "core/flow.h"
#include "core/learned.h"
#include "core/limiter.h"

#include <stdatomic.h>

struct engine_shared {
	struct limiter *limiter;
	struct learned *learned;
	/* By slot. */
	_Atomic uint32_t half_open[POLICY_RULES_MAX];
	_Atomic bool backend_down[POLICY_RULES_MAX];
	_Atomic bool cookies_on[POLICY_RULES_MAX];         /* adaptive ones */
	_Atomic uint64_t cookie_sent_us[POLICY_RULES_MAX]; /* the last one */
	_Atomic uint32_t unanswered[2][POLICY_RULES_MAX];  /* cookies sent less those that came
							      back: in this window, and the last */
	_Atomic uint64_t window_us;                        /* when this window began */
	_Atomic uint32_t windows;                          /* how many there have been */
	_Atomic uint64_t missed_us;                        /* words of the kernel were lost */
	/* Handshakes that no shard follows, since it was to be told of them, or to be asked, and
	 * was not: their ACKs may come to any. */
	_Atomic uint32_t unfollowed[POLICY_RULES_MAX];
};

/* A handshake that the client has completed with a cookie, until the server has answered. */
struct opening {
	struct addr public_addr;
	uint16_t public_port;
	struct cookie_options options;   /* the client's: what the server is asked for */
	struct learned_options promised; /* to the client; unknown if another gate or an earlier
					    process did */
	bool timestamps;
	bool given_up; /* no rule judges it any more */
	uint32_t tries;
	uint16_t window; /* of the client's ACK, scaled */
	uint32_t cookie_tsval;
	uint32_t client_tsval;
};

/* What some flows need besides: those that are inspected in full, and those that are OPENING. */
union engine_more {
	struct window window;
	struct opening opening;
};

struct engine {
	struct engine_limits limits;
	const struct policy *policy;
	const struct policy_rule *rule_of[POLICY_RULES_MAX]; /* by slot; NULL: none, or removed */
	struct engine_shared *shared;
	struct flow_table *table;
	union engine_more *more; /* by flow number; touched for flows that need it alone */
	struct cookie_keys keys;
	uint64_t unix_s;
	bool can_translate;              /* keys are there, and the kernel can */
	bool held[POLICY_RULES_MAX];     /* by slot: no cookies for now */
	bool held_open;                  /* SYNs that want one go to their servers meanwhile */
	uint32_t sent[POLICY_RULES_MAX]; /* cookies by slot, not yet told to the others */
	uint64_t started_us;
	uint64_t rejects_due_us; /* when as many RSTs as were sent are due by their rate */
	enum engine_drain drain;
	bool tells;                  /* the kernel, of some rule */
	bool told[POLICY_RULES_MAX]; /* by slot: the kernel tells of handshakes instead of asking */
	uint64_t told_until_us[POLICY_RULES_MAX]; /* 0: never */
	struct engine_counters counters;
};

/*
 * A flow's tag is its rule's slot, what its SYN asked the server for (enum learned_asked), and
 * whether it is inspected in full: what it was opened as, it stays. UNSEEN: half-open, but packets
 * passed by us, and its third ACK may have been one of them.
 */
enum {
	ENGINE_TAG_ASKED_SHIFT = 10,
	ENGINE_TAG_ASKED = 0x3c00,
	ENGINE_TAG_UNSEEN = 0x4000,
	ENGINE_TAG_FULL = 0x8000
};

_Static_assert(POLICY_RULES_MAX <= 1 << ENGINE_TAG_ASKED_SHIFT, "a tag holds any slot");

static inline uint16_t engine_slot(const struct flow *f)
{
	return f->hs.tag & ((1u << ENGINE_TAG_ASKED_SHIFT) - 1);
}

static inline void engine_remember_asked(struct flow *f, const struct segment *syn)
{
	f->hs.tag = (uint16_t)((f->hs.tag & ~(unsigned)ENGINE_TAG_ASKED) |
			       learned_asks(syn) << ENGINE_TAG_ASKED_SHIFT);
}

static inline unsigned engine_asked(const struct flow *f)
{
	return (f->hs.tag & ENGINE_TAG_ASKED) >> ENGINE_TAG_ASKED_SHIFT;
}

static inline uint16_t engine_tag(const struct policy_rule *rule)
{
	return (uint16_t)(rule->slot | (rule->inspect == INSPECT_FULL ? ENGINE_TAG_FULL : 0));
}

/* Which list a flow belongs on, by its state. */
enum flow_list engine_list_of(const struct flow *f);

/* The rule that a flow was opened under; NULL if it is gone. */
const struct policy_rule *engine_rule_of(const struct engine *e, const struct flow *f);

/* The flow's window if it is inspected in full, else NULL. */
struct window *engine_window_of(struct engine *e, uint32_t number);

/* stray.c: a packet that is no SYN and has no flow. */
void engine_judge_stray(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out);
/* Its rule, and which end sent it. */
const struct policy_rule *engine_rule_of_stray(const struct engine *e,
	const struct engine_packet *in, const struct segment *seg, enum hs_side *side);
/* The rule of a packet that has no flow, whichever end sent it. */
const struct policy_rule *engine_rule_for(const struct engine *e, const struct segment *seg,
	enum hs_side side, const struct engine_packet *in);
struct tuple engine_tuple_of(const struct segment *seg, enum hs_side side);

/* Whether the kernel only told of such a rule's handshakes until a moment ago: maybe another shard,
 * of the beginning of one that goes on here. */
bool engine_was_told(const struct engine *e, uint16_t slot, uint64_t now_us);

/* Adds an effect; a full list drops it, which the callers' bounds keep from happening. */
struct effect *engine_effect(struct effects *out, enum effect_type type);
void engine_send(struct effects *out, const uint8_t *bytes, size_t len);

/* Refuses the packet for a reason, or counts that it would be refused. True if it is dropped. */
bool engine_refuse(struct engine *e, const struct policy_rule *rule, enum reason reason,
	enum cause cause, const struct tuple *t, struct decision *out);

static inline bool engine_is_half_open(enum flow_list list)
{
	return list == FLOW_SYN_SENT || list == FLOW_SYN_RCVD;
}

/* Flows of the two kinds that have a bound each, and whether the table holds all it can. */
uint32_t engine_half_open(const struct engine *e);
uint32_t engine_followed(const struct engine *e);
bool engine_table_full(const struct engine *e);

/*
 * Whether there is a place for a flow: in the table, and, if it will be followed once admitted,
 * among those. Flows that only linger make one.
 */
bool engine_has_place(struct engine *e, const struct policy_rule *rule, struct effects *out);

/* Makes sure that one more handshake may begin: the oldest unanswered one goes if need be. */
void engine_make_room(struct engine *e, struct effects *out);

/* Answers a SYN as a closed port would: so many a second and no more, since anybody may have sent
 * it in another's name. */
void engine_reject(struct engine *e, uint64_t now_us, struct decision *out);

/* Conntrack says that it holds an admitted connection of the SYN's tuple. */
static inline bool engine_is_over(const struct engine_packet *in)
{
	return in->hint && in->lane != LANE_DNAT;
}

/* Whether a SYN on that flow may have been in the queue when it was handed over, before the mark
 * that engine_is_over looks at. Later ones without it are of a client that has its port again. */
static inline bool engine_was_queued(const struct flow *f, uint64_t now_us)
{
	const uint32_t in_queue_ms = 100;

	return f->hs.state == HS_OFFLOADED && flow_age_ms(f, now_us) < in_queue_ms;
}

/* Opens a handshake with a SYN: limits, room, the flow itself; or answers it with a cookie. `over`:
 * it comes over a connection that stands admitted. */
void engine_open(struct engine *e, const struct policy_rule *rule, const struct engine_packet *in,
	bool over, uint64_t now_us, struct decision *out);

/* Refuses a SYN that would not even get a cookie: its source is over its limits, or nobody is there
 * to serve it. True if it did. */
bool engine_refuse_at_once(struct engine *e, const struct policy_rule *rule, const struct tuple *t,
	uint64_t now_us, struct decision *out);

/* challenge.c: whether cookies are wanted for the next SYN of a rule now. */
bool engine_wants_cookie(struct engine *e, const struct policy_rule *rule, struct effects *out);
/* Answers a SYN with a cookie and drops it. False if it can't have one: nothing was done. */
bool engine_challenge(struct engine *e, const struct policy_rule *rule,
	const struct engine_packet *in, uint64_t now_us, struct decision *out);

/* logged.c: a SYN that can only be answered with a cookie, or refused. */
void engine_answer_logged(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out);

/* opening.c: an ACK of no flow, which may carry a cookie. */
void engine_prove(
	struct engine *e, const struct policy_rule *rule, uint64_t now_us, struct decision *out);
/* No rule judges it any more: both ends will hear that it is over. */
void engine_give_up(struct engine *e, uint32_t number);
/*
 * Likewise, of an ACK that does not fit the half-open flow there is, which the server's answer to
 * the SYN of an earlier process made, or that only the kernel knows of. False: it carries none, and
 * nothing was done.
 */
bool engine_prove_instead(
	struct engine *e, const struct policy_rule *rule, uint64_t now_us, struct decision *out);
/* The server has answered what a cookie opened; its flow's state is ESTABLISHED. */
void engine_translate(struct engine *e, uint32_t number, uint64_t now_us, struct decision *out);
/* The server speaks of an older connection: it is reset, and asked again. */
void engine_rebuke(struct engine *e, uint32_t number, struct decision *out);
/* The handshake with the server has failed: the client hears of it. */
void engine_opening_failed(
	struct engine *e, uint32_t number, enum cause cause, struct effects *out);
/* The server has not answered for a while: asks again, or gives up. */
void engine_ask_again(struct engine *e, uint32_t number, uint64_t now_us, struct effects *out);
uint32_t engine_openings(const struct engine *e);

/* icmp.c: an error about a client's SYN. The handshake has failed unless a SYN-ACK still comes, and
 * who says so is known. */
void engine_judge_icmp(struct engine *e, const struct addr *from, struct decision *out);
/* An error about a segment's size: it goes on as it is unless the shell finds that what it quotes
 * is translated. */
void engine_judge_too_big(struct engine *e, const struct engine_packet *in, const struct addr *from,
	struct decision *out);

/* pressure.c: to be called about ten times a second. True if there was not room for all notices. */
bool engine_pressure(struct engine *e, uint64_t now_us, struct effects *out);
/* One cookie less is unanswered. */
void engine_answered(struct engine *e, uint16_t slot);
/* How many half-open handshakes a rule may have. */
uint32_t engine_half_open_limit(const struct engine *e, const struct policy_rule *rule);

/* A completed handshake is evidence: whether the source may go on, by its rate of them. If not, the
 * connection has been refused, and maybe the source blocked. */
bool engine_within_rate(struct engine *e, const struct policy_rule *rule, const struct tuple *t,
	uint64_t now_us, struct decision *out);
/* Blocks the source if the rule says so. */
void engine_block(struct engine *e, const struct policy_rule *rule, const struct addr *client,
	struct effects *out);
/* Whether one more connection of the flow's client may stand; it is counted then. */
bool engine_count_for_source(
	struct engine *e, struct flow *f, const struct policy_rule *rule, uint64_t now_us);

/* Counts a connection that stands already for its source, whatever the limit. */
void engine_count_standing(
	struct engine *e, struct flow *f, const struct policy_rule *rule, uint64_t now_us);

/* The third ACK has come for flow `number`: its state is ESTABLISHED and has yet to be settled on a
 * list. */
void engine_admit(struct engine *e, uint32_t number, enum flow_list from, uint64_t now_us,
	struct decision *out);

/*
 * A SYN over a standing connection is a handshake only once the server takes it; one that was said
 * to be unreachable begins again if the server answers after all. Whatever stood before under this
 * tuple is gone then, and nothing is admitted until the third ACK.
 */
void engine_taken(struct engine *e, uint32_t number, struct effects *out);

/* Counts and reports a failed handshake. */
void engine_failed(struct engine *e, const struct flow *f, enum cause cause, const struct addr *who,
	struct effects *out);

/* The SYN over a standing connection came to nothing: as if it had not been. */
void engine_back_to_standing(struct engine *e, uint32_t number);

/* Drops a half-open flow that is due or in the way, so that nothing downstream keeps it. */
void engine_abandon(struct engine *e, uint32_t number, enum cause cause, struct effects *out);

/* Drops a flow of any other list that is due or in the way. */
void engine_expire_followed(
	struct engine *e, uint32_t number, enum flow_list list, struct effects *out);

/* What becomes of half-open flows of rules whose handshakes the kernel is to tell of, or no more:
 * by slot. */
void engine_retell(struct engine *e, const bool *changed);

/* One half-open flow more of its rule, and of its source if that is of interest; or one less. */
void engine_count_half_open(struct engine *e, const struct flow *f, bool more);

/* Takes a flow out of the table and out of all counts. */
void engine_forget(struct engine *e, uint32_t number);

/* Puts a flow whose state has changed on the list it belongs to. `refresh`: also if that is the one
 * it is on. */
void engine_settle(
	struct engine *e, uint32_t number, enum flow_list from, bool refresh, uint64_t now_us);

struct addr engine_source(const struct engine *e, const struct addr *a);

#endif
