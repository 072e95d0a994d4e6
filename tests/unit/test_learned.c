/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/learned.h"

static const struct siphash_key key = {5, 6};

enum {
	PORT = 443,
	ALL = LEARNED_ASKED_WSCALE | LEARNED_ASKED_SACK | LEARNED_ASKED_TIMESTAMPS |
	      LEARNED_ASKED_ECN,
};

static struct addr server(unsigned n)
{
	return addr_v4((const uint8_t[]){10, 2, (uint8_t)(n >> 8), (uint8_t)n});
}

static struct segment syn_ack(unsigned n)
{
	return (struct segment){
		.src = server(n),
		.src_port = PORT,
		.flags = TCP_SYN | TCP_ACK | TCP_ECE,
		.opt =
			{
				.mss = 1460,
				.has_wscale = true,
				.wscale = 7,
				.sack_permitted = true,
				.has_timestamp = true,
			},
	};
}

static struct learned_server found(const struct learned *l, unsigned n)
{
	struct addr a = server(n);
	struct learned_server s = {0};

	assert_true(learned_find(l, &a, PORT, &s));
	assert_true(addr_equal(&s.addr, &a));
	assert_int_equal(s.port, PORT);
	return s;
}

static bool is_known(const struct learned *l, unsigned n)
{
	struct addr a = server(n);
	struct learned_server s;

	return learned_find(l, &a, PORT, &s);
}

static void an_answer_is_remembered(void **state)
{
	struct learned *l = learned_new(64, &key);
	struct segment s = syn_ack(1);
	struct learned_server at_other_port;
	struct learned_options o;

	(void)state;
	assert_false(is_known(l, 1));
	assert_true(learned_hear(l, &s, ALL));
	assert_false(learned_hear(l, &s, ALL));
	o = found(l, 1).options;
	assert_int_equal(o.mss, 1460);
	assert_int_equal(o.wscale, LEARNED_YES);
	assert_int_equal(o.wscale_shift, 7);
	assert_int_equal(o.sack, LEARNED_YES);
	assert_int_equal(o.timestamps, LEARNED_YES);
	assert_int_equal(o.ecn, LEARNED_YES);
	assert_false(is_known(l, 2));
	assert_false(learned_find(l, &s.src, PORT + 1, &at_other_port));
	learned_free(l);
}

static void note_met(void *arg, const struct learned_server *s, uint32_t times)
{
	uint32_t *met = arg;

	met[s->addr.b[15]] += times;
}

static void meetings_are_told_once(void **state)
{
	struct learned *l = learned_new(64, &key);
	struct segment s = syn_ack(1);
	struct addr one = server(1), two = server(2);
	struct learned_server out;
	uint32_t met[3] = {0};

	(void)state;
	learned_hear(l, &s, ALL);
	assert_true(learned_meet(l, &one, PORT, &out));
	assert_int_equal(out.options.mss, 1460);
	assert_true(learned_meet(l, &one, PORT, &out));
	assert_false(learned_meet(l, &two, PORT, &out));
	assert_true(learned_find(l, &one, PORT, &out));
	learned_met(l, note_met, met);
	learned_met(l, note_met, met);
	assert_int_equal(met[1], 2);
	assert_int_equal(met[2], 0);
	learned_free(l);
}

static void what_was_not_asked_for_stays(void **state)
{
	struct learned *l = learned_new(64, &key);
	struct segment s = syn_ack(1);
	struct learned_options o;

	(void)state;
	s.opt = (struct tcp_options){.mss = 1400};
	s.flags = TCP_SYN | TCP_ACK;
	assert_true(learned_hear(l, &s, 0));
	o = found(l, 1).options;
	assert_int_equal(o.mss, 1400);
	assert_int_equal(o.wscale, LEARNED_UNKNOWN);
	assert_int_equal(o.sack, LEARNED_UNKNOWN);
	assert_int_equal(o.timestamps, LEARNED_UNKNOWN);
	assert_int_equal(o.ecn, LEARNED_UNKNOWN);

	assert_true(learned_hear(l, &s, LEARNED_ASKED_SACK));
	o = found(l, 1).options;
	assert_int_equal(o.sack, LEARNED_NO);
	assert_int_equal(o.wscale, LEARNED_UNKNOWN);

	s = syn_ack(1);
	assert_true(learned_hear(l, &s, ALL));
	s.opt = (struct tcp_options){.mss = 1460};
	s.flags = TCP_SYN | TCP_ACK;
	assert_false(learned_hear(l, &s, 0));
	o = found(l, 1).options;
	assert_int_equal(o.wscale, LEARNED_YES);
	assert_int_equal(o.wscale_shift, 7);
	assert_int_equal(o.timestamps, LEARNED_YES);
	assert_int_equal(o.ecn, LEARNED_YES);

	assert_true(learned_hear(l, &s, ALL));
	o = found(l, 1).options;
	assert_int_equal(o.wscale, LEARNED_NO);
	assert_int_equal(o.sack, LEARNED_NO);
	assert_int_equal(o.timestamps, LEARNED_NO);
	assert_int_equal(o.ecn, LEARNED_NO);
	learned_free(l);
}

static void ecn_is_ece_alone(void **state)
{
	struct learned *l = learned_new(64, &key);
	struct segment s = syn_ack(1);

	(void)state;
	s.flags |= TCP_CWR;
	learned_hear(l, &s, ALL);
	assert_int_equal(found(l, 1).options.ecn, LEARNED_NO);
	learned_free(l);
}

static void without_mss_option_it_is_536(void **state)
{
	struct learned *l = learned_new(64, &key);
	struct segment s = syn_ack(1);

	(void)state;
	s.opt.mss = 0;
	learned_hear(l, &s, ALL);
	assert_int_equal(found(l, 1).options.mss, LEARNED_MSS_NONE);
	learned_free(l);
}

static void what_a_syn_asks_for(void **state)
{
	struct segment s = {.flags = TCP_SYN};

	(void)state;
	assert_int_equal(learned_asks(&s), 0);
	s.flags = TCP_SYN | TCP_ECE;
	assert_int_equal(learned_asks(&s), 0);
	s.flags = TCP_SYN | TCP_ECE | TCP_CWR;
	assert_int_equal(learned_asks(&s), LEARNED_ASKED_ECN);
	s.opt = (struct tcp_options){
		.has_wscale = true, .has_timestamp = true, .sack_permitted = true};
	assert_int_equal(learned_asks(&s), ALL);
}

static void what_is_forgotten_is_options_alone(void **state)
{
	struct learned *l = learned_new(64, &key);
	struct addr a = server(1), public = server(9);
	struct segment s = syn_ack(1);

	(void)state;
	learned_forget(l, &a, PORT);
	assert_false(is_known(l, 1));
	learned_hear(l, &s, ALL);
	learned_route(l, &a, PORT, &public, 80);
	learned_forget(l, &a, PORT);
	assert_int_equal(found(l, 1).options.mss, 0);
	assert_int_equal(found(l, 1).options.sack, LEARNED_UNKNOWN);
	assert_int_equal(found(l, 1).route, LEARNED_ROUTE_ONE);
	learned_free(l);
}

static void a_route_is_unknown_then_one_then_many(void **state)
{
	struct learned *l = learned_new(64, &key);
	struct addr a = server(1), first = server(8), second = server(9);
	struct learned_server s;

	(void)state;
	assert_true(learned_want_route(l, &a, PORT));
	assert_false(learned_want_route(l, &a, PORT));
	assert_int_equal(found(l, 1).route, LEARNED_ROUTE_UNKNOWN);
	assert_true(found(l, 1).route_wanted);
	assert_true(learned_tell_route(l, &a, PORT));
	assert_false(learned_tell_route(l, &a, PORT));

	assert_true(learned_route(l, &a, PORT, &first, 80));
	assert_false(learned_route(l, &a, PORT, &first, 80));
	assert_int_equal(found(l, 1).route, LEARNED_ROUTE_ONE);
	s = found(l, 1);
	assert_true(addr_equal(&s.public_addr, &first));
	assert_int_equal(s.public_port, 80);
	assert_true(s.route_wanted);
	assert_false(learned_want_route(l, &a, PORT));
	assert_false(learned_tell_route(l, &a, PORT));

	assert_true(learned_route(l, &a, PORT, &first, 81));
	assert_int_equal(found(l, 1).route, LEARNED_ROUTE_MANY);
	assert_false(learned_route(l, &a, PORT, &second, 80));
	assert_false(learned_route(l, &a, PORT, &first, 80));
	assert_int_equal(found(l, 1).route, LEARNED_ROUTE_MANY);
	learned_free(l);
}

/* With one set of eight places. */
static void the_one_met_longest_ago_goes(void **state)
{
	struct learned *l = learned_new(8, &key);

	(void)state;
	for (unsigned n = 0; n < 20; n++) {
		struct segment s = syn_ack(n);

		learned_hear(l, &s, ALL);
		for (unsigned known = 0; known <= n; known++)
			assert_int_equal(is_known(l, known), known + 8 > n);
	}
	learned_free(l);
}

static void what_takes_a_place_inherits_nothing(void **state)
{
	struct learned *l = learned_new(8, &key);
	struct addr public = server(99);

	(void)state;
	for (unsigned n = 0; n < 8; n++) {
		struct segment s = syn_ack(n);
		struct addr a = server(n);

		learned_hear(l, &s, ALL);
		learned_route(l, &a, PORT, &public, 80);
		learned_tell_route(l, &a, PORT);
	}
	for (unsigned n = 8; n < 16; n++) {
		struct addr a = server(n);

		assert_true(learned_want_route(l, &a, PORT));
		assert_int_equal(found(l, n).options.mss, 0);
		assert_int_equal(found(l, n).route, LEARNED_ROUTE_UNKNOWN);
		assert_true(learned_tell_route(l, &a, PORT));
	}
	learned_free(l);
}

static void count(void *arg, const struct learned_server *s)
{
	unsigned *seen = arg;

	assert_int_equal(s->port, PORT);
	seen[s->addr.b[15]]++;
}

static void each_is_named_once(void **state)
{
	struct learned *l = learned_new(4096, &key);
	unsigned seen[256] = {0};

	(void)state;
	learned_each(l, count, seen);
	for (unsigned n = 0; n < 100; n++) {
		struct segment s = syn_ack(n);

		assert_int_equal(seen[n], 0);
		learned_hear(l, &s, ALL);
	}
	learned_each(l, count, seen);
	for (unsigned n = 0; n < 256; n++)
		assert_int_equal(seen[n], n < 100);
	learned_free(l);
}

static void what_another_process_knew_is_recalled(void **state)
{
	struct learned *before = learned_new(64, &key), *after = learned_new(64, &key);
	struct segment s = syn_ack(3);
	struct addr a = server(3), public = server(99);
	struct learned_server knew, knows;

	(void)state;
	learned_hear(before, &s, ALL);
	learned_want_route(before, &a, PORT);
	learned_route(before, &a, PORT, &public, 8080);
	knew = found(before, 3);
	learned_recall(after, &knew);
	knows = found(after, 3);
	assert_memory_equal(&knows, &knew, sizeof(knew));
	/* And goes on to be learned. */
	s.opt.mss = 9000;
	assert_true(learned_hear(after, &s, ALL));
	assert_int_equal(found(after, 3).options.mss, 9000);
	learned_free(before);
	learned_free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_remembered),
		cmocka_unit_test(meetings_are_told_once),
		cmocka_unit_test(what_was_not_asked_for_stays),
		cmocka_unit_test(ecn_is_ece_alone),
		cmocka_unit_test(without_mss_option_it_is_536),
		cmocka_unit_test(what_a_syn_asks_for),
		cmocka_unit_test(what_is_forgotten_is_options_alone),
		cmocka_unit_test(a_route_is_unknown_then_one_then_many),
		cmocka_unit_test(the_one_met_longest_ago_goes),
		cmocka_unit_test(what_takes_a_place_inherits_nothing),
		cmocka_unit_test(each_is_named_once),
		cmocka_unit_test(what_another_process_knew_is_recalled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
