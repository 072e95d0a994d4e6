/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "daemon/notify.h"

#ifdef HAVE_SYSTEMD

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void notify_ready(void)
{
	sd_notify(0, "READY=1");
}

/* Type=notify-reload asks for the time, so that it can tell this reload from an earlier one. */
void notify_reloading(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		(uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void notify_stop_lasts(uint64_t us)
{
	sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64, us);
}

void notify_status(const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	sd_notifyf(0, "STATUS=%s", text);
}

uint64_t notify_watchdog_interval(void)
{
	uint64_t us = 0;

	return sd_watchdog_enabled(0, &us) > 0 ? us : 0;
}

void notify_watchdog(void)
{
	sd_notify(0, "WATCHDOG=1");
}

void notify_store(const char *name, int fd)
{
	char text[160];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void notify_forget(const char *name)
{
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void notify_each_socket(void (*each)(void *arg, int fd, const char *name), void *arg)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < count; i++) {
		each(arg, SD_LISTEN_FDS_START + i, names[i]);
		free(names[i]);
	}
	free(names);
}

#else

void notify_ready(void)
{
}

void notify_reloading(void)
{
}

void notify_stopping(void)
{
}

void notify_stop_lasts(uint64_t us)
{
	(void)us;
}

void notify_status(const char *format, ...)
{
	(void)format;
}

uint64_t notify_watchdog_interval(void)
{
	return 0;
}

void notify_watchdog(void)
{
}

void notify_store(const char *name, int fd)
{
	(void)name;
	(void)fd;
}

void notify_forget(const char *name)
{
	(void)name;
}

void notify_each_socket(void (*each)(void *arg, int fd, const char *name), void *arg)
{
	(void)each;
	(void)arg;
}

#endif
