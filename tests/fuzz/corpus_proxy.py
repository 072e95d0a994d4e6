#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes fuzz_proxy's seeds into corpus/proxy: a byte that says which versions are allowed, then a connection's bytes."""

import socket
import struct
from pathlib import Path

V1, V2, ANY = 0, 1, 2
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command, family, block):
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def addresses(family):
    hosts = ("192.0.2.1", "198.51.100.2") if family == socket.AF_INET else ("2001:db8::1", "2001:db8::2")
    return b"".join(socket.inet_pton(family, host) for host in hosts) + struct.pack("!HH", 40000, 443)


TLVS = b"\x01\0\x02h2" + b"\x02\0\x0bexample.com" + b"\x04\0\x03\0\0\0"

SEEDS = {
    "v1_tcp4": (V1, b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\nGET /"),
    "v1_tcp6": (V1, b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 40000 443\r\n"),
    "v1_longest": (ANY, b"PROXY UNKNOWN " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2 + [b"65535"] * 2) + b"\r\n"),
    "v1_unknown": (ANY, b"PROXY UNKNOWN\r\n"),
    "v2_tcp4": (V2, v2(0x21, 0x11, addresses(socket.AF_INET)) + b"GET /"),
    "v2_tcp6": (ANY, v2(0x21, 0x21, addresses(socket.AF_INET6) + TLVS)),
    "v2_unix": (V2, v2(0x21, 0x31, bytes(216))),
    "v2_local": (V2, v2(0x20, 0x00, b"")),
}


def main():
    folder = Path(__file__).parent / "corpus" / "proxy"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (allowed, connection) in SEEDS.items():
        (folder / name).write_bytes(bytes([allowed]) + connection)


if __name__ == "__main__":
    main()
