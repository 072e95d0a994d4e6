# SPDX-License-Identifier: GPL-2.0-or-later
"""
Under a flood the kernel drops the SYNs of its server and only tells of them. All is as if they had been queued, but for the
cost.
"""

import json
import time

import pytest

from floods import SPOOFED_NETWORK, Dial, Flood, cookies, dial, learn
from services import connect
from topology import CLIENT, eventually

RATE = 30_000
FEW = 1000

forwarded = pytest.mark.parametrize("kind", ["forwarded"])


def rule(syncookies="always", **more):
    return {"rule web": {"port": "80, 81", "syncookies": syncookies, **more}}


def listed(gate):
    """How many servers the kernel is told of."""
    done = gate.namespace.run("nft", "--json", "list", "table", "inet", "ackgate_unqueued", check=False)
    entries = json.loads(done.stdout)["nftables"] if done.returncode == 0 else []
    return sum(len(entry["map"].get("elem", [])) for entry in entries if "map" in entry)


def logs(gate):
    """Whether SYNs come by the log, now."""
    before = cookies(gate)["logged"]
    return eventually(lambda: cookies(gate)["logged"] > before + FEW, timeout=1)


def begin(lab, gate, family, sections, **options):
    gate.start(sections)
    learn(lab, gate, family)
    flood = Flood(lab, family, rate=RATE, **options)
    assert eventually(lambda: logs(gate), timeout=20), gate.status()
    return flood


@pytest.mark.parametrize("workers", [1, 3])
def test_honest_clients_connect(lab, gate, web, family, workers):
    flood = begin(lab, gate, family, {"daemon": {"workers": workers}, **rule()})
    before = cookies(gate)
    honest = dial(lab, family, 300, rate=150)
    assert (honest["connections"], honest["errors"]) == (300, {})
    after = cookies(gate)
    assert after["accepted"] >= before["accepted"] + 300
    assert listed(gate) == 1
    sent = flood.stop()["sent"]
    # A busy machine loses some before any rule has seen them.
    assert eventually(lambda: cookies(gate)["sent"] >= 0.95 * sent)
    assert gate.status()["queue"]["packets"] < sent
    assert (after["logged_in_vain"], after["log_lost"]) == (0, 0)
    # A client that waits for its server may probe the closed window.
    assert set(gate.drops()) <= {"not_established"}
    # It is over: a lone SYN need not wait for others.
    assert eventually(lambda: listed(gate) == 0, timeout=5)
    logged = cookies(gate)["logged"]
    assert dial(lab, family, 20)["failed"] == 0
    assert cookies(gate)["logged"] == logged


@forwarded
def test_adaptive_ones_end_as_ever(lab, gate, web, family):
    flood = begin(lab, gate, family, {**rule("adaptive", half_open=500), "timeouts": {"syn_sent": "2s", "syn_received": "2s"}})
    assert gate.rule("web")["cookies_active"]
    assert dial(lab, family, 100, rate=100)["failed"] == 0
    flood.stop()
    assert eventually(lambda: not gate.rule("web")["cookies_active"], timeout=20)
    assert eventually(lambda: listed(gate) == 0, timeout=2)
    sent = cookies(gate)["sent"]
    assert dial(lab, family, 20)["failed"] == 0
    assert cookies(gate)["sent"] == sent


@forwarded
def test_limits_hold(lab, gate, web, family):
    begin(lab, gate, family, rule(syn_rate="5/s burst 5"))
    many = Dial(lab, family, 30, rate=60, timeout=2, source="one").finish()
    assert many["connections"] < 30
    assert eventually(lambda: gate.drops().get("source_rate", 0) > 0)


@forwarded
def test_what_the_filter_refuses_gets_no_cookie(lab, gate, web, family):
    flood = begin(lab, gate, family, rule())
    table = "iptables" if family == 4 else "ip6tables"
    lab.gate.run(table, "-I", "FORWARD", "-s", SPOOFED_NETWORK[family], "-j", "DROP")
    time.sleep(0.3)
    sent = cookies(gate)["sent"]
    assert dial(lab, family, 50, rate=100)["failed"] == 0
    time.sleep(0.5)
    assert cookies(gate)["sent"] <= sent + 60
    flood.stop()


@forwarded
def test_a_rule_before_it_keeps_its_say(lab, gate, web, family):
    """Some clients fall under another rule: the kernel can't tell by the server alone."""
    gate.start({"rule friends": {"from": CLIENT[family], "port": 80, "mode": "accept"}, **rule()})
    gate.reload({**rule()})
    learn(lab, gate, family)
    gate.reload({"rule friends": {"from": CLIENT[family], "port": 80, "mode": "accept"}, **rule()})
    Flood(lab, family, rate=RATE)
    assert eventually(lambda: cookies(gate)["sent"] > RATE, timeout=20), gate.status()
    assert cookies(gate)["logged"] == 0
    accepted = cookies(gate)["accepted"]
    connect(lab.client, lab.server_address[family], 80).close()
    assert cookies(gate)["accepted"] == accepted


@forwarded
def test_reload_to_never(lab, gate, web, family):
    begin(lab, gate, family, rule())
    gate.reload(rule("never"))
    logged = cookies(gate)["logged"]
    assert listed(gate) == 0
    sent = cookies(gate)["sent"]
    started = gate.status()["handshakes"]["started"]
    time.sleep(1)
    assert cookies(gate)["sent"] == sent
    assert cookies(gate)["logged"] <= logged + 500
    assert gate.status()["handshakes"]["started"] > started + FEW


@forwarded
def test_reload_to_the_same(lab, gate, web, family):
    begin(lab, gate, family, rule())
    honest = Dial(lab, family, 300, rate=100)
    for _ in range(3):
        time.sleep(0.7)
        gate.reload(rule())
    assert honest.finish()["errors"] == {}
    assert eventually(lambda: logs(gate), timeout=5)


@pytest.mark.parametrize("on_failure", ["open", "closed"])
@forwarded
def test_a_killed_daemon_drops_nothing_for_long(lab, gate, web, family, on_failure):
    flood = begin(lab, gate, family, {**rule(), "netfilter": {"on_failure": on_failure}})
    gate.kill()
    assert listed(gate) == 1
    assert eventually(lambda: listed(gate) == 0, timeout=4)
    flood.stop()
    if on_failure == "open":
        connect(lab.client, lab.server_address[family], 80, timeout=5).close()
    gate.start({**rule(), "netfilter": {"on_failure": on_failure}})
    assert dial(lab, family, 20)["failed"] == 0


@forwarded
def test_rules_flushed_by_others(lab, gate, web, family):
    begin(lab, gate, family, rule())
    lab.gate.run("nft", "flush", "ruleset")
    assert eventually(lambda: logs(gate), timeout=15), gate.status()
    assert dial(lab, family, 50, rate=100)["failed"] == 0


@forwarded
def test_no_place_behind_rules_of_others(lab, gate, web, family):
    """Where judging is by iptables, others may have rules in the same table before ours."""
    for table in ("iptables", "ip6tables"):
        lab.gate.run(table, "-t", "security", "-I", "FORWARD", "-p", "tcp", "--dport", "9", "-j", "DROP")
    gate.start(rule())
    if gate.status()["manage"] != "iptables":
        pytest.skip("judged by nftables, one priority behind them")
    learn(lab, gate, family)
    Flood(lab, family, rate=RATE)
    assert eventually(lambda: cookies(gate)["sent"] > RATE, timeout=20), gate.status()
    assert cookies(gate)["logged"] == 0


@forwarded
def test_nothing_stays_when_it_stops(lab, gate, web, family):
    flood = begin(lab, gate, family, rule())
    flood.stop()
    gate.stop()
    assert "ackgate_unqueued" not in lab.gate.run("nft", "list", "tables").stdout
