/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/lasting.h"

#include "kernel/lasting_blocks.h"
#include "kernel/lasting_render.h"
#include "kernel/nft_run.h"

#include <stdlib.h>

#define TRIAL LASTING_TABLE "_trial"

struct lasting {
	const char *cannot_translate; /* NULL: it can */
	const char *cannot_block;
	struct lasting_parts parts; /* since the last apply */
	long rules;                 /* -1: none was applied */
	char *guard;                /* the chains that come with the first block, by that policy */
	long guard_rules;
	struct ruleset_counts folded; /* of rules that others replaced */
	/* Of those that are there, when they were last read: somebody may take them away. */
	struct ruleset_counts seen;
};

static bool can(struct lasting_parts parts, bool *forbidden)
{
	const struct policy none = {0};
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	*forbidden = false;
	if (to == NULL)
		return false;
	bool ok = lasting_render(to, TRIAL, &none, parts) >= 0;
	ok = fclose(to) == 0 && ok && nft_run_trial(text, forbidden);
	free(text);
	return ok;
}

static void probe(struct lasting *l)
{
	static const char privilege[] = "CAP_NET_ADMIN is needed to change the kernel's rules";
	static const char tables[] =
		"the kernel has no nf_tables for IPv4 and IPv6 (module nf_tables, "
		"CONFIG_NF_TABLES_INET)";
	bool forbidden;

	if (!can((struct lasting_parts){0}, &forbidden)) {
		l->cannot_translate = l->cannot_block = forbidden ? privilege : tables;
		return;
	}
	if (!can((struct lasting_parts){.translate = true}, &forbidden))
		l->cannot_translate =
			"the kernel can't translate what begins with a SYN cookie: nf_tables has "
			"no synproxy or no conntrack (modules nft_synproxy and nft_ct, "
			"CONFIG_NFT_SYNPROXY and CONFIG_NFT_CT)";
	if (!can((struct lasting_parts){.block = true, .guard = true}, &forbidden))
		l->cannot_block = "the kernel can't block sources: nf_tables has no sets of "
				  "ranges with timeouts, or no conntrack (module nft_ct, "
				  "CONFIG_NFT_CT)";
}

struct lasting *lasting_open(void)
{
	struct lasting *l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->rules = -1;
	probe(l);
	return l;
}

void lasting_close(struct lasting *l)
{
	if (l == NULL)
		return;
	free(l->guard);
	free(l);
}

const char *lasting_cannot_translate(const struct lasting *l)
{
	return l->cannot_translate;
}

const char *lasting_cannot_block(const struct lasting *l)
{
	return l->cannot_block;
}

static json_t *list(void)
{
	return nft_run_list("list table " LASTING_TABLE, NFT_RUN_JSON);
}

/* Whether the listed table has an object of that kind and name. */
static bool has(json_t *root, const char *kind, const char *name)
{
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		const char *found =
			json_string_value(json_object_get(json_object_get(item, kind), "name"));
		if (found != NULL && strcmp(found, name) == 0)
			return true;
	}
	return false;
}

bool lasting_there(void)
{
	json_t *root = list();
	json_decref(root);
	return root != NULL;
}

/* False if nothing was applied, or nothing is there. */
static bool read_rules(struct lasting *l, json_t *root, struct ruleset_found *found)
{
	if (l->rules < 0 || root == NULL)
		return false;
	nft_run_read(root, found);
	chain_counts_raise(&l->seen, &found->counts);
	return true;
}

/* What was translated once goes on to be: connections may stand whatever the policy says now. And
 * once there were blocks, the chains that look for them stay: to delete one would cost the queues
 * their packets. */
static struct lasting_parts parts_for(const struct lasting *l, json_t *there, bool translate)
{
	bool object = has(there, "synproxy", LASTING_TRANSLATION);

	return (struct lasting_parts){
		.translate = l->cannot_translate == NULL && (translate || object),
		.block = l->cannot_block == NULL,
		.guard = l->cannot_block == NULL &&
			 (l->parts.guard || has(there, "chain", LASTING_BLOCKED)),
		.object_there = object,
	};
}

/* Keeps what the first block will need. False without memory. */
static bool prepare_guard(struct lasting *l, const struct policy *policy)
{
	const struct lasting_parts parts = {.guard = true};
	char *text = NULL;
	size_t size;
	long rules = -1;
	FILE *to = open_memstream(&text, &size);

	if (to != NULL) {
		rules = lasting_render(to, LASTING_TABLE, policy, parts);
		if (fclose(to) != 0)
			rules = -1;
	}
	if (rules < 0) {
		free(text);
		return false;
	}
	free(l->guard);
	l->guard = text;
	l->guard_rules = rules;
	return true;
}

static bool install_guard(struct lasting *l, char *why, size_t why_size)
{
	if (l->parts.guard || l->rules < 0)
		return true;
	if (!nft_run_or_say(l->guard, "refused the rules that a block needs", why, why_size))
		return false;
	l->parts.guard = true;
	l->rules += l->guard_rules;
	return true;
}

static long install(const struct policy *policy, json_t *there, struct lasting_parts parts,
	char *why, size_t why_size)
{
	char *text = NULL;
	size_t size;
	long rules = -1;
	FILE *to = open_memstream(&text, &size);

	if (to != NULL) {
		nft_run_write_clearing(there, LASTING_TABLE, to);
		rules = lasting_render(to, LASTING_TABLE, policy, parts);
		if (fclose(to) != 0)
			rules = -1;
	}
	if (rules < 0)
		snprintf(why, why_size, "out of memory for the rules");
	else if (!nft_run_or_say(text, "refused the lasting rules", why, why_size))
		rules = -1;
	free(text);
	return rules;
}

static bool apply(
	struct lasting *l, const struct policy *policy, bool translate, char *why, size_t why_size)
{
	struct ruleset_found before;
	json_t *there = list();
	struct lasting_parts parts = parts_for(l, there, translate);
	long rules = 0;

	read_rules(l, there, &before);
	if (parts.translate || parts.block)
		rules = install(policy, there, parts, why, why_size);
	json_decref(there);
	if (rules < 0)
		return false;
	l->rules = rules;
	l->parts = parts;
	chain_counts_add(&l->folded, &l->seen);
	l->seen = (struct ruleset_counts){0};
	return true;
}

int lasting_apply(
	struct lasting *l, const struct policy *policy, bool translate, char *why, size_t why_size)
{
	if (translate && l->cannot_translate != NULL) {
		snprintf(why, why_size, "%s", l->cannot_translate);
		return -1;
	}
	if (!prepare_guard(l, policy)) {
		snprintf(why, why_size, "out of memory for the rules");
		return -1;
	}
	/* Somebody may take the table away after we have looked. */
	if (!apply(l, policy, translate, why, why_size) &&
		!apply(l, policy, translate, why, why_size))
		return -1;
	return 0;
}

/* Sets can go once no rule names them, so the chains go first. */
static void write_removal_of_blocks(json_t *there, FILE *to)
{
	static const char *const chains[] = {LASTING_BLOCKED "_input", LASTING_BLOCKED "_forward",
		LASTING_BLOCKED, ("passing_" LASTING_BLOCKED)};
	static const char *const sets[] = {"block4", "block6"};
	enum {
		CHAINS = sizeof(chains) / sizeof(chains[0])
	};

	for (size_t i = 0; i < 2 * CHAINS; i++)
		if (has(there, "chain", chains[i % CHAINS]))
			fprintf(to, "%s chain " LASTING_TABLE " %s\n",
				i < CHAINS ? "flush" : "delete", chains[i % CHAINS]);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		if (has(there, "set", sets[i]))
			fprintf(to, "delete set " LASTING_TABLE " %s\n", sets[i]);
}

static bool remove_blocks(json_t *there, char *why, size_t why_size)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	bool ok = to != NULL;

	if (ok) {
		write_removal_of_blocks(there, to);
		ok = fclose(to) == 0;
	}
	if (!ok)
		snprintf(why, why_size, "out of memory");
	else
		ok = nft_run_or_say(text, "did not remove the blocks", why, why_size);
	free(text);
	return ok;
}

int lasting_remove(struct lasting *l, bool keep_translation, char *why, size_t why_size)
{
	json_t *there = list();
	struct ruleset_found before;
	bool ok = true;

	read_rules(l, there, &before);
	if (keep_translation && has(there, "synproxy", LASTING_TRANSLATION))
		ok = remove_blocks(there, why, why_size);
	else if (there != NULL)
		ok = nft_run_delete_table(LASTING_TABLE, why, why_size);
	json_decref(there);
	if (!ok)
		return -1;
	l->rules = -1;
	l->parts.guard = false;
	chain_counts_add(&l->folded, &l->seen);
	l->seen = (struct ruleset_counts){0};
	return 0;
}

bool lasting_intact(struct lasting *l)
{
	struct ruleset_found found;
	json_t *there;

	if (l->rules < 0 || (!l->parts.translate && !l->parts.block))
		return true;
	there = list();
	bool ok = read_rules(l, there, &found) && (long)found.rules == l->rules;
	if (l->parts.translate)
		ok &= has(there, "synproxy", LASTING_TRANSLATION);
	if (l->parts.block)
		ok &= has(there, "set", "block4") && has(there, "set", "block6");
	json_decref(there);
	return ok;
}

void lasting_counts(struct lasting *l, struct ruleset_counts *counts)
{
	struct ruleset_found found;
	json_t *there = l->rules < 0 ? NULL : list();

	read_rules(l, there, &found);
	json_decref(there);
	chain_counts_add(counts, &l->folded);
	chain_counts_add(counts, &l->seen);
}

int lasting_block(struct lasting *l, const struct addr_range *range, uint32_t seconds, char *why,
	size_t why_size)
{
	if (l->cannot_block != NULL) {
		snprintf(why, why_size, "%s", l->cannot_block);
		return -1;
	}
	if (!install_guard(l, why, why_size))
		return -1;
	return lasting_blocks_add(range, seconds, why, why_size);
}

int lasting_unblock(struct lasting *l, const struct addr_range *range, char *why, size_t why_size)
{
	return l->cannot_block != NULL ? 1 : lasting_blocks_delete(range, why, why_size);
}

int lasting_blocks(struct lasting *l,
	void (*each)(void *arg, const struct addr_range *range, uint32_t left_s), void *arg)
{
	return l->cannot_block != NULL ? 0 : lasting_blocks_list(each, arg);
}

int lasting_print(const struct policy *policy, bool translate, FILE *to)
{
	const struct lasting_parts parts = {.translate = translate, .block = true, .guard = true};

	fputs("# its chains named \"" LASTING_BLOCKED "\" come with the first block\n", to);
	nft_run_write_clearing(NULL, LASTING_TABLE, to);
	return lasting_render(to, LASTING_TABLE, policy, parts) < 0 ? -1 : 0;
}
