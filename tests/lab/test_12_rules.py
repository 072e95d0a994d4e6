# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules and limits: the first match decides, limits count, and what is only observed goes on."""

import socket
import time

import pytest

from services import Echo, connect, talk
from topology import CLIENT, GATE, eventually
from wire import raw_client, raw_server, witness

PORT = 7

forwarded = pytest.mark.parametrize("kind", ["forwarded"])

# Both clients of the lab are in one /64, which is one source by default.
EACH_ITS_OWN_SOURCE = {"source_prefix6": 128}


@pytest.fixture
def echo(lab):
    return lab.closing(Echo(lab.server, PORT))


def works(lab, family, port=PORT):
    client = connect(lab.client, lab.server_address[family], port, timeout=3)
    try:
        return talk(client)
    finally:
        client.close()


def test_accept_is_left_alone(lab, gate, echo, family):
    gate.start({"rule open": {"port": PORT, "mode": "accept"}})
    assert works(lab, family)
    assert gate.queue_packets() == 0


def test_what_matches_no_rule_is_left_alone(lab, gate, echo, family):
    gate.start({"rule other": {"port": PORT + 1}})
    assert works(lab, family)
    seen = witness(lab)
    raw_client(lab, family).flow(lab.server_address[family], PORT).send("PA", b"junk", ack=1)
    assert eventually(lambda: "PA" in seen.flags())
    assert gate.queue_packets() == 0


@pytest.mark.smoke
def test_drop_is_silence(lab, gate, echo, family):
    gate.start({"rule shut": {"port": PORT, "mode": "drop"}})
    seen = witness(lab)
    with pytest.raises(TimeoutError):
        connect(lab.client, lab.server_address[family], PORT, timeout=1.5)
    drops = gate.drops()
    assert list(drops) == ["rule"] and drops["rule"] >= 2
    assert gate.rule("shut")["dropped"] >= 2
    assert seen.flags() == []


@pytest.mark.smoke
def test_reject_is_an_rst(lab, gate, echo, family):
    gate.start({"rule shut": {"port": PORT, "mode": "reject"}})
    seen = witness(lab)
    began = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        connect(lab.client, lab.server_address[family], PORT, timeout=3)
    assert time.monotonic() - began < 0.5
    assert gate.await_drops({"rule": 1}) == {"rule": 1}
    assert seen.flags() == []


def test_the_first_match_decides(lab, gate, echo, family):
    gate.start({
        "rule mine": {"port": PORT, "from": CLIENT[family], "mode": "gate"},
        "rule rest": {"port": PORT, "mode": "drop"},
    })
    assert works(lab, family)
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn()
    assert flow.expect("SA", timeout=0.5) is None
    assert gate.drops() == {"rule": 1}
    assert gate.rule("mine")["admitted"] == 1 and gate.rule("rest")["dropped"] == 1


def test_lists_ranges_and_prefixes_match(lab, gate, echo, family):
    network = {4: "10.0.1.0/28", 6: "fd00:1::/124"}[family]
    outside = {4: "10.0.1.90-10.0.1.120", 6: "fd00:1::90-fd00:1::120"}[family]
    gate.start({
        "rule strangers": {"from": outside, "port": "1-100, 200", "mode": "drop"},
        "rule near": {"from": f"192.0.2.1, {network}", "to": lab.server_address[family], "port": f"5-{PORT}"},
    })
    assert works(lab, family)
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn()
    assert flow.expect("SA", timeout=0.5) is None
    assert gate.rule("near")["admitted"] == 1 and gate.rule("strangers")["dropped"] == 1


def test_interfaces_match(lab, gate, echo, family):
    gate.start({
        "rule elsewhere": {"port": PORT, "interface": "nosuch0", "mode": "drop"},
        "rule here": {"port": PORT, "interface": "client0"},
    })
    assert works(lab, family)
    assert gate.rule("here")["admitted"] == 1
    assert gate.drops() == {}


def test_syn_rate_is_per_source(lab, gate, echo, family):
    gate.start({"limits": EACH_ITS_OWN_SOURCE, "rule echo": {"port": PORT, "syn_rate": "1/s burst 5"}})
    peer = raw_client(lab, family)
    for _ in range(20):
        peer.flow(lab.server_address[family], PORT).syn()
    assert eventually(lambda: gate.drops().get("source_rate", 0) >= 14), gate.drops()
    assert gate.drops()["source_rate"] <= 15
    assert works(lab, family), "another source pays for the first"
    assert eventually(lambda: gate.failed().get("limited", 0) >= 14), gate.failed()


def test_half_open_of_a_rule(lab, gate, echo, family):
    gate.start({"rule echo": {"port": PORT, "half_open": 10, "syncookies": "never"}})
    peer = raw_client(lab, family)
    flows = [peer.flow(lab.server_address[family], PORT, port=20_000 + number) for number in range(25)]
    for flow in flows:
        flow.syn()
    assert gate.await_drops({"half_open_full": 15}) == {"half_open_full": 15}
    assert gate.rule("echo")["half_open"] == 10
    flows[0].send("R", seq=flows[0].seq + 1)
    assert eventually(lambda: gate.rule("echo")["half_open"] == 9)
    assert works(lab, family)


@pytest.mark.parametrize("over_limit", ["drop", "reject"])
def test_connections_per_source(lab, gate, echo, family, over_limit):
    gate.start({"limits": EACH_ITS_OWN_SOURCE,
                "rule echo": {"port": PORT, "connections_per_source": 3, "over_limit": over_limit}})
    server = lab.server_address[family]
    held = [connect(lab.client, server, PORT) for _ in range(3)]
    assert all(talk(client) for client in held)
    with pytest.raises(ConnectionRefusedError if over_limit == "reject" else TimeoutError):
        connect(lab.client, server, PORT, timeout=1.5)
    assert gate.drops()["source_connections"] >= 1
    assert all(talk(client) for client in held)
    neighbour = raw_client(lab, family).flow(server, PORT)
    assert neighbour.connect(), "another source pays for the first"
    held.pop().close()
    assert eventually(lambda: gate.status()["flows"]["offloaded"] <= 3)
    client = connect(lab.client, server, PORT, timeout=8)
    assert talk(client)
    for one in (client, *held):
        one.close()


def test_mss_is_clamped_both_ways(lab, gate, echo, family):
    gate.start({"rule echo": {"port": PORT, "mss": 1000}})
    seen = witness(lab)
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn(options=[("MSS", 1400), ("NOP", None), ("WScale", 7)])
    answer = flow.expect("SA")
    assert dict(answer.options)["MSS"] == 1000
    syn = next(tcp for _, tcp in seen.segments() if tcp.flags == "S")
    assert dict(syn.options)["MSS"] == 1000 and dict(syn.options)["WScale"] == 7
    assert talk(connect(lab.client, lab.server_address[family], PORT)), "a clamped SYN has a bad checksum"


def test_a_smaller_mss_stays(lab, gate, echo, family):
    gate.start({"rule echo": {"port": PORT, "mss": 1000}})
    seen = witness(lab)
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.syn(options=[("MSS", 600)])
    assert flow.expect("SA")
    assert dict(next(tcp for _, tcp in seen.segments()).options)["MSS"] == 600


@pytest.mark.parametrize("fastopen", ["strip", "pass"])
def test_fast_open(lab, gate, echo, family, fastopen):
    """strip: option and data are out of the SYN, its number stays, and the data comes after the handshake."""
    gate.start({"rule echo": {"port": PORT, "fastopen": fastopen}})
    seen = witness(lab)
    flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
    flow.send("S", b"early", options=[("MSS", 1460), (34, b"\x01" * 8)])
    answer = flow.expect("SA")
    assert answer.ack == flow.seq + 1
    syn = next(tcp for _, tcp in seen.segments() if tcp.flags == "S")
    kept = bytes(syn.payload) == b"early" and any(kind in (34, "TFO") for kind, _ in syn.options)
    assert kept == (fastopen == "pass")
    assert (bytes(syn.payload) == b"") == (fastopen == "strip")
    flow.seq, flow.ack = flow.seq + 1, answer.seq + 1
    flow.send("PA", b"early")
    assert bytes(flow.expect("PA").payload) == b"early"
    assert gate.drops() == {}


def test_ecn_setup_passes(lab, gate, echo, family):
    gate.start({"rule echo": {"port": PORT}})
    seen = witness(lab)
    raw_client(lab, family).flow(lab.server_address[family], PORT).send("SEC", options=[("MSS", 1460)])
    assert eventually(lambda: seen.flags() == ["SEC"])
    assert gate.drops() == {}


@pytest.mark.smoke
@pytest.mark.parametrize("scope", ["daemon", "rule"])
def test_observing_judges_and_lets_go(lab, gate, echo, family, scope):
    rule = {"port": PORT, "mss": 1000}
    daemon = {"enforce": "no"} if scope == "daemon" else {}
    if scope == "rule":
        rule["enforce"] = "no"
    gate.start({"daemon": daemon, "rule echo": rule})
    assert gate.status()["enforce"] is (scope == "rule")
    seen = witness(lab)
    peer = raw_client(lab, family)
    server = lab.server_address[family]
    for flags in ("F", "PA", "SA"):
        peer.flow(server, PORT).send(flags, ack=1)
    flow = peer.flow(server, PORT)
    flow.syn(options=[("MSS", 1400)])
    answer = flow.expect("SA")
    flow.send("A", seq=flow.seq + 1, ack=answer.seq + 77)
    assert eventually(lambda: len(seen.flags()) >= 5), seen.flags()
    assert sorted(seen.flags()[:5]) == sorted(["F", "PA", "SA", "S", "A"])
    syn = next(tcp for _, tcp in seen.segments() if tcp.flags == "S")
    assert dict(syn.options)["MSS"] == 1400, "an observing gate has clamped"
    assert works(lab, family)
    assert gate.drops() == {} or scope == "daemon"


def test_observing_a_drop_rule_drops_nothing(lab, gate, echo, family):
    gate.start({"rule shut": {"port": PORT, "mode": "drop", "enforce": "no"}})
    assert works(lab, family)


@forwarded
def test_simultaneous_open(lab, gate, family):
    """RFC 9293, 3.5: both send a SYN, both answer it."""
    gate.start({"rule scripted": {"port": PORT}})
    server = raw_server(lab, family)
    client = raw_client(lab, family).flow(server.address, PORT)
    service = server.flow(None, None, port=PORT)
    client.syn()
    assert service.await_syn()
    service.syn()
    theirs = client.expect("S")
    assert theirs
    client.ack = theirs.seq + 1
    client.send("SA")
    service.send("SA")
    assert service.expect("SA") and client.expect("SA")
    client.seq, service.seq = client.seq + 1, service.seq + 1
    client.send("A")
    service.send("A")
    client.send("PA", b"from the client")
    assert bytes(service.expect("PA").payload) == b"from the client"
    service.send("PA", b"from the server")
    assert bytes(client.expect("PA").payload) == b"from the server"
    assert gate.drops() == {}
    assert gate.status()["handshakes"]["completed"] == 1


def test_a_tuple_is_used_again(lab, gate, echo, family):
    """Closed, and opened again from the same port at once, as busy proxies do."""
    gate.start({"rule echo": {"port": PORT}})
    for _ in range(20):
        with lab.client.entered():
            client = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.settimeout(5)
        client.bind((CLIENT[family], 33333))
        client.connect((lab.server_address[family], PORT))
        assert talk(client)
        client.close()  # an RST: the port is free at once
    assert gate.status()["handshakes"]["completed"] == 20
    assert gate.drops() == {}


def test_flows_kill_cuts_an_admitted_flow(lab, gate, echo, family):
    gate.start({"rule echo": {"port": PORT, "inspect": "full"}})
    client = connect(lab.client, lab.server_address[family], PORT)
    assert talk(client)
    assert gate.ctl("flows", "kill", "port", str(PORT)).returncode == 0
    client.settimeout(2)
    with pytest.raises(OSError):
        client.sendall(b"still there?")
        if client.recv(100) == b"":
            raise ConnectionResetError
    client.close()


def is_cut(client):
    client.settimeout(2)
    try:
        return not talk(client)
    except OSError:
        return True


@pytest.mark.parametrize("kind", ["local"])
def test_a_killed_flow_of_this_host_stays_killed(lab, gate, echo, family):
    """Its socket would stand, and be adopted by the next reload."""
    lab.closing(Echo(lab.server, PORT + 1))
    gate.start({"rule echo": {"port": f"{PORT}-{PORT + 1}"}})
    killed, kept = (connect(lab.client, lab.server_address[family], PORT + n) for n in (0, 1))
    assert talk(killed) and talk(kept)
    assert gate.ask("flows", "kill", "port", str(PORT))["killed"] == 1
    assert gate.ctl("reload").returncode == 0
    assert is_cut(killed)
    assert talk(kept)
    assert works(lab, family)
    killed.close()
    kept.close()


@forwarded
def test_flows_kill_finds_what_nat_hides(lab, gate, echo):
    """A published port behind masquerading, as containers have."""
    lab.gate.run("iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "8007",
                 "-j", "DNAT", "--to", f"{lab.server_address[4]}:{PORT}")
    lab.gate.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "server0", "-j", "MASQUERADE")
    gate.start({"rule echo": {"port": PORT}})
    client = connect(lab.client, GATE[4], 8007)
    assert talk(client)
    assert gate.ask("flows", "kill", "port", str(PORT))["killed"] == 1
    assert is_cut(client)
    client.close()
