# SPDX-License-Identifier: GPL-2.0-or-later
noinst_PROGRAMS += tests/lab/flood tests/lab/dial
tests_lab_flood_SOURCES = tests/lab/flood.c tests/lab/arguments.c tests/lab/arguments.h
tests_lab_dial_SOURCES = tests/lab/dial.c tests/lab/arguments.c tests/lab/arguments.h
tests_lab_dial_LDADD = -lm

EXTRA_DIST += build-aux/deps tests/fuzz/run \
	tests/lint/format tests/lint/headers tests/lint/layers tests/lint/scripts tests/lint/source \
	tests/lab/conftest.py tests/lab/demo.py tests/lab/firewalls.py tests/lab/gate.py tests/lab/netns.py \
	tests/lab/pytest.ini tests/lab/services.py tests/lab/topology.py tests/lab/wire.py \
	tests/lab/test_00_lab.py tests/lab/test_01_transfers.py tests/lab/test_02_refused.py \
	tests/lab/test_03_failures.py tests/lab/test_04_loss.py tests/lab/test_05_reload.py \
	tests/lab/test_06_crash.py tests/lab/test_07_adopt.py tests/lab/test_08_halfopen.py \
	tests/lab/test_10_two_gates.py tests/lab/test_11_beside.py tests/lab/test_12_rules.py tests/lab/test_13_program.py
