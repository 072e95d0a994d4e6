/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nftables way: one table of ours for both families, changed in one transaction.
 *
 * A change flushes the table and fills it again. Base chains are never deleted but at the end:
 * deleting any of them makes the kernel drop every packet that waits in any queue of the network
 * namespace.
 */
#include "config.h"

#include "core/packet.h"
#include "kernel/ranges.h"
#include "kernel/ruleset_way.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <stdlib.h>

#define TABLE "inet ackgate"

struct writer {
	FILE *to;
	const struct chains *chains;
	size_t rules;
	bool failed; /* out of memory */
};

/* Which lines a step needs: one for both families, or one for each that its addresses name. */
struct selection {
	const char *family; /* "ip", "ip6"; NULL: both at once */
	struct addr_ranges from;
	struct addr_ranges to;
};

static void write_flags(FILE *to, uint8_t flags, const char *between)
{
	static const struct {
		uint8_t flag;
		const char *word;
	} words[] = {{TCP_FIN, "fin"}, {TCP_SYN, "syn"}, {TCP_RST, "rst"}, {TCP_ACK, "ack"}};
	const char *before = "";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(flags & words[i].flag))
			continue;
		fprintf(to, "%s%s", before, words[i].word);
		before = between;
	}
	if (flags == 0)
		fputs("0x0", to);
}

static void write_states(FILE *to, uint8_t states)
{
	static const char *const words[] = {
		"new", "established", "related", "invalid", "untracked"};
	const char *before = "ct state ";

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(states & (1u << i)))
			continue;
		fprintf(to, "%s%s", before, words[i]);
		before = ",";
	}
	if (states != 0)
		fputc(' ', to);
}

static void write_bit(FILE *to, const char *mark, enum chain_bit bit, uint32_t mask)
{
	if (bit != CHAIN_BIT_ANY)
		fprintf(to, "%s mark & 0x%08" PRIx32 " == 0x%08" PRIx32 " ", mark, mask,
			bit == CHAIN_BIT_SET ? mask : 0);
}

static void write_addrs(
	FILE *to, const char *family, const char *end, const struct addr_ranges *ranges)
{
	char text[RANGES_TEXT];
	if (ranges->count == 0)
		return;
	fprintf(to, "%s %s { ", family, end);
	for (size_t i = 0; i < ranges->count; i++) {
		addr_range_print(text, &ranges->list[i]);
		fprintf(to, "%s%s", i == 0 ? "" : ", ", text);
	}
	fputs(" } ", to);
}

static void write_ports(struct writer *w, const struct policy_rule *r, enum chain_side side)
{
	struct port_ranges ports;
	if (!port_ranges_pick(&ports, r->port, r->port_count)) {
		w->failed = true;
		return;
	}
	for (size_t i = 0; i < ports.count; i++) {
		const struct port_range *p = &ports.list[i];
		const char *before = side == CHAIN_CLIENT_SIDE ? "tcp dport { " : "tcp sport { ";
		fprintf(w->to, "%s%u", i == 0 ? before : ", ", p->first);
		if (p->last != p->first)
			fprintf(w->to, "-%u", p->last);
	}
	if (ports.count > 0)
		fputs(" } ", w->to);
	port_ranges_free(&ports);
}

static void write_rule_match(
	struct writer *w, const struct chain_match *m, const struct selection *s)
{
	bool client = m->side == CHAIN_CLIENT_SIDE;
	const struct policy_rule *r = m->rule;

	for (size_t i = 0; client && i < r->interface_count; i++)
		fprintf(w->to, "%s\"%s\"", i == 0 ? "iifname { " : ", ", r->interface[i]);
	if (client && r->interface_count > 0)
		fputs(" } ", w->to);
	if (s->family != NULL && s->from.count == 0 && s->to.count == 0)
		fprintf(w->to, "meta nfproto %s ", strcmp(s->family, "ip") == 0 ? "ipv4" : "ipv6");
	write_addrs(w->to, s->family, client ? "saddr" : "daddr", &s->from);
	write_addrs(w->to, s->family, client ? "daddr" : "saddr", &s->to);
	write_ports(w, r, m->side);
}

static void write_match(struct writer *w, const struct chain_match *m)
{
	static const char *const lo[] = {
		[CHAIN_LO_ANY] = "",
		[CHAIN_LO_IN] = "iifname \"lo\" ",
		[CHAIN_LO_OUT] = "oifname \"lo\" ",
		[CHAIN_LO_NOT_IN] = "iifname != \"lo\" ",
		[CHAIN_LO_NOT_OUT] = "oifname != \"lo\" ",
	};
	static const char *const direction[] = {
		[CHAIN_ANY_DIRECTION] = "",
		[CHAIN_ORIGINAL] = "ct direction original ",
		[CHAIN_REPLY] = "ct direction reply ",
	};
	uint32_t mark = w->chains->plan->mark;

	if (m->protocol == CHAIN_NOT_TCP)
		fputs("meta l4proto != tcp ", w->to);
	write_bit(w->to, "meta", m->packet_bit, mark);
	write_bit(w->to, "ct", m->connection_bit, mark);
	if (m->flags_of != 0) {
		fputs("tcp flags & (", w->to);
		write_flags(w->to, m->flags_of, " | ");
		fputs(") == ", w->to);
		write_flags(w->to, m->flags, " | ");
		fputc(' ', w->to);
	}
	write_states(w->to, m->states);
	fputs(direction[m->direction], w->to);
	fputs(lo[m->lo], w->to);
}

static void write_action(struct writer *w, const struct chain_step *s)
{
	uint32_t mark = w->chains->plan->mark;

	switch (s->action) {
	case CHAIN_DO_RETURN:
		fputs("return", w->to);
		break;
	case CHAIN_DO_DROP:
		fputs("drop", w->to);
		break;
	case CHAIN_DO_JUMP:
		fprintf(w->to, "jump %s", w->chains->list[s->target].name);
		break;
	case CHAIN_DO_GOTO:
		fprintf(w->to, "goto %s", w->chains->list[s->target].name);
		break;
	case CHAIN_DO_QUEUE:
		fprintf(w->to, "queue num %u", s->queue);
		if (s->queue_last != s->queue)
			fprintf(w->to, "-%u", s->queue_last);
		fputs(s->bypass ? " bypass" : "", w->to);
		break;
	case CHAIN_DO_NOTRACK:
		fputs("notrack", w->to);
		break;
	case CHAIN_DO_SET_PACKET_BIT:
		fprintf(w->to, "meta mark set meta mark | 0x%08" PRIx32, mark);
		break;
	case CHAIN_DO_CLEAR_PACKET_BIT:
		fprintf(w->to, "meta mark set meta mark & 0x%08" PRIx32, ~mark);
		break;
	case CHAIN_DO_SET_CONNECTION_BIT:
		fprintf(w->to, "ct mark set ct mark | 0x%08" PRIx32, mark);
		break;
	}
}

/* `protocol`: a match that holds for one of the families. */
static void write_line(struct writer *w, const struct chain_step *s, const char *protocol,
	const struct selection *selection)
{
	char tally[CHAIN_TALLY_MAX];
	chain_tally_print(tally, &s->tally);

	fprintf(w->to, "\t\t%s", protocol);
	write_match(w, &s->match);
	if (s->match.rule != NULL)
		write_rule_match(w, &s->match, selection);
	if (s->match.per_s != 0)
		fprintf(w->to, "limit rate %u/second burst %u packets ", s->match.per_s,
			s->match.per_s);
	if (tally[0] != '\0')
		fputs("counter ", w->to);
	write_action(w, s);
	if (tally[0] != '\0')
		fprintf(w->to, " comment \"%s\"", tally);
	fputc('\n', w->to);
	w->rules++;
}

static void write_rule_step(struct writer *w, const struct chain_step *s, enum ranges_family family)
{
	const struct policy_rule *r = s->match.rule;
	struct selection sel = {.family = family == RANGES_IPV4 ? "ip" : "ip6"};

	if (!addr_ranges_pick(&sel.from, r->from, r->from_count, family) ||
		!addr_ranges_pick(&sel.to, r->to, r->to_count, family))
		w->failed = true;
	else if ((sel.from.any || sel.from.count > 0) && (sel.to.any || sel.to.count > 0))
		write_line(w, s, "", &sel);
	addr_ranges_free(&sel.from);
	addr_ranges_free(&sel.to);
}

static void write_step(struct writer *w, const struct chain_step *s)
{
	const struct policy_rule *r = s->match.rule;

	if (s->match.protocol == CHAIN_UNREACHABLE) {
		write_line(
			w, s, "icmp type destination-unreachable ct original protocol tcp ", NULL);
		write_line(w, s, "icmpv6 type destination-unreachable ct original protocol tcp ",
			NULL);
	} else if (r != NULL && (r->from_count > 0 || r->to_count > 0)) {
		write_rule_step(w, s, RANGES_IPV4);
		write_rule_step(w, s, RANGES_IPV6);
	} else {
		const struct selection both = {.family = NULL};
		write_line(w, s, "", &both);
	}
}

static void write_chain(struct writer *w, const struct chain *chain, const char *hook)
{
	if (chain->rule != NULL)
		fprintf(w->to, "\t# rule %s\n", chain->rule->name);
	fprintf(w->to, "\tchain %s {\n", chain->name);
	if (hook != NULL)
		fprintf(w->to, "\t\ttype filter hook %s; policy accept;\n", hook);
	for (size_t i = 0; i < chain->count; i++)
		write_step(w, &chain->steps[i]);
	fputs("\t}\n", w->to);
}

static void write_table(struct writer *w)
{
	static const char *const hooks[CHAIN_AT_HOOKS] = {
		[CHAIN_INPUT] = "input priority 50",
		[CHAIN_FORWARD] = "forward priority 50",
		[CHAIN_OUTPUT] = "output priority 50",
		[CHAIN_RAW_OUTPUT] = "output priority -300",
		[CHAIN_RAW_PREROUTING] = "prerouting priority -300",
	};

	fputs("table " TABLE " {\n", w->to);
	for (size_t i = 0; i < w->chains->count; i++)
		if (w->chains->list[i].used)
			write_chain(w, &w->chains->list[i], i < CHAIN_AT_HOOKS ? hooks[i] : NULL);
	fputs("}\n", w->to);
}

/*
 * libnftables opens its socket when a context is made and ends the process if it can't, hence the
 * look before. What it says goes to *said, to be freed. True if the command succeeded.
 */
static bool run_nft(const char *command, bool json, bool dry_run, char **said)
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
	if (json) /* terse: without what is in sets, which may be huge */
		nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_TERSE);
	nft_ctx_set_dry_run(nft, dry_run);
	ok = nft_run_cmd_from_buffer(nft, command) == 0;
	*said = strdup(ok ? nft_ctx_get_output_buffer(nft) : nft_ctx_get_error_buffer(nft));
out:
	if (nft != NULL)
		nft_ctx_free(nft);
	return ok;
}

char *ruleset_nft_json(const char *command)
{
	char *said;
	if (run_nft(command, true, false, &said))
		return said;
	free(said);
	return NULL;
}

/* A dry run: the kernel looks at the rules with all that they need, and none is ever in force. */
static bool try_rules(const char *rules, bool *forbidden)
{
	char *said;
	bool ok = run_nft(rules, false, true, &said);
	*forbidden = !ok && said != NULL && strstr(said, "not permitted") != NULL;
	free(said);
	return ok;
}

static bool probe(struct ruleset_host *host, char *why, size_t why_size)
{
	static const char table[] = "add table " TABLE "_trial\n";
	static const char queue[] = "add table " TABLE "_trial\n"
				    "add chain " TABLE "_trial trial\n"
				    "add rule " TABLE "_trial trial queue num 0-1 bypass\n";
	bool forbidden;

	(void)host;
	if (try_rules(queue, &forbidden))
		return true;
	if (forbidden)
		snprintf(why, why_size, "CAP_NET_ADMIN is needed to change the kernel's rules");
	else if (try_rules(table, &forbidden))
		snprintf(why, why_size,
			"the kernel has no \"queue\" statement (module nft_queue, "
			"CONFIG_NFT_QUEUE)");
	else
		snprintf(why, why_size,
			"the kernel has no nf_tables for IPv4 and IPv6 (module nf_tables, "
			"CONFIG_NF_TABLES_INET)");
	return false;
}

static json_t *list_table(void)
{
	char *text = ruleset_nft_json("list table " TABLE);
	if (text == NULL)
		return NULL;
	json_t *root = json_loads(text, 0, NULL);
	free(text);
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

static bool read_table(const struct ruleset_host *host, struct ruleset_found *out)
{
	json_t *root = list_table();
	size_t i;
	json_t *item;

	(void)host;
	*out = (struct ruleset_found){.anything = root != NULL};
	if (root == NULL)
		return false;
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
	json_decref(root);
	return true;
}

static const char emptied_table[] = "add table " TABLE "\nflush table " TABLE "\n";

/* What of an earlier filling has to go: all rules, and the chains that are at no hook. */
static void write_clearing(FILE *to)
{
	json_t *root = list_table();
	size_t i;
	json_t *item;

	fputs(emptied_table, to);
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		json_t *chain = json_object_get(item, "chain");
		const char *name = json_string_value(json_object_get(chain, "name"));
		if (name != NULL && json_object_get(chain, "hook") == NULL)
			fprintf(to, "delete chain " TABLE " %s\n", name);
	}
	json_decref(root);
}

static long install(
	const struct ruleset_host *host, const struct chains *chains, char *why, size_t why_size)
{
	char *text = NULL, *said = NULL;
	size_t size;
	long rules = -1;
	struct writer w = {.to = open_memstream(&text, &size), .chains = chains};

	(void)host;
	if (w.to == NULL)
		goto memory;
	write_clearing(w.to);
	write_table(&w);
	if (fclose(w.to) != 0 || w.failed)
		goto memory;
	if (run_nft(text, false, false, &said)) {
		rules = (long)w.rules;
	} else {
		char line[256];
		ruleset_first_line(line, sizeof(line), said);
		snprintf(why, why_size, "nftables refused the rules: %s", line);
	}
	goto out;
memory:
	snprintf(why, why_size, "out of memory for the rules");
out:
	free(text);
	free(said);
	return rules;
}

static bool remove_table(const struct ruleset_host *host, char *why, size_t why_size)
{
	char *said;
	char line[256];
	/* Added first, since deleting what is not there is an error. */
	bool ok = run_nft("add table " TABLE "\ndelete table " TABLE "\n", false, false, &said);

	(void)host;
	if (!ok) {
		ruleset_first_line(line, sizeof(line), said);
		snprintf(why, why_size, "nftables did not remove our table: %s", line);
	}
	free(said);
	return ok;
}

static bool print(const struct chains *chains, FILE *to)
{
	struct writer w = {.to = to, .chains = chains};
	fputs(emptied_table, to);
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
