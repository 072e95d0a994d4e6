# SPDX-License-Identifier: GPL-2.0-or-later
"""
Limits and blocks: the offender is stopped, its neighbour is not, nobody is blocked for what anybody can forge, and it ends on
time.
"""

import socket
import time

import pytest

from floods import cookies, learn
from services import Echo, connect, talk
from topology import CLIENT, RAW_CLIENT, eventually
from wire import raw_client

PORT = 7
# Both clients of the lab are in one /64.
LIMITS = {"source_prefix6": 128}
ANSWERS = (ConnectionRefusedError, ConnectionResetError, TimeoutError)


@pytest.fixture
def echo(lab):
    return lab.closing(Echo(lab.server, PORT))


def opens(lab, family, timeout=1.5):
    """Whether the lab's client gets a connection that works."""
    try:
        client = connect(lab.client, lab.server_address[family], PORT, timeout=timeout)
    except ANSWERS:
        return False
    try:
        return talk(client)
    except ANSWERS:
        return False
    finally:
        client.close()


def neighbour_opens(lab, family):
    return raw_client(lab, family).flow(lab.server_address[family], PORT).connect()


def blocked(gate):
    """{source: seconds left}"""
    return {one["source"].split("/")[0]: one["left_s"] for one in gate.ask("sources")["blocked"]}


@pytest.mark.smoke
@pytest.mark.parametrize("syncookies", ["never", "always"])
@pytest.mark.parametrize("over_limit", ["drop", "reject", "block"])
def test_connections_per_source(lab, gate, echo, family, syncookies, over_limit):
    gate.start({"limits": LIMITS, "rule echo": {
        "port": PORT, "syncookies": syncookies, "connections_per_source": 3, "over_limit": over_limit, "block_time": "4s"}})
    held = [lab.closing(connect(lab.client, lab.server_address[family], PORT)) for _ in range(3)]
    assert all(talk(client) for client in held)
    assert not opens(lab, family)
    assert gate.drops().get("source_connections", 0) >= 1
    assert neighbour_opens(lab, family), "another source pays for the first"
    if over_limit != "block":
        assert blocked(gate) == {}
        assert all(talk(client) for client in held)
        return
    assert list(blocked(gate)) == [CLIENT[family]]
    assert gate.status()["sources"]["blocked"] == 1


def offend(lab, gate, family):
    """Four connections where three are allowed; returns when the client is blocked, and when that was."""
    held = [connect(lab.client, lab.server_address[family], PORT) for _ in range(3)]
    assert all(talk(client) for client in held)
    opens(lab, family, timeout=0.5)
    assert eventually(lambda: CLIENT[family] in blocked(gate))
    for client in held:
        client.close()
    return time.monotonic()


BLOCKING = {"port": PORT, "connections_per_source": 3, "over_limit": "block", "block_time": "4s"}


def test_a_block_costs_nothing_and_ends_on_time(lab, gate, echo, family):
    gate.start({"limits": LIMITS, "rule echo": BLOCKING, "timeouts": {"time_wait": "1s", "closed": "1s"}})
    began = offend(lab, gate, family)
    # What the server says on the connections that the block has cut is another matter.
    while echo.peers:
        peer = echo.take()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
    queued = gate.queue_packets()
    assert not opens(lab, family, timeout=1)
    assert gate.queue_packets() == queued, "a blocked source costs packets in the queue"
    assert gate.drops()["blocked"] >= 1
    assert neighbour_opens(lab, family)
    assert "blocked" in gate.ctl("sources").stdout.lower()
    assert eventually(lambda: opens(lab, family, timeout=0.5), timeout=8)
    assert 3 < time.monotonic() - began < 7
    assert eventually(lambda: blocked(gate) == {})


def test_a_block_survives_a_reload(lab, gate, echo, family):
    rule = {**BLOCKING, "block_time": "1m"}
    gate.start({"limits": LIMITS, "rule echo": rule})
    offend(lab, gate, family)
    gate.reload({"limits": LIMITS, "rule other": {"port": 99}, "rule echo": rule})
    assert CLIENT[family] in blocked(gate)
    assert not opens(lab, family, timeout=0.7)
    assert gate.ctl("unblock", CLIENT[family]).returncode == 0
    assert blocked(gate) == {}
    assert eventually(lambda: opens(lab, family), timeout=5)


@pytest.mark.smoke
@pytest.mark.parametrize("syncookies", ["never", "always"])
def test_forged_syns_block_nobody(lab, gate, echo, family, syncookies):
    """Anybody can send a SYN in another's name."""
    gate.start({"limits": LIMITS, "rule echo": {**BLOCKING, "syncookies": syncookies, "syn_rate": "1/s burst 5"}})
    peer = raw_client(lab, family)
    for _ in range(30):
        peer.flow(lab.server_address[family], PORT).syn()
    assert eventually(lambda: gate.drops().get("source_rate", 0) >= 20), gate.drops()
    assert blocked(gate) == {}
    assert opens(lab, family)


@pytest.mark.parametrize("syncookies", ["never", "always"])
def test_syn_rate_stops_the_offender_alone(lab, gate, echo, family, syncookies):
    gate.start({"limits": LIMITS, "rule echo": {"port": PORT, "syncookies": syncookies, "syn_rate": "1/s burst 5"}})
    results = [opens(lab, family, timeout=0.3) for _ in range(8)]
    assert results[:5] == [True] * 5 and not all(results), results
    assert gate.drops()["source_rate"] >= 1
    assert neighbour_opens(lab, family), "another source pays for the first"
    assert eventually(lambda: opens(lab, family), timeout=5), "its rate has come back to it"


def test_never_block(lab, gate, echo, family):
    gate.start({"limits": {**LIMITS, "never_block": CLIENT[family]}, "rule echo": BLOCKING})
    held = [lab.closing(connect(lab.client, lab.server_address[family], PORT)) for _ in range(3)]
    assert all(talk(client) for client in held)
    assert not opens(lab, family)
    assert gate.drops()["source_connections"] >= 1
    assert blocked(gate) == {}
    assert gate.ctl("block", CLIENT[family]).returncode == 1
    assert blocked(gate) == {}
    held.pop().close()
    assert eventually(lambda: opens(lab, family), timeout=5)


@pytest.mark.smoke
def test_block_and_unblock_by_hand(lab, gate, echo, family):
    gate.start({"limits": LIMITS, "rule echo": {"port": PORT}})
    standing = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(standing)
    assert gate.ctl("block", CLIENT[family], "1h").returncode == 0
    assert 3500 < blocked(gate)[CLIENT[family]] <= 3600
    standing.settimeout(1)
    with pytest.raises(OSError):
        talk(standing)
    assert not opens(lab, family, timeout=0.7)
    assert neighbour_opens(lab, family)
    assert CLIENT[family] in gate.ctl("sources").stdout
    assert gate.ctl("unblock", CLIENT[family]).returncode == 0
    assert gate.ctl("unblock", CLIENT[family]).returncode == 1
    assert eventually(lambda: opens(lab, family), timeout=5)
    assert gate.ctl("block", RAW_CLIENT[family], "1s").returncode == 0
    assert eventually(lambda: blocked(gate) == {}, timeout=4)
    assert gate.ctl("block", "nonsense").returncode in (1, 2)


def test_cookies_count_for_their_source(lab, gate, echo, family):
    """A connection that began with a cookie is one of its source's, until it ends."""
    gate.start({"limits": LIMITS, "rule echo": {"port": PORT, "syncookies": "always", "connections_per_source": 3},
                "timeouts": {"time_wait": "1s", "closed": "1s"}})
    before = learn(lab, gate, family, port=PORT)
    assert eventually(lambda: gate.status()["flows"]["offloaded"] == 0, timeout=10)
    held = [lab.closing(connect(lab.client, lab.server_address[family], PORT)) for _ in range(3)]
    assert all(talk(client) for client in held)
    assert cookies(gate)["accepted"] == before + 3
    # What the kernel carries is counted by a dump now and then.
    assert eventually(lambda: gate.status()["flows"]["offloaded"] == 3)
    assert not opens(lab, family, timeout=0.7)
    held.pop().close()
    assert eventually(lambda: opens(lab, family), timeout=10)
