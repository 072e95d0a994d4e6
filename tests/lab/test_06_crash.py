# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 6: what stands outlives a crash; what was changed is put back at an orderly end."""

import os
import signal
import time

import pytest

from services import Downloads, Echo, Nginx, connect, talk
from topology import FAMILIES, eventually
from wire import raw_client, witness

CONNECTIONS = 20
SIZE = 1_500_000
TABLES = ("raw", "mangle", "nat", "filter", "security")


@pytest.mark.smoke
@pytest.mark.parametrize("on_failure", ["open", "closed"])
def test_kill_during_transfers(lab, gate, family, on_failure):
    server = lab.server_address[family]
    nginx = lab.closing(Nginx(lab.server, lab.directory, slow_rate="200k"))
    nginx.publish("file", SIZE)
    lab.closing(Echo(lab.server, 7))
    sections = {"netfilter": {"on_failure": on_failure}, "rule all": {"port": "7, 80"}}
    gate.start(sections)
    downloads = lab.closing(Downloads(lab.client, lab.directory, server, nginx, "file", count=CONNECTIONS, slow=True))
    standing = connect(lab.client, server, 7)
    assert talk(standing)
    assert eventually(downloads.all_running, timeout=10)

    gate.kill()
    assert talk(standing), "an admitted flow depends on the daemon"
    if on_failure == "open":
        fresh = connect(lab.client, server, 7)
        assert talk(fresh)
        fresh.close()
    else:
        with pytest.raises(TimeoutError):
            connect(lab.client, server, 7, timeout=1.5)
        assert talk(standing)

    gate.start()
    assert talk(standing)
    seen = witness(lab)
    flow = raw_client(lab, family).flow(server, 7)
    flow.send("PA", b"junk", ack=1)
    flow.send("F")
    wanted = {"no_flow": 1, "bad_flags": 1}
    assert eventually(lambda: all(gate.drops().get(reason) == n for reason, n in wanted.items())), gate.drops()
    assert flow.port not in [tcp.sport for _, tcp in seen.segments()]
    fresh = connect(lab.client, server, 7)
    assert talk(fresh) and talk(standing)
    assert gate.status()["handshakes"]["completed"] >= 1
    assert downloads.finish() == ("", CONNECTIONS)
    fresh.close()
    standing.close()


def rules(namespace):
    """Every rule and every chain that somebody made, of all tables, without counters."""
    found = []
    for family, tool in (("ip", "iptables-save"), ("ip6", "ip6tables-save")):
        for table in TABLES:
            lines = namespace.run(tool, "-t", table).stdout.splitlines()
            found += [f"{family} {table} {line}" for line in lines
                      if line.startswith("-A") or (line.startswith(":") and line.split()[1] == "-")]
    listing = namespace.run("nft", "list", "tables").stdout.split("\n")
    return found + [line for line in listing if line and not _made_by_iptables(line)]


def _made_by_iptables(line):
    """iptables-nft leaves its empty base chains behind, as it does for everybody."""
    return line.split()[1] in ("ip", "ip6") and line.split()[2] in TABLES


def sysctls(namespace):
    """All settings of the namespace's network, but not its counters and identities."""
    values = {}
    with namespace.entered():
        for base in ("ipv4", "ipv6", "netfilter", "core"):
            for folder, _, names in os.walk(f"/proc/sys/net/{base}"):
                for name in names:
                    path = os.path.join(folder, name)
                    if name in ("nf_conntrack_count", "stable_secret", "flush"):
                        continue
                    try:
                        with open(path, encoding="utf-8", errors="replace") as file:
                            values[path] = file.read()
                    except OSError:
                        continue
    return values


@pytest.mark.smoke
@pytest.mark.parametrize("kind", ["forwarded", "local"])
def test_an_orderly_end_leaves_everything_as_it_was(lab, gate):
    lab.closing(Echo(lab.server, 7))
    lab.gate.run("iptables", "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
    lab.gate.run("iptables", "-t", "security", "-A", "FORWARD", "-s", "192.0.2.2", "-j", "DROP")
    lab.gate.run("nft", "add table inet theirs; add chain inet theirs c { type filter hook input priority 0; }")
    before = rules(lab.gate), sysctls(lab.gate)
    gate.start({"rule echo": {"port": 7}, "rule full": {"port": 8, "inspect": "full"}})
    assert rules(lab.gate) != before[0]
    standing = [connect(lab.client, lab.server_address[family], 7) for family in FAMILIES]
    assert all(talk(one) for one in standing)
    gate.stop()
    assert rules(lab.gate) == before[0]
    after = sysctls(lab.gate)
    assert {path: (before[1].get(path), after.get(path)) for path in before[1].keys() | after.keys()
            if before[1].get(path) != after.get(path)} == {}
    assert all(talk(one) for one in standing)
    for one in standing:
        one.close()


@pytest.mark.parametrize("kind", ["forwarded"])
def test_purge_takes_away_what_a_crash_left(lab, gate):
    before = rules(lab.gate)
    gate.start({"netfilter": {"on_failure": "closed"}, "rule echo": {"port": 7}})
    gate.kill()
    assert rules(lab.gate) != before
    process = gate.spawn("--purge")
    assert process.wait(20) == 0, gate.log()
    assert rules(lab.gate) == before
    lab.closing(Echo(lab.server, 7))
    client = connect(lab.client, lab.server_address[4], 7)
    assert talk(client)
    client.close()


def test_rules_flushed_by_others_are_mended(lab, gate, family):
    """`flush ruleset`, or emptying our chains: noticed, said, put right; standing flows go on."""
    lab.closing(Echo(lab.server, 7))
    gate.start({"rule echo": {"port": 7}})
    server = lab.server_address[family]
    standing = connect(lab.client, server, 7)
    assert talk(standing)
    lab.gate.run("nft", "flush", "ruleset")
    seen = witness(lab)
    peer = raw_client(lab, family)

    def stopped():
        dropped = sum(gate.drops().values())
        peer.flow(server, 7).send("PA", b"junk", ack=1)
        return eventually(lambda: sum(gate.drops().values()) > dropped, timeout=0.3)

    assert eventually(stopped, timeout=15)
    assert talk(standing)
    before = len(seen.segments())
    peer.flow(server, 7).send("F")
    assert eventually(lambda: "bad_flags" in gate.drops())
    assert len(seen.segments()) == before
    standing.close()


@pytest.mark.parametrize("inspect", ["handshake", "full"])
def test_rules_flushed_just_before_a_reload(lab, gate, family, inspect):
    """`nft flush ruleset; systemctl reload ackgate`: the reload puts them back, and what it has not seen meanwhile is nobody's fault."""
    lab.closing(Echo(lab.server, 7))
    sections = {"rule echo": {"port": 7, "inspect": inspect}}
    gate.start(sections)
    server = lab.server_address[family]
    standing = connect(lab.client, server, 7)
    assert talk(standing)
    gate.signal(signal.SIGSTOP)
    lab.gate.run("nft", "flush", "ruleset")
    assert talk(standing)
    young = connect(lab.client, server, 7)
    assert talk(young)
    gate.write({**sections, "rule more": {"port": 9}})
    gate.signal(signal.SIGHUP)
    gate.signal(signal.SIGCONT)
    assert eventually(lambda: "generation 2 is in force" in gate.log(), 10)
    assert talk(standing) and talk(young)
    assert gate.log().count("somebody took our kernel rules away") == 1
    assert gate.drops() == {}
    standing.close()
    young.close()


@pytest.mark.parametrize("kind", ["forwarded"])
@pytest.mark.parametrize("name, loses", [("ackgated-helper", "the configuration can't be reloaded"),
                                         ("ackgated-nft", "the kernel's rules can't be changed")])
def test_a_child_of_the_daemon_dies(lab, gate, name, loses):
    """What goes on goes on, what does not is said."""
    lab.closing(Echo(lab.server, 7))
    sections = {"rule echo": {"port": 7, "inspect": "full"}}
    gate.start(sections)
    standing = connect(lab.client, lab.server_address[4], 7)
    assert talk(standing)
    assert gate.status()["notes"] == []
    child = gate.namespace.run("pgrep", "-P", str(gate.process.pid), "-x", name).stdout
    os.kill(int(child), signal.SIGKILL)
    assert eventually(lambda: any(loses in note for note in gate.status()["notes"]))
    status = gate.reload({**sections, "rule more": {"port": 9}}, timeout=10)
    assert "is gone" in status["config"]["last_error"]
    # Twice as long as it takes to see that the rules are in order.
    time.sleep(21)
    young = connect(lab.client, lab.server_address[4], 7)
    assert talk(standing) and talk(young)
    assert gate.status()["flows"]["established"] == 2, "they are still inspected"
    log = gate.log()
    assert log.count(loses) == 1
    assert "somebody took" not in log and log.count(" error: ") <= 2, log
    standing.close()
    young.close()


def interception(namespace):
    """The table, rules and routes of transparent interception, as an `ackgated` that was killed leaves them."""
    shown = [namespace.run("nft", "list", "tables").stdout.count("ackgate_tproxy")]
    for family in ("-4", "-6"):
        shown.append(namespace.run("ip", family, "rule").stdout.count("proto 172"))
        shown.append(namespace.run("ip", family, "route", "show", "table", "5200", check=False).stdout.count("proto 172"))
    return shown


@pytest.mark.parametrize("kind", ["forwarded"])
@pytest.mark.parametrize("act", ["start", "purge"])
def test_remains_of_transparent_interception_go(lab, gate, act):
    lab.gate.run("nft", "add table inet ackgate_tproxy")
    for family in ("-4", "-6"):
        lab.gate.run("ip", family, "rule", "add", "pref", "522", "protocol", "172", "fwmark", "1/1", "lookup", "5200")
        lab.gate.run("ip", family, "rule", "add", "pref", "523", "protocol", "172", "nop")
        lab.gate.run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "5200", "protocol", "172")
    assert interception(lab.gate) == [1, 2, 1, 2, 1]
    if act == "start":
        gate.start({"rule echo": {"port": 7}})
    else:
        gate.write({"rule echo": {"port": 7}})
        process = gate.spawn("--purge")
        assert process.wait(20) == 0, gate.log()
    assert interception(lab.gate) == [0, 0, 0, 0, 0]
