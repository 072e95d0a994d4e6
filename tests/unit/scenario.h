/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scenarios as data: rows of packets, with what the engine must make of each.
 *
 * One scenario is run over IPv4 and IPv6, forwarded and local, and from ISNs next to where the
 * numbers wrap: each time with an engine of its own.
 */
#ifndef ACKGATE_TESTS_SCENARIO_H
#define ACKGATE_TESTS_SCENARIO_H

#include "core/engine_state.h"
#include "segments.h"

enum {
	SYN = TCP_SYN,
	SYN_ACK = TCP_SYN | TCP_ACK,
	ACK = TCP_ACK,
	FIN_ACK = TCP_FIN | TCP_ACK,
	RST = TCP_RST,
	RST_ACK = TCP_RST | TCP_ACK,
};

enum scenario_end {
	CLIENT,
	SERVER,
};

/* One packet; seq counts from the sender's ISN, ack from the other end's. */
struct row {
	enum scenario_end from;
	uint8_t flags;
	int64_t seq;
	int64_t ack;

	/* What is made of it: see PASSES, DROPS, ADMITS. */
	enum verdict verdict;
	enum reason reason;
	enum hs_state state; /* of the flow afterwards; HS_CLOSED: there is none */
	const char *effects; /* as gate_effects says them; NULL: "dropped:REASON" if it is
				dropped, else "" */

	uint32_t len;    /* bytes of payload */
	uint32_t window; /* as on the wire; 0: 64240; NO_WINDOW: none */
	uint16_t mss;
	uint8_t wscale;   /* 0: no option */
	uint8_t fastopen; /* cookie bytes; FASTOPEN_REQUEST: an empty one; 0: no option */
	bool sack;
	uint32_t tsval; /* 0: no timestamps */
	bool ecn;       /* as RFC 3168 has it in a SYN or SYN-ACK */
	bool md5;
	bool cookie; /* ack counts from the cookie that was sent last, tsecr is its TSval */
	enum engine_lane lane;
	enum engine_fate fate;
	bool marked;      /* conntrack's entry of the tuple is marked as admitted */
	bool admitted;    /* LANE_ADMITTED: came by the queue of admitted flows */
	bool unreachable; /* not the packet itself but an ICMP error about it */
	bool too_big;     /* likewise, about its size */
	bool bad_flags_ok;
	uint32_t after_ms; /* time that passes before it; what is due expires */
};

enum {
	NO_WINDOW = 0x10000,
	FASTOPEN_REQUEST = 0xff,
};

#define PASSES(to)        .verdict = VERDICT_ACCEPT, .state = HS_##to
#define DROPS(why, to)    .verdict = VERDICT_DROP, .reason = REASON_##why, .state = HS_##to
#define OBSERVES(why, to) .verdict = VERDICT_ACCEPT, .reason = REASON_##why, .state = HS_##to
#define ADMITS(to)        .verdict = VERDICT_ADMIT, .state = HS_##to
#define TAKES(to)         .verdict = VERDICT_DROP, .state = HS_##to /* the gate acts in its stead */

/* An engine with what belongs to it. */
struct gate {
	bool v6;
	bool local; /* the server is this host: INPUT and OUTPUT instead of FORWARD */
	uint32_t isn[2];
	uint64_t now_us;
	struct policy_rule rules[4];
	struct policy policy;
	struct engine_limits limits;
	struct engine_shared *shared;
	struct engine *engine;
	uint64_t unix_s;
	bool knows_server;        /* as gate_gives_cookies has it */
	struct decision decision; /* the last one */
	struct effects effects;   /* of the last expiry */
	char words[1024];         /* of effects */
	uint32_t cookie_isn;      /* of the last SYN-ACK that was to be sent */
	uint32_t cookie_tsval;
	struct segment sent;            /* the last packet that was to be sent */
	struct translation translation; /* the last one */
};

/* One enforcing rule "web", slot 7, for ports 80 and 443; no limits but 64 half-open and 64
 * followed flows. Open it when everything is as wanted. */
void gate_set_up(struct gate *g, bool v6);
void gate_open(struct gate *g);
/* Another engine on what the gate's shares, or on something new: a restart. The old one is gone. */
void gate_restart(struct gate *g, bool keep_shared);
void gate_close(struct gate *g);

/* The connection of client number `n`, 0 to 65535, each with an address of its own. */
struct tuple gate_tuple(const struct gate *g, unsigned n);

/* Sends a row's packet for client `n`; the decision is in g->decision. */
void gate_send(struct gate *g, unsigned n, const struct row *row);
/* Likewise, and checks what the row expects. */
void gate_expect(struct gate *g, unsigned n, const struct row *row);
#define GATE_EXPECT(g, n, ...) gate_expect(g, n, &(const struct row){__VA_ARGS__})

/* Lets time pass, and returns the effects of what expired, in words. */
const char *gate_wait_ms(struct gate *g, uint64_t ms);

/*
 * Effects in words, separated by blanks: delete, unmark, pass_on, rst>server, rst>client (likewise
 * syn, syn_ack, ack), translate, block, server_rst, too_big, cookies_on, cookies_off,
 * route_unknown, relearned, failed:CAUSE, dropped:REASON, observed:REASON, would_fail:CAUSE. A
 * report of a reason and a cause is both.
 */
const char *gate_effects(struct gate *g, const struct effects *effects);

enum hs_state gate_state(struct gate *g, unsigned n);

/* The secret of all gates' cookies. */
extern const uint8_t gate_secret[COOKIE_SECRET];

/* A server's answer, heard by all engines of the gate. */
void gate_learn(struct gate *g, const struct row *syn_ack);

/* Three packets that admit client n. */
void gate_admit(struct gate *g, unsigned n);

struct scenario {
	const char *name;
	void (*prepare)(struct gate *g); /* NULL: as set up */
	const struct row *rows;
	size_t count;
};

#define SCENARIO(called, how, ...)                                                                 \
	{                                                                                          \
		.name = (called), .prepare = (how), .rows = (const struct row[]){__VA_ARGS__},     \
		.count = sizeof((const struct row[]){__VA_ARGS__}) / sizeof(struct row)            \
	}

/* Runs each scenario in all its variants, for client 0. */
void scenarios_run(const struct scenario *list, size_t count);

/* Runs a test in the variants that scenarios have. */
void gates_run(void (*prepare)(struct gate *g), void (*test)(struct gate *g));

/* Checks that gauges, shared counts and counters agree with the flows there are. */
void gate_check_sums(struct gate *g);

/* `prepare`s of common use. */
void gate_inspects_in_full(struct gate *g);
void gate_observes(struct gate *g);
/* Always, to a server that is known: MSS 1400, window scale 9, SACK, timestamps, no ECN. */
void gate_gives_cookies(struct gate *g);

#endif
