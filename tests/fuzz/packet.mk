# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += tests/fuzz/corpus/packet tests/fuzz/corpus_packet.py
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_packet
tests_fuzz_fuzz_packet_SOURCES = tests/fuzz/fuzz_packet.c
tests_fuzz_fuzz_packet_LDADD = src/core/libackcore.a
tests_fuzz_fuzz_packet_LDFLAGS = -fsanitize=fuzzer
endif
