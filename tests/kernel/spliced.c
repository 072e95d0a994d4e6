/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "netns.h"
#include "splice/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spliced.h"
#include "spliced_modes.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct spliced_mode spliced_modes[4] = {
	{false, true, 1}, {false, false, 1}, {true, true, 1}, {true, false, 1}};

static void end_process(int number)
{
	static const char text[] = "took too long\n";

	(void)number;
	_exit(write(2, text, sizeof(text) - 1) > 0);
}

void spliced_prepare(void)
{
	netns_require();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, end_process);
	alarm(180);
}

uint64_t spliced_clock_ms(void)
{
	return loop_clock() / 1000;
}

void spliced_nap(void)
{
	const struct timespec t = {.tv_nsec = 200000};

	nanosleep(&t, NULL);
}

static bool wants_record(void *arg)
{
	(void)arg;
	return true;
}

static void ended(void *arg, const struct splice_record *record)
{
	struct spliced *g = arg;

	pthread_mutex_lock(&g->lock);
	if (g->ended < SPLICED_RECORDS)
		g->records[g->ended] = *record;
	g->ended++;
	pthread_mutex_unlock(&g->lock);
}

static void accepting(void *arg, bool paused)
{
	struct spliced *g = arg;

	if (paused)
		g->pauses++;
	else
		g->resumes++;
}

static void told(void *arg, enum config_log_level level, const char *sentence)
{
	(void)arg;
	(void)level;
	(void)sentence;
}

static void listens(void *arg, const char *name, int fd)
{
	struct spliced *g = arg;
	size_t len = strlen(g->listening);

	snprintf(g->listening + len, sizeof(g->listening) - len, "%s%s ", fd < 0 ? "-" : "", name);
}

static const struct splice_events events = {wants_record, ended, accepting, told, listens};

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

const char *spliced_host(const struct spliced *g)
{
	return g->mode.v6 ? "::1" : "127.0.0.1";
}

/* With the host for each @. */
static char *fill_in(const struct spliced *g, const char *text)
{
	const char *host = g->mode.v6 ? "[::1]" : "127.0.0.1";
	char *out = calloc(1, strlen(text) * 10 + 1), *to = out;

	assert_non_null(out);
	for (; *text; text++)
		if (*text == '@')
			to = stpcpy(to, host);
		else
			*to++ = *text;
	return out;
}

static struct config *parse(const struct spliced *g, const char *text)
{
	char *filled = fill_in(g, text);
	const struct config_source source = {"test.ini", filled, strlen(filled)};
	struct config_errors errors = {0};
	struct config *c = config_parse(&source, 1, g->config, &errors);

	for (size_t i = 0; i < errors.count; i++)
		fprintf(stderr, "%s\n", errors.list[i]);
	assert_non_null(c);
	free(filled);
	return c;
}

bool spliced_reload(struct spliced *g, const char *text, char *why, size_t size)
{
	struct config *next = parse(g, text);
	struct splice_change *change = splice_prepare(g->splice, next, why, size);

	if (!change) {
		config_free(next);
		return false;
	}
	splice_commit(g->splice, change);
	config_free(g->config);
	g->config = next;
	return true;
}

void spliced_open_text(struct spliced *g, const struct spliced_mode *mode, const char *text)
{
	char why[256] = "";

	*g = (struct spliced){.mode = *mode, .lock = PTHREAD_MUTEX_INITIALIZER};
	close(netns_new());
	g->fds = count_fds();
	g->splice = splice_open(mode->threads ? mode->threads : 1, &events, g, why, sizeof(why));
	assert_non_null(g->splice);
	if (!spliced_reload(g, text, why, sizeof(why)))
		fail_msg("%s", why);
}

void spliced_open(struct spliced *g, const struct spliced_mode *mode, unsigned servers,
	const char *rule, const char *backend)
{
	char list[128] = "", text[2048];
	size_t len = 0;

	for (unsigned i = 0; i < servers; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s@:%u", i ? ", " : "",
			SPLICED_SERVER + i);
	snprintf(text, sizeof(text),
		"[rule r]\nmode = splice\nlisten = @:%u\nbackend = b\nsplice = %s\n%s\n"
		"[backend b]\nservers = %s\ncheck = off\n%s\n",
		SPLICED_PORT, mode->splice ? "yes" : "no", rule, list, backend);
	spliced_open_text(g, mode, text);
}

void spliced_start(struct spliced *g)
{
	char why[256] = "";

	if (!splice_start(g->splice, why, sizeof(why)))
		fail_msg("%s", why);
	g->threads = true;
}

void spliced_close(struct spliced *g)
{
	const struct reserve *r = &g->splice->loops[0].reserve;

	if (!g->threads) {
		SPLICED_UNTIL(g, TAILQ_EMPTY(&g->splice->loops[0].sessions));
		assert_int_equal(r->lent_pipes, 0);
		assert_int_equal(r->lent_buffers, 0);
		assert_int_equal(g->splice->loops[0].open, 0);
		for (size_t i = 0; i < g->splice->now.route_count; i++)
			assert_int_equal(g->splice->now.routes[i]->tally->open, 0);
		for (size_t i = 0; i < g->splice->now.backend_count; i++)
			assert_int_equal(backend_connections(g->splice->now.backends[i]), 0);
	}
	splice_close(g->splice);
	assert_int_equal(g->seen, g->ended);
	config_free(g->config);
	assert_int_equal(count_fds(), g->fds);
}

void spliced_turn(struct spliced *g)
{
	for (unsigned i = 0; !g->threads && i < g->splice->loop_count; i++)
		event_base_loop(g->splice->loops[i].base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

void spliced_turn_for(struct spliced *g, unsigned ms)
{
	const uint64_t end = spliced_clock_ms() + ms;

	do {
		spliced_turn(g);
		spliced_nap();
	} while (spliced_clock_ms() < end);
}

int spliced_server(const struct spliced *g, unsigned number)
{
	return netns_listen(spliced_host(g), (uint16_t)(SPLICED_SERVER + number));
}

int spliced_client(const struct spliced *g)
{
	return netns_connect(spliced_host(g), SPLICED_PORT);
}

static bool is_ready(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

int spliced_accept(struct spliced *g, int server)
{
	SPLICED_UNTIL(g, is_ready(server));
	return netns_accept(server);
}

void spliced_pair(struct spliced *g, int server, int *client, int *there)
{
	*client = spliced_client(g);
	*there = spliced_accept(g, server);
}

void spliced_says(struct spliced *g, int from, int to, const char *text)
{
	const ssize_t len = (ssize_t)strlen(text);
	char got[2048];
	ssize_t sum = 0, n;

	assert_int_equal(send(from, text, (size_t)len, MSG_NOSIGNAL), len);
	while (sum < len) {
		SPLICED_UNTIL(g,
			(n = recv(to, got + sum, sizeof(got) - (size_t)sum, MSG_DONTWAIT)) != -1 ||
				errno != EAGAIN);
		assert_true(n > 0);
		sum += n;
	}
	assert_int_equal(sum, len);
	assert_memory_equal(got, text, (size_t)len);
}

/* A byte by its place; both ends of a stream begin at its first. */
static uint8_t pattern(size_t at)
{
	return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

void spliced_sends(struct spliced *g, int from, size_t bytes)
{
	uint8_t block[4096];
	size_t at = 0;

	while (at < bytes) {
		size_t len = bytes - at < sizeof(block) ? bytes - at : sizeof(block);
		ssize_t n;

		for (size_t i = 0; i < len; i++)
			block[i] = pattern(at + i);
		/* As much at once as goes. */
		n = send(from, block, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EAGAIN)
			SPLICED_UNTIL(g,
				(n = send(from, block, len, MSG_NOSIGNAL | MSG_DONTWAIT)) != -1 ||
					errno != EAGAIN);
		assert_true(n > 0);
		at += (size_t)n;
	}
}

void spliced_gets(struct spliced *g, int to, size_t bytes)
{
	static uint8_t block[65536];
	size_t at = 0;

	while (at < bytes) {
		size_t len = bytes - at < sizeof(block) ? bytes - at : sizeof(block);
		ssize_t n;

		SPLICED_UNTIL(g, (n = recv(to, block, len, MSG_DONTWAIT)) != -1 || errno != EAGAIN);
		assert_true(n > 0);
		for (size_t i = 0; i < (size_t)n; i++)
			if (block[i] != pattern(at + i))
				fail_msg("byte %zu is wrong", at + i);
		at += (size_t)n;
	}
}

/* What recv says: 0, or an errno; bytes fail. */
static int end_of(struct spliced *g, int fd)
{
	char c;
	ssize_t n;

	SPLICED_UNTIL(g, (n = recv(fd, &c, 1, MSG_DONTWAIT)) != -1 || errno != EAGAIN);
	assert_int_not_equal(n, 1);
	return n == 0 ? 0 : errno;
}

void spliced_fin(struct spliced *g, int fd)
{
	assert_int_equal(end_of(g, fd), 0);
}

void spliced_rst(struct spliced *g, int fd)
{
	assert_int_equal(end_of(g, fd), ECONNRESET);
}

void spliced_cut(int fd)
{
	const struct linger at_once = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
}

void spliced_silent(struct spliced *g, int fd, unsigned ms)
{
	char c;

	spliced_turn_for(g, ms);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static unsigned count_ended(struct spliced *g)
{
	unsigned count;

	pthread_mutex_lock(&g->lock);
	count = g->ended;
	pthread_mutex_unlock(&g->lock);
	return count;
}

const struct splice_record *spliced_ended(
	struct spliced *g, enum splice_end end, enum splice_side by, enum splice_phase phase)
{
	const struct splice_record *r = &g->records[g->seen];

	SPLICED_UNTIL(g, count_ended(g) > g->seen);
	assert_in_range(g->seen, 0, SPLICED_RECORDS - 1);
	if (r->end != end || r->by != by || r->phase != phase)
		fail_msg("it ended: %s, by %s, %s; instead of: %s, by %s, %s",
			splice_end_words(r->end), splice_side_word(r->by),
			splice_phase_word(r->phase), splice_end_words(end), splice_side_word(by),
			splice_phase_word(phase));
	g->seen++;
	return r;
}
