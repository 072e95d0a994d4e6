# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections that began with a cookie outlive the daemon, and whoever flushes the kernel's rules."""

import pytest

from floods import cookies, learn
from services import Downloads, Echo, Nginx, connect, talk
from topology import FAMILIES, eventually
from test_06_crash import TABLES, rules

CONNECTIONS = 5
SIZE = 8_000_000
LASTING = "inet ackgate_lasting"


def lasting(lab):
    return LASTING in lab.gate.run("nft", "list", "tables").stdout


def stop_and_start(lab, gate):
    gate.stop()
    assert lasting(lab), "what translates is gone"
    gate.start()


def kill_and_start(lab, gate):
    gate.kill()
    assert lasting(lab)
    gate.start()


def flush_nftables(lab, gate):
    lab.gate.run("nft", "flush", "ruleset")
    assert eventually(lambda: lasting(lab), timeout=15), gate.log()


def flush_iptables(lab, gate):
    for tool in ("iptables", "ip6tables"):
        for table in TABLES:
            lab.gate.run(tool, "-t", table, "-F")
    assert lasting(lab)


@pytest.mark.smoke
@pytest.mark.parametrize("act", [stop_and_start, kill_and_start, flush_nftables, flush_iptables], ids=lambda act: act.__name__)
def test_transfers_go_on(lab, gate, family, act):
    nginx = lab.closing(Nginx(lab.server, lab.directory, slow_rate="2m"))
    nginx.publish("file", SIZE)
    lab.closing(Echo(lab.server, 7))
    gate.start({"rule all": {"port": "7, 80", "syncookies": "always"}})
    learn(lab, gate, family, port=7)
    before = learn(lab, gate, family)
    standing = lab.closing(connect(lab.client, lab.server_address[family], 7))
    assert talk(standing)
    downloads = lab.closing(Downloads(lab.client, lab.directory, lab.server_address[family], nginx, "file",
                                      count=CONNECTIONS, slow=True))
    assert eventually(downloads.all_running)
    assert cookies(gate)["accepted"] == before + CONNECTIONS + 1
    act(lab, gate)
    standing.settimeout(20)
    assert talk(standing)
    assert downloads.process.poll() is None, "the transfers were over before anything could break them"
    assert downloads.finish() == ("", CONNECTIONS)
    assert talk(standing)
    learn(lab, gate, family, port=7)
    fresh = lab.closing(connect(lab.client, lab.server_address[family], 7))
    assert talk(fresh)


@pytest.mark.smoke
def test_without_a_daemon_transfers_end_intact_and_nothing_is_left(lab, gate, family):
    before = rules(lab.gate)
    nginx = lab.closing(Nginx(lab.server, lab.directory, slow_rate="2m"))
    nginx.publish("file", SIZE)
    gate.start({"rule web": {"port": 80, "syncookies": "always"}})
    learn(lab, gate, family)
    downloads = lab.closing(Downloads(lab.client, lab.directory, lab.server_address[family], nginx, "file",
                                      count=CONNECTIONS, slow=True))
    assert eventually(downloads.all_running)
    gate.stop()
    assert "ackgate_lasting" in gate.log(), "what stays is not named in the log"
    left = [line for line in rules(lab.gate) if line not in before]
    assert left == [f"table {LASTING}"], left
    assert downloads.finish() == ("", CONNECTIONS)

    # The next start that finds nobody takes it away with it.
    lab.gate.run("conntrack", "-F")
    gate.start()
    gate.stop()
    assert rules(lab.gate) == before


def test_purge_takes_it_all(lab, gate, family):
    before = rules(lab.gate)
    lab.closing(Echo(lab.server, 7))
    gate.start({"rule echo": {"port": 7, "syncookies": "always"}})
    learn(lab, gate, family, port=7)
    standing = lab.closing(connect(lab.client, lab.server_address[family], 7))
    assert talk(standing)
    gate.stop()
    assert lasting(lab)
    process = gate.spawn("--purge")
    assert process.wait(20) == 0, gate.log()
    assert rules(lab.gate) == before


def test_an_idle_daemon_leaves_nothing(lab, gate):
    """No connection that began with a cookie: nothing to stay for."""
    before = rules(lab.gate)
    lab.closing(Echo(lab.server, 7))
    gate.start({"rule echo": {"port": 7}})
    assert lasting(lab), "cookies are adaptive by default"
    standing = [lab.closing(connect(lab.client, lab.server_address[family], 7)) for family in FAMILIES]
    assert all(talk(one) for one in standing)
    gate.stop()
    assert rules(lab.gate) == before
    assert all(talk(one) for one in standing)


def test_never_needs_nothing(lab, gate):
    gate.start({"rule echo": {"port": 7, "syncookies": "never"}})
    assert "synproxy" not in lab.gate.run("nft", "list", "ruleset").stdout
