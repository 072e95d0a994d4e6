/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libnftables, one command or one transaction at a time, and what it says. */
#ifndef ACKGATE_KERNEL_NFT_RUN_H
#define ACKGATE_KERNEL_NFT_RUN_H

#include "kernel/ruleset_way.h"

#include <jansson.h>

enum nft_run_how {
	NFT_RUN_PLAIN,
	NFT_RUN_DRY,          /* the kernel looks at it, and none of it is ever in force */
	NFT_RUN_JSON,         /* without what is in sets, which may be huge */
	NFT_RUN_JSON_ELEMENTS /* with it */
};

/* True if the command succeeded. What it says goes to *said, to be freed; NULL without memory. */
bool nft_run(const char *command, enum nft_run_how how, char **said);
/*
 * Has all of that done by somebody else. libnftables waits for the kernel with select(), and so
 * ends a process that has 1,024 descriptors open when it comes to speak; it does so also without
 * memory.
 */
typedef bool (*nft_run_fn)(void *arg, const char *command, enum nft_run_how how, char **said);
void nft_run_elsewhere(nft_run_fn run, void *arg);
/* Right here, whoever was named. */
bool nft_run_here(const char *command, enum nft_run_how how, char **said);

/* False with a sentence in `why`: that nftables "refused it", or whatever `what` is, and its first
 * line. */
bool nft_run_or_say(const char *command, const char *what, char *why, size_t why_size);
/* A dry run; *forbidden: it failed for want of privilege. */
bool nft_run_trial(const char *rules, bool *forbidden);
/* "list ..." as JSON, to be freed; NULL if it fails. */
json_t *nft_run_list(const char *command, enum nft_run_how how);

/* Counts a listed table's rules, and what their comments tally. */
void nft_run_read(json_t *root, struct ruleset_found *out);
/* Writes what takes away of a listed table whatever its next filling is not to meet: all rules,
 * what is in maps, and the chains that are at no hook. `root` NULL: there is no such table yet. */
void nft_run_write_clearing(json_t *root, const char *table, FILE *to);

/* Deletes a table, be it there or not. False with a sentence in `why`. */
bool nft_run_delete_table(const char *table, char *why, size_t why_size);

#endif
