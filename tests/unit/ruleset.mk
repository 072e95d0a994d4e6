# SPDX-License-Identifier: GPL-2.0-or-later
if HAVE_CMOCKA
ruleset_tests = \
	tests/unit/test_ranges \
	tests/unit/test_ruleset \
	tests/unit/test_ruleset_cookies \
	tests/unit/test_ruleset_splice \
	tests/unit/test_iptables_text \
	tests/unit/test_lasting \
	tests/unit/test_tproxy \
	tests/unit/test_unqueued \
	tests/kernel/ruleset_test \
	tests/kernel/lasting_test \
	tests/kernel/tproxy_test \
	tests/kernel/tproxy_lasting_test \
	tests/kernel/unqueued_test \
	tests/kernel/cookie_rules_test
check_PROGRAMS += $(ruleset_tests)
TESTS += $(ruleset_tests)

ruleset_test_libs = src/kernel/libackkernel.a src/core/libackcore.a \
	$(NFTABLES_LIBS) $(JANSSON_LIBS) $(NFQ_LIBS) $(NFCT_LIBS) $(MNL_LIBS) $(CMOCKA_LIBS)

tests_unit_test_ranges_SOURCES = tests/unit/test_ranges.c
tests_unit_test_ranges_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ranges_LDADD = $(ruleset_test_libs)

tests_unit_test_ruleset_SOURCES = tests/unit/test_ruleset.c
tests_unit_test_ruleset_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ruleset_LDADD = $(ruleset_test_libs)

tests_unit_test_ruleset_cookies_SOURCES = tests/unit/test_ruleset_cookies.c
tests_unit_test_ruleset_cookies_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ruleset_cookies_LDADD = $(ruleset_test_libs)

tests_unit_test_ruleset_splice_SOURCES = tests/unit/test_ruleset_splice.c
tests_unit_test_ruleset_splice_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ruleset_splice_LDADD = $(ruleset_test_libs)

tests_unit_test_iptables_text_SOURCES = tests/unit/test_iptables_text.c
tests_unit_test_iptables_text_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_iptables_text_LDADD = $(ruleset_test_libs)

tests_unit_test_unqueued_SOURCES = tests/unit/test_unqueued.c
tests_unit_test_unqueued_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_unqueued_LDADD = $(ruleset_test_libs)
tests_unit_test_lasting_SOURCES = tests/unit/test_lasting.c
tests_unit_test_lasting_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_lasting_LDADD = $(ruleset_test_libs)

tests_kernel_lasting_test_SOURCES = tests/kernel/lasting_test.c tests/kernel/netns.c tests/kernel/netns.h
tests_kernel_lasting_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_kernel_lasting_test_LDADD = $(ruleset_test_libs)

tests_unit_test_tproxy_SOURCES = tests/unit/test_tproxy.c
tests_unit_test_tproxy_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_tproxy_LDADD = $(ruleset_test_libs)

tproxy_test_interceptor = tests/kernel/interceptor.c tests/kernel/interceptor.h tests/kernel/netns.c tests/kernel/netns.h

tests_kernel_tproxy_test_SOURCES = tests/kernel/tproxy_test.c $(tproxy_test_interceptor)
tests_kernel_tproxy_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_kernel_tproxy_test_LDADD = $(ruleset_test_libs)

tests_kernel_tproxy_lasting_test_SOURCES = tests/kernel/tproxy_lasting_test.c $(tproxy_test_interceptor) \
	tests/kernel/run_program.c tests/kernel/run_program.h
tests_kernel_tproxy_lasting_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_kernel_tproxy_lasting_test_LDADD = $(ruleset_test_libs)

tests_kernel_unqueued_test_SOURCES = tests/kernel/unqueued_test.c tests/kernel/netns.c tests/kernel/netns.h
tests_kernel_unqueued_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_kernel_unqueued_test_LDADD = $(ruleset_test_libs)

tests_kernel_cookie_rules_test_SOURCES = tests/kernel/cookie_rules_test.c tests/kernel/netns.c tests/kernel/netns.h \
	tests/kernel/forge.c tests/kernel/forge.h tests/kernel/run_program.c tests/kernel/run_program.h
tests_kernel_cookie_rules_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_kernel_cookie_rules_test_LDADD = $(ruleset_test_libs)

tests_kernel_ruleset_test_SOURCES = tests/kernel/ruleset_test.c tests/kernel/netns.c tests/kernel/netns.h \
	tests/kernel/run_program.c tests/kernel/run_program.h
tests_kernel_ruleset_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_kernel_ruleset_test_LDADD = $(ruleset_test_libs)
endif
