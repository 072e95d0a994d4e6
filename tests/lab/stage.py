# SPDX-License-Identifier: GPL-2.0-or-later
"""What the demos have in common: how an act is told, and that nothing is left behind however a play ends."""

import contextlib
import os
import signal
import sys
import time

import netns
from topology import Lab

BOLD, GREEN, RED, DIM, PLAIN = ("\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m") if sys.stdout.isatty() else [""] * 5


def title(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


class Story:
    """Tells each act in a few lines, and knows at the end whether all went as promised."""

    WIDTH = 34  # of what was done, before what came of it

    def __init__(self, lab, gate=None):
        self.lab = lab
        self.gate = gate
        self.good = True

    def tell(self, what, outcome, as_promised=True):
        self.good &= as_promised
        mark = f"{GREEN}ok{PLAIN}  " if as_promised else f"{RED}FAIL{PLAIN}"
        print(f"  {mark} {what:<{self.WIDTH}} {outcome}", flush=True)


@contextlib.contextmanager
def setting():
    """Client, gate and server; nobody interrupts their going."""
    lab = Lab("forwarded")
    try:
        yield lab
    finally:
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        lab.close()
        signal.signal(signal.SIGINT, handler)


def _interrupted(*_):
    raise KeyboardInterrupt


def perform(play):
    """Runs play(), which says whether all went as promised; returns the exit status."""
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGHUP, _interrupted)
    netns.delete_stale()
    began = time.monotonic()
    try:
        good = play()
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    finally:
        with contextlib.suppress(OSError):
            os.rmdir("/run/ackgate")
    print(f"{'All as promised' if good else 'NOT as promised'}, in {time.monotonic() - began:.0f} s; "
          "the namespaces, the rules and the files are gone again.")
    return 0 if good else 1
