/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/window.h"

enum {
	CLIENT,
	SERVER,
	ACK = TCP_ACK,
	SYN_ACK = TCP_SYN | TCP_ACK,
};

static struct segment seg(uint8_t flags, uint32_t seq, uint32_t ack, uint16_t window, uint32_t len)
{
	return (struct segment){
		.flags = flags, .seq = seq, .ack = ack, .window = window, .data_len = len};
}

/* Client ISN 99, server ISN 199; unscaled windows of 1000 unless scales are given. */
static struct window opened(int client_scale, int server_scale)
{
	struct segment syn = seg(TCP_SYN, 99, 0, 1000, 0);
	struct segment syn_ack = seg(SYN_ACK, 199, 100, 1000, 0);
	struct window w;

	syn.opt.has_wscale = client_scale >= 0;
	syn.opt.wscale = client_scale >= 0 ? (uint8_t)client_scale : 0;
	syn_ack.opt.has_wscale = server_scale >= 0;
	syn_ack.opt.wscale = server_scale >= 0 ? (uint8_t)server_scale : 0;
	window_syn(&w, &syn, true);
	window_syn_ack(&w, &syn_ack);
	return w;
}

static bool inside(const struct window *w, unsigned side, const struct segment *s)
{
	return window_check(w, side, s) == WINDOW_INSIDE;
}

static void a_window_ends_where_the_other_end_says(void **state)
{
	struct window w = opened(-1, -1);
	struct segment s;

	(void)state;
	s = seg(ACK, 100, 200, 1000, 1000);
	assert_true(inside(&w, CLIENT, &s));
	s = seg(ACK, 100, 200, 1000, 1001); /* a probe */
	assert_true(inside(&w, CLIENT, &s));
	s = seg(ACK, 100, 200, 1000, 1002);
	assert_int_equal(window_check(&w, CLIENT, &s), WINDOW_OUTSIDE_SEQ);
	s = seg(ACK, 100, 201, 1000, 0);
	assert_int_equal(window_check(&w, CLIENT, &s), WINDOW_OUTSIDE_ACK);
}

static void both_scale_or_neither(void **state)
{
	static const struct {
		int client, server;
		uint32_t client_may, server_may;
	} rows[] = {
		{-1, -1, 1000, 1000},
		{4, -1, 1000, 1000},
		{-1, 4, 1000, 1000},
		{0, 0, 1000, 1000},
		{4, 2, 4000, 16000},
		{14, 0, 1000, 16384000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct window w = opened(rows[i].client, rows[i].server);
		struct segment s = seg(ACK, 100, 200, 1000, 0);

		window_update(&w, CLIENT, &s);
		s = seg(ACK, 200, 100, 1000, 0);
		window_update(&w, SERVER, &s);
		assert_int_equal(w.end[CLIENT].limit, 100 + rows[i].client_may);
		assert_int_equal(w.end[SERVER].limit, 200 + rows[i].server_may);
	}
}

/* Its first SYN-ACK came without the option, the next one with it. */
static void a_later_syn_ack_settles_the_scales_anew(void **state)
{
	struct window w = opened(4, -1);
	struct segment syn_ack = seg(SYN_ACK, 299, 100, 1000, 0);
	struct segment s = seg(ACK, 100, 300, 1000, 0);

	(void)state;
	syn_ack.opt.has_wscale = true;
	window_syn_ack(&w, &syn_ack);
	window_update(&w, CLIENT, &s);
	assert_int_equal(w.end[SERVER].limit, 300 + 16000);
}

static void what_is_old_is_outside(void **state)
{
	struct window w = opened(-1, -1);
	struct segment s;

	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		s = seg(ACK, 100 + i * 1000, 200, 1000, 1000);
		assert_true(inside(&w, CLIENT, &s));
		window_update(&w, CLIENT, &s);
		s = seg(ACK, 200, 1100 + i * 1000, 1000, 0);
		assert_true(inside(&w, SERVER, &s));
		window_update(&w, SERVER, &s);
	}
	s = seg(ACK, 100 + 199 * 1000, 200, 1000, 1000); /* sent again */
	assert_true(inside(&w, CLIENT, &s));
	s = seg(ACK, 100, 200, 1000, 1000);
	assert_int_equal(window_check(&w, CLIENT, &s), WINDOW_OUTSIDE_SEQ);
	s = seg(ACK, 200, 1100, 1000, 0);
	assert_int_equal(window_check(&w, SERVER, &s), WINDOW_OUTSIDE_ACK);
}

static void a_window_never_shrinks_below_what_was_offered(void **state)
{
	struct window w = opened(-1, -1);
	struct segment s = seg(ACK, 200, 100, 10, 0);

	(void)state;
	window_update(&w, SERVER, &s);
	s = seg(ACK, 100, 200, 1000, 1000);
	assert_true(inside(&w, CLIENT, &s));
}

static void an_rst_is_obeyed_at_two_numbers(void **state)
{
	struct window w = opened(-1, -1);
	struct segment s = seg(ACK, 100, 200, 1000, 500);

	(void)state;
	window_update(&w, CLIENT, &s);
	s = seg(ACK, 200, 300, 1000, 0);
	window_update(&w, SERVER, &s);
	for (uint32_t seq = 0; seq < 2000; seq++) {
		s = seg(TCP_RST, seq, 0, 0, 0);
		assert_int_equal(window_rst_obeyed(&w, CLIENT, &s), seq == 300 || seq == 600);
	}
}

static void a_fin_is_acknowledged_by_the_number_after_it(void **state)
{
	struct window w = opened(-1, -1);
	struct segment s = seg(ACK, 200, 110, 1000, 0);

	(void)state;
	assert_false(window_acks_fin(&w, SERVER, &s));
	s = seg(TCP_FIN | ACK, 100, 200, 1000, 10);
	window_update(&w, CLIENT, &s);
	s = seg(ACK, 200, 110, 1000, 0);
	assert_false(window_acks_fin(&w, SERVER, &s));
	s = seg(ACK, 200, 111, 1000, 0);
	assert_true(window_acks_fin(&w, SERVER, &s));
	s = seg(TCP_RST, 200, 111, 1000, 0);
	assert_false(window_acks_fin(&w, SERVER, &s));
}

static void stripped_data_was_never_sent(void **state)
{
	struct segment syn = seg(TCP_SYN, 99, 0, 1000, 50);
	struct window w;

	(void)state;
	window_syn(&w, &syn, true);
	assert_int_equal(w.end[CLIENT].next, 150);
	window_syn(&w, &syn, false);
	assert_int_equal(w.end[CLIENT].next, 100);
}

static void a_copy_overtaken_by_a_window_of_newer_data_is_inside(void **state)
{
	struct window w = opened(4, 4);
	struct segment newer = seg(ACK, 200000, 200, 1000, 1000);
	struct segment copy = seg(ACK, 200000 - 100000, 200, 1000, 1000);
	struct segment ancient = seg(ACK, 200000 - 200000, 200, 1000, 1000);

	(void)state;
	window_update(&w, CLIENT, &newer);
	w.end[CLIENT].limit = newer.seq + 2000;
	assert_true(inside(&w, CLIENT, &copy));
	assert_false(inside(&w, CLIENT, &ancient));
}

static void a_noted_syn_begins_anew_once_it_is_taken(void **state)
{
	struct window w = opened(4, 4);
	struct segment syn = seg(TCP_SYN, 700000, 0, 500, 0);
	struct segment syn_ack = seg(SYN_ACK, 90000, 700001, 600, 0);
	struct segment s = seg(ACK, 100, 200, 1000, 100);

	(void)state;
	window_note_syn(&w, &syn);
	assert_true(w.has_other);
	assert_true(inside(&w, CLIENT, &s));
	window_reopen(&w, &syn_ack);
	assert_false(w.has_other);
	assert_false(inside(&w, CLIENT, &s));
	s = seg(ACK, 700001, 90001, 500, 600);
	assert_true(inside(&w, CLIENT, &s));
	window_update(&w, CLIENT, &s);
	assert_int_equal(w.end[SERVER].limit, 90001 + 500);
}

static void the_clients_choice_of_an_isn_holds(void **state)
{
	struct window w = opened(-1, -1);
	struct segment other = seg(SYN_ACK, 700000, 100, 1000, 0);
	struct segment s = seg(ACK, 200, 100, 1000, 1000);

	(void)state;
	window_syn_ack(&w, &other);
	assert_false(inside(&w, SERVER, &s));
	window_choose_isn(&w, 199);
	assert_true(inside(&w, SERVER, &s));
}

static void a_flow_joined_midway_is_not_judged(void **state)
{
	struct window w;
	struct segment s = seg(ACK, 5000, 6000, 10, 100);

	(void)state;
	window_join(&w, SERVER, &s);
	s = seg(ACK, 0x80000000, 77, 10, 100);
	assert_true(inside(&w, SERVER, &s));
	assert_true(inside(&w, CLIENT, &s));
	s = seg(TCP_RST, 1, 0, 0, 0);
	assert_true(window_rst_obeyed(&w, CLIENT, &s));
	s = seg(TCP_FIN | ACK, 5100, 6000, 10, 0);
	window_update(&w, SERVER, &s);
	s = seg(ACK, 6000, 5101, 10, 0);
	assert_true(window_acks_fin(&w, CLIENT, &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_ends_where_the_other_end_says),
		cmocka_unit_test(both_scale_or_neither),
		cmocka_unit_test(a_later_syn_ack_settles_the_scales_anew),
		cmocka_unit_test(what_is_old_is_outside),
		cmocka_unit_test(a_window_never_shrinks_below_what_was_offered),
		cmocka_unit_test(an_rst_is_obeyed_at_two_numbers),
		cmocka_unit_test(a_fin_is_acknowledged_by_the_number_after_it),
		cmocka_unit_test(stripped_data_was_never_sent),
		cmocka_unit_test(a_copy_overtaken_by_a_window_of_newer_data_is_inside),
		cmocka_unit_test(a_noted_syn_begins_anew_once_it_is_taken),
		cmocka_unit_test(the_clients_choice_of_an_isn_holds),
		cmocka_unit_test(a_flow_joined_midway_is_not_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
