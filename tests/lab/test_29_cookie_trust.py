# SPDX-License-Identifier: GPL-2.0-or-later
"""The administrator's filter keeps its say, and a server with weak sequence numbers is behind strong ones."""

import random
import time

import pytest

from floods import SPOOFED_NETWORK, Arrivals, Flood, cookies, learn, learned
from services import Echo, connect, talk
from topology import RAW_CLIENT, eventually
from wire import raw_client, raw_server, witness

PORT = 7


def refuse_by_iptables(lab, family, source):
    chain = "INPUT" if lab.kind == "local" else "FORWARD"
    lab.gate.run("ip6tables" if family == 6 else "iptables", "-A", chain, "-s", source, "-j", "DROP")


def refuse_by_nftables(lab, family, source):
    hook = "input" if lab.kind == "local" else "forward"
    lab.gate.run("nft", "-f", "-", text=f"""
        table inet theirs {{
            chain filter {{ type filter hook {hook} priority 0; {'ip6' if family == 6 else 'ip'} saddr {source} drop; }}
        }}""")


@pytest.mark.smoke
@pytest.mark.parametrize("refuse", [refuse_by_iptables, refuse_by_nftables], ids=["iptables", "nftables"])
def test_what_the_filter_refuses_gets_no_cookie(lab, gate, family, refuse):
    lab.closing(Echo(lab.server, PORT))
    refuse(lab, family, RAW_CLIENT[family])
    gate.start({"rule echo": {"port": PORT, "syncookies": "always"}})
    before = learn(lab, gate, family, port=PORT)
    sent = cookies(gate)["sent"]
    seen = witness(lab)
    peer = raw_client(lab, family)
    flow = peer.flow(lab.server_address[family], PORT)
    flow.syn(options=[("MSS", 1460)])
    assert flow.expect("SA", timeout=0.7) is None
    assert cookies(gate)["sent"] == sent
    for _ in range(100):
        forged = peer.flow(lab.server_address[family], PORT)
        forged.send("A", ack=random.getrandbits(32))
        forged.send("PA", b"hello", ack=random.getrandbits(32))
    time.sleep(0.5)
    assert cookies(gate)["accepted"] == before
    assert seen.flags(PORT) == []
    client = lab.closing(connect(lab.client, lab.server_address[family], PORT))
    assert talk(client)
    assert cookies(gate)["accepted"] == before + 1


@pytest.mark.parametrize("refuse", [refuse_by_iptables, refuse_by_nftables], ids=["iptables", "nftables"])
def test_a_flood_that_the_filter_refuses_costs_nothing(lab, gate, web, family, refuse):
    refuse(lab, family, SPOOFED_NETWORK[family])
    gate.start({"rule web": {"port": 80, "syncookies": "always"}})
    learn(lab, gate, family)
    arrivals = Arrivals(lab)
    sent, queued = cookies(gate)["sent"], gate.queue_packets()
    for what in ("syn", "ack"):
        flood = Flood(lab, family, kind=what, rate=2000)
        time.sleep(0.7)
        flood.stop()
    assert cookies(gate)["sent"] == sent
    assert arrivals.count() == 0
    if lab.kind == "forwarded":
        assert gate.drops().get("no_flow", 0) + gate.drops().get("bad_cookie", 0) <= gate.queue_packets() - queued + 5000


@pytest.mark.parametrize("kind", ["forwarded"])
def test_weak_numbers_stay_behind(lab, gate, family):
    """A server that counts its connections: its clients see nothing of it, and are understood all the same."""
    gate.start({"rule old": {"port": PORT, "syncookies": "always"}})
    server = raw_server(lab, family)
    peer = raw_client(lab, family)
    options = [("MSS", 1400), ("NOP", None), ("WScale", 2)]

    def handshake(isn):
        client, service = peer.flow(server.address, PORT), server.flow(None, None, port=PORT, isn=isn)
        client.syn(options=options)
        return client, service

    client, service = handshake(1000)
    assert service.await_syn()
    service.send("SA", options=options)
    assert client.expect("SA")
    assert eventually(lambda: learned(gate, server.address, PORT))

    numbers = []
    for round_number in range(32):
        client, service = handshake(2000 + 64 * round_number)
        numbers.append(client.expect("SA").seq)
    steps = {(later - sooner) % 2**32 for sooner, later in zip(numbers, numbers[1:])}
    assert len(set(numbers)) == 32 and len(steps) == 31
    for bit in range(24, 32):
        share = sum(number >> bit & 1 for number in numbers) / 32
        assert 0.1 < share < 0.9, f"bit {bit} can be foretold: {numbers}"

    client.seq, client.ack = client.seq + 1, numbers[-1] + 1
    client.send("A")
    assert service.await_syn()
    service.send("SA", options=options)
    assert service.expect("A").ack == service.seq + 1
    assert client.expect("A").seq == client.ack
    client.send("PA", b"hello")
    heard = service.expect("PA")
    assert bytes(heard.payload) == b"hello" and heard.ack == service.seq + 1
    service.seq, service.ack = service.seq + 1, heard.seq + 5
    service.send("PA", b"world")
    answer = client.expect("PA")
    assert bytes(answer.payload) == b"world"
    assert answer.seq == client.ack and answer.ack == (client.seq + 5) % 2**32
