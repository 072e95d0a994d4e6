# SPDX-License-Identifier: GPL-2.0-or-later
"""
Floods of spoofed segments, honest clients that are counted and timed, and what can be seen of both: at the server, and in
what the gate has learned.
"""

import contextlib
import fcntl
import json
import math
import os
import signal
import subprocess
import tempfile
import threading

from gate import programs
from services import connect
from topology import CLIENT, FAMILIES, MAC, eventually, literal

# ACKGATE_LAB_LONG=1: as long and as many as a release should stand; else as short as tells a gate that works from one that
# does not.
LONG = os.environ.get("ACKGATE_LAB_LONG") == "1"
SECONDS = 30 if LONG else 5
HONEST_CLIENTS = 2000 if LONG else 500
# None: as fast as one core can send.
RATE = None if LONG else 30_000

# Both live behind the client's namespace: nobody answers for the first, the kernel there owns all of the second.
SPOOFED = {4: "11.0.0.0", 6: "fd11::1"}
SPOOFED_NETWORK = {4: "11.0.0.0/8", 6: "fd11::/16"}
HONEST = {4: "10.128.0.1", 6: "fd12::1"}
HONEST_NETWORK = {4: "10.128.0.0/16", 6: "fd12::/16"}
HONEST_SOURCES = 200

PAGE_SIZE = 1000

# docs/cookies.md: what an ACK without timestamps has by guessing.
GUESSED = 6 / 2 ** 24


def route(lab):
    """Makes the spoofed and the honest networks known."""
    for family in FAMILIES:
        for network in (SPOOFED_NETWORK[family], HONEST_NETWORK[family]):
            lab.gate.ip(f"-{family}", "route", "add", network, "via", CLIENT[family])
        lab.client.ip(f"-{family}", "route", "add", "local", HONEST_NETWORK[family], "dev", "lo")


@contextlib.contextmanager
def _alone():
    """Floods without a rate take all of a core: one at a time on a machine, whoever runs them."""
    with open(os.path.join(tempfile.gettempdir(), f"ackgate-flood-{os.getuid()}.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Flood:
    """Segments from a million addresses, until it is told to stop."""

    def __init__(self, lab, family, port=80, kind="syn", rate=RATE, to=None, count=1_000_000):
        self._alone = contextlib.ExitStack()
        if rate is None:
            self._alone.enter_context(_alone())
        self.process = lab.client.popen(
            os.path.join(programs(), "tests/lab/flood"), "--device", "eth0", "--lladdr", MAC["gate", "client0"],
            "--to", to or lab.server_address[family], "--port", str(port), "--sources", SPOOFED[family],
            "--count", str(count), "--kind", kind, "--seconds", "600", *(["--rate", str(rate)] if rate else []),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lab.closing(self)

    def stop(self):
        """What was sent: {"sent", "seconds", "per_s"}."""
        assert self.process.poll() is None, f"the flood was over too early: {self.process.communicate()[0]}"
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=10)
        self._alone.close()
        return json.loads(said)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._alone.close()


class Dial:
    """Honest clients, from many addresses unless `source` is another word than "many"."""

    def __init__(self, lab, family, count, port=80, to=None, rate=None, in_flight=200, timeout=30, least=PAGE_SIZE,
                 source="many", namespace=None, more=()):
        sources = ["--from", HONEST[family], "--sources", str(HONEST_SOURCES)] if source == "many" else []
        self.count = count
        self._limit = timeout + 60 + (count / rate if rate else 0)
        self.process = (namespace or lab.client).popen(
            os.path.join(programs(), "tests/lab/dial"), "--to", to or lab.server_address[family], "--port", str(port),
            "--count", str(count), "--in-flight", str(in_flight), "--timeout", str(timeout), "--least", str(least),
            *(["--rate", str(rate)] if rate else []), *sources, *more,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lab.closing(self)

    def finish(self):
        """{"connections", "failed", "errors", "connect_ms", "total_ms", "seconds"}"""
        said, _ = self.process.communicate(timeout=self._limit)
        return json.loads(said)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def dial(*arguments, **options):
    return Dial(*arguments, **options).finish()


class HalfOpen:
    """The most half-open connections that were seen at a server while this ran."""

    def __init__(self, namespace):
        self._namespace = namespace
        self._most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        while not self._stop.wait(0.2):
            self._most = max(self._most, half_open(self._namespace))

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self._most


def half_open(namespace):
    return namespace.run("ss", "-Htn", "state", "syn-recv").stdout.count("\n")


class Arrivals:
    """Counts what of the spoofed networks comes through to the server, behind where a gate stands."""

    def __init__(self, lab):
        self._server = lab.server
        self._server.run("nft", "-f", "-", text=f"""
            table inet arrivals {{
                chain seen {{
                    type filter hook input priority 200
                    ip saddr {SPOOFED_NETWORK[4]} meta l4proto tcp counter
                    ip6 saddr {SPOOFED_NETWORK[6]} meta l4proto tcp counter
                }}
            }}""")

    def count(self):
        listing = json.loads(self._server.run("nft", "--json", "list", "table", "inet", "arrivals").stdout)
        rules = [entry["rule"] for entry in listing["nftables"] if "rule" in entry]
        return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)


def learned(gate, server, port):
    """What the gate knows of a server's options; None if nothing."""
    answer = gate.ask("rules")
    for rule in answer["rules"] if isinstance(answer, dict) else answer:
        for known in rule.get("learned", []):
            if known["server"] == f"{literal(server)}:{port}":
                return known
    return None


def learn(lab, gate, family, port=80, server=None):
    """Lets the gate hear how the server answers, by honest connections: from then on it can give cookies. Returns how many
    it has accepted so far."""
    server = server or lab.server_address[family]

    def known():
        connect(lab.client, server, port).close()
        return (learned(gate, server, port) or {}).get("timestamps") is not None

    assert eventually(known), f"nothing was learned of {server}: {gate.ask('rules')}"
    return cookies(gate)["accepted"]


def lucky(acks):
    """The most cookies that so many ACKs may guess: more have a chance of less than one in a million (Poisson)."""
    mean = acks * GUESSED
    most, chance = 0, math.exp(-mean)
    beyond = 1 - chance
    while beyond > 1e-6:
        most += 1
        chance *= mean / most
        beyond -= chance
    return most


def cookies(gate):
    return gate.status()["cookies"]


def queue_figures(gate):
    queue = gate.status()["queue"]
    return f"queue lost {queue['kernel_dropped']} + {queue['user_dropped']} of {queue['packets']}"
