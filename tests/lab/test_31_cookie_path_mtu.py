# SPDX-License-Identifier: GPL-2.0-or-later
"""
Path MTU discovery (RFC 1191, RFC 8201) through connections that began with a cookie, in both directions.

    origin --- client --- gate --- server --- far

The lab's client and server are routers here; one of them, or the gate itself, has a route with a smaller MTU, which the ends
learn from ICMP alone.
"""

import re

import pytest

import floods
from floods import cookies
from services import Downloads, Nginx, connect
from topology import CLIENT, FAMILIES, GATE, SERVER, Lab, eventually, link

SIZE = 3_000_000
MTU = 1300

ORIGIN = {4: "10.0.5.2", 6: "fd00:5::2"}
FAR = {4: "10.0.6.2", 6: "fd00:6::2"}
ORIGIN_LINK = [("10.0.5.1", ORIGIN[4], 24), ("fd00:5::1", ORIGIN[6], 64)]
FAR_LINK = [("10.0.6.1", FAR[4], 24), ("fd00:6::1", FAR[6], 64)]


class LongWay(Lab):
    """`local`: the gate is the server, and there is no far end."""

    def _build(self):
        super()._build()
        self.origin = self.namespace("origin")
        link(self.client, "origin0", self.origin, "eth0", ORIGIN_LINK, index=101)
        self._route(self.client, self.origin, ORIGIN_LINK)
        for family in FAMILIES:
            self.gate.ip(f"-{family}", "route", "add", ORIGIN[family], "via", CLIENT[family])
        if self.kind == "local":
            return
        self.far = self.namespace("far")
        link(self.server, "far0", self.far, "eth0", FAR_LINK, index=101)
        self._route(self.server, self.far, FAR_LINK)
        for family in FAMILIES:
            self.gate.ip(f"-{family}", "route", "add", FAR[family], "via", SERVER[family])
        self.server, self.behind = self.far, self.server
        self.server_address = FAR

    @staticmethod
    def _route(router, end, addresses):
        router.sysctl("net.ipv4.ip_forward", 1)
        router.sysctl("net.ipv6.conf.all.forwarding", 1)
        for number, family in enumerate(FAMILIES):
            end.ip(f"-{family}", "route", "add", "default", "via", addresses[number][0])
            # Forwarding takes default routes from nobody, and loses those that were there.
            router.ip(f"-{family}", "route", "replace", "default", "via",
                      GATE[family] if router.role == "client" else {4: "10.0.2.1", 6: "fd00:2::1"}[family])

    def narrow(self, router, family, end):
        """Makes the router's way to an end narrower than its link."""
        address = end[family]
        if router is self.gate:
            hop = CLIENT[family] if end is ORIGIN else SERVER[family]
            router.ip(f"-{family}", "route", "replace", address, "via", hop, "mtu", "lock", str(MTU))
        else:
            device = "origin0" if end is ORIGIN else "far0"
            router.ip(f"-{family}", "route", "add", f"{address}/{128 if family == 6 else 32}", "dev", device,
                      "mtu", "lock", str(MTU))


@pytest.fixture
def lab(kind):
    made = LongWay(kind)
    yield made
    made.close()


def path_mtu(namespace, family, address):
    """What an end has learned of its way, by ICMP."""
    said = namespace.ip(f"-{family}", "route", "get", address)
    found = re.search(r"mtu (\d+)", said)
    return int(found[1]) if found else 1500


@pytest.fixture
def opened(lab, gate, family):
    """nginx at the far end, behind cookies; and how many were accepted."""
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("file", SIZE)
    gate.start({"rule web": {"port": 80, "syncookies": "always"}})

    def known():
        connect(lab.origin, lab.server_address[family], 80).close()
        return floods.learned(gate, lab.server_address[family], 80)

    assert eventually(known)
    return nginx, cookies(gate)["accepted"]


def download(lab, nginx, family):
    return Downloads(lab.origin, lab.directory, lab.server_address[family], nginx, "file", count=3, max_time=15).finish()


@pytest.mark.smoke
def test_narrow_in_front(lab, gate, opened, family):
    """The client's router tells the server."""
    nginx, before = opened
    lab.narrow(lab.client, family, ORIGIN)
    assert download(lab, nginx, family) == ("", 3)
    assert cookies(gate)["accepted"] == before + 3
    assert path_mtu(lab.server, family, ORIGIN[family]) == MTU
    # The server's MSS is now a smaller one to this client, and the old one to others.
    for _ in range(3):
        assert download(lab, nginx, family) == ("", 3)
        connect(lab.client, lab.server_address[family], 80).close()


@pytest.mark.parametrize("kind", ["forwarded"])
def test_narrow_at_the_gate(lab, gate, opened, family):
    """The gate's own host tells the server."""
    nginx, before = opened
    lab.narrow(lab.gate, family, ORIGIN)
    assert download(lab, nginx, family) == ("", 3)
    assert cookies(gate)["accepted"] == before + 3
    assert path_mtu(lab.server, family, ORIGIN[family]) == MTU


class Sink:
    """Takes what comes, counts it, and says the number when there is no more."""

    def __init__(self, lab, port):
        self.process = lab.server.popen(
            "/usr/bin/python3", "-c", f"""
import socket
listener = socket.create_server(("::", {port}), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    peer = listener.accept()[0]
    heard = 0
    while part := peer.recv(65536):
        heard += len(part)
    peer.sendall(str(heard).encode())
    peer.close()
""")
        lab.closing(self)
        assert eventually(lambda: f":{port} " in lab.server.run("ss", "-Hltn").stdout)

    def close(self):
        self.process.kill()
        self.process.wait()


def upload(lab, family, port):
    """How many bytes the far end says that it has got."""
    client = connect(lab.origin, lab.server_address[family], port, timeout=15)
    try:
        client.sendall(b"x" * SIZE)
        client.shutdown(1)
        return int(client.recv(100))
    finally:
        client.close()


@pytest.mark.smoke
@pytest.mark.parametrize("kind", ["forwarded"])
@pytest.mark.parametrize("where", ["server", "gate"])
def test_narrow_behind(lab, gate, family, where):
    """The server's router, or the gate's own host, tells the client."""
    Sink(lab, 9)
    gate.start({"rule sink": {"port": 9, "syncookies": "always"}})
    assert upload(lab, family, 9) == SIZE
    assert floods.learned(gate, FAR[family], 9)
    before = cookies(gate)["accepted"]
    lab.narrow(lab.gate if where == "gate" else lab.behind, family, FAR)
    assert upload(lab, family, 9) == SIZE
    assert cookies(gate)["accepted"] == before + 1
    assert path_mtu(lab.origin, family, FAR[family]) == MTU


@pytest.mark.parametrize("kind", ["forwarded"])
def test_narrow_in_front_without_a_gate(lab, family):
    """The picture is right: the ends do hear of it."""
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("file", SIZE)
    lab.narrow(lab.client, family, ORIGIN)
    assert download(lab, nginx, family) == ("", 3)
    assert path_mtu(lab.server, family, ORIGIN[family]) == MTU


@pytest.mark.parametrize("kind", ["forwarded"])
@pytest.mark.parametrize("where", ["server", "gate"])
def test_narrow_behind_without_a_gate(lab, family, where):
    Sink(lab, 9)
    lab.narrow(lab.gate if where == "gate" else lab.behind, family, FAR)
    assert upload(lab, family, 9) == SIZE
    assert path_mtu(lab.origin, family, FAR[family]) == MTU
