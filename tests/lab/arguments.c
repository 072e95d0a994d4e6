/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arguments.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	NETWORK_BYTE = 4, /* bits 32 to 63 of an IPv6 address begin here */
	NS_PER_S = 1000000000
};

double argument_number(const char *text, double least, double most)
{
	char *end;
	double n = strtod(text, &end);

	if (*end || end == text || !(n >= least && n <= most))
		errx(EXIT_USAGE, "'%s' is not a number from %g to %g", text, least, most);
	return n;
}

union address argument_address(const char *text)
{
	union address a;

	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, text, &a.in4.sin_addr) == 1) {
		a.in4.sin_family = AF_INET;
	} else {
		memset(&a, 0, sizeof(a));
		if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) != 1)
			errx(EXIT_USAGE, "'%s' is no address", text);
		a.in6.sin6_family = AF_INET6;
	}
	return a;
}

socklen_t address_size(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->in4) : sizeof(a->in6);
}

union address address_on(const union address *first, uint32_t index)
{
	union address a = *first;
	uint32_t part;

	if (a.any.sa_family == AF_INET) {
		a.in4.sin_addr.s_addr = htonl(ntohl(a.in4.sin_addr.s_addr) + index);
		return a;
	}
	memcpy(&part, &a.in6.sin6_addr.s6_addr[NETWORK_BYTE], sizeof(part));
	part = htonl(ntohl(part) + index);
	memcpy(&a.in6.sin6_addr.s6_addr[NETWORK_BYTE], &part, sizeof(part));
	return a;
}

double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / NS_PER_S;
}

void sleep_until(double when_s)
{
	struct timespec t = {.tv_sec = (time_t)when_s};

	t.tv_nsec = (long)((when_s - (double)t.tv_sec) * NS_PER_S);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

uint64_t random_next(uint64_t *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545F4914F6CDD1D);
}

uint64_t random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		err(EXIT_SYSTEM, "getrandom");
	return seed | 1;
}
