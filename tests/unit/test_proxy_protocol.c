/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every header is fed a byte more at a time, so each row also says when the verdict comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "splice/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdio.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define CLIENT4   "\xc0\x00\x02\x01"                             /* 192.0.2.1 */
#define SERVER4   "\xc6\x33\x64\x02"                             /* 198.51.100.2 */
#define CLIENT6   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"   /* 2001:db8::1 */
#define MAPPED4   "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x02" /* ::ffff:198.51.100.2 */
#define PORTS     "\x9c\x40\x01\xbb"                             /* 40000, 443 */
#define BYTES(s)  (const uint8_t *)(s), sizeof(s) - 1

struct good {
	const uint8_t *bytes;
	size_t len;
	const char *source; /* NULL: local */
	const char *destination;
	uint16_t source_port, destination_port;
};

struct wrong {
	const uint8_t *bytes;
	size_t len;
	size_t first; /* wrong byte */
	const char *fault;
};

static struct endpoint endpoint(const char *text, uint16_t port)
{
	struct endpoint e = {.port = port};
	uint8_t octets[4];

	if (inet_pton(AF_INET, text, octets) == 1)
		e.addr = addr_v4(octets);
	else
		assert_int_equal(inet_pton(AF_INET6, text, e.addr.b), 1);
	return e;
}

static void assert_endpoint(const struct endpoint *e, const char *text, uint16_t port)
{
	struct endpoint expected = endpoint(text, port);

	assert_memory_equal(&e->addr, &expected.addr, sizeof(e->addr));
	assert_int_equal(e->port, port);
}

static void assert_good(const struct good *g, enum proxy_protocol allowed)
{
	uint8_t bytes[PROXY_HEADER_MAX + 2];
	struct proxy_header h;

	memset(bytes, 'P', sizeof(bytes));
	memcpy(bytes, g->bytes, g->len);
	for (size_t len = 0; len < g->len; len++)
		assert_int_equal(proxy_parse(bytes, len, allowed, &h), PROXY_NEED_MORE);
	for (size_t more = 0; more < 3; more++) {
		assert_int_equal(proxy_parse(bytes, g->len + more, allowed, &h), PROXY_DONE);
		assert_int_equal(h.len, g->len);
		assert_int_equal(h.local, g->source == NULL);
		if (h.local)
			continue;
		assert_endpoint(&h.source, g->source, g->source_port);
		assert_endpoint(&h.destination, g->destination, g->destination_port);
	}
}

static void assert_wrong(const struct wrong *w, enum proxy_protocol allowed)
{
	struct proxy_header h;

	for (size_t len = 0; len <= w->len; len++) {
		enum proxy_verdict v = proxy_parse(w->bytes, len, allowed, &h);
		if ((v == PROXY_BAD) != (len > w->first))
			fail_msg("\"%s\": verdict %d after %zu bytes", (const char *)w->bytes, v,
				len);
		if (v == PROXY_BAD)
			assert_string_equal(h.fault, w->fault);
		else
			assert_int_equal(v, PROXY_NEED_MORE);
	}
}

static void version_1_is_read(void **state)
{
	/* The first ones are the specification's examples. */
	static const struct good rows[] = {
		{BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
			"255.255.255.255", "255.255.255.255", 65535, 65535},
		{BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 65535},
		{BYTES("PROXY UNKNOWN\r\n"), NULL, NULL, 0, 0},
		{BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
			NULL, NULL, 0, 0},
		{BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1",
			"192.168.0.11", 56324, 443},
		{BYTES("PROXY TCP4 0.0.0.0 10.20.30.40 0 1\r\n"), "0.0.0.0", "10.20.30.40", 0, 1},
		{BYTES("PROXY TCP6 :: 1:2:3:4:5:6:7:8 1 2\r\n"), "::", "1:2:3:4:5:6:7:8", 1, 2},
		{BYTES("PROXY TCP6 2001:DB8::1 1:2:3:4:5:6:192.0.2.1 1 2\r\n"), "2001:db8::1",
			"1:2:3:4:5:6:c000:201", 1, 2},
		{BYTES("PROXY TCP6 ::ffff:192.0.2.1 1:: 1 2\r\n"), "192.0.2.1", "1::", 1, 2},
		{BYTES("PROXY UNKNOWN \r\n"), NULL, NULL, 0, 0},
		{BYTES("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567"
		       "890123456789012345678901234567890\r\n"),
			NULL, NULL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_good(&rows[i], PROXY_V1);
		assert_good(&rows[i], PROXY_ANY);
	}
}

static void version_2_is_read(void **state)
{
	static const uint8_t longest[PROXY_HEADER_MAX] =
		SIGNATURE "\x21\x11\x02\x18" CLIENT4 SERVER4 PORTS;
	static const uint8_t unix_domain[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/run/a";
	static const struct good rows[] = {
		{BYTES(SIGNATURE "\x21\x11\0\x0c" CLIENT4 SERVER4 PORTS), "192.0.2.1",
			"198.51.100.2", 40000, 443},
		{BYTES(SIGNATURE "\x21\x21\0\x24" CLIENT6 MAPPED4 PORTS), "2001:db8::1",
			"198.51.100.2", 40000, 443},
		{BYTES(SIGNATURE "\x21\x11\0\x11" CLIENT4 SERVER4 PORTS "\x01\0\x02h2"),
			"192.0.2.1", "198.51.100.2", 40000, 443},
		{longest, sizeof(longest), "192.0.2.1", "198.51.100.2", 40000, 443},
		{unix_domain, sizeof(unix_domain), NULL, NULL, 0, 0},
		{BYTES(SIGNATURE "\x20\x00\0\0"), NULL, NULL, 0, 0},
		{BYTES(SIGNATURE "\x20\x11\0\x0c" CLIENT4 SERVER4 PORTS), NULL, NULL, 0, 0},
		{BYTES(SIGNATURE "\x20\x99\0\x01x"), NULL, NULL, 0, 0},
		{BYTES(SIGNATURE "\x21\x00\0\x03xyz"), NULL, NULL, 0, 0},
		{BYTES(SIGNATURE "\x21\x12\0\x0c" CLIENT4 SERVER4 PORTS), NULL, NULL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_good(&rows[i], PROXY_V2);
		assert_good(&rows[i], PROXY_ANY);
	}
}

static void a_wrong_byte_of_version_1_is_told_at_once(void **state)
{
	static const char no_kind[] = "neither TCP4, TCP6 nor UNKNOWN";
	static const struct wrong rows[] = {
		{BYTES("GET / HTTP/1.1\r\n"), 0, "no PROXY header"},
		{BYTES("PROXZ TCP4"), 4, "no PROXY header"},
		{BYTES("PROXY  TCP4 1.2.3.4"), 6, no_kind},
		{BYTES("PROXY TCP5 1.2.3.4"), 9, no_kind},
		{BYTES("PROXY UDP4 1.2.3.4"), 7, no_kind},
		{BYTES("PROXY TCP4\r\n"), 10, no_kind},
		{BYTES("PROXY TCP4  1.2.3.4 "), 11, "no source address"},
		{BYTES("PROXY TCP4 1.2.3.4.5 "), 18, "no source address"},
		{BYTES("PROXY TCP4 1.2.3 4"), 16, "no source address"},
		{BYTES("PROXY TCP4 256.0.0.1 "), 13, "no source address"},
		{BYTES("PROXY TCP4 01.0.0.1 "), 12, "no source address"},
		{BYTES("PROXY TCP4 1..2.3 "), 13, "no source address"},
		{BYTES("PROXY TCP4 ::1 "), 11, "no source address"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.x 1 2\r\n"), 25, "no destination address"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4\r\n"), 26, "no destination address"},
		{BYTES("PROXY TCP4 1.2.3.4\0"), 18, "no source address"},
		{BYTES("PROXY TCP6 1.2.3.4 "), 12, "no source address"},
		{BYTES("PROXY TCP6 12345::1 "), 15, "no source address"},
		{BYTES("PROXY TCP6 1::2::3 "), 16, "no source address"},
		{BYTES("PROXY TCP6 :1 "), 12, "no source address"},
		{BYTES("PROXY TCP6 1:2:3:4:5:6:7:8:9 "), 26, "no source address"},
		{BYTES("PROXY TCP6 fe80::1%1 "), 18, "no source address"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), 31, "no source port"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 000 2\r\n"), 28, "no source port"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"), 27, "no source port"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4  1 2\r\n"), 27, "no source port"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n"), 29, "no destination port"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"), 30, "no destination port"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), 30, "no destination port"},
		{BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r"), 31, "CR without LF"},
		{BYTES("PROXY UNKNOWNS\r\n"), 13, "neither a space nor CRLF after UNKNOWN"},
		{BYTES("PROXY UNKNOWN x\rx"), 16, "CR without LF"},
		{BYTES("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567"
		       "8901234567890123456789012345678901\r\n"),
			105, "no CRLF within 107 bytes"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_wrong(&rows[i], PROXY_V1);
		assert_wrong(&rows[i], PROXY_ANY);
	}
}

static void a_wrong_byte_of_version_2_is_told_at_once(void **state)
{
	static const struct wrong rows[] = {
		{BYTES("\n"), 0, "no PROXY header"},
		{BYTES("\r\n\r\n\0\r\nQUIT\r\n"), 11, "no PROXY header"},
		{BYTES(SIGNATURE "\x11\x11\0\x0c"), 12, "an unknown version or command"},
		{BYTES(SIGNATURE "\x22\x11\0\x0c"), 12, "an unknown version or command"},
		{BYTES(SIGNATURE "\x21\x41\0\x0c"), 13, "an unknown address family"},
		{BYTES(SIGNATURE "\x21\x13\0\x0c"), 13, "an unknown address family"},
		{BYTES(SIGNATURE "\x21\x10\0\x0c"), 13, "an unknown address family"},
		{BYTES(SIGNATURE "\x21\x01\0\x0c"), 13, "an unknown address family"},
		{BYTES(SIGNATURE "\x21\x11\0\x0b"), 15, "too short for its addresses"},
		{BYTES(SIGNATURE "\x21\x21\0\x23"), 15, "too short for its addresses"},
		{BYTES(SIGNATURE "\x21\x31\0\xd7"), 15, "too short for its addresses"},
		{BYTES(SIGNATURE "\x21\x11\x02\x19"), 15, "longer than 536 bytes"},
		{BYTES(SIGNATURE "\x20\x00\x03\x00"), 14, "longer than 536 bytes"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_wrong(&rows[i], PROXY_V2);
		assert_wrong(&rows[i], PROXY_ANY);
	}
}

static void only_the_allowed_version_is_read(void **state)
{
	static const struct wrong one = {
		BYTES("PROXY UNKNOWN\r\n"), 0, "no PROXY header of version 2"};
	static const struct wrong two = {
		BYTES(SIGNATURE "\x20\x00\0\0"), 0, "no PROXY header of version 1"};

	(void)state;
	assert_wrong(&one, PROXY_V2);
	assert_wrong(&two, PROXY_V1);
}

static void what_is_built(void **state)
{
	static const struct {
		const char *source, *destination;
		const char *v1;
		const uint8_t *v2;
		size_t v2_len;
	} rows[] = {
		{"192.0.2.1", "198.51.100.2", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n",
			BYTES(SIGNATURE "\x21\x11\0\x0c" CLIENT4 SERVER4 PORTS)},
		{"2001:db8::1", "198.51.100.2",
			"PROXY TCP6 2001:db8::1 ::ffff:198.51.100.2 40000 443\r\n",
			BYTES(SIGNATURE "\x21\x21\0\x24" CLIENT6 MAPPED4 PORTS)},
		{"2001:db8::1", "2001:db8::1", "PROXY TCP6 2001:db8::1 2001:db8::1 40000 443\r\n",
			BYTES(SIGNATURE "\x21\x21\0\x24" CLIENT6 CLIENT6 PORTS)},
		{NULL, NULL, "PROXY UNKNOWN\r\n", BYTES(SIGNATURE "\x20\x00\0\0")},
	};
	uint8_t out[PROXY_BUILD_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct endpoint source = {0}, destination = {0};
		bool named = rows[i].source != NULL;
		if (named) {
			source = endpoint(rows[i].source, 40000);
			destination = endpoint(rows[i].destination, 443);
		}
		size_t len = proxy_build(
			out, PROXY_V1, named ? &source : NULL, named ? &destination : NULL);
		assert_int_equal(len, strlen(rows[i].v1));
		assert_memory_equal(out, rows[i].v1, len);
		len = proxy_build(
			out, PROXY_V2, named ? &source : NULL, named ? &destination : NULL);
		assert_int_equal(len, rows[i].v2_len);
		assert_memory_equal(out, rows[i].v2, len);
	}
}

static void the_longest_that_is_built_fits(void **state)
{
	struct endpoint e = endpoint("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
	uint8_t out[PROXY_BUILD_MAX];

	(void)state;
	assert_int_equal(proxy_build(out, PROXY_V1, &e, &e), 104);
	assert_memory_equal(out + 102, "\r\n", 2);
	assert_int_equal(proxy_build(out, PROXY_V2, &e, &e), 52);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1_is_read),
		cmocka_unit_test(version_2_is_read),
		cmocka_unit_test(a_wrong_byte_of_version_1_is_told_at_once),
		cmocka_unit_test(a_wrong_byte_of_version_2_is_told_at_once),
		cmocka_unit_test(only_the_allowed_version_is_read),
		cmocka_unit_test(what_is_built),
		cmocka_unit_test(the_longest_that_is_built_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
