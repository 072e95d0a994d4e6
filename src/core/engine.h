/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine: one packet in, one decision out.
 *
 * It holds the flows of one shard and is used by one thread. It touches no socket, clock or global
 * and allocates in engine_new alone. What has to be done to the outside comes back as a list of
 * effects, to be carried out in their order: conntrack's before the packet's verdict, the rest
 * after it.
 */
#ifndef ACKGATE_CORE_ENGINE_H
#define ACKGATE_CORE_ENGINE_H

#include "core/build.h"
#include "core/cookie.h"
#include "core/learned.h"
#include "core/packet.h"
#include "core/policy.h"
#include "core/reasons.h"
#include "core/siphash.h"
#include "core/translation.h"

#include <stddef.h>
#include <stdint.h>

struct engine;
struct engine_shared;

enum engine_hook {
	HOOK_INPUT,
	HOOK_FORWARD,
	HOOK_OUTPUT,
	HOOK_PREROUTING, /* ICMP alone */
};

/* Each kind of packet has a queue of its own, so that a flood of one can't crowd out the others. */
enum engine_lane {
	LANE_HANDSHAKES,
	LANE_ADMITTED, /* packets of admitted flows: inspected in full, and servers' RSTs */
	LANE_PROOFS,   /* ACKs of no connection, which may carry a cookie; ICMP about sizes */
	LANE_DNAT,     /* SYNs whose destination was changed */
	LANE_ANSWERS,  /* what servers say to handshakes */
	LANES
};

/* Of some packets the kernel only tells: no verdict is waited for. */
enum engine_fate {
	FATE_ASKED,   /* none: it waits */
	FATE_DROPPED, /* a SYN: all its server's are answered with cookies */
	FATE_PASSED,  /* of a handshake with a listener of ours, see engine_tell */
};

struct engine_packet {
	const uint8_t *bytes; /* from the IP header */
	size_t captured;
	size_t on_wire;
	bool verify_checksum;
	enum engine_hook hook;
	/*
	 * What the kernel's rules know, told in the packet mark's one bit. With SYN: conntrack's
	 * entry of this tuple is marked as admitted; in LANE_DNAT: it was sent to the one public
	 * address that is known to lead to its server. Without SYN, in FORWARD: the packet comes
	 * from the server's side of a rule.
	 */
	bool hint;
	enum engine_lane lane;
	enum engine_fate fate;
	const char *interface; /* it came in by; NULL if no rule asks */
};

enum verdict {
	VERDICT_ACCEPT,
	VERDICT_DROP,
	VERDICT_ADMIT, /* accept, and mark the connection as admitted */
};

enum effect_type {
	EFFECT_CT_DELETE, /* take the tuple's conntrack entry away */
	EFFECT_CT_UNMARK, /* clear our bit of its mark */
	EFFECT_SEND,      /* these bytes, by a raw socket */
	EFFECT_REPORT,    /* for the log and the list of failures */
	EFFECT_TRANSLATE, /* make the connection's conntrack entry; then ACK and window update go
			     out */
	EFFECT_BLOCK,     /* a source, for a while */
	EFFECT_NOTICE,    /* for the log */
	EFFECT_RST,       /* a server's RST on an admitted connection: the kernel may miswrite it */
	EFFECT_TOO_BIG,   /* an ICMP error about a segment whose numbers may be translated */
	EFFECT_PASS_ON, /* this word about a SYN that is not of this shard: to engine_unreachable of
			   the others */
};

struct report {
	struct tuple tuple;
	uint16_t slot;      /* the rule's; POLICY_NO_SLOT if none */
	enum reason reason; /* why a packet was not let through, or NONE */
	enum cause cause;   /* why a handshake failed, or NONE */
	bool observed;      /* enforce = no: judged, but let go on */
	struct addr from;   /* CAUSE_unreachable: who said so */
};

/* An ICMP error says that a client's SYN can't reach its server. */
struct unreachable {
	struct tuple tuple;
	uint32_t seq;     /* of the SYN */
	struct addr from; /* who says so */
};

/* All addresses of a source, which proved by completed handshakes that it is over its limits. */
struct block {
	struct addr_range source;
	uint16_t slot;
	uint32_t seconds;
};

enum notice_kind {
	NOTICE_COOKIES_ON, /* `half_open` handshakes are under way */
	NOTICE_COOKIES_OFF,
	NOTICE_ROUTE_UNKNOWN, /* no cookies for a server that DNAT leads to by a way not known */
	NOTICE_RELEARNED,     /* a server answered with less than clients had been promised */
};

struct notice {
	enum notice_kind kind;
	uint16_t slot; /* the rule's */
	uint32_t half_open;
	struct addr server;
	uint16_t port;
};

struct server_rst {
	struct tuple tuple;
	uint32_t seq;
	uint32_t ack;
	bool has_ack;
};

struct size_error {
	struct tuple quoted; /* as quoted: its sender is the client here */
	uint32_t seq;
	uint32_t mtu;
	struct addr from;
	bool arrived; /* in PREROUTING; else this host made it */
};

struct effect {
	enum effect_type type;
	union {
		struct tuple tuple;
		struct {
			uint8_t bytes[BUILD_MAX];
			uint8_t len;
		} send;
		struct report report;
		struct unreachable unreachable;
		struct translation translation;
		struct block block;
		struct notice notice;
		struct server_rst rst;
		struct size_error too_big;
	};
};

/* What one call may ask for at most; engine_expire returns early and is called again. */
#define ENGINE_EFFECTS 24

struct effects {
	size_t count;
	struct effect list[ENGINE_EFFECTS];
};

struct decision {
	enum verdict verdict;
	bool passed;        /* the packet has gone on already, whatever the verdict */
	enum reason reason; /* NONE unless dropped, or observed to be droppable */
	uint16_t slot;      /* of the rule that judged; POLICY_NO_SLOT if none */
	bool change_syn; /* let `change` be applied (build_change_syn) before the packet goes on */
	struct build_syn_change change;
	struct segment segment; /* as parsed; valid unless the reason is malformed or fragment */
	struct effects effects;
};

struct engine_limits {
	uint32_t half_open; /* flows, of this shard */
	uint32_t flows;     /* admitted flows that are followed (inspect = full,
			       connections_per_source), of this shard */
	uint32_t in_flight; /* connections of cookies whose server has not answered, of this
			       shard */
	uint32_t shards;    /* there are in all; 0: this one */
};

struct engine_rule_counters {
	uint64_t matched; /* SYNs that opened a handshake or were refused one */
	uint64_t admitted;
	uint64_t dropped;
};

struct engine_counters {
	uint64_t packets;
	uint64_t drops[REASON_COUNT];    /* packets */
	uint64_t observed[REASON_COUNT]; /* packets let go although, by enforce = no */
	uint64_t started;                /* handshakes */
	uint64_t completed;
	uint64_t failed[CAUSE_COUNT];
	uint64_t evicted; /* half-open flows that made room for newer ones */
	uint64_t adopted;
	uint64_t cookies_sent;
	uint64_t logged;         /* SYNs that came dropped */
	uint64_t logged_in_vain; /* of them: neither answered nor refused */
	uint64_t cookies_accepted;
	uint64_t cookies_refused; /* ACKs without a valid one, of rules that had sent some */
	struct engine_rule_counters rules[POLICY_RULES_MAX]; /* by slot */
};

/* Flows by what they are in now. */
struct engine_gauges {
	uint32_t syn_sent;
	uint32_t syn_received;
	uint32_t opening;     /* proven by a cookie, the server has not answered */
	uint32_t established; /* inspected in full */
	uint32_t closing;
	uint32_t offloaded; /* handed to the kernel, counted for connections_per_source */
};

/* One flow, for people. */
struct engine_flow_info {
	struct tuple tuple;
	uint16_t slot;
	const char *client_state;
	const char *server_state;
	const char *flow_state; /* half-open, admitted, closing */
	uint32_t age_s;         /* since it entered the state */
	bool offloaded;         /* the kernel carries it on */
};

/*
 * What the shards of one daemon share: per-source limits and per-rule counts, fixed in size,
 * atomic. `sources` is how many sources are remembered at once. NULL without memory.
 */
struct engine_shared *engine_shared_new(uint32_t sources, const struct siphash_key *key);
void engine_shared_free(struct engine_shared *s);
uint32_t engine_shared_half_open(const struct engine_shared *s, uint16_t slot);
/* Whether no server of a splice rule's backend is up: its SYNs are refused meanwhile. */
void engine_shared_backend_down(struct engine_shared *s, uint16_t slot, bool down);
bool engine_shared_is_backend_down(const struct engine_shared *s, uint16_t slot);
/* What is known of servers and of sources. */
struct learned *engine_shared_learned(struct engine_shared *s);
struct limiter *engine_shared_limiter(struct engine_shared *s);
/* Whether adaptive cookies are on for a rule. */
bool engine_shared_cookies_on(const struct engine_shared *s, uint16_t slot);
/* The kernel is about to tell no more of a rule's handshakes: so many may be under way of which no
 * word has come. To be called before engine_tell, once for all shards. */
void engine_shared_unheard_of(struct engine_shared *s, uint16_t slot, uint32_t handshakes);
/* When words of the kernel were last lost, in monotonic microseconds; 0: never. */
uint64_t engine_shared_missed(const struct engine_shared *s);
/* When a cookie was sent for a rule, in monotonic microseconds, give or take 100 ms; 0: never. */
uint64_t engine_shared_cookie_sent(const struct engine_shared *s, uint16_t slot);

/* The engine borrows policy and shared; they must outlive it. `now_us`: monotonic microseconds.
 * NULL without memory. */
struct engine *engine_new(const struct engine_limits *limits, const struct policy *policy,
	struct engine_shared *shared, const struct siphash_key *key, uint64_t now_us);
void engine_free(struct engine *e);

/* The name of the rule that holds a slot now; NULL if there is none. */
const char *engine_rule_name(const struct engine *e, uint16_t slot);
/* Whether packets must come with their interface's name. */
bool engine_by_interface(const struct engine *e);

/* New rules for new handshakes; flows stand. The old policy may be freed afterwards. */
void engine_set_policy(struct engine *e, const struct policy *policy);

/*
 * To be called once the kernel has the rules: flows that they no longer judge, or no longer inspect
 * in full, are the kernel's own. A window that was not followed for a while would cut its
 * connection as soon as it is looked at again, so that is learned anew from the next segment.
 * `unseen`: packets may have passed by us, so this holds for all that are inspected in full, and
 * a handshake that seems not to complete is given up without a word to its ends.
 */
void engine_hand_over(struct engine *e, bool unseen);

/*
 * Lets SYNs be answered with cookies: keys are made from the secret and from the wall clock, in
 * seconds since the epoch. NULL: never, since the kernel can't translate.
 */
void engine_cookies(struct engine *e, const uint8_t *secret, uint64_t unix_s);
/* The wall clock, to be told before each batch. */
void engine_clock(struct engine *e, uint64_t unix_s);

/*
 * No cookies for the rules whose slots are set in `held` (POLICY_RULES_MAX of them; NULL: for
 * none), until further notice; those that were given are taken back. A SYN that would get one is
 * dropped, or, with `open`, goes to its server.
 */
void engine_hold_cookies(struct engine *e, const bool *held, bool open);

/* The kernel could not be made to translate: both ends hear that it is over. */
void engine_untranslated(struct engine *e, const struct translation *t, struct effects *out);

/*
 * From now on the kernel lets handshakes with the listeners of some rules pass and only tells of
 * them: those whose slots are set in `told` (POLICY_RULES_MAX of them; NULL: none). To be called
 * before it does so, and before it does so no more. Nothing is ended behind such a handshake's
 * back. The shard that is told of one may be another than the one that is asked, so with several of
 * them those under way are followed no more when that changes, and go on wherever they come.
 */
void engine_tell(struct engine *e, const bool *told, uint64_t now_us);
/* Words of the kernel have been lost: such handshakes under way are given up without a word. */
void engine_missed(struct engine *e, uint64_t now_us);

/*
 * Ends well: handshakes under way go on, new ones are let through unjudged (DRAIN_OPEN) or dropped
 * (DRAIN_CLOSED).
 */
enum engine_drain {
	DRAIN_OFF,
	DRAIN_OPEN,
	DRAIN_CLOSED
};
void engine_drain(struct engine *e, enum engine_drain how);

/* At most so many packets are worth announcing at once. */
#define ENGINE_BATCH 64

/* Announces packets that are about to be judged: what they need is fetched from memory meanwhile.
 * Changes nothing. */
void engine_expect(const struct engine *e, const struct engine_packet *packets, size_t count);

/* Calls `each` for the large pieces of memory, so that the shell may ask for large pages. */
void engine_memory(const struct engine *e, void (*each)(void *start, size_t size));

/* Judges one packet. Never fails: what can't be understood is dropped as malformed. */
void engine_packet(
	struct engine *e, const struct engine_packet *in, uint64_t now_us, struct decision *out);

/* Lets flows expire that are due. True if there was not room for all effects: carry them out and
 * call again. */
bool engine_expire(struct engine *e, uint64_t now_us, struct effects *out);

/*
 * A word that came to another shard, since its packet came from a router's address: if the SYN is
 * of this one, its handshake has failed.
 */
void engine_unreachable(struct engine *e, const struct unreachable *u, struct effects *out);

/* Conntrack says that an admitted connection has ended. */
void engine_ended(struct engine *e, const struct tuple *t);

/*
 * Reconciling with a dump of conntrack: begin, seen for each marked entry, end. Offloaded flows
 * that were there before the dump began and were not in it are uncounted; returns how many.
 */
void engine_reconcile_begin(struct engine *e);
void engine_reconcile_seen(struct engine *e, const struct tuple *t);
uint32_t engine_reconcile_end(struct engine *e);

/* Forgets a flow of any state, as `flows kill` does; effects as for an expiry, an RST to both ends.
 * False: no such flow. */
bool engine_kill(struct engine *e, const struct tuple *t, struct effects *out);

const struct engine_counters *engine_counters(const struct engine *e);
struct engine_gauges engine_gauges(const struct engine *e);

/* Calls `each` for every flow until it returns false. */
void engine_flows(const struct engine *e, uint64_t now_us,
	bool (*each)(const struct engine_flow_info *, void *), void *arg);

#endif
