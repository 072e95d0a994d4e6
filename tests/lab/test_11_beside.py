# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 11: beside Docker's rules and ufw's. Published ports work and are judged, what those refuse stays refused."""

import pytest

import firewalls
from container import CONTAINER, INNER, OUTER, UNPUBLISHED, Container
from services import Echo, connect, talk
from topology import CLIENT, GATE, eventually
from wire import Witness, raw_client, witness

local = pytest.mark.parametrize("kind", ["local"])


@pytest.fixture
def container(lab):
    made = Container(lab)
    lab.closing(Echo(made.server, INNER))
    lab.closing(Echo(made.server, UNPUBLISHED))
    return made


# `to` and `port` are the container's own, after DNAT.
RULES = {"rule published": {"to": f"{CONTAINER[4]}, {CONTAINER[6]}", "port": f"{INNER}, {UNPUBLISHED}"}}


@local
def test_a_published_port_works_and_is_judged(lab, gate, container, family):
    gate.start(RULES)
    client = connect(lab.client, GATE[family], OUTER)
    assert talk(client)
    client.close()
    assert gate.status()["handshakes"]["completed"] == 1
    assert gate.rule("published")["admitted"] == 1
    assert gate.drops() == {}
    seen = lab.closing(Witness(container))
    flow = raw_client(lab, family).flow(GATE[family], OUTER)
    flow.syn()
    answer = flow.expect("SA")
    # What conntrack calls invalid is not translated, and so never gets as far as the rule; a guess it can't tell does.
    flow.send("PA", b"junk", seq=flow.seq + 1, ack=answer.seq + 100_000)
    flow.send("A", seq=flow.seq + 1, ack=answer.seq)
    assert not eventually(lambda: [flags for flags in seen.flags() if flags != "S"], timeout=0.5)
    assert set(gate.drops()) <= {"bad_ack"}
    assert gate.status()["handshakes"]["completed"] == 1


@local
def test_a_closed_published_port_refuses(lab, gate, family):
    container = Container(lab)
    assert container
    gate.start(RULES)
    with pytest.raises(ConnectionRefusedError):
        connect(lab.client, GATE[family], OUTER)
    assert gate.await_failed({"refused": 1}) == {"refused": 1}


@local
def test_what_docker_refuses_is_never_judged(lab, gate, container, family):
    """FORWARD's policy stops a port that is not published: the gate neither hears of it nor answers."""
    gate.start(RULES)
    seen = lab.closing(Witness(container))
    flow = raw_client(lab, family).flow(CONTAINER[family], UNPUBLISHED)
    flow.syn()
    assert flow.expect("SA", timeout=1) is None
    assert gate.status()["handshakes"]["started"] == 0
    assert seen.flags() == []
    assert gate.queue_packets() == 0


@local
def test_the_host_and_the_container_go_out_untouched(lab, gate, container, family):
    """Host to container, container out through masquerade, host to the outside: nobody is judged."""
    lab.closing(Echo(lab.client, 9))
    gate.start(RULES)
    for namespace, address, port in ((lab.gate, CONTAINER[family], INNER), (container.server, CLIENT[family], 9),
                                     (lab.gate, CLIENT[family], 9)):
        client = connect(namespace, address, port)
        assert talk(client)
        client.close()
    assert gate.status()["handshakes"]["started"] == 0
    assert gate.queue_packets() == 0
    assert gate.drops() == {}


@local
def test_the_container_going_out_can_be_judged_too(lab, gate, container, family):
    """A rule for the outside's port holds for forwarded connections, masqueraded or not; the host's own stay out of it."""
    lab.closing(Echo(lab.client, 9))
    gate.start({"rule out": {"port": 9}})
    client = connect(container.server, CLIENT[family], 9)
    assert talk(client)
    client.close()
    client = connect(lab.gate, CLIENT[family], 9)
    assert talk(client)
    client.close()
    assert gate.status()["handshakes"]["completed"] == 1
    assert gate.drops() == {}


@local
def test_standing_docker_connections_survive_start_and_crash(lab, gate, container, family):
    standing = connect(lab.client, GATE[family], OUTER)
    assert talk(standing)
    gate.start(RULES)
    assert talk(standing)
    gate.kill()
    assert talk(standing)
    gate.start()
    assert talk(standing)
    assert gate.drops() == {}
    standing.close()


@local
def test_ufw_allows_and_the_gate_judges(lab, gate, family):
    firewalls.ufw(lab.gate)
    lab.closing(Echo(lab.gate, 80))
    gate.start({"rule web": {"port": "80, 81"}})
    client = connect(lab.client, GATE[family], 80)
    assert talk(client)
    client.close()
    assert gate.status()["handshakes"]["completed"] == 1
    seen = witness(lab)
    flow = raw_client(lab, family).flow(GATE[family], 80)
    flow.syn()
    answer = flow.expect("SA")
    flow.send("A", seq=flow.seq + 1, ack=answer.seq + 5)
    flow.send("PA", b"x", seq=flow.seq + 1, ack=answer.seq + 5)
    # What conntrack calls invalid, ufw drops before us; no matter whose drop it is, nothing gets in.
    assert not eventually(lambda: [flags for flags in seen.flags() if flags != "S"], timeout=0.5)
    assert set(gate.drops()) <= {"bad_ack"}


@local
def test_what_ufw_refuses_stays_refused(lab, gate, family):
    firewalls.ufw(lab.gate)
    lab.closing(Echo(lab.gate, 81))
    gate.start({"rule web": {"port": "80, 81"}, "rule all": {"mode": "accept"}})
    with pytest.raises(TimeoutError):
        connect(lab.client, GATE[family], 81, timeout=1.5)
    assert gate.status()["handshakes"]["started"] == 0
    assert gate.queue_packets() == 0


@local
def test_a_host_with_ufw_opens_its_own_connections(lab, gate, family):
    firewalls.ufw(lab.gate)
    lab.closing(Echo(lab.client, 80))
    gate.start({"rule web": {"port": 80}})
    client = connect(lab.gate, CLIENT[family], 80)
    assert talk(client)
    client.close()
    assert gate.queue_packets() == 0
    assert gate.drops() == {}


@local
def test_loopback_is_left_alone_unless_named(lab, gate, family):
    lab.closing(Echo(lab.gate, 80))
    here = {4: "127.0.0.1", 6: "::1"}[family]
    gate.start({"rule web": {"port": 80}})
    client = connect(lab.gate, here, 80)
    assert talk(client)
    client.close()
    assert gate.status()["handshakes"]["started"] == 0
    gate.reload({"rule web": {"port": 80, "interface": "lo"}})
    client = connect(lab.gate, here, 80)
    assert talk(client)
    client.close()
    assert gate.status()["handshakes"]["completed"] == 1
    assert gate.drops() == {}
