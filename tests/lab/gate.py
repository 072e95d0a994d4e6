# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon under test: configured, started, asked and stopped as an administrator would."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

from netns import run
from topology import eventually

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def programs():
    return os.environ.get("ACKGATE_BIN", os.path.join(ROOT, "build"))


def ini(sections):
    """{"rule web": {"port": 80}} as a file's text."""
    return "\n".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
                     for name, keys in sections.items())


class Gate:
    """One ackgated in one namespace."""

    def __init__(self, namespace, directory):
        self.namespace = namespace
        self.directory = directory
        self.file = os.path.join(directory, "ackgate.ini")
        self.control = os.path.join(directory, "control.sock")
        self.log_file = os.path.join(directory, "ackgated.log")
        self.process = None
        # Words before the program's name: what it is to run under.
        self.under = os.environ.get("ACKGATE_UNDER", "").split()
        os.makedirs(os.path.join(directory, "state"), exist_ok=True)

    def write(self, sections):
        """The configuration file: sections over what every test needs."""
        whole = {
            "daemon": {
                "user": "nobody", "workers": 1, "control": self.control, "log": "stderr",
                "log_level": "debug", "state_dir": os.path.join(self.directory, "state"),
            },
            "netfilter": {"manage": os.environ.get("ACKGATE_MANAGE", "auto")},
            "limits": {"half_open": 16384, "flows": 16384, "sources": 4096},
        }
        for name, keys in sections.items():
            whole[name] = {**whole.get(name, {}), **keys}
        self.write_text(ini(whole))

    def write_text(self, text):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(text)

    def spawn(self, *extra, **options):
        """Starts the program and waits for nothing."""
        with open(self.log_file, "ab") as log:
            return self.namespace.popen(*self.under, os.path.join(programs(), "ackgated"), "-c", self.file,
                                        *extra, stdout=log, stderr=log, **options)

    def start(self, sections=None, timeout=20):
        """Starts the daemon and waits until it says that it is ready."""
        if sections is not None:
            self.write(sections)
        path = os.path.join(self.directory, "notify.sock")
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            os.chmod(path, 0o666)
            notify.settimeout(0.2)
            self.process = self.spawn(env={**os.environ, "NOTIFY_SOCKET": path})
            self._wait_ready(notify, timeout)
        return self

    def _wait_ready(self, notify, timeout):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"ackgated ended with {self.process.returncode}:\n{self.log()}")
            try:
                if b"READY=1" in notify.recv(4096):
                    return
            except socket.timeout:
                # A build without libsystemd says nothing; its control socket does. A daemon may have more to notify of than
                # the socket holds, and wait for us meanwhile.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    if self.ctl("status", timeout=1).returncode == 0:
                        return
        raise RuntimeError(f"ackgated was not ready in {timeout} s:\n{self.log()}")

    def log(self):
        try:
            with open(self.log_file, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def ctl(self, *argv, **options):
        return run(os.path.join(programs(), "ackgatectl"), "-s", self.control, *argv, check=False, **options)

    def ask(self, *argv):
        done = self.ctl("--json", *argv)
        if done.returncode != 0:
            raise RuntimeError(f"ackgatectl {' '.join(argv)}: exit {done.returncode}\n{done.stdout}")
        return json.loads(done.stdout)

    def status(self):
        return self.ask("status")

    def drops(self):
        """Reasons that have been counted, and how often."""
        return {reason: n for reason, n in self.status()["drops"].items() if n}

    def failed(self):
        return {cause: n for cause, n in self.status()["handshakes"]["failed"].items() if n}

    def rule(self, name):
        return next(rule for rule in self.status()["rules"] if rule["name"] == name)

    def await_drops(self, wanted, timeout=5):
        """Waits until exactly `wanted` has been dropped; returns what was."""
        eventually(lambda: self.drops() == wanted, timeout)
        return self.drops()

    def await_failed(self, wanted, timeout=5):
        eventually(lambda: self.failed() == wanted, timeout)
        return self.failed()

    def reload(self, sections=None, text=None, timeout=5):
        """SIGHUP, and waits until it has been acted on; returns the status."""
        if sections is not None:
            self.write(sections)
        if text is not None:
            self.write_text(text)
        before = self.status()["config"]
        os.kill(self.process.pid, signal.SIGHUP)
        eventually(lambda: self._judged(before), timeout)
        return self.status()

    def _judged(self, before):
        now = self.status()["config"]
        return now["generation"] != before["generation"] or now["last_error"] != before["last_error"]

    def queue_packets(self):
        """How many packets the kernel has queued for user space so far (its last packet id, of all queues)."""
        rows = self.namespace.read("/proc/thread-self/net/netfilter/nfnetlink_queue").splitlines()
        return sum(int(row.split()[7]) for row in rows)

    def queue_losses(self):
        rows = self.namespace.read("/proc/thread-self/net/netfilter/nfnetlink_queue").splitlines()
        return sum(int(row.split()[5]) + int(row.split()[6]) for row in rows)

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        """As a crash: no chance to tidy up."""
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def stop(self, timeout=10):
        """SIGTERM; a daemon that does not end well fails the test, a sanitizer's report included."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"ackgated did not end on SIGTERM:\n{self.log()}") from None
        if code != 0:
            raise RuntimeError(f"ackgated ended with {code}:\n{self.log()}")

    close = stop
