# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += src/daemon/libackdaemon.a
src_daemon_libackdaemon_a_CFLAGS = $(AM_CFLAGS) $(CAPNG_CFLAGS) $(SYSTEMD_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
src_daemon_libackdaemon_a_SOURCES = \
	src/daemon/log.c src/daemon/log.h \
	src/daemon/notify.c src/daemon/notify.h \
	src/daemon/privileges.c src/daemon/privileges.h \
	src/daemon/frame.c src/daemon/frame.h \
	src/daemon/program.c src/daemon/program.h \
	src/daemon/child.c src/daemon/child.h \
	src/daemon/nft_process.c src/daemon/nft_process.h \
	src/daemon/helper.c src/daemon/helper.h
src_daemon_libackdaemon_a_SOURCES += \
	src/daemon/cmdline.c src/daemon/cmdline.h \
	src/daemon/daemon.c src/daemon/daemon.h src/daemon/daemon_state.h \
	src/daemon/worker.c src/daemon/worker.h \
	src/daemon/reload.c \
	src/daemon/upkeep.c \
	src/daemon/answers.c src/daemon/answers_backends.c src/daemon/answers_flows.c src/daemon/answers.h \
	src/daemon/cookies.c src/daemon/cookies.h \
	src/daemon/told.c src/daemon/told.h \
	src/daemon/blocks.c src/daemon/blocks.h \
	src/daemon/interception.c src/daemon/interception.h \
	src/daemon/memory.c src/daemon/memory.h \
	src/daemon/say.c src/daemon/say.h \
	src/daemon/splicing.c src/daemon/splicing.h \
	src/daemon/secret.c src/daemon/secret.h \
	src/daemon/resend.c src/daemon/resend.h

sbin_PROGRAMS += ackgated
ackgated_SOURCES = src/daemon/main.c
ackgated_CFLAGS = $(AM_CFLAGS)
ackgated_LDADD = \
	src/daemon/libackdaemon.a \
	src/control/libackcontrol.a \
	src/kernel/libackkernel.a \
	src/splice/libacksplice.a \
	src/config/libackconfig.a \
	src/core/libackcore.a \
	$(EVENT_LIBS) $(NFQ_LIBS) $(NFCT_LIBS) $(MNL_LIBS) $(NFTABLES_LIBS) $(INIH_LIBS) $(CAPNG_LIBS) \
	$(JANSSON_LIBS) $(SYSTEMD_LIBS) -lm -lpthread
