# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 7: nobody is locked out by a start; but a client's word alone proves no standing connection."""

import time

import pytest

from services import Echo, connect, talk
from topology import eventually
from wire import raw_client, witness

PORT = 22


@pytest.fixture
def session(lab, family):
    """A connection like an SSH session's, up before the gate is."""
    echo = lab.closing(Echo(lab.server, PORT))
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(client)
    assert eventually(lambda: echo.peers)
    return client, echo.peers[0]


def track(lab):
    """The host has used connection tracking all along, as with any stateful firewall."""
    for tool in ("iptables", "ip6tables"):
        for chain in ("INPUT", "FORWARD"):
            lab.gate.run(tool, "-A", chain, "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")


@pytest.mark.smoke
@pytest.mark.parametrize("inspect", ["handshake", "full"])
def test_a_tracked_session_goes_on(lab, gate, family, inspect):
    track(lab)
    echo = lab.closing(Echo(lab.server, PORT))
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(client)
    gate.start({"rule ssh": {"port": PORT, "inspect": inspect}})
    assert talk(client)
    time.sleep(1)
    echo.peers[0].sendall(b"server speaks")
    assert client.recv(100) == b"server speaks"
    assert talk(client)
    assert gate.drops() == {}


@pytest.mark.parametrize("kind", ["local"])
@pytest.mark.parametrize("inspect", ["handshake", "full"])
def test_an_untracked_session_with_this_host_goes_on(lab, gate, session, inspect):
    """Conntrack was off: this host's own socket is the proof, so even the client may speak first."""
    client, _ = session
    gate.start({"rule ssh": {"port": PORT, "inspect": inspect}})
    assert talk(client)
    assert gate.drops() == {}


@pytest.mark.parametrize("kind", ["forwarded"])
@pytest.mark.parametrize("inspect", ["handshake", "full"])
def test_an_untracked_session_through_this_host_goes_on(lab, gate, session, inspect):
    """The server's next segment is the proof."""
    client, server = session
    gate.start({"rule ssh": {"port": PORT, "inspect": inspect}})
    server.sendall(b"server speaks")
    assert client.recv(100) == b"server speaks"
    assert talk(client)
    assert gate.drops() == {}


@pytest.mark.parametrize("kind", ["forwarded"])
def test_a_clients_word_is_no_proof(lab, gate, session, family):
    client, server = session
    gate.start({"rule ssh": {"port": PORT}})
    seen = witness(lab)
    client.sendall(b"let me in")
    assert eventually(lambda: gate.drops().get("no_flow", 0) >= 1)
    assert seen.flags(PORT) == []
    server.sendall(b"server speaks")
    assert client.recv(100) == b"server speaks"
    assert eventually(lambda: seen.flags(PORT) != []), "the retransmit was not let through after the proof"


@pytest.mark.parametrize("kind", ["forwarded"])
def test_after_the_window_nothing_is_adopted(lab, gate, session, family):
    client, server = session
    gate.start({"netfilter": {"adopt_window": "1s"}, "rule ssh": {"port": PORT}})
    time.sleep(2)
    server.sendall(b"server speaks")
    client.settimeout(1)
    with pytest.raises(TimeoutError):
        client.recv(100)
    assert gate.drops().get("no_flow", 0) >= 1


@pytest.mark.parametrize("kind", ["local"])
@pytest.mark.parametrize("inspect", ["handshake", "full"])
def test_what_conntrack_forgets_goes_on(lab, gate, session, inspect):
    """This host's own socket is the proof at any time."""
    client, server = session
    gate.start({"netfilter": {"adopt_window": "1s"}, "rule ssh": {"port": PORT, "inspect": inspect}})
    assert talk(client)
    time.sleep(2)
    lab.gate.run("conntrack", "-F")
    server.sendall(b"server speaks")
    client.settimeout(5)
    assert client.recv(100) == b"server speaks"
    assert talk(client)


def test_adopt_no_means_no(lab, gate, session, family):
    client, _ = session
    gate.start({"netfilter": {"adopt": "no"}, "rule ssh": {"port": PORT}})
    client.settimeout(1)
    with pytest.raises(TimeoutError):
        talk(client)
    assert gate.drops().get("no_flow", 0) >= 1


def test_a_stranger_is_not_adopted(lab, gate, session, family):
    client, _ = session
    gate.start({"rule ssh": {"port": PORT}})
    seen = witness(lab)
    raw_client(lab, family).flow(lab.server_address[family], PORT).send("PA", b"I was here before", ack=1)
    assert gate.await_drops({"no_flow": 1}) == {"no_flow": 1}
    assert seen.flags(PORT) == []
