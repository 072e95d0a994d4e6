# SPDX-License-Identifier: GPL-2.0-or-later
if HAVE_CMOCKA
check_LIBRARIES = tests/unit/libscenario.a
tests_unit_libscenario_a_SOURCES = \
	tests/unit/scenario.c tests/unit/scenario.h \
	tests/unit/segments.c tests/unit/segments.h
tests_unit_libscenario_a_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

core_tests = \
	tests/unit/test_handshake \
	tests/unit/test_window \
	tests/unit/test_flow \
	tests/unit/test_limiter \
	tests/unit/test_cookie \
	tests/unit/test_learned \
	tests/unit/test_translation \
	tests/unit/test_policy \
	tests/unit/test_engine_handshake \
	tests/unit/test_engine_fastopen \
	tests/unit/test_engine_full \
	tests/unit/test_engine_limits \
	tests/unit/test_engine_life \
	tests/unit/test_engine_rules \
	tests/unit/test_engine_splice \
	tests/unit/test_engine_cookies \
	tests/unit/test_engine_openings \
	tests/unit/test_engine_restarts \
	tests/unit/test_engine_evidence \
	tests/unit/test_engine_pressure \
	tests/unit/test_calm \
	tests/unit/test_floods
check_PROGRAMS += $(core_tests)
TESTS += $(core_tests)

tests_unit_test_handshake_SOURCES = tests/unit/test_handshake.c
tests_unit_test_handshake_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_handshake_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_window_SOURCES = tests/unit/test_window.c
tests_unit_test_window_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_window_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_flow_SOURCES = tests/unit/test_flow.c
tests_unit_test_flow_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_flow_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_limiter_SOURCES = tests/unit/test_limiter.c
tests_unit_test_limiter_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_limiter_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_cookie_SOURCES = tests/unit/test_cookie.c
tests_unit_test_cookie_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_cookie_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_learned_SOURCES = tests/unit/test_learned.c
tests_unit_test_learned_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_learned_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_translation_SOURCES = tests/unit/test_translation.c
tests_unit_test_translation_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_translation_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_policy_SOURCES = tests/unit/test_policy.c
tests_unit_test_policy_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_policy_LDADD = src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_handshake_SOURCES = tests/unit/test_engine_handshake.c
tests_unit_test_engine_handshake_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_handshake_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_fastopen_SOURCES = tests/unit/test_engine_fastopen.c
tests_unit_test_engine_fastopen_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_fastopen_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_full_SOURCES = tests/unit/test_engine_full.c
tests_unit_test_engine_full_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_full_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_limits_SOURCES = tests/unit/test_engine_limits.c
tests_unit_test_engine_limits_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_limits_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_life_SOURCES = tests/unit/test_engine_life.c
tests_unit_test_engine_life_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_life_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_rules_SOURCES = tests/unit/test_engine_rules.c
tests_unit_test_engine_rules_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_rules_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_splice_SOURCES = tests/unit/test_engine_splice.c
tests_unit_test_engine_splice_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_splice_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_cookies_SOURCES = tests/unit/test_engine_cookies.c tests/unit/cookie_rows.h
tests_unit_test_engine_cookies_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_cookies_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_openings_SOURCES = tests/unit/test_engine_openings.c tests/unit/cookie_rows.h
tests_unit_test_engine_openings_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_openings_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_restarts_SOURCES = tests/unit/test_engine_restarts.c tests/unit/cookie_rows.h
tests_unit_test_engine_restarts_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_restarts_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_evidence_SOURCES = tests/unit/test_engine_evidence.c tests/unit/cookie_rows.h
tests_unit_test_engine_evidence_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_evidence_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_engine_pressure_SOURCES = tests/unit/test_engine_pressure.c tests/unit/cookie_rows.h
tests_unit_test_engine_pressure_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_pressure_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_calm_SOURCES = tests/unit/test_calm.c tests/unit/cookie_rows.h
tests_unit_test_calm_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_calm_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)

tests_unit_test_floods_SOURCES = tests/unit/test_floods.c tests/unit/cookie_rows.h
tests_unit_test_floods_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_floods_LDADD = tests/unit/libscenario.a src/core/libackcore.a $(CMOCKA_LIBS)
endif
