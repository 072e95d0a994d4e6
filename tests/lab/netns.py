# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces: made under unique names, entered, and taken away in every case."""

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def run(*argv, check=True, timeout=60, text=""):
    """Runs a program to its end with `text` as its input; .stdout has both of its streams."""
    done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}")
    return done


def _setns(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def next_number():
    return next(_numbers)


class Namespace:
    """One network namespace. Its name says whose process made it, so that leftovers can be told from what is in use."""

    def __init__(self, role, number):
        self.role = role
        self.name = f"ackgate-{os.getpid()}-{number}-{role}"
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *argv):
        return run("ip", "-n", self.name, *argv).stdout

    def run(self, *argv, **options):
        return run("ip", "netns", "exec", self.name, *argv, **options)

    def popen(self, *argv, **options):
        """The process that comes back is the program itself: `ip netns exec` becomes it."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(["ip", "netns", "exec", self.name, *argv], **options)

    @contextlib.contextmanager
    def entered(self):
        """This thread is inside for the length of the block; sockets made there stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _setns(there)
            try:
                yield self
            finally:
                _setns(home)
        finally:
            os.close(home)
            os.close(there)

    def read(self, path):
        with self.entered(), open(path, encoding="ascii") as file:
            return file.read()

    def sysctl(self, name, value):
        with self.entered(), open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
            file.write(str(value))

    def delete(self):
        delete(self.name)


def delete(name):
    """Ends what runs in the namespace, then takes it away; gone already is fine."""
    for pid in run("ip", "netns", "pids", name, check=False).stdout.split():
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(pid), signal.SIGKILL)
    _delete_lock(name)
    run("ip", "netns", "delete", name, check=False)


def _delete_lock(name):
    """What a daemon leaves. While the namespace is there, nobody else's lock can have its number in the name."""
    with contextlib.suppress(OSError):
        os.unlink(f"/run/ackgate/netns-{os.stat(f'/run/netns/{name}').st_ino}.lock")


def delete_stale():
    """Takes away what killed runs left behind: namespaces, and the folders of topology.Lab."""
    for folder, remove in (("/run/netns", delete), (tempfile.gettempdir(), _delete_folder)):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            owner = re.fullmatch(r"ackgate-(\d+)-\w+(-\w+)?", name)
            if owner and not os.path.exists(f"/proc/{owner[1]}"):
                remove(name)


def _delete_folder(name):
    shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)
