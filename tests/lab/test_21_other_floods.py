# SPDX-License-Identifier: GPL-2.0-or-later
"""Floods of what opens nothing: none of it reaches the server but what guesses a cookie, and honest clients connect meanwhile."""

import pytest

import floods
from floods import Arrivals, Flood, cookies, dial, learn
from topology import eventually

COUNT = 2000 if floods.LONG else 200
SECONDS = 30 if floods.LONG else 2
MEMORY_KIB = 512

# An ACK may carry a cookie, with a FIN as well; what the kernel's own rules can tell costs no packet in the queue.
MAY_GUESS = ("ack", "fin")
IN_THE_KERNEL = ("rst", "syn-ack")
WARMING = 200


@pytest.mark.long
@pytest.mark.parametrize("what", ["ack", "rst", "syn-ack", "fin"])
def test_nothing_arrives_and_honest_clients_connect(lab, gate, web, family, what, figures):
    gate.start({"rule web": {"port": "80, 81", "syncookies": "always"}})
    accepted = learn(lab, gate, family)
    arrivals = Arrivals(lab)
    # Twice the same: what is there from the start is touched the first time.
    warming = Flood(lab, family, kind=what)
    dial(lab, family, WARMING, rate=100)
    warmed = warming.stop()["sent"]
    before = gate.queue_packets()
    memory = gate.memory_kib()
    flood = Flood(lab, family, kind=what)
    honest = dial(lab, family, COUNT, rate=COUNT / SECONDS)
    sent = flood.stop()
    queued = gate.queue_packets() - before
    figures(f"{sent['per_s']:.0f} {what}/s, {honest['connections']} of {COUNT} honest clients {honest['errors']}, "
            f"{queued} packets queued; {floods.queue_figures(gate)}")
    assert (honest["connections"], honest["errors"]) == (COUNT, {}), floods.queue_figures(gate)
    guessed = cookies(gate)["accepted"] - accepted - WARMING - COUNT
    assert 0 <= guessed <= (floods.lucky(sent["sent"] + warmed) if what in MAY_GUESS else 0)
    # A right one opens a connection to the server: by SYN and ACK, which may have to be sent again.
    assert arrivals.count() <= 4 * guessed
    assert gate.memory_kib() - memory <= MEMORY_KIB
    if what in IN_THE_KERNEL:
        assert queued <= 8 * COUNT + sent["sent"] / 10
    assert eventually(lambda: sum(gate.drops().values()) >= (sent["sent"] + warmed) * 0.9 - gate.queue_losses()), gate.drops()


@pytest.mark.smoke
@pytest.mark.parametrize("what", ["ack", "rst", "syn-ack", "fin"])
def test_each_segment_has_its_reason(lab, gate, web, family, what):
    """ACKs after cookies were sent may be third ones, and are told by their cookie."""
    gate.start({"rule web": {"port": "80, 81", "syncookies": "always"}})
    learn(lab, gate, family)
    assert dial(lab, family, 5)["failed"] == 0
    arrivals = Arrivals(lab)
    flood = Flood(lab, family, kind=what, rate=500)
    assert eventually(lambda: sum(gate.drops().values()) >= 200)
    sent = flood.stop()["sent"]
    assert eventually(lambda: sum(gate.drops().values()) == sent), (gate.drops(), sent)
    assert set(gate.drops()) <= {"ack": {"bad_cookie", "source_rate", "no_flow"}, "fin": {"bad_cookie", "source_rate", "no_flow"},
                                 "rst": {"no_flow"}, "syn-ack": {"no_flow"}}[what]
    assert arrivals.count() == 0
