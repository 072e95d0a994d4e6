# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += tests/fuzz/corpus/engine tests/fuzz/corpus_engine.py
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_engine
tests_fuzz_fuzz_engine_SOURCES = tests/fuzz/fuzz_engine.c tests/fuzz/shadow.c tests/fuzz/shadow.h \
	tests/unit/segments.c tests/unit/segments.h
tests_fuzz_fuzz_engine_LDADD = src/core/libackcore.a
tests_fuzz_fuzz_engine_LDFLAGS = -fsanitize=fuzzer
endif
