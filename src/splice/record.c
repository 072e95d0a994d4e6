/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "splice/record.h"

const char *splice_end_words(enum splice_end end)
{
	static const char *const words[SPLICE_END_COUNT] = {
#define SPLICE_END_WORDS(name, text) [SPLICE_END_##name] = text,
		SPLICE_ENDS(SPLICE_END_WORDS)
#undef SPLICE_END_WORDS
	};

	return words[end];
}

const char *splice_side_word(enum splice_side side)
{
	static const char *const words[] = {
		[SPLICE_CLIENT] = "client",
		[SPLICE_SERVER] = "server",
		[SPLICE_GATE] = "gate",
	};

	return words[side];
}

const char *splice_phase_word(enum splice_phase phase)
{
	static const char *const words[] = {
		[SPLICE_PROXY] = "proxy",
		[SPLICE_DATA] = "data",
		[SPLICE_WAIT] = "wait",
		[SPLICE_CONNECT] = "connect",
		[SPLICE_OPEN] = "open",
		[SPLICE_HALF] = "half-closed",
		[SPLICE_LINGER] = "linger",
	};

	return words[phase];
}
