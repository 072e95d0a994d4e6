/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/chains.h"

#include "kernel/judgement.h"

#include <stdlib.h>

enum {
	STEPS_AT_ONCE = 16
};

void chains_add(struct chains *c, size_t chain, struct chain_step step)
{
	struct chain *to = &c->list[chain];
	if (to->count % STEPS_AT_ONCE == 0) {
		size_t room = (to->count + STEPS_AT_ONCE) * sizeof(*to->steps);
		struct chain_step *grown = realloc(to->steps, room);
		if (grown == NULL) {
			c->failed = true;
			return;
		}
		to->steps = grown;
	}
	to->steps[to->count++] = step;
}

static void name_chains(struct chains *c)
{
	static const char *const fixed[CHAIN_OF_RULES] = {
		[CHAIN_INPUT] = "input",
		[CHAIN_FORWARD] = "forward",
		[CHAIN_OUTPUT] = "output",
		[CHAIN_RAW_OUTPUT] = "raw_output",
		[CHAIN_RAW_PREROUTING] = "raw_prerouting",
		[CHAIN_ADMIT] = "admit",
		[CHAIN_PASS] = "pass",
		[CHAIN_ICMP] = "icmp_errors",
		[CHAIN_REPLIES] = "replies",
		[CHAIN_FULL_INPUT] = "full_input",
		[CHAIN_FULL_FORWARD] = "full_forward",
		[CHAIN_FULL_OUTPUT] = "full_output",
		[CHAIN_ASK] = "ask",
		[CHAIN_ASK_OPEN] = "ask_open",
		[CHAIN_ASK_SYN] = "ask_syn",
		[CHAIN_ASK_SYN_OPEN] = "ask_syn_open",
		[CHAIN_ASK_SERVER] = "ask_server",
		[CHAIN_ASK_SERVER_OPEN] = "ask_server_open",
		[CHAIN_STRAYS] = "strays",
		[CHAIN_STRAYS_OPEN] = "strays_open",
		[CHAIN_STRAYS_SERVER] = "strays_server",
		[CHAIN_STRAYS_SERVER_OPEN] = "strays_server_open",
		[CHAIN_REFUSED] = "refused",
		[CHAIN_REFUSED_OPEN] = "refused_open",
	};

	for (size_t i = 0; i < c->count; i++) {
		struct chain *chain = &c->list[i];
		if (i < CHAIN_OF_RULES) {
			snprintf(chain->name, sizeof(chain->name), "%s", fixed[i]);
			continue;
		}
		chain->rule = &c->plan->policy->rules[(i - CHAIN_OF_RULES) / 2];
		snprintf(chain->name, sizeof(chain->name), "rule%u_%s", (unsigned)chain->rule->slot,
			(i - CHAIN_OF_RULES) % 2 == 0 ? "client" : "server");
	}
}

static void mark_used(struct chains *c, size_t chain)
{
	struct chain *from = &c->list[chain];
	if (from->used)
		return;
	from->used = true;
	for (size_t i = 0; i < from->count; i++) {
		const struct chain_step *s = &from->steps[i];
		if (s->action == CHAIN_DO_GOTO || s->action == CHAIN_DO_JUMP)
			mark_used(c, s->target);
	}
}

struct chains *chains_new(const struct ruleset_plan *plan)
{
	struct chains *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->plan = plan;
	c->count = CHAIN_OF_RULES + 2 * plan->policy->rule_count;
	c->list = calloc(c->count, sizeof(*c->list));
	if (c->list == NULL)
		goto fail;
	name_chains(c);
	judgement_build(c);
	if (c->failed)
		goto fail;
	for (size_t i = 0; i < CHAIN_AT_HOOKS; i++)
		mark_used(c, i);
	return c;

fail:
	chains_free(c);
	return NULL;
}

void chains_free(struct chains *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; c->list != NULL && i < c->count; i++)
		free(c->list[i].steps);
	free(c->list);
	free(c);
}

static const char *const tally_words[] = {
	[CHAIN_DROPS] = "drop",
	[CHAIN_OBSERVED] = "observed",
	[CHAIN_UNTRACKED_SEEN] = "untracked",
};

void chain_tally_print(char out[static CHAIN_TALLY_MAX], const struct chain_tally *t)
{
	if (t->kind == CHAIN_NOT_COUNTED)
		out[0] = '\0';
	else
		snprintf(out, CHAIN_TALLY_MAX, "ackgate:%s:%s:%u", tally_words[t->kind],
			reason_word(t->reason), (unsigned)t->slot);
}

void chain_tally_add(struct ruleset_counts *counts, const char *comment, uint64_t packets)
{
	char kind[16], word[32];
	unsigned slot;
	if (sscanf(comment, "ackgate:%15[^:]:%31[^:]:%u", kind, word, &slot) != 3)
		return;
	if (strcmp(kind, tally_words[CHAIN_UNTRACKED_SEEN]) == 0) {
		counts->untracked += packets;
		return;
	}

	enum reason reason = REASON_NONE;
	for (enum reason r = REASON_NONE; r < REASON_COUNT; r++)
		if (strcmp(word, reason_word(r)) == 0)
			reason = r;
	if (reason == REASON_NONE || slot >= POLICY_RULES_MAX)
		return;
	if (strcmp(kind, tally_words[CHAIN_OBSERVED]) == 0) {
		counts->observed[reason] += packets;
	} else if (strcmp(kind, tally_words[CHAIN_DROPS]) == 0) {
		counts->drops[reason] += packets;
		counts->rule_drops[slot] += packets;
	}
}
