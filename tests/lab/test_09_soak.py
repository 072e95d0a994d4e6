# SPDX-License-Identifier: GPL-2.0-or-later
"""
Everything at once, for as long as is asked for: connections that stand, through the gate and through the proxy, must not notice;
new ones must come in; the daemon must not grow, complain or end.
"""

import itertools
import os
import threading
import time

import pytest

import floods
from floods import Dial, Flood
from gate import programs
from services import Echo, Nginx, connect, talk
from splicing import Task, at, descriptors, raise_descriptors, rule
from topology import FAMILIES, GATE, SERVER, eventually, literal

SECONDS = float(os.environ.get("ACKGATE_SOAK_SECONDS", "8"))
ECHO, PROXIED_ECHO, PROXIED_WEB = 7, 7007, 7080
# For each family and each way; where there is time, with two descriptors for each, more than an fd_set has.
HELD = 300 if SECONDS > 60 else 50
GROWTH_KIB = 4096
# New connections that may fail for each time that the rules were away.
FAILED_EACH_TIME = 5

VANDALS = (
    ("nft", "delete table inet ackgate_unqueued"),
    ("iptables", "-w -t security -F"),
    ("ip6tables", "-w -t security -F"),
    ("nft", "delete table inet ackgate_lasting"),
    ("nft", "flush ruleset"),
)
QUESTIONS = ("status", "flows", "rules", "sources", "failures", "backends", "config")


def sanitized():
    """A daemon under the address sanitizer keeps what was freed, to know it again."""
    with open(os.path.join(programs(), "ackgated"), "rb") as file:
        return b"__asan_init" in file.read()


def sections(number):
    """A configuration that is another one each time, and the same every 12."""
    cookies = ("adaptive", "always", "never")[number % 3]
    def everywhere(addresses, port):
        return ", ".join(at(addresses, family, port) for family in FAMILIES)

    return {
        "daemon": {"workers": 2, "log_level": "notice", "drain": "1s"},
        "rule web": {"port": 80, "syncookies": cookies},
        "rule echo": {"port": ECHO, "syncookies": cookies, "inspect": "full"},
        "rule proxied-echo": rule(everywhere(GATE, PROXIED_ECHO), "echo", idle_timeout=f"{10 + number % 4}m"),
        "rule proxied-web": rule(everywhere(GATE, PROXIED_WEB), "web", syncookies=("adaptive", "always")[number % 2]),
        "backend echo": {"servers": everywhere(SERVER, ECHO), "check": "off"},
        "backend web": {"servers": everywhere(SERVER, 80)},
        **({"rule more": {"port": 9000 + number % 12, "syn_rate": "10/s"}} if number % 4 == 3 else {}),
    }


class Held:
    """Connections that stand, by all ways."""

    def __init__(self, lab):
        self._all = [(f"{literal(addresses[family])}:{port}", connect(lab.client, addresses[family], port, timeout=20))
                     for addresses, port in ((SERVER, ECHO), (GATE, PROXIED_ECHO)) for family in FAMILIES for _ in range(HELD)]
        self.rounds = 0

    def round(self):
        words = os.urandom(100)
        for name, one in self._all:
            try:
                fine = talk(one, words)
            except OSError as problem:
                fine = repr(problem)
            assert fine is True, (name, one.getsockname(), fine)
        self.rounds += 1

    def __len__(self):
        return len(self._all)

    def close(self):
        for _, one in self._all:
            one.close()


class Everything:
    """Tasks that go round until the time is over; what one of them raises ends all."""

    def __init__(self, lab, gate):
        self.lab, self.gate = lab, gate
        self.connected = self.failed = 0
        self.reloads = self.spoiled = 0
        self._over = threading.Event()
        self._tasks = []

    def repeat(self, function, pause):
        def go():
            for number in itertools.count(1):
                if self._over.wait(pause):
                    return
                try:
                    function(number)
                except BaseException:
                    self._over.set()
                    raise
        self._tasks.append(Task(go))

    def wait(self, seconds):
        self._over.wait(seconds)

    def end(self):
        self._over.set()
        for task in self._tasks:
            task.result(60)

    def reload(self, number):
        status = self.gate.reload(sections(number), timeout=20)
        assert status["config"]["last_error"] is None, status["config"]
        self.reloads += 1

    def ask(self, number):
        self.gate.ask(QUESTIONS[number % len(QUESTIONS)])
        victim = f"192.0.2.{number % 200 + 1}"
        for words in (("block", victim, "60s"), ("unblock", victim)):
            done = self.gate.ctl(*words)
            # Others may have taken the table away in between.
            assert done.returncode == 0 or "blocked" in done.stdout or "nftables" in done.stdout, done.stdout

    def connect(self, number):
        family = FAMILIES[number % 2]
        to, port = ((SERVER[family], 80), (GATE[family], PROXIED_WEB))[number // 2 % 2]
        done = Dial(self.lab, family, 100, port=port, to=to, rate=200).finish()
        self.connected += done["connections"]
        self.failed += done["failed"]
        # An ACK that answers a cookie while the rules are away is the server's, which resets.
        assert self.failed <= FAILED_EACH_TIME * self.spoiled, (to, port, done)

    def flood(self, number):
        family = FAMILIES[number % 2]
        to, port = ((SERVER[family], 80), (GATE[family], PROXIED_WEB))[number // 2 % 2]
        flood = Flood(self.lab, family, kind=("syn", "ack", "fin", "rst")[number % 4], rate=20_000, to=to, port=port)
        time.sleep(1)
        flood.stop()

    def spoil(self, number):
        program, words = VANDALS[number % len(VANDALS)]
        self.spoiled += 1
        self.lab.gate.run(program, *words.split(), check=False)


@pytest.mark.smoke
@pytest.mark.parametrize("kind", ["forwarded"])
def test_everything_at_once(lab, gate, figures):
    raise_descriptors()
    floods.route(lab)
    lab.closing(Echo(lab.server, ECHO))
    nginx = lab.closing(Nginx(lab.server, lab.directory, ports=(80,), backlog=4096))
    nginx.publish("index.html", floods.PAGE_SIZE)
    gate.start(sections(0))
    before = descriptors(gate)
    held = lab.closing(Held(lab))
    everything = Everything(lab, gate)
    everything.repeat(lambda number: held.round(), 0.5)
    everything.repeat(everything.reload, 0.7)
    everything.repeat(everything.ask, 0.3)
    everything.repeat(everything.connect, 0.1)
    everything.repeat(everything.flood, 2)
    everything.repeat(everything.spoil, 3)
    everything.wait(SECONDS / 3)
    memory = gate.memory_kib()
    everything.wait(SECONDS * 2 / 3)
    everything.end()
    held.round()
    grown = gate.memory_kib() - memory
    held.close()
    log = gate.log()
    figures(f"{everything.reloads} reloads, {everything.connected} connections and {everything.failed} that failed, "
            f"rules spoiled {everything.spoiled} times, {held.rounds} rounds of {len(held)}; "
            f"{memory} KiB and {grown} more at the end")
    assert " error: " not in log, log
    assert grown <= GROWTH_KIB or sanitized()
    assert eventually(lambda: descriptors(gate)["socket"] <= before["socket"], 20), (before, lab.gate.run("ss", "-anp").stdout)
