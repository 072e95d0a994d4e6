# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes through a spliced connection: all of them, in order, at once, whatever the pieces and whoever is slow."""

import socket
import time

import pytest

from splicing import LONG, MODES, Task, drain, hear, pour
from topology import FAMILIES, eventually

SIZE = 2_000_000_000 if LONG else 64_000_000
SLOW_SIZE = 50_000_000
TINY = 1000
TURNS = 200
# Far under what an acknowledgement that is waited for, or bytes that are held back for more, would make of the turns.
TURNS_S = 2
# Of the kernel's memory nothing is the daemon's; what it buffers itself is bounded.
GROWTH_KIB = 1024

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def both_ways(client, server, size, start=0):
    """Bytes in both directions at once, then both FINs."""
    def send(one, begin):
        pour(one, size, begin, timeout=300)
        one.shutdown(socket.SHUT_WR)

    tasks = [Task(send, client, start), Task(send, server, start + 1),
             Task(drain, server, start, timeout=300), Task(drain, client, start + 1, timeout=300)]
    results = [task.result(600) for task in tasks]
    assert results[2:] == [size, size]


@pytest.mark.long
@pytest.mark.smoke
def test_much_each_way_at_once(crossing, mode, family):
    before = crossing.gate.status()["splice"]
    client, server = crossing.pair(mode, family)
    with client, server:
        both_ways(client, server, SIZE)
    assert eventually(lambda: crossing.gate.status()["splice"]["open"] == before["open"])
    after = crossing.gate.status()["splice"]
    assert after["bytes_in"] - before["bytes_in"] == SIZE
    assert after["bytes_out"] - before["bytes_out"] == SIZE
    assert after["total"] - before["total"] == 1


def test_twenty_connections_at_once(crossing, mode, family):
    """Each with a stream of its own, so that none gets another's bytes."""
    pairs = [crossing.pair(mode, family) for _ in range(20)]
    tasks = [Task(both_ways, *pair, 1_000_000, 10_000 * number) for number, pair in enumerate(pairs)]
    for task in tasks:
        task.result()
    for pair in pairs:
        for one in pair:
            one.close()


@pytest.mark.parametrize("side", "cs")
def test_a_slow_reader_with_much_behind_it(crossing, mode, family, side):
    """The sender is held back, the daemon does not swell, others are served, and in the end all is there."""
    client, server = crossing.pair(mode, family)
    with client, server:
        mine, other = (client, server) if side == "c" else (server, client)
        before = crossing.gate.memory_kib()
        sender = Task(pour, mine, SLOW_SIZE)
        time.sleep(0.3)
        assert sender.is_alive(), "all was taken from the sender though nobody reads"
        began = time.monotonic()
        quick_client, quick_server = crossing.pair(mode, family)
        with quick_client, quick_server:
            both_ways(quick_client, quick_server, 1_000_000)
        assert time.monotonic() - began < 3
        assert crossing.gate.memory_kib() - before <= GROWTH_KIB

        def dawdle(got):
            if got < 500_000:
                time.sleep(0.01)

        receiver = Task(drain, other, most=SLOW_SIZE, each=dawdle)
        assert receiver.result() == SLOW_SIZE
        sender.result()
        # The other direction was never in the way.
        other.sendall(b"thank you")
        assert hear(mine, 9) == b"thank you"


def test_a_thousand_tiny_writes(crossing, mode, family):
    client, server = crossing.pair(mode, family)
    with client, server:
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sizes = [1 + number % 7 for number in range(TINY)]

        def write(one):
            place = 0
            for size in sizes:
                pour(one, size, place)
                place += size

        tasks = [Task(write, client), Task(write, server),
                 Task(drain, server, most=sum(sizes)), Task(drain, client, most=sum(sizes))]
        assert [task.result() for task in tasks][2:] == [sum(sizes)] * 2


def test_no_byte_waits_for_more(crossing, mode, family):
    """Question and answer, small and large by turns: the last byte of each arrives at once."""
    client, server = crossing.pair(mode, family)
    with client, server:
        began = time.monotonic()
        for number in range(TURNS):
            size = 200_000 if number % 20 == 10 else 1 + number
            for one, other in ((client, server), (server, client)):
                sender = Task(pour, one, size) if size > 10_000 else pour(one, size)
                assert drain(other, most=size, timeout=5) == size
                if sender:
                    sender.result()
        assert time.monotonic() - began < TURNS_S


def test_much_then_little_then_much(crossing, mode, family):
    """From bulk to trickle and back, in one connection: the way of moving bytes changes under it."""
    client, server = crossing.pair(mode, family)
    with client, server:
        for _ in range(3):
            for size in (3_000_000, 1, 1, 1, 100, 1):
                for one, other in ((client, server), (server, client)):
                    sender = Task(pour, one, size)
                    assert drain(other, most=size) == size
                    sender.result()
        assert eventually(lambda: crossing.open() == 1)
