# SPDX-License-Identifier: GPL-2.0-or-later
"""
Two pictures of where a gate stands.

    forwarded:  client eth0 --- client0 gate server0 --- eth0 server
    local:      client eth0 --- client0 gate, which is the server as well

Every lab is private to its namespaces, so all labs use the same addresses. Two addresses belong to no kernel: behind them
are the endpoints that a test plays itself (wire.py), and no kernel answers in their place.
"""

import os
import shutil
import tempfile
import time

from netns import Namespace, next_number

CLIENT = {4: "10.0.1.2", 6: "fd00:1::2"}
GATE = {4: "10.0.1.1", 6: "fd00:1::1"}
GATE_INSIDE = {4: "10.0.2.1", 6: "fd00:2::1"}
SERVER = {4: "10.0.2.2", 6: "fd00:2::2"}
RAW_CLIENT = {4: "10.0.1.99", 6: "fd00:1::99"}
RAW_SERVER = {4: "10.0.2.99", 6: "fd00:2::99"}

MAC = {
    ("client", "eth0"): "02:00:00:00:01:02",
    ("gate", "client0"): "02:00:00:00:01:01",
    ("gate", "server0"): "02:00:00:00:02:01",
    ("server", "eth0"): "02:00:00:00:02:02",
    # Of larger pictures.
    ("client", "eth1"): "02:00:00:00:03:02",
    ("gate2", "client0"): "02:00:00:00:03:01",
    ("gate2", "server0"): "02:00:00:00:04:01",
    ("server", "eth1"): "02:00:00:00:04:02",
    ("client", "origin0"): "02:00:00:00:05:01",
    ("origin", "eth0"): "02:00:00:00:05:02",
    ("server", "far0"): "02:00:00:00:06:01",
    ("far", "eth0"): "02:00:00:00:06:02",
}

FAMILIES = (4, 6)


def literal(address):
    """An address as URLs and humans write it before a port."""
    return f"[{address}]" if ":" in address else address


def eventually(condition, timeout=5, every=0.05):
    """Waits until condition() is true and returns what it gave; the last false value when time is up."""
    deadline = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(every)
    return value


def link(a, a_device, b, b_device, networks, index=100):
    """A veth pair; networks: (address of a, address of b, prefix length) each; index: of a's end, one that b's is not."""
    # Of ends with different numbers the kernel reports the carrier at once, of others up to a second later.
    a.ip("link", "add", a_device, "index", str(index), "address", MAC[a.role, a_device], "type", "veth",
         "peer", "name", b_device, "address", MAC[b.role, b_device], "netns", b.name)
    for namespace, device, mine in ((a, a_device, 0), (b, b_device, 1)):
        namespace.sysctl(f"net.ipv6.conf.{device}.accept_dad", 0)
        namespace.sysctl(f"net.ipv6.conf.{device}.router_solicitations", 0)
        for network in networks:
            # Without nodad it would be tentative for a moment, and nobody could bind to it.
            namespace.ip("address", "add", f"{network[mine]}/{network[2]}", "dev", device, *(["nodad"] if ":" in network[mine] else []))
        namespace.ip("link", "set", device, "up")


class Lab:
    """The namespaces of one test and a folder for its files."""

    def __init__(self, kind="forwarded"):
        self.kind = kind
        self.directory = tempfile.mkdtemp(prefix=f"ackgate-{os.getpid()}-")
        os.chmod(self.directory, 0o755)
        self.namespaces = []
        self._closing = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def namespace(self, role, number=None):
        """One more namespace, which goes with the lab."""
        namespace = Namespace(role, number or next_number())
        self.namespaces.append(namespace)
        return namespace

    def _build(self):
        number = next_number()
        self.client = self.namespace("client", number)
        self.gate = self.namespace("gate", number)
        link(self.client, "eth0", self.gate, "client0",
              [(CLIENT[4], GATE[4], 24), (CLIENT[6], GATE[6], 64)])
        for family in FAMILIES:
            self.client.ip(f"-{family}", "route", "add", "default", "via", GATE[family])
            self.gate.ip("neigh", "add", RAW_CLIENT[family], "dev", "client0",
                         "lladdr", MAC["client", "eth0"], "nud", "permanent")
        if self.kind == "local":
            self.server = self.gate
            self.server_address = GATE
            return
        self.server = self.namespace("server", number)
        self.server_address = SERVER
        link(self.server, "eth0", self.gate, "server0",
              [(SERVER[4], GATE_INSIDE[4], 24), (SERVER[6], GATE_INSIDE[6], 64)])
        self.gate.sysctl("net.ipv4.ip_forward", 1)
        self.gate.sysctl("net.ipv6.conf.all.forwarding", 1)
        for family in FAMILIES:
            self.server.ip(f"-{family}", "route", "add", "default", "via", GATE_INSIDE[family])
            self.gate.ip("neigh", "add", RAW_SERVER[family], "dev", "server0",
                         "lladdr", MAC["server", "eth0"], "nud", "permanent")

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def closing(self, thing):
        """Has thing.close() called when the lab ends, last one first."""
        self._closing.append(thing)
        return thing

    def close(self):
        for thing in reversed(self._closing):
            try:
                thing.close()
            except Exception as problem:  # the rest must be taken away all the same
                print(f"closing {thing}: {problem!r}")
        for namespace in self.namespaces:
            namespace.delete()
        shutil.rmtree(self.directory, ignore_errors=True)
