# SPDX-License-Identifier: GPL-2.0-or-later
"""A cookie is good wherever and whenever its secret is: at another gate, and after a restart."""

import os
import re
import time

import pytest

from floods import Dial, Flood, cookies, dial, learn
from services import Echo, connect, talk
from topology import CLIENT, FAMILIES, SERVER, Lab, eventually, link
from wire import raw_client

PORT = 7
# The second gate's networks: client and gate, gate and server.
SIDE = {4: ("10.0.3.2", "10.0.3.1", 24), 6: ("fd00:3::2", "fd00:3::1", 64)}
INSIDE = {4: ("10.0.4.2", "10.0.4.1", 24), 6: ("fd00:4::2", "fd00:4::1", 64)}


def namespace_devices(namespace):
    return [line.split("@")[0] for line in namespace.ip("-br", "link").split("\n") if "@" in line]


class TwoWays(Lab):
    """
    A second gate beside the first, between the same client and the same server:

        client --- gate  --- server
               \\-- gate2 --/
    """

    def _build(self):
        super()._build()
        self.gate2 = self.namespace("gate2")
        link(self.client, "eth1", self.gate2, "client0", list(SIDE.values()), index=101)
        link(self.server, "eth1", self.gate2, "server0", list(INSIDE.values()), index=101)
        self.gate2.sysctl("net.ipv4.ip_forward", 1)
        self.gate2.sysctl("net.ipv6.conf.all.forwarding", 1)
        for namespace in self.namespaces:
            for device in ("all", *namespace_devices(namespace)):
                namespace.sysctl(f"net.ipv4.conf.{device}.rp_filter", 0)
        for family in FAMILIES:
            self.gate2.ip(f"-{family}", "route", "add", CLIENT[family], "via", SIDE[family][0])
            self.gate2.ip(f"-{family}", "route", "add", SERVER[family], "via", INSIDE[family][0])

    def answer_by_the_second(self, family):
        """From now on the server's packets go by the second gate."""
        self.server.ip(f"-{family}", "route", "add", CLIENT[family], "via", INSIDE[family][1])

    def ask_by_the_first(self, family):
        """From now on the client's SYNs go by the first gate and all its other packets by the second."""
        self.client.ip(f"-{family}", "route", "add", SERVER[family], "via", SIDE[family][1], "table", "100")
        self.client.ip(f"-{family}", "rule", "add", "fwmark", "1", "lookup", "100")
        tool = "ip6tables" if family == 6 else "iptables"
        self.client.run(tool, "-t", "mangle", "-A", "OUTPUT", "-p", "tcp", "!", "--syn", "-j", "MARK", "--set-mark", "1")


@pytest.fixture
def kind():
    return "forwarded"


@pytest.fixture
def lab(kind):
    made = TwoWays(kind)
    yield made
    made.close()


def secret(lab):
    path = lab.path("secret")
    with open(path, "wb") as file:
        file.write(os.urandom(32))
    os.chmod(path, 0o600)
    return path


def pair(lab, new_gate, secrets):
    """Two gates for one service, each with its own of the secrets; the first knows the server."""
    rules = {"rule echo": {"port": PORT, "syncookies": "always"}}
    gates = [new_gate(namespace).start({"cookies": {"secret_file": path}, **rules})
             for namespace, path in zip((lab.gate, lab.gate2), secrets)]
    return gates


def test_the_picture_is_right(lab, family):
    """Without a gate in either way, a handshake takes both."""
    lab.closing(Echo(lab.server, PORT))
    lab.answer_by_the_second(family)
    lab.ask_by_the_first(family)
    seen = {}
    for name in ("gate", "gate2"):
        getattr(lab, name).run("nft", "-f", "-", text="""
            table inet lab {
                chain seen {
                    type filter hook forward priority 0
                    tcp flags syn / syn,ack counter
                    tcp flags ack / syn,ack counter
                    tcp flags syn,ack / syn,ack counter
                }
            }""")
    client = lab.closing(connect(lab.client, SERVER[family], PORT))
    assert talk(client)
    for name in ("gate", "gate2"):
        listing = getattr(lab, name).run("nft", "list", "table", "inet", "lab").stdout
        seen[name] = [int(number) > 0 for number in re.findall(r"packets (\d+)", listing)]
    assert seen == {"gate": [True, False, False], "gate2": [False, True, True]}


@pytest.mark.smoke
def test_a_handshake_takes_both_ways(lab, new_gate, family):
    lab.closing(Echo(lab.server, PORT))
    first, second = pair(lab, new_gate, [secret(lab)] * 2)
    before = learn(lab, first, family, port=PORT)
    lab.answer_by_the_second(family)
    lab.ask_by_the_first(family)
    for _ in range(20):
        client = connect(lab.client, SERVER[family], PORT)
        assert talk(client)
        client.close()
    assert cookies(first)["accepted"] == before
    assert cookies(second)["accepted"] == 20
    assert second.failed() == {}


def test_another_secret_is_another_gates(lab, new_gate, family):
    lab.closing(Echo(lab.server, PORT))
    secrets = [secret(lab)]
    os.rename(secrets[0], lab.path("first"))
    first, second = pair(lab, new_gate, [lab.path("first"), secret(lab)])
    learn(lab, first, family, port=PORT)
    lab.answer_by_the_second(family)
    lab.ask_by_the_first(family)
    client = lab.closing(connect(lab.client, SERVER[family], PORT, timeout=2))
    with pytest.raises(OSError):
        talk(client)
    assert cookies(second)["accepted"] == 0
    assert eventually(lambda: sum(second.drops().values()) >= 1)


@pytest.mark.parametrize("kind", ["forwarded", "local"])
class TestRestart:
    """In a lab with one gate."""

    @pytest.fixture
    def lab(self, kind):
        made = Lab(kind)
        yield made
        made.close()

    @pytest.mark.smoke
    @pytest.mark.parametrize("how", ["stop", "kill"])
    def test_an_ack_after_a_restart(self, lab, gate, family, how):
        """SYN and SYN-ACK before it, the ACK after it."""
        lab.closing(Echo(lab.server, PORT))
        gate.start({"rule echo": {"port": PORT, "syncookies": "always"}})
        learn(lab, gate, family, port=PORT)
        flow = raw_client(lab, family).flow(lab.server_address[family], PORT)
        flow.syn(options=[("MSS", 1460)])
        answer = flow.expect("SA")
        assert answer.window == 0
        getattr(gate, how)()
        gate.start()
        flow.seq, flow.ack = flow.seq + 1, answer.seq + 1
        flow.send("A")
        assert eventually(lambda: cookies(gate)["accepted"] == 1), gate.status()
        assert flow.expect("A")
        flow.send("PA", b"hello")
        assert bytes(flow.expect("PA").payload) == b"hello"

    @pytest.mark.long
    @pytest.mark.parametrize("how", ["stop", "kill"])
    def test_a_restart_in_the_middle_of_a_flood(self, lab, gate, web, family, how, figures):
        """Whoever was connecting connects; closed in between, so that the flood does not reach the server."""
        gate.start({"netfilter": {"on_failure": "closed"}, "rule web": {"port": 80, "syncookies": "always"}})
        learn(lab, gate, family)
        flood = Flood(lab, family)
        honest = Dial(lab, family, 400, rate=100)
        time.sleep(1.5)
        getattr(gate, how)()
        gate.start()
        result = honest.finish()
        sent = flood.stop()
        figures(f"{result['connections']} of 400 {result['errors']}, {sent['per_s']:.0f} SYN/s, "
                f"connect max {result['connect_ms']['max']:.0f} ms")
        assert (result["connections"], result["errors"]) == (400, {})
        assert cookies(gate)["accepted"] >= 100

    def test_a_reload_in_the_middle(self, lab, gate, web, family):
        rules = {"rule web": {"port": 80, "syncookies": "always"}}
        gate.start(rules)
        before = learn(lab, gate, family)
        honest = Dial(lab, family, 300, rate=150)
        for number in range(3):
            time.sleep(0.5)
            gate.reload({**rules, f"rule extra{number}": {"port": 9000 + number}})
        result = honest.finish()
        assert (result["connections"], result["errors"]) == (300, {})
        assert cookies(gate)["accepted"] - before == 300
        assert gate.drops() == {}

    def test_always_and_never_by_turns(self, lab, gate, web, family):
        """Cookies that are under way when they are switched off are good still."""
        gate.start({"rule web": {"port": 80, "syncookies": "always"}})
        learn(lab, gate, family)
        honest = Dial(lab, family, 300, rate=150)
        for number in range(8):
            gate.reload({"rule web": {"port": 80, "syncookies": ("never", "always")[number % 2]}})
            time.sleep(0.2)
        result = honest.finish()
        assert (result["connections"], result["errors"]) == (300, {})
        assert dial(lab, family, 10)["failed"] == 0
        assert gate.drops() == {}
