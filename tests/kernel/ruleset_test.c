/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules in a real kernel, by each way that it has: put in, changed, missed when others take
 * them, taken away. */
#include "config.h"

#include "kernel/nft_run.h"
#include "kernel/ruleset.h"
#include "netns.h"
#include "run_program.h"

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
	PORT = 8080,
	MARK = 0x40000000,
};

/* A program that refuses whatever it is told, to be put in some other's place. */
static const char *refusing;
/* One that does so once, since somebody else takes all rules away just before. */
static const char *flushed_before;

static int exec_program(void *arg, const char *const argv[], const char *input, char **output)
{
	static const char *const refusal[] = {"false", NULL};

	if (refusing != NULL && strcmp(argv[0], refusing) == 0)
		argv = refusal;
	if (flushed_before != NULL && strcmp(argv[0], flushed_before) == 0) {
		flushed_before = NULL;
		netns_sh("nft flush ruleset");
		argv = refusal;
	}
	return run_program(arg, argv, input, output);
}

static const char lo[][POLICY_IFNAME] = {"lo"};
static const struct port_range port[] = {{PORT, PORT}};
static const struct port_range other_port[] = {{PORT + 1, PORT + 1}};

static const struct policy_rule first_rules[] = {
	{.name = "gate",
		.slot = 3,
		.mode = MODE_GATE,
		.enforce = true,
		.interface = lo,
		.interface_count = 1,
		.port = port,
		.port_count = 1},
};
static const struct endpoint places[] = {
	{{.b = {[10] = 0xff, 0xff}}, PORT + 2},
	{{.b = {[10] = 0xff, 0xff, 127, 0, 0, 9}}, PORT + 3},
	{{.b = {[10] = 0xff, 0xff, 127, 0, 0, 8}}, PORT + 2},
	{{.b = {0}}, PORT + 2},
	{{.b = {0xfd, [15] = 1}}, PORT + 3},
};
static const struct policy_rule second_rules[] = {
	{.name = "splice",
		.slot = 5,
		.mode = MODE_SPLICE,
		.enforce = true,
		.listen = places,
		.listen_count = 5,
		.local = true},
	{.name = "other",
		.slot = 4,
		.mode = MODE_DROP,
		.enforce = true,
		.port = other_port,
		.port_count = 1},
	{.name = "gate",
		.slot = 3,
		.mode = MODE_GATE,
		.enforce = true,
		.interface = lo,
		.interface_count = 1,
		.port = port,
		.port_count = 1},
};

static const struct policy first_policy = {
	.rules = first_rules, .rule_count = 1, .by_interface = true};
static const struct policy second_policy = {
	.rules = second_rules, .rule_count = 3, .by_interface = true};

static unsigned times_away;

static void note_away(void *arg)
{
	(void)arg;
	times_away++;
}

static int apply(struct ruleset *r, const struct policy *policy)
{
	const struct ruleset_plan plan = {.policy = policy,
		.queue = 5200,
		.workers = 2,
		.mark = MARK,
		.were_away = note_away};
	char why[WHY] = "";
	int result = ruleset_apply(r, &plan, why, sizeof(why));
	assert_int_equal(result == 0, why[0] == '\0');
	return result;
}

static struct ruleset *open_or_skip(enum ruleset_way way)
{
	char why[WHY];
	struct ruleset *r = ruleset_open(&way, exec_program, NULL, why, sizeof(why));
	if (r == NULL) {
		print_message("%s\n", why);
		skip();
	}
	assert_int_equal(ruleset_way(r), way);
	return r;
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, 200) == 1;
}

static void remove_all(struct ruleset *r)
{
	char why[WHY];
	assert_int_equal(ruleset_remove(r, why, sizeof(why)), 0);
	assert_int_equal(ruleset_remove(r, why, sizeof(why)), 0);
	ruleset_close(r);
	netns_sh("! iptables-save 2>/dev/null | grep -q ACKGATE");
	netns_sh("! nft list tables | grep -q ackgate");
}

static void put_in_changed_and_taken_away(enum ruleset_way way)
{
	close(netns_new());
	struct ruleset *r = open_or_skip(way);
	int watch = ruleset_watch_fd(r);

	assert_int_equal(apply(r, &first_policy), 0);
	assert_true(ruleset_intact(r));
	assert_int_equal(apply(r, &second_policy), 0);
	assert_true(ruleset_intact(r));
	assert_int_equal(apply(r, &first_policy), 0);
	assert_true(ruleset_intact(r));
	/* Our own changes are no news. */
	assert_true(watch == -1 || !readable(watch));
	remove_all(r);
}

static void flushed_by_others(enum ruleset_way way, const char *flush)
{
	close(netns_new());
	struct ruleset *r = open_or_skip(way);
	int watch = ruleset_watch_fd(r);

	times_away = 0;
	assert_int_equal(apply(r, &first_policy), 0);
	assert_int_equal(apply(r, &first_policy), 0);
	assert_int_equal(times_away, 0);
	netns_sh("%s", flush);
	if (readable(watch)) /* legacy iptables says nothing */
		assert_true(ruleset_watch_read(r));
	assert_false(ruleset_intact(r));
	assert_int_equal(apply(r, &first_policy), 0);
	assert_int_equal(times_away, 1);
	assert_true(ruleset_intact(r));
	remove_all(r);
}

/* A client's word in the middle of a connection that nobody adopted is dropped in the kernel and
 * counted there. */
static void dropped_and_counted(enum ruleset_way way)
{
	struct ruleset_counts before, after;

	close(netns_new());
	struct ruleset *r = open_or_skip(way);
	int listener = netns_listen("127.0.0.1", PORT);
	int client = netns_connect("127.0.0.1", PORT);
	int server = netns_accept(listener);
	assert_true(netns_crosses(client, server));

	assert_int_equal(apply(r, &first_policy), 0);
	assert_false(netns_crosses(client, server));
	assert_int_equal(ruleset_counts(r, &before), 0);
	assert_true(before.drops[REASON_no_flow] > 0);
	assert_int_equal(before.rule_drops[3], before.drops[REASON_no_flow]);

	assert_int_equal(apply(r, &second_policy), 0);
	assert_int_equal(ruleset_counts(r, &after), 0);
	assert_true(after.drops[REASON_no_flow] >= before.drops[REASON_no_flow]);

	/* Counters that others take away with the rules are not forgotten. */
	netns_sh("nft flush ruleset");
	ruleset_counts(r, &after);
	assert_true(after.drops[REASON_no_flow] >= before.drops[REASON_no_flow]);
	assert_int_equal(apply(r, &second_policy), 0);
	assert_int_equal(ruleset_counts(r, &after), 0);
	assert_true(after.drops[REASON_no_flow] >= before.drops[REASON_no_flow]);
	remove_all(r);
	close(client);
	close(server);
	close(listener);
}

static void taken_over_and_purged(enum ruleset_way way)
{
	char why[WHY];

	close(netns_new());
	struct ruleset *crashed = open_or_skip(way);
	assert_int_equal(apply(crashed, &second_policy), 0);
	ruleset_close(crashed);

	struct ruleset *r = open_or_skip(way);
	assert_int_equal(apply(r, &first_policy), 0);
	assert_true(ruleset_intact(r));
	assert_int_equal(ruleset_purge(exec_program, NULL, why, sizeof(why)), 0);
	assert_false(ruleset_intact(r));
	remove_all(r);
}

static void test_nftables(void **state)
{
	(void)state;
	put_in_changed_and_taken_away(RULESET_NFTABLES);
	flushed_by_others(RULESET_NFTABLES, "nft flush ruleset");
	dropped_and_counted(RULESET_NFTABLES);
	taken_over_and_purged(RULESET_NFTABLES);
}

static void test_iptables(void **state)
{
	(void)state;
	put_in_changed_and_taken_away(RULESET_IPTABLES);
	flushed_by_others(RULESET_IPTABLES, "iptables -t security -F INPUT");
	flushed_by_others(RULESET_IPTABLES, "iptables -t raw -F ACKGATE_RAW_OUTPUT");
	dropped_and_counted(RULESET_IPTABLES);
	taken_over_and_purged(RULESET_IPTABLES);
}

/* What a crashed process left goes, whichever way it went. */
static void instead_of_the_other(enum ruleset_way left, enum ruleset_way way)
{
	close(netns_new());
	struct ruleset *crashed = open_or_skip(left);
	assert_int_equal(apply(crashed, &second_policy), 0);
	struct ruleset *r = open_or_skip(way);
	assert_int_equal(apply(r, &first_policy), 0);
	assert_true(ruleset_intact(r));
	assert_false(ruleset_intact(crashed));
	ruleset_close(crashed);
	remove_all(r);
}

static void test_one_way_at_a_time(void **state)
{
	(void)state;
	instead_of_the_other(RULESET_NFTABLES, RULESET_IPTABLES);
	instead_of_the_other(RULESET_IPTABLES, RULESET_NFTABLES);
}

static void test_one_family_refused_changes_none(void **state)
{
	(void)state;
	close(netns_new());
	struct ruleset *r = open_or_skip(RULESET_IPTABLES);

	assert_int_equal(apply(r, &first_policy), 0);
	refusing = "ip6tables-restore";
	assert_int_equal(apply(r, &second_policy), -1);
	refusing = NULL;
	assert_true(ruleset_intact(r));
	netns_sh("! iptables-save | grep -q ACKGATE_RULE4");
	netns_sh("iptables-save | grep -q -- '-g ACKGATE_RULE3_CLIENT'");
	remove_all(r);
}

static void test_flushed_while_they_are_changed(void **state)
{
	(void)state;
	close(netns_new());
	struct ruleset *r = open_or_skip(RULESET_IPTABLES);

	times_away = 0;
	assert_int_equal(apply(r, &first_policy), 0);
	flushed_before = "ip6tables-restore";
	assert_int_equal(apply(r, &second_policy), 0);
	assert_null(flushed_before);
	assert_int_equal(times_away, 1);
	assert_true(ruleset_intact(r));
	remove_all(r);
}

static bool flush_before(void *arg, const char *command, enum nft_run_how how, char **said)
{
	unsigned *times = arg;

	if (how == NFT_RUN_PLAIN && (*times)++ == 0)
		netns_sh("nft flush ruleset");
	return nft_run_here(command, how, said);
}

static void test_flushed_while_nftables_changes_them(void **state)
{
	unsigned changes = 0;

	(void)state;
	close(netns_new());
	struct ruleset *r = open_or_skip(RULESET_NFTABLES);

	times_away = 0;
	assert_int_equal(apply(r, &first_policy), 0);
	nft_run_elsewhere(flush_before, &changes);
	assert_int_equal(apply(r, &second_policy), 0);
	nft_run_elsewhere(NULL, NULL);
	assert_int_equal(changes, 2);
	assert_int_equal(times_away, 1);
	assert_true(ruleset_intact(r));
	remove_all(r);
}

static void test_what_is_missing_is_named(void **state)
{
	char why[WHY];
	const enum ruleset_way way = RULESET_IPTABLES;

	(void)state;
	assert_null(ruleset_open(&way, NULL, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "iptables-restore can't be run"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nftables),
		cmocka_unit_test(test_iptables),
		cmocka_unit_test(test_one_way_at_a_time),
		cmocka_unit_test(test_one_family_refused_changes_none),
		cmocka_unit_test(test_flushed_while_they_are_changed),
		cmocka_unit_test(test_flushed_while_nftables_changes_them),
		cmocka_unit_test(test_what_is_missing_is_named),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
