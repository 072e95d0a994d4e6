# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += src/config/libackconfig.a
src_config_libackconfig_a_SOURCES = src/config/config.h
src_config_libackconfig_a_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
