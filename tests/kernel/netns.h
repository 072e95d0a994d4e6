/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network namespaces without a name, and TCP between them. What fails here fails the test. */
#ifndef ACKGATE_TESTS_KERNEL_NETNS_H
#define ACKGATE_TESTS_KERNEL_NETNS_H

#include "core/addr.h"

#include <stdbool.h>
#include <stdint.h>

/* Ends the program as skipped unless it may make network namespaces and packet queues in them. */
void netns_require(void);

/* Enters a new namespace with lo up; returns a descriptor of it. */
int netns_new(void);
void netns_enter(int ns);

/* Joins two namespaces by a pair of interfaces; the first one's namespace is then current. */
void netns_join(int ns_a, const char *name_a, const char *addr_a, int ns_b, const char *name_b,
	const char *addr_b);

/* Runs a shell command in the current namespace, which has to succeed. */
__attribute__((format(printf, 1, 2))) void netns_sh(const char *command, ...);

/* TCP sockets of the current namespace; numeric addresses. */
int netns_listen(const char *addr, uint16_t port);
int netns_connect(const char *addr, uint16_t port);
/* The same without waiting for the handshake. */
int netns_connect_start(const char *addr, uint16_t port);
int netns_accept(int listener);

struct addr netns_addr(const char *text);
uint16_t netns_local_port(int fd);

/* Whether bytes cross from one socket to the other within a second. */
bool netns_crosses(int from, int to);

#endif
