/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A backend's server as it is written. */
#ifndef ACKGATE_CONFIG_SERVERS_H
#define ACKGATE_CONFIG_SERVERS_H

#include "config/arena.h"
#include "config/splicing.h"

#include <stdio.h>

/*
 * WHERE, then options: WHERE is ADDR:PORT, [ADDR6]:PORT, NAME:PORT or unix:PATH, an option is
 * `weight N` or `max_connections N`. Texts go into the arena. NULL, or what is wrong as a phrase
 * that follows the text.
 */
const char *server_parse(const char *text, struct arena *arena, struct config_server *out);
void server_print(const struct config_server *s, FILE *to);

#endif
