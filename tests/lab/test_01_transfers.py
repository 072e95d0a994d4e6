# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 1: honest transfers arrive intact, and only handshakes cost user space anything."""

import pytest

from services import Downloads, Nginx
from topology import eventually

CONNECTIONS = 200
SIZE = 1_000_000
PACKETS_A_HANDSHAKE = 4


@pytest.mark.smoke
@pytest.mark.parametrize("inspect", ["handshake", "full"])
def test_parallel_transfers_arrive_intact(lab, gate, family, inspect):
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("file", SIZE)
    gate.start({"rule web": {"port": 80, "inspect": inspect}})
    downloads = Downloads(lab.client, lab.directory, lab.server_address[family], nginx, "file", count=CONNECTIONS)

    assert downloads.finish() == ("", CONNECTIONS)

    if inspect == "handshake":
        assert gate.queue_packets() <= PACKETS_A_HANDSHAKE * CONNECTIONS
    status = gate.status()
    assert status["handshakes"]["started"] == CONNECTIONS
    assert status["handshakes"]["completed"] == CONNECTIONS
    assert gate.failed() == {}
    assert gate.drops() == {}
    assert gate.queue_losses() == 0
    assert gate.rule("web")["admitted"] == CONNECTIONS


@pytest.mark.parametrize("inspect", ["handshake", "full"])
def test_ended_connections_are_uncounted(lab, gate, family, inspect):
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("file", 10_000)
    gate.start({"rule web": {"port": 80, "inspect": inspect, "connections_per_source": 5},
                "timeouts": {"time_wait": "1s", "closed": "1s"}})
    for _ in range(3):
        downloads = Downloads(lab.client, lab.directory, lab.server_address[family], nginx, "file", count=5)
        assert downloads.finish() == ("", 5)
        assert eventually(lambda: gate.status()["flows"]["offloaded"] + gate.status()["flows"]["established"] == 0)
        if inspect == "full":
            assert eventually(lambda: gate.status()["flows"]["closing"] == 0, timeout=10)
    assert gate.drops() == {}


def test_bytes_do_not_cost_packets(lab, gate, family):
    """Ten times the bytes cost the queue not one packet more."""
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("small", SIZE)
    nginx.publish("large", 10 * SIZE)
    gate.start({"rule web": {"port": 80}})
    costs = {}
    for name in ("small", "large"):
        before = gate.queue_packets()
        downloads = Downloads(lab.client, lab.directory, lab.server_address[family], nginx, name, count=4)
        assert downloads.finish() == ("", 4)
        costs[name] = gate.queue_packets() - before
    assert costs["large"] <= PACKETS_A_HANDSHAKE * 4, costs
