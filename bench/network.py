# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benches with traffic share: private namespaces, links, programs that end with them."""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = "/run/bench"

NGINX = f"""
daemon off; user root; worker_processes auto; pid {WORK}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 0;
    server {{ listen 80 reuseport backlog=4096; location / {{ return 200 "ok\\n"; }} }}
}}
"""


class Trouble(Exception):
    """Nothing could be measured; the text says why."""


def run(command, namespace=None):
    """Runs a command line to its end and returns what it wrote."""
    argv = command.split()
    if namespace:
        argv = ["ip", "netns", "exec", namespace] + argv
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def link(a, a_address, b, b_address):
    """A veth pair between two namespaces, named after where it leads."""
    run(f"ip -n {a} link add to-{b} type veth peer name to-{a} netns {b}")
    for namespace, device, address in ((a, f"to-{b}", a_address), (b, f"to-{a}", b_address)):
        run(f"ip -n {namespace} address add {address}/24 dev {device}")
        run(f"ip -n {namespace} link set {device} up")


@dataclasses.dataclass
class Side:
    """One of the ways from client to server; `net` is the second byte of its addresses."""
    name: str
    net: int
    next_client: int = 0

    @property
    def server(self):
        return f"10.{self.net}.2.2"

    @property
    def first_client(self):
        return f"10.{self.net}.128.0"


def build_side(side):
    ten = f"10.{side.net}"
    run(f"ip netns add {side.name}")
    run(f"ip -n {side.name} link set lo up")
    link("client", f"{ten}.1.2", side.name, f"{ten}.1.1")
    link(side.name, f"{ten}.2.1", "server", f"{ten}.2.2")
    run("sysctl -q -w net.ipv4.ip_forward=1", side.name)
    # A range of clients: the whole of it is local to the client's namespace.
    run(f"ip -n client route add local {ten}.128.0/17 dev lo")
    run(f"ip -n client route add {ten}.2.0/24 via {ten}.1.1")
    run(f"ip -n {side.name} route add {ten}.128.0/17 via {ten}.1.2")
    run(f"ip -n server route add {ten}.0.0/16 via {ten}.2.1")


def build_ends(sides):
    """Client and server, and the ways between them."""
    for namespace in ("client", "server"):
        run(f"ip netns add {namespace}")
        run(f"ip -n {namespace} link set lo up")
    for side in sides:
        build_side(side)


def await_listeners(namespace, *ports):
    deadline = time.monotonic() + 10
    while True:
        listeners = run("ss -Hltn", namespace)
        missing = [port for port in ports if f":{port} " not in listeners]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise Trouble(f"nobody listens on port {missing[0]}")
        time.sleep(0.05)


class Programs:
    """Programs that run in namespaces, and end with an ExitStack."""

    def __init__(self, folder, processes):
        self.programs = folder
        self.processes = processes

    @staticmethod
    def file(name, text):
        path = os.path.join(WORK, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def daemon(self, namespace, *argv):
        with open(f"{WORK}/{os.path.basename(argv[0])}.log", "wb") as log:
            process = subprocess.Popen(["ip", "netns", "exec", namespace, *argv],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def await_gate(self, process):
        deadline = time.monotonic() + 15
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(Trouble):
                self.status()
                return
            time.sleep(0.1)
        with open(f"{WORK}/ackgated.log", encoding="utf-8", errors="replace") as log:
            raise Trouble("ackgated did not get ready:\n" + log.read())

    def status(self):
        return json.loads(run(f"{self.programs}/ackgatectl -s {WORK}/control --json status"))


def find_programs(wanted):
    """The folder with both programs and, built if need be, the bench's own."""
    folder = wanted or os.path.join(ROOT, "build")
    if not wanted and not os.path.exists(f"{folder}/ackgated"):
        folder = run(f"{ROOT}/run --build").splitlines()[-1]
    folder = os.path.abspath(folder)
    for program in ("ackgated", "ackgatectl"):
        if not os.access(f"{folder}/{program}", os.X_OK):
            raise Trouble(f"{folder} has no {program}: build it (./run --build), or name its folder by --bin")
    if os.path.exists(f"{folder}/Makefile"):
        run(f"make -C {folder} bench")
    return folder


def read_options(description, *switches):
    """switches: (name, help) of what this bench alone has."""
    parser = argparse.ArgumentParser(description=description.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", metavar="DIR", help="the build to measure (default: build/, or what ./run --build makes)")
    parser.add_argument("--quick", action="store_true", help="less than a minute, and less sure")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a figure is not as wanted")
    for name, text in switches:
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def enter_namespaces(options, tools):
    """Runs this program again where all it makes is private and ends with it."""
    if os.geteuid() != 0:
        raise Trouble("network namespaces need root")
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise Trouble("not installed: " + ", ".join(missing))
    again = ["--inside", "--bin", find_programs(options.bin)]
    again += [f"--{name}" for name, value in vars(options).items() if value is True]
    os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                          sys.executable, os.path.abspath(sys.argv[0]), *again])


def main(measure, options, tools):
    """Runs measure(options) where all is private; it returns whether all was as wanted. Returns the exit status."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    try:
        if not options.inside:
            enter_namespaces(options, tools)
        run("mount -t tmpfs tmpfs /run")
        os.mkdir(WORK)
        good = measure(options)
    except Trouble as trouble:
        print(f"bench/{os.path.basename(sys.argv[0])}: {trouble}", file=sys.stderr)
        return 3
    return 0 if good or not options.strict else 1
