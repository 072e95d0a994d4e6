# SPDX-License-Identifier: GPL-2.0-or-later
if HAVE_CMOCKA
check_LIBRARIES = tests/unit/libscenario.a
tests_unit_libscenario_a_SOURCES = tests/unit/scenario.c tests/unit/scenario.h \
	tests/unit/segments.c tests/unit/segments.h
tests_unit_libscenario_a_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

core_tests = \
	tests/unit/test_engine_handshake
check_PROGRAMS += $(core_tests)
TESTS += $(core_tests)

tests_unit_test_engine_handshake_SOURCES = tests/unit/test_engine_handshake.c
tests_unit_test_engine_handshake_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_handshake_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)
endif
