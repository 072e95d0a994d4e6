# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += src/daemon/libackdaemon.a
src_daemon_libackdaemon_a_CFLAGS = $(AM_CFLAGS) $(CAPNG_CFLAGS) $(SYSTEMD_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
src_daemon_libackdaemon_a_SOURCES = \
	src/daemon/log.c src/daemon/log.h \
	src/daemon/notify.c src/daemon/notify.h \
	src/daemon/privileges.c src/daemon/privileges.h \
	src/daemon/frame.c src/daemon/frame.h \
	src/daemon/program.c src/daemon/program.h \
	src/daemon/helper.c src/daemon/helper.h
