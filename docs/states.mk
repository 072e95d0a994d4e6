# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += docs/states.md
noinst_PROGRAMS += docs/print_states
docs_print_states_SOURCES = docs/print_states.c
docs_print_states_LDADD = src/core/libackcore.a
