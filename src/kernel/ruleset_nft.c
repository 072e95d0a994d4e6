/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nftables way: one table of ours for both families, changed in one transaction.
 *
 * A change flushes the table and fills it again. Base chains are never deleted but at the end:
 * deleting any of them makes the kernel drop every packet that waits in any queue of the network
 * namespace.
 */
#include "config.h"

#include "kernel/nft_render.h"
#include "kernel/nft_run.h"
#include "kernel/ruleset_way.h"

#include <stdlib.h>

#define TABLE "inet ackgate"

static void write_table(struct nft_render *w)
{
	static const char *const hooks[CHAIN_AT_HOOKS] = {
		[CHAIN_INPUT] = "input priority 50",
		[CHAIN_FORWARD] = "forward priority 50",
		[CHAIN_OUTPUT] = "output priority 50",
		[CHAIN_RAW_OUTPUT] = "output priority -300",
		[CHAIN_RAW_PREROUTING] = "prerouting priority -300",
		[CHAIN_EARLY_INPUT] = "input priority -150",
		[CHAIN_EARLY_FORWARD] = "forward priority -150",
	};

	fputs("table " TABLE " {\n", w->to);
	for (size_t i = 0; i < w->chains->count; i++)
		if (w->chains->list[i].used)
			nft_render_chain(
				w, &w->chains->list[i], i < CHAIN_AT_HOOKS ? hooks[i] : NULL);
	fputs("}\n", w->to);
}

static bool probe(struct ruleset_host *host, char *why, size_t why_size)
{
	static const char table[] = "add table " TABLE "_trial\n";
	static const char queue[] = "add table " TABLE "_trial\n"
				    "add chain " TABLE "_trial trial\n"
				    "add rule " TABLE "_trial trial queue num 0-1 bypass\n";
	bool forbidden;

	(void)host;
	if (nft_run_trial(queue, &forbidden))
		return true;
	if (forbidden)
		snprintf(why, why_size, "CAP_NET_ADMIN is needed to change the kernel's rules");
	else if (nft_run_trial(table, &forbidden))
		snprintf(why, why_size,
			"the kernel has no \"queue\" statement (module nft_queue, "
			"CONFIG_NFT_QUEUE)");
	else
		snprintf(why, why_size,
			"the kernel has no nf_tables for IPv4 and IPv6 (module nf_tables, "
			"CONFIG_NF_TABLES_INET)");
	return false;
}

/* False if it can't be read; *listed, to be freed, is NULL if there is no such table. */
static bool list(json_t **listed)
{
	json_t *tables;

	*listed = nft_run_list("list table " TABLE, NFT_RUN_JSON);
	if (*listed != NULL)
		return true;
	tables = nft_run_list("list tables", NFT_RUN_JSON);
	json_decref(tables);
	return tables != NULL;
}

static bool read_table(const struct ruleset_host *host, struct ruleset_found *out)
{
	json_t *there;
	bool ok = list(&there);

	(void)host;
	nft_run_read(there, out);
	json_decref(there);
	return ok;
}

static size_t count(json_t *listed)
{
	struct ruleset_found found;

	nft_run_read(listed, &found);
	return found.rules;
}

static bool is_disturbed(json_t *before)
{
	json_t *now;
	bool disturbed = list(&now) && count(now) != count(before);

	json_decref(now);
	return disturbed;
}

static long refill(const struct chains *chains, json_t *there, char *why, size_t why_size)
{
	char *text = NULL, *said = NULL;
	size_t size;
	char line[256];
	long rules = RULESET_REFUSED;
	struct nft_render w = {.to = open_memstream(&text, &size), .chains = chains};

	snprintf(why, why_size, "out of memory for the rules");
	if (w.to == NULL)
		return rules;
	nft_run_write_clearing(there, TABLE, w.to);
	write_table(&w);
	if (fclose(w.to) == 0 && !w.failed) {
		if (nft_run(text, NFT_RUN_PLAIN, &said)) {
			why[0] = '\0';
			rules = (long)w.rules;
		} else {
			ruleset_first_line(line, sizeof(line), said);
			snprintf(why, why_size, "nftables refused the rules: %s", line);
			if (is_disturbed(there))
				rules = RULESET_DISTURBED;
		}
	}
	free(text);
	free(said);
	return rules;
}

static long install(const struct ruleset_host *host, const struct chains *chains, long expected,
	char *why, size_t why_size)
{
	long rules = RULESET_REFUSED;
	json_t *there;

	(void)host;
	if (!list(&there)) {
		snprintf(why, why_size, "nftables did not show the rules that are there");
	} else if (expected != RULESET_ANY && expected != (long)count(there)) {
		snprintf(why, why_size, "somebody has taken our rules away");
		rules = RULESET_DISTURBED;
	} else {
		rules = refill(chains, there, why, why_size);
	}
	json_decref(there);
	return rules;
}

static bool remove_table(const struct ruleset_host *host, char *why, size_t why_size)
{
	(void)host;
	return nft_run_delete_table(TABLE, why, why_size);
}

static bool print(const struct chains *chains, FILE *to)
{
	struct nft_render w = {.to = to, .chains = chains};
	nft_run_write_clearing(NULL, TABLE, to);
	write_table(&w);
	return !w.failed;
}

const struct ruleset_way_ops ruleset_nft = {
	.name = "nftables",
	.probe = probe,
	.read = read_table,
	.install = install,
	.remove = remove_table,
	.print = print,
};
