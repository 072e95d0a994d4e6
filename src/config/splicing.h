/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rules with mode = splice and their backends say: immutable, part of a configuration. */
#ifndef ACKGATE_CONFIG_SPLICING_H
#define ACKGATE_CONFIG_SPLICING_H

#include "core/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BACKEND_SERVERS_MAX = 64 /* of one backend: a connection's tried ones fit into a word */
};

enum server_kind {
	SERVER_ADDR, /* ADDR:PORT or [ADDR6]:PORT */
	SERVER_NAME, /* NAME:PORT, looked up while the daemon runs */
	SERVER_UNIX, /* unix:PATH */
};

struct config_server {
	const char *name; /* as written, without its options; how ackgatectl calls it */
	enum server_kind kind;
	struct endpoint at;       /* SERVER_ADDR; of SERVER_NAME the port alone */
	const char *host;         /* SERVER_NAME */
	const char *path;         /* SERVER_UNIX; shorter than sun_path */
	uint32_t weight;          /* 1 to 256 */
	uint32_t max_connections; /* 0: no limit */
};

enum backend_balance {
	BALANCE_ROUNDROBIN,
	BALANCE_LEASTCONN,
	BALANCE_SOURCE
};

enum backend_check {
	CHECK_OFF, /* failed connections alone take a server down */
	CHECK_TCP
};

struct config_backend {
	const char *name;
	const struct config_server *servers;
	size_t server_count; /* 1 to BACKEND_SERVERS_MAX */
	enum backend_balance balance;
	uint32_t retries; /* further servers that are tried, before any byte went */
	enum backend_check check;
	uint64_t check_interval_us;
	uint32_t rise;            /* good checks in a row that bring a server up */
	uint32_t fall;            /* bad ones that take it down */
	uint32_t max_connections; /* 0: no limit */
};

enum splice_source {
	SOURCE_SELF,   /* the host chooses */
	SOURCE_CLIENT, /* the client's address */
	SOURCE_LIST    /* one of some own addresses */
};

enum proxy_protocol {
	PROXY_OFF,
	PROXY_V1,
	PROXY_V2,
	PROXY_ANY /* of what is received */
};

struct config_splice {
	const struct endpoint *listen;
	size_t listen_count;
	const char *backend;                /* NULL: the address the client asked for */
	const struct config_backend *found; /* the backend of that name */
	bool transparent;
	enum splice_source source;
	const struct addr_range *sources; /* SOURCE_LIST: single addresses */
	size_t source_count;
	enum proxy_protocol accept_proxy;
	const struct addr_range *trusted_proxies;
	size_t trusted_proxy_count;
	enum proxy_protocol send_proxy;
	bool wait_for_data;
	bool splice; /* false: bytes are copied */
	uint64_t connect_timeout_us;
	uint64_t idle_timeout_us;        /* 0: none */
	uint64_t half_closed_timeout_us; /* 0: none */
	uint64_t total_timeout_us;       /* 0: none */
	uint64_t keepalive_us;           /* 0: none */
	uint32_t max_connections;        /* 0: no limit */
};

#endif
