/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single values and how they are written. Each value_parse function returns NULL, or what is wrong
 * with the text as a phrase that follows it: "'12x' PHRASE". Each value_print writes what its
 * parser reads back to the same value.
 */
#ifndef ACKGATE_CONFIG_VALUES_H
#define ACKGATE_CONFIG_VALUES_H

#include "core/policy.h"

#include <stdint.h>
#include <stdio.h>

/* A decimal number. */
const char *value_parse_number(const char *text, uint64_t *out);

/* A decimal number, or one of 1024, 1024^2 or 1024^3 with k, m or g behind it. */
const char *value_parse_size(const char *text, uint64_t *out);
void value_print_size(uint64_t size, FILE *to);

/* Microseconds, written as a number of ms, s, m, h or d. */
const char *value_parse_duration(const char *text, uint64_t *us);
void value_print_duration(uint64_t us, FILE *to);

/* The same in seconds; part of one counts as a whole one. */
const char *value_parse_seconds(const char *text, uint64_t *s);
void value_print_seconds(uint64_t s, FILE *to);

/* 0% to 100%. */
const char *value_parse_percent(const char *text, uint64_t *out);
void value_print_percent(uint64_t percent, FILE *to);

/* Exactly one bit of 32, in decimal or hexadecimal. */
const char *value_parse_bit(const char *text, uint64_t *out);

/* N/s or N/s burst M; without a burst, as many at once as in a second. */
const char *value_parse_rate(const char *text, struct policy_rate *out);
void value_print_rate(const struct policy_rate *rate, FILE *to);

/* An address, a prefix, or a range FIRST-LAST; of either family. */
const char *value_parse_addrs(const char *text, struct addr_range *out);
void value_print_addrs(const struct addr_range *range, FILE *to);

/* A port or a range FIRST-LAST. */
const char *value_parse_ports(const char *text, struct port_range *out);
void value_print_ports(const struct port_range *range, FILE *to);

/* One address that a host can have. */
const char *value_parse_host(const char *text, struct addr_range *out);

/* ADDR:PORT or [ADDR6]:PORT. */
const char *value_parse_endpoint(const char *text, struct endpoint *out);
void value_print_endpoint(const struct endpoint *at, FILE *to);

const char *value_parse_interface(const char *text, char out[static POLICY_IFNAME]);

/* A user's name, in the characters that every Linux distribution takes. */
const char *value_parse_user(const char *text);

/* A path from the root. */
const char *value_parse_path(const char *text);

#endif
