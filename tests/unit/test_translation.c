/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets that the gate writes for connections that began with a cookie: any segment, errors about
 * sizes, and the two that end a handshake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/checksum.h"
#include "core/tcpopt.h"
#include "core/translation.h"
#include "core/wire.h"

#include <stdlib.h>

struct written {
	uint8_t *bytes;
	size_t len;
	size_t ip_len;
	struct segment seg;
};

static struct addr client(bool v6)
{
	static const struct addr six = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};

	return v6 ? six : addr_v4((const uint8_t[]){192, 0, 2, 1});
}

static struct addr server(bool v6)
{
	static const struct addr six = {.b = {0x20, 0x01, 0x0d, 0xb8, 0, 1, [15] = 2}};

	return v6 ? six : addr_v4((const uint8_t[]){198, 51, 100, 2});
}

static struct addr router(bool v6)
{
	static const struct addr six = {.b = {0x20, 0x01, 0x0d, 0xb8, 0xff, [15] = 7}};

	return v6 ? six : addr_v4((const uint8_t[]){203, 0, 113, 7});
}

static struct build_segment segment(bool v6)
{
	return (struct build_segment){
		.src = client(v6),
		.dst = server(v6),
		.src_port = 40000,
		.dst_port = 443,
		.seq = 0x11223344,
		.ack = 0xfedcba98,
		.flags = TCP_ACK,
		.window = 0xabcd,
	};
}

static void check_ip(const struct written *w)
{
	if (w->bytes[0] >> 4 == 6) {
		assert_int_equal(wire_get16(w->bytes + 4) + IPV6_HEADER, w->len);
		return;
	}
	assert_int_equal(wire_get16(w->bytes + 2), w->len);
	assert_int_equal(checksum_ipv4(w->bytes, IPV4_HEADER), 0);
}

/* Into a heap block of just the size that is promised to be enough. */
static struct written write(const struct build_segment *s)
{
	struct written w = {.bytes = malloc(BUILD_MAX)};
	struct addr from;

	assert_non_null(w.bytes);
	w.len = build_segment(w.bytes, s);
	assert_in_range(w.len, 40, BUILD_MAX);
	w.ip_len = addr_is_v4(&s->src) ? IPV4_HEADER : IPV6_HEADER;
	check_ip(&w);
	assert_int_equal(packet_parse(w.bytes, w.len, w.len, true, &w.seg, &from), PACKET_TCP);
	assert_int_equal(w.seg.data_len, 0);
	return w;
}

/* Linux's order and padding: a client's options say much about what it is. */
static void options_stand_as_linux_has_them(void **state)
{
	static const uint8_t all[] = {
		2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7};
	static const uint8_t no_sack[] = {
		2, 4, 0x05, 0xb4, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7};
	static const uint8_t no_timestamps[] = {2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7};
	static const uint8_t ack[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
	const struct {
		bool mss, sack, timestamps, wscale;
		const uint8_t *bytes;
		size_t len;
	} rows[] = {
		{true, true, true, true, all, sizeof(all)},
		{true, false, true, true, no_sack, sizeof(no_sack)},
		{true, true, false, true, no_timestamps, sizeof(no_timestamps)},
		{false, false, true, false, ack, sizeof(ack)},
		{true, false, false, false, all, 4},
		{false, false, false, false, all, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct build_segment s = segment(v6);
			struct written w;

			s.mss = rows[i].mss ? 1460 : 0;
			s.sack_permitted = rows[i].sack;
			s.has_timestamp = rows[i].timestamps;
			s.tsval = 0x01020304;
			s.tsecr = 0x05060708;
			s.has_wscale = rows[i].wscale;
			s.wscale = 7;
			w = write(&s);
			assert_int_equal(w.len, w.ip_len + TCP_HEADER + rows[i].len);
			assert_memory_equal(
				w.bytes + w.ip_len + TCP_HEADER, rows[i].bytes, rows[i].len);
			free(w.bytes);
		}
}

static void any_segment_reads_back(void **state)
{
	(void)state;
	srand(7);
	for (unsigned round = 0; round < 20000; round++) {
		struct build_segment s = segment(round & 1);
		struct written w;

		s.seq = (uint32_t)rand() * 2654435761u;
		s.ack = (uint32_t)rand() * 2654435761u;
		s.window = (uint16_t)rand();
		s.flags = round & 2 ? TCP_SYN | TCP_ACK | TCP_ECE : TCP_ACK;
		s.mss = round & 4 ? (uint16_t)(1 + rand() % 65535) : 0;
		s.sack_permitted = round & 8;
		s.has_wscale = round & 16;
		s.wscale = (uint8_t)(rand() % 15);
		s.has_timestamp = round & 32;
		s.tsval = (uint32_t)rand();
		s.tsecr = (uint32_t)rand();
		w = write(&s);
		assert_memory_equal(&w.seg.src, &s.src, sizeof(s.src));
		assert_memory_equal(&w.seg.dst, &s.dst, sizeof(s.dst));
		assert_int_equal(w.seg.src_port, s.src_port);
		assert_int_equal(w.seg.dst_port, s.dst_port);
		assert_int_equal(w.seg.seq, s.seq);
		assert_int_equal(w.seg.ack, s.ack);
		assert_int_equal(w.seg.flags, s.flags);
		assert_int_equal(w.seg.window, s.window);
		assert_int_equal(w.seg.opt.mss, s.mss);
		assert_int_equal(w.seg.opt.sack_permitted, s.sack_permitted);
		assert_int_equal(w.seg.opt.has_wscale, s.has_wscale);
		assert_int_equal(w.seg.opt.wscale, s.has_wscale ? s.wscale : 0);
		assert_int_equal(w.seg.opt.has_timestamp, s.has_timestamp);
		assert_int_equal(w.seg.opt.tsval, s.has_timestamp ? s.tsval : 0);
		assert_int_equal(w.seg.opt.tsecr, s.has_timestamp ? s.tsecr : 0);
		free(w.bytes);
	}
}

static void errors_about_sizes_read_back(void **state)
{
	static const uint32_t mtus[] = {0, 68, 1280, 1400, 1500, 9000, 65535};

	(void)state;
	for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			const struct build_too_big e = {
				.from = router(v6),
				.to = server(v6),
				.mtu = mtus[i],
				.quoted = {server(v6), client(v6), 443, 40000},
				.seq = 0xfffffff0,
			};
			struct written w = {.bytes = malloc(BUILD_MAX)};
			struct addr from;

			assert_non_null(w.bytes);
			w.len = build_too_big(w.bytes, &e);
			w.ip_len = v6 ? IPV6_HEADER : IPV4_HEADER;
			assert_int_equal(w.len, 2 * w.ip_len + ICMP_HEADER + TCP_HEADER);
			check_ip(&w);
			assert_int_equal(packet_parse(w.bytes, w.len, w.len, true, &w.seg, &from),
				PACKET_TOO_BIG);
			assert_memory_equal(&from, &e.from, sizeof(from));
			assert_memory_equal(v6 ? w.bytes + 24 : w.bytes + 16,
				v6 ? e.to.b : e.to.b + 12, v6 ? 16 : 4);
			assert_memory_equal(&w.seg.src, &e.quoted.client, sizeof(w.seg.src));
			assert_memory_equal(&w.seg.dst, &e.quoted.server, sizeof(w.seg.dst));
			assert_int_equal(w.seg.src_port, 443);
			assert_int_equal(w.seg.dst_port, 40000);
			assert_int_equal(w.seg.seq, 0xfffffff0);
			assert_int_equal(w.seg.ack, mtus[i]);
			if (!v6)
				assert_int_equal(
					checksum_ipv4(w.bytes + IPV4_HEADER, w.len - IPV4_HEADER),
					0);
			else
				assert_int_equal(
					checksum_icmpv6(&e.from, &e.to, w.bytes + IPV6_HEADER,
						w.len - IPV6_HEADER),
					0);
			free(w.bytes);
		}
}

/* Behind DNAT and SNAT, with numbers next to where they wrap. */
static struct translation translation(bool v6)
{
	return (struct translation){
		.tuple = {client(v6), server(v6), 40000, 8443},
		.public_addr = router(v6),
		.public_port = 443,
		.client_isn = 0xffffffff,
		.cookie_isn = 0xfffffffe,
		.server_isn = 0x7fffffff,
		.scales = true,
		.client_wscale = 8,
		.server_wscale = 7,
		.timestamps = true,
		.cookie_tsval = 11,
		.server_tsval = 22,
		.client_tsval = 33,
		.client_window = 501,
		.server_window = 65160,
	};
}

static struct segment parsed(uint8_t *bytes, size_t len)
{
	struct segment seg;
	struct addr from;

	assert_in_range(len, 1, BUILD_MAX);
	assert_int_equal(packet_parse(bytes, len, len, true, &seg, &from), PACKET_TCP);
	return seg;
}

static void the_server_gets_the_clients_ack(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct translation t = translation(v6);
		struct addr as = router(v6), to = server(v6);
		uint8_t bytes[BUILD_MAX];
		struct segment seg = parsed(bytes, translation_build_ack(&t, &as, 50000, bytes));

		assert_memory_equal(&seg.src, &as, sizeof(as));
		assert_memory_equal(&seg.dst, &to, sizeof(to));
		assert_int_equal(seg.src_port, 50000);
		assert_int_equal(seg.dst_port, 8443);
		assert_int_equal(seg.flags, TCP_ACK);
		assert_int_equal(seg.seq, 0);
		assert_int_equal(seg.ack, 0x80000000);
		assert_int_equal(seg.window, 501);
		assert_true(seg.opt.has_timestamp);
		assert_int_equal(seg.opt.tsval, 33);
		assert_int_equal(seg.opt.tsecr, 22);
		t.timestamps = false;
		seg = parsed(bytes, translation_build_ack(&t, &as, 50000, bytes));
		assert_false(seg.opt.has_timestamp);
	}
}

static void the_client_gets_the_servers_window(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct translation t = translation(v6);
		struct addr as = router(v6), to = client(v6);
		uint8_t bytes[BUILD_MAX];
		struct segment seg = parsed(bytes, translation_build_update(&t, bytes));

		assert_memory_equal(&seg.src, &as, sizeof(as));
		assert_memory_equal(&seg.dst, &to, sizeof(to));
		assert_int_equal(seg.src_port, 443);
		assert_int_equal(seg.dst_port, 40000);
		assert_int_equal(seg.flags, TCP_ACK);
		assert_int_equal(seg.seq, 0xffffffff);
		assert_int_equal(seg.ack, 0);
		assert_int_equal(seg.window, 65160 >> 7);
		assert_int_equal(seg.opt.tsval, 11);
		assert_int_equal(seg.opt.tsecr, 33);
	}
}

static void an_open_window_does_not_look_closed(void **state)
{
	static const struct {
		bool scales;
		uint8_t shift;
		uint16_t window, told;
	} rows[] = {
		{true, 14, 1, 1},
		{true, 14, 16383, 1},
		{true, 14, 16384, 1},
		{true, 14, 0, 0},
		{true, 0, 7, 7},
		{false, 14, 65160, 65160},
		{false, 14, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct translation t = {.scales = rows[i].scales,
			.server_wscale = rows[i].shift,
			.server_window = rows[i].window};

		assert_int_equal(translation_window(&t), rows[i].told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_as_linux_has_them),
		cmocka_unit_test(any_segment_reads_back),
		cmocka_unit_test(errors_about_sizes_read_back),
		cmocka_unit_test(the_server_gets_the_clients_ack),
		cmocka_unit_test(the_client_gets_the_servers_window),
		cmocka_unit_test(an_open_window_does_not_look_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
