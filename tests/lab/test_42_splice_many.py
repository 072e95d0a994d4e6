# SPDX-License-Identifier: GPL-2.0-or-later
"""Many connections at once: what an idle one costs, and what happens when there are too many of them."""

import contextlib
import time

import pytest

import floods
from netns import run
from services import connect
from splicing import (MODES, PIPES_KEPT, SERVICE_PORT, Answers, Service, Task, ask, at, cpu_seconds, descriptors, dump,
                      ending, hear, rule)
from topology import CLIENT, FAMILIES, GATE, SERVER, eventually

PORT = 7000
IDLE = 5000
WARM = 1000
IDLE_BYTES = 1024

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def sections(family, mode, server="", backend=None, daemon=None, **keys):
    """One rule, one server with its options."""
    return {
        "daemon": daemon or {},
        "rule web": rule(at(GATE, family, PORT), mode=mode, **keys),
        "backend service": {"servers": f"{at(SERVER, family, SERVICE_PORT)} {server}", "check": "off", **(backend or {})},
    }


def memory_bytes(gate):
    """Of the process, what it shares with others counted by its part."""
    with open(f"/proc/{gate.process.pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


def used_pair(proxy, service, family):
    """A connection that has carried something each way."""
    client = proxy.dial(family, PORT)
    server = service.accept()
    for one, other in ((client, server), (server, client)):
        one.sendall(b"hello")
        assert hear(other, 5) == b"hello"
    return client, server


@pytest.mark.long
def test_five_thousand_idle_connections(proxy, mode, family, figures):
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode, daemon={"log_level": "warning"}))
    # What the first take for good (large pages of tables that fill for the first time) is none of the others' fault.
    held = [used_pair(proxy, service, family) for _ in range(WARM)]
    before = memory_bytes(proxy.gate)
    held += [used_pair(proxy, service, family) for _ in range(IDLE)]
    each = (memory_bytes(proxy.gate) - before) / IDLE
    figures(f"{each:.0f} bytes of user memory for each of {IDLE} idle connections")
    assert proxy.open() == IDLE + WARM
    assert descriptors(proxy.gate).get("pipe", 0) <= proxy.before.get("pipe", 0) + PIPES_KEPT
    cpu = cpu_seconds(proxy.gate)
    time.sleep(1)
    assert cpu_seconds(proxy.gate) - cpu <= 0.1
    for client, server in (held[0], held[WARM + IDLE // 2], held[-1]):
        client.sendall(b"still there?")
        assert hear(server, 12) == b"still there?"
    for client, server in held:
        client.close()
        server.close()
    assert each <= IDLE_BYTES
    proxy.await_settled(20)


@pytest.mark.parametrize("whose", ["rule", "backend", "server"])
def test_who_is_too_many_waits_and_is_then_served(proxy, mode, family, whose):
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    limits = {"rule": {"max_connections": 2}, "backend": {"backend": {"max_connections": 2}},
              "server": {"server": "max_connections 2"}}
    proxy.start(sections(family, mode, **limits[whose]))
    clients = [proxy.dial(family, PORT) for _ in range(5)]
    for number, client in enumerate(clients):
        client.sendall(b"%d" % number)
    held = [service.accept() for _ in range(2)]
    assert [hear(one, 1) for one in held] == [b"0", b"1"]
    assert service.nobody(0.5), "more than two at once"
    waiting = [2, 3, 4]
    for client in clients[:3]:
        held.pop(0).close()
        client.close()
        held.append(service.accept(2))
        waiting.remove(int(hear(held[-1], 1)))
    for one in clients + held:
        one.close()


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_an_end_while_it_waits_for_a_place(proxy, mode, family, how):
    """A FIN is kept for the server that the connection gets in the end; who has reset takes no place."""
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode, server="max_connections 1"))
    first = proxy.dial(family, PORT)
    server = service.accept()
    second, third = (proxy.dial(family, PORT) for _ in range(2))
    second.sendall(b"2")
    third.sendall(b"3")
    time.sleep(0.2)
    if how == "FIN":
        second.shutdown(1)
    else:
        dump(second)
    time.sleep(0.2)
    server.close()
    first.close()
    server = service.accept()
    if how == "FIN":
        assert hear(server, 10) == b"2"
        server.close()
        assert ending(second) == "FIN"
        server = service.accept()
    # One that was accepted before it was reset may still have come to the server, to end at once.
    if (heard := hear(server, 1)) != b"3":
        assert how == "RST" and heard in (b"", b"2")
        server.close()
        server = service.accept()
        assert hear(server, 1) == b"3"
    for one in (second, third, server):
        one.close()


def test_running_out_of_descriptors(proxy, mode, family):
    """Accepting pauses, is taken up again, everybody is served, and the log has both."""
    proxy.lab.closing(Answers(proxy.lab.server, SERVER[family], SERVICE_PORT, "one", pause=0.02))
    proxy.start(sections(family, mode))
    assert ask(proxy.lab.client, GATE[family], PORT) == "one"
    proxy.await_settled()
    # Room for about ten connections of two descriptors each.
    limit = sum(descriptors(proxy.gate).values()) + 24
    proxy.gate.stop()
    proxy.gate.under += ["prlimit", f"--nofile={limit}:{limit}"]
    proxy.start(sections(family, mode))
    before = cpu_seconds(proxy.gate)
    tasks = [Task(ask, proxy.lab.client, GATE[family], PORT, 20) for _ in range(60)]
    assert [task.result() for task in tasks] == ["one"] * 60
    assert cpu_seconds(proxy.gate) - before < 0.5
    log = proxy.gate.log()
    assert "file descriptor" in log, log[-2000:]
    assert ask(proxy.lab.client, GATE[family], PORT) == "one"


def test_max_connections_beyond_what_descriptors_allow_is_said(proxy, mode, family):
    proxy.gate.under += ["prlimit", "--nofile=1000:1000"]
    proxy.start(sections(family, mode, max_connections=4000))
    assert "max_connections asks for" in proxy.gate.log()
    proxy.gate.reload(sections(family, mode, max_connections=100))
    assert proxy.gate.log().count("max_connections asks for") == 1


def test_slow_loris(proxy, mode, family):
    """Who says nothing is cut by idle_timeout, who trickles by total_timeout, how many by the rule's limits: others are served."""
    lab = proxy.lab
    floods.route(lab)
    lab.closing(Answers(lab.server, SERVER[family], SERVICE_PORT, "one"))
    proxy.start(sections(family, mode, wait_for_data="yes", idle_timeout="1s", total_timeout="3s", connections_per_source=20,
                         over_limit="reject"))
    silent = [proxy.dial(family, PORT) for _ in range(10)]
    trickling = [proxy.dial(family, PORT) for _ in range(10)]
    with pytest.raises(OSError):
        proxy.dial(family, PORT, timeout=1)
    began = time.monotonic()
    while time.monotonic() - began < 3:
        for one in trickling:
            with contextlib.suppress(OSError):
                one.sendall(b"x")
        honest = connect(lab.client, GATE[family], PORT, source=floods.HONEST[family])
        with honest:
            honest.sendall(b"who?")
            assert hear(honest, 100) == b"one"
        time.sleep(0.3)
        if time.monotonic() - began > 1.8:
            assert all(ending(one, 0.1) in ("FIN", "RST") for one in silent)
            silent = []
    assert eventually(lambda: proxy.open() == 0, 3)
    for one in silent + trickling:
        one.close()
    log = proxy.gate.log()
    assert "idle_timeout" in log
    assert CLIENT[family] in log
