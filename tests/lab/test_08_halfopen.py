# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 8: ten thousand half-open flows cost the memory promised, and go when they should."""

import ctypes
import socket
import struct
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from services import Echo, connect, talk
from topology import MAC, RAW_CLIENT, RAW_SERVER, eventually

FLOWS = 10_000
PORT = 7
BYTES_A_FLOW = 64
# Cookies would keep the table from filling.
NEVER = {"syncookies": "never"}

forwarded = pytest.mark.parametrize("kind", ["forwarded"])


def burst(lab, family, count, destination):
    """`count` SYNs, each of another port, at a pace that no queue overflows at. One frame is made; ports and checksum are patched."""
    ip = (IPv6 if family == 6 else IP)(src=RAW_CLIENT[family], dst=destination)
    frame = bytearray(bytes(Ether(src=MAC["client", "eth0"], dst=MAC["gate", "client0"]) / ip /
                            TCP(sport=0, dport=PORT, flags="S", seq=1)))
    tcp = 14 + (40 if family == 6 else 20)
    (base,) = struct.unpack_from("!H", frame, tcp + 16)
    with lab.client.entered():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.bind(("eth0", 0))
    with wire:
        for number in range(count):
            port = 10_000 + number
            total = (~base & 0xFFFF) + port
            struct.pack_into("!H", frame, tcp, port)
            struct.pack_into("!H", frame, tcp + 16, ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
            wire.send(frame)
            if number % 500 == 499:
                time.sleep(0.02)


@pytest.fixture
def small_pages():
    """The daemon asks for large pages, of which one more or less is as much as all that is measured here."""
    pr_set_thp_disable = 41
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(pr_set_thp_disable, 1, 0, 0, 0) == 0
    yield
    assert prctl(pr_set_thp_disable, 0, 0, 0, 0) == 0


@forwarded
@pytest.mark.usefixtures("small_pages")
def test_memory_and_expiry(lab, gate, family):
    gate.start({"rule silent": {"port": PORT, **NEVER}, "timeouts": {"syn_sent": "5s"}})
    gate.status()  # which takes some memory of its own when it is asked for first
    idle = gate.memory_kib()
    began = time.monotonic()
    burst(lab, family, FLOWS, RAW_SERVER[family])
    assert eventually(lambda: gate.status()["flows"]["syn_sent"] == FLOWS, timeout=4), gate.status()
    sent = time.monotonic()
    # The tables are there from the start; what grows is how much of them has been touched.
    assert gate.memory_kib() - idle < 4 * FLOWS * BYTES_A_FLOW // 1024
    assert gate.await_failed({"no_syn_ack": FLOWS}, timeout=12) == {"no_syn_ack": FLOWS}
    ended = time.monotonic()
    assert ended - began > 4.5 and ended - sent < 8
    flows = gate.status()["flows"]
    assert flows["syn_sent"] + flows["syn_received"] == 0
    assert eventually(lambda: int(lab.gate.read("/proc/sys/net/netfilter/nf_conntrack_count")) == 0)
    assert gate.queue_losses() == 0


@forwarded
def test_the_bound_holds_and_honest_clients_get_in(lab, gate, family):
    """A table for a thousand, ten thousand SYNs: the oldest go, conntrack holds no more than we do, and a client connects."""
    bound = 1000
    lab.closing(Echo(lab.server, PORT))
    gate.start({"limits": {"half_open": bound}, "rule echo": {"port": PORT, **NEVER}, "timeouts": {"syn_sent": "20s"}})
    idle = gate.memory_kib()
    burst(lab, family, FLOWS, RAW_SERVER[family])
    assert eventually(lambda: gate.queue_packets() >= FLOWS)
    assert eventually(lambda: gate.status()["handshakes"]["started"] >= FLOWS)
    status = gate.status()
    assert status["flows"]["syn_sent"] <= bound
    assert status["flows"]["syn_sent"] > bound * 0.9
    assert sum(gate.failed().values()) + status["flows"]["syn_sent"] == FLOWS
    assert int(lab.gate.read("/proc/sys/net/netfilter/nf_conntrack_count")) <= bound + 10
    assert gate.memory_kib() - idle < 2048
    client = connect(lab.client, lab.server_address[family], PORT)
    assert talk(client)
    client.close()


@pytest.mark.parametrize("kind", ["local"])
def test_half_open_flows_of_this_host_are_reset(lab, gate, family):
    """Flows that a server of this host has answered: as many RSTs when they expire, nothing left in its backlog."""
    count = 200
    lab.closing(Echo(lab.server, PORT))
    gate.start({"rule echo": {"port": PORT, **NEVER}, "timeouts": {"syn_received": "2s"}})
    burst(lab, family, count, lab.server_address[family])
    assert eventually(lambda: gate.status()["flows"]["syn_received"] == count), gate.status()["flows"]
    assert gate.await_failed({"no_ack": count}, timeout=8) == {"no_ack": count}
    assert eventually(lambda: "SYN-RECV" not in lab.server.run("ss", "-Htan").stdout)
