# SPDX-License-Identifier: GPL-2.0-or-later
"""Handshakes with cookies on a path that loses and repeats; cookies that are guessed, old, or somebody else's."""

import random
import socket
import time

import pytest

import floods
from floods import cookies, dial, learn, learned
from services import Echo, connect, keep_pace, lose, talk
from topology import CLIENT, eventually
from wire import raw_client, witness

CONNECTIONS = 1000 if floods.LONG else 200
LOSS = 0.1
PORT = 7
OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (12345, 0)), ("NOP", None), ("WScale", 7)]
BARE = [("MSS", 1460)]


@pytest.mark.long
@pytest.mark.parametrize("where", ["before", "behind"])
def test_all_complete_with_loss(lab, gate, web, family, where, figures):
    for namespace in lab.namespaces:
        keep_pace(namespace)
    gate.start({"rule web": {"port": 80, "syncookies": "always"}})
    before = learn(lab, gate, family)
    if where == "before":
        lose(lab.gate, LOSS, "client0")
        lose(lab.client, LOSS)
    elif lab.kind == "forwarded":
        lose(lab.gate, LOSS, "server0")
        lose(lab.server, LOSS)
    else:
        lose(lab.gate, LOSS, "lo")
        lose(lab.client, LOSS)
    honest = dial(lab, family, CONNECTIONS, in_flight=CONNECTIONS, timeout=120)
    figures(f"{honest['connections']} of {CONNECTIONS} {honest['errors']}, total {honest['total_ms']}")
    assert (honest["connections"], honest["errors"]) == (CONNECTIONS, {}), gate.status()
    assert cookies(gate)["accepted"] - before >= CONNECTIONS
    assert gate.failed() == {}


@pytest.fixture
def echo(lab, gate, family):
    """An echo service behind cookies, what it answers being known."""
    service = lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT, "syncookies": "always"}})
    service.accepted = learn(lab, gate, family, port=PORT)
    return service


def forget(lab, family, flags, count=1):
    """The client's next `count` segments with exactly these flags are lost."""
    lab.client.run("ip6tables" if family == 6 else "iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", str(PORT),
                   "--tcp-flags", "SYN,RST,FIN,PSH,ACK", flags, "-m", "quota", "--quota", str(90 * count), "-j", "DROP")


@pytest.mark.smoke
@pytest.mark.parametrize("how", ["data", "keepalive"])
def test_the_final_ack_is_lost(lab, gate, echo, family, how):
    """The client takes the connection for open; whatever it sends next opens it."""
    forget(lab, family, "ACK")
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT, timeout=15))
    assert not eventually(lambda: cookies(gate)["accepted"] > echo.accepted, timeout=0.3)
    if how == "keepalive":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        assert eventually(lambda: cookies(gate)["accepted"] == echo.accepted + 1, timeout=10)
        assert eventually(lambda: echo.peers)
        echo.peers[-1].sendall(b"the server speaks")
        assert client.recv(100) == b"the server speaks"
    assert talk(client)
    assert cookies(gate)["accepted"] == echo.accepted + 1


def opened(flow, options=BARE):
    """SYN and SYN-ACK; the flow's numbers are then those of a client that has got it."""
    flow.syn(options=options)
    answer = flow.expect("SA")
    assert answer is not None
    assert answer.window == 0, "the SYN-ACK is not a cookie's"
    flow.seq, flow.ack = flow.seq + 1, answer.seq + 1
    return answer


def echoes(flow, words=b"hello"):
    """Sends until it is answered, as a client whose window was shut does."""
    for _ in range(5):
        flow.send("PA", words)
        answer = flow.expect("PA", timeout=0.7)
        if answer is not None and bytes(answer.payload) == words:
            return True
    return False


@pytest.mark.smoke
def test_a_scripted_client(lab, gate, echo, family):
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    opened(flow)
    flow.send("A")
    update = flow.expect("A")
    assert update is not None and update.window > 0 and update.seq == flow.ack
    assert echoes(flow)
    assert cookies(gate)["accepted"] == echo.accepted + 1
    assert gate.drops() == {}


@pytest.mark.smoke
def test_data_with_the_third_ack(lab, gate, echo, family):
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    opened(flow)
    assert echoes(flow)
    assert cookies(gate)["accepted"] == echo.accepted + 1


def test_everything_comes_twice(lab, gate, echo, family):
    seen = witness(lab)
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn(options=BARE)
    answer, again = opened(flow), flow.expect("SA")
    assert again is not None and again.seq == answer.seq, "one SYN, two cookies"
    for _ in range(3):
        flow.send("A")
    assert flow.expect("A") is not None
    for _ in range(2):
        flow.send("PA", b"hello")
    assert bytes(flow.expect("PA").payload) == b"hello"
    flow.seq, flow.ack = flow.seq + 5, flow.ack + 5
    assert echoes(flow, b"again")
    assert cookies(gate)["accepted"] == echo.accepted + 1
    assert seen.flags(PORT).count("S") == 1, "the server was asked twice"


@pytest.mark.smoke
@pytest.mark.parametrize("options", [BARE, OPTIONS], ids=["bare", "timestamps"])
def test_wrong_cookies(lab, gate, echo, family, options):
    """One bit, one more, another client's ISN, another port: refused, and the server hears nothing."""
    seen = witness(lab)
    peer = raw_client(lab, family)
    flow = peer.flow(lab.server_address[family], PORT)
    answer = opened(flow, options)
    value = dict(answer.options).get("Timestamp", (0, 0))[0]
    stamps = [("NOP", None), ("NOP", None), ("Timestamp", (12346, value))] if options is OPTIONS else []
    wrong = [{"ack": flow.ack + 1}, {"ack": flow.ack + 2}, {"ack": flow.ack + 3}, {"ack": flow.ack - 1},
             {"seq": flow.seq + 1}, {"seq": flow.seq + 7}, *[{"ack": flow.ack ^ 1 << bit} for bit in range(0, 32, 4)]]
    for numbers in wrong:
        flow.send("A", options=stamps, **numbers)
    other = peer.flow(lab.server_address[family], PORT, port=flow.port + 1)
    other.send("A", seq=flow.seq, ack=flow.ack, options=stamps)
    if stamps:
        flow.send("A", options=[("NOP", None), ("NOP", None), ("Timestamp", (12346, value ^ 1))])
        flow.send("A")
    count = len(wrong) + (3 if stamps else 1)
    assert eventually(lambda: sum(gate.drops().values()) == count), (gate.drops(), count)
    assert set(gate.drops()) <= {"bad_cookie", "source_rate"}
    assert cookies(gate)["accepted"] == echo.accepted
    assert cookies(gate)["refused"] >= 1
    assert seen.flags(PORT) == []

    def accepted():
        flow.send("A", options=stamps)
        return eventually(lambda: cookies(gate)["accepted"] == echo.accepted + 1, timeout=0.5)

    assert eventually(accepted), "the right one does not count any more"


def test_guessing_is_slow(lab, gate, echo, family):
    """Of one source so many wrong ones a second are looked at; the others are dropped, and only that source's."""
    floods.route(lab)
    seen = witness(lab)
    flow = raw_client(lab, family, floods.SPOOFED[family]).flow(lab.server_address[family], PORT)
    opened(flow)
    guesses = floods.Flood(lab, family, port=PORT, kind="ack", rate=20_000, count=1)
    assert eventually(lambda: gate.drops().get("source_rate", 0) >= 2000), gate.drops()
    assert talk(lab.closing(connect(lab.client, lab.server_address[family], PORT))), "another source pays for the first"
    sent = guesses.stop()["sent"]
    assert gate.drops()["bad_cookie"] < sent / 4, gate.drops()
    time.sleep(0.5)
    flow.send("A")
    assert eventually(lambda: cookies(gate)["accepted"] == echo.accepted + 2)
    assert seen.flags(PORT).count("S") == 2


@pytest.mark.parametrize("kind", ["forwarded"])
def test_a_cookie_grows_old(lab, gate):
    """Good across one rotation, and not for ever."""
    lab.closing(Echo(lab.server, PORT))
    gate.start({"cookies": {"rotation": "10s"}, "rule echo": {"port": PORT, "syncookies": "always"}})
    before = learn(lab, gate, 4, port=PORT)
    peer = raw_client(lab, 4)
    young, old = (peer.flow(lab.server_address[4], PORT) for _ in range(2))
    opened(old)
    time.sleep(12)
    opened(young)
    time.sleep(9)
    young.send("A")
    assert eventually(lambda: cookies(gate)["accepted"] == before + 1)
    old.send("A")
    assert gate.await_drops({"bad_cookie": 1}) == {"bad_cookie": 1}
    assert cookies(gate)["accepted"] == before + 1


def reuse(lab, family, ends):
    """Opens a connection from one port, uses it, ends it."""
    with lab.client.entered():
        client = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.settimeout(10)
    client.bind((CLIENT[family], 33333))
    client.connect((lab.server_address[family], PORT))
    assert talk(client)
    ends(client)
    client.close()


@pytest.mark.smoke
def test_a_tuple_is_used_again_after_a_reset(lab, gate, echo, family):
    def reset(client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    for _ in range(20):
        reuse(lab, family, reset)
    assert cookies(gate)["accepted"] == echo.accepted + 20
    assert gate.failed() == {}


def test_a_tuple_is_used_again_after_the_server_closed(lab, gate, echo, family):
    """The server is in TIME-WAIT when the next SYN comes; conntrack's entry is there still."""
    def let_it_close(client):
        echo.take().close()
        assert client.recv(1) == b""

    for _ in range(10):
        reuse(lab, family, let_it_close)
    assert cookies(gate)["accepted"] == echo.accepted + 10
    assert gate.failed() == {}


def test_what_was_learned_is_shown(lab, gate, echo, family):
    known = learned(gate, lab.server_address[family], PORT)
    page = gate.ctl("rules").stdout
    assert str(known["mss"]) in page and lab.server_address[family] in page, page
    assert {"server", "mss", "wscale", "sack", "timestamps", "ecn", "public", "route"} <= known.keys()


def test_options_that_only_the_first_syn_asked_for(lab, gate, family):
    """A client that offers nothing teaches nothing of the rest: the next, which offers all, loses nothing by it."""
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT, "syncookies": "always"}})
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn(options=BARE)
    assert flow.expect("SA")
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(client)
    said = lab.client.run("ss", "-Htino", "state", "established", f"( dport = :{PORT} )").stdout
    assert {"ts", "sack"} <= set(said.split()) and "wscale:" in said, said
