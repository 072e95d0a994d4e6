# SPDX-License-Identifier: GPL-2.0-or-later
"""Splice rules are gates for what comes to this host, and for nothing that passes by."""

import pytest

from floods import cookies, learn
from services import Echo, connect, talk
from topology import GATE, SERVER, literal
from wire import raw_client

PORT = 7
BEHIND = 9

ANYWHERE = f"0.0.0.0:{PORT}, [::]:{PORT}"
HERE = ", ".join(f"{literal(address)}:{PORT}" for address in GATE.values())

local = pytest.mark.parametrize("kind", ["local"])
forwarded = pytest.mark.parametrize("kind", ["forwarded"])


def splices(**keys):
    return {
        "daemon": {"drain": "off"},
        "rule web": {"mode": "splice", "listen": ANYWHERE, "backend": "echo", **keys},
        "backend echo": {"servers": f"127.0.0.1:{BEHIND}"},
    }


@local
@pytest.mark.parametrize("inspect", ["handshake", "full"])
@pytest.mark.parametrize("listen", [ANYWHERE, HERE], ids=["anywhere", "here"])
def test_a_listener_is_gated(lab, gate, family, inspect, listen):
    lab.closing(Echo(lab.gate, BEHIND))
    gate.start(splices(inspect=inspect, listen=listen))
    client = lab.closing(connect(lab.client, GATE[family], PORT, timeout=3))
    assert talk(client)
    assert gate.rule("web")["mode"] == "splice" and gate.rule("web")["admitted"] == 1
    raw_client(lab, family).flow(GATE[family], PORT).send("PA", b"junk", ack=1)
    assert gate.await_drops({"no_flow": 1}) == {"no_flow": 1}
    assert talk(client)
    assert gate.status()["flows"]["established"] == (inspect == "full")


@local
def test_a_listener_gets_cookies(lab, gate, family):
    lab.closing(Echo(lab.gate, BEHIND))
    gate.start(splices(syncookies="always"))
    before = learn(lab, gate, family, PORT, GATE[family])
    client = lab.closing(connect(lab.client, GATE[family], PORT, timeout=3))
    assert talk(client)
    assert cookies(gate)["accepted"] == before + 1


@forwarded
def test_what_passes_by_is_left_alone(lab, gate, family):
    lab.closing(Echo(lab.server, PORT))
    gate.start(splices())
    client = lab.closing(connect(lab.client, SERVER[family], PORT, timeout=3))
    assert talk(client)
    assert gate.queue_packets() == 0
    assert gate.rule("web")["matched"] == 0
