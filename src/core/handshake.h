/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake: a table of [state][side][kind] over both ends' states, which is the specification;
 * docs/states.md is printed from it. A flow inspected only until it is admitted leaves the table at
 * OFFLOADED.
 */
#ifndef ACKGATE_CORE_HANDSHAKE_H
#define ACKGATE_CORE_HANDSHAKE_H

#include "core/packet.h"
#include "core/reasons.h"
#include "core/window.h"

enum hs_state {
	HS_CLOSED, /* no flow; zero, so that a fresh struct is closed */
	HS_SYN_SENT,
	HS_SYN_CROSSED, /* simultaneous open: a SYN from both (RFC 9293, section 3.5) */
	HS_SYN_RCVD,
	HS_SYN_RENEWED, /* the server has answered, and the client has sent another SYN since */
	HS_OPENING,   /* the client has come back with a cookie, the server has not answered yet */
	HS_OFFLOADED, /* admitted, and the kernel's own from here on */
	HS_ESTABLISHED,
	HS_FIN_CLIENT, /* the client's FIN seen */
	HS_FIN_SERVER,
	HS_HALF_CLIENT, /* the client's FIN acknowledged: it may only listen now */
	HS_HALF_SERVER,
	HS_CLOSING,         /* both FINs seen, neither acknowledged */
	HS_LAST_ACK_CLIENT, /* both seen, the client's not yet acknowledged */
	HS_LAST_ACK_SERVER,
	HS_TIME_WAIT,
	HS_RESET,
	HS_STATES
};

enum hs_side {
	HS_FROM_CLIENT,
	HS_FROM_SERVER,
	HS_SIDES
};

/* By flags; a FIN that also acknowledges the other end's FIN is two steps, ACK_OF_FIN first. */
enum hs_kind {
	HS_SYN,
	HS_SYN_ACK,
	HS_ACK,
	HS_ACK_OF_FIN,
	HS_FIN,
	HS_RST,
	HS_KINDS
};

enum hs_act {
	HS_DROP,
	HS_PASS,
	HS_OPEN,         /* a new handshake begins */
	HS_RESTART,      /* the client gave up on its SYN and sent another */
	HS_CHALLENGED,   /* the server speaks of an older connection: remember what a client's RST
			    will say */
	HS_ANSWER,       /* SYN-ACK: the server's ISN is known */
	HS_REANSWER,     /* a SYN-ACK with another ISN, as servers that keep no state send */
	HS_RENEW,        /* a SYN with another ISN after the SYN-ACK: remember it */
	HS_ANSWER_NEWER, /* the server takes that one */
	HS_ANSWER_OLDER, /* the server takes the SYN before the client's last: either may complete
			  */
	HS_FORGO,        /* the client gives up the older one: only the newer remains */
	HS_REOPEN, /* the server takes a SYN that came on a live flow: the old connection is gone */
	HS_NOTE_SYN, /* a SYN on a live flow: pass it, the server will challenge it (RFC 5961,
			section 4) */
	HS_CROSS,    /* the server's own SYN */
	HS_ADMIT,
	HS_REFUSED,
	HS_CLIENT_RESET,
	/* Of a handshake that began with a cookie: none of its packets is passed on. */
	HS_COOKIE,    /* another SYN: the answer is another cookie */
	HS_HOLD,      /* the server is being asked */
	HS_PROVE,     /* maybe the answer to another cookie */
	HS_TRANSLATE, /* the server has answered: from here on the kernel translates */
	HS_REBUKE,    /* the server speaks of an older connection: reset that, and ask again */
	HS_ACTS
};

enum hs_check {
	HS_ANY,
	HS_CLIENT_ISN,    /* seq is the client's ISN */
	HS_OTHER_ISN,     /* seq is not the client's ISN */
	HS_SERVER_ISN,    /* seq is the server's ISN */
	HS_ACKS_SYN,      /* ack is the client's ISN + 1, or within the data its SYN carried */
	HS_ACKS_BOTH_SYN, /* as above, and seq is the server's ISN */
	HS_ACKS_NEWER,    /* ack is one past the ISN of the client's newer SYN */
	HS_CROSSED_ACK,   /* simultaneous open: ack is the server's ISN + 1, seq the client's ISN */
	HS_COMPLETES,     /* ack is the server's ISN + 1, seq the client's next */
	HS_RST_OF_SYN,    /* with ACK, and ack as in ACKS_SYN (RFC 9293, 3.10.7.3) */
	HS_RST_OF_OLD,    /* seq answers the server's word about an older connection */
	HS_RST_OF_CLIENT, /* seq is the client's next */
	HS_RST_OF_SERVER, /* seq is the server's next */
	HS_IN_WINDOW,
	HS_RST_IN_WINDOW,
	HS_REOPENS, /* ack is one past the SYN noted on the live flow */
	HS_CHECKS
};

struct hs_cell {
	enum hs_check check;
	enum hs_act act; /* if the check holds */
	enum hs_state next;
	enum hs_act otherwise; /* if not: the state stays */
	enum reason reason;    /* of a drop */
	const char *why;
};

enum hs_flag {
	HS_HAS_OTHER = 0x01, /* other_isn is valid */
	HS_WAS_CROSSED = 0x02,
	HS_DATA_IN_SYN = 0x04, /* Fast Open, or plain data (RFC 7413; RFC 9293, 3.4) */
	HS_DATA_TAKEN =
		0x08, /* the SYN-ACK acknowledged it: the server may speak before the third ACK */
	HS_OLDER_SYN = HS_DATA_TAKEN, /* in SYN_SENT: other_isn is that of an earlier SYN */
	/* The caller's. */
	HS_UNREACHABLE = 0x10, /* counted as failed, but it may still succeed (RFC 1122, 4.2.3.9) */
	HS_OVER = 0x20,        /* opened over a connection that stands, for all the kernel knows */
	HS_COUNTED = 0x40,     /* counted for its source */
	HS_SEEN = 0x80,        /* found in the kernel's table */
};

/* One handshake's numbers: 16 bytes. */
struct handshake {
	uint32_t client_isn;
	uint32_t server_isn; /* in SYN_SENT: bytes of data in the SYN */
	/*
	 * SYN_SENT, if OLDER_SYN: the ISN of the first SYN that the client, or somebody in its
	 * name, sent another after; else, if HAS_OTHER: one less than what an RST about an older
	 * connection says.
	 * SYN_RCVD, if HAS_OTHER: the server's earlier ISN; else, if DATA_TAKEN: one less than what
	 * the server acknowledged. SYN_RENEWED: the client's newer ISN.
	 */
	uint32_t other_isn;
	uint8_t state; /* enum hs_state */
	uint8_t flags; /* enum hs_flag, or'ed */
	uint16_t tag;  /* the caller's */
};

struct hs_outcome {
	enum hs_act act;
	enum reason reason; /* of HS_DROP */
};

/* Begins a handshake with the client's SYN. `data_kept`: the SYN goes on with its data. tag and the
 * caller's flags stay. */
void hs_open(struct handshake *h, const struct segment *syn, bool data_kept);

/* The client gave up on its SYN and sent this one. */
void hs_restart(struct handshake *h, const struct segment *syn, bool data_kept);

/* The client has acknowledged a cookie. tag and the caller's flags stay. */
void hs_prove(struct handshake *h, uint32_t client_isn, uint32_t cookie_isn);

/* Begins in the middle with a server's SYN-ACK, the SYN not having been seen. */
void hs_join_syn_ack(struct handshake *h, const struct segment *syn_ack);

/*
 * One segment: finds the cell, checks the numbers, moves the state. `w` is the flow's window, NULL
 * unless it is inspected in full. HS_OPEN and HS_RESTART change nothing here: the caller knows
 * what becomes of a SYN's data, and opens or restarts.
 */
struct hs_outcome hs_step(
	struct handshake *h, struct window *w, enum hs_side side, const struct segment *seg);

/* What a server that has answered waits for next: an RST with this number is obeyed. */
uint32_t hs_server_waits_for(const struct handshake *h);

const struct hs_cell *hs_cell(enum hs_state state, enum hs_side side, enum hs_kind kind);

/* Words for people: an end's state, the flow's, and the pieces of a cell. */
const char *hs_end_state(enum hs_state state, enum hs_side end);
const char *hs_state_word(enum hs_state state);
const char *hs_flow_word(enum hs_state state);
const char *hs_kind_word(enum hs_kind kind);
const char *hs_check_word(enum hs_check check);
const char *hs_act_word(enum hs_act act);

static inline bool hs_half_open(const struct handshake *h)
{
	return h->state >= HS_SYN_SENT && h->state <= HS_SYN_RENEWED;
}

#endif
