/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From one configuration to the next while clients come, sockets that were handed over, threads. */
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
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RULE(name, port)                                                                           \
	"[rule " name "]\nmode = splice\nlisten = @:" port "\nbackend = b\nidle_timeout = 1h\n"
#define BACKEND "[backend b]\nservers = @:9000\ncheck = off\n"

static int listener_fd(const struct spliced *g, uint16_t port)
{
	for (size_t i = 0; i < g->splice->now.place_count; i++)
		if (g->splice->now.places[i].at.port == port)
			return g->splice->now.places[i].listeners[0]->fd;
	fail_msg("nothing listens at %u", port);
	return -1;
}

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void reload(struct spliced *g, const char *text)
{
	char why[256] = "";

	if (!spliced_reload(g, text, why, sizeof(why)))
		fail_msg("%s", why);
}

static void end_pair(struct spliced *g, int client, int there)
{
	close(client);
	spliced_fin(g, there);
	close(there);
	spliced_ended(g, SPLICE_END_closed, SPLICE_CLIENT, SPLICE_HALF);
}

/* A socket whose place stays is the same one, and what stands goes on as it began. */
static void test_unchanged(void **state)
{
	struct spliced g;
	int server, clients[2], there[2];
	ino_t inode;

	spliced_open_text(&g, *state, RULE("r", "8000") BACKEND);
	server = spliced_server(&g, 0);
	inode = inode_of(listener_fd(&g, 8000));
	spliced_pair(&g, server, &clients[0], &there[0]);
	clients[1] = spliced_client(&g);
	reload(&g, RULE("r", "8000") "total_timeout = 1s\nsend_proxy = v1\n" BACKEND);
	assert_true(inode_of(listener_fd(&g, 8000)) == inode);
	there[1] = spliced_accept(&g, server);
	spliced_turn_for(&g, 1100);
	/* The second came under the new settings, and is over. */
	spliced_ended(&g, SPLICE_END_total, SPLICE_GATE, SPLICE_OPEN);
	spliced_says(&g, clients[0], there[0], "still here");
	end_pair(&g, clients[0], there[0]);
	close(clients[1]);
	close(there[1]);
	close(server);
	spliced_close(&g);
}

/* Who waits in the backlog is served; then it is closed. What stands goes on. */
static void test_removed(void **state)
{
	struct spliced g;
	int server, clients[3], there[3];

	spliced_open_text(&g, *state, RULE("r", "8000") RULE("s", "8001") BACKEND);
	server = spliced_server(&g, 0);
	spliced_pair(&g, server, &clients[0], &there[0]);
	clients[1] = spliced_client(&g);
	clients[2] = spliced_client(&g);
	reload(&g, RULE("s", "8001") BACKEND);
	for (int i = 1; i < 3; i++)
		there[i] = spliced_accept(&g, server);
	for (int i = 0; i < 3; i++) {
		spliced_says(&g, clients[i], there[i], "hello");
		end_pair(&g, clients[i], there[i]);
	}
	clients[0] = netns_connect_start(spliced_host(&g), SPLICED_PORT);
	SPLICED_UNTIL(&g, recv(clients[0], (char[1]){0}, 1, MSG_DONTWAIT) == -1 && errno != EAGAIN);
	assert_int_equal(errno, ECONNREFUSED);
	close(clients[0]);
	clients[0] = netns_connect(spliced_host(&g), 8001);
	there[0] = spliced_accept(&g, server);
	end_pair(&g, clients[0], there[0]);
	assert_non_null(strstr(g.listening, "-listen-"));
	close(server);
	spliced_close(&g);
}

/* One place that can't be had: nothing has changed, and nothing is left over. */
static void test_refused(void **state)
{
	struct spliced g;
	char why[256] = "";
	int server, other, client, there;
	ino_t inode;

	spliced_open_text(&g, *state, RULE("r", "8000") BACKEND);
	inode = inode_of(listener_fd(&g, 8000));
	server = spliced_server(&g, 0);
	other = netns_listen(spliced_host(&g), 8002);
	assert_false(
		spliced_reload(&g, RULE("n", "8001") RULE("t", "8002") BACKEND, why, sizeof(why)));
	assert_non_null(strstr(why, "rule t can't listen at"));
	assert_non_null(strstr(why, "8002: Address already in use"));
	assert_true(inode_of(listener_fd(&g, 8000)) == inode);
	assert_null(strstr(g.listening, "8001"));
	spliced_pair(&g, server, &client, &there);
	end_pair(&g, client, there);
	/* Nobody holds 8001 either. */
	close(netns_listen(spliced_host(&g), 8001));
	close(other);
	close(server);
	spliced_close(&g);
}

/* Handed over with a client in its backlog: it is taken as it is. */
static void test_inherited(void **state)
{
	static struct splice_socket handed = {.name = "listen"};
	struct spliced g;
	int server, unused, client, there;
	ino_t inode;

	spliced_open_text(&g, *state, RULE("r", "8000") BACKEND);
	server = spliced_server(&g, 0);
	handed.fd = netns_listen(spliced_host(&g), 8001);
	inode = inode_of(handed.fd);
	client = netns_connect(spliced_host(&g), 8001);
	assert_true(splice_inherit(g.splice, &handed));
	unused = netns_listen(spliced_host(&g), 8003);
	assert_true(splice_inherit(g.splice, &(struct splice_socket){.fd = unused, .name = "u"}));
	assert_false(splice_inherit(g.splice, &(struct splice_socket){.fd = client}));
	reload(&g, RULE("r", "8000") RULE("s", "8001") BACKEND);
	assert_true(inode_of(listener_fd(&g, 8001)) == inode);
	there = spliced_accept(&g, server);
	spliced_says(&g, client, there, "hello");
	end_pair(&g, client, there);
	/* What nobody wants is closed. */
	close(netns_listen(spliced_host(&g), 8003));
	close(server);
	spliced_close(&g);
}

/* No more accepting, but sockets stay; what stands goes on, and so does who waits for a place. */
static void test_rest(void **state)
{
	struct spliced g;
	int server, clients[2], there;

	spliced_open_text(&g, *state, RULE("r", "8000") BACKEND);
	server = spliced_server(&g, 0);
	spliced_pair(&g, server, &clients[0], &there);
	splice_rest(g.splice);
	clients[1] = spliced_client(&g);
	spliced_turn_for(&g, 50);
	assert_int_equal(g.splice->loops[0].open, 1);
	spliced_says(&g, clients[0], there, "hello");
	end_pair(&g, clients[0], there);
	close(clients[1]);
	close(server);
	spliced_close(&g);
}

/* Two threads, connections that come and end all the time, and reloads in between. */
static void test_threads(void **state)
{
	struct spliced_mode mode = *(const struct spliced_mode *)*state;
	struct splice_totals totals;
	struct spliced g;
	int server, client, there;

	mode.threads = 2;
	spliced_open_text(&g, &mode, RULE("r", "8000") BACKEND);
	server = spliced_server(&g, 0);
	spliced_start(&g);
	for (int i = 0; i < 60; i++) {
		spliced_pair(&g, server, &client, &there);
		spliced_says(&g, client, there, "question");
		if (i % 3 == 0)
			reload(&g, i % 2 ? RULE("r", "8000") BACKEND
					 : RULE("r", "8000") RULE(
						   "s", "8001") "max_connections = 5\n" BACKEND);
		spliced_says(&g, there, client, "answer");
		end_pair(&g, client, there);
		splice_totals(g.splice, &totals);
	}
	assert_int_equal(totals.total, 60);
	assert_int_equal(totals.bytes_in, 60 * 8);
	assert_int_equal(totals.bytes_out, 60 * 6);
	/* Its end is none of these. */
	spliced_pair(&g, server, &client, &there);
	splice_rest(g.splice);
	close(server);
	g.seen++;
	g.fds += 2;
	spliced_close(&g);
	close(client);
	close(there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_MODE(test_unchanged),
		EACH_MODE(test_removed),
		EACH_MODE(test_refused),
		EACH_MODE(test_inherited),
		EACH_MODE(test_rest),
		EACH_MODE(test_threads),
	};

	return spliced_run(tests);
}
