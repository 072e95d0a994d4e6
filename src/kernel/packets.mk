# SPDX-License-Identifier: GPL-2.0-or-later
src_kernel_libackkernel_a_SOURCES += \
	src/kernel/netlink.c src/kernel/netlink.h \
	src/kernel/queue.c src/kernel/queue.h \
	src/kernel/nflog.c src/kernel/nflog.h \
	src/kernel/inject.c src/kernel/inject.h \
	src/kernel/conntrack.c src/kernel/conntrack.h \
	src/kernel/conntrack_entry.c src/kernel/conntrack_entry.h \
	src/kernel/conntrack_requests.c src/kernel/conntrack_requests.h \
	src/kernel/conntrack_events.c \
	src/kernel/adoption.c src/kernel/adoption.h \
	src/kernel/translations.c src/kernel/translations.h \
	src/kernel/translations_entry.c src/kernel/translations_entry.h \
	src/kernel/sockets.c src/kernel/sockets.h \
	src/kernel/protected.c src/kernel/protected.h \
	src/kernel/ifname.c src/kernel/ifname.h \
	src/kernel/netns_lock.c src/kernel/netns_lock.h
