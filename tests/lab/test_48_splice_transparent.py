# SPDX-License-Identifier: GPL-2.0-or-later
"""Interception: connections on their way to a server are spliced unasked, and the server sees the client's own address."""

import contextlib

import pytest

import floods
from services import connect
from splicing import MODES, SERVICE_PORT, Service, Task, at, await_ending, drain, dump, ending, hear, pour
from topology import CLIENT, FAMILIES, GATE, GATE_INSIDE, SERVER, eventually

OTHER_PORT = 9009

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def sections(mode, source="client", port=SERVICE_PORT, **keys):
    return {"rule web": {"mode": "splice", "transparent": "yes", "backend": "original", "source": source, "port": port,
                         "splice": "yes" if mode == "splice" else "no", **keys}}


def dial(proxy, family, port=SERVICE_PORT, **options):
    return connect(proxy.lab.client, SERVER[family], port, **options)


@pytest.fixture
def service(proxy, family):
    return proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))


@pytest.mark.smoke
@pytest.mark.parametrize("source, seen", [("client", CLIENT), ("self", GATE_INSIDE)])
def test_the_server_sees_the_client(proxy, service, mode, family, source, seen):
    proxy.start(sections(mode, source))
    with dial(proxy, family) as client, service.accept() as server:
        assert client.getpeername()[:2] == (SERVER[family], SERVICE_PORT)
        assert server.getpeername()[0] == seen[family]
        tasks = [Task(pour, client, 5_000_000), Task(pour, server, 5_000_000),
                 Task(drain, client, most=5_000_000), Task(drain, server, most=5_000_000)]
        assert [task.result() for task in tasks][2:] == [5_000_000] * 2
        assert proxy.open() == 1
    assert await_ending(proxy.gate)["client"].startswith(f"[{CLIENT[6]}]:" if family == 6 else CLIENT[4])


def test_how_they_end(proxy, service, mode, family):
    proxy.start(sections(mode))
    for side in "cs":
        with dial(proxy, family) as client, service.accept() as server:
            mine, other = (client, server) if side == "c" else (server, client)
            mine.shutdown(1)
            assert ending(other) == "FIN"
            other.sendall(b"still here")
            assert hear(mine, 10) == b"still here"
        with dial(proxy, family) as client, service.accept() as server:
            mine, other = (client, server) if side == "c" else (server, client)
            dump(mine)
            assert ending(other) == "RST"


def test_other_ports_are_left_alone(proxy, service, mode, family):
    other = proxy.lab.closing(Service(proxy.lab.server, SERVER[family], OTHER_PORT))
    proxy.start(sections(mode))
    with dial(proxy, family, OTHER_PORT) as client, other.accept() as server:
        assert server.getpeername()[:2] == client.getsockname()[:2]
        assert proxy.open() == 0


def test_many_clients_and_many_connections(proxy, service, mode, family):
    floods.route(proxy.lab)
    for namespace in (proxy.lab.server,):
        namespace.sysctl("net.ipv4.tcp_fin_timeout", 5)
    proxy.start(sections(mode))
    prefix = "10.128.0." if family == 4 else "fd12:0:0:"
    held = []
    for number in range(1, 41):
        source = prefix + (str(number) if family == 4 else f"{number}::1")
        client = dial(proxy, family, source=source)
        server = service.accept()
        assert server.getpeername()[0] == source
        held.append((client, server))
    for number, (client, server) in enumerate(held):
        client.sendall(b"%5d" % number)
        assert hear(server, 5) == b"%5d" % number
        client.close()
        server.close()
    assert eventually(lambda: proxy.open() == 0)


def test_a_server_that_is_not_there(proxy, mode, family):
    """The client's handshake has succeeded already; it is told by an RST."""
    proxy.start(sections(mode))
    with contextlib.suppress(ConnectionResetError), dial(proxy, family) as client:
        assert ending(client) == "RST"
    assert await_ending(proxy.gate)["how"].startswith("the server refused")


def test_all_is_put_back(proxy, service, mode, family):
    """Rules, routing and traffic are as before once the daemon has stopped, however it did."""
    def routing():
        return [proxy.lab.gate.ip(f"-{family}", "rule"), proxy.lab.gate.ip(f"-{family}", "route", "show", "table", "all"),
                proxy.lab.gate.run("nft", "list", "tables").stdout.replace("table inet ackgate_lasting\n", "")]

    dial(proxy, family).close()
    service.accept().close()
    # IPv6's routes are there from the first packet on.
    before = routing()
    proxy.start(sections(mode))
    assert routing() != before
    with dial(proxy, family), service.accept():
        assert proxy.open() == 1
    proxy.await_settled()
    proxy.gate.kill()
    with dial(proxy, family) as client, service.accept() as server:
        # on_failure = open: nobody is there to intercept, and the connection goes through.
        assert server.getpeername()[:2] == client.getsockname()[:2]
    proxy.start(sections(mode))
    with dial(proxy, family), service.accept():
        assert proxy.open() == 1
    proxy.await_settled()
    proxy.gate.stop()
    assert routing()[:2] == before[:2]
    assert [line for line in routing()[2].splitlines() if "tproxy" in line] == []
    with dial(proxy, family), service.accept():
        pass


def test_a_rule_before_it_decides(proxy, service, mode, family):
    """The first match: what an earlier rule gates is not intercepted."""
    proxy.start({"rule first": {"port": SERVICE_PORT, "from": CLIENT[family]}, **sections(mode)})
    floods.route(proxy.lab)
    with dial(proxy, family), service.accept():
        assert proxy.open() == 0
    with dial(proxy, family, source=floods.HONEST[family]), service.accept() as server:
        assert proxy.open() == 1
        assert server.getpeername()[0] == floods.HONEST[family]


def test_to_a_backend_of_its_own(proxy, mode, family):
    """Intercepted, and led elsewhere."""
    elsewhere = proxy.lab.closing(Service(proxy.lab.server, SERVER[family], OTHER_PORT))
    proxy.start({**sections(mode, backend="other"),
                 "backend other": {"servers": ", ".join(at(SERVER, each, OTHER_PORT) for each in FAMILIES), "check": "off"}})
    with dial(proxy, family) as client, elsewhere.accept() as server:
        assert server.getpeername()[0] == CLIENT[family]
        client.sendall(b"hello")
        assert hear(server, 5) == b"hello"


def test_the_gate_itself_is_not_intercepted(proxy, mode, family):
    """A service of this host's own on the port goes on being reached."""
    own = proxy.lab.closing(Service(proxy.lab.gate, GATE[family], SERVICE_PORT))
    proxy.start(sections(mode))
    with connect(proxy.lab.client, GATE[family], SERVICE_PORT), own.accept():
        assert proxy.open() == 0
