# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += tests/systemd/run tests/systemd/inside
