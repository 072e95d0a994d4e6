# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 10: as many gates as there are network namespaces, and one in each."""

import pytest

from services import Echo, connect, talk
from topology import Lab

PORT = 7


def test_two_gates_in_two_namespaces(lab, new_gate, family):
    other = lab.closing(Lab(lab.kind))
    gates = []
    for one in (lab, other):
        one.closing(Echo(one.server, PORT))
        gates.append(new_gate(one.gate).start({"rule echo": {"port": PORT}}))
    for number, one in enumerate((lab, other)):
        clients = [connect(one.client, one.server_address[family], PORT) for _ in range(number + 1)]
        assert all(talk(client) for client in clients)
        for client in clients:
            client.close()
    assert [gate.status()["handshakes"]["completed"] for gate in gates] == [1, 2]
    gates[1].stop()
    client = connect(lab.client, lab.server_address[family], PORT)
    assert talk(client)
    client.close()
    assert gates[0].status()["handshakes"]["completed"] == 2
    assert gates[0].drops() == {}


@pytest.mark.parametrize("kind", ["forwarded"])
def test_a_second_daemon_says_why_it_cannot(lab, new_gate):
    lab.closing(Echo(lab.server, PORT))
    first = new_gate().start({"rule echo": {"port": PORT}})
    second = new_gate()
    second.write({"rule echo": {"port": PORT}, "netfilter": {"queue": 6000}})
    process = second.spawn()
    assert process.wait(20) == 3
    assert "already" in second.log() or str(first.process.pid) in second.log(), second.log()
    client = connect(lab.client, lab.server_address[4], PORT)
    assert talk(client)
    client.close()
    assert first.status()["handshakes"]["completed"] == 1
