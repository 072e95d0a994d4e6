# SPDX-License-Identifier: GPL-2.0-or-later
if HAVE_CMOCKA
kernel_tests = \
	tests/kernel/queue_test \
	tests/kernel/inject_test \
	tests/kernel/conntrack_test \
	tests/kernel/adopt_test \
	tests/kernel/translations_test \
	tests/kernel/translations_nat_test \
	tests/kernel/protected_test \
	tests/kernel/netns_lock_test \
	tests/kernel/nft_process_test \
	tests/kernel/splice_test \
	tests/kernel/splice_opening_test \
	tests/kernel/splice_limits_test \
	tests/kernel/splice_reload_test
check_PROGRAMS += $(kernel_tests)
TESTS += $(kernel_tests)

kernel_test_cflags = $(AM_CFLAGS) $(NFCT_CFLAGS) $(MNL_CFLAGS) $(CMOCKA_CFLAGS)
kernel_test_ldadd = src/kernel/libackkernel.a src/core/libackcore.a \
	$(NFQ_LIBS) $(NFCT_LIBS) $(MNL_LIBS) $(CMOCKA_LIBS)
kernel_test_netns = tests/kernel/netns.c tests/kernel/netns.h
kernel_test_gateway = tests/kernel/gateway.c tests/kernel/gateway.h $(kernel_test_netns)

tests_kernel_queue_test_SOURCES = tests/kernel/queue_test.c $(kernel_test_netns)
tests_kernel_queue_test_CFLAGS = $(kernel_test_cflags)
tests_kernel_queue_test_LDADD = $(kernel_test_ldadd)

tests_kernel_inject_test_SOURCES = tests/kernel/inject_test.c $(kernel_test_netns)
tests_kernel_inject_test_CFLAGS = $(kernel_test_cflags)
tests_kernel_inject_test_LDADD = $(kernel_test_ldadd)

tests_kernel_conntrack_test_SOURCES = tests/kernel/conntrack_test.c $(kernel_test_netns)
tests_kernel_conntrack_test_CFLAGS = $(kernel_test_cflags)
tests_kernel_conntrack_test_LDADD = $(kernel_test_ldadd)

tests_kernel_adopt_test_SOURCES = tests/kernel/adopt_test.c $(kernel_test_netns)
tests_kernel_adopt_test_CFLAGS = $(kernel_test_cflags)
tests_kernel_adopt_test_LDADD = $(kernel_test_ldadd)

tests_kernel_translations_test_SOURCES = tests/kernel/translations_test.c $(kernel_test_gateway)
tests_kernel_translations_test_CFLAGS = $(kernel_test_cflags)
tests_kernel_translations_test_LDADD = $(kernel_test_ldadd)

tests_kernel_translations_nat_test_SOURCES = tests/kernel/translations_nat_test.c $(kernel_test_gateway)
tests_kernel_translations_nat_test_CFLAGS = $(kernel_test_cflags)
tests_kernel_translations_nat_test_LDADD = $(kernel_test_ldadd)

tests_kernel_protected_test_SOURCES = tests/kernel/protected_test.c $(kernel_test_netns)
tests_kernel_protected_test_CFLAGS = $(kernel_test_cflags)
tests_kernel_protected_test_LDADD = $(kernel_test_ldadd)

tests_kernel_netns_lock_test_SOURCES = tests/kernel/netns_lock_test.c $(kernel_test_netns)
tests_kernel_netns_lock_test_CFLAGS = $(kernel_test_cflags)
tests_kernel_netns_lock_test_LDADD = $(kernel_test_ldadd)

tests_kernel_nft_process_test_SOURCES = tests/kernel/nft_process_test.c $(kernel_test_netns)
tests_kernel_nft_process_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_kernel_nft_process_test_LDADD = src/daemon/libackdaemon.a $(kernel_test_ldadd) \
	$(NFTABLES_LIBS) $(CAPNG_LIBS) $(JANSSON_LIBS) -lpthread

kernel_test_spliced = tests/kernel/spliced.c tests/kernel/spliced.h \
	tests/kernel/spliced_modes.h $(kernel_test_netns)
kernel_test_splice_ldadd = src/splice/libacksplice.a src/config/libackconfig.a \
	src/core/libackcore.a $(EVENT_LIBS) $(INIH_LIBS) $(CMOCKA_LIBS) -lm -lpthread

tests_kernel_splice_test_SOURCES = tests/kernel/splice_test.c $(kernel_test_spliced)
tests_kernel_splice_test_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(CMOCKA_CFLAGS)
tests_kernel_splice_test_LDADD = $(kernel_test_splice_ldadd)

tests_kernel_splice_opening_test_SOURCES = tests/kernel/splice_opening_test.c $(kernel_test_spliced)
tests_kernel_splice_opening_test_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(CMOCKA_CFLAGS)
tests_kernel_splice_opening_test_LDADD = $(kernel_test_splice_ldadd)

tests_kernel_splice_limits_test_SOURCES = tests/kernel/splice_limits_test.c $(kernel_test_spliced)
tests_kernel_splice_limits_test_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(CMOCKA_CFLAGS)
tests_kernel_splice_limits_test_LDADD = $(kernel_test_splice_ldadd)

tests_kernel_splice_reload_test_SOURCES = tests/kernel/splice_reload_test.c $(kernel_test_spliced)
tests_kernel_splice_reload_test_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(CMOCKA_CFLAGS)
tests_kernel_splice_reload_test_LDADD = $(kernel_test_splice_ldadd)
endif
