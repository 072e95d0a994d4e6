/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/nft_run.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>

static nft_run_fn elsewhere;
static void *elsewhere_arg;

void nft_run_elsewhere(nft_run_fn run, void *arg)
{
	elsewhere = run;
	elsewhere_arg = arg;
}

bool nft_run(const char *command, enum nft_run_how how, char **said)
{
	return elsewhere != NULL ? elsewhere(elsewhere_arg, command, how, said)
				 : nft_run_here(command, how, said);
}

/* libnftables opens its socket when a context is made and ends the process if it can't, hence the
 * look before. */
bool nft_run_here(const char *command, enum nft_run_how how, char **said)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_NETFILTER);
	struct nft_ctx *nft = NULL;
	bool ok = false;

	*said = NULL;
	if (nl == NULL) {
		if (asprintf(said, "netlink: %s", strerror(errno)) < 0)
			*said = NULL;
		return false;
	}
	mnl_socket_close(nl);

	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (nft == NULL || nft_ctx_buffer_output(nft) != 0 || nft_ctx_buffer_error(nft) != 0)
		goto out;
	if (how == NFT_RUN_JSON)
		nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_TERSE);
	else if (how == NFT_RUN_JSON_ELEMENTS)
		nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON);
	nft_ctx_set_dry_run(nft, how == NFT_RUN_DRY);
	ok = nft_run_cmd_from_buffer(nft, command) == 0;
	*said = strdup(ok ? nft_ctx_get_output_buffer(nft) : nft_ctx_get_error_buffer(nft));
out:
	if (nft != NULL)
		nft_ctx_free(nft);
	return ok;
}

bool nft_run_trial(const char *rules, bool *forbidden)
{
	char *said;
	bool ok = nft_run(rules, NFT_RUN_DRY, &said);
	*forbidden = !ok && said != NULL && strstr(said, "not permitted") != NULL;
	free(said);
	return ok;
}

json_t *nft_run_list(const char *command, enum nft_run_how how)
{
	char *said;
	json_t *root = NULL;
	if (nft_run(command, how, &said) && said != NULL)
		root = json_loads(said, 0, NULL);
	free(said);
	return root;
}

static uint64_t counter_of(json_t *rule)
{
	size_t i;
	json_t *expr;
	json_array_foreach(json_object_get(rule, "expr"), i, expr)
	{
		json_t *counter = json_object_get(expr, "counter");
		if (counter != NULL)
			return (uint64_t)json_integer_value(json_object_get(counter, "packets"));
	}
	return 0;
}

void nft_run_read(json_t *root, struct ruleset_found *out)
{
	size_t i;
	json_t *item;

	*out = (struct ruleset_found){.anything = root != NULL};
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		json_t *rule = json_object_get(item, "rule");
		if (rule == NULL)
			continue;
		out->rules++;
		const char *comment = json_string_value(json_object_get(rule, "comment"));
		if (comment != NULL)
			chain_tally_add(&out->counts, comment, counter_of(rule));
	}
}

void nft_run_write_clearing(json_t *root, const char *table, FILE *to)
{
	json_t *items = json_object_get(root, "nftables"), *item;
	size_t i;

	fprintf(to, "add table %s\nflush table %s\n", table, table);
	/* Their verdicts may lead to chains. */
	json_array_foreach(items, i, item)
	{
		const char *map =
			json_string_value(json_object_get(json_object_get(item, "map"), "name"));
		if (map != NULL)
			fprintf(to, "flush map %s %s\n", table, map);
	}
	json_array_foreach(items, i, item)
	{
		json_t *chain = json_object_get(item, "chain");
		const char *name = json_string_value(json_object_get(chain, "name"));
		if (name != NULL && json_object_get(chain, "hook") == NULL)
			fprintf(to, "delete chain %s %s\n", table, name);
	}
}

bool nft_run_or_say(const char *command, const char *what, char *why, size_t why_size)
{
	char line[256];
	char *said;
	bool ok = nft_run(command, NFT_RUN_PLAIN, &said);

	if (!ok) {
		ruleset_first_line(line, sizeof(line), said);
		snprintf(why, why_size, "nftables %s: %s", what, line);
	}
	free(said);
	return ok;
}

bool nft_run_delete_table(const char *table, char *why, size_t why_size)
{
	char command[128];

	/* Added first, since deleting what is not there is an error. */
	snprintf(command, sizeof(command), "add table %s\ndelete table %s\n", table, table);
	return nft_run_or_say(command, "did not remove our table", why, why_size);
}
