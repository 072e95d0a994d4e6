/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/reasons.h"

static const struct {
	const char *word;
	const char *meaning;
} reasons[REASON_COUNT] = {[REASON_NONE] = {"none", "let through"},
#define X(word, meaning) [REASON_##word] = {#word, meaning},
	REASON_LIST(X)
#undef X
};

static const struct {
	const char *word;
	const char *step;
	const char *meaning;
} causes[CAUSE_COUNT] = {[CAUSE_NONE] = {"none", "none", "did not fail"},
#define X(word, step, meaning) [CAUSE_##word] = {#word, step, meaning},
	CAUSE_LIST(X)
#undef X
};

const char *reason_word(enum reason r)
{
	return reasons[r].word;
}

const char *reason_meaning(enum reason r)
{
	return reasons[r].meaning;
}

const char *cause_word(enum cause c)
{
	return causes[c].word;
}

const char *cause_step(enum cause c)
{
	return causes[c].step;
}

const char *cause_meaning(enum cause c)
{
	return causes[c].meaning;
}
