# SPDX-License-Identifier: GPL-2.0-or-later
"""
Under a flood of spoofed SYNs honest clients connect, the server and the gate hold no more than they should, and it is over
when it is over. Beside it, the same without.
"""

import time

import pytest

import floods
from floods import HONEST_CLIENTS, SECONDS, Flood, HalfOpen, cookies, dial, half_open, learn
from topology import eventually

HALF_OPEN = 1000
MEMORY_KIB = 512

forwarded = pytest.mark.parametrize("kind", ["forwarded"])


def said(honest, sent, most, extra=""):
    times = honest["connect_ms"] or {"p50": 0, "p99": 0, "max": 0}
    return (f"{honest['connections']} of {honest['connections'] + honest['failed']} honest clients {honest['errors']}, "
            f"connect p50 {times['p50']:.1f} ms, p99 {times['p99']:.1f} ms, max {times['max']:.0f} ms; "
            f"{sent['per_s']:.0f} SYN/s for {sent['seconds']:.0f} s; at most {most} half-open at the server; {extra}")


@pytest.mark.long
@pytest.mark.parametrize("syncookies", ["adaptive", "always"])
def test_honest_clients_connect(lab, gate, web, family, syncookies, figures):
    gate.start({"rule web": {"port": "80, 81", "syncookies": syncookies, "half_open": HALF_OPEN}})
    learn(lab, gate, family)
    warming = Flood(lab, family)
    time.sleep(1)
    warming.stop()
    dial(lab, family, 50)
    memory = gate.memory_kib()

    at_server = HalfOpen(lab.server)
    flood = Flood(lab, family)
    honest = dial(lab, family, HONEST_CLIENTS, rate=HONEST_CLIENTS / SECONDS)
    sent = flood.stop()
    most = at_server.stop()
    grown = gate.memory_kib() - memory
    figures(said(honest, sent, most, f"memory +{grown} KiB; {floods.queue_figures(gate)}"))

    assert (honest["connections"], honest["errors"]) == (HONEST_CLIENTS, {}), floods.queue_figures(gate)
    assert most <= HALF_OPEN
    assert grown <= MEMORY_KIB
    assert cookies(gate)["sent"] > sent["sent"] / 2, floods.queue_figures(gate)
    if syncookies == "always":
        assert cookies(gate)["accepted"] >= HONEST_CLIENTS
        assert most <= HONEST_CLIENTS / 10, "spoofed SYNs have reached the server"


@pytest.mark.long
@forwarded
def test_without_a_gate_few_get_through(lab, web, family, figures):
    """For contrast, so that the flood is known to be one: the server alone, its own cookies off."""
    lab.server.sysctl("net.ipv4.tcp_syncookies", 0)
    at_server = HalfOpen(lab.server)
    flood = Flood(lab, family)
    time.sleep(1)
    honest = dial(lab, family, 100, rate=100 / 3, timeout=3)
    sent = flood.stop()
    most = at_server.stop()
    figures(said(honest, sent, most))
    assert honest["connections"] < 50


@pytest.mark.long
@forwarded
def test_with_cookies_never(lab, gate, web, family, figures):
    """For contrast: the table of half-open connections keeps the server from the worst, and that is all."""
    lab.server.sysctl("net.ipv4.tcp_syncookies", 0)
    gate.start({"rule web": {"port": 80, "syncookies": "never", "half_open": HALF_OPEN}})
    at_server = HalfOpen(lab.server)
    flood = Flood(lab, family)
    time.sleep(1)
    memory = gate.memory_kib()
    honest = dial(lab, family, 100, rate=100 / 3, timeout=3)
    sent = flood.stop()
    most = at_server.stop()
    grown = gate.memory_kib() - memory
    figures(said(honest, sent, most, f"memory +{grown} KiB; {floods.queue_figures(gate)}"))
    assert most <= HALF_OPEN
    assert grown <= MEMORY_KIB
    assert cookies(gate)["sent"] == 0
    assert gate.drops()["half_open_full"] > 0


def said_in_log(gate, words):
    return [line for line in gate.log().splitlines() if "rule web" in line and words in line]


@pytest.mark.long
@pytest.mark.parametrize("outlasts", [False, True], ids=["short", "outlasts-timeouts"])
def test_adaptive_turns_on_and_off_once(lab, gate, web, family, outlasts):
    hold = SECONDS // 2 if outlasts else SECONDS + 3
    gate.start({"rule web": {"port": 80, "half_open": HALF_OPEN},
                "timeouts": {"syn_sent": f"{hold}s", "syn_received": f"{hold}s"}})
    learn(lab, gate, family)
    assert gate.rule("web")["cookies_active"] is False
    assert cookies(gate)["sent"] == 0
    flood = Flood(lab, family)
    assert eventually(lambda: gate.rule("web")["cookies_active"], timeout=5)
    assert eventually(lambda: cookies(gate)["active"])
    time.sleep(SECONDS)
    assert gate.rule("web")["cookies_active"] is True
    flood.stop()
    assert eventually(lambda: not gate.rule("web")["cookies_active"], timeout=2 * hold + 10), gate.status()
    assert not cookies(gate)["active"]
    assert len(said_in_log(gate, "cookies on")) == 1, said_in_log(gate, "cookies")
    assert len(said_in_log(gate, "cookies off")) == 1, said_in_log(gate, "cookies")
    sent = cookies(gate)["sent"]
    assert dial(lab, family, 20)["failed"] == 0
    assert cookies(gate)["sent"] == sent, "cookies are given after the flood"


@pytest.mark.smoke
@pytest.mark.parametrize("workers", [1, 4])
def test_honest_clients_connect_under_a_small_flood(lab, gate, web, family, workers):
    gate.start({"daemon": {"workers": workers}, "rule web": {"port": "80, 81", "syncookies": "always"}})
    learn(lab, gate, family)
    flood = Flood(lab, family, rate=1000)
    honest = dial(lab, family, 200, rate=100)
    sent = flood.stop()
    assert (honest["connections"], honest["errors"]) == (200, {})
    assert cookies(gate)["accepted"] >= 200
    assert eventually(lambda: cookies(gate)["sent"] >= sent["sent"])
    assert half_open(lab.server) == 0


def sent_again(namespace):
    """SYN-ACKs, and SYNs of its own, that a kernel has sent more than once."""
    return int(namespace.run("nstat", "-saz", "TcpExtTCPSynRetrans").stdout.split()[-2])


def test_servers_answers_are_not_lost_among_syns(lab, gate, web, family):
    """The queue of the SYNs overflows all the time; what servers say to handshakes does not wait there."""
    gate.start({"netfilter": {"queue_length": 64},
                # A rule by source: the kernel can't drop its SYNs by itself.
                "rule web": {"port": 80, "syncookies": "always", "from": "0.0.0.0/0, ::/0"}})
    accepted = learn(lab, gate, family)
    flood = Flood(lab, family, rate=30_000)
    before = sent_again(lab.server)
    honest = dial(lab, family, 400, rate=200)
    flood.stop()
    assert (honest["connections"], honest["errors"]) == (400, {})
    assert cookies(gate)["logged"] == 0
    assert cookies(gate)["accepted"] >= accepted + 400
    assert gate.queue_losses() > 1000, "no queue has overflown"
    assert sent_again(lab.server) == before


@pytest.mark.smoke
@forwarded
def test_what_comes_back_is_a_syn_ack_to_others_too(lab, gate, web):
    """hping3 has a TCP of its own."""
    gate.start({"rule web": {"port": 80, "syncookies": "always"}})
    learn(lab, gate, 4)
    before = cookies(gate)["sent"]
    answers = lab.client.run("hping3", "-S", "-p", "80", "-c", "5", "-i", "u20000", lab.server_address[4]).stdout
    assert answers.count("flags=SA") == 5, answers
    assert cookies(gate)["sent"] == before + 5
