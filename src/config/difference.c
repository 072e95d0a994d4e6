/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/draft.h"
#include "config/options.h"

#include <string.h>

/* A row that needs a restart is stored in one piece without pointers, so it can be compared and
 * copied as bytes. */
void config_keep_restart_keys(const struct config *old, struct config *next,
	void (*each)(const char *section, const char *key, void *arg), void *arg)
{
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option *o = &option_rows[i];
		const char *from = (const char *)old + o->offset;
		char *to = (char *)next + o->offset;

		if (!o->restart || o->size == 0 || memcmp(from, to, o->size) == 0)
			continue;
		memcpy(to, from, o->size);
		each(section_rows[o->section].name, o->key, arg);
	}
	config_derive(next);
}
