# SPDX-License-Identifier: GPL-2.0-or-later
"""
Endpoints and witnesses without a kernel's TCP.

A Peer plays an address that no kernel owns, straight on an interface: what it is told to say goes out as it is, and nobody
answers in its place. A Witness keeps what has come through to the server: in the forwarded lab the frames on the server's
wire, in the local one what raw sockets see, which is behind the input hook, where the gate stands.
"""

import random
import socket
import struct
import time

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from topology import MAC, RAW_CLIENT, RAW_SERVER

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
RECEIVE_BUFFER = 64 << 20


def _family(address):
    return 6 if ":" in address else 4


def _ip(source, destination):
    return (IPv6 if _family(source) == 6 else IP)(src=source, dst=destination)


class Peer:
    """One address of our own on one interface."""

    def __init__(self, namespace, device, address, next_hop):
        self.address = address
        self._ether = Ether(src=MAC[namespace.role, device], dst=next_hop)
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind((device, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)

    def send(self, packet):
        self._socket.send(bytes(self._ether / packet))

    def send_from(self, source, destination, segment):
        """For once in another's name."""
        self.send(_ip(source, destination) / segment)

    def receive(self, wanted, timeout):
        """The first segment to our address that wanted(tcp) takes, its IP header on top; None when time is up."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                frame, origin = self._socket.recvfrom(1 << 18)
            except socket.timeout:
                return None
            packet = _parse(frame) if origin[2] != PACKET_OUTGOING else None
            if packet is not None and packet.dst == self.address and wanted(packet[TCP]):
                return packet
        return None

    def flow(self, remote, remote_port, port=None, isn=None):
        return Flow(self, remote, remote_port, port, isn)

    def close(self):
        self._socket.close()


def raw_client(lab, family, address=None):
    """A client that owns RAW_CLIENT, or `address` if the gate has been told where that lives (lab.gate: ip neigh)."""
    return lab.closing(Peer(lab.client, "eth0", address or RAW_CLIENT[family], MAC["gate", "client0"]))


def raw_server(lab, family):
    return lab.closing(Peer(lab.server, "eth0", RAW_SERVER[family], MAC["gate", "server0"]))


class Flow:
    """One end of one connection, its numbers in the test's hands. seq: what it sends next; ack: what it expects next."""

    def __init__(self, peer, remote, remote_port, port=None, isn=None):
        self.peer = peer
        self.remote = remote
        self.remote_port = remote_port
        self.port = port or random.randint(10000, 60000)
        self.seq = random.getrandbits(32) if isn is None else isn
        self.ack = 0

    def send(self, flags, payload=b"", seq=None, ack=None, options=(), window=64240):
        """Sends one segment; numbers that are not given are the flow's own, which are left as they are."""
        ack = (self.ack if "A" in flags else 0) if ack is None else ack
        segment = TCP(sport=self.port, dport=self.remote_port, flags=flags, window=window, options=list(options),
                      seq=(self.seq if seq is None else seq) & 0xFFFFFFFF, ack=ack & 0xFFFFFFFF)
        self.peer.send_from(self.peer.address, self.remote, segment / payload if payload else segment)

    def expect(self, flags, timeout=2):
        """The next segment of this connection with exactly these flags, or None."""
        def ours(tcp):
            return (tcp.sport, tcp.dport, str(tcp.flags)) == (self.remote_port, self.port, flags)
        packet = self.peer.receive(ours, timeout)
        return packet and packet[TCP]

    def syn(self, **options):
        self.send("S", **options)

    def await_syn(self, timeout=2):
        """As a server: the client's SYN; learns its port and number."""
        packet = self.peer.receive(lambda tcp: tcp.flags == "S" and tcp.dport == self.port, timeout)
        if packet is None:
            return None
        self.remote, self.remote_port = packet.src, packet[TCP].sport
        self.ack = packet[TCP].seq + 1
        return packet[TCP]

    def connect(self, options=(("MSS", 1460),)):
        """The client's part of an honest handshake; false if no SYN-ACK came."""
        self.syn(options=options)
        answer = self.expect("SA")
        if answer is None:
            return False
        self.seq, self.ack = self.seq + 1, answer.seq + 1
        self.send("A")
        return True


def _parse(frame):
    """The IP packet in a frame if it carries TCP and can be read."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind not in (0x0800, 0x86DD):
        return None
    packet = (IP if kind == 0x0800 else IPv6)(frame[14:])
    return packet if TCP in packet else None


class Witness:
    """TCP segments that came through to the server since this was made."""

    def __init__(self, lab):
        self._seen = []
        if lab.kind == "forwarded":
            with lab.server.entered():
                wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                wire.bind(("eth0", 0))
            self._sources = [(wire, self._frame)]
        else:
            with lab.server.entered():
                four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
                six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_TCP)
            self._sources = [(four, self._packet4), (six, self._packet6)]
        for source, _ in self._sources:
            source.setblocking(False)
            source.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)

    @staticmethod
    def _frame(data, origin):
        return _parse(data) if origin[2] != PACKET_OUTGOING else None

    @staticmethod
    def _packet4(data, _):
        return IP(data)

    @staticmethod
    def _packet6(data, origin):
        return IPv6(src=origin[0]) / TCP(data)

    def segments(self):
        """All so far, as (source, TCP)."""
        for source, reading in self._sources:
            while True:
                try:
                    packet = reading(*source.recvfrom(1 << 18))
                except BlockingIOError:
                    break
                if packet is not None:
                    self._seen.append((packet.src, packet[TCP]))
        return self._seen

    def flags(self, port=None):
        """Flags of all segments so far (to one port), for assertions that read well."""
        return [str(tcp.flags) for _, tcp in self.segments() if port in (None, tcp.dport)]

    def close(self):
        for source, _ in self._sources:
            source.close()


def witness(lab):
    return lab.closing(Witness(lab))
