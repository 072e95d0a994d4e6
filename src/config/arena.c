/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One block for each piece: a configuration has hundreds of them, and sanitizers see where each
 * ends. */
struct block {
	struct block *next;
	max_align_t bytes[];
};

struct arena {
	struct block *blocks;
};

struct arena *arena_new(void)
{
	return calloc(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	while (a->blocks != NULL) {
		struct block *b = a->blocks;

		a->blocks = b->next;
		free(b);
	}
	free(a);
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
	struct block *b;

	if (size != 0 && count > (SIZE_MAX - sizeof(*b)) / size)
		return NULL;
	b = calloc(1, sizeof(*b) + count * size);
	if (b == NULL)
		return NULL;
	b->next = a->blocks;
	a->blocks = b;
	return b->bytes;
}

char *arena_strdup(struct arena *a, const char *text)
{
	size_t len = strlen(text);
	char *copy = arena_alloc(a, len + 1, 1);

	if (copy != NULL)
		memcpy(copy, text, len);
	return copy;
}
