/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table below is the specification. Each cell says what must hold of the numbers, what happens
 * then, what happens otherwise, and why. Its rows come in the order of a connection's life; a row's
 * cells in the order of hs_kind.
 *
 * Two ideas explain most of it. A segment of the client is passed on only if it fits what this
 * handshake has said so far. A segment of the server is passed on as well if it can only be about
 * an older connection of the same ports, since the client's RST is what such a server waits for
 * (RFC 9293, section 3.5.1) and dropping either would leave both hanging.
 *
 * OPENING is the exception: the client's end was opened by a cookie, and the gate itself asks the
 * server in the client's name, so nothing of either reaches the other.
 */
#include "core/handshake.h"

/* clang-format off */
#define DROP(why_reason, text) {HS_ANY, HS_DROP, HS_CLOSED, HS_DROP, REASON_##why_reason, text}
#define PASS(to, text)         {HS_ANY, HS_PASS, to, HS_PASS, REASON_NONE, text}
#define FOLLOWS(to, text)      {HS_IN_WINDOW, HS_PASS, to, HS_DROP, REASON_out_of_window, text}

/* From the third ACK to the last FIN a SYN changes nothing by itself, and a RST ends everything. */
#define LIVE_CLIENT(self) \
	[HS_SYN] = {HS_ANY, HS_NOTE_SYN, self, HS_PASS, REASON_NONE, \
		"the server challenges it (RFC 5961, 4), or takes it if it has forgotten"}, \
	[HS_SYN_ACK] = {HS_CROSSED_ACK, HS_PASS, self, HS_DROP, REASON_bad_seq, \
		"the end of a simultaneous open, sent again"}, \
	[HS_RST] = {HS_RST_IN_WINDOW, HS_PASS, HS_RESET, HS_DROP, REASON_out_of_window, \
		"the client ends it (RFC 5961, 3)"}
#define LIVE_SERVER(self) \
	[HS_SYN] = DROP(bad_flags, "a server that has answered has no SYN to send"), \
	[HS_SYN_ACK] = {HS_REOPENS, HS_REOPEN, HS_SYN_RCVD, HS_PASS, REASON_NONE, \
		"answers a SYN on the live flow; else the third ACK was lost and it asks again"}, \
	[HS_RST] = {HS_RST_IN_WINDOW, HS_PASS, HS_RESET, HS_DROP, REASON_out_of_window, \
		"the server ends it (RFC 5961, 3)"}

static const struct hs_cell table[HS_STATES][HS_SIDES][HS_KINDS] = {
	[HS_CLOSED] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_ANY, HS_OPEN, HS_SYN_SENT, HS_DROP, REASON_NONE,
				"a handshake begins"},
			[HS_SYN_ACK] = DROP(no_flow, "answers no SYN"),
			[HS_ACK] = DROP(no_flow, "belongs to no connection"),
			[HS_ACK_OF_FIN] = DROP(no_flow, "belongs to no connection"),
			[HS_FIN] = DROP(no_flow, "belongs to no connection"),
			[HS_RST] = DROP(no_flow, "nothing to reset"),
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = DROP(no_flow, "a server's SYN alone opens nothing"),
			[HS_SYN_ACK] = DROP(no_flow,
				"answers a SYN that never came by; adopted soon after a start"),
			[HS_ACK] = DROP(no_flow,
				"belongs to no connection; adopted soon after a start, or from a local socket"),
			[HS_ACK_OF_FIN] = DROP(no_flow, "belongs to no connection"),
			[HS_FIN] = DROP(no_flow,
				"belongs to no connection; adopted likewise"),
			[HS_RST] = DROP(no_flow, "nothing to reset"),
		},
	},
	[HS_SYN_SENT] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_CLIENT_ISN, HS_PASS, HS_SYN_SENT, HS_RESTART, REASON_NONE,
				"sent again; with another ISN the client has begun anew"},
			[HS_SYN_ACK] = DROP(not_established, "a client has nothing to answer yet"),
			[HS_ACK] = DROP(not_established, "an ACK or data before the SYN-ACK"),
			[HS_ACK_OF_FIN] = DROP(not_established, "an ACK before the SYN-ACK"),
			[HS_FIN] = DROP(not_established, "a FIN before the SYN-ACK"),
			[HS_RST] = {HS_RST_OF_OLD, HS_PASS, HS_SYN_SENT, HS_DROP, REASON_bad_seq,
				"ends the older connection that the server spoke of; the next SYN gets through to it"},
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = {HS_ANY, HS_CROSS, HS_SYN_CROSSED, HS_PASS, REASON_NONE,
				"simultaneous open (RFC 9293, 3.5)"},
			[HS_SYN_ACK] = {HS_ACKS_SYN, HS_ANSWER, HS_SYN_RCVD, HS_DROP, REASON_bad_ack,
				"the answer; one to an older SYN leads to SYN_RENEWED, since the newer may be forged"},
			[HS_ACK] = {HS_ANY, HS_CHALLENGED, HS_SYN_SENT, HS_PASS, REASON_NONE,
				"the server still has an older connection (RFC 5961, 4): the client will reset it"},
			[HS_ACK_OF_FIN] = {HS_ANY, HS_CHALLENGED, HS_SYN_SENT, HS_PASS, REASON_NONE,
				"of an older connection"},
			[HS_FIN] = {HS_ANY, HS_CHALLENGED, HS_SYN_SENT, HS_PASS, REASON_NONE,
				"of an older connection"},
			[HS_RST] = {HS_RST_OF_SYN, HS_REFUSED, HS_CLOSED, HS_DROP, REASON_bad_ack,
				"refused; only with the exact acknowledgement (RFC 9293, 3.10.7.3)"},
		},
	},
	[HS_SYN_CROSSED] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_CLIENT_ISN, HS_PASS, HS_SYN_CROSSED, HS_DROP, REASON_bad_seq,
				"sent again"},
			[HS_SYN_ACK] = {HS_CROSSED_ACK, HS_PASS, HS_SYN_CROSSED, HS_DROP, REASON_bad_ack,
				"the client answers the server's SYN"},
			[HS_ACK] = DROP(not_established,
				"the server has not acknowledged the client's SYN"),
			[HS_ACK_OF_FIN] = DROP(not_established, "no FIN can have come"),
			[HS_FIN] = DROP(not_established,
				"the server has not acknowledged the client's SYN"),
			[HS_RST] = {HS_RST_OF_CLIENT, HS_CLIENT_RESET, HS_CLOSED, HS_DROP, REASON_bad_seq,
				"the client gives up"},
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = {HS_SERVER_ISN, HS_PASS, HS_SYN_CROSSED, HS_DROP, REASON_bad_seq,
				"sent again"},
			[HS_SYN_ACK] = {HS_ACKS_BOTH_SYN, HS_ANSWER, HS_SYN_RCVD, HS_DROP, REASON_bad_ack,
				"the server answers the client's SYN"},
			[HS_ACK] = {HS_ACKS_SYN, HS_PASS, HS_SYN_RCVD, HS_DROP, REASON_bad_ack,
				"the client's SYN-ACK has reached it"},
			[HS_ACK_OF_FIN] = DROP(not_established, "no FIN can have come"),
			[HS_FIN] = DROP(not_established, "the client has not acknowledged its SYN"),
			[HS_RST] = {HS_RST_OF_SERVER, HS_REFUSED, HS_CLOSED, HS_DROP, REASON_bad_seq,
				"the server gives up"},
		},
	},
	[HS_SYN_RCVD] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_OTHER_ISN, HS_RENEW, HS_SYN_RENEWED, HS_PASS, REASON_NONE,
				"begun anew: the server challenges it (RFC 5961, 4), or answers if it keeps no state; else sent again"},
			[HS_SYN_ACK] = {HS_CROSSED_ACK, HS_PASS, HS_SYN_RCVD, HS_DROP, REASON_not_established,
				"simultaneous open: the client answers the server's SYN"},
			[HS_ACK] = {HS_COMPLETES, HS_ADMIT, HS_ESTABLISHED, HS_DROP, REASON_bad_ack,
				"the third ACK, with or without data, or any later one if it was lost"},
			[HS_ACK_OF_FIN] = {HS_COMPLETES, HS_ADMIT, HS_ESTABLISHED, HS_DROP, REASON_bad_ack,
				"as above, of a server that said all it had with its SYN-ACK (Fast Open)"},
			[HS_FIN] = {HS_COMPLETES, HS_ADMIT, HS_ESTABLISHED, HS_DROP, REASON_bad_ack,
				"the third ACK was lost, and the client has nothing to say"},
			[HS_RST] = {HS_RST_OF_CLIENT, HS_CLIENT_RESET, HS_CLOSED, HS_DROP, REASON_bad_seq,
				"the client does not want it"},
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = {HS_SERVER_ISN, HS_PASS, HS_SYN_RCVD, HS_DROP, REASON_bad_seq,
				"the server's own SYN of a simultaneous open, sent again"},
			[HS_SYN_ACK] = {HS_ACKS_SYN, HS_REANSWER, HS_SYN_RCVD, HS_DROP, REASON_bad_ack,
				"sent again, maybe with another ISN; the client may answer either"},
			[HS_ACK] = PASS(HS_SYN_RCVD,
				"a challenge, or Fast Open data before the third ACK (RFC 7413, 4.2.2)"),
			[HS_ACK_OF_FIN] = PASS(HS_SYN_RCVD, "likewise"),
			[HS_FIN] = PASS(HS_SYN_RCVD, "likewise, and that was all it had to say"),
			[HS_RST] = {HS_RST_OF_SERVER, HS_REFUSED, HS_CLOSED, HS_DROP, REASON_bad_seq,
				"the server changed its mind: its accept queue is full, or the listener went away"},
		},
	},
	[HS_SYN_RENEWED] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_OTHER_ISN, HS_RENEW, HS_SYN_RENEWED, HS_PASS, REASON_NONE,
				"the newest counts; the older one was held up on its way"},
			[HS_SYN_ACK] = DROP(not_established, "a client has nothing to answer yet"),
			[HS_ACK] = {HS_COMPLETES, HS_ADMIT, HS_ESTABLISHED, HS_DROP, REASON_bad_ack,
				"the older one completes: the newer SYN was not the client's, or was held up"},
			[HS_ACK_OF_FIN] = {HS_COMPLETES, HS_ADMIT, HS_ESTABLISHED, HS_DROP, REASON_bad_ack,
				"likewise"},
			[HS_FIN] = {HS_COMPLETES, HS_ADMIT, HS_ESTABLISHED, HS_DROP, REASON_bad_ack,
				"likewise"},
			[HS_RST] = {HS_RST_OF_CLIENT, HS_FORGO, HS_SYN_SENT, HS_DROP, REASON_bad_seq,
				"answers the server's challenge: only the newer SYN remains"},
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = {HS_SERVER_ISN, HS_PASS, HS_SYN_RENEWED, HS_DROP, REASON_bad_seq,
				"the server's own SYN of a simultaneous open, sent again"},
			[HS_SYN_ACK] = {HS_ACKS_NEWER, HS_ANSWER_NEWER, HS_SYN_RCVD, HS_PASS, REASON_NONE,
				"the server has forgotten the older SYN, or keeps no state; else it answers the older again"},
			[HS_ACK] = PASS(HS_SYN_RENEWED, "challenges the newer SYN (RFC 5961, 4)"),
			[HS_ACK_OF_FIN] = PASS(HS_SYN_RENEWED, "likewise"),
			[HS_FIN] = PASS(HS_SYN_RENEWED, "likewise"),
			[HS_RST] = {HS_RST_OF_SERVER, HS_REFUSED, HS_CLOSED, HS_DROP, REASON_bad_seq,
				"the server refuses either"},
		},
	},
	[HS_OPENING] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_OTHER_ISN, HS_COOKIE, HS_OPENING, HS_DROP, REASON_not_established,
				"begun anew: the answer is another cookie, and this handshake stands until that comes back; else a late copy"},
			[HS_SYN_ACK] = DROP(bad_flags, "a client that has completed has none to send"),
			[HS_ACK] = {HS_COMPLETES, HS_HOLD, HS_OPENING, HS_PROVE, REASON_NONE,
				"a copy, a probe of the closed window, or data too early: it is sent again; else the answer to another cookie"},
			[HS_ACK_OF_FIN] = {HS_COMPLETES, HS_HOLD, HS_OPENING, HS_PROVE, REASON_NONE,
				"likewise"},
			[HS_FIN] = {HS_COMPLETES, HS_HOLD, HS_OPENING, HS_DROP, REASON_bad_ack,
				"the client closes already: it is sent again"},
			[HS_RST] = {HS_RST_OF_CLIENT, HS_CLIENT_RESET, HS_CLOSED, HS_DROP, REASON_bad_seq,
				"the client does not want it any more"},
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = DROP(bad_flags, "a server has no SYN to send"),
			[HS_SYN_ACK] = {HS_ACKS_SYN, HS_TRANSLATE, HS_ESTABLISHED, HS_REBUKE, REASON_NONE,
				"the answer; else it is about an older SYN (RFC 9293, 3.5.1)"},
			[HS_ACK] = {HS_ANY, HS_REBUKE, HS_OPENING, HS_DROP, REASON_NONE,
				"the server still has an older connection (RFC 5961, 4)"},
			[HS_ACK_OF_FIN] = {HS_ANY, HS_REBUKE, HS_OPENING, HS_DROP, REASON_NONE, "likewise"},
			[HS_FIN] = {HS_ANY, HS_REBUKE, HS_OPENING, HS_DROP, REASON_NONE, "likewise"},
			[HS_RST] = {HS_RST_OF_SYN, HS_REFUSED, HS_CLOSED, HS_DROP, REASON_bad_ack,
				"refused; only with the exact acknowledgement (RFC 9293, 3.10.7.3)"},
		},
	},
	[HS_OFFLOADED] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_CLIENT_ISN, HS_PASS, HS_OFFLOADED, HS_OPEN, REASON_NONE,
				"sent again, and late; another one is over the standing connection: nothing changes until the server takes it"},
			[HS_SYN_ACK] = DROP(bad_seq,
				"a client that has completed has none to send"),
			[HS_ACK] = PASS(HS_OFFLOADED, "was in the queue behind the third ACK"),
			[HS_ACK_OF_FIN] = PASS(HS_OFFLOADED, "likewise"),
			[HS_FIN] = PASS(HS_OFFLOADED, "likewise"),
			[HS_RST] = PASS(HS_OFFLOADED, "likewise; conntrack checks its number"),
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = DROP(bad_flags, "a server that has answered has no SYN to send"),
			[HS_SYN_ACK] = PASS(HS_OFFLOADED,
				"the third ACK was lost behind us: the server asks again"),
			[HS_ACK] = PASS(HS_OFFLOADED, "was in the queue behind the third ACK"),
			[HS_ACK_OF_FIN] = PASS(HS_OFFLOADED, "likewise"),
			[HS_FIN] = PASS(HS_OFFLOADED, "likewise"),
			[HS_RST] = PASS(HS_OFFLOADED, "likewise; conntrack checks its number"),
		},
	},
	[HS_ESTABLISHED] = {
		[HS_FROM_CLIENT] = {
			LIVE_CLIENT(HS_ESTABLISHED),
			[HS_ACK] = FOLLOWS(HS_ESTABLISHED, "data or an acknowledgement"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_ESTABLISHED,
				"of a FIN sent before the third ACK"),
			[HS_FIN] = FOLLOWS(HS_FIN_CLIENT, "the client closes"),
		},
		[HS_FROM_SERVER] = {
			LIVE_SERVER(HS_ESTABLISHED),
			[HS_ACK] = FOLLOWS(HS_ESTABLISHED, "data or an acknowledgement"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_ESTABLISHED, "data or an acknowledgement"),
			[HS_FIN] = FOLLOWS(HS_FIN_SERVER, "the server closes"),
		},
	},
	[HS_FIN_CLIENT] = {
		[HS_FROM_CLIENT] = {
			LIVE_CLIENT(HS_FIN_CLIENT),
			[HS_ACK] = FOLLOWS(HS_FIN_CLIENT,
				"acknowledges what the server still sends"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_FIN_CLIENT, "likewise"),
			[HS_FIN] = FOLLOWS(HS_FIN_CLIENT, "sent again"),
		},
		[HS_FROM_SERVER] = {
			LIVE_SERVER(HS_FIN_CLIENT),
			[HS_ACK] = FOLLOWS(HS_FIN_CLIENT, "data, the FIN not yet acknowledged"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_HALF_CLIENT,
				"half closed: the server may go on sending"),
			[HS_FIN] = FOLLOWS(HS_CLOSING, "both close at once"),
		},
	},
	[HS_FIN_SERVER] = {
		[HS_FROM_CLIENT] = {
			LIVE_CLIENT(HS_FIN_SERVER),
			[HS_ACK] = FOLLOWS(HS_FIN_SERVER, "data, the FIN not yet acknowledged"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_HALF_SERVER,
				"half closed: the client may go on sending"),
			[HS_FIN] = FOLLOWS(HS_CLOSING, "both close at once"),
		},
		[HS_FROM_SERVER] = {
			LIVE_SERVER(HS_FIN_SERVER),
			[HS_ACK] = FOLLOWS(HS_FIN_SERVER,
				"acknowledges what the client still sends"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_FIN_SERVER, "likewise"),
			[HS_FIN] = FOLLOWS(HS_FIN_SERVER, "sent again"),
		},
	},
	[HS_HALF_CLIENT] = {
		[HS_FROM_CLIENT] = {
			LIVE_CLIENT(HS_HALF_CLIENT),
			[HS_ACK] = FOLLOWS(HS_HALF_CLIENT,
				"acknowledges what the server still sends"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_HALF_CLIENT, "likewise"),
			[HS_FIN] = FOLLOWS(HS_HALF_CLIENT,
				"sent again: the acknowledgement was lost"),
		},
		[HS_FROM_SERVER] = {
			LIVE_SERVER(HS_HALF_CLIENT),
			[HS_ACK] = FOLLOWS(HS_HALF_CLIENT, "data"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_HALF_CLIENT, "data"),
			[HS_FIN] = FOLLOWS(HS_LAST_ACK_SERVER, "the server closes too"),
		},
	},
	[HS_HALF_SERVER] = {
		[HS_FROM_CLIENT] = {
			LIVE_CLIENT(HS_HALF_SERVER),
			[HS_ACK] = FOLLOWS(HS_HALF_SERVER, "data"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_HALF_SERVER, "data"),
			[HS_FIN] = FOLLOWS(HS_LAST_ACK_CLIENT, "the client closes too"),
		},
		[HS_FROM_SERVER] = {
			LIVE_SERVER(HS_HALF_SERVER),
			[HS_ACK] = FOLLOWS(HS_HALF_SERVER,
				"acknowledges what the client still sends"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_HALF_SERVER, "likewise"),
			[HS_FIN] = FOLLOWS(HS_HALF_SERVER,
				"sent again: the acknowledgement was lost"),
		},
	},
	[HS_CLOSING] = {
		[HS_FROM_CLIENT] = {
			LIVE_CLIENT(HS_CLOSING),
			[HS_ACK] = FOLLOWS(HS_CLOSING, "acknowledges something before the FIN"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_LAST_ACK_CLIENT,
				"the server's FIN is acknowledged"),
			[HS_FIN] = FOLLOWS(HS_CLOSING, "sent again"),
		},
		[HS_FROM_SERVER] = {
			LIVE_SERVER(HS_CLOSING),
			[HS_ACK] = FOLLOWS(HS_CLOSING, "acknowledges something before the FIN"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_LAST_ACK_SERVER,
				"the client's FIN is acknowledged"),
			[HS_FIN] = FOLLOWS(HS_CLOSING, "sent again"),
		},
	},
	[HS_LAST_ACK_CLIENT] = {
		[HS_FROM_CLIENT] = {
			LIVE_CLIENT(HS_LAST_ACK_CLIENT),
			[HS_ACK] = FOLLOWS(HS_LAST_ACK_CLIENT, "sent again"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_LAST_ACK_CLIENT, "sent again"),
			[HS_FIN] = FOLLOWS(HS_LAST_ACK_CLIENT, "sent again"),
		},
		[HS_FROM_SERVER] = {
			LIVE_SERVER(HS_LAST_ACK_CLIENT),
			[HS_ACK] = FOLLOWS(HS_LAST_ACK_CLIENT,
				"acknowledges something before the FIN"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_TIME_WAIT, "both FINs are acknowledged"),
			[HS_FIN] = FOLLOWS(HS_LAST_ACK_CLIENT,
				"sent again: the acknowledgement was lost"),
		},
	},
	[HS_LAST_ACK_SERVER] = {
		[HS_FROM_CLIENT] = {
			LIVE_CLIENT(HS_LAST_ACK_SERVER),
			[HS_ACK] = FOLLOWS(HS_LAST_ACK_SERVER,
				"acknowledges something before the FIN"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_TIME_WAIT, "both FINs are acknowledged"),
			[HS_FIN] = FOLLOWS(HS_LAST_ACK_SERVER,
				"sent again: the acknowledgement was lost"),
		},
		[HS_FROM_SERVER] = {
			LIVE_SERVER(HS_LAST_ACK_SERVER),
			[HS_ACK] = FOLLOWS(HS_LAST_ACK_SERVER, "sent again"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_LAST_ACK_SERVER, "sent again"),
			[HS_FIN] = FOLLOWS(HS_LAST_ACK_SERVER, "sent again"),
		},
	},
	[HS_TIME_WAIT] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_ANY, HS_OPEN, HS_SYN_SENT, HS_DROP, REASON_NONE,
				"the ports are used again (RFC 9293, 3.6.1; RFC 6191): the server decides"},
			[HS_SYN_ACK] = DROP(bad_seq, "the connection is over"),
			[HS_ACK] = FOLLOWS(HS_TIME_WAIT, "the last acknowledgement, again"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_TIME_WAIT, "the last acknowledgement, again"),
			[HS_FIN] = FOLLOWS(HS_TIME_WAIT, "sent again"),
			[HS_RST] = {HS_RST_IN_WINDOW, HS_PASS, HS_TIME_WAIT, HS_DROP, REASON_out_of_window,
				"changes nothing (RFC 1337)"},
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = DROP(bad_flags, "a server that has answered has no SYN to send"),
			[HS_SYN_ACK] = DROP(bad_seq, "the connection is over"),
			[HS_ACK] = FOLLOWS(HS_TIME_WAIT, "the last acknowledgement, again"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_TIME_WAIT, "the last acknowledgement, again"),
			[HS_FIN] = FOLLOWS(HS_TIME_WAIT,
				"sent again: the acknowledgement was lost"),
			[HS_RST] = {HS_RST_IN_WINDOW, HS_PASS, HS_TIME_WAIT, HS_DROP, REASON_out_of_window,
				"changes nothing (RFC 1337)"},
		},
	},
	[HS_RESET] = {
		[HS_FROM_CLIENT] = {
			[HS_SYN] = {HS_ANY, HS_OPEN, HS_SYN_SENT, HS_DROP, REASON_NONE,
				"begins anew"},
			[HS_SYN_ACK] = DROP(no_flow, "the connection was reset"),
			[HS_ACK] = FOLLOWS(HS_RESET,
				"challenges the RST if that did not fit (RFC 5961, 3), or was on its way already"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_RESET, "likewise"),
			[HS_FIN] = FOLLOWS(HS_RESET, "likewise"),
			[HS_RST] = PASS(HS_RESET, "the other end resets as well, or again"),
		},
		[HS_FROM_SERVER] = {
			[HS_SYN] = DROP(no_flow, "the connection was reset"),
			[HS_SYN_ACK] = DROP(no_flow, "the connection was reset"),
			[HS_ACK] = FOLLOWS(HS_RESET,
				"challenges the RST if that did not fit (RFC 5961, 3), or was on its way already"),
			[HS_ACK_OF_FIN] = FOLLOWS(HS_RESET, "likewise"),
			[HS_FIN] = FOLLOWS(HS_RESET, "likewise"),
			[HS_RST] = PASS(HS_RESET, "the other end resets as well, or again"),
		},
	},
};
/* clang-format on */

const struct hs_cell *hs_cell(enum hs_state state, enum hs_side side, enum hs_kind kind)
{
	return &table[state][side][kind];
}

static const struct {
	const char *word;
	const char *flow;
	const char *end[HS_SIDES];
} states[HS_STATES] = {
	[HS_CLOSED] = {"CLOSED", "none", {"CLOSED", "LISTEN"}},
	[HS_SYN_SENT] = {"SYN_SENT", "half-open", {"SYN_SENT", "LISTEN"}},
	[HS_SYN_CROSSED] = {"SYN_CROSSED", "half-open", {"SYN_SENT", "SYN_SENT"}},
	[HS_SYN_RCVD] = {"SYN_RCVD", "half-open", {"SYN_SENT", "SYN_RCVD"}},
	[HS_SYN_RENEWED] = {"SYN_RENEWED", "half-open", {"SYN_SENT", "SYN_RCVD"}},
	[HS_OPENING] = {"OPENING", "opening", {"ESTABLISHED", "LISTEN"}},
	[HS_OFFLOADED] = {"OFFLOADED", "admitted", {"ESTABLISHED", "ESTABLISHED"}},
	[HS_ESTABLISHED] = {"ESTABLISHED", "admitted", {"ESTABLISHED", "ESTABLISHED"}},
	[HS_FIN_CLIENT] = {"FIN_CLIENT", "closing", {"FIN_WAIT", "ESTABLISHED"}},
	[HS_FIN_SERVER] = {"FIN_SERVER", "closing", {"ESTABLISHED", "FIN_WAIT"}},
	[HS_HALF_CLIENT] = {"HALF_CLIENT", "closing", {"FIN_WAIT", "CLOSE_WAIT"}},
	[HS_HALF_SERVER] = {"HALF_SERVER", "closing", {"CLOSE_WAIT", "FIN_WAIT"}},
	[HS_CLOSING] = {"CLOSING", "closing", {"CLOSING", "CLOSING"}},
	[HS_LAST_ACK_CLIENT] = {"LAST_ACK_CLIENT", "closing", {"LAST_ACK", "TIME_WAIT"}},
	[HS_LAST_ACK_SERVER] = {"LAST_ACK_SERVER", "closing", {"TIME_WAIT", "LAST_ACK"}},
	[HS_TIME_WAIT] = {"TIME_WAIT", "closing", {"TIME_WAIT", "TIME_WAIT"}},
	[HS_RESET] = {"RESET", "closing", {"CLOSED", "CLOSED"}},
};

const char *hs_end_state(enum hs_state state, enum hs_side end)
{
	return states[state].end[end];
}

const char *hs_state_word(enum hs_state state)
{
	return states[state].word;
}

const char *hs_flow_word(enum hs_state state)
{
	return states[state].flow;
}

const char *hs_kind_word(enum hs_kind kind)
{
	static const char *const words[HS_KINDS] = {
		"SYN", "SYN-ACK", "ACK or data", "ACK of the other's FIN", "FIN", "RST"};

	return words[kind];
}

const char *hs_check_word(enum hs_check check)
{
	static const char *const words[HS_CHECKS] = {
		[HS_ANY] = "",
		[HS_CLIENT_ISN] = "seq = client's ISN",
		[HS_OTHER_ISN] = "seq is not the client's ISN",
		[HS_SERVER_ISN] = "seq = server's ISN",
		[HS_ACKS_SYN] = "ack = client's ISN + 1 (Fast Open: up to its data's end)",
		[HS_ACKS_BOTH_SYN] = "ack = client's ISN + 1, seq = server's ISN",
		[HS_ACKS_NEWER] = "ack = client's newer ISN + 1",
		[HS_CROSSED_ACK] = "ack = server's ISN + 1, seq = client's ISN, after crossed SYNs",
		[HS_COMPLETES] = "ack = server's ISN + 1, seq = client's next or a probe",
		[HS_RST_OF_SYN] = "ack = client's ISN + 1",
		[HS_RST_OF_OLD] =
			"seq = what the server's word about the older connection acknowledged",
		[HS_RST_OF_CLIENT] = "seq = client's next",
		[HS_RST_OF_SERVER] = "seq = server's next, or 0 with ack = client's ISN + 1",
		[HS_IN_WINDOW] = "in window",
		[HS_RST_IN_WINDOW] = "in window; ends the flow if at the receiver's next number",
		[HS_REOPENS] = "ack = ISN + 1 of a SYN that came on the live flow",
	};

	return words[check];
}

const char *hs_act_word(enum hs_act act)
{
	static const char *const words[HS_ACTS] = {
		[HS_DROP] = "drop",
		[HS_PASS] = "pass",
		[HS_OPEN] = "pass, a handshake begins",
		[HS_RESTART] = "pass, the handshake begins again",
		[HS_CHALLENGED] = "pass, remember ack",
		[HS_ANSWER] = "pass, remember seq",
		[HS_REANSWER] = "pass, remember both seqs",
		[HS_RENEW] = "pass, remember seq",
		[HS_ANSWER_NEWER] = "pass, the newer SYN counts",
		[HS_ANSWER_OLDER] = "pass, either SYN counts",
		[HS_FORGO] = "pass, the newer SYN counts",
		[HS_REOPEN] = "pass, the old connection is gone",
		[HS_NOTE_SYN] = "pass, remember seq",
		[HS_CROSS] = "pass, remember seq",
		[HS_ADMIT] = "admit",
		[HS_REFUSED] = "pass, failed: refused",
		[HS_CLIENT_RESET] = "pass, failed: client_reset",
		[HS_COOKIE] = "answer with a cookie",
		[HS_HOLD] = "drop: `not_established`",
		[HS_PROVE] = "test for a cookie",
		[HS_TRANSLATE] = "admit, the kernel translates",
		[HS_REBUKE] = "answer with RST, ask again",
	};

	return words[act];
}
