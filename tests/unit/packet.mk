# SPDX-License-Identifier: GPL-2.0-or-later
if HAVE_CMOCKA
packet_tests = \
	tests/unit/test_packet \
	tests/unit/test_extensions \
	tests/unit/test_icmp \
	tests/unit/test_tcpopt \
	tests/unit/test_build \
	tests/unit/test_siphash
check_PROGRAMS += $(packet_tests)
TESTS += $(packet_tests)

tests_unit_test_packet_SOURCES = tests/unit/test_packet.c tests/unit/parsed.h tests/unit/vectors.h
tests_unit_test_packet_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_packet_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_extensions_SOURCES = tests/unit/test_extensions.c tests/unit/parsed.h tests/unit/vectors.h
tests_unit_test_extensions_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_extensions_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_icmp_SOURCES = tests/unit/test_icmp.c tests/unit/parsed.h tests/unit/vectors.h
tests_unit_test_icmp_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_icmp_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_tcpopt_SOURCES = tests/unit/test_tcpopt.c
tests_unit_test_tcpopt_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_tcpopt_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_build_SOURCES = tests/unit/test_build.c tests/unit/vectors.h
tests_unit_test_build_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_build_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_siphash_SOURCES = tests/unit/test_siphash.c
tests_unit_test_siphash_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_siphash_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)
endif
