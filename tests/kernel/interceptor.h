/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A gateway that takes a client's connections to a far server, in namespaces of their own. What
 * fails here fails the test. */
#ifndef ACKGATE_TESTS_KERNEL_INTERCEPTOR_H
#define ACKGATE_TESTS_KERNEL_INTERCEPTOR_H

#include "kernel/tproxy.h"
#include "netns.h"

enum {
	INTERCEPTOR_MARK = 0x2000,
	INTERCEPTOR_GATE_MARK = 0x40,
	INTERCEPTOR_WEB = 80,
	INTERCEPTOR_SSH = 22,
	INTERCEPTOR_LISTENER = 7000, /* the gateway's port */
};

#define INTERCEPTOR_CLIENT4 "10.1.0.2"
#define INTERCEPTOR_CLIENT6 "fd01::2"
#define INTERCEPTOR_SERVER4 "10.2.0.2"
#define INTERCEPTOR_SERVER6 "fd02::2"
#define INTERCEPTOR_GATE4   "10.1.0.1"
#define INTERCEPTOR_GATE6   "fd01::1"

struct interceptor {
	int client, gate, server; /* namespaces */
	int listener4, listener6; /* the gateway's */
	int web4, web6;           /* the server's */
	struct tproxy *t;
};

/* One rule for the web's port: of mode splice, of mode gate. */
extern const struct policy interceptor_web_policy;
extern const struct policy interceptor_gate_policy;
/* For two rules. */
extern const struct config_splice interceptor_transparent[2];

/* The table alone, in the namespace that is current; skips the test if the kernel can't. */
struct tproxy *interceptor_table(void);
/* All rules lead to the one listener. */
struct tproxy_plan interceptor_plan(const struct policy *p, const struct config_splice *splices);
void interceptor_apply_plan(struct tproxy *t, const struct tproxy_plan *plan);
/* With all rules transparent. */
void interceptor_apply(struct tproxy *t, const struct policy *p);
/* Ends it, and nothing may be left. */
void interceptor_take_away(struct tproxy *t);
void interceptor_check_gone(void);

/* The gateway is current then; its listeners are at 127.0.0.1 and ::1, or where they are told. */
struct interceptor interceptor_open(void);
struct interceptor interceptor_open_at(const char *listener4, const char *listener6);
void interceptor_close(struct interceptor *l);

/* A socket that may be bound to any address, and is to this one. */
int interceptor_bound(const char *addr, uint16_t port);
int interceptor_listen(const char *addr, uint16_t port);
/* Connects; the error, 0, or -1 if there is no answer. */
int interceptor_try(int fd, const char *addr, uint16_t port);
/* From the client. */
int interceptor_connect(const struct interceptor *l, const char *addr, uint16_t port);

/* Whom the connection is from and to, as its acceptor sees it. */
void interceptor_check_ends(int fd, const char *client, const char *server, uint16_t port);
void interceptor_check_crosses(int a, int b);
/* The client connects, and the gateway takes it; or the server, whose listener this is. */
void interceptor_check_taken(
	const struct interceptor *l, const char *client, const char *addr, uint16_t port);
void interceptor_check_forwarded(
	const struct interceptor *l, const char *addr, uint16_t port, int server);
/* The gateway connects to the server's web under the client's address. */
void interceptor_check_as_client(const char *client, const char *addr, int server);
/* Both of it, in both families. */
void interceptor_check_both_ways(const struct interceptor *l);

#endif
