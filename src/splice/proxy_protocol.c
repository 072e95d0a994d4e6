/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Version 1 is read from its start each time, word by word. Whether a word that is not complete can
 * still become an address is found by completing it: a start of an address is whatever one of few
 * endings makes an address of.
 */
#include "config.h"

#include "splice/proxy_protocol.h"

#include "core/wire.h"

#include <arpa/inet.h>
#include <stdio.h>

enum {
	V1_MAX = 107, /* with CRLF */
	ADDRESS_MAX = 45,
	PORT_MAX = 5,
	V2_HEADER = 16,
	V2_LOCAL = 0x20, /* version and command */
	V2_PROXY = 0x21,
	V2_INET = 0x1, /* families */
	V2_INET6 = 0x2,
	V2_UNIX = 0x3,
	V2_STREAM = 0x1, /* transports; datagrams after it */
	V2_DGRAM = 0x2,
};

static const uint8_t v2_signature[12] = {
	0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static enum proxy_verdict bad(struct proxy_header *out, const char *fault)
{
	out->fault = fault;
	return PROXY_BAD;
}

/* What is left to read of version 1. */
struct line {
	const char *at;
	const char *end;
};

/* Exactly this text. */
static enum proxy_verdict expect(struct line *l, const char *text)
{
	for (; *text != '\0'; text++, l->at++) {
		if (l->at == l->end)
			return PROXY_NEED_MORE;
		if (*l->at != *text)
			return PROXY_BAD;
	}
	return PROXY_DONE;
}

/* The bytes up to `stop`, which is passed over: PROXY_NEED_MORE without it. PROXY_BAD if there are
 * more than `max`. */
static enum proxy_verdict word(struct line *l, char stop, size_t max, char *out)
{
	size_t len = 0;

	for (; l->at < l->end && *l->at != stop; l->at++) {
		if (len == max || *l->at == '\0')
			return PROXY_BAD;
		out[len++] = *l->at;
	}
	out[len] = '\0';
	if (l->at == l->end)
		return PROXY_NEED_MORE;
	l->at++;
	return PROXY_DONE;
}

static bool completes(int family, const char *start, const char *ending)
{
	char text[ADDRESS_MAX + sizeof("0.0.0.0")];
	uint8_t ignored[16];

	snprintf(text, sizeof(text), "%s%s", start, ending);
	return inet_pton(family, text, ignored) == 1;
}

static bool may_become_address(int family, const char *start)
{
	static const char *const endings6[] = {"", ":", "::", "0", ":0"};
	static const char endings4[] = "0.0.0.0";

	for (size_t i = 0; family == AF_INET6 && i < sizeof(endings6) / sizeof(*endings6); i++)
		if (completes(family, start, endings6[i]))
			return true;
	/* An IPv6 address may end in an IPv4 one. */
	for (size_t i = 0; i < sizeof(endings4); i++)
		if (completes(family, start, endings4 + i))
			return true;
	return false;
}

static enum proxy_verdict v1_address(struct line *l, int family, struct addr *out)
{
	char text[ADDRESS_MAX + 1];
	enum proxy_verdict v = word(l, ' ', ADDRESS_MAX, text);
	uint8_t octets[4];

	if (v == PROXY_NEED_MORE)
		return may_become_address(family, text) ? PROXY_NEED_MORE : PROXY_BAD;
	if (v != PROXY_DONE)
		return v;
	if (family == AF_INET6)
		return inet_pton(AF_INET6, text, out->b) == 1 ? PROXY_DONE : PROXY_BAD;
	if (inet_pton(AF_INET, text, octets) != 1)
		return PROXY_BAD;
	*out = addr_v4(octets);
	return PROXY_DONE;
}

/* Decimal, without leading zeros. */
static enum proxy_verdict v1_port(struct line *l, char stop, uint16_t *out)
{
	char text[PORT_MAX + 1];
	enum proxy_verdict v = word(l, stop, PORT_MAX, text);
	uint32_t n = 0;

	if (v == PROXY_BAD || (v == PROXY_DONE && text[0] == '\0') ||
		(text[0] == '0' && text[1] != '\0'))
		return PROXY_BAD;
	for (const char *c = text; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return PROXY_BAD;
		n = n * 10 + (uint32_t)(*c - '0');
	}
	if (n > UINT16_MAX)
		return PROXY_BAD;
	*out = (uint16_t)n;
	return v;
}

/* Source, destination, their ports; the first that is not PROXY_DONE decides. */
static enum proxy_verdict v1_endpoints(struct line *l, int family, struct proxy_header *out)
{
	enum proxy_verdict v = v1_address(l, family, &out->source.addr);

	out->fault = "no source address";
	if (v != PROXY_DONE)
		return v;
	out->fault = "no destination address";
	if ((v = v1_address(l, family, &out->destination.addr)) != PROXY_DONE)
		return v;
	out->fault = "no source port";
	if ((v = v1_port(l, ' ', &out->source.port)) != PROXY_DONE)
		return v;
	out->fault = "no destination port";
	if ((v = v1_port(l, '\r', &out->destination.port)) != PROXY_DONE)
		return v;
	out->fault = "CR without LF";
	return expect(l, "\n");
}

/* Whatever stands behind UNKNOWN, up to CRLF, says nothing. */
static enum proxy_verdict v1_unknown(struct line *l, struct proxy_header *out)
{
	out->local = true;
	out->fault = "neither a space nor CRLF after UNKNOWN";
	if (l->at < l->end && *l->at != ' ' && *l->at != '\r')
		return PROXY_BAD;
	while (l->at < l->end && *l->at != '\r')
		l->at++;
	out->fault = "CR without LF";
	return expect(l, "\r\n");
}

static enum proxy_verdict v1_rest(struct line *l, struct proxy_header *out)
{
	enum proxy_verdict v;

	out->fault = "neither TCP4, TCP6 nor UNKNOWN";
	if (l->at < l->end && *l->at == 'U') {
		v = expect(l, "UNKNOWN");
		return v == PROXY_DONE ? v1_unknown(l, out) : v;
	}
	if ((v = expect(l, "TCP")) != PROXY_DONE)
		return v;
	if (l->at == l->end)
		return PROXY_NEED_MORE;
	char family = *l->at++;
	if (family != '4' && family != '6')
		return PROXY_BAD;
	if ((v = expect(l, " ")) != PROXY_DONE)
		return v;
	return v1_endpoints(l, family == '4' ? AF_INET : AF_INET6, out);
}

static enum proxy_verdict parse_v1(const uint8_t *bytes, size_t len, struct proxy_header *out)
{
	const char *start = (const char *)bytes;
	struct line l = {start, start + (len < V1_MAX ? len : V1_MAX)};
	enum proxy_verdict v = expect(&l, "PROXY ");

	out->fault = "no PROXY header";
	if (v == PROXY_DONE)
		v = v1_rest(&l, out);
	if (v == PROXY_NEED_MORE && len >= V1_MAX - 1 && (len >= V1_MAX || bytes[len - 1] != '\r'))
		return bad(out, "no CRLF within 107 bytes");
	if (v != PROXY_BAD)
		out->fault = NULL;
	out->len = (size_t)(l.at - start);
	return v;
}

/* What the addresses of a family take; 0 if there are none of use, -1 if there is no such family.
 */
static int v2_addresses(uint8_t family_and_transport)
{
	static const int lengths[] = {[V2_INET] = 12, [V2_INET6] = 36, [V2_UNIX] = 216};
	unsigned family = family_and_transport >> 4, transport = family_and_transport & 0xf;

	if (family_and_transport == 0)
		return 0;
	if (family < V2_INET || family > V2_UNIX || transport < V2_STREAM || transport > V2_DGRAM)
		return -1;
	return lengths[family];
}

static void v2_endpoints(const uint8_t *p, uint8_t family_and_transport, struct proxy_header *out)
{
	if (family_and_transport == (V2_INET << 4 | V2_STREAM)) {
		out->source = (struct endpoint){addr_v4(p), wire_get16(p + 8)};
		out->destination = (struct endpoint){addr_v4(p + 4), wire_get16(p + 10)};
		return;
	}
	if (family_and_transport == (V2_INET6 << 4 | V2_STREAM)) {
		memcpy(out->source.addr.b, p, 16);
		memcpy(out->destination.addr.b, p + 16, 16);
		out->source.port = wire_get16(p + 32);
		out->destination.port = wire_get16(p + 34);
		return;
	}
	out->local = true;
}

static bool v2_length_fits(const uint8_t *bytes, size_t len)
{
	/* The more significant byte alone may say that it is too long. */
	return len < V2_HEADER - 1 ||
	       (bytes[14] <= PROXY_LENGTH_MAX >> 8 &&
		       (len < V2_HEADER || wire_get16(bytes + 14) <= PROXY_LENGTH_MAX));
}

static enum proxy_verdict parse_v2(const uint8_t *bytes, size_t len, struct proxy_header *out)
{
	size_t known = len < sizeof(v2_signature) ? len : sizeof(v2_signature);
	int needed = 0;

	if (memcmp(bytes, v2_signature, known) != 0)
		return bad(out, "no PROXY header");
	if (len > 12 && bytes[12] != V2_LOCAL && bytes[12] != V2_PROXY)
		return bad(out, "an unknown version or command");
	/* LOCAL's family means nothing. */
	if (len > 13 && bytes[12] == V2_PROXY)
		needed = v2_addresses(bytes[13]);
	if (needed < 0)
		return bad(out, "an unknown address family");
	if (!v2_length_fits(bytes, len))
		return bad(out, "longer than 536 bytes");
	if (len < V2_HEADER)
		return PROXY_NEED_MORE;
	if (wire_get16(bytes + 14) < needed)
		return bad(out, "too short for its addresses");
	out->len = V2_HEADER + (size_t)wire_get16(bytes + 14);
	if (len < out->len)
		return PROXY_NEED_MORE;
	if (bytes[12] == V2_LOCAL)
		out->local = true;
	else
		v2_endpoints(bytes + V2_HEADER, bytes[13], out);
	return PROXY_DONE;
}

enum proxy_verdict proxy_parse(
	const uint8_t *bytes, size_t len, enum proxy_protocol allowed, struct proxy_header *out)
{
	*out = (struct proxy_header){0};
	if (len == 0)
		return PROXY_NEED_MORE;
	if (bytes[0] == 'P')
		return allowed == PROXY_V2 ? bad(out, "no PROXY header of version 2")
					   : parse_v1(bytes, len, out);
	if (bytes[0] == v2_signature[0])
		return allowed == PROXY_V1 ? bad(out, "no PROXY header of version 1")
					   : parse_v2(bytes, len, out);
	return bad(out, "no PROXY header");
}

/* As text; an IPv4 address beside an IPv6 one is written mapped. */
static const char *address_text(char out[static ADDRESS_MAX + 1], const struct addr *a, bool v4)
{
	if (v4)
		inet_ntop(AF_INET, a->b + 12, out, ADDRESS_MAX + 1);
	else
		inet_ntop(AF_INET6, a->b, out, ADDRESS_MAX + 1);
	return out;
}

static size_t build_v1(
	uint8_t *out, const struct endpoint *source, const struct endpoint *destination)
{
	static const char unknown[] = "PROXY UNKNOWN\r\n";
	char from[ADDRESS_MAX + 1], to[ADDRESS_MAX + 1];

	if (!source || !destination) {
		memcpy(out, unknown, sizeof(unknown) - 1);
		return sizeof(unknown) - 1;
	}
	bool v4 = addr_is_v4(&source->addr) && addr_is_v4(&destination->addr);
	return (size_t)snprintf((char *)out, PROXY_BUILD_MAX, "PROXY TCP%c %s %s %u %u\r\n",
		v4 ? '4' : '6', address_text(from, &source->addr, v4),
		address_text(to, &destination->addr, v4), source->port, destination->port);
}

static size_t build_v2(
	uint8_t *out, const struct endpoint *source, const struct endpoint *destination)
{
	bool local = !source || !destination;
	bool v4 = !local && addr_is_v4(&source->addr) && addr_is_v4(&destination->addr);
	unsigned width = v4 ? 4 : 16;
	uint8_t *p = out + V2_HEADER;

	memcpy(out, v2_signature, sizeof(v2_signature));
	out[12] = local ? V2_LOCAL : V2_PROXY;
	out[13] = local ? 0 : (uint8_t)((v4 ? V2_INET : V2_INET6) << 4 | V2_STREAM);
	wire_put16(out + 14, local ? 0 : (uint16_t)(2 * width + 4));
	if (local)
		return V2_HEADER;
	memcpy(p, source->addr.b + 16 - width, width);
	memcpy(p + width, destination->addr.b + 16 - width, width);
	wire_put16(p + 2 * width, source->port);
	wire_put16(p + 2 * width + 2, destination->port);
	return V2_HEADER + 2 * width + 4;
}

size_t proxy_build(uint8_t out[static PROXY_BUILD_MAX], enum proxy_protocol version,
	const struct endpoint *source, const struct endpoint *destination)
{
	return version == PROXY_V1 ? build_v1(out, source, destination)
				   : build_v2(out, source, destination);
}
