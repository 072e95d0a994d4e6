/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lasting table as nftables text. */
#ifndef ACKGATE_KERNEL_LASTING_RENDER_H
#define ACKGATE_KERNEL_LASTING_RENDER_H

#include "core/policy.h"

#include <stdio.h>

#define LASTING_TABLE "inet ackgate_lasting"
/* The synproxy object, and what the chains of blocks begin with. */
#define LASTING_TRANSLATION "translation"
#define LASTING_BLOCKED     "blocked"

struct lasting_parts {
	bool translate;
	bool block;        /* the sets */
	bool guard;        /* the chains that look into them */
	bool object_there; /* the synproxy object; older kernels lose count of its hooks if it is
			      added again */
};

/* Writes the table with those parts. The number of its rules; -1 without memory. */
long lasting_render(
	FILE *to, const char *table, const struct policy *policy, struct lasting_parts parts);

#endif
