# SPDX-License-Identifier: GPL-2.0-or-later
"""The nftables way, beyond what the lab's tests ask of either way. For a kernel with nftables' "queue"."""

import os
import re
import threading

import pytest

from gate import programs
from services import Downloads, Echo, Nginx, connect, talk
from topology import FAMILIES, eventually
from wire import raw_client, witness

PORT = 7
TABLE = ("nft", "list", "table", "inet", "ackgate")

forwarded = pytest.mark.parametrize("kind", ["forwarded"])
local = pytest.mark.parametrize("kind", ["local"])

# What others may have, a name that begins like ours included.
THEIRS = """
    table inet ackgate_not {
        chain input {
            type filter hook input priority 60; policy accept;
            tcp dport 9 counter drop
        }
    }
    table ip theirs {
        set some {
            type ipv4_addr
            elements = { 192.0.2.1 }
        }
        chain apart {
            ip saddr @some drop
        }
    }
    table inet firewall {
        chain input {
            type filter hook input priority 10; policy drop;
            ct state established,related accept
            meta l4proto { icmp, ipv6-icmp } accept
            tcp dport 7 accept
        }
    }
"""


def listing(namespace, *what):
    return namespace.run("nft", "--stateless", "list", *(what or ("ruleset",))).stdout


def counters(namespace):
    """What our rules have counted, as nft shows it."""
    return [line for line in namespace.run(*TABLE).stdout.splitlines() if "counter" in line]


def retransmits(namespace):
    names, values = [line.split() for line in namespace.read("/proc/thread-self/net/snmp").splitlines()
                     if line.startswith("Tcp:")]
    return int(values[names.index("RetransSegs")])


@forwarded
@pytest.mark.parametrize("manage", ["auto", "nftables"])
def test_nftables_is_chosen(lab, gate, manage):
    gate.start({"netfilter": {"manage": manage}, "rule echo": {"port": PORT}})
    assert gate.status()["manage"] == "nftables"
    assert "queue" in listing(lab.gate, *TABLE[2:])
    assert "ackgate" not in lab.gate.run("iptables-save").stdout.lower()


@forwarded
def test_printed_rules_are_the_installed_ones(lab, gate):
    """`nft -f` takes what -n prints, for every kind of rule there is."""
    gate.write({
        "rule gate": {"port": "80, 443, 8000-8080", "from": "10.0.0.0/8, fd00::/16, 192.0.2.1-192.0.2.9"},
        "rule full": {"port": 81, "to": "10.0.2.2", "inspect": "full"},
        "rule here": {"port": 82, "interface": "client0, lo"},
        "rule observed": {"port": 83, "enforce": "no"},
        "rule shut": {"port": 84, "mode": "drop"},
        "rule refused": {"port": 85, "mode": "reject"},
        "rule open": {"from": "fd00:9::/64", "mode": "accept"},
    })
    gate.start()
    printed = lab.gate.run(os.path.join(programs(), "ackgated"), "-c", gate.file, "-n").stdout
    lab.client.run("nft", "-f", "-", text=printed)
    assert listing(lab.client, *TABLE[2:]) == listing(lab.gate, *TABLE[2:])


def test_scans_die_in_the_kernel(lab, gate, family):
    """Flags of no handshake, and a client's word in the middle of nothing: counted by reason, and never queued."""
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT}})
    seen = witness(lab)
    peer = raw_client(lab, family)
    server = lab.server_address[family]
    for flags in ("F", "", "FPU", "A", "PA", "SA"):
        peer.flow(server, PORT).send(flags, ack=1 if "A" in flags else 0)
    wanted = {"bad_flags": 3, "no_flow": 3}
    assert gate.await_drops(wanted, timeout=20) == wanted
    assert gate.rule("echo")["dropped"] == 6
    assert gate.queue_packets() == 0
    assert seen.flags() == []
    assert sum(int(re.search(r"packets (\d+)", line)[1]) for line in counters(lab.gate)) == 6


@local
def test_workers_share_a_range_of_queues(lab, gate):
    """Two workers: clients' handshakes by the first two queues, flows inspected in full by the next two, servers' answers by the last."""
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("file", 300_000)
    sources = [f"10.0.1.{last}" for last in range(10, 26)]
    for source in sources:
        lab.client.ip("address", "add", f"{source}/24", "dev", "eth0")
    lab.closing(Echo(lab.server, PORT))
    gate.start({"daemon": {"workers": 2}, "rule web": {"port": 80, "inspect": "full"}, "rule echo": {"port": PORT}})
    for source in sources:
        client = connect(lab.client, lab.server_address[4], PORT, source=source)
        assert talk(client)
        client.close()
    for family in FAMILIES:
        downloads = Downloads(lab.client, lab.directory, lab.server_address[family], nginx, "file", count=3)
        assert downloads.finish() == ("", 3)
    rows = lab.gate.read("/proc/thread-self/net/netfilter/nfnetlink_queue").splitlines()
    packets = {int(row.split()[0]): int(row.split()[7]) for row in rows}
    assert sorted(packets) == list(range(5200, 5210))
    assert packets[5200] and packets[5201] and packets[5208] and packets[5209] and packets[5202] + packets[5203] > 100, packets
    assert gate.drops() == {} and gate.queue_losses() == 0
    assert gate.status()["handshakes"]["completed"] == len(sources) + 6


def test_reloads_drop_no_queued_packet(lab, gate):
    """Handshakes go on through twenty reloads: no SYN is sent twice, nothing is refused, no queue loses a packet."""
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT}})
    stop = threading.Event()
    made, broken = [], []

    def customers():
        while not stop.is_set():
            for family in FAMILIES:
                try:
                    client = connect(lab.client, lab.server_address[family], PORT, timeout=10)
                    made.append(talk(client))
                    client.close()
                except OSError as problem:
                    broken.append(problem)

    sent_again = retransmits(lab.client)
    customer = threading.Thread(target=customers)
    customer.start()
    try:
        for number in range(20):
            gate.reload({"rule echo": {"port": PORT}, f"rule extra{number}": {"port": 9000 + number}}, timeout=20)
    finally:
        stop.set()
        customer.join()
    assert broken == [] and all(made) and len(made) > 20
    assert retransmits(lab.client) == sent_again
    assert gate.drops() == {} and gate.queue_losses() == 0
    assert gate.status()["handshakes"]["completed"] == len(made)


@forwarded
def test_counters_never_go_back(lab, gate):
    """Reloads and a flush by others renew the kernel's counters; what has been counted stays."""
    gate.start({"rule echo": {"port": PORT}})
    flow = raw_client(lab, 4).flow(lab.server_address[4], PORT)
    for total in range(1, 7):
        flow.send("F")
        assert gate.await_drops({"bad_flags": total}, timeout=20) == {"bad_flags": total}
        if total % 2:
            gate.reload({"rule echo": {"port": PORT}, f"rule extra{total}": {"port": 9000}}, timeout=20)
        else:
            lab.gate.run("nft", "flush", "ruleset")
            assert gate.drops() == {"bad_flags": total}
            assert eventually(lambda: counters(lab.gate), timeout=20)
        assert gate.drops() == {"bad_flags": total}


@local
def test_other_tables_stay(lab, gate):
    lab.gate.run("nft", "-f", "-", text=THEIRS)
    before = listing(lab.gate)
    lab.closing(Echo(lab.server, PORT))
    lab.closing(Echo(lab.server, 81))
    gate.start({"rule all": {"port": f"{PORT}, 81"}})
    assert before in listing(lab.gate)
    client = connect(lab.client, lab.server_address[4], PORT)
    assert talk(client)
    flow = raw_client(lab, 4).flow(lab.server_address[4], 81)
    flow.syn()
    assert flow.expect("SA", timeout=2) is None
    assert gate.status()["handshakes"]["started"] == 1, "what their firewall refuses is none of ours"
    gate.reload({"rule all": {"port": PORT}}, timeout=20)
    assert before in listing(lab.gate)
    gate.stop()
    assert listing(lab.gate) == before
    assert talk(client)
    client.close()


@forwarded
def test_a_crash_and_the_other_way(lab, gate):
    """What a crashed daemon left by one way is gone when the next goes the other way; admitted flows go on."""
    lab.closing(Echo(lab.server, PORT))
    rule = {"rule echo": {"port": PORT}}
    before = listing(lab.gate)
    gate.start({"netfilter": {"manage": "nftables"}, **rule})
    standing = [connect(lab.client, lab.server_address[family], PORT) for family in FAMILIES]
    assert all(talk(client) for client in standing)
    for manage in ("iptables", "nftables"):
        gate.kill()
        assert all(talk(client) for client in standing)
        gate.start({"netfilter": {"manage": manage}, **rule})
        assert gate.status()["manage"] == manage
        assert ("table inet ackgate" in listing(lab.gate)) == (manage == "nftables")
        assert ("ACKGATE" in lab.gate.run("iptables-save").stdout) == (manage == "iptables")
        assert all(talk(client) for client in standing)
        client = connect(lab.client, lab.server_address[6], PORT)
        assert talk(client)
        client.close()
    gate.stop()
    assert "ackgate" not in (before + listing(lab.gate)).lower()
    for client in standing:
        client.close()
