/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of ours in the kernel may outlive the daemon: an nftables table of its own, "inet
 * ackgate_lasting", whichever way the queues are fed. It holds what the kernel needs to translate
 * connections that began with a cookie (a synproxy object that nothing refers to, something that
 * keeps conntrack on for both families, the drop of INVALID segments of such services), and the
 * blocked sources, two sets with timeouts; the chains that look into them come with the first
 * block.
 */
#ifndef ACKGATE_KERNEL_LASTING_H
#define ACKGATE_KERNEL_LASTING_H

#include "kernel/ruleset.h"

struct lasting;

/* Finds out by trial what this kernel can. NULL without memory. */
struct lasting *lasting_open(void);
void lasting_close(struct lasting *l); /* what is in the kernel stays */

/* Sentences that say what is missing; NULL if nothing is. */
const char *lasting_cannot_translate(const struct lasting *l);
const char *lasting_cannot_block(const struct lasting *l);

/*
 * Puts in or changes what the policy needs, atomically: translation if `translate`, blocks if the
 * kernel can. Blocks that stand stay. -1 with a sentence in `why`; all is as it was then.
 */
int lasting_apply(
	struct lasting *l, const struct policy *policy, bool translate, char *why, size_t why_size);

/* Takes everything away, or all but what translation needs. */
int lasting_remove(struct lasting *l, bool keep_translation, char *why, size_t why_size);

/* Whether the table is there, by whichever process it was made. */
bool lasting_there(void);
/* Whether what was applied last is still all there. */
bool lasting_intact(struct lasting *l);
/* Adds to *counts what was dropped since this process first applied: those of replaced rules
 * included. */
void lasting_counts(struct lasting *l, struct ruleset_counts *counts);

/* Blocks all addresses from first to last for so many seconds, anew if they are blocked already.
 * -1 with a sentence in `why`. */
int lasting_block(struct lasting *l, const struct addr_range *range, uint32_t seconds, char *why,
	size_t why_size);
/* 0: it is not blocked any more; 1: it was not; -1 with a sentence in `why`. */
int lasting_unblock(struct lasting *l, const struct addr_range *range, char *why, size_t why_size);
/* Calls `each` for every block with the seconds that it still lasts. -1 if they can't be read. */
int lasting_blocks(struct lasting *l,
	void (*each)(void *arg, const struct addr_range *range, uint32_t left_s), void *arg);

/* Prints the table as `nft -f` takes it. */
int lasting_print(const struct policy *policy, bool translate, FILE *to);

#endif
