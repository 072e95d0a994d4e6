# SPDX-License-Identifier: GPL-2.0-or-later
# Whoever links it needs $(EVENT_LIBS), -lm and -lpthread.
noinst_LIBRARIES += src/splice/libacksplice.a
src_splice_libacksplice_a_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS)
src_splice_libacksplice_a_SOURCES = \
	src/splice/backend.c src/splice/backend.h \
	src/splice/balance.c src/splice/balance.h \
	src/splice/proxy_protocol.c src/splice/proxy_protocol.h \
	src/splice/server.c src/splice/server.h
