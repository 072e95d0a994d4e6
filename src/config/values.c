/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: printing takes the first that divides the value. */
static const struct unit sizes[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};
static const struct unit durations[] = {
	{"d", 86400000000}, {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}, {"ms", 1000}};

enum {
	US_PER_S = 1000000,
	SIZES = sizeof(sizes) / sizeof(sizes[0]),
	DURATIONS = sizeof(durations) / sizeof(durations[0])
};

static const char too_large[] = "is too large";
static const char not_a_number[] = "is not a number";

/* Digits at the start of *text, which moves behind them. No sign, no white space, as strtoull would
 * take. */
static const char *value_digits(const char **text, unsigned base, uint64_t *out)
{
	static const char alphabet[] = "0123456789abcdef";
	const char *s, *digit;
	uint64_t n = 0;

	for (s = *text; *s != '\0'; s++) {
		uint64_t value;

		digit = memchr(alphabet, tolower((unsigned char)*s), base);
		if (digit == NULL)
			break;
		value = (uint64_t)(digit - alphabet);
		if (n > (UINT64_MAX - value) / base)
			return too_large;
		n = n * base + value;
	}
	if (s == *text)
		return not_a_number;
	*text = s;
	*out = n;
	return NULL;
}

const char *value_parse_number(const char *text, uint64_t *out)
{
	const char *wrong = value_digits(&text, 10, out);

	if (wrong != NULL)
		return wrong;
	return *text == '\0' ? NULL : not_a_number;
}

static const char *value_parse_unit(const char *text, const struct unit *units, size_t count,
	const char *unknown, uint64_t *out)
{
	uint64_t n;
	const char *wrong = value_digits(&text, 10, &n);

	if (wrong != NULL)
		return wrong;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, units[i].name) != 0)
			continue;
		if (n > UINT64_MAX / units[i].factor)
			return too_large;
		*out = n * units[i].factor;
		return NULL;
	}
	return *text == '\0' ? "has no unit" : unknown;
}

static void value_print_unit(uint64_t value, const struct unit *units, size_t count, FILE *to)
{
	size_t i = 0;

	while (i < count - 1 && (value == 0 ? units[i].factor != units[count - 1].factor
					    : value % units[i].factor != 0))
		i++;
	fprintf(to, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
}

const char *value_parse_size(const char *text, uint64_t *out)
{
	return value_parse_unit(text, sizes, SIZES, not_a_number, out);
}

void value_print_size(uint64_t size, FILE *to)
{
	value_print_unit(size, sizes, SIZES, to);
}

const char *value_parse_duration(const char *text, uint64_t *us)
{
	return value_parse_unit(text, durations, DURATIONS, "is not a time", us);
}

void value_print_duration(uint64_t us, FILE *to)
{
	value_print_unit(us, durations, DURATIONS, to);
}

const char *value_parse_seconds(const char *text, uint64_t *s)
{
	uint64_t us;
	const char *wrong = value_parse_duration(text, &us);

	if (wrong == NULL)
		*s = us / US_PER_S + (us % US_PER_S != 0);
	return wrong;
}

void value_print_seconds(uint64_t s, FILE *to)
{
	value_print_duration(s * US_PER_S, to);
}

const char *value_parse_percent(const char *text, uint64_t *out)
{
	const char *wrong = value_digits(&text, 10, out);

	if (wrong != NULL)
		return wrong;
	if (strcmp(text, "%") != 0)
		return "is not a percentage";
	return *out > 100 ? too_large : NULL;
}

void value_print_percent(uint64_t percent, FILE *to)
{
	fprintf(to, "%" PRIu64 "%%", percent);
}

const char *value_parse_bit(const char *text, uint64_t *out)
{
	bool hex = strncmp(text, "0x", 2) == 0;
	const char *wrong;

	if (hex)
		text += 2;
	wrong = value_digits(&text, hex ? 16 : 10, out);
	if (wrong != NULL)
		return wrong;
	if (*text != '\0')
		return not_a_number;
	if (*out > UINT32_MAX)
		return too_large;
	if (*out == 0)
		return "has no bit set";
	return (*out & (*out - 1)) != 0 ? "has more than one bit set" : NULL;
}

static const char *value_skip_space(const char *s)
{
	return s + strspn(s, " \t");
}

const char *value_parse_rate(const char *text, struct policy_rate *out)
{
	uint64_t per_s, burst;
	const char *wrong = value_digits(&text, 10, &per_s);

	if (wrong != NULL)
		return wrong;
	if (strncmp(text, "/s", 2) != 0)
		return "has no unit";
	text += 2;
	burst = per_s;
	if (*text != '\0') {
		const char *word = value_skip_space(text);

		if (word == text || strncmp(word, "burst", 5) != 0)
			return "is not a rate";
		text = value_skip_space(word + 5);
		if (text == word + 5)
			return "is not a rate";
		wrong = value_parse_number(text, &burst);
		if (wrong != NULL)
			return "is not a rate";
	}
	if (per_s == 0 || burst == 0)
		return "is too small";
	if (per_s > UINT32_MAX || burst > UINT32_MAX)
		return too_large;
	*out = (struct policy_rate){.per_s = (uint32_t)per_s, .burst = (uint32_t)burst};
	return NULL;
}

void value_print_rate(const struct policy_rate *rate, FILE *to)
{
	fprintf(to, "%" PRIu32 "/s", rate->per_s);
	if (rate->burst != rate->per_s)
		fprintf(to, " burst %" PRIu32, rate->burst);
}

static const char *value_parse_addr(const char *text, struct addr *out)
{
	uint8_t octets[4];

	if (inet_pton(AF_INET, text, octets) == 1) {
		*out = addr_v4(octets);
		return NULL;
	}
	if (inet_pton(AF_INET6, text, out->b) != 1)
		return "is not an address";
	return addr_is_v4(out) ? "is an IPv4 address in IPv6 writing" : NULL;
}

static unsigned value_addr_bits(const struct addr *a)
{
	return addr_is_v4(a) ? 32 : 128;
}

static struct addr value_prefix_last(const struct addr *first, unsigned bits)
{
	struct addr last = *first;
	unsigned fixed = bits + 128 - value_addr_bits(first);

	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = fixed > i * 8 ? fixed - i * 8 : 0;

		if (keep < 8)
			last.b[i] |= (uint8_t)(0xff >> keep);
	}
	return last;
}

static const char *value_parse_prefix(const char *addr, const char *length, struct addr_range *out)
{
	const char *wrong = value_parse_addr(addr, &out->first);
	struct addr network;
	uint64_t bits;

	if (wrong != NULL)
		return wrong;
	if (value_parse_number(length, &bits) != NULL)
		return "has no number for a prefix length";
	if (bits > value_addr_bits(&out->first))
		return "has too long a prefix";
	network = addr_prefix(&out->first, (unsigned)bits);
	if (!addr_equal(&network, &out->first))
		return "has bits set behind its prefix";
	out->last = value_prefix_last(&out->first, (unsigned)bits);
	return NULL;
}

static const char *value_parse_addr_range(
	const char *first, const char *last, struct addr_range *out)
{
	const char *wrong = value_parse_addr(first, &out->first);

	if (wrong == NULL)
		wrong = value_parse_addr(last, &out->last);
	if (wrong != NULL)
		return wrong;
	if (addr_is_v4(&out->first) != addr_is_v4(&out->last))
		return "mixes IPv4 and IPv6";
	return memcmp(out->first.b, out->last.b, 16) > 0 ? "ends before it starts" : NULL;
}

const char *value_parse_addrs(const char *text, struct addr_range *out)
{
	char copy[2 * INET6_ADDRSTRLEN + 8];
	char *split;
	const char *last;
	size_t len = strlen(text);

	if (len >= sizeof(copy))
		return "is not an address";
	memcpy(copy, text, len + 1);
	split = strpbrk(copy, "/-");
	if (split == NULL) {
		const char *wrong = value_parse_addr(copy, &out->first);

		out->last = out->first;
		return wrong;
	}
	if (*split == '/') {
		*split = '\0';
		return value_parse_prefix(copy, split + 1, out);
	}
	last = value_skip_space(split + 1);
	while (split > copy && (split[-1] == ' ' || split[-1] == '\t'))
		split--;
	*split = '\0';
	return value_parse_addr_range(copy, last, out);
}

static void value_print_addr(const struct addr *a, FILE *to)
{
	char text[INET6_ADDRSTRLEN];

	if (addr_is_v4(a))
		inet_ntop(AF_INET, a->b + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, a->b, text, sizeof(text));
	fputs(text, to);
}

void value_print_addrs(const struct addr_range *range, FILE *to)
{
	unsigned all = value_addr_bits(&range->first);

	value_print_addr(&range->first, to);
	for (unsigned bits = 0; bits <= all; bits++) {
		struct addr network = addr_prefix(&range->first, bits);
		struct addr last = value_prefix_last(&range->first, bits);

		if (!addr_equal(&network, &range->first) || !addr_equal(&last, &range->last))
			continue;
		if (bits < all)
			fprintf(to, "/%u", bits);
		return;
	}
	fputc('-', to);
	value_print_addr(&range->last, to);
}

const char *value_parse_ports(const char *text, struct port_range *out)
{
	uint64_t first, last;
	const char *wrong = value_digits(&text, 10, &first);

	if (wrong == NULL) {
		last = first;
		text = value_skip_space(text);
		if (*text == '-') {
			text = value_skip_space(text + 1);
			wrong = value_digits(&text, 10, &last);
		}
	}
	if (wrong == too_large)
		return wrong;
	if (wrong != NULL || *text != '\0')
		return "is not a port";
	if (first == 0)
		return "is too small";
	if (first > UINT16_MAX || last > UINT16_MAX)
		return too_large;
	if (first > last)
		return "ends before it starts";
	*out = (struct port_range){.first = (uint16_t)first, .last = (uint16_t)last};
	return NULL;
}

void value_print_ports(const struct port_range *range, FILE *to)
{
	fprintf(to, "%u", range->first);
	if (range->last != range->first)
		fprintf(to, "-%u", range->last);
}

const char *value_parse_host(const char *text, struct addr_range *out)
{
	static const struct addr none4 = {.b = {[10] = 0xff, [11] = 0xff}}, none6;
	const char *wrong = value_parse_addrs(text, out);

	if (wrong != NULL)
		return wrong;
	if (!addr_equal(&out->first, &out->last))
		return "is more than one address";
	if (addr_equal(&out->first, &none4) || addr_equal(&out->first, &none6))
		return "is no host's address";
	return NULL;
}

const char *value_parse_endpoint(const char *text, struct endpoint *out)
{
	const char *colon = strrchr(text, ':'), *wrong;
	bool brackets = *text == '[';
	struct port_range port;
	char addr[INET6_ADDRSTRLEN];
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;

	if (colon == NULL || (brackets && colon[-1] != ']'))
		return "has no port";
	if (!brackets && memchr(text, ':', len) != NULL)
		return "has no brackets around its IPv6 address";
	if (brackets) {
		text++;
		len -= 2;
	}
	if (len >= sizeof(addr))
		return "is not an address";
	memcpy(addr, text, len);
	addr[len] = '\0';
	wrong = value_parse_addr(addr, &out->addr);
	if (wrong != NULL)
		return wrong;
	if (brackets && addr_is_v4(&out->addr))
		return "has brackets around an IPv4 address";
	if (value_parse_ports(colon + 1, &port) != NULL || port.first != port.last)
		return "has no good port";
	out->port = port.first;
	return NULL;
}

void value_print_endpoint(const struct endpoint *at, FILE *to)
{
	bool v4 = addr_is_v4(&at->addr);

	fputs(v4 ? "" : "[", to);
	value_print_addr(&at->addr, to);
	fprintf(to, v4 ? ":%u" : "]:%u", at->port);
}

/* Letters and digits of ASCII, whatever the locale, and those of `more`. */
static bool value_only(const char *text, const char *more)
{
	for (; *text != '\0'; text++) {
		bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
		bool digit = *text >= '0' && *text <= '9';

		if (!letter && !digit && strchr(more, *text) == NULL)
			return false;
	}
	return true;
}

/* Narrower than the kernel's dev_valid_name, which lets quotes and wildcards by that mean something
 * in rules. */
const char *value_parse_interface(const char *text, char out[static POLICY_IFNAME])
{
	size_t len = strlen(text);

	if (len >= POLICY_IFNAME)
		return "is longer than 15 bytes";
	if (!value_only(text, "._-@") || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return "is not an interface's name";
	memset(out, 0, POLICY_IFNAME);
	memcpy(out, text, len);
	return NULL;
}

const char *value_parse_user(const char *text)
{
	if (!value_only(text, "._-$") || *text == '-' || (*text >= '0' && *text <= '9'))
		return "is not a user's name";
	return NULL;
}

const char *value_parse_path(const char *text)
{
	return *text == '/' ? NULL : "is not a path from the root";
}
