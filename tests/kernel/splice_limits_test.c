/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time-outs of spliced connections, and the PROXY protocol on either side. */
#include "config.h"

#include "netns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spliced.h"
#include "spliced_modes.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define TRUSTING "trusted_proxies = 127.0.0.0/8, ::1\nconnect_timeout = 400ms\n"

static void open_pair(struct spliced *g, void **state, const char *rule, int *client, int *there)
{
	int server;

	spliced_open(g, *state, 1, rule, "");
	server = spliced_server(g, 0);
	spliced_pair(g, server, client, there);
	close(server);
}

static void end_pair(struct spliced *g, int client, int there)
{
	spliced_fin(g, client);
	spliced_fin(g, there);
	close(client);
	close(there);
	spliced_close(g);
}

/* Bytes in either direction put it off. */
static void test_idle(void **state)
{
	const struct splice_record *r;
	struct spliced g;
	int client, there;

	open_pair(&g, state, "idle_timeout = 1s\nhalf_closed_timeout = 30s", &client, &there);
	for (int i = 0; i < 2; i++) {
		spliced_turn_for(&g, 600);
		spliced_says(&g, i ? client : there, i ? there : client, "not yet");
	}
	r = spliced_ended(&g, SPLICE_END_idle, SPLICE_GATE, SPLICE_OPEN);
	/* Each turn may be short by the part of a millisecond that its clock does not count. */
	assert_in_range(r->total_us, 2198000, 4000000);
	end_pair(&g, client, there);
}

static void test_half_closed(void **state)
{
	for (int from = 0; from < 2; from++) {
		struct spliced g;
		int ends[2];

		open_pair(&g, state, "half_closed_timeout = 1s", &ends[0], &ends[1]);
		spliced_says(&g, ends[0], ends[1], "hello");
		shutdown(ends[from], SHUT_WR);
		spliced_fin(&g, ends[!from]);
		assert_in_range(spliced_ended(&g, SPLICE_END_half_closed, SPLICE_GATE, SPLICE_HALF)
					->total_us,
			1000000, 3000000);
		end_pair(&g, ends[0], ends[1]);
	}
}

/* The shorter one counts, and is named. */
static void test_idle_half_closed(void **state)
{
	struct spliced g;
	int client, there;

	open_pair(&g, state, "half_closed_timeout = 30s\nidle_timeout = 1s", &client, &there);
	spliced_says(&g, client, there, "hello");
	shutdown(client, SHUT_WR);
	spliced_fin(&g, there);
	spliced_ended(&g, SPLICE_END_idle, SPLICE_GATE, SPLICE_HALF);
	end_pair(&g, client, there);
}

/* Whatever is said meanwhile: so it is an RST, for what is cut may not pass for whole. */
static void test_total(void **state)
{
	const uint64_t began = spliced_clock_ms();
	struct spliced g;
	int client, there;

	open_pair(&g, state, "total_timeout = 1s", &client, &there);
	for (int i = 0; i < 6; i++) {
		spliced_turn_for(&g, 100);
		spliced_says(&g, client, there, "on and on");
	}
	assert_in_range(spliced_ended(&g, SPLICE_END_total, SPLICE_GATE, SPLICE_OPEN)->total_us,
		1000000, 3000000);
	assert_in_range(spliced_clock_ms() - began, 1000, 4000);
	spliced_rst(&g, client);
	spliced_rst(&g, there);
	close(client);
	close(there);
	spliced_close(&g);
}

static void sends(struct spliced *g, int fd, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(send(fd, (const char *)bytes + i, 1, 0), 1);
		spliced_turn_for(g, 1);
	}
}

/* In pieces; what the header says of the client goes into the record, and on to the server. */
static void test_accept_v1(void **state)
{
	static const char v4[] = "PROXY TCP4 192.0.2.7 198.51.100.2 4321 443\r\n",
			  v6[] = "PROXY TCP6 2001:db8::7 2001:db8::2 4321 443\r\n";
	struct spliced g;
	int server, client, there;
	const char *header;
	char got[128] = "";
	size_t len;

	spliced_open(&g, *state, 1, TRUSTING "accept_proxy = v1\nsend_proxy = v1", "");
	header = g.mode.v6 ? v6 : v4;
	len = strlen(header);
	server = spliced_server(&g, 0);
	client = spliced_client(&g);
	sends(&g, client, header, len);
	assert_int_equal(send(client, "text", 4, 0), 4);
	there = spliced_accept(&g, server);
	for (size_t n = 0; n < len + 4;) {
		ssize_t more;

		SPLICED_UNTIL(
			&g, (more = recv(there, got + n, sizeof(got) - n, MSG_DONTWAIT)) != -1);
		assert_true(more > 0);
		n += (size_t)more;
	}
	assert_memory_equal(got, header, len);
	assert_memory_equal(got + len, "text", 4);
	spliced_says(&g, there, client, "fine");
	close(client);
	spliced_fin(&g, there);
	close(there);
	const struct splice_record *r =
		spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
	assert_int_equal(r->client.port, 4321);
	/* Neither header is the client's. */
	assert_int_equal(r->bytes_in, 4);
	assert_int_equal(r->bytes_out, 4);
	close(server);
	spliced_close(&g);
}

static void test_accept_v2(void **state)
{
	static const uint8_t header[] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T',
		'\n', 0x21, 0x11, 0, 12, 192, 0, 2, 7, 198, 51, 100, 2, 0x10, 0xe1, 1, 0xbb};
	struct spliced g;
	int server, client, there;

	spliced_open(&g, *state, 1, TRUSTING "accept_proxy = any\nwait_for_data = yes", "");
	server = spliced_server(&g, 0);
	client = spliced_client(&g);
	sends(&g, client, header, sizeof(header));
	spliced_turn_for(&g, 30);
	/* The header is no data. */
	assert_int_equal(backend_connections(g.splice->now.backends[0]), 0);
	assert_int_equal(send(client, "text", 4, 0), 4);
	there = spliced_accept(&g, server);
	SPLICED_UNTIL(&g, recv(there, (char[8]){0}, 8, MSG_DONTWAIT) == 4);
	close(client);
	spliced_fin(&g, there);
	close(there);
	assert_int_equal(
		spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF)->client.port,
		4321);
	close(server);
	spliced_close(&g);
}

static void test_send_v2(void **state)
{
	static const uint8_t signature[] = {
		'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n', 0x21};
	struct spliced g;
	uint8_t got[128];
	int client, there;
	uint16_t ports[2];
	size_t len;

	open_pair(&g, state, "send_proxy = v2", &client, &there);
	len = g.mode.v6 ? 52 : 28;
	SPLICED_UNTIL(&g, recv(there, got, sizeof(got), MSG_DONTWAIT) == (ssize_t)len);
	assert_memory_equal(got, signature, sizeof(signature));
	ports[0] = (uint16_t)(got[len - 4] << 8 | got[len - 3]);
	ports[1] = (uint16_t)(got[len - 2] << 8 | got[len - 1]);
	assert_int_equal(ports[0], netns_local_port(client));
	assert_int_equal(ports[1], SPLICED_PORT);
	close(client);
	spliced_fin(&g, there);
	close(there);
	assert_int_equal(
		spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF)->bytes_in, 0);
	spliced_close(&g);
}

/* No server hears of any of these. */
static void test_bad_headers(void **state)
{
	struct spliced g;
	int client, server;

	spliced_open(&g, *state, 1, TRUSTING "accept_proxy = v1", "");
	server = spliced_server(&g, 0);
	client = spliced_client(&g);
	assert_int_equal(send(client, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	spliced_rst(&g, client);
	close(client);
	spliced_ended(&g, SPLICE_END_bad_proxy, SPLICE_CLIENT, SPLICE_PROXY);
	client = spliced_client(&g);
	sends(&g, client, "PROXY TCP4 ", 11);
	assert_in_range(
		spliced_ended(&g, SPLICE_END_no_proxy, SPLICE_CLIENT, SPLICE_PROXY)->total_us,
		400000, 2000000);
	spliced_rst(&g, client);
	close(client);
	/* A FIN, or an RST, in the middle of it. */
	client = spliced_client(&g);
	spliced_turn_for(&g, 5);
	shutdown(client, SHUT_WR);
	spliced_ended(&g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_PROXY);
	close(client);
	client = spliced_client(&g);
	spliced_turn_for(&g, 5);
	spliced_cut(client);
	spliced_ended(&g, SPLICE_END_reset, SPLICE_CLIENT, SPLICE_PROXY);
	assert_int_equal(backend_connections(g.splice->now.backends[0]), 0);
	close(server);
	spliced_close(&g);
}

static void test_untrusted(void **state)
{
	struct spliced g;
	int client;

	spliced_open(&g, *state, 1, "accept_proxy = v1\ntrusted_proxies = 192.0.2.1", "");
	client = spliced_client(&g);
	spliced_rst(&g, client);
	close(client);
	spliced_ended(&g, SPLICE_END_untrusted_proxy, SPLICE_CLIENT, SPLICE_PROXY);
	spliced_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_MODE(test_idle),
		EACH_MODE(test_half_closed),
		EACH_MODE(test_idle_half_closed),
		EACH_MODE(test_total),
		EACH_MODE(test_accept_v1),
		EACH_MODE(test_accept_v2),
		EACH_MODE(test_send_v2),
		EACH_MODE(test_bad_headers),
		EACH_MODE(test_untrusted),
	};

	return spliced_run(tests);
}
