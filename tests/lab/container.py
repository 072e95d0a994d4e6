# SPDX-License-Identifier: GPL-2.0-or-later
"""A container as Docker runs one: behind a bridge of the host, with a port published through the host's addresses."""

import firewalls
from netns import Namespace, next_number
from topology import FAMILIES

BRIDGE = "docker0"
HOST = {4: "172.17.0.1", 6: "fd00:17::1"}
CONTAINER = {4: "172.17.0.2", 6: "fd00:17::2"}
NETWORK = {4: "172.17.0.0/16", 6: "fd00:17::/64"}
OUTER, INNER, UNPUBLISHED = 8080, 80, 81


class Container:
    """A namespace on docker0, and enough of a Lab's shape for a Witness."""

    kind = "forwarded"

    def __init__(self, lab):
        self.server = Namespace("container", next_number())
        lab.namespaces.append(self.server)
        host = lab.gate
        host.ip("link", "add", BRIDGE, "type", "bridge")
        host.ip("link", "add", "vethc", "index", "200", "type", "veth",
                "peer", "name", "eth0", "netns", self.server.name)
        host.ip("link", "set", "vethc", "master", BRIDGE)
        for namespace, device, addresses in ((host, BRIDGE, HOST), (self.server, "eth0", CONTAINER)):
            namespace.sysctl(f"net.ipv6.conf.{device}.accept_dad", 0)
            namespace.ip("address", "add", f"{addresses[4]}/16", "dev", device)
            namespace.ip("address", "add", f"{addresses[6]}/64", "dev", device)
            namespace.ip("link", "set", device, "up")
        host.ip("link", "set", "vethc", "up")
        host.sysctl("net.ipv4.ip_forward", 1)
        host.sysctl("net.ipv6.conf.all.forwarding", 1)
        for family in FAMILIES:
            self.server.ip(f"-{family}", "route", "add", "default", "via", HOST[family])
        firewalls.docker(host, BRIDGE, NETWORK, CONTAINER, OUTER, INNER)
