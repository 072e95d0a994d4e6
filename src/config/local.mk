# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += src/config/libackconfig.a
src_config_libackconfig_a_SOURCES = \
	src/config/config.c src/config/config.h \
	src/config/arena.c src/config/arena.h \
	src/config/difference.c \
	src/config/draft.c src/config/draft.h \
	src/config/faults.c src/config/faults.h \
	src/config/ini.c src/config/ini.h \
	src/config/lists.c src/config/lists.h \
	src/config/option_print.c src/config/option_read.c src/config/options.h \
	src/config/print.c \
	src/config/rows.c \
	src/config/servers.c src/config/servers.h \
	src/config/sources.c \
	src/config/spelling.c src/config/spelling.h \
	src/config/splicing.c src/config/splicing.h \
	src/config/validate.c \
	src/config/values.c src/config/values.h
src_config_libackconfig_a_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
