/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Honest clients: so many connections of the kernel's own, from one address or many, each of which
 * sends a request and reads the answer to its end. How long each connect() took is measured.
 */
#include "arguments.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	EVENTS = 256,
	COUNT_MAX = 10000000,
	IN_FLIGHT_MAX = 65536,
	IN_FLIGHT_DEFAULT = 50,
	TIMEOUT_DEFAULT = 30,
	ERRNO_MAX = 160,
	ENDED_LATE = ERRNO_MAX, /* not done in time */
	ENDED_SHORT,            /* the answer was not all there */
	ENDINGS,
};

struct connection {
	int fd; /* -1: free */
	bool connected;
	double began;
	double connect_s;
	size_t heard;
};

struct dial {
	union address to, from;
	uint32_t sources; /* 0: from is not given */
	uint32_t count;
	uint32_t in_flight;
	double rate; /* connections begun a second; 0: as many as in_flight lets */
	double timeout;
	size_t least;     /* bytes of an answer */
	bool close_first; /* once those are there */
	const char *request;

	int epoll;
	struct connection *connections; /* in_flight of them */
	uint32_t *free;
	uint32_t free_count;
	uint32_t begun;
	uint32_t failed;
	uint32_t done;
	double *connect_s; /* of the `done` ones */
	double *total_s;
	uint32_t ended[ENDINGS];
};

static void end(struct dial *d, struct connection *c, int how)
{
	close(c->fd);
	c->fd = -1;
	d->free[d->free_count++] = (uint32_t)(c - d->connections);
	if (how) {
		d->failed++;
		d->ended[how < ENDINGS ? how : 0]++;
		return;
	}
	d->connect_s[d->done] = c->connect_s;
	d->total_s[d->done++] = now_s() - c->began;
}

static void bind_source(const struct dial *d, int fd, uint32_t number)
{
	static const int on = 1;
	union address source = address_on(&d->from, number % d->sources);

	/* The port is chosen at connect(), when it is known whom it must differ for. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (source.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
	if (bind(fd, &source.any, address_size(&source)) < 0)
		err(EXIT_SYSTEM, "bind");
}

static void begin(struct dial *d)
{
	struct connection *c = &d->connections[d->free[--d->free_count]];
	uint32_t number = d->begun++;

	*c = (struct connection){
		.fd = socket(d->to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	if (c->fd < 0)
		err(EXIT_SYSTEM, "socket");
	if (d->sources)
		bind_source(d, c->fd, number);
	c->began = now_s();
	if (connect(c->fd, &d->to.any, address_size(&d->to)) < 0 && errno != EINPROGRESS) {
		end(d, c, errno);
		return;
	}

	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};

	if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		err(EXIT_SYSTEM, "epoll_ctl");
}

/* 0 or an errno value. */
static int ask(struct dial *d, struct connection *c)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	size_t length = strlen(d->request);
	int problem = 0;
	socklen_t size = sizeof(problem);

	c->connect_s = now_s() - c->began;
	c->connected = true;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0 || problem)
		return problem ? problem : errno;
	if (send(c->fd, d->request, length, MSG_NOSIGNAL) != (ssize_t)length)
		return errno;
	return epoll_ctl(d->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0 ? errno : 0;
}

static void hear(struct dial *d, struct connection *c)
{
	char buffer[65536];
	ssize_t n;

	while ((n = recv(c->fd, buffer, sizeof(buffer), 0)) > 0)
		c->heard += (size_t)n;
	if (n < 0 && errno == EAGAIN && d->close_first && c->heard >= d->least)
		end(d, c, 0);
	else if (n == 0)
		end(d, c, c->heard < d->least ? ENDED_SHORT : 0);
	else if (errno != EAGAIN)
		end(d, c, errno);
}

static void advance(struct dial *d, struct connection *c)
{
	if (c->connected) {
		hear(d, c);
		return;
	}

	int problem = ask(d, c);

	if (problem)
		end(d, c, problem);
}

static void end_late_ones(struct dial *d, double now)
{
	for (uint32_t i = 0; i < d->in_flight; i++)
		if (d->connections[i].fd >= 0 && now - d->connections[i].began > d->timeout)
			end(d, &d->connections[i], ENDED_LATE);
}

/* Begins what is due, and returns the milliseconds until more is. */
static int begin_due(struct dial *d, double start)
{
	while (d->begun < d->count && d->free_count > 0) {
		double wait_s = d->rate > 0 ? start + d->begun / d->rate - now_s() : 0;

		if (wait_s > 0)
			return (int)fmin(100, ceil(wait_s * 1e3));
		begin(d);
	}
	return 100;
}

/* Returns the seconds that it took. */
static double run(struct dial *d)
{
	struct epoll_event events[EVENTS];
	double start = now_s(), looked = start, now = start;

	while (d->done + d->failed < d->count) {
		int n = epoll_wait(d->epoll, events, EVENTS, begin_due(d, start));

		if (n < 0 && errno != EINTR)
			err(EXIT_SYSTEM, "epoll_wait");
		for (int i = 0; i < n; i++)
			advance(d, events[i].data.ptr);
		now = now_s();
		if (now - looked > 0.1) {
			end_late_ones(d, now);
			looked = now;
		}
	}
	return now - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *name, double *of, uint32_t count)
{
	qsort(of, count, sizeof(*of), compare);
	if (count == 0) {
		printf(", \"%s\": null", name);
		return;
	}
	printf(", \"%s\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name,
		of[(count - 1) / 2] * 1e3, of[(size_t)((double)(count - 1) * 0.99)] * 1e3,
		of[count - 1] * 1e3);
}

static const char *ending_name(int how)
{
	static char number[24];

	switch (how) {
	case ENDED_LATE:
		return "timeout";
	case ENDED_SHORT:
		return "short";
	case ECONNREFUSED:
		return "refused";
	case ECONNRESET:
		return "reset";
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "unreachable";
	case ETIMEDOUT:
		return "no_answer";
	default:
		snprintf(number, sizeof(number), "errno %d", how);
		return number;
	}
}

static void print(struct dial *d, double seconds)
{
	const char *comma = "";

	printf("{\"connections\": %u, \"failed\": %u, \"errors\": {", d->done, d->failed);
	for (int how = 0; how < ENDINGS; how++)
		if (d->ended[how]) {
			printf("%s\"%s\": %u", comma, ending_name(how), d->ended[how]);
			comma = ", ";
		}
	printf("}");
	print_times("connect_ms", d->connect_s, d->done);
	print_times("total_ms", d->total_s, d->done);
	printf(", \"seconds\": %.6f}\n", seconds);
}

static void *array(size_t count, size_t size)
{
	void *made = calloc(count, size);

	if (!made)
		err(EXIT_SYSTEM, "memory");
	return made;
}

static void prepare(struct dial *d)
{
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll < 0)
		err(EXIT_SYSTEM, "epoll_create1");
	d->connections = array(d->in_flight, sizeof(*d->connections));
	d->free = array(d->in_flight, sizeof(*d->free));
	d->connect_s = array(d->count, sizeof(*d->connect_s));
	d->total_s = array(d->count, sizeof(*d->total_s));
	for (uint32_t i = 0; i < d->in_flight; i++) {
		d->connections[i].fd = -1;
		d->free[d->free_count++] = i;
	}
}

static void usage(FILE *to)
{
	fputs("usage: dial --to ADDR --port P [...]\n"
	      "  --from FIRST    local addresses from this one on (as the routes say)\n"
	      "  --sources N     how many, of IPv6 each in a /64 of its own (1)\n"
	      "  --count N       connections (1)\n"
	      "  --in-flight N   at once, at most (50)\n"
	      "  --rate N        begun a second (as many as may be in flight)\n"
	      "  --timeout S     for each, from SYN to the answer's end (30)\n"
	      "  --least N       bytes that an answer has at least (1)\n"
	      "  --close-first   close once they are there, and do not wait for the server to\n"
	      "  --request TEXT  (a GET of HTTP/1.0)\n",
		to);
}

static void set_option(struct dial *d, int option, const char *text)
{
	switch (option) {
	case 't':
		d->to = argument_address(text);
		break;
	case 'p':
		d->to.in4.sin_port = htons((uint16_t)argument_number(text, 1, 65535));
		break;
	case 'f':
		d->from = argument_address(text);
		break;
	case 's':
		d->sources = (uint32_t)argument_number(text, 1, UINT32_MAX);
		break;
	case 'c':
		d->count = (uint32_t)argument_number(text, 1, COUNT_MAX);
		break;
	case 'i':
		d->in_flight = (uint32_t)argument_number(text, 1, IN_FLIGHT_MAX);
		break;
	case 'r':
		d->rate = argument_number(text, 0.01, 1e6);
		break;
	case 'T':
		d->timeout = argument_number(text, 0.01, 3600);
		break;
	case 'l':
		d->least = (size_t)argument_number(text, 0, 1e12);
		break;
	case 'C':
		d->close_first = true;
		break;
	case 'q':
		d->request = text;
		break;
	case 'h':
		usage(stdout);
		exit(EXIT_SUCCESS);
	default:
		usage(stderr);
		exit(EXIT_USAGE);
	}
}

static void read_options(struct dial *d, int argc, char **argv)
{
	static const struct option names[] = {
		{"to", required_argument, NULL, 't'},
		{"port", required_argument, NULL, 'p'},
		{"from", required_argument, NULL, 'f'},
		{"sources", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'c'},
		{"in-flight", required_argument, NULL, 'i'},
		{"rate", required_argument, NULL, 'r'},
		{"timeout", required_argument, NULL, 'T'},
		{"least", required_argument, NULL, 'l'},
		{"close-first", no_argument, NULL, 'C'},
		{"request", required_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	uint16_t port;
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		port = d->to.in4.sin_port;
		set_option(d, option, optarg);
		if (option == 't')
			d->to.in4.sin_port = port; /* sin6_port is in the same place */
	}
	if (optind < argc || !d->to.any.sa_family || !d->to.in4.sin_port) {
		usage(stderr);
		exit(EXIT_USAGE);
	}
	if (d->from.any.sa_family && d->sources == 0)
		d->sources = 1;
	if (d->sources && d->from.any.sa_family != d->to.any.sa_family)
		errx(EXIT_USAGE, "--from and --to are of one family");
}

int main(int argc, char **argv)
{
	static struct dial d = {
		.count = 1,
		.in_flight = IN_FLIGHT_DEFAULT,
		.timeout = TIMEOUT_DEFAULT,
		.least = 1,
		.request = "GET / HTTP/1.0\r\n\r\n",
	};

	read_options(&d, argc, argv);
	prepare(&d);
	print(&d, run(&d));
	return EXIT_SUCCESS;
}
