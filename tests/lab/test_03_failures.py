# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 3: a handshake that fails is told apart by what failed, in time."""

import socket
import time

import pytest

from services import Echo, connect, silence
from topology import RAW_SERVER, eventually
from wire import raw_client, raw_server, witness

PORT = 7


def half_open(gate):
    flows = gate.status()["flows"]
    return flows["syn_sent"] + flows["syn_received"]


def test_a_closed_port_refuses_at_once(lab, gate, family):
    gate.start({"rule nothing": {"port": PORT}})
    began = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        connect(lab.client, lab.server_address[family], PORT)
    assert time.monotonic() - began < 0.5
    assert gate.await_failed({"refused": 1}) == {"refused": 1}
    assert half_open(gate) == 0
    assert gate.drops() == {}


def test_a_silent_server(lab, gate, family):
    """Nobody answers: the flow is forgotten after syn_sent, here and in conntrack."""
    address = RAW_SERVER[family] if lab.kind == "forwarded" else lab.server_address[family]
    if lab.kind == "local":
        lab.closing(Echo(lab.server, PORT))
        silence(lab.server, PORT)
    gate.start({"rule silent": {"port": PORT}, "timeouts": {"syn_sent": "2s"}})
    raw_client(lab, family).flow(address, PORT).syn()
    assert eventually(lambda: gate.status()["flows"]["syn_sent"] == 1, timeout=1)
    began = time.monotonic()
    assert gate.await_failed({"no_syn_ack": 1}, timeout=6) == {"no_syn_ack": 1}
    assert 1.5 < time.monotonic() - began + 0.5 < 4.5
    assert half_open(gate) == 0
    assert eventually(lambda: "SYN_SENT" not in lab.gate.run("conntrack", "-L", "-p", "tcp",
                                                             "-f", f"ipv{family}").stdout)


def test_a_client_that_never_acks(lab, gate, family):
    """The entry goes when syn_received says, and the server, which had answered, is told by an RST."""
    lab.closing(Echo(lab.server, PORT))
    # Not when the server sends its SYN-ACK again, 1 s and 3 s after the first.
    gate.start({"rule echo": {"port": PORT}, "timeouts": {"syn_received": "2s"}})
    seen = witness(lab)
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn()
    assert flow.expect("SA")
    began = time.monotonic()
    assert gate.status()["flows"]["syn_received"] == 1
    assert gate.await_failed({"no_ack": 1}, timeout=8) == {"no_ack": 1}
    assert 1.2 < time.monotonic() - began < 4.0
    assert half_open(gate) == 0
    assert eventually(lambda: any(flags.startswith("R") for flags in seen.flags(PORT))), seen.flags(PORT)
    assert eventually(lambda: "SYN-RECV" not in lab.server.run("ss", "-Htan").stdout)


def test_a_client_that_resets(lab, gate, family):
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT}})
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn()
    assert flow.expect("SA")
    flow.send("R", seq=flow.seq + 1)
    assert gate.await_failed({"client_reset": 1}) == {"client_reset": 1}
    assert half_open(gate) == 0
    assert gate.drops() == {}


def test_an_rst_with_a_guessed_number_ends_no_handshake(lab, gate, family):
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT}})
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn()
    answer = flow.expect("SA")
    flow.send("R", seq=flow.seq + 1000)
    assert eventually(lambda: sum(gate.drops().values()) == 1)
    flow.seq, flow.ack = flow.seq + 1, answer.seq + 1
    flow.send("PA", b"hello")
    assert bytes(flow.expect("PA").payload) == b"hello"
    assert gate.failed() == {}


@pytest.mark.parametrize("kind", ["forwarded"])
def test_an_unreachable_server(lab, gate, family):
    """A router behind the gate says so by ICMP: the client hears it, and the failure has its name."""
    gate.start({"rule far": {"port": PORT}})
    lab.server.sysctl("net.ipv4.ip_forward", 1)
    lab.server.sysctl("net.ipv6.conf.all.forwarding", 1)
    far = {4: "10.9.9.9", 6: "fd00:9::9"}[family]
    lab.gate.ip(f"-{family}", "route", "add", far, "via", lab.server_address[family])
    lab.server.ip(f"-{family}", "route", "add", "unreachable", far)
    lab.server.ip(f"-{family}", "route", "del", "default")
    lab.server.ip(f"-{family}", "route", "add", "default", "via", {4: "10.0.2.1", 6: "fd00:2::1"}[family])
    with pytest.raises(OSError) as problem:
        connect(lab.client, far, PORT, timeout=5)
    assert not isinstance(problem.value, socket.timeout)
    assert gate.await_failed({"unreachable": 1}) == {"unreachable": 1}


@pytest.mark.parametrize("kind", ["forwarded"])
def test_a_refusal_from_a_scripted_server_must_fit(lab, gate, family):
    """RFC 9293, 3.10.7.3: an RST that does not acknowledge the SYN is nobody's answer."""
    gate.start({"rule scripted": {"port": PORT}})
    server = raw_server(lab, family)
    client = raw_client(lab, family).flow(server.address, PORT)
    service = server.flow(None, None, port=PORT)
    client.syn()
    assert service.await_syn()
    service.send("RA", seq=0, ack=service.ack + 77)
    assert eventually(lambda: sum(gate.drops().values()) == 1)
    assert client.expect("RA", timeout=0.3) is None
    assert gate.failed() == {}
    service.send("RA", seq=0)
    assert client.expect("RA")
    assert gate.await_failed({"refused": 1}) == {"refused": 1}
