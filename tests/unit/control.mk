# SPDX-License-Identifier: GPL-2.0-or-later
# control, the daemon's parts that need no daemon, and ackgatectl's pages
if HAVE_CMOCKA
control_tests = \
	tests/unit/test_control \
	tests/unit/test_filter \
	tests/unit/test_log \
	tests/unit/test_privileges \
	tests/unit/test_secret \
	tests/unit/test_show \
	tests/unit/test_sources
check_PROGRAMS += $(control_tests)
TESTS += $(control_tests)

tests_unit_test_control_SOURCES = tests/unit/test_control.c
tests_unit_test_control_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_control_LDADD = src/control/libackcontrol.a src/config/libackconfig.a \
	src/core/libackcore.a $(EVENT_LIBS) $(JANSSON_LIBS) $(INIH_LIBS) $(CMOCKA_LIBS)

tests_unit_test_filter_SOURCES = tests/unit/test_filter.c
tests_unit_test_filter_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_filter_LDADD = src/control/libackcontrol.a $(CMOCKA_LIBS)

tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_log_LDADD = src/daemon/libackdaemon.a src/control/libackcontrol.a src/core/libackcore.a \
	$(SYSTEMD_LIBS) -lpthread $(CMOCKA_LIBS)

tests_unit_test_privileges_SOURCES = tests/unit/test_privileges.c
tests_unit_test_privileges_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_privileges_LDADD = src/daemon/libackdaemon.a src/config/libackconfig.a src/core/libackcore.a \
	$(CAPNG_LIBS) $(INIH_LIBS) $(CMOCKA_LIBS)

tests_unit_test_secret_SOURCES = tests/unit/test_secret.c
tests_unit_test_secret_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_secret_LDADD = src/daemon/libackdaemon.a src/control/libackcontrol.a src/core/libackcore.a \
	$(SYSTEMD_LIBS) $(JANSSON_LIBS) -lpthread $(CMOCKA_LIBS)

tests_unit_test_show_SOURCES = tests/unit/test_show.c
tests_unit_test_show_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_show_LDADD = src/ctl/libackctl.a src/core/libackcore.a $(JANSSON_LIBS) $(CMOCKA_LIBS)

tests_unit_test_sources_SOURCES = tests/unit/test_sources.c
tests_unit_test_sources_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_sources_LDADD = src/control/libackcontrol.a src/config/libackconfig.a \
	src/core/libackcore.a $(JANSSON_LIBS) $(INIH_LIBS) $(CMOCKA_LIBS)
endif
