# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += tests/vm/run tests/vm/init tests/vm/inside tests/vm/conftest.py tests/vm/test_nftables.py
