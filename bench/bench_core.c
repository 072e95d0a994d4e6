/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one decision costs while a million half-open flows stand, and what memory they take.
 *
 * Packets are written in batches outside the measured time, since the kernel too hands them over
 * fresh in the cache. The thread's own CPU time is measured: what else the machine does counts only
 * by what it does to the caches. Every measurement checks verdicts and the engine's counters, so
 * that a wrong packet can't pass for a fast decision.
 */
#include "core/engine.h"
#include "core/wire.h"
#include "synthetic.h"

#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH = 4 * ENGINE_BATCH, /* packets between two readings of the clock */
	STEPS_MAX = 3,            /* packets of a handshake */
	RUNS_MAX = 99,
	SYN_SENT_S = 60, /* the shorter, the faster flows must come to keep a million standing */
	RSS_LIMIT_MIB = 96,
	DECISION_LIMIT_NS = 200,
	EXIT_SLOW = 1,
	EXIT_USAGE = 2,
	EXIT_FAILED = 3,
};

struct options {
	uint32_t flows;
	uint32_t decisions; /* in one run */
	unsigned runs;
	bool strict;
};

struct bench {
	struct policy plain;
	struct policy limiting;
	struct policy challenging;
	struct engine_shared *shared;
	struct engine *engine;
	uint32_t flows;
	uint64_t now_us;
	uint32_t next;   /* the number of the next flow that was never seen */
	uint32_t random; /* state of pick_standing */
};

/* What happens to one flow, measured together; its packets are a batch apart. */
struct scenario {
	const char *name;
	unsigned steps;
	uint8_t flags[STEPS_MAX];
	enum verdict verdict[STEPS_MAX];
	unsigned pace; /* of new flows, in percent of what keeps the table just full; 0: 1 us */
	bool known;    /* flows that stand, picked at random */
	bool with_limits;
	unsigned limit_ns; /* 0: for orientation */
};

/* In this order: the first two need flows that came spread over the time-out, the last one
 * remembers its sources. */
static const struct scenario scenarios[] = {
	{
		/* a decision and an expiry: for orientation */
		.name = "a new SYN, and an old flow expires",
		.steps = 1,
		.flags = {TCP_SYN},
		.verdict = {VERDICT_ACCEPT},
		.pace = 101,
	},
	{
		.name = "a retransmitted SYN",
		.steps = 1,
		.flags = {TCP_SYN},
		.verdict = {VERDICT_ACCEPT},
		.known = true,
		.limit_ns = DECISION_LIMIT_NS,
	},
	{
		.name = "a new SYN, evicting the oldest",
		.steps = 1,
		.flags = {TCP_SYN},
		.verdict = {VERDICT_ACCEPT},
		.limit_ns = DECISION_LIMIT_NS,
	},
	{
		.name = "an ACK that belongs to nothing",
		.steps = 1,
		.flags = {TCP_ACK},
		.verdict = {VERDICT_DROP},
	},
	{
		.name = "a whole handshake (3 packets)",
		.steps = 3,
		.flags = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK},
		.verdict = {VERDICT_ACCEPT, VERDICT_ACCEPT, VERDICT_ADMIT},
	},
	{
		.name = "a new SYN, per-source limits set",
		.steps = 1,
		.flags = {TCP_SYN},
		.verdict = {VERDICT_ACCEPT},
		.with_limits = true,
	},
};

static const struct port_range ports[] = {{80, 80}, {443, 443}};

static const struct policy_rule plain_rule = {
	.name = "bench",
	.port = ports,
	.port_count = 2,
	.mode = MODE_GATE,
	.enforce = true,
	.fastopen_strip = true,
};

static const struct policy_rule limiting_rule = {
	.name = "bench",
	.port = ports,
	.port_count = 2,
	.mode = MODE_GATE,
	.enforce = true,
	.fastopen_strip = true,
	.syn_rate = {.per_s = 100, .burst = 200},
	.connections_per_source = 100,
};

static const struct policy_rule challenging_rule = {
	.name = "bench",
	.port = ports,
	.port_count = 2,
	.mode = MODE_GATE,
	.enforce = true,
	.fastopen_strip = true,
	.syncookies = SYNCOOKIES_ALWAYS,
};

static struct policy policy_of(const struct policy_rule *rule)
{
	return (struct policy){
		.rules = rule,
		.rule_count = 1,
		.enforce = true,
		.timeouts =
			{
				.syn_sent = SYN_SENT_S,
				.syn_received = SYN_SENT_S,
				.established = 7440,
				.fin_wait = 240,
				.close_wait = 240,
				.last_ack = 240,
				.time_wait = 120,
				.closed = 10,
			},
		.source_prefix4 = 32,
		.source_prefix6 = 64,
		.cookie_rotation = 60,
	};
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift32 (Marsaglia): a flow among the youngest nine tenths, which surely stand. */
static uint32_t pick_standing(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 17;
	b->random ^= b->random << 5;
	return b->next - 1 - b->random % (b->flows / 10 * 9);
}

/* Has a batch judged and returns the nanoseconds it took. */
static uint64_t judge_batch(
	struct bench *b, const struct synthetic *packets, bool from_server, enum verdict expected)
{
	static struct decision decision;
	static struct effects effects;
	static struct engine_packet in[BATCH];
	unsigned unexpected = 0;

	for (unsigned i = 0; i < BATCH; i++)
		in[i] = (struct engine_packet){
			.bytes = packets[i].bytes,
			.captured = packets[i].len,
			.on_wire = packets[i].len,
			.hook = HOOK_FORWARD,
			.hint = from_server,
		};
	uint64_t start = cpu_ns();

	for (unsigned i = 0; i < BATCH; i++) {
		if (i % ENGINE_BATCH == 0)
			engine_expect(b->engine, &in[i], ENGINE_BATCH);
		engine_packet(b->engine, &in[i], b->now_us, &decision);
		unexpected += decision.verdict != expected;
	}
	while (engine_expire(b->engine, b->now_us, &effects))
		;
	uint64_t took = cpu_ns() - start;

	if (unexpected)
		errx(EXIT_FAILED,
			"%u of %d packets were judged otherwise than expected, the last for: %s",
			unexpected, BATCH, reason_word(decision.reason));
	return took;
}

/* One batch of flows goes through all its steps. */
static uint64_t run_batch(struct bench *b, const struct scenario *s)
{
	static struct synthetic packets[BATCH];
	uint32_t numbers[BATCH];
	uint64_t took = 0;

	for (unsigned i = 0; i < BATCH; i++)
		numbers[i] = s->known ? pick_standing(b) : b->next++;
	for (unsigned step = 0; step < s->steps; step++) {
		for (unsigned i = 0; i < BATCH; i++)
			synthetic_write(&packets[i], numbers[i], s->flags[step]);
		took += judge_batch(
			b, packets, s->flags[step] == (TCP_SYN | TCP_ACK), s->verdict[step]);
	}
	if (!s->known)
		b->now_us +=
			s->pace ? s->pace * (uint64_t)BATCH * SYN_SENT_S * 10000 / b->flows : BATCH;
	return took;
}

/* Nanoseconds for each of `count` flows, as checked by what the engine counted. */
static double run(struct bench *b, const struct scenario *s, uint32_t count)
{
	uint64_t took = 0;
	uint32_t batches = (count + BATCH - 1) / BATCH;
	uint64_t opened = s->flags[0] == TCP_SYN && !s->known ? (uint64_t)batches * BATCH : 0;
	uint64_t before = engine_counters(b->engine)->started;

	engine_set_policy(b->engine, s->with_limits ? &b->limiting : &b->plain);
	for (uint32_t i = 0; i < batches; i++)
		took += run_batch(b, s);
	uint64_t started = engine_counters(b->engine)->started - before;
	if (started != opened)
		errx(EXIT_FAILED, "%s: %" PRIu64 " handshakes started instead of %" PRIu64, s->name,
			started, opened);
	return (double)took / ((double)batches * BATCH);
}

static uint32_t standing(const struct bench *b)
{
	struct engine_gauges g = engine_gauges(b->engine);

	return g.syn_sent + g.syn_received;
}

/* Resident memory of this process in KiB. */
static unsigned long resident_kib(void)
{
	char line[128];
	unsigned long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	if (!f)
		err(EXIT_FAILED, "/proc/self/status");
	while (!kib && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %lu kB", &kib) != 1)
			kib = 0;
	fclose(f);
	return kib;
}

static void fill(struct bench *b)
{
	static const struct scenario arrivals = {
		.name = "filling",
		.steps = 1,
		.flags = {TCP_SYN},
		.verdict = {VERDICT_ACCEPT},
		.pace = 99,
	};

	run(b, &arrivals, b->flows);
	if (standing(b) < b->flows - b->flows / 100)
		errx(EXIT_FAILED, "only %" PRIu32 " of %" PRIu32 " flows stand", standing(b),
			b->flows);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Prints a figure; false if it is beyond its limit, 0 for none. */
static bool print_row(
	const char *name, double value, const char *unit, const char *spread, unsigned limit)
{
	bool good = !limit || value <= limit;

	printf("%-38s %7.1f %-5s %-16s", name, value, unit, spread);
	if (limit)
		printf(" <= %-4u %s", limit, good ? "good" : "MISSED");
	putchar('\n');
	fflush(stdout);
	return good;
}

static bool measure_time(struct bench *b, const struct scenario *s, const struct options *o)
{
	double ns[RUNS_MAX];
	char spread[32];

	run(b, s, o->decisions / 10);
	for (unsigned i = 0; i < o->runs; i++)
		ns[i] = run(b, s, o->decisions);
	qsort(ns, o->runs, sizeof(ns[0]), compare_doubles);
	snprintf(spread, sizeof(spread), "(%.0f .. %.0f)", ns[0], ns[o->runs - 1]);
	return print_row(s->name, ns[o->runs / 2], "ns", spread, s->limit_ns);
}

static bool measure_memory(struct bench *b, unsigned long kib_before)
{
	fill(b);
	double kib = (double)resident_kib();

	printf("%" PRIu32 " half-open flows stand, every other one IPv6\n", standing(b));
	print_row("memory of one flow", (kib - (double)kib_before) * 1024 / standing(b), "bytes",
		"", 0);
	return print_row(
		"resident memory of the whole process", kib / 1024, "MiB", "", RSS_LIMIT_MIB);
}

/* Both of the synthetic servers do all but timestamps. */
static void learn_servers(const struct bench *b)
{
	static const struct addr six = {{0x20, 0x01, 0x0d, 0xb8, [12] = 192, 0, 2, 1}};
	struct segment syn_ack = {
		.src = six,
		.src_port = 443,
		.flags = TCP_SYN | TCP_ACK,
		.opt = {.mss = 1460, .has_wscale = true, .wscale = 7, .sack_permitted = true},
	};

	for (unsigned family = 0; family < 2; family++) {
		learned_hear(engine_shared_learned(b->shared), &syn_ack,
			LEARNED_ASKED_WSCALE | LEARNED_ASKED_SACK | LEARNED_ASKED_TIMESTAMPS);
		syn_ack.src = addr_v4(six.b + 12);
	}
}

/* Has a batch judged, all of which must be dropped for `expected`; what was sent first for each is
 * kept in `sent`. */
static uint64_t judge_dropped(struct bench *b, const struct synthetic *packets,
	enum engine_lane lane, enum reason expected, struct effect *sent)
{
	static struct decision decision;
	uint64_t start = cpu_ns();

	for (unsigned i = 0; i < BATCH; i++) {
		const struct engine_packet in = {
			.bytes = packets[i].bytes,
			.captured = packets[i].len,
			.on_wire = packets[i].len,
			.hook = HOOK_FORWARD,
			.lane = lane,
		};

		engine_packet(b->engine, &in, b->now_us, &decision);
		/* One guess in some millions is right. */
		if (decision.verdict != VERDICT_DROP ||
			(decision.reason != expected && expected != REASON_bad_cookie))
			errx(EXIT_FAILED, "a packet is not dropped for %s, but for %s",
				reason_word(expected), reason_word(decision.reason));
		sent[i] = decision.effects.list[0];
	}
	return cpu_ns() - start;
}

enum cookie_figure {
	COOKIE_SENT,
	COOKIE_GOOD,
	COOKIE_WRONG,
	COOKIE_FIGURES
};

/* New clients: their SYNs, ACKs that bring the cookies back, and RSTs; then as many ACKs of clients
 * that never sent a SYN. */
static void run_cookies(struct bench *b, uint64_t took[COOKIE_FIGURES])
{
	static struct synthetic packets[BATCH];
	static struct effect sent[BATCH];
	uint32_t first = b->next;

	for (unsigned i = 0; i < BATCH; i++)
		synthetic_write(&packets[i], b->next++, TCP_SYN);
	took[COOKIE_SENT] += judge_dropped(b, packets, LANE_HANDSHAKES, REASON_NONE, sent);
	for (unsigned i = 0; i < BATCH; i++) {
		size_t ip_len = sent[i].send.bytes[0] >> 4 == 6 ? 40 : 20;

		synthetic_write(&packets[i], first + i, TCP_ACK);
		synthetic_acknowledge(&packets[i], wire_get32(sent[i].send.bytes + ip_len + 4) + 1);
	}
	took[COOKIE_GOOD] += judge_dropped(b, packets, LANE_PROOFS, REASON_NONE, sent);
	for (unsigned i = 0; i < BATCH; i++)
		synthetic_write(&packets[i], first + i, TCP_RST);
	judge_dropped(b, packets, LANE_HANDSHAKES, REASON_NONE, sent);
	for (unsigned i = 0; i < BATCH; i++)
		synthetic_write(&packets[i], b->next++, TCP_ACK);
	took[COOKIE_WRONG] += judge_dropped(b, packets, LANE_PROOFS, REASON_bad_cookie, sent);
	b->now_us += BATCH;
}

/* For orientation. */
static void measure_cookies(struct bench *b, const struct options *o)
{
	static const uint8_t secret[COOKIE_SECRET] = {1};
	static const char *const names[] = {
		[COOKIE_SENT] = "a SYN answered with a cookie",
		[COOKIE_GOOD] = "an ACK with a valid cookie",
		[COOKIE_WRONG] = "an ACK with a wrong one",
	};
	uint32_t batches = (o->decisions + BATCH - 1) / BATCH;
	double ns[COOKIE_FIGURES][RUNS_MAX];
	char spread[32];

	learn_servers(b);
	engine_set_policy(b->engine, &b->challenging);
	engine_cookies(b->engine, secret, 1700000000);
	for (unsigned i = 0; i < o->runs; i++) {
		uint64_t took[COOKIE_FIGURES] = {0};

		for (uint32_t batch = 0; batch < batches; batch++)
			run_cookies(b, took);
		for (enum cookie_figure f = 0; f < COOKIE_FIGURES; f++)
			ns[f][i] = (double)took[f] / ((double)batches * BATCH);
	}
	engine_cookies(b->engine, NULL, 0);
	for (enum cookie_figure f = 0; f < COOKIE_FIGURES; f++) {
		qsort(ns[f], o->runs, sizeof(ns[f][0]), compare_doubles);
		snprintf(spread, sizeof(spread), "(%.0f .. %.0f)", ns[f][0], ns[f][o->runs - 1]);
		print_row(names[f], ns[f][o->runs / 2], "ns", spread, 0);
	}
}

static uint32_t number_argument(const char *text, uint32_t least, uint32_t most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n < least || n > most)
		errx(EXIT_USAGE, "'%s' is not a number from %" PRIu32 " to %" PRIu32, text, least,
			most);
	return (uint32_t)n;
}

static struct options read_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{"flows", required_argument, NULL, 'f'},
		{"decisions", required_argument, NULL, 'd'},
		{"runs", required_argument, NULL, 'r'},
		{"strict", no_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	struct options o = {.flows = 1000000, .decisions = 1000000, .runs = 7};

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'f':
			o.flows = number_argument(optarg, 10000, 16000000);
			break;
		case 'd':
			o.decisions = number_argument(optarg, BATCH, 16000000);
			break;
		case 'r':
			o.runs = number_argument(optarg, 1, RUNS_MAX);
			break;
		case 's':
			o.strict = true;
			break;
		default:
			fprintf(stderr, "usage: bench_core [--flows N] [--decisions N] [--runs N] "
					"[--strict]\n");
			exit(EXIT_USAGE);
		}
	}
	return o;
}

/* As the daemon does. */
static void ask_for_large_pages(void *start, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)start + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)start + size) & ~(page - 1);

	if (from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
}

/* New SYNs alone: a million flows stand, none has to go for them. Each run has a table of its own.
 */
static bool measure_room(
	const struct bench *b, const struct options *o, const struct siphash_key *key)
{
	static const struct scenario arrivals = {
		.name = "filling",
		.steps = 1,
		.flags = {TCP_SYN},
		.verdict = {VERDICT_ACCEPT},
		.pace = 50,
	};
	static const struct scenario more = {
		.name = "a new SYN, with room for it",
		.steps = 1,
		.flags = {TCP_SYN},
		.verdict = {VERDICT_ACCEPT},
	};
	struct engine_limits limits = {
		.half_open = b->flows + b->flows / 4 + BATCH, .flows = 65536};
	double ns[RUNS_MAX];
	char spread[32];

	for (unsigned i = 0; i < o->runs; i++) {
		struct bench r = *b;

		r.engine = engine_new(&limits, &r.plain, r.shared, key, r.now_us);
		if (!r.engine)
			errx(EXIT_FAILED, "no memory for %" PRIu32 " flows", limits.half_open);
		engine_memory(r.engine, ask_for_large_pages);
		run(&r, &arrivals, r.flows);
		ns[i] = run(&r, &more, r.flows / 4);
		engine_free(r.engine);
	}
	qsort(ns, o->runs, sizeof(ns[0]), compare_doubles);
	snprintf(spread, sizeof(spread), "(%.0f .. %.0f)", ns[0], ns[o->runs - 1]);
	return print_row(more.name, ns[o->runs / 2], "ns", spread, DECISION_LIMIT_NS);
}

int main(int argc, char **argv)
{
	static const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	struct options o = read_options(argc, argv);
	struct bench b = {
		.plain = policy_of(&plain_rule),
		.limiting = policy_of(&limiting_rule),
		.challenging = policy_of(&challenging_rule),
		.flows = o.flows,
		.now_us = 1000000,
		.random = 1,
	};
	unsigned long kib_before = resident_kib();

	b.shared = engine_shared_new(65536, &key);
	if (!b.shared)
		errx(EXIT_FAILED, "no memory for the sources");
	b.engine = engine_new(
		/* A batch, and the guesses that were right. */
		&(struct engine_limits){
			.half_open = o.flows, .flows = 65536, .in_flight = 2 * BATCH},
		&b.plain, b.shared, &key, b.now_us);
	if (!b.engine)
		errx(EXIT_FAILED, "no memory for %" PRIu32 " flows", o.flows);

	engine_memory(b.engine, ask_for_large_pages);
	bool good = measure_memory(&b, kib_before);
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		good &= measure_time(&b, &scenarios[i], &o);
	good &= measure_room(&b, &o, &key);
	measure_cookies(&b, &o);
	printf("median of %u runs (least .. most), %" PRIu32 " decisions each, CPU time\n", o.runs,
		o.decisions);

	engine_free(b.engine);
	engine_shared_free(b.shared);
	return good || !o.strict ? EXIT_SUCCESS : EXIT_SLOW;
}
