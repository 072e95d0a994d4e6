# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += src/control/libackcontrol.a
src_control_libackcontrol_a_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
src_control_libackcontrol_a_SOURCES = \
	src/control/endpoint.c src/control/endpoint.h \
	src/control/filter.c src/control/filter.h \
	src/control/text.c src/control/text.h \
	src/control/status.c src/control/status.h \
	src/control/records.c src/control/records.h \
	src/control/commands.c src/control/commands.h \
	src/control/control.c src/control/control.h
