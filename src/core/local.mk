# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += src/core/libackcore.a
src_core_libackcore_a_SOURCES = \
	src/core/addr.h src/core/seq.h src/core/wire.h \
	src/core/checksum.c src/core/checksum.h \
	src/core/packet.c src/core/packet.h \
	src/core/tcpopt.c src/core/tcpopt.h \
	src/core/build.c src/core/build.h \
	src/core/translation.c src/core/translation.h \
	src/core/siphash.c src/core/siphash.h \
	src/core/cookie.c src/core/cookie.h \
	src/core/learned.c src/core/learned.h \
	src/core/handshake.c src/core/handshake_table.c src/core/handshake.h \
	src/core/window.c src/core/window.h \
	src/core/flow.c src/core/flow.h \
	src/core/limiter.c src/core/limiter.h \
	src/core/policy.c src/core/policy.h \
	src/core/reasons.c src/core/reasons.h \
	src/core/engine.c src/core/engine.h src/core/engine_state.h \
	src/core/shared.c src/core/icmp.c \
	src/core/admission.c src/core/stray.c src/core/expiry.c src/core/expect.c \
	src/core/challenge.c src/core/logged.c src/core/opening.c src/core/pressure.c \
	src/core/calm.c src/core/calm.h \
	src/core/floods.c src/core/floods.h
