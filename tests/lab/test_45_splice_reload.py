# SPDX-License-Identifier: GPL-2.0-or-later
"""Reloads and restarts under load: no request fails, no connection attempt is refused."""

import re
import signal
import subprocess
import time

import pytest

from fdstore import FdStore
from services import Nginx
from splicing import MODES, SERVICE_PORT, Answers, Service, ask, at, ending, hear, rule
from topology import FAMILIES, GATE, SERVER, eventually, literal

PORT, OTHER_PORT = 7000, 7001

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def sections(family, mode, extra=None, server_port=SERVICE_PORT, daemon=None, **keys):
    return {
        "daemon": {"log_level": "warning", **(daemon or {})},
        "rule web": rule(at(GATE, family, PORT), mode=mode, **keys),
        "backend service": {"servers": at(SERVER, family, server_port)},
        **(extra or {}),
    }


@pytest.fixture
def nginx(proxy):
    made = proxy.lab.closing(Nginx(proxy.lab.server, proxy.lab.directory, ports=(SERVICE_PORT,), backlog=4096))
    made.publish("index.html", 1000)
    return made


class Wrk:
    """Requests from many connections, until finish()."""

    def __init__(self, proxy, family, header, connections=20):
        self.process = proxy.lab.client.popen(
            "wrk", "-t", "1", "-c", str(connections), "-d", "60s", "--timeout", "10s", "-H", header,
            f"http://{literal(GATE[family])}:{PORT}/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        proxy.lab.closing(self)

    def finish(self):
        """How many requests were answered; none has failed."""
        assert self.process.poll() is None, self.process.communicate()[0]
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=10)
        assert "Socket errors" not in said and "Non-2xx" not in said, said
        return int(re.search(r"(\d+) requests in", said)[1])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.mark.smoke
@pytest.mark.parametrize("header", ["Connection: keep-alive", "Connection: close"])
def test_reloads_under_load(proxy, nginx, mode, family, header):
    proxy.start(sections(family, mode))
    load = Wrk(proxy, family, header)
    time.sleep(0.3)
    for number in range(5):
        proxy.gate.reload(sections(family, mode, idle_timeout=f"{number + 2}m",
                                   extra={f"rule more{number}": rule(at(GATE, family, 7100 + number))}))
        time.sleep(0.3)
    assert load.finish() > 100
    # wrk leaves its last connections in whatever state they are.
    assert set(proxy.gate.drops()) <= {"no_flow"} and sum(proxy.gate.drops().values()) <= 40
    proxy.gate.reload(sections(family, mode))


def test_restarts_under_load(proxy, nginx, mode, family):
    """Sockets that listen outlive the daemon: who comes in between waits for the next one."""
    store = proxy.lab.closing(FdStore(proxy.gate))
    proxy.gate.write(sections(family, mode))
    store.start()
    proxy.note()
    assert store.kept, "no socket was left for the next process"
    load = Wrk(proxy, family, "Connection: close")
    time.sleep(0.5)
    for _ in range(2):
        store.restart()
        time.sleep(0.5)
    assert load.finish() > 100


def test_a_crash_loses_no_one_who_waits(proxy, nginx, mode, family):
    """Who has come while no daemon was there is served by the next one."""
    store = proxy.lab.closing(FdStore(proxy.gate))
    proxy.gate.write(sections(family, mode))
    store.start()
    proxy.note()
    proxy.gate.kill()
    with proxy.dial(family, PORT) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        store.start()
        assert b"200 OK" in hear(client, 100)


@pytest.mark.smoke
def test_a_crash_is_heard_by_all_whom_it_cuts(proxy, mode, family):
    """One is served, one is accepted, the others are in the backlog. The RSTs are sent once, by a daemon that does not judge
    them any more."""
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.gate.start({**sections(family, mode, max_connections=1),
                      "backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "off"}})
    clients = [proxy.dial(family, PORT) for _ in range(5)]
    with service.accept() as server:
        for client in clients:
            client.sendall(b"hello")
        assert hear(server, 5) == b"hello"
        proxy.gate.kill()
        assert ending(server) == "FIN"
        assert [ending(client) for client in clients] == ["FIN"] + ["RST"] * 4
    for client in clients:
        client.close()


def test_a_rule_that_is_gone_takes_its_socket_out_of_the_store(proxy, nginx, mode, family):
    """Or nobody would ever answer those who connect to it."""
    store = proxy.lab.closing(FdStore(proxy.gate))
    proxy.gate.write(sections(family, mode, extra={"rule old": rule(at(GATE, family, OTHER_PORT))}))
    store.start()
    before = len(store.kept)
    proxy.gate.reload(sections(family, mode))
    assert eventually(lambda: len(store.kept) < before)
    with pytest.raises(ConnectionRefusedError):
        proxy.dial(family, OTHER_PORT)
    proxy.gate.write(sections(family, mode, extra={"rule new": rule(at(GATE, family, OTHER_PORT))}))
    store.restart()
    for port in (PORT, OTHER_PORT):
        with proxy.dial(family, port) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"200 OK" in hear(client, 100)
    proxy.note()


def test_a_stop_waits_for_connections_but_not_longer_than_drain(proxy, mode, family):
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    keys = {"backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "off"}}
    proxy.start({**sections(family, mode, daemon={"drain": "2s"}), **keys})
    short, long = ((proxy.dial(family, PORT), service.accept()) for _ in range(2))
    began = time.monotonic()
    proxy.gate.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert proxy.gate.process.poll() is None
    for client, server in (short, long):
        client.sendall(b"not done yet")
        assert hear(server, 12) == b"not done yet"
    # It does not accept any more.
    short[0].close()
    short[1].close()
    assert proxy.gate.process.wait(10) == 0
    assert 1.8 < time.monotonic() - began < 4
    proxy.gate.process = None
    assert ending(long[0]) == "RST" and ending(long[1]) == "RST"
    for one in long:
        one.close()


def test_a_stop_ends_at_once_when_the_last_connection_has(proxy, mode, family):
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    keys = {"backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "off"}}
    proxy.start({**sections(family, mode, daemon={"drain": "30s"}), **keys})
    client, server = proxy.dial(family, PORT), service.accept()
    proxy.gate.signal(signal.SIGTERM)
    time.sleep(0.3)
    client.close()
    server.close()
    assert proxy.gate.process.wait(5) == 0
    proxy.gate.process = None


def test_what_stands_goes_on_under_what_it_began_with(proxy, mode, family):
    old, new = (proxy.lab.closing(Service(proxy.lab.server, SERVER[family], port)) for port in (9001, 9002))
    extra = {"rule gone": rule(at(GATE, family, OTHER_PORT))}
    off = {"check": "off"}
    first = sections(family, mode, extra=extra, server_port=9001)
    first["backend service"].update(off)
    proxy.start(first)
    pairs = []
    for port in (PORT, OTHER_PORT):
        client = proxy.dial(family, port)
        pairs.append((client, old.accept()))
    second = sections(family, mode, server_port=9002, idle_timeout="1s")
    second["backend service"].update(off)
    proxy.gate.reload(second)
    with proxy.dial(family, PORT), new.accept():
        pass
    with pytest.raises(ConnectionRefusedError):
        proxy.dial(family, OTHER_PORT)
    time.sleep(1.5)
    for client, server in pairs:
        client.sendall(b"as before")
        assert hear(server, 9) == b"as before"
        client.close()
        server.close()
    assert eventually(lambda: proxy.open() == 0)
    proxy.note()


def test_a_privileged_port_in_a_reloaded_file(proxy, nginx, mode, family):
    """Privileges were dropped before the file said so."""
    proxy.start(sections(family, mode))
    proxy.gate.reload(sections(family, mode, extra={"rule low": rule(at(GATE, family, 80), mode=mode)}))
    with proxy.dial(family, 80) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in hear(client, 100)
    proxy.note()


@pytest.mark.parametrize("listen", ["192.0.2.99:7200", "taken"])
def test_a_place_that_can_not_be_listened_at_changes_nothing(proxy, mode, family, listen):
    proxy.lab.closing(Answers(proxy.lab.server, SERVER[family], SERVICE_PORT, "one"))
    proxy.start(sections(family, mode))
    if listen == "taken":
        proxy.lab.closing(Service(proxy.lab.gate, GATE[family], 7200))
        listen = at(GATE, family, 7200)
    before = proxy.gate.status()["config"]
    after = proxy.gate.reload(sections(family, mode, extra={"rule wrong": rule(listen), "rule more": rule(
        at(GATE, family, OTHER_PORT))}))["config"]
    assert after["generation"] == before["generation"]
    assert "7200" in str(after["last_error"])
    assert ask(proxy.lab.client, GATE[family], PORT) == "one"
    with pytest.raises(ConnectionRefusedError):
        proxy.dial(family, OTHER_PORT)
