# SPDX-License-Identifier: GPL-2.0-or-later
"""
The gate at work, in front of whoever ran `sudo ./run`: a client, a gate and a server in namespaces of their own, real
clients and real attacks, and what arrived at the server. Nothing of it touches this host's network.
"""

import random
import sys
import time

from gate import Gate, ini
from services import Downloads, Nginx
from stage import DIM, PLAIN, Story, perform, setting, title
from topology import SERVER, eventually, literal
from wire import Witness, raw_client

CONNECTIONS = 50
SIZE = 1_000_000

RULES = {"rule web": {"port": 80}}
SCANS = {"FIN": "-sF", "NULL": "-sN", "Xmas": "-sX", "ACK": "-sA"}


class Gatekeeping(Story):
    WIDTH = 58

    def honest(self, nginx, family):
        before = self.gate.queue_packets()
        began = time.monotonic()
        url = f"http://{literal(SERVER[family])}/"
        _, intact = Downloads(self.lab.client, self.lab.directory, SERVER[family], nginx, "file", CONNECTIONS).finish()
        packets = (self.gate.queue_packets() - before) / CONNECTIONS
        self.tell(f"{CONNECTIONS} parallel downloads of 1 MB by curl, {url}",
                  f"{intact} intact in {time.monotonic() - began:.1f} s, "
                  f"{packets:.1f} packets each cost user space", intact == CONNECTIONS)

    def attack(self, what, act):
        """Does act() with a witness at the server; the witness must see only what act() says may arrive."""
        before = self.gate.drops()
        witness = Witness(self.lab)
        allowed = act() or set()
        eventually(lambda: self.gate.drops() != before, timeout=1)
        time.sleep(0.1)
        arrived = [flags for flags in witness.flags() if flags not in allowed]
        witness.close()
        counted = {reason: n - before.get(reason, 0) for reason, n in self.gate.drops().items() if n != before.get(reason)}
        words = ", ".join(f"{n} {reason}" for reason, n in counted.items()) or "nothing counted"
        self.tell(what, f"{len(arrived)} reached the server; dropped: {words}", not arrived and bool(counted))

    def scan(self, family, option):
        self.lab.client.run("nmap", option, "-Pn", "-n", "--max-retries", "1", "--host-timeout", "5s", "-p", "80",
                            *(["-6"] if family == 6 else []), SERVER[family])

    def junk(self, family):
        peer = raw_client(self.lab, family)
        for _ in range(100):
            peer.flow(SERVER[family], 80).send("PA", b"GET / HTTP/1.0\r\n\r\n", ack=random.getrandbits(32))

    def wrong_ack(self, family):
        flow = raw_client(self.lab, family).flow(SERVER[family], 80)
        flow.syn()
        answer = flow.expect("SA")
        flow.send("PA", b"GET / HTTP/1.0\r\n\r\n", seq=flow.seq + 1, ack=answer.seq + 1000)
        return {"S"}


def show(lab):
    title("A client, a gate and a server, each in a network namespace of its own")
    print("  client 10.0.1.2, fd00:1::2  ---  gate  ---  server 10.0.2.2, fd00:2::2 (nginx)")
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("file", SIZE)
    gate = Gate(lab.gate, lab.directory)
    lab.closing(gate)
    gate.start(RULES)
    print(f"  ackgated runs at the gate; its rules are {DIM}{ini(RULES).strip().replace(chr(10), '  ')}{PLAIN}")

    story = Gatekeeping(lab, gate)
    title("Honest clients get through")
    for family in (4, 6):
        story.honest(nginx, family)
    title("What completes no handshake does not")
    for name, option in SCANS.items():
        story.attack(f"nmap {option}: {name} scan", lambda option=option: story.scan(4, option))
    for family in (4, 6):
        story.attack(f"100 segments out of nowhere, with data (IPv{family})", lambda family=family: story.junk(family))
        story.attack(f"a SYN, then a third ACK with a guessed number (IPv{family})",
                     lambda family=family: story.wrong_ack(family))
    title("And the honest ones still do")
    story.honest(nginx, 4)
    title("ackgatectl status")
    print(gate.ctl("status").stdout)
    return story.good


def play():
    with setting() as lab:
        return show(lab)


sys.exit(perform(play))
