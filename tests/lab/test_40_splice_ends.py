# SPDX-License-Identifier: GPL-2.0-or-later
"""How spliced connections end: a FIN comes after the last byte and alone, an RST stays an RST, in every phase."""

import fcntl
import socket
import struct
import termios
import time

import pytest

from splicing import MODES, Deaf, Task, cpu_seconds, drain, dump, ending, hear, pour
from topology import FAMILIES, eventually

# Steps: whose (c: the client's, s: the server's), and what: bytes, F: its FIN, R: an RST. After each the other end has heard it.
CLEAN = [
    "cF sF",
    "sF cF",
    "c5 cF s7 sF",
    "s5 sF c7 cF",
    "cF s5 s700000 sF",
    "sF c5 c700000 cF",
    "c700000 s700000 cF s700000 sF",
    "s1 c1 s1 c1 s1 sF c1 c1 cF",
]
BROKEN = [
    "cR",
    "sR",
    "c5 cR",
    "c5 sR",
    "s5 cR",
    "s5 sR",
    "cF cR",
    "cF sR",
    "sF cR",
    "sF sR",
    "cF s5 sR",
    "sF c5 cR",
    "c700000 s700000 cF s5 cR",
]

TCP_CLOSE = 7

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def state(one):
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def outstanding(sender):
    """Bytes that the other end's kernel has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(sender, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def play(ends, script):
    """Plays the steps; returns what each side has sent."""
    sent = {"c": 0, "s": 0}
    for step in script.split():
        side, what = step[0], step[1:]
        mine, other = ends[side], ends["s" if side == "c" else "c"]
        if what == "F":
            mine.shutdown(socket.SHUT_WR)
            assert ending(other) == "FIN", step
        elif what == "R":
            dump(mine)
            # Who has heard a FIN reads no more, and so no error.
            assert eventually(lambda: state(other) == TCP_CLOSE) if f"{side}F" in script else ending(other) == "RST", step
        else:
            sender = Task(pour, mine, int(what), sent[side])
            assert drain(other, sent[side], int(what)) == int(what)
            sender.result()
            sent[side] += int(what)
    return sent


@pytest.mark.smoke
@pytest.mark.parametrize("script", CLEAN + BROKEN)
def test_each_end_hears_what_the_other_did(crossing, mode, family, script):
    client, server = crossing.pair(mode, family)
    with client, server:
        before = crossing.gate.status()["splice"]
        sent = play({"c": client, "s": server}, script)
        assert eventually(lambda: crossing.gate.status()["splice"]["open"] == before["open"] - 1)
    after = crossing.gate.status()["splice"]
    # What came before may have been counted at the connection's end or before it: never less.
    assert after["bytes_in"] >= sent["c"] and after["bytes_out"] >= sent["s"]


@pytest.mark.parametrize("side", "cs")
def test_a_fin_does_not_overtake_what_a_slow_reader_has_not_read(crossing, mode, family, side):
    client, server = crossing.pair(mode, family)
    with client, server:
        mine, other = (client, server) if side == "c" else (server, client)
        sender = Task(pour, mine, 5_000_000)
        time.sleep(0.2)
        receiver = Task(drain, other)
        sender.result()
        mine.shutdown(socket.SHUT_WR)
        assert receiver.result() == 5_000_000
        other.sendall(b"still here")
        assert hear(mine, 10) == b"still here"


@pytest.mark.parametrize("side", "cs")
def test_an_rst_in_the_middle_of_much_data(crossing, mode, family, side):
    """The other end may miss bytes, and must not take what it has got for all."""
    client, server = crossing.pair(mode, family)
    with client, server:
        mine, other = (client, server) if side == "c" else (server, client)
        sender = Task(pour, mine, 50_000_000)
        assert drain(other, most=1_000_000) == 1_000_000
        dump(mine)
        with pytest.raises(OSError):
            sender.result()
        with pytest.raises(ConnectionResetError):
            drain(other, 1_000_000)


@pytest.mark.parametrize("side", "cs")
def test_an_rst_by_who_did_not_read(crossing, mode, family, side):
    """A kernel sends an RST by itself if a socket is closed over bytes that nobody has read."""
    client, server = crossing.pair(mode, family)
    with client, server:
        mine, other = (client, server) if side == "c" else (server, client)
        other.sendall(b"nobody reads this")
        assert mine.recv(1, socket.MSG_PEEK)
        mine.close()
        assert ending(other) == "RST"


@pytest.mark.parametrize("side", "cs")
def test_an_rst_after_a_clean_end_does_not_overtake_its_data(crossing, mode, family, side):
    """An end says all, closes, and answers what still comes with an RST: the other end gets every byte and the FIN first."""
    client, server = crossing.pair(mode, family)
    with client, server:
        mine, other = (client, server) if side == "c" else (server, client)
        pour(mine, 300_000)
        mine.shutdown(socket.SHUT_WR)
        assert eventually(lambda: outstanding(mine) == 0), "not even the gate took it"
        mine.close()
        other.sendall(b"too late")
        time.sleep(0.2)
        assert drain(other) == 300_000
        assert ending(other) in ("FIN", "RST")


@pytest.fixture
def deaf(crossing):
    made = Deaf(crossing.lab.server)
    yield made
    made.end()


def test_a_fin_before_the_backend_is_connected_is_kept(crossing, mode, family, deaf):
    deaf.begin()
    with crossing.client(mode, family) as client:
        client.sendall(b"early")
        client.shutdown(socket.SHUT_WR)
        time.sleep(0.3)
        deaf.end()
        with crossing.services[family].accept() as server:
            assert hear(server, 100) == b"early"
            server.sendall(b"an answer")
            server.shutdown(socket.SHUT_WR)
            assert hear(client, 100) == b"an answer"


def test_an_rst_before_the_backend_is_connected_ends_it(crossing, mode, family, deaf):
    deaf.begin()
    client = crossing.client(mode, family)
    client.sendall(b"early")
    assert eventually(lambda: crossing.open() == 1)
    dump(client)
    assert eventually(lambda: crossing.open() == 0, 2)
    deaf.end()
    assert crossing.services[family].nobody(1.2)


def test_an_rst_after_an_early_fin(crossing, mode, family, deaf):
    """What the client had said to its end arrives, and then that it is gone."""
    deaf.begin()
    client = crossing.client(mode, family)
    client.sendall(b"all I have")
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    dump(client)
    time.sleep(0.2)
    deaf.end()
    with crossing.services[family].accept() as server:
        assert hear(server, 100) == b"all I have"
        assert eventually(lambda: state(server) == TCP_CLOSE)


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("kind, words", [("waits", b""), ("proxied", b""), ("proxied", b"PROXY TCP4 1")])
def test_an_end_before_a_backend_was_chosen(crossing, mode, family, kind, words, how):
    """Nothing is left of it, and no server has heard of it."""
    client = crossing.client(mode, family, kind)
    client.sendall(words)
    assert eventually(lambda: crossing.open() == 1)
    if how == "FIN":
        client.shutdown(socket.SHUT_WR)
    else:
        dump(client)
    assert eventually(lambda: crossing.open() == 0, 2)
    assert crossing.services[family].nobody(0.1)
    client.close()


def test_no_phase_keeps_the_processor_busy(crossing, mode, family, deaf):
    """Connections in every phase that waits for somebody, all at once."""
    held = []
    for script in ("c5", "cF", "sF", "s5 cF s5"):
        ends = crossing.pair(mode, family)
        play(dict(zip("cs", ends)), script)
        held += ends
    for side in "cs":
        # One end has its buffers full.
        client, server = crossing.pair(mode, family)
        sender = client if side == "c" else server
        sender.settimeout(0.2)
        with pytest.raises(TimeoutError):
            pour(sender, 100_000_000, timeout=0.2)
        held += [client, server]
    deaf.begin()
    half = crossing.client(mode, family)
    half.shutdown(socket.SHUT_WR)
    held += [half] + [crossing.client(mode, family, kind) for kind in ("plain", "waits", "proxied")]
    time.sleep(0.3)
    before = cpu_seconds(crossing.gate)
    time.sleep(1)
    assert cpu_seconds(crossing.gate) - before <= 0.1
    for one in held:
        dump(one)
