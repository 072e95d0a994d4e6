# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong behind a cookie is told to the client and told apart: resets, refusals, silence, options that do not hold."""

import socket
import time

import pytest

from floods import cookies, half_open, learn, learned
from services import Echo, connect, silence, talk
from topology import eventually
from wire import raw_client, raw_server

PORT = 7

forwarded = pytest.mark.parametrize("kind", ["forwarded"])


@pytest.fixture
def echo(lab, gate, family):
    service = lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT, "syncookies": "always"}, "timeouts": {"syn_sent": "2s", "syn_received": "2s"}})
    service.accepted = learn(lab, gate, family, port=PORT)
    return service


def reset_by(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()


@pytest.mark.smoke
@pytest.mark.parametrize("stamps", [1, 0], ids=["timestamps", "none"])
def test_a_servers_reset_reaches_the_client(lab, gate, echo, family, stamps):
    lab.client.sysctl("net.ipv4.tcp_timestamps", stamps)
    for _ in range(3):
        client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
        assert talk(client)
        reset_by(echo.take())
        client.settimeout(2)
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    assert cookies(gate)["accepted"] == echo.accepted + 3


def test_a_servers_reset_amid_data_reaches_the_client(lab, gate, echo, family):
    """The server goes while the client is sending: an RST that answers a segment carries its acknowledgement for a number."""
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(client)
    peer = echo.take()
    peer.shutdown(socket.SHUT_RD)
    client.sendall(b"x" * 10_000)
    peer.close()
    client.settimeout(3)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(20):
            client.sendall(b"x" * 1000)
            time.sleep(0.1)


def test_a_servers_reset_without_a_daemon(lab, gate, echo, family):
    """With the daemon gone the kernel is left to itself: the client must not hang for ever on what was reset."""
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(client)
    gate.stop()
    reset_by(echo.take())
    client.settimeout(5)
    with pytest.raises((ConnectionResetError, BrokenPipeError, TimeoutError)):
        for _ in range(5):
            client.sendall(b"anybody there?")
            if client.recv(100) == b"":
                raise ConnectionResetError


def test_the_clients_reset_reaches_the_server(lab, gate, echo, family):
    client = connect(lab.client, lab.server_address[family], PORT)
    assert talk(client)
    peer = echo.take()
    reset_by(client)
    peer.settimeout(2)
    with pytest.raises(ConnectionResetError):
        peer.recv(100)
    peer.close()


@pytest.mark.smoke
def test_a_refused_port(lab, gate, echo, family):
    """The client has its SYN-ACK already: it is reset. The next SYN, or the one after, is refused as any other."""
    echo.close()
    server = lab.server_address[family]
    with pytest.raises((ConnectionResetError, ConnectionRefusedError)):
        client = lab.closing(connect(lab.client, server, PORT, timeout=3))
        client.settimeout(3)
        client.sendall(b"hello")
        client.recv(100)
    assert gate.await_failed({"refused": 1}) == {"refused": 1}
    lab.closing(Echo(lab.server, PORT))
    client = lab.closing(connect(lab.client, server, PORT))
    assert talk(client)


def test_a_port_that_was_never_open(lab, gate, family):
    gate.start({"rule nothing": {"port": PORT, "syncookies": "always"}})
    began = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        connect(lab.client, lab.server_address[family], PORT, timeout=3)
    assert time.monotonic() - began < 0.5
    assert gate.await_failed({"refused": 1}) == {"refused": 1}
    assert cookies(gate)["sent"] == 0


@pytest.mark.smoke
def test_a_silent_server(lab, gate, echo, family):
    silence(lab.server, PORT)
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert eventually(lambda: cookies(gate)["accepted"] == echo.accepted + 1)
    assert gate.await_failed({"no_syn_ack": 1}, timeout=10) == {"no_syn_ack": 1}
    client.settimeout(5)
    with pytest.raises(OSError):
        client.sendall(b"hello")
        client.recv(100)
    lab.server.run("nft", "delete", "table", "inet", "lab")
    again = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(again)


def test_a_server_that_is_slow_to_answer(lab, gate, echo, family):
    """The first SYN to it is lost: asked again."""
    silence(lab.server, PORT)
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT, timeout=10))
    assert eventually(lambda: cookies(gate)["accepted"] == echo.accepted + 1)
    time.sleep(0.3)
    lab.server.run("nft", "delete", "table", "inet", "lab")
    assert talk(client)
    assert gate.failed() == {}


def test_handshakes_in_flight_are_bounded(lab, gate, family):
    bound, count = 16, 40
    lab.closing(Echo(lab.server, PORT))
    gate.start({"limits": {"handshakes_in_flight": bound}, "rule echo": {"port": PORT, "syncookies": "always"},
                "timeouts": {"syn_sent": "3s"}})
    learn(lab, gate, family, port=PORT)
    silence(lab.server, PORT)
    clients = [lab.closing(connect(lab.client, lab.server_address[family], PORT)) for _ in range(count)]
    assert len(clients) == count
    assert eventually(lambda: gate.drops().get("in_flight_full", 0) >= count - bound), gate.drops()
    assert half_open(lab.server) <= bound
    lab.server.run("nft", "delete", "table", "inet", "lab")
    assert eventually(lambda: talk(lab.closing(connect(lab.client, lab.server_address[family], PORT))), timeout=10)


@forwarded
def test_an_unreachable_server(lab, gate, echo, family):
    tool, kind = {4: ("iptables", "icmp-host-unreachable"), 6: ("ip6tables", "icmp6-addr-unreachable")}[family]
    lab.server.run(tool, "-A", "INPUT", "-p", "tcp", "--dport", str(PORT), "-j", "REJECT", "--reject-with", kind)
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert gate.await_failed({"unreachable": 1}) == {"unreachable": 1}
    client.settimeout(5)
    with pytest.raises(OSError):
        client.sendall(b"hello")
        client.recv(100)


@forwarded
def test_a_client_that_resets_meanwhile(lab, gate, family):
    """Between its ACK and the server's SYN-ACK."""
    gate.start({"rule scripted": {"port": PORT, "syncookies": "always"}})
    server = raw_server(lab, family)
    peer = raw_client(lab, family)
    first, service = peer.flow(server.address, PORT), server.flow(None, None, port=PORT)
    first.syn(options=[("MSS", 1460)])
    assert service.await_syn()
    service.send("SA", options=[("MSS", 1460)])
    assert first.expect("SA")
    assert eventually(lambda: learned(gate, server.address, PORT))
    first.send("R", seq=first.seq + 1)
    assert gate.await_failed({"client_reset": 1}) == {"client_reset": 1}

    flow = peer.flow(server.address, PORT)
    flow.syn(options=[("MSS", 1460)])
    answer = flow.expect("SA")
    flow.seq, flow.ack = flow.seq + 1, answer.seq + 1
    flow.send("A")
    service = server.flow(None, None, port=PORT)
    assert service.await_syn()
    flow.send("R")
    assert gate.await_failed({"client_reset": 2}) == {"client_reset": 2}
    service.send("SA", options=[("MSS", 1460)])
    assert service.expect("R") is not None or service.expect("RA") is not None, "the server waits for one who has gone"


@pytest.mark.smoke
@pytest.mark.parametrize("gone", ["tcp_timestamps", "tcp_sack", "tcp_window_scaling"])
def test_a_promise_that_does_not_hold(lab, gate, echo, family, gone):
    """The server does less than it did: both ends are reset, it is learned anew, and said."""
    before = len(gate.log())
    lab.server.sysctl(f"net.ipv4.{gone}", 0)
    if lab.kind == "local":
        # A client in a namespace of its own has its own settings; only the server's changed.
        lab.client.sysctl(f"net.ipv4.{gone}", 1)
    server = lab.server_address[family]
    with pytest.raises(ConnectionResetError):
        talk(lab.closing(connect(lab.client, server, PORT)))
    assert eventually(lambda: not [peer for peer in echo.peers if peer.fileno() >= 0])
    assert server in gate.log()[before:], "nothing was said"
    after = learn(lab, gate, family, port=PORT)
    trait = {"tcp_timestamps": "timestamps", "tcp_sack": "sack", "tcp_window_scaling": "wscale"}[gone]
    assert learned(gate, server, PORT)[trait] is False
    for _ in range(3):
        client = lab.closing(connect(lab.client, server, PORT))
        assert talk(client)
    assert cookies(gate)["accepted"] == after + 3


def test_a_server_that_does_more_than_it_did(lab, gate, family):
    """Nothing is broken by that, and the next ones have it."""
    lab.server.sysctl("net.ipv4.tcp_window_scaling", 0)
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT, "syncookies": "always"}})
    learn(lab, gate, family, port=PORT)
    lab.server.sysctl("net.ipv4.tcp_window_scaling", 1)
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(client)
