/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *units_count(char out[static UNITS_TEXT], int64_t n)
{
	char digits[UNITS_TEXT];
	int len = snprintf(digits, sizeof(digits), "%" PRId64, n);
	char *to = out;

	for (int i = 0; i < len; i++) {
		bool after_digit = i > 0 && isdigit((unsigned char)digits[i - 1]);
		if (after_digit && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return out;
}

static const struct {
	const char *unit;
	int64_t seconds;
} scale[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};

const char *units_duration(char out[static UNITS_TEXT], int64_t seconds)
{
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	while (i < 3 && seconds < scale[i].seconds)
		i++;
	int64_t whole = seconds / scale[i].seconds;
	int64_t rest = i < 3 ? seconds % scale[i].seconds / scale[i + 1].seconds : 0;
	if (rest == 0)
		snprintf(out, UNITS_TEXT, "%" PRId64 "%s", whole, scale[i].unit);
	else
		snprintf(out, UNITS_TEXT, "%" PRId64 "%s %" PRId64 "%s", whole, scale[i].unit, rest,
			scale[i + 1].unit);
	return out;
}

const char *units_time(char out[static UNITS_TEXT], int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
		strftime(out, UNITS_TEXT, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(out, UNITS_TEXT, "%" PRId64, seconds);
	return out;
}

bool units_parse_duration(const char *text, double *seconds)
{
	char *end;

	if (!isdigit((unsigned char)text[0]) || strlen(text) > 12)
		return false;
	double n = (double)strtoull(text, &end, 10);
	if (strcmp(end, "ms") == 0) {
		*seconds = n / 1000;
		return n > 0;
	}
	for (size_t i = 0; i < sizeof(scale) / sizeof(scale[0]); i++) {
		if (strcmp(end, scale[i].unit) == 0) {
			*seconds = n * (double)scale[i].seconds;
			return n > 0;
		}
	}
	return false;
}
