# SPDX-License-Identifier: GPL-2.0-or-later
include tests/fuzz/packet.mk
include tests/fuzz/engine.mk
include tests/fuzz/config.mk
include tests/fuzz/proxy.mk
