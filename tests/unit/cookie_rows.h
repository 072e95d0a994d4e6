/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of connections that begin with a cookie. */
#ifndef ACKGATE_TESTS_COOKIE_ROWS_H
#define ACKGATE_TESTS_COOKIE_ROWS_H

#include "scenario.h"

/* What a Linux client says, and the server that gate_gives_cookies knows. */
#define ASKS    .mss = 1460, .wscale = 7, .sack = true, .tsval = 77
#define ANSWERS .mss = 1400, .wscale = 9, .sack = true, .tsval = 900
#define PROVES  .cookie = true, .lane = LANE_PROOFS, .tsval = 78

#define CHALLENGED TAKES(CLOSED), .effects = "syn_ack>client"
#define PROVEN     TAKES(OPENING), .effects = "delete syn>server"
#define TRANSLATED TAKES(OFFLOADED), .effects = "translate"

#define OPENS                                                                                      \
	{CLIENT, SYN, 0, 0, CHALLENGED, ASKS},                                                     \
	{                                                                                          \
		CLIENT, ACK, 1, 1, PROVEN, PROVES                                                  \
	}

#define REBUKES TAKES(OPENING), .effects = "rst>server syn>server"
#define BROKEN  TAKES(CLOSED), .effects = "relearned rst>server delete rst>client failed:limited"

#endif
