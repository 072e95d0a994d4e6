/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lasting table in a real kernel: put in, changed, missed, taken away, and what it blocks. */
#include "config.h"

#include "kernel/hold.h"
#include "kernel/lasting.h"
#include "kernel/nft_run.h"
#include "netns.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	WHY = 1000,
	PORT = 80,
	MANY = 16
};

static const struct port_range port[] = {{PORT, PORT}};
static const struct policy_rule gate[] = {
	{.name = "web",
		.slot = 3,
		.mode = MODE_GATE,
		.enforce = true,
		.port = port,
		.port_count = 1},
};
static const struct endpoint place = {{.b = {0xfd, [15] = 1}}, PORT + 3};
static const struct policy_rule open_gate[] = {
	{.name = "splice",
		.slot = 5,
		.mode = MODE_SPLICE,
		.enforce = true,
		.listen = &place,
		.listen_count = 1,
		.local = true},
	{.name = "ok", .mode = MODE_ACCEPT, .enforce = true, .port = port, .port_count = 1},
	{.name = "web", .slot = 3, .mode = MODE_GATE, .enforce = true},
};
static const struct policy_rule observing[] = {
	{.name = "web", .slot = 3, .mode = MODE_GATE, .port = port, .port_count = 1},
};
static const struct policy gate_policy = {.rules = gate, .rule_count = 1};
static const struct policy open_policy = {.rules = open_gate, .rule_count = 3};
static const struct policy observing_policy = {.rules = observing, .rule_count = 1};

static struct lasting *open_here(void)
{
	struct lasting *l = lasting_open();

	assert_non_null(l);
	if (lasting_cannot_translate(l) != NULL || lasting_cannot_block(l) != NULL) {
		lasting_close(l);
		skip();
	}
	return l;
}

static void apply(struct lasting *l, const struct policy *p, bool translate)
{
	char why[WHY] = "";

	if (lasting_apply(l, p, translate, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_true(lasting_there());
	assert_true(lasting_intact(l));
}

static void take_away(struct lasting *l)
{
	char why[WHY];

	assert_int_equal(lasting_remove(l, false, why, sizeof(why)), 0);
	assert_int_equal(lasting_remove(l, false, why, sizeof(why)), 0);
	assert_false(lasting_there());
	lasting_close(l);
	netns_sh("! nft list tables | grep -q ackgate");
}

static struct addr_range range_of(const char *first, const char *last)
{
	return (struct addr_range){netns_addr(first), netns_addr(last)};
}

static void block(struct lasting *l, const char *first, const char *last, uint32_t seconds)
{
	const struct addr_range range = range_of(first, last);
	char why[WHY] = "";

	if (lasting_block(l, &range, seconds, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

static int unblock(struct lasting *l, const char *first, const char *last, char why[static WHY])
{
	const struct addr_range range = range_of(first, last);

	why[0] = '\0';
	return lasting_unblock(l, &range, why, WHY);
}

struct listed {
	size_t count;
	struct addr_range range[MANY];
	uint32_t left_s[MANY];
};

static void note(void *arg, const struct addr_range *range, uint32_t left_s)
{
	struct listed *to = arg;

	assert_in_range(to->count, 0, MANY - 1);
	to->range[to->count] = *range;
	to->left_s[to->count++] = left_s;
}

static struct listed blocks(struct lasting *l)
{
	struct listed out = {0};

	assert_int_equal(lasting_blocks(l, note, &out), 0);
	return out;
}

static bool is(const struct addr_range *r, const char *first, const char *last)
{
	const struct addr_range wanted = range_of(first, last);

	return addr_equal(&r->first, &wanted.first) && addr_equal(&r->last, &wanted.last);
}

static void test_put_in_changed_and_taken_away(void **state)
{
	close(netns_new());
	struct lasting *l = open_here();

	(void)state;
	assert_false(lasting_there());
	assert_true(lasting_intact(l));
	apply(l, &gate_policy, true);
	netns_sh("nft list table inet ackgate_lasting | grep -q 'synproxy translation'");
	apply(l, &open_policy, true);
	apply(l, &gate_policy, false);
	/* Connections may stand. */
	netns_sh("nft list table inet ackgate_lasting | grep -q 'synproxy translation'");
	take_away(l);

	l = open_here();
	apply(l, &gate_policy, false);
	netns_sh("! nft list table inet ackgate_lasting | grep -q synproxy");
	take_away(l);
}

static void test_blocks_are_listed_and_lifted(void **state)
{
	char why[WHY];

	close(netns_new());
	struct lasting *l = open_here();

	(void)state;
	apply(l, &gate_policy, true);
	assert_int_equal(blocks(l).count, 0);
	block(l, "192.0.2.7", "192.0.2.7", 60);
	block(l, "198.51.100.0", "198.51.100.255", 100);
	block(l, "203.0.113.3", "203.0.113.9", 3600);
	block(l, "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", 7200);
	block(l, "192.0.2.7", "192.0.2.7", 600); /* anew */

	struct listed now = blocks(l);
	assert_int_equal(now.count, 4);
	assert_true(is(&now.range[0], "192.0.2.7", "192.0.2.7"));
	assert_in_range(now.left_s[0], 590, 600);
	assert_true(is(&now.range[1], "198.51.100.0", "198.51.100.255"));
	assert_in_range(now.left_s[1], 90, 100);
	assert_true(is(&now.range[2], "203.0.113.3", "203.0.113.9"));
	assert_true(is(&now.range[3], "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"));
	assert_in_range(now.left_s[3], 7190, 7200);

	/* By whom the table was filled is no matter, nor how often. */
	apply(l, &open_policy, true);
	lasting_close(l);
	l = open_here();
	apply(l, &gate_policy, true);
	assert_int_equal(blocks(l).count, 4);

	assert_int_equal(unblock(l, "198.51.100.0", "198.51.100.255", why), 0);
	assert_int_equal(unblock(l, "198.51.100.0", "198.51.100.255", why), 1);
	assert_int_equal(unblock(l, "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", why), 0);
	assert_int_equal(unblock(l, "2001:db8::1", "2001:db8::1", why), 1);
	assert_int_equal(blocks(l).count, 2);
	take_away(l);
}

/* Who blocks nobody has no hook of blocks; once there, it stays until all goes. */
static void test_hooks_come_with_the_first_block(void **state)
{
	static const char none[] =
		"! nft list table inet ackgate_lasting | grep -q 'chain blocked'";
	static const char both[] =
		"test $(nft list table inet ackgate_lasting | grep -c 'chain blocked_') = 2";
	char why[WHY];

	close(netns_new());
	struct lasting *l = open_here();

	(void)state;
	apply(l, &gate_policy, true);
	netns_sh("%s", none);
	block(l, "192.0.2.7", "192.0.2.7", 60);
	netns_sh("%s", both);
	assert_true(lasting_intact(l));
	assert_int_equal(unblock(l, "192.0.2.7", "192.0.2.7", why), 0);
	apply(l, &open_policy, true);
	netns_sh("%s", both);
	lasting_close(l);

	l = open_here();
	apply(l, &gate_policy, true); /* left by another process */
	netns_sh("%s", both);
	netns_sh("nft delete table inet ackgate_lasting");
	apply(l, &gate_policy, true);
	netns_sh("%s", both);
	assert_int_equal(lasting_remove(l, true, why, sizeof(why)), 0);
	apply(l, &gate_policy, true);
	netns_sh("%s", none);
	take_away(l);
}

static void test_an_overlap_is_told_in_words(void **state)
{
	const struct addr_range inside = range_of("198.51.100.4", "198.51.100.4");
	char why[WHY];

	close(netns_new());
	struct lasting *l = open_here();

	(void)state;
	apply(l, &gate_policy, false);
	block(l, "198.51.100.0", "198.51.100.255", 100);
	assert_int_equal(lasting_block(l, &inside, 50, why, sizeof(why)), -1);
	assert_string_equal(why, "198.51.100.4 shares addresses with the block of "
				 "198.51.100.0/24: lift that one first");
	assert_int_equal(unblock(l, "198.51.100.4", "198.51.100.4", why), -1);
	assert_string_equal(why, "198.51.100.4 shares addresses with the block of "
				 "198.51.100.0/24: lift that one");
	assert_int_equal(lasting_block(l, &inside, 0, why, sizeof(why)), -1);
	assert_int_equal(blocks(l).count, 1);
	take_away(l);

	l = open_here(); /* without a table there is nothing to put it into */
	assert_int_equal(lasting_block(l, &inside, 50, why, sizeof(why)), -1);
	assert_int_equal(unblock(l, "198.51.100.4", "198.51.100.4", why), 1);
	lasting_close(l);
}

static void missed_after(const char *command)
{
	struct lasting *l = open_here();

	apply(l, &gate_policy, true);
	block(l, "192.0.2.7", "192.0.2.7", 60);
	assert_true(lasting_intact(l));
	netns_sh("%s", command);
	assert_false(lasting_intact(l));
	apply(l, &gate_policy, true);
	take_away(l);
}

static void test_what_others_take_is_missed(void **state)
{
	(void)state;
	close(netns_new());
	missed_after("nft flush ruleset");
	missed_after("nft delete table inet ackgate_lasting");
	missed_after("nft flush chain inet ackgate_lasting invalid_forward");
	missed_after("nft flush chain inet ackgate_lasting blocked");
	missed_after("nft delete synproxy inet ackgate_lasting translation");
	missed_after("nft flush table inet ackgate_lasting; "
		     "nft delete set inet ackgate_lasting block4");
}

/* Somebody takes the table away between our look and our change. */
static bool take_it_before(void *arg, const char *command, enum nft_run_how how, char **said)
{
	unsigned *times = arg;

	if (how == NFT_RUN_PLAIN && (*times)++ == 0)
		netns_sh("nft delete table inet ackgate_lasting");
	return nft_run_here(command, how, said);
}

static void test_what_others_take_amid_a_change_is_put_back(void **state)
{
	unsigned times = 0;

	(void)state;
	close(netns_new());
	struct lasting *l = open_here();
	apply(l, &gate_policy, true);
	nft_run_elsewhere(take_it_before, &times);
	apply(l, &observing_policy, true);
	nft_run_elsewhere(NULL, NULL);
	assert_int_equal(times, 2);
	assert_true(lasting_intact(l));
	lasting_close(l);
}

static int no_program(void *arg, const char *const argv[], const char *input, char **output)
{
	(void)arg, (void)argv, (void)input;
	*output = NULL;
	return -1;
}

static void test_translation_is_kept(void **state)
{
	char why[WHY];

	close(netns_new());
	struct lasting *l = open_here();

	(void)state;
	apply(l, &gate_policy, true);
	block(l, "192.0.2.7", "192.0.2.7", 60);
	assert_int_equal(lasting_remove(l, true, why, sizeof(why)), 0);
	assert_true(lasting_there());
	netns_sh("nft list table inet ackgate_lasting | grep -q 'synproxy translation'");
	netns_sh("nft list table inet ackgate_lasting | grep -q 'ct state invalid'");
	netns_sh("nft list table inet ackgate_lasting | grep -q 'drop:out_of_window:3'");
	netns_sh("! nft list table inet ackgate_lasting | grep -q block");
	assert_int_equal(lasting_remove(l, true, why, sizeof(why)), 0);
	assert_true(lasting_there());
	apply(l, &gate_policy, true);
	assert_int_equal(blocks(l).count, 0);
	take_away(l);

	l = open_here(); /* nothing is translated: nothing to keep */
	apply(l, &gate_policy, false);
	assert_int_equal(lasting_remove(l, true, why, sizeof(why)), 0);
	assert_false(lasting_there());
	lasting_close(l);
}

/* What a socket of ours holds is nobody else's to flush, and is gone with it. */
static void test_held_against_flushes(void **state)
{
	struct hold *h;

	(void)state;
	netns_new();
	h = hold_open();
	assert_non_null(h);
	netns_sh("nft flush ruleset");
	netns_sh("nft list table inet ackgate_held | grep -q synproxy");
	netns_sh("! nft delete table inet ackgate_held 2>/dev/null");
	assert_null(hold_open());
	hold_close(h);
	netns_sh("! nft list table inet ackgate_held 2>/dev/null");
	h = hold_open();
	assert_non_null(h);
	hold_close(h);
}

static void test_purged(void **state)
{
	char why[WHY];

	close(netns_new());
	struct lasting *l = open_here();

	(void)state;
	apply(l, &gate_policy, true);
	lasting_close(l);
	assert_int_equal(ruleset_purge(no_program, NULL, why, sizeof(why)), 0);
	assert_false(lasting_there());
}

/* A client in a namespace of its own, and a server here. */
struct pair {
	int here;
	int there;
	int listener;
};

static struct pair join(void)
{
	struct pair p = {.here = netns_new()};

	p.there = netns_new();
	netns_join(p.there, "c0", "10.1.0.2/24", p.here, "s0", "10.1.0.1/24");
	netns_sh("ip addr add 10.1.0.3/24 dev c0");
	netns_sh("ip addr add fd00::2/64 dev c0 nodad");
	netns_enter(p.here);
	netns_sh("ip addr add fd00::1/64 dev s0 nodad");
	p.listener = netns_listen("::", PORT);
	return p;
}

static void part(const struct pair *p)
{
	close(p->listener);
	close(p->here);
	close(p->there);
}

static bool connects(const struct pair *p, const char *addr)
{
	netns_enter(p->there);
	int client = netns_connect_start(addr, PORT);
	struct pollfd ready = {.fd = client, .events = POLLOUT};
	bool connected = poll(&ready, 1, 400) == 1;

	close(client);
	netns_enter(p->here);
	if (connected)
		close(netns_accept(p->listener));
	return connected;
}

static uint64_t dropped(struct lasting *l)
{
	struct ruleset_counts counts = {0};

	lasting_counts(l, &counts);
	assert_int_equal(counts.drops[REASON_blocked], counts.rule_drops[3]);
	return counts.drops[REASON_blocked];
}

static void test_a_blocked_source_does_not_get_in(void **state)
{
	struct pair p = join();
	struct lasting *l = open_here();
	struct ruleset_counts counts = {0};
	char why[WHY];

	(void)state;
	apply(l, &gate_policy, true);
	assert_true(connects(&p, "10.1.0.1"));
	block(l, "10.1.0.3", "10.1.0.9", 60); /* a neighbour */
	block(l, "10.1.0.2", "10.1.0.2", 60);
	assert_false(connects(&p, "10.1.0.1"));
	uint64_t packets = dropped(l);
	assert_true(packets > 0);
	assert_true(connects(&p, "fd00::1"));
	block(l, "fd00::", "fd00::ffff:ffff:ffff:ffff", 60);
	assert_false(connects(&p, "fd00::1"));
	assert_true(dropped(l) > packets);

	/* An accepted port is left alone; counts of replaced rules stand. */
	apply(l, &open_policy, true);
	assert_true(connects(&p, "10.1.0.1"));
	assert_true(dropped(l) > packets);
	apply(l, &observing_policy, true);
	assert_true(connects(&p, "10.1.0.1"));
	lasting_counts(l, &counts);
	assert_true(counts.observed[REASON_blocked] > 0);

	apply(l, &gate_policy, true);
	assert_int_equal(unblock(l, "10.1.0.2", "10.1.0.2", why), 0);
	assert_true(connects(&p, "10.1.0.1"));
	block(l, "10.1.0.2", "10.1.0.2", 1); /* ends on time */
	assert_false(connects(&p, "10.1.0.1"));
	sleep(1);
	assert_true(connects(&p, "10.1.0.1"));
	take_away(l);
	part(&p);
}

/* What stands is cut, and what this host asks of the blocked source is not. */
static void test_a_block_is_of_what_is_asked_of_us(void **state)
{
	struct pair p = join();
	struct lasting *l = open_here();

	(void)state;
	apply(l, &gate_policy, true);
	netns_enter(p.there);
	int client = netns_connect("10.1.0.1", PORT);
	int their_listener = netns_listen("10.1.0.2", PORT);
	netns_enter(p.here);
	int server = netns_accept(p.listener);
	assert_true(netns_crosses(client, server));
	block(l, "10.1.0.2", "10.1.0.2", 60);
	assert_false(netns_crosses(client, server));
	int ours = netns_connect("10.1.0.2", PORT);
	int theirs = netns_accept(their_listener);
	assert_true(netns_crosses(theirs, ours));
	close(ours);
	close(theirs);
	close(their_listener);
	close(client);
	close(server);
	take_away(l);
	part(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_in_changed_and_taken_away),
		cmocka_unit_test(test_blocks_are_listed_and_lifted),
		cmocka_unit_test(test_hooks_come_with_the_first_block),
		cmocka_unit_test(test_an_overlap_is_told_in_words),
		cmocka_unit_test(test_what_others_take_is_missed),
		cmocka_unit_test(test_what_others_take_amid_a_change_is_put_back),
		cmocka_unit_test(test_translation_is_kept),
		cmocka_unit_test(test_held_against_flushes),
		cmocka_unit_test(test_purged),
		cmocka_unit_test(test_a_blocked_source_does_not_get_in),
		cmocka_unit_test(test_a_block_is_of_what_is_asked_of_us),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
