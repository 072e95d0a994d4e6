/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/options.h"
#include "config/servers.h"
#include "config/values.h"

#include <inttypes.h>
#include <string.h>

static uint64_t option_load(const void *at, size_t size)
{
	uint64_t value = 0;
	uint32_t v32;
	uint16_t v16;
	uint8_t v8;

	switch (size) {
	case sizeof(value):
		memcpy(&value, at, sizeof(value));
		break;
	case sizeof(v32):
		memcpy(&v32, at, sizeof(v32));
		return v32;
	case sizeof(v16):
		memcpy(&v16, at, sizeof(v16));
		return v16;
	case sizeof(v8):
		memcpy(&v8, at, sizeof(v8));
		return v8;
	}
	return value;
}

size_t option_words_here(const struct option *o)
{
	size_t count = 0;

	for (const struct option_word *w = o->words; w->word != NULL; w++)
		count += !w->later;
	return count;
}

void option_print_words(const struct option *o, const char *conjunction, FILE *to)
{
	size_t left = option_words_here(o);

	for (const struct option_word *w = o->words; w->word != NULL; w++) {
		if (w->later)
			continue;
		left--;
		fputs(w->word, to);
		if (left == 1)
			fprintf(to, " %s ", conjunction);
		else if (left > 1)
			fputs(", ", to);
	}
}

static void option_print_item(const struct option *o, const void *items, size_t i, FILE *to)
{
	if (o->type == OPTION_ADDRS || o->type == OPTION_HOSTS)
		value_print_addrs((const struct addr_range *)items + i, to);
	else if (o->type == OPTION_ENDPOINTS)
		value_print_endpoint((const struct endpoint *)items + i, to);
	else if (o->type == OPTION_SERVERS)
		server_print((const struct config_server *)items + i, to);
	else if (o->type == OPTION_PORTS)
		value_print_ports((const struct port_range *)items + i, to);
	else
		fputs((const char *)items + i * POLICY_IFNAME, to);
}

/* Few enough items that the longest of them leave a line shorter than the reader's limit. */
static size_t option_items_in_line(const struct option *o)
{
	if (o->type == OPTION_SERVERS)
		return 1;
	return o->type == OPTION_PORTS || o->type == OPTION_INTERFACES ? 8 : 2;
}

static void option_print_list(const struct option *o, const void *base, FILE *to)
{
	size_t per_line = option_items_in_line(o);
	const void *items;
	size_t count;

	memcpy(&items, (const char *)base + o->offset, sizeof(items));
	memcpy(&count, (const char *)base + o->count_offset, sizeof(count));
	if (count == 0)
		fputs(o->zero, to);
	for (size_t i = 0; i < count; i++) {
		option_print_item(o, items, i, to);
		if (i + 1 < count)
			fputs((i + 1) % per_line == 0 ? ",\n\t" : ", ", to);
	}
}

static void option_print_word(const struct option *o, uint64_t value, FILE *to)
{
	const struct option_word *w = o->words;

	if (o->size == 0) {
		fputs(o->initial, to);
		return;
	}
	while (w->word != NULL && w->value != value)
		w++;
	fputs(w->word, to);
}

static void option_print_hosts(const struct option *o, const void *base, FILE *to)
{
	const struct option_word *w = o->words;
	uint64_t value =
		option_load((const char *)base + o->word_offset, sizeof(enum splice_source));

	while (w->value != value)
		w++;
	if (strcmp(w->word, "*") == 0)
		option_print_list(o, base, to);
	else
		fputs(w->word, to);
}

static void option_print_name(const struct option *o, const void *base, FILE *to)
{
	const char *name;

	memcpy(&name, (const char *)base + o->offset, sizeof(name));
	fputs(name != NULL ? name : o->zero, to);
}

static void option_print_amount(const struct option *o, uint64_t value, FILE *to)
{
	if (o->type == OPTION_SIZE)
		value_print_size(value, to);
	else if (o->type == OPTION_DURATION)
		value_print_duration(value, to);
	else if (o->type == OPTION_SECONDS)
		value_print_seconds(value, to);
	else if (o->type == OPTION_PERCENT)
		value_print_percent(value, to);
	else if (o->type == OPTION_BIT)
		fprintf(to, "0x%08" PRIx64, value);
	else
		fprintf(to, "%" PRIu64, value);
}

static void option_print_number(const struct option *o, uint64_t value, FILE *to)
{
	if (value == 0 && o->zero != NULL)
		fputs(o->zero, to);
	else
		option_print_amount(o, value, to);
}

static void option_print_range(const struct option *o, FILE *to)
{
	option_print_amount(o, o->min, to);
	fputs(" to ", to);
	option_print_amount(o, o->max, to);
	if (o->unit != NULL)
		fprintf(to, " %s", o->unit);
}

void option_print(const struct option *o, const void *base, FILE *to)
{
	const void *at = (const char *)base + o->offset;
	struct policy_rate rate;
	uint64_t value = option_load(at, o->size);

	switch (o->type) {
	case OPTION_WORD:
		option_print_word(o, value, to);
		break;
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_SECONDS:
	case OPTION_PERCENT:
	case OPTION_BIT:
		option_print_number(o, value, to);
		break;
	case OPTION_RATE:
		memcpy(&rate, at, sizeof(rate));
		if (rate.per_s == 0)
			fputs(o->zero, to);
		else
			value_print_rate(&rate, to);
		break;
	case OPTION_USER:
	case OPTION_PATH:
		fputs(o->zero != NULL && *(const char *)at == '\0' ? o->zero : at, to);
		break;
	case OPTION_ADDRS:
	case OPTION_PORTS:
	case OPTION_INTERFACES:
	case OPTION_ENDPOINTS:
	case OPTION_SERVERS:
		option_print_list(o, base, to);
		break;
	case OPTION_HOSTS:
		option_print_hosts(o, base, to);
		break;
	case OPTION_NAME:
		option_print_name(o, base, to);
		break;
	case OPTION_TEXT:
		break;
	}
}

void option_print_takes(const struct option *o, FILE *to)
{
	switch (o->type) {
	case OPTION_WORD:
		option_print_words(o, "or", to);
		break;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		fputs("a number from ", to);
		option_print_range(o, to);
		break;
	case OPTION_PERCENT:
		fputs("a percentage from ", to);
		option_print_range(o, to);
		break;
	case OPTION_DURATION:
	case OPTION_SECONDS:
		fputs("a time from ", to);
		option_print_range(o, to);
		fputs(" as in 500ms, 30s, 10m, 2h or 1d", to);
		break;
	case OPTION_RATE:
		fprintf(to,
			"a rate such as 50/s or 50/s burst 100, with numbers from 1 to %" PRIu64,
			o->max);
		break;
	case OPTION_BIT:
		fputs("one bit of 32, such as 0x20000000", to);
		break;
	case OPTION_USER:
		fprintf(to, "the name of a user, of at most %zu bytes", o->size - 1);
		break;
	case OPTION_PATH:
		fprintf(to, "a path from the root, of at most %zu bytes", o->size - 1);
		break;
	case OPTION_ADDRS:
		fputs("addresses such as 192.0.2.1, 2001:db8::/32 or 192.0.2.10-192.0.2.20", to);
		break;
	case OPTION_PORTS:
		fputs("ports from 1 to 65535 or ranges such as 8000-8100", to);
		break;
	case OPTION_INTERFACES:
		fputs("names of interfaces, such as eth0", to);
		break;
	case OPTION_ENDPOINTS:
		fputs("addresses with ports, such as 192.0.2.1:80, 0.0.0.0:80 or [::]:80", to);
		break;
	case OPTION_SERVERS:
		fprintf(to,
			"up to %d servers such as 192.0.2.1:80, [2001:db8::1]:80, "
			"www.example.org:80 or unix:/run/web.sock, each once, with weight 1 to 256 "
			"and max_connections 1 to 16m behind it if need be",
			BACKEND_SERVERS_MAX);
		break;
	case OPTION_HOSTS:
		for (const struct option_word *w = o->words; strcmp(w->word, "*") != 0; w++)
			fprintf(to, "%s, ", w->word);
		fputs("or single addresses such as 192.0.2.1 or 2001:db8::1", to);
		break;
	case OPTION_NAME:
		fprintf(to, "the name of a [%s NAME]", o->key);
		break;
	case OPTION_TEXT:
		break;
	}
	if (o->zero != NULL)
		fprintf(to, ", or %s", o->zero);
}
