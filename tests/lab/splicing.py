# SPDX-License-Identifier: GPL-2.0-or-later
"""
The gate as a proxy, for tests of splice mode: rules that listen, services whose every step a test plays itself, streams that
are compared byte by byte, and what a daemon must have given back once its connections have ended.
"""

import contextlib
import os
import re
import resource
import socket
import struct
import threading
import time

import floods
from gate import Gate
from services import connect
from topology import CLIENT, FAMILIES, GATE, SERVER, Lab, eventually, literal

LONG = floods.LONG
MODES = ("splice", "copy")
SERVICE_PORT = 9000

# Of a length that no power of two divides: bytes that are lost, doubled or moved do not fit the pattern where they arrive.
PERIOD = 1_000_003
_PATTERN = memoryview(os.urandom(PERIOD) * 2)
PIECE = 256 * 1024


def raise_descriptors():
    """As many as may be, for this process and all that it starts."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def rule(listen, backend="service", mode="splice", **keys):
    """The keys of a rule that splices; `listen` as `ADDR:PORT`."""
    return {"mode": "splice", "listen": listen, "backend": backend, "splice": "yes" if mode == "splice" else "no", **keys}


def at(addresses, family, port):
    """at(SERVER, 6, 80) as a configuration writes it."""
    return f"{literal(addresses[family])}:{port}"


def dump(client):
    """Closes a socket by an RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def ending(client, timeout=5):
    """What comes at last: "FIN", "RST", or what else was read."""
    client.settimeout(timeout)
    try:
        heard = client.recv(65536)
    except (ConnectionResetError, BrokenPipeError):
        return "RST"
    return repr(heard) if heard else "FIN"


def hear(client, count, timeout=5):
    """So many bytes; fewer if the other end has sent its FIN."""
    client.settimeout(timeout)
    heard = b""
    while len(heard) < count and (more := client.recv(count - len(heard))):
        heard += more
    return heard


def pour(client, size, start=0, timeout=60):
    """Sends `size` bytes of the pattern from its place `start` on."""
    client.settimeout(timeout)
    sent = 0
    while sent < size:
        place = (start + sent) % PERIOD
        sent += client.send(_PATTERN[place:place + min(PIECE, size - sent)])


def drain(client, start=0, most=None, timeout=60, each=None):
    """Reads until the other end's FIN, or `most` bytes, each of which must fit; returns how many. each(n): called meanwhile."""
    client.settimeout(timeout)
    buffer = memoryview(bytearray(PIECE))
    got = 0
    while most is None or got < most:
        n = client.recv_into(buffer[:PIECE if most is None else min(PIECE, most - got)])
        if n == 0:
            break
        place = (start + got) % PERIOD
        if buffer[:n] != _PATTERN[place:place + n]:
            raise AssertionError(f"wrong bytes between {got} and {got + n}")
        got += n
        if each:
            each(got)
    return got


class Task(threading.Thread):
    """A function in a thread of its own; result() waits, and returns or raises what it did."""

    def __init__(self, function, *arguments, **options):
        super().__init__(daemon=True)
        self._call = lambda: function(*arguments, **options)
        self._value = self._problem = None
        self.start()

    def run(self):
        try:
            self._value = self._call()
        except BaseException as problem:  # the caller gets it
            self._problem = problem

    def result(self, timeout=120):
        self.join(timeout)
        assert not self.is_alive(), "not done in time"
        if self._problem:
            raise self._problem
        return self._value


class Deaf:
    """A host that says nothing to new connections, between begin() and end()."""

    def __init__(self, namespace, port=None):
        self._namespace = namespace
        self._match = f"tcp dport {port}" if port else ""
        self._table = f"deaf{port or ''}"
        self._on = False

    def begin(self):
        self._namespace.run("nft", "-f", "-", text=f"""
            table inet {self._table} {{
                chain syns {{ type filter hook input priority 0; {self._match} tcp flags & (syn | ack) == syn drop; }}
            }}""")
        self._on = True
        return self

    def end(self):
        if self._on:
            self._namespace.run("nft", "delete", "table", "inet", self._table)
            self._on = False

    close = end


class Service:
    """A service whose ends a test plays itself: accept() gives the next connection."""

    def __init__(self, namespace, address, port=SERVICE_PORT, backlog=8192):
        with namespace.entered():
            self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(backlog)

    def accept(self, timeout=5):
        self.listener.settimeout(timeout)
        return self.listener.accept()[0]

    def nobody(self, timeout=0.3):
        """Whether nobody comes in that time."""
        with contextlib.suppress(TimeoutError):
            self.accept(timeout).close()
            return False
        return True

    def close(self):
        self.listener.close()


class Answers:
    """A service that says its name to each who comes, and closes; counts them."""

    def __init__(self, namespace, address, port, name, pause=0):
        self.name = name
        self.count = 0
        self._pause = threading.Event()
        self._wait = pause
        self._service = Service(namespace, address, port)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._pause.is_set():
            try:
                peer = self._service.accept(0.2)
            except TimeoutError:
                continue
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                self._pause.wait(self._wait)
                peer.sendall(self.name.encode())
                # Who only looks whether somebody is there has not come for the name.
                peer.shutdown(socket.SHUT_WR)
                peer.settimeout(2)
                self.count += peer.recv(100) == b"who?"

    def close(self):
        self._pause.set()
        self._thread.join()
        self._service.close()


def ask(namespace, address, port, timeout=5):
    """Which of several Answers has answered."""
    client = connect(namespace, address, port, timeout)
    with client:
        client.sendall(b"who?")
        return hear(client, 100, timeout).decode()


def descriptors(gate):
    """How many of each kind the daemon has: {"socket": 12, "pipe": 2}."""
    kinds = {}
    folder = f"/proc/{gate.process.pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            kind = os.readlink(f"{folder}/{name}").partition(":")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def cpu_seconds(gate):
    """What the daemon has taken so far, all threads together."""
    with open(f"/proc/{gate.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Pipes that a splicing thread keeps for later, both ends of each.
PIPES_KEPT = 2 * 64


class Proxy:
    """A lab whose gate splices."""

    def __init__(self, lab, gate):
        self.lab = lab
        self.gate = gate
        self.before = {}
        self.sockets_before = []

    def start(self, sections):
        """sections: rules and backends, as Gate.write takes them."""
        self.gate.start(sections)
        self.note()
        return self

    def note(self):
        """What the daemon has open now is what it must have open at the end; but for the looks it takes at its servers."""
        eventually(lambda: all(line.startswith("LISTEN") for line in self.sockets()), timeout=2)
        self.before = descriptors(self.gate)
        self.sockets_before = self.sockets()

    def dial(self, family, port, **options):
        return connect(self.lab.client, GATE[family], port, **options)

    def turned_away(self, family, port, words=b""):
        """How a connection ends that is not to be served: "RST" even before connect() has returned, or as ending() says."""
        try:
            with self.dial(family, port) as client:
                client.sendall(words)
                return ending(client)
        except (ConnectionResetError, BrokenPipeError):
            return "RST"

    def open(self):
        return self.gate.status()["splice"]["open"]

    def sockets(self):
        """The daemon's TCP sockets."""
        owner = f"pid={self.gate.process.pid},"
        return [line for line in self.lab.gate.run("ss", "-Htanp").stdout.splitlines() if owner in line]

    def await_settled(self, timeout=10):
        """Waits until no connection is left, and asserts that nothing of one is."""
        assert eventually(lambda: self.open() == 0, timeout), f"{self.open()} connections are still open"
        wanted = len(self.sockets_before)
        assert eventually(lambda: len(self.sockets()) == wanted, timeout), \
            "\n".join([*self.sockets()[:50], "before:", *self.sockets_before])
        now = descriptors(self.gate)
        assert now.get("pipe", 0) <= self.before.get("pipe", 0) + PIPES_KEPT, now
        # Whoever asks is there as well for a moment.
        assert sum(now.values()) - now.get("pipe", 0) <= sum(self.before.values()) - self.before.get("pipe", 0) + 3, now


# What a connection meets at the gate besides.
KINDS = ("plain", "waits", "proxied")


def port_of(mode, kind="plain"):
    return 7000 + 10 * KINDS.index(kind) + MODES.index(mode)


class Crossing(Proxy):
    """One daemon with rules for both modes and families, all to one service of each family; for many short tests."""

    def __init__(self):
        lab = Lab("forwarded")
        try:
            directory = lab.path("gate")
            os.makedirs(directory)
            os.chmod(directory, 0o755)
            super().__init__(lab, lab.closing(Gate(lab.gate, directory)))
            self.services = {family: lab.closing(Service(lab.server, SERVER[family])) for family in FAMILIES}
            self.start(self._sections())
        except BaseException:
            lab.close()
            raise

    @staticmethod
    def _sections():
        keys = {"plain": {}, "waits": {"wait_for_data": "yes"},
                "proxied": {"accept_proxy": "any", "trusted_proxies": f"{CLIENT[4]}, {CLIENT[6]}"}}
        sections = {}
        for family in FAMILIES:
            sections[f"backend service{family}"] = {"servers": at(SERVER, family, SERVICE_PORT), "check": "off"}
            for mode in MODES:
                for kind in KINDS:
                    sections[f"rule {kind}-{mode}{family}"] = rule(
                        at(GATE, family, port_of(mode, kind)), f"service{family}", mode, **keys[kind])
        return sections

    def client(self, mode, family, kind="plain"):
        return self.dial(family, port_of(mode, kind))

    def pair(self, mode, family):
        """Both ends of a new connection."""
        client = self.client(mode, family)
        return client, self.services[family].accept()


class Journal:
    """What a daemon with `log = journal` tells systemd's, which is not here: the daemon sees a /run of its own with this socket."""

    def __init__(self, gate):
        self._path = os.path.join(gate.directory, "journal.sock")
        gate.namespace.sysctl("net.unix.max_dgram_qlen", 1000)
        with gate.namespace.entered():
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._path)
        os.chmod(self._path, 0o666)
        gate.under[:0] = ["sh", "-ec", """
            mount -t tmpfs -o mode=755 none /run
            mkdir -p /run/systemd/journal
            ln -s "$0" /run/systemd/journal/socket
            exec "$@" """, self._path]

    def await_entry(self, field, timeout=5):
        """The next one with that field, as a dictionary."""
        self._socket.settimeout(timeout)
        while True:
            entry = dict(line.split("=", 1) for line in self._socket.recv(65536).decode().splitlines())
            if field in entry:
                return entry

    def close(self):
        self._socket.close()


ENDING = re.compile(
    r"spliced (?P<client>\S+), rule (?P<rule>[^,]+), server (?P<server>[^,]*?): (?P<how>[^,]*?) by (?P<by>client|server|gate), "
    r"(?P<phase>[a-z-]+); handshake (?P<handshake>[^,]+), connect (?P<connect>[^,]+), total (?P<total>[^,]+), "
    r"(?P<bytes_in>\d+) bytes in, (?P<bytes_out>\d+) out")


def endings(gate):
    """The log's lines about connections that have ended, a dictionary each."""
    return [match.groupdict() for match in ENDING.finditer(gate.log())]


def await_ending(gate, number=0, timeout=5):
    """The line about the connection that was the number-th to end."""
    assert eventually(lambda: len(endings(gate)) > number, timeout), gate.log()[-3000:]
    return endings(gate)[number]
