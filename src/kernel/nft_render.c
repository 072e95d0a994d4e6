/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "kernel/nft_render.h"

#include "core/packet.h"
#include "kernel/ranges.h"

#include <inttypes.h>
#include <string.h>

/* Which lines a step needs: one for both families, or one for each that its addresses name. */
struct selection {
	const char *family; /* "ip", "ip6"; NULL: both at once */
	struct addr_ranges from;
	struct addr_ranges to;
	enum {
		LISTENS_NOT,
		LISTENS_AT, /* single addresses */
		LISTENS_ANYWHERE
	} listens;
	const char *set; /* a match of a set; behind what is cheaper */
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

static void write_ports(struct nft_render *w, const struct policy_rule *r, enum chain_side side)
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

static bool listens_so(const struct selection *s, const struct endpoint *at)
{
	bool v4 = strcmp(s->family, "ip") == 0;
	return addr_is_v4(&at->addr) == v4 &&
	       endpoint_is_any(at) == (s->listens == LISTENS_ANYWHERE);
}

static size_t count_listens(const struct policy_rule *r, const struct selection *s)
{
	size_t count = 0;
	for (size_t i = 0; i < r->listen_count; i++)
		count += listens_so(s, &r->listen[i]);
	return count;
}

/* Addresses and ports in pairs, or ports alone. */
static void write_listens(
	struct nft_render *w, const struct chain_match *m, const struct selection *s)
{
	const struct policy_rule *r = m->rule;
	char end = m->side == CHAIN_CLIENT_SIDE ? 'd' : 's';
	const char *before = "{ ";

	if (s->listens == LISTENS_AT)
		fprintf(w->to, "%s %caddr . ", s->family, end);
	fprintf(w->to, "tcp %cport ", end);
	for (size_t i = 0; i < r->listen_count; i++) {
		const struct endpoint *at = &r->listen[i];
		char text[RANGES_TEXT];
		if (!listens_so(s, at))
			continue;
		fputs(before, w->to);
		before = ", ";
		if (s->listens == LISTENS_AT) {
			addr_range_print(text, &(struct addr_range){at->addr, at->addr});
			fprintf(w->to, "%s . ", text);
		}
		fprintf(w->to, "%u", at->port);
	}
	fputs(" } ", w->to);
}

static void write_rule_match(
	struct nft_render *w, const struct chain_match *m, const struct selection *s)
{
	bool client = m->side == CHAIN_CLIENT_SIDE;
	const struct policy_rule *r = m->rule;

	for (size_t i = 0; client && i < r->interface_count; i++)
		fprintf(w->to, "%s\"%s\"", i == 0 ? "iifname { " : ", ", r->interface[i]);
	if (client && r->interface_count > 0)
		fputs(" } ", w->to);
	if (s->family != NULL && s->from.count == 0 && s->to.count == 0 && s->listens != LISTENS_AT)
		fprintf(w->to, "meta nfproto %s ", strcmp(s->family, "ip") == 0 ? "ipv4" : "ipv6");
	write_addrs(w->to, s->family, client ? "saddr" : "daddr", &s->from);
	write_addrs(w->to, s->family, client ? "daddr" : "saddr", &s->to);
	write_ports(w, r, m->side);
	if (s->listens != LISTENS_NOT)
		write_listens(w, m, s);
}

static void write_match(struct nft_render *w, const struct chain_match *m)
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
	static const char *const protocol[] = {
		[CHAIN_ANY_PROTOCOL] = "",
		[CHAIN_TCP] = "meta l4proto tcp ",
		[CHAIN_NOT_TCP] = "meta l4proto != tcp ",
		[CHAIN_UNREACHABLE] = "",
		[CHAIN_TOO_BIG] = "",
	};
	uint32_t mark = w->chains->plan->mark;

	fputs(protocol[m->protocol], w->to);
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
	fputs(m->dnat ? "ct status dnat " : "", w->to);
	fputs(direction[m->direction], w->to);
	fputs(lo[m->lo], w->to);
}

static void write_action(struct nft_render *w, const struct chain_step *s)
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

/* `first`: a match that holds for one of the families. */
static void write_line(struct nft_render *w, const struct chain_step *s, const char *first,
	const struct selection *selection)
{
	char tally[CHAIN_TALLY_MAX];
	chain_tally_print(tally, &s->tally);

	fprintf(w->to, "\t\t%s", first);
	write_match(w, &s->match);
	if (s->match.rule != NULL)
		write_rule_match(w, &s->match, selection);
	if (selection != NULL && selection->set != NULL)
		fputs(selection->set, w->to);
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

static void write_lines(struct nft_render *w, const struct chain_step *s, struct selection *sel)
{
	if (s->match.rule->listen_count == 0) {
		write_line(w, s, "", sel);
		return;
	}
	for (sel->listens = LISTENS_AT; sel->listens <= LISTENS_ANYWHERE; sel->listens++)
		if (count_listens(s->match.rule, sel) > 0)
			write_line(w, s, "", sel);
}

static void write_rule_step(
	struct nft_render *w, const struct chain_step *s, enum ranges_family family)
{
	const struct policy_rule *r = s->match.rule;
	struct selection sel = {.family = family == RANGES_IPV4 ? "ip" : "ip6"};

	if (!addr_ranges_pick(&sel.from, r->from, r->from_count, family) ||
		!addr_ranges_pick(&sel.to, r->to, r->to_count, family))
		w->failed = true;
	else if ((sel.from.any || sel.from.count > 0) && (sel.to.any || sel.to.count > 0))
		write_lines(w, s, &sel);
	addr_ranges_free(&sel.from);
	addr_ranges_free(&sel.to);
}

/* nft takes no port of a connection whose protocol it does not know. */
static void write_route_step(struct nft_render *w, const struct chain_step *s)
{
	const struct ruleset_route *route = s->match.route;
	const struct addr_range from = {route->public_addr, route->public_addr};
	const struct addr_range to = {route->server, route->server};
	const char *family = addr_is_v4(&route->server) ? "ip" : "ip6";
	char public_addr[RANGES_TEXT], server[RANGES_TEXT], first[3 * RANGES_TEXT];

	if (addr_is_v4(&route->public_addr) != addr_is_v4(&route->server))
		return;
	addr_range_print(public_addr, &from);
	addr_range_print(server, &to);
	snprintf(first, sizeof(first),
		"meta l4proto tcp ct original %s daddr %s ct original proto-dst %u %s daddr %s "
		"tcp dport %u ",
		family, public_addr, route->public_port, family, server, route->port);
	write_line(w, s, first, NULL);
}

/* Lines for what says the same of each family in other words; false if the step is not such. */
static bool write_each_family(struct nft_render *w, const struct chain_step *s)
{
	const char *v4, *v6;

	if (s->match.protocol == CHAIN_UNREACHABLE) {
		v4 = "icmp type destination-unreachable ct original protocol tcp ";
		v6 = "icmpv6 type destination-unreachable ct original protocol tcp ";
	} else if (s->match.protocol == CHAIN_TOO_BIG) {
		v4 = "icmp type destination-unreachable icmp code frag-needed ";
		v6 = "icmpv6 type packet-too-big ";
	} else {
		return false;
	}
	write_line(w, s, v4, NULL);
	write_line(w, s, v6, NULL);
	return true;
}

static void write_step(struct nft_render *w, const struct chain_step *s)
{
	const struct policy_rule *r = s->match.rule;

	if (write_each_family(w, s))
		return;
	if (s->match.route != NULL) {
		write_route_step(w, s);
	} else if (s->match.blocked) {
		write_line(w, s, "", &(struct selection){.set = "ip saddr @block4 "});
		write_line(w, s, "", &(struct selection){.set = "ip6 saddr @block6 "});
	} else if (r != NULL && (r->from_count > 0 || r->to_count > 0 || r->listen_count > 0)) {
		write_rule_step(w, s, RANGES_IPV4);
		write_rule_step(w, s, RANGES_IPV6);
	} else {
		const struct selection both = {.family = NULL};
		write_line(w, s, "", &both);
	}
}

void nft_render_chain(struct nft_render *w, const struct chain *chain, const char *hook)
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
