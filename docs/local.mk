# SPDX-License-Identifier: GPL-2.0-or-later
include docs/config.mk
include docs/states.mk
dist_man_MANS += docs/ackgated.8 docs/ackgatectl.1
EXTRA_DIST += docs/architecture.md docs/benchmarks.md docs/cookies.md docs/splice.md
