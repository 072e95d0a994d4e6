# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP Fast Open (RFC 7413) in splice mode: from clients, and towards servers."""

import socket

import pytest

from splicing import MODES, SERVICE_PORT, Service, at, await_ending, hear, rule
from topology import CLIENT, FAMILIES, GATE, SERVER, eventually

PORT = 7000
WORDS = b"what I have to say comes with the SYN"
ANSWER = b"heard"

# Of linux/tcp.h: where TCP_INFO has its options, and which of them says that the data of the SYN was taken.
TCPI_OPTIONS = 5
TCPI_OPT_SYN_DATA = 32

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def sections(family, mode, **keys):
    return {
        "rule web": rule(at(GATE, family, PORT), mode=mode, **keys),
        "backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "off"},
    }


class Unacknowledged:
    """The client's ACKs get lost, for the length of the block: the gate has nothing but SYNs."""

    def __init__(self, client):
        self._client = client

    def __enter__(self):
        self._client.run("nft", "-f", "-", text="""
            table inet unacknowledged {
                chain acks { type filter hook output priority 0; tcp flags & (syn | ack) == ack drop; }
            }""")

    def __exit__(self, *_):
        self._client.run("nft", "delete", "table", "inet", "unacknowledged")


def exchange(client, server):
    """Both ends hear what the other says."""
    assert hear(server, len(WORDS)) == WORDS
    server.sendall(ANSWER)
    assert hear(client, len(ANSWER)) == ANSWER


def was_fast(end):
    """Whether the bytes of that connection's SYN were taken."""
    return bool(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[TCPI_OPTIONS] & TCPI_OPT_SYN_DATA)


def fast_opens(namespace):
    """How many connections began so, of those asked for and of those accepted."""
    rows = [row.split() for row in namespace.read("/proc/thread-self/net/netstat").splitlines() if row.startswith("TcpExt:")]
    counts = dict(zip(*rows))
    return {"asked": int(counts["TCPFastOpenActive"]), "accepted": int(counts["TCPFastOpenPassive"])}


def fast_service(lab, family):
    """A service that takes it; and the gate may."""
    for namespace in (lab.gate, lab.server):
        namespace.sysctl("net.ipv4.tcp_fastopen", 3)
    service = lab.closing(Service(lab.server, SERVER[family]))
    service.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 10)
    return service


@pytest.mark.parametrize("fastopen, sysctl, fast", [("pass", 3, True), ("pass", 1, False), ("strip", 3, False)])
def test_from_a_client(proxy, mode, family, fastopen, sysctl, fast):
    """The rule and the kernel must both have it."""
    lab = proxy.lab
    lab.gate.sysctl("net.ipv4.tcp_fastopen", sysctl)
    service = lab.closing(Service(lab.server, SERVER[family]))
    proxy.start(sections(family, mode, fastopen=fastopen))
    # The first is given the cookie that the others come with.
    for number in range(3):
        with proxy.dial(family, PORT, fast_open=True) as client:
            client.sendall(WORDS)
            with service.accept() as server:
                exchange(client, server)
            assert was_fast(client) == (fast and number > 0)
    assert fast_opens(lab.client) == {"asked": 2 if fast else 0, "accepted": 0}
    assert fast_opens(lab.gate) == {"asked": 0, "accepted": 2 if fast else 0}


@pytest.mark.parametrize("fastopen, wait_for_data, fast", [("pass", "yes", True), ("pass", "no", False), ("strip", "yes", False)])
def test_towards_a_server(proxy, mode, family, fastopen, wait_for_data, fast):
    """If the client's first bytes are here already."""
    lab = proxy.lab
    service = fast_service(lab, family)
    proxy.start(sections(family, mode, fastopen=fastopen, wait_for_data=wait_for_data))
    # The first is given the cookie that the others come with.
    for number in range(3):
        with proxy.dial(family, PORT) as client:
            if wait_for_data == "yes":
                client.sendall(WORDS)
            with service.accept() as server:
                if wait_for_data == "no":
                    client.sendall(WORDS)
                exchange(client, server)
                assert was_fast(server) == (fast and number > 0)
    assert fast_opens(lab.gate)["asked"] == fast_opens(lab.server)["accepted"] == (2 if fast else 0)


def test_from_syn_to_syn(proxy, mode, family):
    """What a client's SYN has brought goes on with the SYN to the server, before the client's ACK is here."""
    lab = proxy.lab
    service = fast_service(lab, family)
    proxy.start(sections(family, mode, fastopen="pass"))
    with proxy.dial(family, PORT, fast_open=True) as client, service.accept() as server:
        client.sendall(WORDS)
        exchange(client, server)
    for fast in (False, True):
        with Unacknowledged(lab.client), proxy.dial(family, PORT, fast_open=True) as client:
            client.sendall(WORDS)
            with service.accept() as server:
                exchange(client, server)
                assert (was_fast(client), was_fast(server)) == (True, fast)
    # Nobody has measured a handshake that was not done.
    assert await_ending(proxy.gate, 2)["handshake"] == "-"


def test_a_proxy_header_of_which_the_syn_has_a_part(proxy, mode, family):
    """The client's ACK is not here yet; that is no FIN."""
    lab = proxy.lab
    service = fast_service(lab, family)
    proxy.start(sections(family, mode, fastopen="pass", accept_proxy="v1", trusted_proxies=CLIENT[family]))
    header = f"PROXY TCP{family} {CLIENT[family]} {GATE[family]} 1024 80\r\n".encode()
    with proxy.dial(family, PORT, fast_open=True) as client:
        client.sendall(header + WORDS)
        with service.accept() as server:
            exchange(client, server)
    with proxy.dial(family, PORT, fast_open=True) as client:
        with Unacknowledged(lab.client):
            client.sendall(header[:10])
            assert eventually(lambda: fast_opens(lab.gate)["accepted"] == 1 and proxy.open() == 1)
        client.sendall(header[10:] + WORDS)
        with service.accept() as server:
            exchange(client, server)
