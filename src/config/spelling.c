/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/spelling.h"

#include <ctype.h>
#include <string.h>

enum {
	WORD_MAX = 32
};

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static int same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Letters to put in, take out, change, or swap with their neighbour to make one of the other. Both
 * fit in WORD_MAX. */
static unsigned spelling_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
				d[i - 1][j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n][m];
}

void spelling_consider(struct spelling *s, const char *candidate)
{
	unsigned distance;

	if (strlen(s->word) > WORD_MAX || strlen(candidate) > WORD_MAX)
		return;
	distance = spelling_distance(s->word, candidate);
	if (distance > 1 + strlen(candidate) / 4 || distance >= strlen(candidate))
		return;
	if (s->nearest != NULL && s->distance <= distance)
		return;
	s->nearest = candidate;
	s->distance = distance;
}
