/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/say.h"

#include <stdarg.h>
#include <stdio.h>

char *say(const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	return len < 0 ? NULL : text;
}
