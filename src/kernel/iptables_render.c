/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A step becomes one line, but for a rule with lists: iptables has no sets, so each list is a
 * number of alternatives. One list becomes one line for each. Several lists become chains, one for
 * each list: the first list's lines go to the second's chain and so on, and from each of these what
 * does not match goes on to the rest of the chain it left, which for that reason becomes a chain of
 * its own. All by goto, so that "return" leaves our chains wherever it stands.
 */
#include "config.h"

#include "core/packet.h"
#include "kernel/iptables_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
	CHAIN_NAME = CHAIN_NAME_SIZE + 8,
	MULTIPORT_PORTS = 15, /* xt_multiport's; a range takes two */
};

enum list {
	LIST_INTERFACE,
	LIST_FROM,
	LIST_TO,
	LIST_PORT,
	LIST_LISTEN,
	LISTS
};

struct writer {
	FILE *to;
	struct iptables_text *out;
	const struct chains *chains;
	enum ranges_family family;
	bool with_names;
	char base[CHAIN_NAME];    /* the chain as the plan has it */
	char current[CHAIN_NAME]; /* where lines go now */
	unsigned made;            /* chains made of this one */
	bool failed;
};

static void chain_name(char out[static CHAIN_NAME], const char *name)
{
	snprintf(out, CHAIN_NAME, "ACKGATE_%s", name);
	for (char *c = out; *c != '\0'; c++)
		*c = (char)toupper((unsigned char)*c);
}

static void make_chain(struct writer *w, char out[static CHAIN_NAME])
{
	if (snprintf(out, CHAIN_NAME, "%s_%u", w->base, ++w->made) >= CHAIN_NAME)
		w->failed = true;
	words_add(&w->out->chains, "%s", out);
}

static void write_flags(FILE *to, uint8_t flags)
{
	static const struct {
		uint8_t flag;
		const char *word;
	} words[] = {{TCP_FIN, "FIN"}, {TCP_SYN, "SYN"}, {TCP_RST, "RST"}, {TCP_ACK, "ACK"}};
	const char *before = " ";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(flags & words[i].flag))
			continue;
		fprintf(to, "%s%s", before, words[i].word);
		before = ",";
	}
	if (flags == 0)
		fputs(" NONE", to);
}

static void write_conntrack(FILE *to, const struct chain_match *m)
{
	static const char *const words[] = {
		"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"};
	const char *before = " --ctstate ";
	bool of_tcp = m->protocol == CHAIN_UNREACHABLE;

	if (m->states == 0 && m->direction == CHAIN_ANY_DIRECTION && !of_tcp)
		return;
	fputs(" -m conntrack", to);
	if (of_tcp)
		fputs(" --ctproto tcp", to);
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(m->states & (1u << i)))
			continue;
		fprintf(to, "%s%s", before, words[i]);
		before = ",";
	}
	if (m->direction != CHAIN_ANY_DIRECTION)
		fprintf(to, " --ctdir %s", m->direction == CHAIN_REPLY ? "REPLY" : "ORIGINAL");
}

/* A match of its own: with other states it would be one of them. */
static void write_dnat(FILE *to, const struct chain_match *m)
{
	const struct ruleset_route *route = m->route;
	char text[RANGES_TEXT];

	if (m->dnat || route != NULL)
		fputs(" -m conntrack --ctstate DNAT", to);
	if (route == NULL)
		return;
	addr_range_print(text, &(struct addr_range){route->public_addr, route->public_addr});
	fprintf(to, " --ctorigdst %s --ctorigdstport %u", text, route->public_port);
	addr_range_print(text, &(struct addr_range){route->server, route->server});
	fprintf(to, " -d %s -m tcp --dport %u", text, route->port);
}

static void write_bit(FILE *to, const char *match, enum chain_bit bit, uint32_t mask)
{
	if (bit != CHAIN_BIT_ANY)
		fprintf(to, " -m %s --mark 0x%" PRIx32 "/0x%" PRIx32, match,
			bit == CHAIN_BIT_SET ? mask : 0, mask);
}

static void write_protocol(struct writer *w, const struct chain_match *m)
{
	switch (m->protocol) {
	case CHAIN_ANY_PROTOCOL:
		if (m->flags_of != 0 || m->rule != NULL || m->route != NULL)
			fputs(" -p tcp", w->to);
		break;
	case CHAIN_TCP:
		fputs(" -p tcp", w->to);
		break;
	case CHAIN_NOT_TCP:
		fputs(" ! -p tcp", w->to);
		break;
	case CHAIN_UNREACHABLE:
		fputs(w->family == RANGES_IPV4 ? " -p icmp -m icmp --icmp-type 3"
					       : " -p ipv6-icmp -m icmp6 --icmpv6-type 1",
			w->to);
		break;
	case CHAIN_TOO_BIG:
		fputs(w->family == RANGES_IPV4 ? " -p icmp -m icmp --icmp-type 3/4"
					       : " -p ipv6-icmp -m icmp6 --icmpv6-type 2",
			w->to);
		break;
	}
}

static void write_match(struct writer *w, const struct chain_match *m)
{
	static const char *const lo[] = {
		[CHAIN_LO_ANY] = "",
		[CHAIN_LO_IN] = " -i lo",
		[CHAIN_LO_OUT] = " -o lo",
		[CHAIN_LO_NOT_IN] = " ! -i lo",
		[CHAIN_LO_NOT_OUT] = " ! -o lo",
	};
	uint32_t mark = w->chains->plan->mark;

	write_protocol(w, m);
	fputs(lo[m->lo], w->to);
	write_bit(w->to, "mark", m->packet_bit, mark);
	write_bit(w->to, "connmark", m->connection_bit, mark);
	if (m->flags_of != 0) {
		fputs(" -m tcp --tcp-flags", w->to);
		write_flags(w->to, m->flags_of);
		write_flags(w->to, m->flags);
	}
	write_conntrack(w->to, m);
	write_dnat(w->to, m);
	if (m->per_s != 0)
		fprintf(w->to, " -m limit --limit %u/second --limit-burst %u", m->per_s, m->per_s);
}

static void write_action(struct writer *w, const struct chain_step *s)
{
	uint32_t mark = w->chains->plan->mark;
	char target[CHAIN_NAME] = "";

	if (s->action == CHAIN_DO_JUMP || s->action == CHAIN_DO_GOTO)
		chain_name(target, w->chains->list[s->target].name);
	switch (s->action) {
	case CHAIN_DO_RETURN:
		fputs(" -j RETURN", w->to);
		break;
	case CHAIN_DO_DROP:
		fputs(" -j DROP", w->to);
		break;
	case CHAIN_DO_JUMP:
		fprintf(w->to, " -j %s", target);
		break;
	case CHAIN_DO_GOTO:
		fprintf(w->to, " -g %s", target);
		break;
	case CHAIN_DO_QUEUE:
		if (s->queue_last == s->queue)
			fprintf(w->to, " -j NFQUEUE --queue-num %u", s->queue);
		else
			fprintf(w->to, " -j NFQUEUE --queue-balance %u:%u", s->queue,
				s->queue_last);
		fputs(s->bypass ? " --queue-bypass" : "", w->to);
		break;
	case CHAIN_DO_NOTRACK:
		fputs(" -j CT --notrack", w->to);
		break;
	case CHAIN_DO_SET_PACKET_BIT:
		fprintf(w->to, " -j MARK --set-xmark 0x%" PRIx32 "/0x%" PRIx32, mark, mark);
		break;
	case CHAIN_DO_CLEAR_PACKET_BIT:
		fprintf(w->to, " -j MARK --set-xmark 0x0/0x%" PRIx32, mark);
		break;
	case CHAIN_DO_SET_CONNECTION_BIT:
		fprintf(w->to, " -j CONNMARK --set-xmark 0x%" PRIx32 "/0x%" PRIx32, mark, mark);
		break;
	}
}

static void begin_line(struct writer *w, const char *chain)
{
	fprintf(w->to, "-A %s", chain);
	w->out->rule_count++;
}

static void write_last(struct writer *w, const struct chain_step *s)
{
	char tally[CHAIN_TALLY_MAX];
	chain_tally_print(tally, &s->tally);
	if (tally[0] != '\0')
		fprintf(w->to, " -m comment --comment \"%s\"", tally);
	write_action(w, s);
	fputc('\n', w->to);
}

static void write_goto(struct writer *w, const char *chain, const char *target)
{
	begin_line(w, chain);
	fprintf(w->to, " -g %s\n", target);
}

/* False if none of the list can match in this family. */
static bool addr_alternatives(struct writer *w, struct words *out, bool source,
	const struct addr_range *ranges, size_t count)
{
	struct addr_ranges picked;
	char text[RANGES_TEXT];
	if (!addr_ranges_pick(&picked, ranges, count, w->family))
		w->failed = true;
	for (size_t i = 0; i < picked.count; i++) {
		if (addr_range_print(text, &picked.list[i]))
			words_add(out, " -m iprange --%s-range %s", source ? "src" : "dst", text);
		else
			words_add(out, " -%c %s", source ? 's' : 'd', text);
	}
	bool possible = picked.any || picked.count > 0;
	addr_ranges_free(&picked);
	return possible;
}

/* As many ports as fit, from `*next` on: "80,443,8000:8080". Returns whether it is one port or one
 * range alone. */
static bool port_chunk(char *out, size_t size, const struct port_ranges *ports, size_t *next)
{
	size_t first = *next, len = 0;
	unsigned room = MULTIPORT_PORTS;

	while (*next < ports->count) {
		const struct port_range *p = &ports->list[*next];
		unsigned takes = p->first == p->last ? 1 : 2;
		if (takes > room)
			break;
		room -= takes;
		len += (size_t)snprintf(
			out + len, size - len, "%s%u", len == 0 ? "" : ",", p->first);
		if (takes == 2)
			len += (size_t)snprintf(out + len, size - len, ":%u", p->last);
		(*next)++;
	}
	return *next - first == 1;
}

static void port_alternatives(
	struct writer *w, struct words *out, const struct policy_rule *r, enum chain_side side)
{
	char end = side == CHAIN_CLIENT_SIDE ? 'd' : 's';
	char text[16 * MULTIPORT_PORTS];
	struct port_ranges ports;
	size_t next = 0;

	if (!port_ranges_pick(&ports, r->port, r->port_count))
		w->failed = true;
	while (next < ports.count) {
		if (port_chunk(text, sizeof(text), &ports, &next))
			words_add(out, " -m tcp --%cport %s", end, text);
		else
			words_add(out, " -m multiport --%cports %s", end, text);
	}
	port_ranges_free(&ports);
}

/* Addresses and ports in pairs, or ports alone. False: none of this family. */
static bool listen_alternatives(
	struct writer *w, struct words *out, const struct policy_rule *r, enum chain_side side)
{
	char end = side == CHAIN_CLIENT_SIDE ? 'd' : 's';
	char addr[RANGES_TEXT];

	for (size_t i = 0; i < r->listen_count; i++) {
		const struct endpoint *at = &r->listen[i];
		if (addr_is_v4(&at->addr) != (w->family == RANGES_IPV4))
			continue;
		addr_range_print(addr, &(struct addr_range){at->addr, at->addr});
		if (endpoint_is_any(at))
			words_add(out, " -m tcp --%cport %u", end, at->port);
		else
			words_add(out, " -%c %s -m tcp --%cport %u", end, addr, end, at->port);
	}
	return r->listen_count == 0 || out->count > 0;
}

/* Lists that ask nothing stay empty. False: the rule can't match in this family. */
static bool alternatives_of(
	struct writer *w, const struct chain_match *m, struct words lists[LISTS])
{
	const struct policy_rule *r = m->rule;
	bool client = m->side == CHAIN_CLIENT_SIDE;

	for (size_t i = 0; client && i < r->interface_count; i++)
		words_add(&lists[LIST_INTERFACE], " -i %s", r->interface[i]);
	port_alternatives(w, &lists[LIST_PORT], r, m->side);
	bool from = addr_alternatives(w, &lists[LIST_FROM], client, r->from, r->from_count);
	bool to = addr_alternatives(w, &lists[LIST_TO], !client, r->to, r->to_count);
	bool listens = listen_alternatives(w, &lists[LIST_LISTEN], r, m->side);
	for (size_t i = 0; i < LISTS; i++)
		w->failed |= lists[i].failed;
	return from && to && listens;
}

/* The lines of one list in `chain`; `next` NULL: they carry the step's action. */
static void write_list(struct writer *w, const struct chain_step *s, const char *chain,
	const char *always, const struct words *list, const char *next)
{
	for (size_t i = 0; i < list->count; i++) {
		begin_line(w, chain);
		fprintf(w->to, "%s%s", always, list->list[i]);
		if (next != NULL)
			fprintf(w->to, " -g %s\n", next);
		else
			write_last(w, s);
	}
}

/* `many`: the lists with more than one alternative, at least one; `always`: what holds for all. */
static void write_lists(struct writer *w, const struct chain_step *s, const char *always,
	const struct words *const many[], size_t count)
{
	char chain[CHAIN_NAME], next[CHAIN_NAME], rest[CHAIN_NAME];

	if (count == 1) {
		write_list(w, s, w->current, always, many[0], NULL);
		return;
	}
	make_chain(w, next);
	write_list(w, s, w->current, always, many[0], next);
	make_chain(w, rest);
	write_goto(w, w->current, rest);
	for (size_t i = 1; i < count; i++) {
		bool last = i == count - 1;
		memcpy(chain, next, sizeof(chain));
		if (!last)
			make_chain(w, next);
		write_list(w, s, chain, " -p tcp", many[i], last ? NULL : next);
		write_goto(w, chain, rest);
	}
	memcpy(w->current, rest, sizeof(w->current));
}

static void write_rule_step(struct writer *w, const struct chain_step *s)
{
	struct words lists[LISTS] = {0};
	const struct words *many[LISTS];
	size_t count = 0, size;
	char *always = NULL;
	FILE *to = w->to;

	if (!alternatives_of(w, &s->match, lists) || w->failed)
		goto out;
	w->to = open_memstream(&always, &size);
	if (w->to == NULL) {
		w->to = to;
		w->failed = true;
		goto out;
	}
	write_match(w, &s->match);
	for (size_t i = 0; i < LISTS; i++) {
		if (lists[i].count > 1)
			many[count++] = &lists[i];
		else if (lists[i].count == 1)
			fputs(lists[i].list[0], w->to);
	}
	fclose(w->to);
	w->to = to;

	if (count > 0) {
		write_lists(w, s, always, many, count);
	} else {
		begin_line(w, w->current);
		fputs(always, w->to);
		write_last(w, s);
	}
out:
	free(always);
	for (size_t i = 0; i < LISTS; i++)
		words_free(&lists[i]);
}

static bool in_family(const struct writer *w, const struct ruleset_route *route)
{
	bool v4 = w->family == RANGES_IPV4;
	return addr_is_v4(&route->server) == v4 && addr_is_v4(&route->public_addr) == v4;
}

static void write_chain(struct writer *w, const struct chain *chain)
{
	chain_name(w->base, chain->name);
	memcpy(w->current, w->base, sizeof(w->current));
	w->made = 0;
	words_add(&w->out->chains, "%s", w->base);
	if (w->with_names && chain->rule != NULL)
		fprintf(w->to, "# rule %s\n", chain->rule->name);
	for (size_t i = 0; i < chain->count; i++) {
		const struct chain_step *s = &chain->steps[i];
		if (s->match.rule != NULL) {
			write_rule_step(w, s);
			continue;
		}
		if (s->match.route != NULL && !in_family(w, s->match.route))
			continue;
		begin_line(w, w->current);
		write_match(w, &s->match);
		write_last(w, s);
	}
}

bool iptables_text_render(struct iptables_text *out, const struct chains *chains,
	enum ranges_family family, enum iptables_table table, bool with_names)
{
	static const char *const hooks[CHAIN_AT_HOOKS] = {
		[CHAIN_INPUT] = "INPUT",
		[CHAIN_FORWARD] = "FORWARD",
		[CHAIN_OUTPUT] = "OUTPUT",
		[CHAIN_RAW_OUTPUT] = "OUTPUT",
		[CHAIN_RAW_PREROUTING] = "PREROUTING",
		[CHAIN_EARLY_INPUT] = "INPUT",
		[CHAIN_EARLY_FORWARD] = "FORWARD",
	};
	static const enum chain_place places[IPTABLES_TABLES] = {
		[IPTABLES_RAW] = CHAIN_PLACE_RAW,
		[IPTABLES_MANGLE] = CHAIN_PLACE_EARLY,
		[IPTABLES_SECURITY] = CHAIN_PLACE_JUDGING,
	};
	size_t size;
	struct writer w = {
		.to = open_memstream(&out->rules, &size),
		.out = out,
		.chains = chains,
		.family = family,
		.with_names = with_names,
	};

	if (w.to == NULL)
		return false;
	for (size_t i = 0; i < chains->count; i++) {
		if (!chains->list[i].used || chains->list[i].place != places[table])
			continue;
		write_chain(&w, &chains->list[i]);
		if (i < CHAIN_AT_HOOKS)
			words_add(&out->jumps, "-A %s -j %s", hooks[i], w.base);
	}
	if (fclose(w.to) != 0)
		w.failed = true;
	return !w.failed && !out->chains.failed && !out->jumps.failed;
}
