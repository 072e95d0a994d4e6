# SPDX-License-Identifier: GPL-2.0-or-later
"""
Splice mode at work, in front of whoever ran `sudo ./run --splice`: two web servers behind one rule, one of them stopped and
started again while wrk asks. All in namespaces of their own; nothing of it touches this host's network.
"""

import os
import re
import signal
import subprocess
import sys
import time

from gate import Gate, ini
from services import Nginx
from stage import DIM, PLAIN, Story, perform, setting, title
from topology import GATE, SERVER, eventually

PORT = 80
FIRST, SECOND = 8001, 8002
CONNECTIONS = 20
PAGE_SIZE = 1000

RULES = {
    "rule web": {"mode": "splice", "listen": f"{GATE[4]}:{PORT}", "backend": "web"},
    "backend web": {"servers": f"{SERVER[4]}:{FIRST}, {SERVER[4]}:{SECOND}", "check_interval": "500ms", "fall": 2, "rise": 2},
}


class Splicing(Story):
    def __init__(self, lab, gate):
        super().__init__(lab, gate)
        self.servers = {}
        self.starts = 0

    def start(self, port):
        self.starts += 1
        folder = self.lab.path(f"start-{self.starts}")
        os.makedirs(folder)
        self.servers[port] = self.lab.closing(Nginx(self.lab.server, folder, ports=(port,), backlog=4096))
        self.servers[port].publish("index.html", PAGE_SIZE)

    def stop(self, port):
        self.servers[port].process.send_signal(signal.SIGQUIT)
        self.servers[port].process.wait(10)

    def served(self):
        """Connections that each server has had."""
        return {server["server"].rpartition(":")[2]: server["total"] for server in self.gate.ask("backends")["servers"]}

    def state(self, port):
        return next(server["state"] for server in self.gate.ask("backends")["servers"] if server["server"].endswith(f":{port}"))

    def administer(self, word, port):
        self.gate.ctl("backends", word, f"web/{SERVER[4]}:{port}")

    def await_state(self, port, state):
        seen = eventually(lambda: self.state(port) == state, 10)
        self.tell(f"server {port}", f"is {self.state(port)}, {self.shares()}", bool(seen))

    def shares(self):
        now = self.served()
        new = {port: n - self.before.get(port, 0) for port, n in now.items()}
        self.before = now
        return "since then " + ", ".join(f"{n:,} connections went to {port}" for port, n in new.items())

    before = {}


class Wrk:
    """Requests, a connection for each, until finish()."""

    def __init__(self, lab):
        self.process = lab.client.popen(
            "wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", "60s", "--timeout", "10s", "-H", "Connection: close",
            f"http://{GATE[4]}:{PORT}/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lab.closing(self)

    def finish(self):
        """Requests that were answered, and those that failed."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=15)
        requests = int(re.search(r"(\d+) requests in", said)[1])
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
        wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        return requests, sum(map(int, errors.groups() if errors else ())) + (int(wrong[1]) if wrong else 0)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def act(story):
    title(f"wrk asks, {CONNECTIONS} at once, a connection for each request; meanwhile server {FIRST} is replaced")
    story.before = story.served()
    wrk = Wrk(story.lab)
    time.sleep(1.5)
    story.tell("both servers", story.shares())
    story.administer("drain", FIRST)
    story.await_state(FIRST, "draining")
    time.sleep(0.5)
    story.before = story.served()
    story.stop(FIRST)
    time.sleep(1.5)
    story.tell(f"server {FIRST} was stopped", story.shares())
    story.start(FIRST)
    story.administer("enable", FIRST)
    story.await_state(FIRST, "up")
    time.sleep(1.5)
    story.tell(f"server {FIRST} was started again", story.shares())
    requests, failures = wrk.finish()
    story.tell("requests of wrk", f"{requests:,} answered, {failures} failed", failures == 0 and requests > 0)


def crash(story):
    title(f"The same, and server {SECOND} dies without a word")
    wrk = Wrk(story.lab)
    time.sleep(1)
    story.before = story.served()
    story.servers[SECOND].close()
    story.await_state(SECOND, "down")
    story.start(SECOND)
    story.await_state(SECOND, "up")
    time.sleep(1)
    story.tell(f"server {SECOND} was started again", story.shares())
    requests, failures = wrk.finish()
    # What it had already been asked it can't answer any more, and nobody may ask another in its stead; nor those who came
    # while its processes died one after the other.
    story.tell("requests of wrk", f"{requests:,} answered, {failures} failed: those that it was at work on",
               failures <= 2 * CONNECTIONS)


def show(lab):
    title("A client, a gate and two web servers, in network namespaces of their own")
    print(f"  client {DIM}->{PLAIN} gate {GATE[4]}:{PORT} {DIM}->{PLAIN} nginx {SERVER[4]}:{FIRST} and :{SECOND}")
    gate = lab.closing(Gate(lab.gate, lab.directory))
    story = Splicing(lab, gate)
    for port in (FIRST, SECOND):
        story.start(port)
    gate.start({"daemon": {"log_level": "notice"}, **RULES})
    print(f"  ackgated runs at the gate:\n{DIM}" +
          "".join(f"    {line}\n" for line in ini(RULES).strip().splitlines() if line) + PLAIN, end="")
    act(story)
    crash(story)
    for page in ("backends", "status"):
        title(f"ackgatectl {page}")
        print(gate.ctl(page).stdout)
    title("The gate's log")
    print("\n".join(line for line in gate.log().splitlines() if "server web" in line or "web/" in line))
    return story.good


def play():
    with setting() as lab:
        return show(lab)


sys.exit(perform(play))
