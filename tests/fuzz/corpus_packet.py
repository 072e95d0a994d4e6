#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes fuzz_packet's seeds into corpus/packet: two bytes that say how to read, then a packet."""

from pathlib import Path

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Jumbo,
    PadN,
)

VERIFY, STRIP, CUT_SHORT, BIG = 1, 2, 4, 8


def ip4(**fields):
    return IP(src="192.0.2.1", dst="198.51.100.2", **fields)


def ip6(**fields):
    return IPv6(src="2001:db8::1", dst="2001:db8:1::2", **fields)


IP4 = ip4(flags="DF")
IP6 = ip6()
SYN_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
COOKIE = bytes(range(8))


def tcp(flags, options=()):
    return TCP(sport=40000, dport=443, seq=1, ack=2, flags=flags, options=list(options))


SEEDS = {
    "syn4": (VERIFY, IP4 / tcp("S", SYN_OPTIONS)),
    "syn6": (VERIFY, IP6 / tcp("S", SYN_OPTIONS)),
    "synack4": (VERIFY, IP4 / tcp("SA", SYN_OPTIONS)),
    "data4": (VERIFY, IP4 / tcp("PA", [("Timestamp", (1, 2))]) / b"data"),
    "fin6": (VERIFY, IP6 / tcp("FA")),
    "sack4": (0, IP4 / tcp("A", [("SAck", (10, 20))])),
    "fastopen4": (VERIFY | STRIP, IP4 / tcp("S", SYN_OPTIONS + [(34, COOKIE)]) / b"early"),
    "fastopen_request6": (STRIP, IP6 / tcp("S", [("MSS", 1440), (34, b"")])),
    "fastopen_experiment6": (STRIP, IP6 / tcp("S", [(254, b"\xf9\x89" + COOKIE)]) / b"early"),
    "md5_4": (VERIFY, IP4 / tcp("S", [("MSS", 1460), (19, bytes(16))])),
    "ao6": (VERIFY, IP6 / tcp("S", [("MSS", 1440), (29, bytes(14))])),
    "ip_options4": (VERIFY, ip4(options=[IPOption_Router_Alert()]) / tcp("S")),
    "gso4": (CUT_SHORT, ip4(len=3000) / tcp("A")),
    "big_tcp4": (BIG, ip4(len=0) / tcp("A")),
    "big_tcp6": (BIG, ip6(plen=0) / tcp("A")),
    "jumbo6": (BIG, ip6(plen=0)
               / IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=100000)]) / tcp("A")),
    "fragment4": (0, ip4(flags="MF") / tcp("A")),
    "atomic6": (0, IP6 / IPv6ExtHdrFragment() / tcp("S", SYN_OPTIONS)),
    "fragment6": (0, IP6 / IPv6ExtHdrFragment(m=1) / tcp("A")),
    "extensions6": (VERIFY, IP6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
                    / IPv6ExtHdrRouting(addresses=["2001:db8::9"], segleft=1)
                    / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]) / tcp("S", SYN_OPTIONS)),
    "udp4": (0, IP4 / UDP(sport=1, dport=2)),
    "unreachable4": (0, IP4 / ICMP(type=3, code=1) / bytes(IP4 / tcp("S"))[:28]),
    "unreachable6": (0, IP6 / ICMPv6DestUnreach(code=4) / (IP6 / tcp("S", SYN_OPTIONS))),
}


def main():
    folder = Path(__file__).parent / "corpus" / "packet"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (how, packet) in SEEDS.items():
        (folder / name).write_bytes(bytes([how, 100]) + bytes(packet))


if __name__ == "__main__":
    main()
