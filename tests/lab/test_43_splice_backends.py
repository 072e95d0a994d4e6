# SPDX-License-Identifier: GPL-2.0-or-later
"""Backends that refuse, hang, die and come back; whose turn it is; what an administrator says of them."""

import contextlib
import os
import socket
import time

import pytest

import floods
from services import connect
from splicing import (MODES, SERVICE_PORT, Answers, Deaf, Service, Task, ask, at, await_ending, cpu_seconds, drain, dump, ending,
                      endings, hear, pour, rule)
from topology import CLIENT, FAMILIES, GATE, SERVER, eventually

PORT = 7000
FIRST, SECOND, THIRD = 9001, 9002, 9003

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]
NAMES = {FIRST: "first", SECOND: "second", THIRD: "third"}


def sections(family, mode, ports=(SERVICE_PORT,), backend=None, options=None, **keys):
    """One rule whose backend has a server at each port; options: {port: " weight 2"}."""
    servers = ", ".join(at(SERVER, family, port) + (options or {}).get(port, "") for port in ports)
    return {
        "rule web": rule(at(GATE, family, PORT), mode=mode, **keys),
        "backend service": {"servers": servers, "check": "off", **(backend or {})},
    }


@pytest.fixture
def answers(proxy, family):
    """answers(port): a server there that says its name."""
    return lambda port, **options: proxy.lab.closing(
        Answers(proxy.lab.server, SERVER[family], port, NAMES[port], **options))


def asked(proxy, family, count=1, timeout=5):
    return [ask(proxy.lab.client, GATE[family], PORT, timeout) for _ in range(count)]


def states(proxy):
    """What the daemon thinks of each server: {"10.0.2.2:9001": "up"}."""
    return {server["server"]: server["state"] for server in proxy.gate.ask("backends")["servers"]}


def name(family, port):
    return at(SERVER, family, port)


@pytest.mark.smoke
def test_a_backend_that_refuses(proxy, mode, family):
    proxy.start(sections(family, mode))
    assert proxy.turned_away(family, PORT) == "RST"
    told = await_ending(proxy.gate)
    assert (told["how"].split(":")[0], told["by"], told["phase"]) == ("the server refused", "server", "connect")
    assert told["server"] == f"service/{name(family, SERVICE_PORT)}"
    assert told["client"].startswith(f"[{CLIENT[6]}]:" if family == 6 else f"{CLIENT[4]}:")


def test_a_backend_that_hangs(proxy, mode, family):
    proxy.lab.closing(Deaf(proxy.lab.server).begin())
    proxy.start(sections(family, mode, connect_timeout="700ms"))
    began = time.monotonic()
    with proxy.dial(family, PORT) as client:
        before = cpu_seconds(proxy.gate)
        assert ending(client) == "RST"
        assert 0.6 < time.monotonic() - began < 2
        assert cpu_seconds(proxy.gate) - before < 0.1
    assert await_ending(proxy.gate)["how"].startswith("no answer from the server within connect_timeout")


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_another_server_is_tried(proxy, mode, family, answers, fault):
    answers(SECOND)
    if fault == "hangs":
        proxy.lab.closing(Deaf(proxy.lab.server, FIRST).begin())
    proxy.start(sections(family, mode, (FIRST, SECOND), backend={"retries": 1, "fall": 100}, connect_timeout="500ms"))
    assert asked(proxy, family, 4) == ["second"] * 4


def test_retries_end(proxy, mode, family, answers):
    """With none, who meets the server that refuses is told so."""
    answers(SECOND)
    proxy.start(sections(family, mode, (FIRST, SECOND), backend={"retries": 0, "fall": 100}))
    outcomes = [proxy.turned_away(family, PORT, b"who?") for _ in range(4)]
    assert sorted(outcomes) == ["RST", "RST", "b'second'", "b'second'"]


def test_no_second_server_once_a_byte_went(proxy, mode, family):
    services = [proxy.lab.closing(Service(proxy.lab.server, SERVER[family], port)) for port in (FIRST, SECOND)]
    proxy.start(sections(family, mode, (FIRST, SECOND), backend={"retries": 2}))
    with proxy.dial(family, PORT) as client:
        client.sendall(b"order 1 pizza")
        with services[0].accept() as server:
            assert hear(server, 13) == b"order 1 pizza"
            dump(server)
        assert ending(client) == "RST"
    assert services[1].nobody()


def test_a_backend_that_dies_in_the_middle(proxy, mode, family):
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode))
    client = proxy.dial(family, PORT)
    server = service.accept()
    receiver = Task(drain, client)
    pour(server, 2_000_000)
    dump(server)
    with pytest.raises(ConnectionResetError):
        receiver.result()
    client.close()
    told = await_ending(proxy.gate)
    assert (told["how"], told["by"]) == ("reset", "server")


def test_a_backend_that_vanishes(proxy, mode, family):
    """Its host says nothing any more, not even RST: what keepalive is for."""
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode, keepalive="1s"))
    client = proxy.dial(family, PORT)
    server = service.accept()
    client.sendall(b"hello")
    assert hear(server, 5) == b"hello"
    proxy.lab.server.ip("link", "set", "eth0", "down")
    assert ending(client, 20) == "RST"
    told = await_ending(proxy.gate)
    assert (told["how"], told["by"]) == ("no answer any more", "server")
    client.close()
    server.close()


def test_unchecked_servers_go_down_by_failures_and_come_back_by_a_trial(proxy, mode, family, answers):
    answers(SECOND)
    proxy.start(sections(family, mode, (FIRST, SECOND), backend={"retries": 1, "fall": 2, "check_interval": "1s"}))
    assert asked(proxy, family, 6) == ["second"] * 6
    assert states(proxy) == {name(family, FIRST): "down", name(family, SECOND): "up"}
    answers(FIRST)
    assert eventually(lambda: "first" in asked(proxy, family), 10)
    assert states(proxy)[name(family, FIRST)] == "up"


def test_checks_take_a_server_down_and_bring_it_back(proxy, mode, family, answers):
    first, _ = answers(FIRST), answers(SECOND)
    proxy.start(sections(family, mode, (FIRST, SECOND),
                         backend={"check": "tcp", "check_interval": "200ms", "fall": 2, "rise": 2, "retries": 0}))
    assert set(asked(proxy, family, 4)) == {"first", "second"}
    first.close()
    assert eventually(lambda: states(proxy)[name(family, FIRST)] == "down", 5)
    assert asked(proxy, family, 4) == ["second"] * 4
    answers(FIRST)
    assert eventually(lambda: states(proxy)[name(family, FIRST)] == "up", 5)
    assert set(asked(proxy, family, 4)) == {"first", "second"}
    log = proxy.gate.log()
    assert f"service/{name(family, FIRST)} is down" in log and f"service/{name(family, FIRST)} is up" in log


def test_checks_end_politely(proxy, mode, family):
    """By FIN, not by RST: servers would log each as an error."""
    proxy.start(sections(family, mode, backend={"check": "tcp", "check_interval": "300ms"}))
    # Closed before the end: a check that nobody accepts is there until the next one begins.
    with contextlib.closing(Service(proxy.lab.server, SERVER[family])) as service:
        for greeting in (b"", b"220 who speaks first\r\n"):
            with service.accept() as server:
                server.sendall(greeting)
                assert ending(server) == "FIN"


@pytest.mark.parametrize("over_limit", ["reject", "drop"])
def test_all_down(proxy, mode, family, answers, over_limit):
    """New clients meet what the rule says of those who can't be served, at the gate and by name; then all is well again."""
    floods.route(proxy.lab)
    proxy.start(sections(family, mode, backend={"check": "tcp", "check_interval": "200ms", "fall": 1, "rise": 1},
                         over_limit=over_limit))
    assert eventually(lambda: states(proxy) == {name(family, SERVICE_PORT): "down"})
    # The gate hears of it once a second.
    time.sleep(1.3)
    before = proxy.gate.drops().get("backend_down", 0)
    with pytest.raises(ConnectionRefusedError if over_limit == "reject" else TimeoutError):
        proxy.dial(family, PORT, timeout=1.5)
    assert proxy.gate.drops().get("backend_down", 0) > before
    proxy.lab.closing(Answers(proxy.lab.server, SERVER[family], SERVICE_PORT, "back"))
    assert eventually(lambda: states(proxy) == {name(family, SERVICE_PORT): "up"})
    time.sleep(1.3)
    assert asked(proxy, family) == ["back"]


@pytest.mark.parametrize("over_limit", ["reject", "drop"])
@pytest.mark.parametrize("awaited", ["data", "place"])
def test_all_down_while_a_client_waits(proxy, mode, family, awaited, over_limit):
    """It was accepted while one was up: reset, or with `drop` told nothing, by the same words in the log."""
    proxy.start(sections(family, mode, options={SERVICE_PORT: " max_connections 1"}, over_limit=over_limit,
                         backend={"check": "tcp", "check_interval": "200ms", "fall": 1, "rise": 1},
                         wait_for_data="yes" if awaited == "data" else "no"))
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    assert eventually(lambda: states(proxy) == {name(family, SERVICE_PORT): "up"})
    # The gate hears of it once a second.
    time.sleep(1.3)
    with proxy.dial(family, PORT) as first, proxy.dial(family, PORT) as client:
        first.sendall(b"hold")
        server = next(one for one in iter(service.accept, None) if hear(one, 4) == b"hold")
        assert eventually(lambda: proxy.open() == 2)
        service.close()
        assert eventually(lambda: states(proxy) == {name(family, SERVICE_PORT): "down"})
        if awaited == "data":
            client.sendall(b"who?")
        dump(server)
        if over_limit == "reject":
            assert ending(client) == "RST"
        else:
            with pytest.raises(TimeoutError):
                ending(client, 1)
            # Then the host's own answer to what belongs to nobody.
            client.sendall(b"more")
            assert ending(client) == "RST"
    told = next(one for one in endings(proxy.gate) if one["how"] != "reset")
    assert (told["how"], told["by"]) == ("no server of the backend is up", "server")
    assert told["phase"] == {"data": "data", "place": "wait"}[awaited]


def test_turns_by_weight(proxy, mode, family, answers):
    for port in (FIRST, SECOND, THIRD):
        answers(port)
    proxy.start(sections(family, mode, (FIRST, SECOND, THIRD), options={FIRST: " weight 3"}))
    served = asked(proxy, family, 20)
    assert {each: served.count(each) for each in set(served)} == {"first": 12, "second": 4, "third": 4}


def test_fewest_connections(proxy, mode, family):
    services = {port: proxy.lab.closing(Service(proxy.lab.server, SERVER[family], port)) for port in (FIRST, SECOND)}
    proxy.start(sections(family, mode, (FIRST, SECOND), backend={"balance": "leastconn"}))
    clients = [proxy.dial(family, PORT) for _ in range(4)]
    held = {port: [service.accept(), service.accept()] for port, service in services.items()}
    for one in held[FIRST]:
        one.close()
    assert eventually(lambda: len(endings(proxy.gate)) == 0 or proxy.open() == 2)
    for one in clients:
        one.shutdown(socket.SHUT_WR)
    assert eventually(lambda: proxy.open() == 2)
    clients += [proxy.dial(family, PORT) for _ in range(2)]
    held[FIRST] = [services[FIRST].accept(), services[FIRST].accept()]
    assert services[SECOND].nobody()
    for one in clients + held[FIRST] + held[SECOND]:
        one.close()


def test_the_same_server_for_the_same_client(proxy, mode, family, answers):
    floods.route(proxy.lab)
    for port in (FIRST, SECOND, THIRD):
        answers(port)
    proxy.start(sections(family, mode, (FIRST, SECOND, THIRD), backend={"balance": "source"}))
    prefix = "10.128.0." if family == 4 else "fd12:0:0:"
    sources = [prefix + (str(number) if family == 4 else f"{number}::1") for number in range(1, 13)]

    def served(source):
        with connect(proxy.lab.client, GATE[family], PORT, source=source) as client:
            client.sendall(b"who?")
            return hear(client, 100).decode()

    once = {source: served(source) for source in sources}
    assert len(set(once.values())) > 1
    assert {source: served(source) for source in sources} == once
    # Who goes to another server when one is taken out are its own clients alone.
    assert proxy.gate.ctl("backends", "disable", f"service/{name(family, FIRST)}").returncode == 0
    after = {source: served(source) for source in sources}
    assert all(after[source] == once[source] for source in sources if once[source] != "first")
    assert "first" not in after.values()


def test_an_administrator_drains_disables_and_enables(proxy, mode, family):
    services = {port: proxy.lab.closing(Service(proxy.lab.server, SERVER[family], port)) for port in (FIRST, SECOND)}
    proxy.start(sections(family, mode, (FIRST, SECOND)))
    client = proxy.dial(family, PORT)
    server = services[FIRST].accept()
    for word, state in (("drain", "draining"), ("disable", "disabled")):
        done = proxy.gate.ctl("backends", word, f"service/{name(family, FIRST)}")
        assert done.returncode == 0, done.stdout
        assert states(proxy)[name(family, FIRST)] == state
        for _ in range(3):
            with proxy.dial(family, PORT), services[SECOND].accept():
                pass
        # What stands goes on.
        client.sendall(b"still here?")
        assert hear(server, 11) == b"still here?"
    # A reload does not forget it.
    proxy.gate.reload(sections(family, mode, (FIRST, SECOND), idle_timeout="10m"))
    assert states(proxy)[name(family, FIRST)] == "disabled"
    assert proxy.gate.ctl("backends", "enable", f"service/{name(family, FIRST)}").returncode == 0
    assert states(proxy)[name(family, FIRST)] == "up"
    with proxy.dial(family, PORT), proxy.dial(family, PORT), services[FIRST].accept(), services[SECOND].accept():
        pass
    assert proxy.gate.ctl("backends", "drain", "service/nobody:1").returncode == 1
    assert proxy.gate.ctl("backends", "drain", "nothing").returncode in (1, 2)
    client.close()
    server.close()


def test_the_table_of_backends(proxy, mode, family, answers):
    answers(FIRST)
    proxy.start(sections(family, mode, (FIRST, SECOND), backend={"retries": 1, "fall": 1}))
    asked(proxy, family, 3)
    page = proxy.gate.ctl("backends").stdout
    for words in ("service", name(family, FIRST), name(family, SECOND), "up", "down", "refused"):
        assert words in page, page


def test_a_backend_of_a_unix_socket(proxy, mode, family):
    path = proxy.lab.path("service.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(10)
    listener.settimeout(5)
    os.chmod(path, 0o666)
    proxy.start({"rule web": rule(at(GATE, family, PORT), mode=mode),
                 "backend service": {"servers": f"unix:{path}", "check": "off"}})
    client = proxy.dial(family, PORT)
    server = listener.accept()[0]
    tasks = [Task(pour, client, 3_000_000), Task(pour, server, 3_000_000), Task(drain, client, most=3_000_000),
             Task(drain, server, most=3_000_000)]
    assert [task.result() for task in tasks][2:] == [3_000_000] * 2
    client.shutdown(socket.SHUT_WR)
    assert ending(server) == "FIN"
    server.sendall(b"bye")
    server.close()
    assert hear(client, 10) == b"bye"
    client.close()
    listener.close()


def test_from_one_family_to_the_other(proxy, mode, family):
    other = 10 - family
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[other]))
    proxy.start({"rule web": rule(at(GATE, family, PORT), mode=mode),
                 "backend service": {"servers": at(SERVER, other, SERVICE_PORT), "check": "off"}})
    with proxy.dial(family, PORT) as client, service.accept() as server:
        client.sendall(b"hello")
        assert hear(server, 5) == b"hello"
