# SPDX-License-Identifier: GPL-2.0-or-later
# Whoever links it needs $(EVENT_LIBS), -lm and -lpthread.
noinst_LIBRARIES += src/splice/libacksplice.a
src_splice_libacksplice_a_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS)
src_splice_libacksplice_a_SOURCES = \
	src/splice/backend.c src/splice/backend.h \
	src/splice/balance.c src/splice/balance.h \
	src/splice/checks.c src/splice/checks.h \
	src/splice/proxy_protocol.c src/splice/proxy_protocol.h \
	src/splice/resolver.c src/splice/resolver.h \
	src/splice/server.c src/splice/server.h
src_splice_libacksplice_a_SOURCES += \
	src/splice/change.c src/splice/splice_state.h \
	src/splice/dial.c src/splice/dial.h \
	src/splice/direction.c src/splice/direction.h \
	src/splice/exhausted.c src/splice/exhausted.h \
	src/splice/listener.c src/splice/listener.h \
	src/splice/loop.c src/splice/loop.h \
	src/splice/opening.c \
	src/splice/place.c \
	src/splice/record.c src/splice/record.h \
	src/splice/relay.c \
	src/splice/reserve.c src/splice/reserve.h \
	src/splice/route.c src/splice/route.h \
	src/splice/session.c src/splice/session.h \
	src/splice/sockaddr.h \
	src/splice/sockopt.h \
	src/splice/splice.c src/splice/splice.h \
	src/splice/views.c \
	src/splice/watch.c src/splice/watch.h
