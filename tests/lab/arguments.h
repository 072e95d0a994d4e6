/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the lab's load generators have in common: words of the command line, time, randomness. */
#ifndef ACKGATE_LAB_ARGUMENTS_H
#define ACKGATE_LAB_ARGUMENTS_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	EXIT_USAGE = 2,
	EXIT_SYSTEM = 3
};

union address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

/* Ends the program if the text is not such a number. */
double argument_number(const char *text, double least, double most);
/* IPv4 or IPv6, port 0. Ends the program if it is neither. */
union address argument_address(const char *text);

socklen_t address_size(const union address *a);
/*
 * The address `index` places on. Of IPv6 each is in a /64 of its own (bits 32 to 63 count), since
 * that is what one source is.
 */
union address address_on(const union address *first, uint32_t index);

double now_s(void);
void sleep_until(double when_s);

/* Not for secrets. */
uint64_t random_next(uint64_t *state);
uint64_t random_seed(void);

#endif
