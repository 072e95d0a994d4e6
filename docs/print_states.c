/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints the handshake's table as Markdown: what docs/states.md holds below its introduction. */
#include "core/engine_state.h"

#include <stdio.h>

/* The key of [timeouts] that a state falls under; NULL: no flow. */
static const char *timer_of(enum hs_state state)
{
	static const char *const keys[FLOW_LISTS] = {
		[FLOW_SYN_SENT] = "syn_sent",
		[FLOW_SYN_RCVD] = "syn_received",
		[FLOW_OPENING] = "syn_sent",
		[FLOW_ESTABLISHED] = "established",
		[FLOW_FIN_WAIT] = "fin_wait",
		[FLOW_CLOSE_WAIT] = "close_wait",
		[FLOW_LAST_ACK] = "last_ack",
		[FLOW_TIME_WAIT] = "time_wait",
		[FLOW_RESET] = "closed",
	};
	const struct flow f = {.hs = {.state = (uint8_t)state}};

	return state == HS_CLOSED ? NULL : keys[engine_list_of(&f)];
}

static void print_otherwise(const struct hs_cell *cell)
{
	if (cell->check == HS_ANY)
		printf("|");
	else if (cell->otherwise == HS_DROP)
		printf("drop: `%s` |", reason_word(cell->reason));
	else
		printf("%s |", hs_act_word(cell->otherwise));
}

/* In OPENING nothing is passed: the gate tells the other end itself. */
static const char *act_word(enum hs_state state, enum hs_act act)
{
	if (state == HS_OPENING && act == HS_REFUSED)
		return "answer the client with RST, failed: refused";
	if (state == HS_OPENING && act == HS_CLIENT_RESET)
		return "RST to the server, failed: client_reset";
	return hs_act_word(act);
}

static void print_cell(enum hs_state state, enum hs_side side, enum hs_kind kind)
{
	const struct hs_cell *cell = hs_cell(state, side, kind);

	printf("| %s | %s | %s%s", side == HS_FROM_CLIENT ? "client" : "server", hs_kind_word(kind),
		hs_check_word(cell->check), cell->check == HS_ANY ? "| " : " | ");
	if (cell->act == HS_DROP)
		printf("drop: `%s` | | ", reason_word(cell->reason));
	else
		printf("%s | %s | ", act_word(state, cell->act), hs_state_word(cell->next));
	print_otherwise(cell);
	printf(" %s |\n", cell->why);
}

static void print_state(enum hs_state state)
{
	const char *timer = timer_of(state);

	printf("\n## %s\n\nClient %s, server %s; the flow is %s", hs_state_word(state),
		hs_end_state(state, HS_FROM_CLIENT), hs_end_state(state, HS_FROM_SERVER),
		state == HS_CLOSED ? "not there" : hs_flow_word(state));
	if (timer)
		printf("; timer `%s`", timer);
	printf(".\n\n| from | segment | if | then | next state | otherwise | why |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (enum hs_side side = 0; side < HS_SIDES; side++)
		for (enum hs_kind kind = 0; kind < HS_KINDS; kind++)
			print_cell(state, side, kind);
}

int main(void)
{
	for (enum hs_state state = 0; state < HS_STATES; state++)
		print_state(state);
	return 0;
}
