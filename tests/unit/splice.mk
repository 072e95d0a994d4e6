# SPDX-License-Identifier: GPL-2.0-or-later
if HAVE_CMOCKA
splice_tests = \
	tests/unit/test_backend \
	tests/unit/test_backend_threads \
	tests/unit/test_balance \
	tests/unit/test_dial \
	tests/unit/test_direction \
	tests/unit/test_checks \
	tests/unit/test_proxy_protocol \
	tests/unit/test_resolver \
	tests/unit/test_splice_watch
check_PROGRAMS += $(splice_tests)
TESTS += $(splice_tests)

splice_test_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(EVENT_CFLAGS)
splice_test_ldadd = src/splice/libacksplice.a src/core/libackcore.a $(EVENT_LIBS) $(CMOCKA_LIBS) \
	-lm -lpthread

tests_unit_test_backend_SOURCES = tests/unit/test_backend.c
tests_unit_test_backend_CFLAGS = $(splice_test_cflags)
tests_unit_test_backend_LDADD = $(splice_test_ldadd)

tests_unit_test_backend_threads_SOURCES = tests/unit/test_backend_threads.c
tests_unit_test_backend_threads_CFLAGS = $(splice_test_cflags)
tests_unit_test_backend_threads_LDADD = $(splice_test_ldadd)

tests_unit_test_balance_SOURCES = tests/unit/test_balance.c
tests_unit_test_balance_CFLAGS = $(splice_test_cflags)
tests_unit_test_balance_LDADD = $(splice_test_ldadd)

tests_unit_test_dial_SOURCES = tests/unit/test_dial.c
tests_unit_test_dial_CFLAGS = $(splice_test_cflags)
tests_unit_test_dial_LDADD = $(splice_test_ldadd)

tests_unit_test_direction_SOURCES = tests/unit/test_direction.c
tests_unit_test_direction_CFLAGS = $(splice_test_cflags)
tests_unit_test_direction_LDADD = $(splice_test_ldadd)

tests_unit_test_proxy_protocol_SOURCES = tests/unit/test_proxy_protocol.c
tests_unit_test_proxy_protocol_CFLAGS = $(splice_test_cflags)
tests_unit_test_proxy_protocol_LDADD = $(splice_test_ldadd)

tests_unit_test_checks_SOURCES = tests/unit/test_checks.c
tests_unit_test_checks_CFLAGS = $(splice_test_cflags)
tests_unit_test_checks_LDADD = $(splice_test_ldadd)

tests_unit_test_resolver_SOURCES = tests/unit/test_resolver.c
tests_unit_test_resolver_CFLAGS = $(splice_test_cflags)
tests_unit_test_resolver_LDADD = $(splice_test_ldadd)

tests_unit_test_splice_watch_SOURCES = tests/unit/test_splice_watch.c
tests_unit_test_splice_watch_CFLAGS = $(splice_test_cflags)
tests_unit_test_splice_watch_LDADD = $(splice_test_ldadd)
endif
