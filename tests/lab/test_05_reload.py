# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 5: a reload changes what holds for the next SYN and nothing else; a bad file changes nothing."""

import pytest

from services import Downloads, Nginx, connect
from topology import eventually

CONNECTIONS = 100
SIZE = 1_000_000


@pytest.fixture
def running(lab, gate, family):
    """A hundred transfers in their middle."""
    nginx = lab.closing(Nginx(lab.server, lab.directory, ports=(80, 81), slow_rate="200k"))
    nginx.publish("file", SIZE)
    gate.start({"rule web": {"port": "80, 81"}})
    downloads = lab.closing(Downloads(lab.client, lab.directory, lab.server_address[family], nginx, "file",
                                      count=CONNECTIONS, slow=True))
    assert eventually(downloads.all_running, timeout=10)
    return downloads


@pytest.mark.smoke
def test_a_good_file_holds_for_the_next_syn(lab, gate, running, family):
    server = lab.server_address[family]
    connect(lab.client, server, 81).close()
    before = gate.status()["config"]
    after = gate.reload({"rule old": {"port": 81, "mode": "drop"}, "rule web": {"port": "80, 81"}})
    assert after["config"]["generation"] > before["generation"]
    assert not after["config"]["last_error"]
    with pytest.raises(TimeoutError):
        connect(lab.client, server, 81, timeout=1.5)
    assert gate.drops()["rule"] >= 1
    connect(lab.client, server, 80).close()
    assert running.process.poll() is None, "the transfers were over before the reload could break them"
    assert running.finish() == ("", CONNECTIONS)
    assert set(gate.drops()) == {"rule"}


def test_many_reloads_break_no_transfer(lab, gate, running, family):
    for number in range(5):
        gate.reload({"rule web": {"port": "80, 81"}, f"rule extra{number}": {"port": 9000 + number}})
    assert running.process.poll() is None
    assert running.finish() == ("", CONNECTIONS)
    assert gate.drops() == {}


def test_standing_flows_survive_a_rule_against_them(lab, gate, running, family):
    """New rules judge new handshakes: standing flows are cut only by a block or a kill."""
    gate.reload({"rule web": {"port": "80, 81", "mode": "reject"}})
    with pytest.raises(ConnectionRefusedError):
        connect(lab.client, lab.server_address[family], 80, timeout=2)
    assert running.finish() == ("", CONNECTIONS)


def test_a_broken_file_changes_nothing_and_every_fault_is_listed(lab, gate, running, family):
    before = gate.status()["config"]
    rules = gate.ask("rules")
    text = "\n".join([
        "[daemon]",
        "colour = blue",
        "[rule web]",
        "port = 80",
        "port = 81",
        "mode = gates",
        "syn_rate = many",
        "[nonsense]",
        "[netfilter]",
        "queue_length = 99999999",
        "",
    ])
    after = gate.reload(text=text)["config"]
    assert after["generation"] == before["generation"]
    assert after["loaded_at"] == before["loaded_at"]
    log = gate.log()
    for line in (2, 5, 6, 7, 8, 10):
        assert f"{gate.file}:{line}: " in log, f"line {line} is not in the log:\n{log[-2000:]}"
    assert f"{gate.file}:2: " in str(after["last_error"])
    connect(lab.client, lab.server_address[family], 81).close()
    assert [rule["name"] for rule in gate.ask("rules")] == [rule["name"] for rule in rules] \
        if isinstance(rules, list) else gate.ask("rules").keys() == rules.keys()
    assert running.finish() == ("", CONNECTIONS)
    assert gate.drops() == {}


@pytest.mark.parametrize("kind", ["forwarded"])
def test_keys_that_need_a_restart_are_named_and_keep_their_value(lab, gate):
    gate.start({"rule web": {"port": 80}})
    gate.reload({"rule web": {"port": 80}, "netfilter": {"queue_length": 4096}})
    assert "queue_length" in gate.log()
    assert "queue_length = 4096" not in gate.ctl("config").stdout


@pytest.mark.parametrize("kind", ["forwarded"])
def test_a_reload_that_nobody_confirms_is_taken_back(lab, gate):
    gate.start({"rule web": {"port": 80}})
    gate.write({"rule other": {"port": 81}})
    assert gate.ctl("reload", "--confirm", "2s").returncode == 0
    assert [rule["name"] for rule in gate.status()["rules"]] == ["other"]
    assert eventually(lambda: [rule["name"] for rule in gate.status()["rules"]] == ["web"], timeout=6)
    assert gate.ctl("reload", "--confirm", "2s").returncode == 0
    assert gate.ctl("confirm").returncode == 0
    assert not eventually(lambda: [rule["name"] for rule in gate.status()["rules"]] == ["web"], timeout=4)
    assert gate.ctl("confirm").returncode == 1
