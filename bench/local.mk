# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_PROGRAMS += bench/bench_core bench/connections
bench_bench_core_SOURCES = bench/bench_core.c bench/synthetic.c bench/synthetic.h
bench_bench_core_LDADD = src/core/libackcore.a
bench_connections_SOURCES = bench/connections.c
CLEANFILES += bench/bench_core$(EXEEXT) bench/connections$(EXEEXT)
EXTRA_DIST += bench/gate bench/flood bench/splice bench/network.py docs/benchmarks.md

.PHONY: bench
bench: bench/bench_core$(EXEEXT) bench/connections$(EXEEXT) tests/lab/flood$(EXEEXT) tests/lab/dial$(EXEEXT)
