# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind the gate and who comes to it: nginx, curl, a plain echo service, loss on a link."""

import contextlib
import hashlib
import os
import re
import select
import socket
import subprocess
import threading
import time

from topology import eventually, literal

IPV6_FREEBIND = 78
TCP_FASTOPEN_CONNECT = 30

NGINX_CONF = """\
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 5;
    client_body_temp_path {dir}/tmp-body;
    proxy_temp_path {dir}/tmp-proxy;
    fastcgi_temp_path {dir}/tmp-fastcgi;
    uwsgi_temp_path {dir}/tmp-uwsgi;
    scgi_temp_path {dir}/tmp-scgi;
    server {{
        {listen}
        root {dir}/www;
        location /slow/ {{ alias {dir}/www/; limit_rate {slow_rate}; }}
    }}
}}
"""


class Nginx:
    """nginx with everything it needs in one folder; /FILE at full speed, /slow/FILE at slow_rate bytes/s."""

    def __init__(self, namespace, directory, ports=(80,), slow_rate="100k", backlog=511):
        self.directory = os.path.join(directory, f"nginx-{ports[0]}")
        os.makedirs(os.path.join(self.directory, "www"))
        self.sums = {}
        listen = "\n        ".join(f"listen {port} backlog={backlog}; listen [::]:{port} backlog={backlog};" for port in ports)
        conf = os.path.join(self.directory, "nginx.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(NGINX_CONF.format(dir=self.directory, listen=listen, slow_rate=slow_rate))
        self.process = namespace.popen("nginx", "-p", self.directory, "-c", conf,
                                       "-e", os.path.join(self.directory, "nginx.log"),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not eventually(lambda: self._listening(namespace, ports)):
            raise RuntimeError("nginx does not listen")

    @staticmethod
    def _listening(namespace, ports):
        sockets = namespace.run("ss", "-Hltn").stdout
        return all(re.search(rf"\]:{port}\s", sockets) for port in ports)

    def publish(self, name, size):
        """A file of random bytes."""
        content = os.urandom(size)
        with open(os.path.join(self.directory, "www", name), "wb") as file:
            file.write(content)
        self.sums[name] = hashlib.sha256(content).hexdigest()
        return name

    def close(self):
        self.process.kill()
        self.process.wait()


class Downloads:
    """curl fetching one file `count` times at once, a connection each."""

    def __init__(self, namespace, directory, server, nginx, name, count=1, slow=False, port=80,
                 max_time=60):
        self.count = count
        self.sum = nginx.sums[name]
        self.directory = os.path.join(directory, f"downloads-{os.urandom(4).hex()}")
        os.makedirs(self.directory)
        path = f"slow/{name}" if slow else name
        self.process = namespace.popen(
            "curl", "--no-progress-meter", "--fail", *(["--parallel"] if count > 1 else []),
            *(["--parallel-immediate", "--parallel-max", str(count)] if count > 1 else []),
            "--header", "Connection: close", "--max-time", str(max_time),
            *self._urls(f"http://{literal(server)}:{port}/{path}"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _urls(self, url):
        # One pair each, not a glob: curl would take an IPv6 address for one.
        pairs = []
        for number in range(self.count):
            pairs += ["--output", os.path.join(self.directory, str(number)), f"{url}?{number}"]
        return ["--globoff", *pairs]

    def sizes(self):
        return [os.path.getsize(os.path.join(self.directory, name)) for name in os.listdir(self.directory)]

    def all_running(self):
        return len(self.sizes()) == self.count and min(self.sizes()) > 0

    def finish(self, timeout=90):
        """Waits for the end; returns curl's complaints and how many files came intact."""
        said, _ = self.process.communicate(timeout=timeout)
        intact = 0
        for number in range(self.count):
            path = os.path.join(self.directory, str(number))
            if os.path.exists(path):
                with open(path, "rb") as file:
                    intact += hashlib.sha256(file.read()).hexdigest() == self.sum
        return said, intact

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def readable(sockets, timeout):
    """Those of them that there is something to read from; select() would end at 1,024 descriptors."""
    poll = select.poll()
    for one in sockets:
        poll.register(one, select.POLLIN)
    ready = {number for number, _ in poll.poll(timeout * 1000)}
    return [one for one in sockets if one.fileno() in ready]


class Echo:
    """A service that sends back what it gets, and lets the test speak first through .peers."""

    def __init__(self, namespace, port, families=(4, 6)):
        self.peers = []
        self._listeners = []
        with namespace.entered():
            for family in families:
                listener = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == 6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind(("::" if family == 6 else "0.0.0.0", port))
                listener.listen(1024)
                self._listeners.append(listener)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._stop.is_set():
            for ready in readable(self._listeners + self.peers, 0.1):
                if ready in self._listeners:
                    self.peers.append(ready.accept()[0])
                elif ready in self.peers:
                    self._echo(ready)

    def take(self):
        """The server's end of the newest connection, for the test alone: nothing is sent back on it any more."""
        assert eventually(lambda: self.peers)
        peer = self.peers.pop()
        time.sleep(0.2)  # until select() has let go of it
        return peer

    def _echo(self, peer):
        try:
            heard = peer.recv(65536)
            if heard:
                peer.sendall(heard)
                return
        except OSError:
            pass
        self.peers.remove(peer)
        peer.close()

    def close(self):
        self._stop.set()
        self._thread.join()
        for one in self._listeners + self.peers:
            one.close()


def connect(namespace, address, port, timeout=5, source=None, fast_open=False):
    """A kernel's own client socket in that namespace; raises what connect() raises. fast_open: with the server's cookie it only
    connects when the first bytes are sent, and its SYN has them; without one it asks for it."""
    with namespace.entered():
        client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    client.settimeout(timeout)
    try:
        if source:
            if ":" in address:
                # It may be of a network that is local as a whole, and on no interface.
                client.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            client.bind((source, 0))
        if fast_open:
            client.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        client.connect((address, port))
    except BaseException:
        client.close()
        raise
    return client


def talk(client, words=b"are you there?"):
    """Whether an echo comes back over a connection."""
    client.sendall(words)
    heard = b""
    while len(heard) < len(words):
        more = client.recv(65536)
        if not more:
            return False
        heard += more
    return heard == words


def lose(namespace, share, device=None):
    """Random loss of what comes in, before any connection tracking."""
    for tool in ("iptables", "ip6tables"):
        namespace.run(tool, "-w", "-t", "raw", "-A", "PREROUTING", *(["-i", device] if device else []),
                      "-p", "tcp", "-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")


def keep_pace(namespace):
    """Keeps bad luck from growing into minutes: no pacing by what loss did to the estimates, and, where the kernel can
    (6.15), bounded back-off, which must not make the server give up the sockets that nginx has closed."""
    namespace.sysctl("net.ipv4.tcp_congestion_control", "reno")
    namespace.sysctl("net.ipv4.tcp_orphan_retries", 100)
    with contextlib.suppress(FileNotFoundError):
        namespace.sysctl("net.ipv4.tcp_rto_max_ms", 3000)


def silence(namespace, port):
    """Makes a service of this host deaf behind the gate: after the gate's place in the input hook."""
    namespace.run("nft", "-f", "-", text=f"""
        table inet lab {{
            chain deaf {{ type filter hook input priority 200; tcp dport {port} drop; }}
        }}""")
