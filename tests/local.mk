# SPDX-License-Identifier: GPL-2.0-or-later
include tests/unit/core.mk
include tests/unit/packet.mk
include tests/unit/config.mk
include tests/unit/control.mk
include tests/unit/ruleset.mk
include tests/unit/splice.mk
include tests/kernel/local.mk
include tests/fuzz/fuzz.mk
include tests/lab/local.mk
include tests/vm/local.mk
include tests/systemd/local.mk
