/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules of SYN cookies in a real kernel: which packet comes to which queue. */
#include "config.h"

#include "core/wire.h"
#include "forge.h"
#include "kernel/lasting.h"
#include "kernel/queue.h"
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
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	WHY = 1000,
	PORT = 8080,
	PUBLIC_PORT = 80,
	QUEUE = 5200,
	MARK = 0x40000000,
	SLOT = 3,
	SLOTS = 8,
	SEQ_AT = 4, /* in a TCP header */
	FLAGS_AT = 13,
	FAR = 1 << 28, /* outside any window */
};

#define CLIENT(port) ((struct forge_end){"10.1.0.2", (port)})
#define SERVER       ((struct forge_end){"10.1.0.1", PORT})

static const struct port_range port[] = {{PORT, PORT}};
static const struct policy_rule rules[] = {
	{.name = "web",
		.slot = SLOT,
		.mode = MODE_GATE,
		.enforce = true,
		.port = port,
		.port_count = 1},
};
static const struct policy policy = {.rules = rules, .rule_count = 1};

/* A client's namespace, and the server's, which has the rules and all queues open. */
struct gate {
	int client;
	int server;
	int listener;
	struct ruleset *ruleset;
	struct queue *queue[LANES];
};

/* What becomes of a queue's packets. */
enum fate {
	DROPPED,
	ACCEPTED,
	ADMITTED /* from the third ACK on */
};

struct seen {
	unsigned packets;
	struct engine_packet last;
	uint8_t flags;
	uint32_t isn[2]; /* the client's and the server's, of SYN and SYN-ACK */
	enum fate fate;
};

static void judge(void *arg, struct engine_packet *in, uint32_t ifindex, struct decision *out)
{
	struct seen *s = arg;

	(void)ifindex;
	s->packets++;
	s->last = *in;
	s->flags = in->bytes[IPV4_HEADER + FLAGS_AT];
	if (s->flags & TCP_SYN)
		s->isn[(s->flags & TCP_ACK) != 0] = wire_get32(in->bytes + IPV4_HEADER + SEQ_AT);
	if (s->fate == ADMITTED)
		out->verdict = s->flags & TCP_SYN ? VERDICT_ACCEPT : VERDICT_ADMIT;
	else
		out->verdict = s->fate == ACCEPTED ? VERDICT_ACCEPT : VERDICT_DROP;
}

/* Serves all queues for a moment. */
static void serve(struct gate *g, struct seen seen[LANES])
{
	static const struct queue_calls calls = {.judge = judge};

	for (int waited = 0; waited < 100; waited += 5) {
		poll(NULL, 0, 5);
		for (size_t i = 0; i < LANES; i++)
			assert_int_not_equal(queue_run(g->queue[i], &calls, &seen[i]), -1);
	}
}

static void apply(struct gate *g, const struct ruleset_plan *more)
{
	struct ruleset_plan plan = *more;
	char why[WHY] = "";

	plan.policy = &policy;
	plan.queue = QUEUE;
	plan.workers = 1;
	plan.mark = MARK;
	if (ruleset_apply(g->ruleset, &plan, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_true(ruleset_intact(g->ruleset));
}

static struct gate open_gate(const struct ruleset_plan *plan)
{
	static const enum ruleset_way ways[] = {RULESET_NFTABLES, RULESET_IPTABLES};
	char why[WHY] = "";
	struct gate g = {.server = netns_new()};

	g.client = netns_new();
	netns_join(g.client, "c0", "10.1.0.2/24", g.server, "s0", "10.1.0.1/24");
	netns_enter(g.server);
	g.listener = netns_listen("10.1.0.1", PORT);
	for (size_t i = 0; g.ruleset == NULL && i < 2; i++)
		g.ruleset = ruleset_open(&ways[i], run_program, NULL, why, sizeof(why));
	if (g.ruleset == NULL)
		fail_msg("%s", why);
	apply(&g, plan);
	for (unsigned i = 0; i < LANES; i++) {
		const struct queue_options o = {
			.number = (uint16_t)(QUEUE + i),
			.length = 100,
			.copy_range = 128,
			.mark = MARK,
			.lane = (enum engine_lane)i,
		};
		g.queue[i] = queue_open(&o, why, sizeof(why));
		assert_non_null(g.queue[i]);
	}
	return g;
}

static void close_gate(struct gate *g)
{
	char why[WHY];

	for (size_t i = 0; i < LANES; i++)
		queue_close(g->queue[i]);
	assert_int_equal(ruleset_remove(g->ruleset, why, sizeof(why)), 0);
	ruleset_close(g->ruleset);
	netns_sh("! iptables-save 2>/dev/null | grep -q ACKGATE");
	close(g->listener);
	close(g->client);
	close(g->server);
}

static const struct ruleset_plan translating = {.translate = true};

/* Before the host's filter chains, whether picked up in the middle or INVALID. */
static void test_proofs(void **state)
{
	struct gate g = open_gate(&translating);
	struct seen seen[LANES] = {0};

	(void)state;
	netns_sh("iptables -A INPUT -p tcp -j DROP");
	netns_enter(g.client);
	forge_segment(0, CLIENT(5000), SERVER, TCP_ACK, 1000, 2000);
	forge_segment(0, CLIENT(5001), SERVER, TCP_ACK | TCP_PSH, 1000, 2000);
	forge_segment(0, CLIENT(5002), SERVER, TCP_ACK | TCP_FIN, 1000, 2000);
	forge_segment(0, CLIENT(5003), SERVER, TCP_RST, 1000, 2000);
	netns_enter(g.server);
	serve(&g, seen);
	assert_int_equal(seen[LANE_PROOFS].packets, 2);
	assert_int_equal(seen[LANE_PROOFS].last.hook, HOOK_INPUT);
	assert_false(seen[LANE_PROOFS].last.hint);
	assert_int_equal(seen[LANE_HANDSHAKES].packets, 0);
	close_gate(&g);
}

/* What carries no cookie is what it was: dropped in the kernel, and counted. */
static void test_proofs_within_a_limit(void **state)
{
	const bool wanted[SLOTS] = {[SLOT] = true};
	struct ruleset_plan plan = translating;
	struct gate g = open_gate(&plan);
	struct seen seen[LANES] = {[LANE_PROOFS].fate = ACCEPTED};
	struct ruleset_counts counts;

	(void)state;
	netns_enter(g.client);
	forge_segment(0, CLIENT(5000), SERVER, TCP_ACK, 1000, 2000);
	netns_enter(g.server);
	serve(&g, seen);
	assert_int_equal(seen[LANE_PROOFS].packets, 1);
	assert_int_equal(ruleset_counts(g.ruleset, &counts), 0);
	assert_int_equal(counts.drops[REASON_no_flow], 1);
	plan.proofs_wanted = wanted;
	apply(&g, &plan);
	plan.translate = false;
	apply(&g, &plan);
	netns_sh("! iptables-save -t mangle 2>/dev/null | grep -q ACKGATE");
	close_gate(&g);
}

/* Not judged; tracked, or the server's answer would not be asked about; not marked. */
static void test_own_syn(void **state)
{
	struct gate g = open_gate(&translating);
	struct seen seen[LANES] = {0};

	(void)state;
	forge_segment(MARK, CLIENT(5000), SERVER, TCP_SYN, 1000, 0);
	serve(&g, seen);
	assert_int_equal(seen[LANE_HANDSHAKES].packets, 0);
	assert_int_equal(seen[LANE_ANSWERS].packets, 1);
	assert_int_equal(seen[LANE_ANSWERS].last.hook, HOOK_OUTPUT);
	assert_false(seen[LANE_ANSWERS].last.hint);
	assert_int_equal(seen[LANE_ANSWERS].flags, TCP_SYN | TCP_ACK);
	close_gate(&g);
}

/* Anything else of ours is seen by nobody. */
static void test_own_segments(void **state)
{
	static const uint8_t kinds[] = {TCP_ACK, TCP_SYN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK};
	struct gate g = open_gate(&translating);
	struct seen seen[LANES] = {0};

	(void)state;
	netns_enter(g.client);
	netns_sh("iptables -A INPUT -p tcp -j DROP"); /* without its RSTs */
	netns_enter(g.server);
	for (size_t i = 0; i < sizeof(kinds); i++) {
		forge_segment(MARK, CLIENT(5000), SERVER, kinds[i], 1000, 2000);
		forge_segment(MARK, SERVER, CLIENT(5000), kinds[i], 1000, 2000);
	}
	forge_too_big(MARK, CLIENT(5000), SERVER);
	forge_too_big(MARK, SERVER, CLIENT(5000));
	serve(&g, seen);
	for (size_t i = 0; i < LANES; i++)
		assert_int_equal(seen[i].packets, 0);
	netns_sh("! conntrack -L 2>/dev/null | grep -q 'port=5000'");
	close_gate(&g);
}

static void test_words_about_sizes(void **state)
{
	struct gate g = open_gate(&translating);
	struct seen seen[LANES] = {0};

	(void)state;
	netns_enter(g.client);
	forge_too_big(0, SERVER, CLIENT(5000));
	netns_enter(g.server);
	serve(&g, seen);
	assert_int_equal(seen[LANE_PROOFS].packets, 1);
	assert_int_equal(seen[LANE_PROOFS].last.hook, HOOK_PREROUTING);
	forge_too_big(0, CLIENT(5000), SERVER); /* as this host's own */
	serve(&g, seen);
	assert_int_equal(seen[LANE_PROOFS].packets, 2);
	assert_int_equal(seen[LANE_PROOFS].last.hook, HOOK_OUTPUT);
	close_gate(&g);
}

/* Of an admitted connection; no other segment of it is asked about. */
static void test_resets_of_servers(void **state)
{
	const struct linger at_once = {.l_onoff = 1};
	struct gate g = open_gate(&translating);
	struct seen seen[LANES] = {0};

	(void)state;
	for (size_t i = 0; i < LANES; i++)
		seen[i].fate = ADMITTED;
	netns_enter(g.client);
	int client = netns_connect_start("10.1.0.1", PORT);
	netns_enter(g.server);
	serve(&g, seen);
	int server = netns_accept(g.listener);
	assert_true(netns_crosses(client, server));
	assert_int_equal(seen[LANE_ADMITTED].packets, 0);
	assert_int_equal(setsockopt(server, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(server);
	seen[LANE_ADMITTED].fate = ACCEPTED;
	serve(&g, seen);
	assert_int_equal(seen[LANE_ADMITTED].packets, 1);
	assert_int_equal(seen[LANE_ADMITTED].last.hook, HOOK_OUTPUT);
	assert_true(seen[LANE_ADMITTED].flags & TCP_RST);
	close(client);
	close_gate(&g);
}

/* Marked only if by the one public address that is known. */
static void test_syns_by_dnat(void **state)
{
	struct gate g;
	struct seen seen[LANES] = {0};
	const struct ruleset_route known[] = {
		{netns_addr("10.1.0.1"), netns_addr("192.0.2.1"), PORT, PUBLIC_PORT},
		{netns_addr("fd00::1"), netns_addr("fd00::2"), PORT, PUBLIC_PORT},
	};
	struct ruleset_plan plan = translating;

	(void)state;
	plan.routes = known;
	plan.route_count = 2;
	g = open_gate(&plan);
	netns_sh("iptables -t nat -A PREROUTING -d 192.0.2.0/24 -p tcp -j DNAT --to 10.1.0.1:%d",
		PORT);
	netns_enter(g.client);
	netns_sh("ip route add 192.0.2.0/24 via 10.1.0.1");
	forge_segment(0, CLIENT(5000), SERVER, TCP_SYN, 1, 0);
	netns_enter(g.server);
	serve(&g, seen);
	assert_int_equal(seen[LANE_HANDSHAKES].packets, 1);
	assert_int_equal(seen[LANE_DNAT].packets, 0);
	netns_enter(g.client);
	forge_segment(0, CLIENT(5001), (struct forge_end){"192.0.2.1", PUBLIC_PORT}, TCP_SYN, 1, 0);
	netns_enter(g.server);
	serve(&g, seen);
	assert_int_equal(seen[LANE_DNAT].packets, 1);
	assert_true(seen[LANE_DNAT].last.hint);
	netns_enter(g.client);
	forge_segment(0, CLIENT(5002), (struct forge_end){"192.0.2.2", PUBLIC_PORT}, TCP_SYN, 1, 0);
	netns_enter(g.server);
	serve(&g, seen);
	assert_int_equal(seen[LANE_DNAT].packets, 2);
	assert_false(seen[LANE_DNAT].last.hint);
	assert_int_equal(seen[LANE_HANDSHAKES].packets, 1);
	close_gate(&g);
}

/* With the daemon's rules, and without them by those that last. */
static void test_what_is_not_translated(void **state)
{
	struct gate g = open_gate(&translating);
	struct lasting *l = lasting_open();
	struct seen seen[LANES] = {0};
	struct ruleset_counts counts;
	char why[WHY];

	(void)state;
	assert_non_null(l);
	assert_int_equal(lasting_apply(l, &policy, true, why, sizeof(why)), 0);
	for (size_t i = 0; i < LANES; i++)
		seen[i].fate = ADMITTED;
	netns_enter(g.client);
	int client = netns_connect_start("10.1.0.1", PORT);
	uint16_t client_port = netns_local_port(client);
	netns_enter(g.server);
	serve(&g, seen);
	unsigned asked = seen[LANE_ANSWERS].packets;
	uint32_t client_far = seen[LANE_HANDSHAKES].isn[0] + FAR;
	uint32_t server_far = seen[LANE_ANSWERS].isn[1] + FAR;
	assert_false(
		forge_segment(0, SERVER, CLIENT(client_port), TCP_ACK, server_far, client_far));
	serve(&g, seen);
	assert_int_equal(seen[LANE_ANSWERS].packets, asked);
	assert_int_equal(ruleset_counts(g.ruleset, &counts), 0);
	assert_int_equal(counts.drops[REASON_out_of_window], 1);

	assert_int_equal(ruleset_remove(g.ruleset, why, sizeof(why)), 0);
	assert_false(
		forge_segment(0, SERVER, CLIENT(client_port), TCP_ACK, server_far, client_far));
	netns_enter(g.client);
	forge_segment(0, CLIENT(client_port), SERVER, TCP_ACK, client_far, server_far);
	netns_enter(g.server);
	poll(NULL, 0, 50);
	counts = (struct ruleset_counts){0};
	lasting_counts(l, &counts);
	assert_int_equal(counts.rule_drops[SLOT], 2);
	assert_int_equal(counts.drops[REASON_out_of_window], 2);
	close(client);
	assert_int_equal(lasting_remove(l, false, why, sizeof(why)), 0);
	lasting_close(l);
	close_gate(&g);
}

/* Where nftables has no "queue" the rest of its text can still be tried. */
static void test_the_kernel_takes_the_text(void **state)
{
	const struct ruleset_route routes[] = {
		{netns_addr("10.1.0.1"), netns_addr("192.0.2.1"), PORT, PUBLIC_PORT},
		{netns_addr("fd00::1"), netns_addr("fd00::2"), PORT, PUBLIC_PORT},
	};
	struct ruleset_plan plan = translating;
	char name[] = "/tmp/ackgate-cookie-rules-XXXXXX";

	(void)state;
	close(netns_new());
	plan.policy = &policy;
	plan.queue = QUEUE;
	plan.workers = 2;
	plan.mark = MARK;
	plan.routes = routes;
	plan.route_count = 2;
	FILE *to = fdopen(mkstemp(name), "w");
	assert_non_null(to);
	assert_int_equal(ruleset_print(RULESET_NFTABLES, &plan, to), 0);
	assert_int_equal(lasting_print(&policy, true, to), 0);
	fclose(to);
	netns_sh("sed 's/queue num [0-9-]*\\( bypass\\)*$/accept/' %s | nft -f -", name);
	netns_sh("nft list table inet ackgate | grep -q 'ct original proto-dst 80'");
	unlink(name);
}

/* Nothing but the object is gone. */
static void test_the_watch_hears_of_translation(void **state)
{
	struct gate g = open_gate(&translating);
	struct lasting *l = lasting_open();
	struct pollfd watch = {.fd = ruleset_watch_fd(g.ruleset), .events = POLLIN};
	char why[WHY];

	(void)state;
	assert_int_not_equal(watch.fd, -1);
	assert_int_equal(lasting_apply(l, &policy, true, why, sizeof(why)), 0);
	ruleset_watch_read(g.ruleset);
	assert_int_equal(poll(&watch, 1, 0), 0);
	netns_sh("nft delete synproxy inet ackgate_lasting translation");
	assert_int_equal(poll(&watch, 1, 1000), 1);
	assert_true(ruleset_watch_read(g.ruleset));
	assert_true(ruleset_intact(g.ruleset));
	assert_false(lasting_intact(l));
	assert_int_equal(lasting_remove(l, false, why, sizeof(why)), 0);
	lasting_close(l);
	close_gate(&g);
}

static void listen_to(void *arg, const char *sentence)
{
	unsigned *said = arg;

	*said += strstr(sentence, "answers to SYN cookies") != NULL;
}

static unsigned warnings(struct gate *g)
{
	unsigned said = 0;

	ruleset_survey(g->ruleset, MARK, 0, listen_to, &said);
	return said;
}

/* Where proofs would never come to us. */
static void test_survey(void **state)
{
	static const char *const harmless[] = {
		"iptables -t mangle -A PREROUTING -p tcp --syn -m conntrack --ctstate NEW -j DROP",
		"iptables -A INPUT -m conntrack --ctstate INVALID -j DROP",
		"nft add table inet a; nft add chain inet a f '{type filter hook forward priority "
		"0;}'; nft add rule inet a f ct state invalid drop",
		"nft add table inet b; nft add chain inet b p '{type filter hook prerouting "
		"priority 0;}'; nft add rule inet b p tcp dport 1 ct state new drop",
	};
	static const char *const harmful[] = {
		"iptables -t mangle -A PREROUTING -m conntrack --ctstate INVALID -j DROP",
		("iptables -t mangle -A PREROUTING -p tcp ! --syn -m conntrack --ctstate NEW "
		 "-j DROP"),
		"nft add rule inet b p ct state invalid,untracked drop",
		"nft add rule inet b p 'ct state new tcp flags & (fin|syn|rst|ack) != syn drop'",
	};
	struct gate g = open_gate(&translating);

	(void)state;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		netns_sh("%s", harmless[i]);
	assert_int_equal(warnings(&g), 0);
	for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++) {
		netns_sh("%s", harmful[i]);
		assert_int_equal(warnings(&g), 1);
		netns_sh("iptables -t mangle -F PREROUTING; nft flush chain inet b p");
		apply(&g, &translating);
		assert_int_equal(warnings(&g), 0);
	}
	close_gate(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_proofs_within_a_limit),
		cmocka_unit_test(test_own_syn),
		cmocka_unit_test(test_own_segments),
		cmocka_unit_test(test_words_about_sizes),
		cmocka_unit_test(test_resets_of_servers),
		cmocka_unit_test(test_syns_by_dnat),
		cmocka_unit_test(test_what_is_not_translated),
		cmocka_unit_test(test_the_kernel_takes_the_text),
		cmocka_unit_test(test_the_watch_hears_of_translation),
		cmocka_unit_test(test_survey),
	};

	netns_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
