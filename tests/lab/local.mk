# SPDX-License-Identifier: GPL-2.0-or-later
noinst_PROGRAMS += tests/lab/flood tests/lab/dial
tests_lab_flood_SOURCES = tests/lab/flood.c tests/lab/arguments.c tests/lab/arguments.h
tests_lab_dial_SOURCES = tests/lab/dial.c tests/lab/arguments.c tests/lab/arguments.h
tests_lab_dial_LDADD = -lm

EXTRA_DIST += build-aux/deps tests/fuzz/run \
	tests/lint/format tests/lint/headers tests/lint/layers tests/lint/scripts tests/lint/source \
	tests/lab/conftest.py tests/lab/container.py tests/lab/demo.py tests/lab/firewalls.py tests/lab/flood_demo.py \
	tests/lab/floods.py tests/lab/gate.py tests/lab/netns.py tests/lab/pytest.ini tests/lab/services.py tests/lab/ssh.py \
	tests/lab/topology.py tests/lab/valgrind.supp tests/lab/wire.py \
	tests/lab/fdstore.py tests/lab/proxies.py tests/lab/splice_demo.py tests/lab/splicing.py tests/lab/stage.py \
	tests/lab/test_00_lab.py tests/lab/test_01_transfers.py tests/lab/test_02_refused.py \
	tests/lab/test_03_failures.py tests/lab/test_04_loss.py tests/lab/test_05_reload.py \
	tests/lab/test_06_crash.py tests/lab/test_07_adopt.py tests/lab/test_08_halfopen.py \
	tests/lab/test_10_two_gates.py tests/lab/test_11_beside.py tests/lab/test_12_rules.py tests/lab/test_13_program.py \
	tests/lab/test_14_splice_gate.py \
	tests/lab/test_20_flood.py tests/lab/test_21_other_floods.py tests/lab/test_22_cookie_transfers.py \
	tests/lab/test_23_cookie_handshakes.py tests/lab/test_24_cookie_services.py tests/lab/test_25_blocks.py \
	tests/lab/test_26_shared_secret.py tests/lab/test_27_outlive.py tests/lab/test_28_cookie_nat.py \
	tests/lab/test_29_cookie_trust.py tests/lab/test_30_cookie_failures.py tests/lab/test_31_cookie_path_mtu.py \
	tests/lab/test_40_splice_ends.py tests/lab/test_41_splice_bytes.py tests/lab/test_42_splice_many.py \
	tests/lab/test_43_splice_backends.py tests/lab/test_44_splice_proxy_protocol.py tests/lab/test_45_splice_reload.py \
	tests/lab/test_46_splice_ports.py tests/lab/test_47_splice_gate.py tests/lab/test_48_splice_transparent.py \
	tests/lab/test_49_splice_services.py
