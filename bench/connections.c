/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New connections a second: each asks for one page, reads until the server closes, and closes.
 *
 * Many clients are played from one range of local addresses, each with its own source address and
 * port, so that no tuple comes twice in a run: neither TIME-WAIT at the server nor a shortage of
 * ports is measured. One thread, epoll, a constant number of connections in flight.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	ADDRESSES = 4096, /* in turn; then the next port */
	PORT_FIRST = 1024,
	PORT_COUNT = 64000,
	IN_FLIGHT_MAX = 4096,
	EVENTS = 256,
	EXIT_USAGE = 2,
	EXIT_FAILED = 3,
};

struct load {
	int epoll;
	struct sockaddr_in server;
	uint32_t first_address; /* host order */
	uint64_t next;          /* the number of the next client */
	uint64_t done;
	uint64_t failed;
	int last_errno;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in next_client(struct load *l)
{
	uint64_t n = l->next++;

	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(l->first_address + (uint32_t)(n % ADDRESSES)),
		.sin_port = htons((uint16_t)(PORT_FIRST + n / ADDRESSES % PORT_COUNT)),
	};
}

static void open_connection(struct load *l)
{
	static const int on = 1;
	struct sockaddr_in client = next_client(l);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(EXIT_FAILED, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&client, sizeof(client)) < 0)
		err(EXIT_FAILED, "bind %s", inet_ntoa(client.sin_addr));
	if (connect(fd, (struct sockaddr *)&l->server, sizeof(l->server)) < 0 &&
		errno != EINPROGRESS)
		err(EXIT_FAILED, "connect");

	struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(EXIT_FAILED, "epoll_ctl");
}

/* 0: not at its end yet; 1: the server has said all; -1: failed. */
static int read_answer(int fd)
{
	char buffer[4096];
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		;
	if (n == 0)
		return 1;
	return errno == EAGAIN ? 0 : -1;
}

static int send_request(struct load *l, int fd)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
		return -1;
	return epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &event);
}

static void advance(struct load *l, const struct epoll_event *event)
{
	int fd = event->data.fd;
	int end = event->events & EPOLLOUT ? send_request(l, fd) : read_answer(fd);

	if (end == 0)
		return;
	if (end > 0) {
		l->done++;
	} else {
		l->failed++;
		l->last_errno = errno;
	}
	close(fd);
	open_connection(l);
}

/* Keeps the connections going for so long, and returns the seconds it took. */
static double drive(struct load *l, double seconds)
{
	struct epoll_event events[EVENTS];
	double start = now_s(), now = start;

	while (now - start < seconds) {
		int n = epoll_wait(l->epoll, events, EVENTS, 100);

		if (n < 0 && errno != EINTR)
			err(EXIT_FAILED, "epoll_wait");
		for (int i = 0; i < n; i++)
			advance(l, &events[i]);
		now = now_s();
	}
	return now - start;
}

static double number_argument(const char *text, double least, double most)
{
	char *end;
	double n = strtod(text, &end);

	if (*end || end == text || !(n >= least && n <= most))
		errx(EXIT_USAGE, "'%s' is not a number from %g to %g", text, least, most);
	return n;
}

static struct in_addr address_argument(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		errx(EXIT_USAGE, "'%s' is no IPv4 address", text);
	return a;
}

int main(int argc, char **argv)
{
	if (argc != 7)
		errx(EXIT_USAGE,
			"usage: connections SERVER PORT FIRST-CLIENT SKIP IN-FLIGHT SECONDS");

	struct load l = {
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.server =
			{
				.sin_family = AF_INET,
				.sin_addr = address_argument(argv[1]),
				.sin_port = htons((uint16_t)number_argument(argv[2], 1, 65535)),
			},
		.first_address = ntohl(address_argument(argv[3]).s_addr),
		.next = (uint64_t)number_argument(argv[4], 0, 1e9),
	};
	unsigned in_flight = (unsigned)number_argument(argv[5], 1, IN_FLIGHT_MAX);
	double seconds = number_argument(argv[6], 0.1, 3600);

	if (l.epoll < 0)
		err(EXIT_FAILED, "epoll_create1");
	for (unsigned i = 0; i < in_flight; i++)
		open_connection(&l);
	seconds = drive(&l, seconds);

	printf("{\"connections\": %" PRIu64 ", \"failed\": %" PRIu64
	       ", \"seconds\": %.6f, \"next\": %" PRIu64 "}\n",
		l.done, l.failed, seconds, l.next);
	if (l.failed)
		warnx("%" PRIu64 " connections failed, the last with: %s", l.failed,
			strerror(l.last_errno));
	return EXIT_SUCCESS;
}
