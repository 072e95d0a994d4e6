# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 2: what is no handshake never reaches the server, and is counted under its reason."""

import random

import pytest

from services import Echo
from topology import eventually
from wire import raw_client, raw_server, witness

PORT = 7

SCANS = {
    "fin": ("-sF", "bad_flags"),
    "null": ("-sN", "bad_flags"),
    "xmas": ("-sX", "bad_flags"),
    "ack": ("-sA", "no_flow"),
    "window": ("-sW", "no_flow"),
    "maimon": ("-sM", "no_flow"),
}


@pytest.fixture
def guarded(lab, gate):
    """A real service behind the gate, and who sees what gets to it."""
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT}})
    return witness(lab)


@pytest.mark.smoke
@pytest.mark.parametrize("scan", SCANS)
def test_nmap_scans_see_nothing(lab, gate, guarded, family, scan):
    option, reason = SCANS[scan]
    said = lab.client.run("nmap", option, "-Pn", "-n", "--max-retries", "1", "-p", str(PORT),
                          *(["-6"] if family == 6 else []), lab.server_address[family]).stdout
    assert "unfiltered" not in said and "closed" not in said, said
    drops = gate.drops()
    assert list(drops) == [reason] and drops[reason] >= 1, (drops, said)
    assert guarded.flags() == []


@pytest.mark.smoke
def test_random_mid_stream_segments(lab, gate, guarded, family):
    peer = raw_client(lab, family)
    kinds = ["A", "PA", "FA", "R", "RA"]
    for number in range(100):
        flow = peer.flow(lab.server_address[family], PORT)
        flow.send(kinds[number % len(kinds)], random.randbytes(number % 3 * 50), ack=random.getrandbits(32))
    assert gate.await_drops({"no_flow": 100}) == {"no_flow": 100}
    assert guarded.flags() == []


def test_lone_syn_acks(lab, gate, guarded, family):
    peer = raw_client(lab, family)
    for _ in range(10):
        peer.flow(lab.server_address[family], PORT).send("SA", ack=random.getrandbits(32))
    assert gate.await_drops({"no_flow": 10}) == {"no_flow": 10}
    assert guarded.flags() == []


def test_two_syn_acks_in_a_row_open_nothing(lab, gate, guarded, family):
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.send("SA", ack=1000)
    flow.send("SA", ack=1000)
    flow.send("PA", b"open?", seq=flow.seq + 1, ack=1000)
    assert gate.await_drops({"no_flow": 3}) == {"no_flow": 3}
    assert gate.status()["handshakes"]["started"] == 0
    assert guarded.flags() == []


def test_a_client_cannot_complete_with_syn_acks(lab, gate, guarded, family):
    """SYN-ACKs instead of the third ACK, two in a row: neither gets through and nothing is admitted."""
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn()
    answer = flow.expect("SA")
    for _ in range(2):
        flow.send("SA", ack=answer.seq + 1)
    assert gate.await_drops({"not_established": 2}) == {"not_established": 2}
    assert gate.status()["handshakes"]["completed"] == 0
    assert guarded.flags() == ["S"]


@pytest.mark.parametrize("kind", ["forwarded"])
def test_a_second_syn_ack_admits_nothing(lab, gate, family):
    """The server's SYN-ACK twice: both get to the client, as retransmits must, and the flow stays half-open."""
    gate.start({"rule scripted": {"port": PORT}})
    server = raw_server(lab, family)
    client = raw_client(lab, family).flow(server.address, PORT)
    service = server.flow(None, None, port=PORT)
    client.syn()
    assert service.await_syn()
    service.send("SA")
    service.send("SA")
    assert client.expect("SA") and client.expect("SA")
    status = gate.status()
    assert status["handshakes"]["completed"] == 0
    assert status["flows"]["syn_received"] == 1
    assert gate.drops() == {}


@pytest.mark.parametrize("kind", ["forwarded"])
def test_data_before_the_third_ack(lab, gate, family):
    """The server has not answered the SYN yet: data goes nowhere, whatever it claims to acknowledge."""
    gate.start({"rule scripted": {"port": PORT}})
    server = raw_server(lab, family)
    seen = witness(lab)
    client = raw_client(lab, family).flow(server.address, PORT)
    client.syn()
    assert server.flow(None, None, port=PORT).await_syn()
    for _ in range(3):
        client.send("PA", b"too early", seq=client.seq + 1, ack=random.getrandbits(32))
    assert gate.await_drops({"not_established": 3}) == {"not_established": 3}
    assert seen.flags() == ["S"]


@pytest.mark.smoke
@pytest.mark.parametrize("payload", [b"", b"data with the third ACK"], ids=["bare", "data"])
def test_a_wrong_third_ack(lab, gate, guarded, family, payload):
    """A guessed acknowledgement number opens nothing; the right one still does."""
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn()
    answer = flow.expect("SA")
    for wrong in (0, 2, 1 << 16, 1 << 31):
        flow.send("PA" if payload else "A", payload, seq=flow.seq + 1, ack=answer.seq + wrong)
    assert gate.await_drops({"bad_ack": 4}) == {"bad_ack": 4}
    assert guarded.flags() == ["S"]
    flow.seq, flow.ack = flow.seq + 1, answer.seq + 1
    flow.send("PA", b"hello")
    assert bytes(flow.expect("PA").payload) == b"hello"
    assert gate.status()["handshakes"]["completed"] == 1


def test_a_third_ack_with_a_wrong_sequence_number(lab, gate, guarded, family):
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn()
    answer = flow.expect("SA")
    for wrong in (-1, 1 << 20, 1 << 31):
        flow.send("A", seq=flow.seq + wrong, ack=answer.seq + 1)
    assert gate.await_drops({"bad_seq": 3}) == {"bad_seq": 3}
    assert guarded.flags() == ["S"]
    assert gate.status()["handshakes"]["completed"] == 0


def test_flags_that_no_step_has(lab, gate, guarded, family):
    peer = raw_client(lab, family)
    combinations = ["SF", "SR", "FR", "SFPU", "SFRPAU", "SRA", "P", "U"]
    for flags in combinations:
        peer.flow(lab.server_address[family], PORT).send(flags)
    wanted = {"bad_flags": len(combinations)}
    assert gate.await_drops(wanted) == wanted
    assert guarded.flags() == []


def test_segments_outside_the_window_of_a_live_flow(lab, gate, family):
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT, "inspect": "full"}})
    seen = witness(lab)
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    assert flow.connect()
    flow.send("PA", b"hello")
    echoed = flow.expect("PA")
    flow.seq, flow.ack = flow.seq + 5, echoed.seq + 5
    flow.send("A")
    assert eventually(lambda: seen.flags()[-1] == "A")
    before = len(seen.segments())
    for off in (1 << 24, 1 << 30, -(1 << 24)):
        flow.send("PA", b"injected", seq=flow.seq + off)
        flow.send("R", seq=flow.seq + off)
    drops = gate.await_drops({"out_of_window": 6})
    assert sum(drops.values()) == 6, drops
    assert len(seen.segments()) == before
    flow.send("PA", b"again")
    assert bytes(flow.expect("PA").payload) == b"again"
