# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += tests/lint/options tests/lint/print_options.c
if HAVE_CMOCKA
config_tests = \
	tests/unit/test_config \
	tests/unit/test_config_print \
	tests/unit/test_config_reload \
	tests/unit/test_config_splice
check_PROGRAMS += $(config_tests)
TESTS += $(config_tests)

tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_config_LDADD = src/config/libackconfig.a $(INIH_LIBS) $(CMOCKA_LIBS)

tests_unit_test_config_print_SOURCES = tests/unit/test_config_print.c
tests_unit_test_config_print_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_config_print_LDADD = src/config/libackconfig.a $(INIH_LIBS) $(CMOCKA_LIBS)

tests_unit_test_config_reload_SOURCES = tests/unit/test_config_reload.c
tests_unit_test_config_reload_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_config_reload_LDADD = src/config/libackconfig.a $(INIH_LIBS) $(CMOCKA_LIBS)

tests_unit_test_config_splice_SOURCES = tests/unit/test_config_splice.c
tests_unit_test_config_splice_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_config_splice_LDADD = src/config/libackconfig.a $(INIH_LIBS) $(CMOCKA_LIBS)
endif
