# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += src/ctl/libackctl.a
src_ctl_libackctl_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
src_ctl_libackctl_a_SOURCES = \
	src/ctl/client.c src/ctl/client.h \
	src/ctl/units.c src/ctl/units.h \
	src/ctl/table.c src/ctl/table.h \
	src/ctl/page.c src/ctl/page.h \
	src/ctl/show.c src/ctl/show.h \
	src/ctl/show_backends.c \
	src/ctl/show_rules.c \
	src/ctl/show_sources.c \
	src/ctl/show_status.c

bin_PROGRAMS += ackgatectl
ackgatectl_SOURCES = src/ctl/ackgatectl.c
ackgatectl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
ackgatectl_LDADD = src/ctl/libackctl.a src/control/libackcontrol.a src/config/libackconfig.a src/core/libackcore.a $(JANSSON_LIBS)
