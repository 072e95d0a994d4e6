/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/endpoint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

const char *endpoint_addr_text(char out[static ENDPOINT_TEXT], const struct addr *a)
{
	if (addr_is_v4(a))
		inet_ntop(AF_INET, a->b + 12, out, ENDPOINT_TEXT);
	else
		inet_ntop(AF_INET6, a->b, out, ENDPOINT_TEXT);
	return out;
}

const char *endpoint_text(char out[static ENDPOINT_TEXT], const struct addr *a, uint16_t port)
{
	char text[ENDPOINT_TEXT];

	endpoint_addr_text(text, a);
	snprintf(out, ENDPOINT_TEXT, addr_is_v4(a) ? "%.45s:%u" : "[%.45s]:%u", text, port);
	return out;
}

/* The range of which `bits` bits are fixed. */
static struct addr_range range_of_prefix(const struct addr *a, unsigned bits)
{
	struct addr_range r = {.first = addr_prefix(a, bits)};
	unsigned fixed = addr_is_v4(a) ? bits + 96 : bits;

	r.last = r.first;
	for (unsigned i = fixed; i < 128; i++)
		r.last.b[i / 8] |= (uint8_t)(0x80u >> (i % 8));
	return r;
}

void endpoint_range_text(char *out, size_t size, const struct addr_range *r)
{
	char first[ENDPOINT_TEXT], last[ENDPOINT_TEXT];
	unsigned width = addr_is_v4(&r->first) ? 32 : 128;

	endpoint_addr_text(first, &r->first);
	if (addr_equal(&r->first, &r->last)) {
		snprintf(out, size, "%s", first);
		return;
	}
	for (unsigned bits = 0; bits < width; bits++) {
		struct addr_range prefix = range_of_prefix(&r->first, bits);
		if (addr_equal(&prefix.first, &r->first) && addr_equal(&prefix.last, &r->last)) {
			snprintf(out, size, "%s/%u", first, bits);
			return;
		}
	}
	snprintf(out, size, "%s-%s", first, endpoint_addr_text(last, &r->last));
}

static bool parse_number(const char *text, unsigned max, unsigned *out)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	unsigned long n = strtoul(text, &end, 10);
	if (*end != '\0' || n > max)
		return false;
	*out = (unsigned)n;
	return true;
}

bool endpoint_parse_port(const char *text, uint16_t *port)
{
	unsigned n;

	if (!parse_number(text, UINT16_MAX, &n) || n == 0)
		return false;
	*port = (uint16_t)n;
	return true;
}

static bool parse_addr(const char *text, struct addr *out)
{
	uint8_t octets[4];

	if (inet_pton(AF_INET, text, octets) == 1) {
		*out = addr_v4(octets);
		return true;
	}
	return inet_pton(AF_INET6, text, out->b) == 1;
}

bool endpoint_parse_range(const char *text, struct addr_range *out)
{
	char copy[ENDPOINT_TEXT];
	struct addr a;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	char *slash = strchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	if (!parse_addr(copy, &a))
		return false;

	unsigned width = addr_is_v4(&a) ? 32 : 128;
	unsigned bits = width;
	if (slash != NULL && !parse_number(slash + 1, width, &bits))
		return false;
	*out = range_of_prefix(&a, bits);
	return true;
}

/* [ADDR6] or [ADDR6]:PORT */
static bool parse_bracketed(char *text, struct addr_range *out, uint16_t *port)
{
	char *end = strchr(text, ']');

	if (end == NULL)
		return false;
	*end = '\0';
	if (end[1] != '\0' && (end[1] != ':' || !endpoint_parse_port(end + 2, port)))
		return false;
	return strchr(text, ':') != NULL && endpoint_parse_range(text + 1, out);
}

bool endpoint_parse(const char *text, struct addr_range *out, uint16_t *port)
{
	char copy[ENDPOINT_TEXT];

	*port = 0;
	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	if (copy[0] == '[')
		return parse_bracketed(copy, out, port);

	char *colon = strchr(copy, ':');
	if (colon != NULL && strchr(colon + 1, ':') == NULL) {
		*colon = '\0';
		if (!endpoint_parse_port(colon + 1, port))
			return false;
	}
	return endpoint_parse_range(copy, out);
}
