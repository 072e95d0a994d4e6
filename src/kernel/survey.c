/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What on this host keeps the gate from judging, found by reading the rules of others: one sentence
 * for each kind. A best effort: rules may come later, and a mark may be written by what no rule
 * shows.
 */
#include "config.h"

#include "kernel/nft_run.h"
#include "kernel/ruleset_way.h"

#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

enum finding {
	FOUND_NOTRACK,
	FOUND_SYNPROXY,
	FOUND_MARK,
	FOUND_TPROXY_MARK,
	FOUND_ZONE,
	FOUND_STRAYS,
	FINDINGS
};

enum {
	PLACE = 160,
	SENTENCE = 400
};

struct survey {
	uint32_t mark;
	uint32_t tproxy_mark; /* of packets alone */
	unsigned count[FINDINGS];
	char first[FINDINGS][PLACE];
};

static void note(
	struct survey *s, enum finding f, const char *tool, const char *table, const char *chain)
{
	if (s->count[f]++ == 0)
		snprintf(s->first[f], PLACE, "%s table %s, chain %s", tool, table, chain);
}

/* What becomes of our bit when a mark is written. */
enum fate {
	BIT_KEPT,
	BIT_CLEARED,
	BIT_SET,
	BIT_UNKNOWN
};

/* A packet's bit may be cleared, it is read where it was written; a connection's must stay. */
static bool does_harm(enum fate fate, bool of_connection)
{
	return of_connection ? fate != BIT_KEPT : fate == BIT_SET || fate == BIT_UNKNOWN;
}

/* `kind`: "meta" or "ct", the mark that the expression is assigned to. */
static enum fate fate_by(json_t *value, const char *kind, uint32_t mark)
{
	static const char *const ops[] = {"|", "^", "&"};

	if (json_is_integer(value))
		return json_integer_value(value) & mark ? BIT_SET : BIT_CLEARED;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		json_t *operands = json_object_get(value, ops[i]);
		json_t *constant = json_array_get(operands, 1);
		if (operands == NULL)
			continue;
		if (!json_is_integer(constant))
			return BIT_UNKNOWN;
		bool one = json_integer_value(constant) & mark;
		if (one == (ops[i][0] == '&'))
			return fate_by(json_array_get(operands, 0), kind, mark);
		return ops[i][0] == '|' ? BIT_SET : ops[i][0] == '&' ? BIT_CLEARED : BIT_UNKNOWN;
	}
	const char *key = json_string_value(json_object_get(json_object_get(value, kind), "key"));
	return key != NULL && strcmp(key, "mark") == 0 ? BIT_KEPT : BIT_UNKNOWN;
}

static void look_at_mangle(struct survey *s, json_t *mangle, const char *table, const char *chain)
{
	json_t *key = json_object_get(mangle, "key");
	bool of_connection = json_object_get(key, "ct") != NULL;
	const char *kind = of_connection ? "ct" : "meta";
	const char *name = json_string_value(json_object_get(json_object_get(key, kind), "key"));

	if (name == NULL)
		return;
	if (of_connection && strcmp(name, "zone") == 0)
		note(s, FOUND_ZONE, "nftables", table, chain);
	if (strcmp(name, "mark") == 0 &&
		does_harm(fate_by(json_object_get(mangle, "value"), kind, s->mark), of_connection))
		note(s, FOUND_MARK, "nftables", table, chain);
	if (strcmp(name, "mark") == 0 && !of_connection && s->tproxy_mark != 0 &&
		does_harm(fate_by(json_object_get(mangle, "value"), kind, s->tproxy_mark), false))
		note(s, FOUND_TPROXY_MARK, "nftables", table, chain);
}

/* Base chains at prerouting, by the names that their rules give. */
static bool at_prerouting(json_t *root, json_t *rule)
{
	static const char *const keys[] = {"family", "table"};
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		json_t *chain = json_object_get(item, "chain");
		const char *hook = json_string_value(json_object_get(chain, "hook"));
		if (hook == NULL || strcmp(hook, "prerouting") != 0 ||
			!json_equal(json_object_get(chain, "name"), json_object_get(rule, "chain")))
			continue;
		bool same = true;
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			same &= json_equal(
				json_object_get(chain, keys[k]), json_object_get(rule, keys[k]));
		if (same)
			return true;
	}
	return false;
}

/* "invalid", ["invalid", "new"], or {"set": [...]} of such. */
static bool names_state(json_t *right, const char *state)
{
	size_t i;
	json_t *one;

	if (json_is_string(right))
		return strcmp(json_string_value(right), state) == 0;
	if (json_is_object(right))
		return names_state(json_object_get(right, "set"), state);
	json_array_foreach(right, i, one) if (names_state(one, state)) return true;
	return false;
}

static bool is_key(json_t *of, const char *kind, const char *name, const char *value)
{
	const char *key = json_string_value(json_object_get(json_object_get(of, kind), name));
	return key != NULL && strcmp(key, value) == 0;
}

/* INVALID, or NEW without being a SYN: an ACK that answers a cookie is either. */
static bool drops_strays(json_t *rule)
{
	bool invalid = false, new = false, flags = false, drop = false;
	size_t i;
	json_t *expr;

	json_array_foreach(json_object_get(rule, "expr"), i, expr)
	{
		json_t *match = json_object_get(expr, "match");
		json_t *left = json_object_get(match, "left");
		json_t *masked = json_array_get(json_object_get(left, "&"), 0);
		if (is_key(left, "ct", "key", "state")) {
			invalid |= names_state(json_object_get(match, "right"), "invalid");
			new |= names_state(json_object_get(match, "right"), "new");
		}
		flags |= is_key(left, "payload", "field", "flags") ||
			 is_key(masked, "payload", "field", "flags");
		drop |= json_object_get(expr, "drop") != NULL;
	}
	return drop && (invalid || (new &&flags));
}

static bool is_ours(const char *table, const char *chain)
{
	return strcmp(table, "ackgate") == 0 || strncmp(table, "ackgate_", 8) == 0 ||
	       strncmp(chain, "ACKGATE_", 8) == 0;
}

static void look_at_rule(struct survey *s, json_t *root, json_t *rule)
{
	const char *table = json_string_value(json_object_get(rule, "table"));
	const char *chain = json_string_value(json_object_get(rule, "chain"));
	size_t i;
	json_t *expr;

	if (table == NULL || chain == NULL || is_ours(table, chain))
		return;
	json_array_foreach(json_object_get(rule, "expr"), i, expr)
	{
		json_t *mangle = json_object_get(expr, "mangle");
		if (json_object_get(expr, "notrack") != NULL)
			note(s, FOUND_NOTRACK, "nftables", table, chain);
		if (json_object_get(expr, "synproxy") != NULL)
			note(s, FOUND_SYNPROXY, "nftables", table, chain);
		if (mangle != NULL)
			look_at_mangle(s, mangle, table, chain);
	}
	if (drops_strays(rule) && at_prerouting(root, rule))
		note(s, FOUND_STRAYS, "nftables", table, chain);
}

static void survey_nftables(struct survey *s)
{
	json_t *root = nft_run_list("list ruleset", NFT_RUN_JSON);
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		json_t *rule = json_object_get(item, "rule");
		if (rule != NULL)
			look_at_rule(s, root, rule);
	}
	json_decref(root);
}

/* A number that follows `option` in the rule, or all ones: what an option without its mask means.
 */
static uint32_t option_mask(const char *rule, const char *option)
{
	const char *at = strstr(rule, option);
	return at == NULL ? UINT32_MAX : (uint32_t)strtoul(at + strlen(option), NULL, 0);
}

/* Both targets set as (mark & ~mask) ^ value, and are shown so whatever option they were given. */
static enum fate fate_of_set(const char *rule, uint32_t mark)
{
	static const char set[] = "--set-xmark ";
	const char *at = strstr(rule, set);
	char *slash;

	if (at == NULL)
		return BIT_KEPT;
	uint32_t value = (uint32_t)strtoul(at + strlen(set), &slash, 0);
	uint32_t mask = *slash == '/' ? (uint32_t)strtoul(slash + 1, NULL, 0) : UINT32_MAX;
	if (mask & mark)
		return value & mark ? BIT_SET : BIT_CLEARED;
	return value & mark ? BIT_UNKNOWN : BIT_KEPT;
}

static bool rule_writes_bit(const char *rule, uint32_t mark)
{
	if (strstr(rule, " -j MARK ") != NULL)
		return does_harm(fate_of_set(rule, mark), false);
	if (strstr(rule, " -j CONNMARK ") == NULL)
		return false;
	if (strstr(rule, "--save-mark") != NULL || strstr(rule, "--restore-mark") != NULL)
		return (option_mask(rule, "--ctmask ") & option_mask(rule, "--nfmask ") & mark) !=
		       0;
	return does_harm(fate_of_set(rule, mark), true);
}

static bool rule_writes_packet_bit(const char *rule, uint32_t mark)
{
	if (strstr(rule, " -j CONNMARK ") != NULL && strstr(rule, "--restore-mark") == NULL)
		return false;
	return rule_writes_bit(rule, mark);
}

static bool line_drops_strays(const char *chain, const char *rule)
{
	static const char option[] = "--ctstate ";
	static const char not_syn[] = "! --tcp-flags FIN,SYN,RST,ACK SYN";
	const char *at = strstr(rule, option);
	char states[64] = "";

	if (at == NULL || strcmp(chain, "PREROUTING") != 0 || strstr(rule, " -j DROP") == NULL)
		return false;
	sscanf(at + strlen(option), "%63s", states);
	return strstr(states, "INVALID") != NULL ||
	       (strstr(states, "NEW") != NULL && strstr(rule, not_syn) != NULL);
}

static void look_at_line(struct survey *s, const char *tool, const char *table, const char *rule)
{
	char chain[64];

	if (sscanf(rule, "-A %63s", chain) != 1 || strncmp(chain, "ACKGATE_", 8) == 0)
		return;
	if (strstr(rule, " -j NOTRACK") != NULL || strstr(rule, " --notrack") != NULL)
		note(s, FOUND_NOTRACK, tool, table, chain);
	if (strstr(rule, " -j SYNPROXY") != NULL)
		note(s, FOUND_SYNPROXY, tool, table, chain);
	if (strstr(rule, " -j CT ") != NULL && strstr(rule, " --zone") != NULL)
		note(s, FOUND_ZONE, tool, table, chain);
	if (line_drops_strays(chain, rule))
		note(s, FOUND_STRAYS, tool, table, chain);
	if (rule_writes_bit(rule, s->mark))
		note(s, FOUND_MARK, tool, table, chain);
	if (s->tproxy_mark != 0 && rule_writes_packet_bit(rule, s->tproxy_mark))
		note(s, FOUND_TPROXY_MARK, tool, table, chain);
}

/* All tables in use; naming one would load it. */
static void survey_iptables(
	struct survey *s, const struct ruleset_host *host, const char *tool, const char *program)
{
	const char *const argv[] = {program, NULL};
	char table[32] = "";
	char *saved;

	if (ruleset_run_program(host, argv, NULL, &saved) == 0 && saved != NULL) {
		char *rest = saved;
		for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
			if (line[0] == '*')
				snprintf(table, sizeof(table), "%.31s", line + 1);
			else
				look_at_line(s, tool, table, line);
		}
	}
	free(saved);
}

static bool bridge_filtered(const char *file)
{
	FILE *f = fopen(file, "r");
	int c = f != NULL ? fgetc(f) : '0';
	if (f != NULL)
		fclose(f);
	return c == '1';
}

/* A bridge of one port has nothing to pass between ports. */
static bool bridge_has_ports(const char *name)
{
	char path[320];
	size_t ports = 0;
	snprintf(path, sizeof(path), "/sys/class/net/%s/brif", name);
	DIR *dir = opendir(path);
	if (dir == NULL)
		return false;
	for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
		ports += e->d_name[0] != '.';
	closedir(dir);
	return ports >= 2;
}

static void survey_bridges(void (*say)(void *arg, const char *sentence), void *arg)
{
	char sentence[SENTENCE];
	bool v4 = bridge_filtered("/proc/sys/net/bridge/bridge-nf-call-iptables");
	bool v6 = bridge_filtered("/proc/sys/net/bridge/bridge-nf-call-ip6tables");
	DIR *dir = v4 && v6 ? NULL : opendir("/sys/class/net");
	if (dir == NULL)
		return;
	for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
		if (e->d_name[0] == '.' || !bridge_has_ports(e->d_name))
			continue;
		snprintf(sentence, sizeof(sentence),
			"%s traffic between the ports of bridge %.15s never reaches the gate: "
			"net.bridge.bridge-nf-call-%s is not 1 (module br_netfilter)",
			v4 ? "IPv6" : "IPv4 and IPv6", e->d_name, v4 ? "ip6tables" : "iptables");
		say(arg, sentence);
		break;
	}
	closedir(dir);
}

void ruleset_survey(struct ruleset *r, uint32_t mark, uint32_t tproxy_mark,
	void (*say)(void *arg, const char *sentence), void *arg)
{
	static const char *const meaning[FINDINGS] = {
		[FOUND_NOTRACK] = "takes packets out of conntrack: the gate can't judge them",
		[FOUND_SYNPROXY] = "answers SYNs itself (SYNPROXY): the gate sees only the rest",
		[FOUND_MARK] =
			"writes the gate's bit of a mark: mask it, or change [netfilter] mark",
		[FOUND_TPROXY_MARK] = ("writes the bit that leads packets to transparent rules: "
				       "mask it, or change [netfilter] tproxy_mark"),
		[FOUND_ZONE] =
			"uses conntrack zones: the gate can't tell connections in them apart",
		[FOUND_STRAYS] =
			"drops answers to SYN cookies, since they are of no connection yet",
	};
	struct survey s = {.mark = mark, .tproxy_mark = tproxy_mark};
	char sentence[SENTENCE], more[32];

	survey_nftables(&s);
	survey_iptables(&s, ruleset_host(r), "iptables", "iptables-save");
	survey_iptables(&s, ruleset_host(r), "ip6tables", "ip6tables-save");
	for (size_t i = 0; i < FINDINGS; i++) {
		if (s.count[i] == 0)
			continue;
		more[0] = '\0';
		if (s.count[i] > 1)
			snprintf(more, sizeof(more), " (and %u more)", s.count[i] - 1);
		snprintf(sentence, sizeof(sentence), "a rule in %s%s %s", s.first[i], more,
			meaning[i]);
		say(arg, sentence);
	}
	survey_bridges(say, arg);
}
