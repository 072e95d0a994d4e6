# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's fixtures hold here, too."""

import importlib.util
import os
import sys

LAB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lab")

sys.path.insert(0, LAB)
_spec = importlib.util.spec_from_file_location("lab_conftest", os.path.join(LAB, "conftest.py"))
_lab = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_lab)
globals().update({name: thing for name, thing in vars(_lab).items() if not name.startswith("_")})
