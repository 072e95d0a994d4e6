/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that is given back all at once. */
#ifndef ACKGATE_CONFIG_ARENA_H
#define ACKGATE_CONFIG_ARENA_H

#include <stddef.h>

struct arena;

/* NULL without memory. */
struct arena *arena_new(void);
void arena_free(struct arena *a);

/* Zeroed room for `count` things of `size` bytes; NULL without memory. */
void *arena_alloc(struct arena *a, size_t count, size_t size);
char *arena_strdup(struct arena *a, const char *text);

#endif
