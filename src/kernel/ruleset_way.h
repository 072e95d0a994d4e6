/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What nftables and iptables each provide to ruleset.c, which alone calls it. */
#ifndef ACKGATE_KERNEL_RULESET_WAY_H
#define ACKGATE_KERNEL_RULESET_WAY_H

#include "kernel/chains.h"

/* What of ours is in the kernel. */
struct ruleset_found {
	bool anything; /* be it empty */
	size_t rules;  /* those that lead to our chains included */
	struct ruleset_counts counts;
};

/* The means that a way works with, and what it remembers of them. */
struct ruleset_host {
	ruleset_exec exec;
	void *exec_arg;
	bool ipv6; /* by iptables: IPv6 has rules of its own */
};

enum {
	RULESET_REFUSED = -1,
	RULESET_DISTURBED = -2, /* others have changed what was there: worth another try */
	RULESET_ANY = -1,       /* rules may be there */
};

struct ruleset_way_ops {
	const char *name;
	/* False with a clause in `why` that names what is missing. */
	bool (*probe)(struct ruleset_host *host, char *why, size_t why_size);
	bool (*read)(const struct ruleset_host *host, struct ruleset_found *out);
	/* The number of rules that now are in the kernel; one of the above with a sentence in
	 * `why`, and as it was whatever could be left so or put back. `expected` rules are there
	 * now. */
	long (*install)(const struct ruleset_host *host, const struct chains *chains, long expected,
		char *why, size_t why_size);
	bool (*remove)(const struct ruleset_host *host, char *why, size_t why_size);
	/* False without memory. */
	bool (*print)(const struct chains *chains, FILE *to);
};

const struct ruleset_host *ruleset_host(const struct ruleset *r);

extern const struct ruleset_way_ops ruleset_nft;
extern const struct ruleset_way_ops ruleset_iptables;

/* The first line of what a program or library said that is worth telling, without its newline. */
void ruleset_first_line(char *out, size_t size, const char *said);

/* Runs a program of the iptables family; its exit status, -1 if there is none such. `*output` to be
 * freed, may be NULL. */
int ruleset_run_program(const struct ruleset_host *host, const char *const argv[],
	const char *input, char **output);

#endif
