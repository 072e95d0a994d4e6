# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += tests/fuzz/corpus/proxy tests/fuzz/corpus_proxy.py
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_proxy
tests_fuzz_fuzz_proxy_SOURCES = tests/fuzz/fuzz_proxy.c
tests_fuzz_fuzz_proxy_LDADD = src/splice/libacksplice.a src/core/libackcore.a
tests_fuzz_fuzz_proxy_LDFLAGS = -fsanitize=fuzzer
endif
