/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What our chains say, whichever way they are put into the kernel: a plan becomes chains of steps
 * here, and nftables or iptables text in ruleset_nft.c and ruleset_iptables.c.
 */
#ifndef ACKGATE_KERNEL_CHAINS_H
#define ACKGATE_KERNEL_CHAINS_H

#include "kernel/ruleset.h"

enum chain_id {
	/* at the kernel's hooks */
	CHAIN_INPUT,
	CHAIN_FORWARD,
	CHAIN_OUTPUT,
	CHAIN_RAW_OUTPUT,
	CHAIN_RAW_PREROUTING,
	CHAIN_EARLY_INPUT, /* before the host's filter chains; only where cookies are given */
	CHAIN_EARLY_FORWARD,
	CHAIN_AT_HOOKS,

	/* reached from those */
	CHAIN_ADMIT = CHAIN_AT_HOOKS, /* user space said: admit */
	CHAIN_PASS,                   /* left alone, and so are the replies */
	CHAIN_ICMP,
	CHAIN_REPLIES,        /* the rules mirrored: from the server's side */
	CHAIN_REPLIES_OUTPUT, /* likewise, if some of them are about this host alone */
	CHAIN_FULL_INPUT,
	CHAIN_FULL_FORWARD,
	CHAIN_FULL_OUTPUT,
	CHAIN_PROOFS,         /* the rules for ACKs that may carry a cookie */
	CHAIN_PROOFS_FORWARD, /* likewise, without those about this host alone, if there are some */
	CHAIN_SETTLED,        /* what passes, without our bit */
	CHAIN_INJECTED,

	/* to the queue; each of these twice: without bypass, and with it (+1) */
	CHAIN_ASK,
	CHAIN_ASK_OPEN,
	CHAIN_ASK_SYN,
	CHAIN_ASK_SYN_OPEN,
	CHAIN_ASK_DNAT,
	CHAIN_ASK_DNAT_OPEN,
	CHAIN_ASK_SERVER,
	CHAIN_ASK_SERVER_OPEN,
	CHAIN_STRAYS,
	CHAIN_STRAYS_OPEN,
	CHAIN_STRAYS_SERVER,
	CHAIN_STRAYS_SERVER_OPEN,
	CHAIN_REFUSED,
	CHAIN_REFUSED_OPEN,

	/* then three for each of the policy's rules */
	CHAIN_OF_RULES,
};

/* A rule's own chains. */
enum chain_of_rule {
	CHAIN_OF_CLIENT,
	CHAIN_OF_SERVER,
	CHAIN_OF_PROOFS,
	CHAINS_OF_RULE
};

/* Where in the kernel a chain is; all that it leads to is in the same place. */
enum chain_place {
	CHAIN_PLACE_JUDGING,
	CHAIN_PLACE_EARLY,
	CHAIN_PLACE_RAW
};

enum chain_action {
	CHAIN_DO_RETURN,
	CHAIN_DO_DROP,
	CHAIN_DO_JUMP,
	CHAIN_DO_GOTO,
	CHAIN_DO_QUEUE,
	CHAIN_DO_NOTRACK,
	/* our bit; these go on with the next step */
	CHAIN_DO_SET_PACKET_BIT,
	CHAIN_DO_CLEAR_PACKET_BIT,
	CHAIN_DO_SET_CONNECTION_BIT,
};

/* Conntrack's states, or'ed. */
enum chain_state {
	CHAIN_NEW = 1,
	CHAIN_ESTABLISHED = 2,
	CHAIN_RELATED = 4,
	CHAIN_INVALID = 8,
	CHAIN_UNTRACKED = 16,
};

enum chain_direction {
	CHAIN_ANY_DIRECTION,
	CHAIN_ORIGINAL,
	CHAIN_REPLY
};
enum chain_bit {
	CHAIN_BIT_ANY,
	CHAIN_BIT_SET,
	CHAIN_BIT_CLEAR
};
enum chain_lo {
	CHAIN_LO_ANY,
	CHAIN_LO_IN,
	CHAIN_LO_OUT,
	CHAIN_LO_NOT_IN,
	CHAIN_LO_NOT_OUT
};
enum chain_protocol {
	CHAIN_ANY_PROTOCOL,
	CHAIN_TCP,
	CHAIN_NOT_TCP,
	CHAIN_UNREACHABLE, /* ICMP says so about a TCP connection */
	CHAIN_TOO_BIG      /* ICMP says what size would fit */
};
enum chain_side {
	CHAIN_CLIENT_SIDE,
	CHAIN_SERVER_SIDE
};

/* All that is given must hold; zero asks nothing. */
struct chain_match {
	uint8_t flags_of; /* enum tcp_flag: of these, exactly `flags` are set */
	uint8_t flags;
	uint8_t states;
	enum chain_direction direction;
	enum chain_bit packet_bit;
	enum chain_bit connection_bit;
	enum chain_lo lo;
	enum chain_protocol protocol;
	uint16_t per_s; /* at most so many packets a second match */
	bool dnat;      /* the connection's destination was changed */
	bool blocked;   /* the source is in lasting.c's sets: by nftables alone */
	const struct ruleset_route *route; /* DNAT led by this one */
	const struct policy_rule *rule; /* its from, to, port, listen and interface; the latter on
					   the client's side only */
	enum chain_side side;
};

enum chain_tally_kind {
	CHAIN_NOT_COUNTED,
	CHAIN_DROPS,
	CHAIN_OBSERVED,
	CHAIN_UNTRACKED_SEEN
};

/* What the packets that take a step are counted as. */
struct chain_tally {
	enum chain_tally_kind kind;
	enum reason reason;
	uint16_t slot;
};

struct chain_step {
	struct chain_match match;
	enum chain_action action;
	uint16_t target; /* chain, of JUMP and GOTO */
	uint16_t queue;  /* first and last number, of QUEUE */
	uint16_t queue_last;
	bool bypass;
	struct chain_tally tally;
};

enum {
	CHAIN_NAME_SIZE = 21
}; /* iptables takes 28 letters, 8 of them are a prefix */

struct chain {
	char name[CHAIN_NAME_SIZE];
	const struct policy_rule *rule; /* NULL: belongs to none in particular */
	enum chain_place place;
	struct chain_step *steps;
	size_t count;
	bool used; /* some packet can come here */
};

struct chains {
	const struct ruleset_plan *plan;
	struct chain *list;
	size_t count;
	bool any_full;
	bool lo_named;
	bool any_local;   /* some rule is about this host alone */
	bool any_passing; /* handshakes with some rule's listeners may pass without being asked
			     about */
	bool failed;      /* out of memory while building */
};

/* The plan must outlive the chains. NULL without memory. */
struct chains *chains_new(const struct ruleset_plan *plan);
void chains_free(struct chains *c);

/* Appends to a chain; without memory c->failed is set. */
void chains_add(struct chains *c, size_t chain, struct chain_step step);

enum {
	CHAIN_TALLY_MAX = 64
};

/* A tally as the comment that its kernel rule carries: "ackgate:drop:no_flow:12". Empty for
 * CHAIN_NOT_COUNTED. */
void chain_tally_print(char out[static CHAIN_TALLY_MAX], const struct chain_tally *t);
/* Adds `packets` to what the comment names. Comments of others, and of older versions with other
 * words, are passed over. */
void chain_tally_add(struct ruleset_counts *counts, const char *comment, uint64_t packets);

/* Adds to each of the one what the other has. */
void chain_counts_add(struct ruleset_counts *to, const struct ruleset_counts *from);
/* Each becomes the higher of both: counters fall only if somebody takes their rules away. */
void chain_counts_raise(struct ruleset_counts *of, const struct ruleset_counts *read);

#endif
