# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += tests/fuzz/corpus/config
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c
tests_fuzz_fuzz_config_LDADD = src/config/libackconfig.a $(INIH_LIBS)
tests_fuzz_fuzz_config_LDFLAGS = -fsanitize=fuzzer
endif
