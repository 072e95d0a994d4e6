# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += src/kernel/libackkernel.a
src_kernel_libackkernel_a_SOURCES =
src_kernel_libackkernel_a_CFLAGS = $(AM_CFLAGS) $(NFQ_CFLAGS) $(NFCT_CFLAGS) $(MNL_CFLAGS) $(NFTABLES_CFLAGS) $(JANSSON_CFLAGS)

# queue, inject, conntrack
include src/kernel/packets.mk
# the kernel's rules
include src/kernel/rules.mk
