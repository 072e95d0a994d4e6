/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the service manager is told (sd_notify(3)). Without systemd, at build or at run time,
 * nothing happens.
 */
#ifndef ACKGATE_DAEMON_NOTIFY_H
#define ACKGATE_DAEMON_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
/* To be followed by notify_ready, however the reload went. */
void notify_reloading(void);
void notify_stopping(void);
/* The stop may last so much longer from now on. */
void notify_stop_lasts(uint64_t us);
/* One line for `systemctl status`. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * How often notify_watchdog has to be called at least, in microseconds; 0: nobody watches. Call at
 * half of it.
 */
uint64_t notify_watchdog_interval(void);
void notify_watchdog(void);

/* A socket is kept for the process that comes after us, under a name; or all of that name no
 * more. */
void notify_store(const char *name, int fd);
void notify_forget(const char *name);
/* The sockets that were handed to this process, kept ones or those of socket units; once. */
void notify_each_socket(void (*each)(void *arg, int fd, const char *name), void *arg);

#endif
