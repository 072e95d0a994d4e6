/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of an engine, shared by the files that make it up: engine.c, admission.c and expiry.c.
 */
#ifndef ACKGATE_CORE_ENGINE_STATE_H
#define ACKGATE_CORE_ENGINE_STATE_H

#include "core/engine.h"
#include "core/flow.h"
#include "core/limiter.h"

#include <stdatomic.h>

struct engine_shared {
	struct limiter *limiter;
	_Atomic uint32_t half_open[POLICY_RULES_MAX]; /* by slot */
};

struct engine {
	struct engine_limits limits;
	const struct policy *policy;
	const struct policy_rule *rule_of[POLICY_RULES_MAX]; /* by slot; NULL: none, or removed */
	struct engine_shared *shared;
	struct flow_table *table;
	struct window *windows; /* by flow number; touched for flows inspected in full alone */
	uint64_t started_us;
	uint64_t rejects_due_us; /* when as many RSTs as were sent are due by their rate */
	enum engine_drain drain;
	struct engine_counters counters;
};

/*
 * A flow's tag is its rule's slot, and whether it is inspected in full: what it was opened as, it
 * stays. UNSEEN: half-open, but packets passed by us, and its third ACK may have been one of them.
 */
enum {
	ENGINE_TAG_UNSEEN = 0x4000,
	ENGINE_TAG_FULL = 0x8000
};

_Static_assert(POLICY_RULES_MAX <= ENGINE_TAG_UNSEEN, "a tag holds any slot");

static inline uint16_t engine_slot(const struct flow *f)
{
	return f->hs.tag & (ENGINE_TAG_UNSEEN - 1);
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

/* Makes sure that one more handshake may begin: the oldest unanswered one goes if need be. */
void engine_make_room(struct engine *e, struct effects *out);

/* Answers a SYN as a closed port would: so many a second and no more, since anybody may have sent
 * it in another's name. */
void engine_reject(struct engine *e, uint64_t now_us, struct decision *out);

/* Opens a handshake with a SYN: limits, room, the flow itself. `over`: conntrack holds an admitted
 * connection of this tuple. */
void engine_open(struct engine *e, const struct policy_rule *rule, bool over, uint64_t now_us,
	struct decision *out);

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

/* Takes a flow out of the table and out of all counts. */
void engine_forget(struct engine *e, uint32_t number);

/* Puts a flow whose state has changed on the list it belongs to. `refresh`: also if that is the one
 * it is on. */
void engine_settle(
	struct engine *e, uint32_t number, enum flow_list from, bool refresh, uint64_t now_us);

struct addr engine_source(const struct engine *e, const struct addr *a);

#endif
