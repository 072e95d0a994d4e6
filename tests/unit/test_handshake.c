/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every cell of the table, by what it does to a segment whose numbers fit and to one whose numbers
 * do not. What is expected is written out here once more, not taken from the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/handshake.h"

#include <stdio.h>

enum {
	CLIENT_DATA = 100, /* bytes, sent and acknowledged */
	SERVER_DATA = 200,
	OFFERED = 1000,
	FAR_OFF = 0x40000000,
};

static const uint32_t client_isn = 0xffffffc0;
static const uint32_t server_isn = 0x7fffffff;
static const uint32_t newer_isn = 0x20000000;

struct expected {
	const char *fits;
	const char *strange;
};

/* From the third ACK on. */
#define LIVE_CLIENT(self, ack, ack_of_fin, fin)                                                    \
	{                                                                                          \
		[HS_SYN] = {"note_syn " self, "note_syn " self},                                   \
		[HS_SYN_ACK] = {"drop bad_seq", "drop bad_seq"},                                   \
		[HS_ACK] = {"pass " ack, "drop out_of_window"},                                    \
		[HS_ACK_OF_FIN] = {"pass " ack_of_fin, "drop out_of_window"},                      \
		[HS_FIN] = {"pass " fin, "drop out_of_window"},                                    \
		[HS_RST] = {"pass RESET", "drop out_of_window"},                                   \
	}
#define LIVE_SERVER(self, ack, ack_of_fin, fin)                                                    \
	{                                                                                          \
		[HS_SYN] = {"drop bad_flags", "drop bad_flags"},                                   \
		[HS_SYN_ACK] = {"pass " self, "pass " self},                                       \
		[HS_ACK] = {"pass " ack, "drop out_of_window"},                                    \
		[HS_ACK_OF_FIN] = {"pass " ack_of_fin, "drop out_of_window"},                      \
		[HS_FIN] = {"pass " fin, "drop out_of_window"},                                    \
		[HS_RST] = {"pass RESET", "drop out_of_window"},                                   \
	}
#define NEVER(reason)                                                                              \
	{                                                                                          \
		"drop " reason, "drop " reason                                                     \
	}
#define ALWAYS(outcome)                                                                            \
	{                                                                                          \
		outcome, outcome                                                                   \
	}

/* clang-format off */
static const struct expected table[HS_STATES][HS_SIDES][HS_KINDS] = {
	[HS_CLOSED] = {
		{
			[HS_SYN] = ALWAYS("open CLOSED"),
			[HS_SYN_ACK] = NEVER("no_flow"),
			[HS_ACK] = NEVER("no_flow"),
			[HS_ACK_OF_FIN] = NEVER("no_flow"),
			[HS_FIN] = NEVER("no_flow"),
			[HS_RST] = NEVER("no_flow"),
		}, {
			[HS_SYN] = NEVER("no_flow"),
			[HS_SYN_ACK] = NEVER("no_flow"),
			[HS_ACK] = NEVER("no_flow"),
			[HS_ACK_OF_FIN] = NEVER("no_flow"),
			[HS_FIN] = NEVER("no_flow"),
			[HS_RST] = NEVER("no_flow"),
		},
	},
	[HS_SYN_SENT] = {
		{
			[HS_SYN] = {"pass SYN_SENT", "restart SYN_SENT"},
			[HS_SYN_ACK] = NEVER("not_established"),
			[HS_ACK] = NEVER("not_established"),
			[HS_ACK_OF_FIN] = NEVER("not_established"),
			[HS_FIN] = NEVER("not_established"),
			[HS_RST] = NEVER("bad_seq"),
		}, {
			[HS_SYN] = ALWAYS("cross SYN_CROSSED"),
			[HS_SYN_ACK] = {"answer SYN_RCVD", "drop bad_ack"},
			[HS_ACK] = ALWAYS("challenged SYN_SENT"),
			[HS_ACK_OF_FIN] = ALWAYS("challenged SYN_SENT"),
			[HS_FIN] = ALWAYS("challenged SYN_SENT"),
			[HS_RST] = {"refused CLOSED", "drop bad_ack"},
		},
	},
	[HS_SYN_CROSSED] = {
		{
			[HS_SYN] = {"pass SYN_CROSSED", "drop bad_seq"},
			[HS_SYN_ACK] = {"pass SYN_CROSSED", "drop bad_ack"},
			[HS_ACK] = NEVER("not_established"),
			[HS_ACK_OF_FIN] = NEVER("not_established"),
			[HS_FIN] = NEVER("not_established"),
			[HS_RST] = {"client_reset CLOSED", "drop bad_seq"},
		}, {
			[HS_SYN] = {"pass SYN_CROSSED", "drop bad_seq"},
			[HS_SYN_ACK] = {"answer SYN_RCVD", "drop bad_ack"},
			[HS_ACK] = {"pass SYN_RCVD", "drop bad_ack"},
			[HS_ACK_OF_FIN] = NEVER("not_established"),
			[HS_FIN] = NEVER("not_established"),
			[HS_RST] = {"refused CLOSED", "drop bad_seq"},
		},
	},
	[HS_SYN_RCVD] = {
		{
			[HS_SYN] = {"pass SYN_RCVD", "renew SYN_RENEWED"},
			[HS_SYN_ACK] = NEVER("not_established"),
			[HS_ACK] = {"admit ESTABLISHED", "drop bad_ack"},
			[HS_ACK_OF_FIN] = {"admit HALF_SERVER", "drop bad_ack"},
			[HS_FIN] = {"admit FIN_CLIENT", "drop bad_ack"},
			[HS_RST] = {"client_reset CLOSED", "drop bad_seq"},
		}, {
			[HS_SYN] = NEVER("bad_seq"),
			[HS_SYN_ACK] = {"reanswer SYN_RCVD", "drop bad_ack"},
			[HS_ACK] = ALWAYS("pass SYN_RCVD"),
			[HS_ACK_OF_FIN] = ALWAYS("pass SYN_RCVD"),
			[HS_FIN] = ALWAYS("pass SYN_RCVD"),
			[HS_RST] = {"refused CLOSED", "drop bad_seq"},
		},
	},
	[HS_SYN_RENEWED] = {
		{
			[HS_SYN] = {"pass SYN_RENEWED", "renew SYN_RENEWED"},
			[HS_SYN_ACK] = NEVER("not_established"),
			[HS_ACK] = {"admit ESTABLISHED", "drop bad_ack"},
			[HS_ACK_OF_FIN] = {"admit HALF_SERVER", "drop bad_ack"},
			[HS_FIN] = {"admit FIN_CLIENT", "drop bad_ack"},
			[HS_RST] = {"forgo SYN_SENT", "drop bad_seq"},
		}, {
			[HS_SYN] = NEVER("bad_seq"),
			[HS_SYN_ACK] = ALWAYS("pass SYN_RENEWED"),
			[HS_ACK] = ALWAYS("pass SYN_RENEWED"),
			[HS_ACK_OF_FIN] = ALWAYS("pass SYN_RENEWED"),
			[HS_FIN] = ALWAYS("pass SYN_RENEWED"),
			[HS_RST] = {"refused CLOSED", "drop bad_seq"},
		},
	},
	[HS_OPENING] = {
		{
			[HS_SYN] = {"drop not_established", "cookie OPENING"},
			[HS_SYN_ACK] = NEVER("bad_flags"),
			[HS_ACK] = {"hold OPENING", "prove OPENING"},
			[HS_ACK_OF_FIN] = {"hold OPENING", "prove OPENING"},
			[HS_FIN] = {"hold OPENING", "drop bad_ack"},
			[HS_RST] = {"client_reset CLOSED", "drop bad_seq"},
		}, {
			[HS_SYN] = NEVER("bad_flags"),
			[HS_SYN_ACK] = {"translate ESTABLISHED", "rebuke OPENING"},
			[HS_ACK] = ALWAYS("rebuke OPENING"),
			[HS_ACK_OF_FIN] = ALWAYS("rebuke OPENING"),
			[HS_FIN] = ALWAYS("rebuke OPENING"),
			[HS_RST] = {"refused CLOSED", "drop bad_ack"},
		},
	},
	[HS_OFFLOADED] = {
		{
			[HS_SYN] = {"pass OFFLOADED", "open OFFLOADED"},
			[HS_SYN_ACK] = NEVER("bad_seq"),
			[HS_ACK] = ALWAYS("pass OFFLOADED"),
			[HS_ACK_OF_FIN] = ALWAYS("pass OFFLOADED"),
			[HS_FIN] = ALWAYS("pass OFFLOADED"),
			[HS_RST] = ALWAYS("pass OFFLOADED"),
		}, {
			[HS_SYN] = NEVER("bad_flags"),
			[HS_SYN_ACK] = ALWAYS("pass OFFLOADED"),
			[HS_ACK] = ALWAYS("pass OFFLOADED"),
			[HS_ACK_OF_FIN] = ALWAYS("pass OFFLOADED"),
			[HS_FIN] = ALWAYS("pass OFFLOADED"),
			[HS_RST] = ALWAYS("pass OFFLOADED"),
		},
	},
	[HS_ESTABLISHED] = {
		LIVE_CLIENT("ESTABLISHED", "ESTABLISHED", "ESTABLISHED", "FIN_CLIENT"),
		LIVE_SERVER("ESTABLISHED", "ESTABLISHED", "ESTABLISHED", "FIN_SERVER"),
	},
	[HS_FIN_CLIENT] = {
		LIVE_CLIENT("FIN_CLIENT", "FIN_CLIENT", "FIN_CLIENT", "FIN_CLIENT"),
		LIVE_SERVER("FIN_CLIENT", "FIN_CLIENT", "HALF_CLIENT", "CLOSING"),
	},
	[HS_FIN_SERVER] = {
		LIVE_CLIENT("FIN_SERVER", "FIN_SERVER", "HALF_SERVER", "CLOSING"),
		LIVE_SERVER("FIN_SERVER", "FIN_SERVER", "FIN_SERVER", "FIN_SERVER"),
	},
	[HS_HALF_CLIENT] = {
		LIVE_CLIENT("HALF_CLIENT", "HALF_CLIENT", "HALF_CLIENT", "HALF_CLIENT"),
		LIVE_SERVER("HALF_CLIENT", "HALF_CLIENT", "HALF_CLIENT", "LAST_ACK_SERVER"),
	},
	[HS_HALF_SERVER] = {
		LIVE_CLIENT("HALF_SERVER", "HALF_SERVER", "HALF_SERVER", "LAST_ACK_CLIENT"),
		LIVE_SERVER("HALF_SERVER", "HALF_SERVER", "HALF_SERVER", "HALF_SERVER"),
	},
	[HS_CLOSING] = {
		LIVE_CLIENT("CLOSING", "CLOSING", "LAST_ACK_CLIENT", "CLOSING"),
		LIVE_SERVER("CLOSING", "CLOSING", "LAST_ACK_SERVER", "CLOSING"),
	},
	[HS_LAST_ACK_CLIENT] = {
		LIVE_CLIENT("LAST_ACK_CLIENT", "LAST_ACK_CLIENT", "LAST_ACK_CLIENT", "LAST_ACK_CLIENT"),
		LIVE_SERVER("LAST_ACK_CLIENT", "LAST_ACK_CLIENT", "TIME_WAIT", "LAST_ACK_CLIENT"),
	},
	[HS_LAST_ACK_SERVER] = {
		LIVE_CLIENT("LAST_ACK_SERVER", "LAST_ACK_SERVER", "TIME_WAIT", "LAST_ACK_SERVER"),
		LIVE_SERVER("LAST_ACK_SERVER", "LAST_ACK_SERVER", "LAST_ACK_SERVER", "LAST_ACK_SERVER"),
	},
	[HS_TIME_WAIT] = {
		{
			[HS_SYN] = ALWAYS("open TIME_WAIT"),
			[HS_SYN_ACK] = NEVER("bad_seq"),
			[HS_ACK] = {"pass TIME_WAIT", "drop out_of_window"},
			[HS_ACK_OF_FIN] = {"pass TIME_WAIT", "drop out_of_window"},
			[HS_FIN] = {"pass TIME_WAIT", "drop out_of_window"},
			[HS_RST] = {"pass TIME_WAIT", "drop out_of_window"},
		}, {
			[HS_SYN] = NEVER("bad_flags"),
			[HS_SYN_ACK] = NEVER("bad_seq"),
			[HS_ACK] = {"pass TIME_WAIT", "drop out_of_window"},
			[HS_ACK_OF_FIN] = {"pass TIME_WAIT", "drop out_of_window"},
			[HS_FIN] = {"pass TIME_WAIT", "drop out_of_window"},
			[HS_RST] = {"pass TIME_WAIT", "drop out_of_window"},
		},
	},
	[HS_RESET] = {
		{
			[HS_SYN] = ALWAYS("open RESET"),
			[HS_SYN_ACK] = NEVER("no_flow"),
			[HS_ACK] = {"pass RESET", "drop out_of_window"},
			[HS_ACK_OF_FIN] = {"pass RESET", "drop out_of_window"},
			[HS_FIN] = {"pass RESET", "drop out_of_window"},
			[HS_RST] = ALWAYS("pass RESET"),
		}, {
			[HS_SYN] = NEVER("no_flow"),
			[HS_SYN_ACK] = NEVER("no_flow"),
			[HS_ACK] = {"pass RESET", "drop out_of_window"},
			[HS_ACK_OF_FIN] = {"pass RESET", "drop out_of_window"},
			[HS_FIN] = {"pass RESET", "drop out_of_window"},
			[HS_RST] = ALWAYS("pass RESET"),
		},
	},
};
/* clang-format on */

static const char *const act_words[HS_ACTS] = {
	[HS_DROP] = "drop",
	[HS_PASS] = "pass",
	[HS_OPEN] = "open",
	[HS_RESTART] = "restart",
	[HS_CHALLENGED] = "challenged",
	[HS_ANSWER] = "answer",
	[HS_REANSWER] = "reanswer",
	[HS_RENEW] = "renew",
	[HS_ANSWER_NEWER] = "answer_newer",
	[HS_ANSWER_OLDER] = "answer_older",
	[HS_FORGO] = "forgo",
	[HS_REOPEN] = "reopen",
	[HS_NOTE_SYN] = "note_syn",
	[HS_CROSS] = "cross",
	[HS_ADMIT] = "admit",
	[HS_REFUSED] = "refused",
	[HS_CLIENT_RESET] = "client_reset",
	[HS_COOKIE] = "cookie",
	[HS_HOLD] = "hold",
	[HS_PROVE] = "prove",
	[HS_TRANSLATE] = "translate",
	[HS_REBUKE] = "rebuke",
};

/* Whose FIN has been seen in a state. */
static bool fin_sent(enum hs_state state, enum hs_side side)
{
	switch (state) {
	case HS_CLOSING:
	case HS_LAST_ACK_CLIENT:
	case HS_LAST_ACK_SERVER:
	case HS_TIME_WAIT:
		return true;
	case HS_FIN_CLIENT:
	case HS_HALF_CLIENT:
		return side == HS_FROM_CLIENT;
	case HS_FIN_SERVER:
	case HS_HALF_SERVER:
		return side == HS_FROM_SERVER;
	case HS_CLOSED:
	case HS_SYN_SENT:
	case HS_SYN_CROSSED:
	case HS_SYN_RCVD:
	case HS_SYN_RENEWED:
	case HS_OPENING:
	case HS_OFFLOADED:
	case HS_ESTABLISHED:
	case HS_RESET:
	case HS_STATES:
		break;
	}
	return false;
}

static struct window_end end_in(enum hs_state state, enum hs_side side)
{
	uint32_t isn = side == HS_FROM_CLIENT ? client_isn : server_isn;
	uint32_t data = state < HS_ESTABLISHED   ? 0
			: side == HS_FROM_CLIENT ? CLIENT_DATA
						 : SERVER_DATA;
	bool fin = fin_sent(state, side);

	return (struct window_end){
		.next = isn + 1 + data + fin,
		.acked = isn + 1 + data,
		.limit = isn + 1 + data + OFFERED,
		.offered = OFFERED,
		.fin = isn + 1 + data,
		.fin_sent = fin,
		.known = state >= HS_SYN_CROSSED || side == HS_FROM_CLIENT,
	};
}

struct fixture {
	struct handshake h;
	struct window w;
	struct segment seg;
	enum hs_state state;
	enum hs_side side;
	enum hs_kind kind;
};

static void set_up(struct fixture *f, enum hs_state state, enum hs_side side, enum hs_kind kind)
{
	*f = (struct fixture){.state = state, .side = side, .kind = kind};
	f->h.state = (uint8_t)state;
	f->h.client_isn = client_isn;
	f->h.server_isn = state == HS_SYN_SENT ? 0 : server_isn;
	f->h.other_isn = state == HS_SYN_RENEWED ? newer_isn : 0;
	f->h.flags = state == HS_SYN_CROSSED ? HS_WAS_CROSSED : 0;
	for (enum hs_side end = 0; end < HS_SIDES; end++)
		f->w.end[end] = end_in(state, end);
}

/* The other end's FIN, even where none can have come: so that each kind reaches each cell. */
static void pretend_fin(struct window_end *end)
{
	if (end->fin_sent)
		return;
	end->fin_sent = true;
	end->known = true;
	end->fin = end->next - 1;
}

static void write_segment(struct fixture *f, uint32_t off)
{
	static const uint8_t flags[HS_KINDS] = {
		[HS_SYN] = TCP_SYN,
		[HS_SYN_ACK] = TCP_SYN | TCP_ACK,
		[HS_ACK] = TCP_ACK,
		[HS_ACK_OF_FIN] = TCP_ACK,
		[HS_FIN] = TCP_FIN | TCP_ACK,
		[HS_RST] = TCP_RST | TCP_ACK,
	};
	const struct window_end *self = &f->w.end[f->side];
	struct window_end *peer = &f->w.end[!f->side];
	uint32_t isn = f->side == HS_FROM_CLIENT ? client_isn : server_isn;
	bool opens = f->kind == HS_SYN || f->kind == HS_SYN_ACK;

	if (f->kind == HS_ACK_OF_FIN)
		pretend_fin(peer);
	f->seg = (struct segment){
		.flags = flags[f->kind],
		.seq = opens                                 ? isn
		       : f->kind == HS_FIN && self->fin_sent ? self->fin
							     : self->next,
		.ack = peer->fin_sent && f->kind != HS_ACK_OF_FIN ? peer->fin : peer->next,
		.window = OFFERED,
	};
	if (f->kind == HS_SYN_ACK)
		f->seg.ack = (f->side == HS_FROM_CLIENT ? server_isn : client_isn) + 1;
	f->seg.seq += off;
	f->seg.ack += off;
}

static void check(const struct fixture *f, struct hs_outcome outcome, const char *expected)
{
	char found[64];

	if (outcome.act == HS_DROP)
		snprintf(found, sizeof(found), "drop %s", reason_word(outcome.reason));
	else
		snprintf(found, sizeof(found), "%s %s", act_words[outcome.act],
			hs_state_word((enum hs_state)f->h.state));
	if (strcmp(found, expected) != 0)
		fail_msg("%s, %s's %s: expected '%s', found '%s'", hs_state_word(f->state),
			f->side == HS_FROM_CLIENT ? "client" : "server", hs_kind_word(f->kind),
			expected, found);
	if (outcome.act == HS_DROP)
		assert_int_equal(f->h.state, f->state);
	else
		assert_int_equal(outcome.reason, REASON_NONE);
}

static void exercise(
	enum hs_state state, enum hs_side side, enum hs_kind kind, const struct expected *expected)
{
	struct fixture f;

	assert_non_null(expected->fits);
	set_up(&f, state, side, kind);
	write_segment(&f, 0);
	check(&f, hs_step(&f.h, &f.w, side, &f.seg), expected->fits);
	set_up(&f, state, side, kind);
	write_segment(&f, FAR_OFF);
	check(&f, hs_step(&f.h, &f.w, side, &f.seg), expected->strange);
}

static void every_cell_does_what_is_expected(void **state)
{
	(void)state;
	for (enum hs_state s = 0; s < HS_STATES; s++)
		for (enum hs_side side = 0; side < HS_SIDES; side++)
			for (enum hs_kind kind = 0; kind < HS_KINDS; kind++)
				exercise(s, side, kind, &table[s][side][kind]);
}

static void every_cell_says_why(void **state)
{
	(void)state;
	for (enum hs_state s = 0; s < HS_STATES; s++)
		for (enum hs_side side = 0; side < HS_SIDES; side++)
			for (enum hs_kind kind = 0; kind < HS_KINDS; kind++) {
				const struct hs_cell *cell = hs_cell(s, side, kind);
				bool drops = cell->act == HS_DROP ||
					     (cell->check != HS_ANY && cell->otherwise == HS_DROP);

				assert_non_null(cell->why);
				assert_int_equal(drops, cell->reason != REASON_NONE);
				assert_true(cell->act != HS_DROP || cell->check == HS_ANY);
				assert_non_null(hs_act_word(cell->act));
				assert_non_null(hs_check_word(cell->check));
			}
}

/* What a flow that is handed over remembers does not depend on a window. */
static void half_open_states_need_no_window(void **state)
{
	static const struct {
		enum hs_side side;
		uint8_t flags;
		uint32_t seq, ack;
		enum hs_state to;
	} steps[] = {
		{HS_FROM_SERVER, TCP_SYN | TCP_ACK, 5, 101, HS_SYN_RCVD},
		{HS_FROM_SERVER, TCP_ACK, 6, 101, HS_SYN_RCVD},
		{HS_FROM_CLIENT, TCP_SYN, 200, 0, HS_SYN_RENEWED},
		{HS_FROM_SERVER, TCP_SYN | TCP_ACK, 7, 201, HS_SYN_RCVD},
		{HS_FROM_CLIENT, TCP_SYN, 300, 0, HS_SYN_RENEWED},
		{HS_FROM_CLIENT, TCP_RST, 201, 0, HS_SYN_SENT},
		{HS_FROM_SERVER, TCP_SYN | TCP_ACK, 9, 301, HS_SYN_RCVD},
		{HS_FROM_CLIENT, TCP_FIN | TCP_ACK, 301, 10, HS_ESTABLISHED},
	};
	struct segment syn = {.flags = TCP_SYN, .seq = 100};
	struct handshake h = {.tag = 77};

	(void)state;
	hs_open(&h, &syn, true);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct segment seg = {
			.flags = steps[i].flags, .seq = steps[i].seq, .ack = steps[i].ack};

		hs_step(&h, NULL, steps[i].side, &seg);
		assert_int_equal(h.state, steps[i].to);
	}
	assert_int_equal(h.tag, 77);
}

static void an_rst_in_window_but_not_exact_ends_nothing(void **state)
{
	(void)state;
	for (enum hs_state s = HS_ESTABLISHED; s < HS_TIME_WAIT; s++)
		for (enum hs_side side = 0; side < HS_SIDES; side++) {
			struct fixture f;

			set_up(&f, s, side, HS_RST);
			write_segment(&f, 0);
			f.seg.seq += 5;
			assert_int_equal(hs_step(&f.h, &f.w, side, &f.seg).act, HS_PASS);
			assert_int_equal(f.h.state, s);
		}
}

static void words_are_complete(void **state)
{
	(void)state;
	for (enum hs_state s = 0; s < HS_STATES; s++) {
		assert_non_null(hs_state_word(s));
		assert_non_null(hs_flow_word(s));
		assert_non_null(hs_end_state(s, HS_FROM_CLIENT));
		assert_non_null(hs_end_state(s, HS_FROM_SERVER));
	}
	for (enum hs_kind k = 0; k < HS_KINDS; k++)
		assert_non_null(hs_kind_word(k));
	for (enum hs_check c = 0; c < HS_CHECKS; c++)
		assert_non_null(hs_check_word(c));
	for (enum hs_act a = 0; a < HS_ACTS; a++)
		assert_non_null(hs_act_word(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_does_what_is_expected),
		cmocka_unit_test(every_cell_says_why),
		cmocka_unit_test(half_open_states_need_no_window),
		cmocka_unit_test(an_rst_in_window_but_not_exact_ends_nothing),
		cmocka_unit_test(words_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
