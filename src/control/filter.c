/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/filter.h"

#include "control/endpoint.h"

#include <stdio.h>
#include <strings.h>

static const char *const states[] = {
	"half-open",
	"admitted",
	"closing",
	"CLOSED",
	"LISTEN",
	"SYN_SENT",
	"SYN_RCVD",
	"ESTABLISHED",
	"FIN_WAIT",
	"CLOSE_WAIT",
	"LAST_ACK",
	"TIME_WAIT",
};

static bool take_client(struct filter *f, const char *value)
{
	return endpoint_parse_range(value, &f->client);
}

static bool take_server(struct filter *f, const char *value)
{
	return endpoint_parse(value, &f->server, &f->server_port);
}

static bool take_port(struct filter *f, const char *value)
{
	return endpoint_parse_port(value, &f->port);
}

static bool take_rule(struct filter *f, const char *value)
{
	return (size_t)snprintf(f->rule, sizeof(f->rule), "%s", value) < sizeof(f->rule);
}

static bool take_state(struct filter *f, const char *value)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcasecmp(value, states[i]) == 0) {
			snprintf(f->state, sizeof(f->state), "%s", states[i]);
			return true;
		}
	}
	return false;
}

static const struct term {
	const char *word;
	enum filter_term bit;
	bool (*take)(struct filter *f, const char *value);
	const char *wants;
} terms[] = {
	{"client", FILTER_CLIENT, take_client, "an address or a prefix, such as 192.0.2.0/24"},
	{"server", FILTER_SERVER, take_server,
		"an address, such as 192.0.2.1, 192.0.2.1:80 or [2001:db8::1]:80"},
	{"port", FILTER_PORT, take_port, "a number from 1 to 65535"},
	{"rule", FILTER_RULE, take_rule, "a rule's name"},
	{"state", FILTER_STATE, take_state,
		"half-open, admitted, closing, or a TCP state such as SYN_SENT or ESTABLISHED"},
};

static const struct term *term_by_word(const char *word)
{
	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
		if (strcmp(terms[i].word, word) == 0)
			return &terms[i];
	return NULL;
}

bool filter_parse(struct filter *f, const char *text, char *why, size_t why_size)
{
	char copy[1024];
	char *rest = NULL;

	*f = (struct filter){0};
	if (strlen(text) >= sizeof(copy)) {
		snprintf(why, why_size, "the filter is longer than %zu bytes", sizeof(copy) - 1);
		return false;
	}
	strcpy(copy, text);

	for (char *word = strtok_r(copy, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		const struct term *t = term_by_word(word);
		if (t == NULL) {
			snprintf(why, why_size,
				"'%s' is no part of a filter: use client, server, port, rule or "
				"state",
				word);
			return false;
		}
		if (f->terms & t->bit) {
			snprintf(why, why_size, "'%s' is given twice", word);
			return false;
		}
		const char *value = strtok_r(NULL, " \t", &rest);
		if (value == NULL || !t->take(f, value)) {
			snprintf(why, why_size, "'%s%s%s' is wrong: '%s' wants %s", word,
				value ? " " : "", value ? value : "", word, t->wants);
			return false;
		}
		f->terms |= t->bit;
	}
	return true;
}

static bool state_matches(const char *wanted, const struct engine_flow_info *flow)
{
	return strcasecmp(wanted, flow->flow_state) == 0 ||
	       strcasecmp(wanted, flow->client_state) == 0 ||
	       strcasecmp(wanted, flow->server_state) == 0;
}

bool filter_match(const struct filter *f, const struct engine_flow_info *flow, const char *rule)
{
	const struct tuple *t = &flow->tuple;

	if ((f->terms & FILTER_CLIENT) && !addr_in_range(&t->client, &f->client))
		return false;
	if ((f->terms & FILTER_SERVER) && !addr_in_range(&t->server, &f->server))
		return false;
	if ((f->terms & FILTER_SERVER) && f->server_port != 0 && f->server_port != t->server_port)
		return false;
	if ((f->terms & FILTER_PORT) && f->port != t->server_port)
		return false;
	if ((f->terms & FILTER_RULE) && (rule == NULL || strcmp(f->rule, rule) != 0))
		return false;
	return !(f->terms & FILTER_STATE) || state_matches(f->state, flow);
}
