/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers as people read and write them. */
#ifndef ACKGATE_CTL_UNITS_H
#define ACKGATE_CTL_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	UNITS_TEXT = 48
};

/* 1,234,567. Returns out. */
const char *units_count(char out[static UNITS_TEXT], int64_t n);
/* The two largest units: 45s, 3m 20s, 5h 2m, 12d 4h. Returns out. */
const char *units_duration(char out[static UNITS_TEXT], int64_t seconds);
/* 2026-01-31 23:59:59, local time. Returns out. */
const char *units_time(char out[static UNITS_TEXT], int64_t seconds);

/* 500ms 30s 10m 2h 1d, as in the configuration, more than 0; to seconds. False: not such a text. */
bool units_parse_duration(const char *text, double *seconds);

#endif
