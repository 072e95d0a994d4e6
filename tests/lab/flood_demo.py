# SPDX-License-Identifier: GPL-2.0-or-later
"""
A SYN flood and honest clients at once, in front of whoever ran `sudo ./run --flood`: first without the gate, then with it. All in
namespaces of their own; nothing of it touches this host's network.
"""

import contextlib
import sys
import time

import floods
from floods import Dial, Flood, HalfOpen, cookies, learn, learned
from gate import Gate, ini
from services import Downloads, Nginx
from stage import DIM, PLAIN, Story, perform, setting, title
from topology import SERVER

CLIENTS = 300
SECONDS = 5
PATIENCE = 4
RATE = 100_000
SIZE = 20_000_000

RULES = {"rule web": {"port": 80, "half_open": 1000}}
FAMILY = 4


class Flooding(Story):
    def flood(self, promised):
        """Honest clients amid a flood; promised(share) says whether such a share of them was to be expected."""
        at_server = HalfOpen(self.lab.server)
        flood = Flood(self.lab, FAMILY, rate=RATE)
        time.sleep(0.5)
        honest = Dial(self.lab, FAMILY, CLIENTS, rate=CLIENTS / SECONDS, timeout=PATIENCE, in_flight=CLIENTS).finish()
        sent = flood.stop()
        most = at_server.stop()
        print(f"       {sent['sent']:,} spoofed SYNs in {sent['seconds']:.1f} s, {sent['per_s']:,.0f}/s, "
              "from a million addresses")
        print(f"       at most {most:,} half-open connections at the server")
        times = honest["connect_ms"]
        how = f", connected in {times['p50']:.1f} ms (p99 {times['p99']:.0f} ms)" if times else ""
        self.tell(f"{CLIENTS} honest clients meanwhile", f"{honest['connections']} were served{how}",
                  promised(honest["connections"] / CLIENTS))


def without(story):
    title("Without the gate: the server's table of half-open connections fills, and that is that")
    print(f"       {DIM}(its kernel's own SYN cookies are off, so that the flood can be seen){PLAIN}")
    story.flood(lambda share: share < 0.5)


def within(story, gate, nginx):
    title("With the gate: while there are too many, it answers SYNs itself, by cookies, and remembers none of them")
    print(f"       ackgated runs; its rules are {DIM}{ini(RULES).strip().replace(chr(10), '  ')}{PLAIN}")
    learn(story.lab, gate, FAMILY)
    known = learned(gate, SERVER[FAMILY], 80)
    print(f"       learned of the server: MSS {known['mss']}, window scale {known['wscale']}, "
          f"SACK {'yes' if known['sack'] else 'no'}, timestamps {'yes' if known['timestamps'] else 'no'}")
    story.flood(lambda share: share == 1)
    told = cookies(gate)
    story.tell("cookies", f"{told['sent']:,} sent, {told['accepted']:,} came back and were good", told["accepted"] > 0)
    _, intact = Downloads(story.lab.client, story.lab.directory, SERVER[FAMILY], nginx, "file", count=5).finish()
    story.tell("5 downloads of 20 MB, cookies on", f"{intact} intact, carried by the kernel", intact == 5)


@contextlib.contextmanager
def flooded():
    """nginx at the server, and the networks that everybody comes from."""
    with setting() as lab:
        floods.route(lab)
        lab.server.sysctl("net.ipv4.tcp_syncookies", 0)
        nginx = lab.closing(Nginx(lab.server, lab.directory, backlog=4096))
        nginx.publish("index.html", floods.PAGE_SIZE)
        nginx.publish("file", SIZE)
        yield lab, nginx


def play():
    title("A client, a gate and a server, each in a network namespace of its own, and a flood")
    with flooded() as (lab, _):
        before = Flooding(lab)
        without(before)
    with flooded() as (lab, nginx):
        gate = Gate(lab.gate, lab.directory)
        lab.closing(gate)
        gate.start(RULES)
        story = Flooding(lab)
        within(story, gate, nginx)
        for page in ("status", "rules"):
            title(f"ackgatectl {page}")
            print(gate.ctl(page).stdout)
        title("The gate's log")
        print("\n".join(line for line in gate.log().splitlines() if "cookies" in line))
    return before.good and story.good


sys.exit(perform(play))
