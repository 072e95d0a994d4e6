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
		[CHAIN_EARLY_INPUT] = "early_input",
		[CHAIN_EARLY_FORWARD] = "early_forward",
		[CHAIN_ADMIT] = "admit",
		[CHAIN_PASS] = "pass",
		[CHAIN_ICMP] = "icmp_errors",
		[CHAIN_REPLIES] = "replies",
		[CHAIN_REPLIES_OUTPUT] = "replies_output",
		[CHAIN_FULL_INPUT] = "full_input",
		[CHAIN_FULL_FORWARD] = "full_forward",
		[CHAIN_FULL_OUTPUT] = "full_output",
		[CHAIN_PROOFS] = "early_proofs",
		[CHAIN_PROOFS_FORWARD] = "early_passing",
		[CHAIN_SETTLED] = "settled",
		[CHAIN_INJECTED] = "raw_injected",
		[CHAIN_ASK] = "ask",
		[CHAIN_ASK_OPEN] = "ask_open",
		[CHAIN_ASK_SYN] = "ask_syn",
		[CHAIN_ASK_SYN_OPEN] = "ask_syn_open",
		[CHAIN_ASK_DNAT] = "ask_dnat",
		[CHAIN_ASK_DNAT_OPEN] = "ask_dnat_open",
		[CHAIN_ASK_SERVER] = "ask_server",
		[CHAIN_ASK_SERVER_OPEN] = "ask_server_open",
		[CHAIN_STRAYS] = "strays",
		[CHAIN_STRAYS_OPEN] = "strays_open",
		[CHAIN_STRAYS_SERVER] = "strays_server",
		[CHAIN_STRAYS_SERVER_OPEN] = "strays_server_open",
		[CHAIN_REFUSED] = "refused",
		[CHAIN_REFUSED_OPEN] = "refused_open",
	};
	static const char *const of_rule[CHAINS_OF_RULE] = {
		[CHAIN_OF_CLIENT] = "client",
		[CHAIN_OF_SERVER] = "server",
		[CHAIN_OF_PROOFS] = "proofs",
	};

	for (size_t i = 0; i < c->count; i++) {
		struct chain *chain = &c->list[i];
		if (i < CHAIN_OF_RULES) {
			snprintf(chain->name, sizeof(chain->name), "%s", fixed[i]);
			continue;
		}
		chain->rule = &c->plan->policy->rules[(i - CHAIN_OF_RULES) / CHAINS_OF_RULE];
		snprintf(chain->name, sizeof(chain->name), "rule%u_%s", (unsigned)chain->rule->slot,
			of_rule[(i - CHAIN_OF_RULES) % CHAINS_OF_RULE]);
	}
}

/* What a hook's chain leads to is used, and in that chain's place. */

static void mark_used(struct chains *c, size_t chain, enum chain_place place)
{
	struct chain *from = &c->list[chain];
	if (from->used)
		return;
	from->used = true;
	from->place = place;
	for (size_t i = 0; i < from->count; i++) {
		const struct chain_step *s = &from->steps[i];
		if (s->action == CHAIN_DO_GOTO || s->action == CHAIN_DO_JUMP)
			mark_used(c, s->target, place);
	}
}

struct chains *chains_new(const struct ruleset_plan *plan)
{
	static const enum chain_place places[CHAIN_AT_HOOKS] = {
		[CHAIN_RAW_OUTPUT] = CHAIN_PLACE_RAW,
		[CHAIN_RAW_PREROUTING] = CHAIN_PLACE_RAW,
		[CHAIN_EARLY_INPUT] = CHAIN_PLACE_EARLY,
		[CHAIN_EARLY_FORWARD] = CHAIN_PLACE_EARLY,
	};
	struct chains *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->plan = plan;
	c->count = CHAIN_OF_RULES + CHAINS_OF_RULE * plan->policy->rule_count;
	c->list = calloc(c->count, sizeof(*c->list));
	if (c->list == NULL)
		goto fail;
	name_chains(c);
	judgement_build(c);
	if (c->failed)
		goto fail;
	for (size_t i = 0; i < CHAIN_AT_HOOKS; i++)
		if (c->list[i].count > 0)
			mark_used(c, i, places[i]);
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

void chain_counts_add(struct ruleset_counts *to, const struct ruleset_counts *from)
{
	for (size_t i = 0; i < REASON_COUNT; i++) {
		to->drops[i] += from->drops[i];
		to->observed[i] += from->observed[i];
	}
	for (size_t i = 0; i < POLICY_RULES_MAX; i++)
		to->rule_drops[i] += from->rule_drops[i];
	to->untracked += from->untracked;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void chain_counts_raise(struct ruleset_counts *of, const struct ruleset_counts *read)
{
	for (size_t i = 0; i < REASON_COUNT; i++) {
		of->drops[i] = higher(of->drops[i], read->drops[i]);
		of->observed[i] = higher(of->observed[i], read->observed[i]);
	}
	for (size_t i = 0; i < POLICY_RULES_MAX; i++)
		of->rule_drops[i] = higher(of->rule_drops[i], read->rule_drops[i]);
	of->untracked = higher(of->untracked, read->untracked);
}
