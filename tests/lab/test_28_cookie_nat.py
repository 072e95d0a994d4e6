# SPDX-License-Identifier: GPL-2.0-or-later
"""Cookies where the host changes addresses: a published container port, and clients behind masquerading."""

import socket

import pytest

import floods
from container import CONTAINER, HOST, INNER, OUTER, Container
from floods import Arrivals, Flood, cookies, dial, learn, learned
from services import Downloads, Echo, Nginx, connect, talk
from topology import CLIENT, GATE, GATE_INSIDE, eventually, literal

IPV6_FREEBIND = 78
COUNT = floods.HONEST_CLIENTS if floods.LONG else 200
SECONDS = floods.SECONDS if floods.LONG else 3

local = pytest.mark.parametrize("kind", ["local"])
forwarded = pytest.mark.parametrize("kind", ["forwarded"])


@pytest.fixture
def published(lab):
    """nginx in a container, its port published by the host."""
    container = Container(lab)
    floods.route(lab)
    nginx = lab.closing(Nginx(container.server, lab.directory, ports=(INNER,), backlog=4096))
    nginx.publish("index.html", floods.PAGE_SIZE)
    container.nginx = nginx
    return container


def rule(syncookies="always", **more):
    return {"rule published": {"to": f"{CONTAINER[4]}, {CONTAINER[6]}", "port": INNER, "syncookies": syncookies, **more}}


def learn_route(lab, gate, family):
    """Honest connections until the way to the container is known; the first ones go without a cookie."""
    def known():
        connect(lab.client, GATE[family], OUTER).close()
        return (learned(gate, CONTAINER[family], INNER) or {}).get("route") == "one"

    assert eventually(known, timeout=15, every=0.5), gate.ask("rules")
    assert learned(gate, CONTAINER[family], INNER)["public"] == f"{literal(GATE[family])}:{OUTER}"

    def given():
        before = cookies(gate)["accepted"]
        connect(lab.client, GATE[family], OUTER).close()
        return eventually(lambda: cookies(gate)["accepted"] > before, timeout=0.5)

    assert eventually(given, timeout=5), gate.status()
    return cookies(gate)["accepted"]


@local
def test_no_cookie_before_the_way_is_known(lab, gate, published, family):
    gate.start(rule())
    client = connect(lab.client, GATE[family], OUTER)
    client.close()
    assert cookies(gate)["sent"] == 0
    assert gate.status()["handshakes"]["completed"] == 1
    assert gate.drops() == {}


@local
@pytest.mark.smoke
def test_a_published_port(lab, gate, published, family):
    gate.start(rule())
    before = learn_route(lab, gate, family)
    published.nginx.publish("file", 20_000_000)
    downloads = Downloads(lab.client, lab.directory, GATE[family], published.nginx, "file", count=5, port=OUTER)
    assert downloads.finish() == ("", 5)
    assert cookies(gate)["accepted"] == before + 5
    assert gate.failed() == {}
    assert gate.drops() == {}


@local
@pytest.mark.long
@pytest.mark.parametrize("syncookies", ["adaptive", "always"])
def test_a_published_port_under_a_flood(lab, gate, published, family, syncookies, figures):
    gate.start(rule(syncookies, half_open=1000))
    if syncookies == "always":
        learn_route(lab, gate, family)
    else:
        assert dial(lab, family, 20, to=GATE[family], port=OUTER)["failed"] == 0
        assert eventually(lambda: (learned(gate, CONTAINER[family], INNER) or {}).get("route") == "one", timeout=15)
    flood = Flood(lab, family, to=GATE[family], port=OUTER)
    honest = dial(lab, family, COUNT, to=GATE[family], port=OUTER, rate=COUNT / SECONDS)
    sent = flood.stop()
    figures(f"{honest['connections']} of {COUNT} {honest['errors']}, {sent['per_s']:.0f} SYN/s; {floods.queue_figures(gate)}")
    assert (honest["connections"], honest["errors"]) == (COUNT, {}), floods.queue_figures(gate)
    assert cookies(gate)["sent"] > sent["sent"] / 2


@local
def test_two_public_ways_to_one_container(lab, gate, published, family):
    """A SYN does not say which way it was sent: those who come either way still get in."""
    for tool in ("iptables", "ip6tables"):
        target = CONTAINER[4] if tool == "iptables" else f"[{CONTAINER[6]}]"
        lab.gate.run(tool, "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "8081",
                     "-j", "DNAT", "--to-destination", f"{target}:{INNER}")
    gate.start(rule())
    for _ in range(10):
        for port in (OUTER, 8081):
            assert dial(lab, family, 5, to=GATE[family], port=port)["failed"] == 0
    assert eventually(lambda: learned(gate, CONTAINER[family], INNER)["route"] == "many", timeout=15)
    assert dial(lab, family, 20, to=GATE[family], port=8081)["failed"] == 0


@local
def test_straight_to_the_container(lab, gate, published, family):
    """By its own address, without DNAT, which Docker's rules let through: neither way is taken for the other."""
    gate.start(rule())
    before = learn_route(lab, gate, family)
    for _ in range(3):
        assert dial(lab, family, 5, to=CONTAINER[family], port=INNER)["failed"] == 0
        assert dial(lab, family, 5, to=GATE[family], port=OUTER)["failed"] == 0
    assert cookies(gate)["accepted"] > before
    assert gate.failed() == {}
    client = connect(lab.gate, CONTAINER[family], INNER)
    assert client.getsockname()[0] == HOST[family], "the host's own connections are its own"
    client.close()


def masquerade(lab, device="server0"):
    for tool in ("iptables", "ip6tables"):
        lab.gate.run(tool, "-t", "nat", "-A", "POSTROUTING", "-o", device, "-j", "MASQUERADE")


@forwarded
@pytest.mark.smoke
def test_a_masqueraded_way(lab, gate, family):
    """The server sees the gate, as the host's rules say."""
    echo = lab.closing(Echo(lab.server, 7))
    masquerade(lab)
    gate.start({"rule echo": {"port": 7, "syncookies": "always"}})
    before = learn(lab, gate, family, port=7)
    clients = [lab.closing(connect(lab.client, lab.server_address[family], 7)) for _ in range(10)]
    assert all(talk(client) for client in clients)
    assert cookies(gate)["accepted"] == before + 10
    assert {peer.getpeername()[0] for peer in echo.peers} == {GATE_INSIDE[family]}
    assert gate.failed() == {}


@forwarded
def test_masqueraded_clients_with_one_port(lab, gate, family):
    """Two clients with the same port: the host's rules must give one of them another."""
    echo = lab.closing(Echo(lab.server, 7))
    floods.route(lab)
    masquerade(lab)
    gate.start({"rule echo": {"port": 7, "syncookies": "always"}})
    learn(lab, gate, family, port=7)
    with lab.client.entered():
        sockets = [lab.closing(_bound(family, address)) for address in (CLIENT[family], floods.HONEST[family])]
    for client in sockets:
        client.settimeout(5)
        client.connect((lab.server_address[family], 7))
        assert talk(client)
    assert all(talk(client) for client in sockets)
    assert len({peer.getpeername()[:2] for peer in echo.peers}) == 2
    assert gate.failed() == {}


def _bound(family, address):
    made = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    if family == 6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    made.bind((address, 44444))
    return made


@forwarded
@pytest.mark.long
@pytest.mark.parametrize("syncookies", ["adaptive", "always"])
def test_a_masqueraded_way_under_a_flood(lab, gate, web, family, syncookies, figures):
    masquerade(lab)
    gate.start({"rule web": {"port": 80, "syncookies": syncookies, "half_open": 1000}})
    learn(lab, gate, family)
    arrivals = Arrivals(lab)
    flood = Flood(lab, family)
    honest = dial(lab, family, COUNT, rate=COUNT / SECONDS)
    sent = flood.stop()
    figures(f"{honest['connections']} of {COUNT} {honest['errors']}, {sent['per_s']:.0f} SYN/s; {floods.queue_figures(gate)}")
    assert (honest["connections"], honest["errors"]) == (COUNT, {}), floods.queue_figures(gate)
    assert cookies(gate)["sent"] > sent["sent"] / 2
    assert arrivals.count() == 0, "masquerading has left the clients' addresses alone"


@forwarded
def test_a_port_of_the_gate_that_leads_to_the_server(lab, gate, family):
    """DNAT and masquerading at once, as small gateways do."""
    echo = lab.closing(Echo(lab.server, 7))
    masquerade(lab)
    for tool in ("iptables", "ip6tables"):
        target = lab.server_address[4] if tool == "iptables" else f"[{lab.server_address[6]}]"
        lab.gate.run(tool, "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "8007",
                     "-j", "DNAT", "--to-destination", f"{target}:7")
    gate.start({"rule echo": {"port": 7, "syncookies": "always"}})
    server = lab.server_address[family]

    def known():
        connect(lab.client, GATE[family], 8007).close()
        return (learned(gate, server, 7) or {}).get("route") == "one"

    assert eventually(known, timeout=15, every=0.5), gate.ask("rules")

    def through():
        before = cookies(gate)["accepted"]
        client = lab.closing(connect(lab.client, GATE[family], 8007))
        assert talk(client)
        return cookies(gate)["accepted"] > before

    assert eventually(through, timeout=5)
    assert {peer.getpeername()[0] for peer in echo.peers} == {GATE_INSIDE[family]}
    assert gate.failed() == {}
