/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What on this host keeps the gate from judging, found by reading the rules of others: one sentence
 * for each kind. A best effort: rules may come later, and a mark may be written by what no rule
 * shows.
 */
#include "config.h"

#include "kernel/ruleset_way.h"

#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

enum finding {
	FOUND_NOTRACK,
	FOUND_SYNPROXY,
	FOUND_MARK,
	FOUND_ZONE,
	FINDINGS
};

enum {
	PLACE = 160,
	SENTENCE = 400
};

struct survey {
	uint32_t mark;
	unsigned count[FINDINGS];
	char first[FINDINGS][PLACE];
};

static void note(
	struct survey *s, enum finding f, const char *tool, const char *table, const char *chain)
{
	if (s->count[f]++ == 0)
		snprintf(s->first[f], PLACE, "%s table %s, chain %s", tool, table, chain);
}

/* Whether an nftables expression, assigned to a mark, may change our bit: constants by what they
 * keep, all else may. */
static bool writes_bit(json_t *value, uint32_t mark)
{
	static const struct {
		const char *op;
		bool keeps_ones; /* else it keeps where the constant is zero */
	} ops[] = {{"|", false}, {"^", false}, {"&", true}};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		json_t *operands = json_object_get(value, ops[i].op);
		json_t *constant = json_array_get(operands, 1);
		if (operands == NULL)
			continue;
		if (!json_is_integer(constant))
			return true;
		uint32_t bits = (uint32_t)json_integer_value(constant);
		bool kept = ops[i].keeps_ones ? (bits & mark) != 0 : (bits & mark) == 0;
		return !kept || writes_bit(json_array_get(operands, 0), mark);
	}
	/* The mark itself, with what was done to it above. */
	const char *key = json_string_value(json_object_get(json_object_get(value, "meta"), "key"));
	const char *ct_key =
		json_string_value(json_object_get(json_object_get(value, "ct"), "key"));
	return (key == NULL || strcmp(key, "mark") != 0) &&
	       (ct_key == NULL || strcmp(ct_key, "mark") != 0);
}

/* A whole mark copied from the other kind of mark takes our bit along. */
static bool copies_mark(const char *written, json_t *value)
{
	const char *source = json_object_get(value, "meta") != NULL ? "meta"
			     : json_object_get(value, "ct") != NULL ? "ct"
								    : NULL;
	return source != NULL && strcmp(source, written) != 0;
}

static void look_at_mangle(struct survey *s, json_t *mangle, const char *table, const char *chain)
{
	json_t *key = json_object_get(mangle, "key");
	json_t *value = json_object_get(mangle, "value");
	const char *kind = json_object_get(key, "ct") != NULL ? "ct" : "meta";
	const char *name = json_string_value(json_object_get(json_object_get(key, kind), "key"));

	if (name == NULL)
		return;
	if (strcmp(name, "zone") == 0)
		note(s, FOUND_ZONE, "nftables", table, chain);
	if (strcmp(name, "mark") == 0 && (copies_mark(kind, value) || writes_bit(value, s->mark)))
		note(s, FOUND_MARK, "nftables", table, chain);
}

static void look_at_rule(struct survey *s, json_t *rule)
{
	const char *table = json_string_value(json_object_get(rule, "table"));
	const char *chain = json_string_value(json_object_get(rule, "chain"));
	size_t i;
	json_t *expr;

	if (table == NULL || chain == NULL || strcmp(table, "ackgate") == 0 ||
		strncmp(chain, "ACKGATE_", 8) == 0)
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
}

static void survey_nftables(struct survey *s)
{
	char *text = ruleset_nft_json("list ruleset");
	json_t *root = text != NULL ? json_loads(text, 0, NULL) : NULL;
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		json_t *rule = json_object_get(item, "rule");
		if (rule != NULL)
			look_at_rule(s, rule);
	}
	json_decref(root);
	free(text);
}

/* A number that follows `option` in the rule, or all ones: what an option without its mask means.
 */
static uint32_t option_mask(const char *rule, const char *option)
{
	const char *at = strstr(rule, option);
	return at == NULL ? UINT32_MAX : (uint32_t)strtoul(at + strlen(option), NULL, 0);
}

static bool rule_writes_bit(const char *rule, uint32_t mark)
{
	static const char set[] = "--set-xmark ";
	const char *at = strstr(rule, set);

	if (strstr(rule, " -j MARK ") == NULL && strstr(rule, " -j CONNMARK ") == NULL)
		return false;
	if (strstr(rule, "--save-mark") != NULL)
		return (option_mask(rule, "--ctmask ") & mark) != 0;
	if (strstr(rule, "--restore-mark") != NULL)
		return (option_mask(rule, "--nfmask ") & mark) != 0;
	if (at == NULL)
		return false;
	char *slash;
	uint32_t value = (uint32_t)strtoul(at + strlen(set), &slash, 0);
	uint32_t mask = *slash == '/' ? (uint32_t)strtoul(slash + 1, NULL, 0) : UINT32_MAX;
	return ((value | mask) & mark) != 0;
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
	if (rule_writes_bit(rule, s->mark))
		note(s, FOUND_MARK, tool, table, chain);
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

void ruleset_survey(
	struct ruleset *r, uint32_t mark, void (*say)(void *arg, const char *sentence), void *arg)
{
	static const char *const meaning[FINDINGS] = {
		[FOUND_NOTRACK] =
			"takes packets out of conntrack (notrack): the gate can't judge them",
		[FOUND_SYNPROXY] =
			"answers SYNs itself (SYNPROXY): the gate sees only what it lets through",
		[FOUND_MARK] =
			"writes the gate's bit of the mark: choose another bit in [netfilter] mark",
		[FOUND_ZONE] = "uses conntrack zones: the gate does not know connections in them",
	};
	struct survey s = {.mark = mark};
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
