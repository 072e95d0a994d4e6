# SPDX-License-Identifier: GPL-2.0-or-later
"""Splice mode behind the gate: floods, cookies and limits come first, and a backend connection is never spent on them."""

import re
import time

import pytest

import floods
from floods import Dial, Flood, cookies, learn
from services import Nginx, connect
from splicing import MODES, SERVICE_PORT, Service, at, hear, rule
from topology import CLIENT, FAMILIES, GATE, SERVER, eventually

PORT = 7000

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def sections(family, mode, **keys):
    return {
        "rule web": rule(at(GATE, family, PORT), mode=mode, **keys),
        "backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "off"},
    }


@pytest.fixture
def nginx(proxy):
    floods.route(proxy.lab)
    made = proxy.lab.closing(Nginx(proxy.lab.server, proxy.lab.directory, ports=(SERVICE_PORT,), backlog=4096))
    made.publish("index.html", floods.PAGE_SIZE)
    return made


@pytest.mark.long
def test_honest_clients_amid_a_flood_with_cookies(proxy, nginx, mode, family, figures):
    lab = proxy.lab
    proxy.start(sections(family, mode, syncookies="always"))
    learn(lab, proxy.gate, family, port=PORT, server=GATE[family])
    before, total = cookies(proxy.gate)["accepted"], proxy.gate.status()["splice"]["total"]
    flood = Flood(lab, family, port=PORT, to=GATE[family])
    time.sleep(0.5)
    count = floods.HONEST_CLIENTS // 2
    honest = Dial(lab, family, count, port=PORT, to=GATE[family], rate=count / floods.SECONDS, in_flight=count).finish()
    sent = flood.stop()
    figures(f"{honest}, {sent}")
    assert honest["failed"] == 0, honest
    assert sent["sent"] > 10_000
    assert cookies(proxy.gate)["accepted"] - before >= count
    # The kernel need not ask about the SYNs of a flood.
    assert cookies(proxy.gate)["logged"] > sent["sent"] / 2, cookies(proxy.gate)
    # Not one of the flood's has cost a connection.
    assert proxy.gate.status()["splice"]["total"] - total == count


def test_a_syn_alone_costs_no_backend_connection(proxy, mode, family):
    """Nor does a handshake that the gate does not let through."""
    lab = proxy.lab
    floods.route(lab)
    service = lab.closing(Service(lab.server, SERVER[family]))
    proxy.start(sections(family, mode, half_open=100))
    flood = Flood(lab, family, port=PORT, to=GATE[family], rate=2000)
    time.sleep(0.7)
    assert flood.stop()["sent"] > 500
    assert service.nobody()
    assert proxy.gate.status()["splice"]["total"] == 0


def test_limits_hold_before_a_backend_connection_is_spent(proxy, mode, family):
    lab = proxy.lab
    floods.route(lab)
    service = lab.closing(Service(lab.server, SERVER[family]))
    proxy.start(sections(family, mode, connections_per_source=3, over_limit="reject"))
    held = [proxy.dial(family, PORT) for _ in range(3)]
    servers = [service.accept() for _ in held]
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            proxy.dial(family, PORT, timeout=2)
    assert service.nobody()
    assert proxy.gate.drops()["source_connections"] >= 3
    # Another source's are its own.
    with connect(lab.client, GATE[family], PORT, source=floods.HONEST[family]), service.accept():
        pass
    # One that has ended makes room.
    held.pop().close()
    servers.pop().close()
    assert eventually(lambda: proxy.open() == 2)

    def again():
        try:
            held.append(proxy.dial(family, PORT, timeout=2))
            return True
        except OSError:
            return False

    assert eventually(again, 10)
    servers.append(service.accept())
    for one in held + servers:
        one.close()


def test_from_narrows_who_may_come(proxy, mode, family):
    """TCP that no rule matches is left alone, so a listening rule's port is refused to others by another rule."""
    lab = proxy.lab
    floods.route(lab)
    service = lab.closing(Service(lab.server, SERVER[family]))
    all_ = sections(family, mode)
    all_["rule web"]["from"] = CLIENT[family]
    all_["rule others"] = {"port": PORT, "mode": "reject"}
    proxy.start(all_)
    with proxy.dial(family, PORT), service.accept():
        pass
    with pytest.raises(ConnectionRefusedError):
        connect(lab.client, GATE[family], PORT, timeout=2, source=floods.HONEST[family])
    assert service.nobody(0.2)


def test_a_block_cuts_spliced_connections(proxy, mode, family):
    lab = proxy.lab
    service = lab.closing(Service(lab.server, SERVER[family]))
    proxy.start(sections(family, mode, keepalive="1s"))
    client, server = proxy.dial(family, PORT), service.accept()
    client.sendall(b"hello")
    assert hear(server, 5) == b"hello"
    done = proxy.gate.ctl("block", CLIENT[family], "1m")
    assert done.returncode == 0, done.stdout
    with pytest.raises(TimeoutError):
        proxy.dial(family, PORT, timeout=1)
    assert eventually(lambda: proxy.open() == 0, 15), "a blocked client's connection still stands"
    client.close()
    server.close()


def test_many_short_connections(proxy, nginx, mode, family):
    """Many short connections by wrk, under an adaptive rule that never has to give a cookie."""
    proxy.start(sections(family, mode))
    said = proxy.lab.client.run(
        "wrk", "-t", "1", "-c", "50", "-d", "2s", "-H", "Connection: close",
        f"http://{at(GATE, family, PORT)}/").stdout
    assert "Socket errors" not in said and "Non-2xx" not in said, said
    requests = int(re.search(r"(\d+) requests in", said)[1])
    assert requests > 500
    assert eventually(lambda: proxy.open() == 0)
    splice = proxy.gate.status()["splice"]
    assert splice["total"] >= requests
    assert splice["bytes_out"] > requests * floods.PAGE_SIZE
    # wrk leaves its last connections in whatever state they are.
    assert sum(proxy.gate.drops().values()) + sum(proxy.gate.failed().values()) <= 100
    assert set(proxy.gate.drops()) <= {"no_flow"} and set(proxy.gate.failed()) <= {"client_reset"}
