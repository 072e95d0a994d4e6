#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes fuzz_engine's seeds into corpus/engine, in the encoding that fuzz_engine.c describes."""

from pathlib import Path

FIN, SYN, RST, ACK = 1, 2, 4, 16
CLIENT, SERVER = 0, 1
EXPIRE, POLICY, END, RECONCILE, UNREACHABLE = 11, 12, 13, 14, 15
ISN, OTHER, NEXT = 0, 1, 2
DONT_ENFORCE, FULL, PASS_FASTOPEN, CLAMP = 1, 2, 4, 8
DROP, REJECT = 0x30, 0x70
WSCALE7, FASTOPEN_COOKIE = 0x73, 0x0C
HINT, ADMITTED = 2, 4
ADOPT = 16


def setup(rule=0, limits=0, everything=3, half_open=7, flows=7):
    return bytes([half_open, flows]) + policy(rule, limits, everything)


def policy(rule=0, limits=0, everything=3):
    return bytes([everything, rule, rule, limits, limits])


def number(base, off=0):
    return bytes([base | (off & 63) << 2])


def step(what, tuple_=0, side=0):
    return bytes([tuple_ << 5 | side << 4 | what])


def packet(side, flags, seq, ack, tuple_=0, data=0, options=0, where=0):
    if side == SERVER and not flags & SYN:
        where |= HINT
    return (step(0, tuple_, side) + bytes([flags, 100 + data if data else 0, 200, options, where])
            + number(*seq) + number(*ack))


def wait(ms):
    return step(10) + bytes([ms // 100, 100]) + step(EXPIRE)


def syn(tuple_=0, base=ISN, **more):
    return packet(CLIENT, SYN, (base, 0), (ISN, 0), tuple_, **more)


def syn_ack(tuple_=0, base=ISN, of=ISN, acks=1, **more):
    return packet(SERVER, SYN | ACK, (base, 0), (of, acks), tuple_, **more)


def ack(side=CLIENT, tuple_=0, flags=0, **more):
    return packet(side, ACK | flags, (NEXT, 0), (NEXT, 0), tuple_, **more)


def rst(side=CLIENT, tuple_=0):
    return packet(side, RST, (NEXT, 0), (NEXT, 0), tuple_)


def handshake(tuple_=0, options=WSCALE7):
    return syn(tuple_, options=options) + syn_ack(tuple_, options=options) + ack(tuple_=tuple_)


def closing(first, second):
    return ack(first, flags=FIN) + ack(second) + ack(second, data=50) + ack(second, flags=FIN) + ack(first)


ALL = [handshake(n) for n in range(8)]

SEEDS = {
    "handshakes": setup() + b"".join(ALL),
    "full_client_closes": setup(FULL) + handshake() + ack(data=90) + ack(SERVER, data=90) + closing(CLIENT, SERVER),
    "full_server_closes": setup(FULL) + handshake(1) + ack(SERVER, 1, FIN) + ack(CLIENT, 1, FIN) + ack(SERVER, 1),
    "full_both_close": setup(FULL) + handshake() + ack(flags=FIN)
    + packet(SERVER, FIN | ACK, (NEXT, 0), (NEXT, -1)) + ack() + ack(SERVER),
    "full_reset": setup(FULL) + handshake() + rst() + syn(base=OTHER) + syn_ack(of=OTHER) + ack(),
    "full_reopened": setup(FULL) + handshake() + syn(base=OTHER) + syn_ack(base=OTHER, of=OTHER) + ack(),
    "full_expires": setup(FULL) + handshake() + wait(20000) + wait(20000) + wait(20000),
    "restarted": setup() + syn() + syn(base=OTHER) + syn_ack() + rst() + syn_ack(of=OTHER) + ack(),
    "renewed": setup(FULL) + syn() + syn_ack() + syn(base=OTHER) + syn_ack(base=OTHER, of=OTHER) + ack(),
    "two_answers": setup(FULL) + syn() + syn_ack() + syn_ack(base=OTHER) + ack() + ack(SERVER, data=9),
    "challenged": setup() + syn() + packet(SERVER, ACK, (OTHER, 5), (OTHER, 9))
    + packet(CLIENT, RST, (OTHER, 9), (ISN, 0)) + syn_ack() + ack(),
    "crossed": setup(FULL) + syn() + packet(SERVER, SYN, (ISN, 0), (ISN, 0))
    + packet(CLIENT, SYN | ACK, (ISN, 0), (ISN, 1)) + syn_ack() + ack(data=9),
    "fastopen": setup(PASS_FASTOPEN | FULL) + syn(options=FASTOPEN_COOKIE, data=20) + syn_ack(acks=21)
    + ack(SERVER, data=50) + ack(SERVER, flags=FIN) + ack(),
    "stripped": setup(CLAMP) + syn(options=FASTOPEN_COOKIE, data=20) + syn_ack() + ack(data=20),
    "over": setup() + syn(where=HINT) + syn_ack() + ack() + syn(base=OTHER, where=HINT) + wait(5000),
    "refused": setup() + syn() + packet(SERVER, RST | ACK, (NEXT, 0), (ISN, 1)),
    "client_resets": setup() + syn() + syn_ack() + rst(),
    "unreachable": setup() + syn() + step(UNREACHABLE) + number(ISN) + syn_ack() + ack(),
    "limits": setup(limits=1 | 1 << 2 | 16 | 32) + b"".join(ALL) + handshake(2, 0) + wait(5000),
    "counted": setup(limits=3 << 2) + b"".join(ALL[:4]) + step(RECONCILE) + b"\0" + step(RECONCILE, 2) + b"\3"
    + step(RECONCILE) + b"\1" + step(END, 2) + syn(0, OTHER) + wait(5000),
    "bounds": setup(FULL, half_open=1, flows=1) + b"".join(syn(n) for n in range(8)) + b"".join(ALL),
    "killed": setup(FULL) + syn(1) + step(END, 1, 1) + handshake(2) + step(END, 2, 1),
    "modes": setup(DROP) + ALL[0] + step(POLICY) + policy(REJECT) + ALL[1] + step(POLICY) + policy(0, 0, 0) + ALL[2],
    "observed": setup(DONT_ENFORCE, 1 | 1 << 2 | 32, 3 | 8, 0, 0) + b"".join(ALL) + ack(data=9) + wait(5000),
    "adopted": setup(FULL, 0, 3 | ADOPT) + ack(SERVER) + syn_ack(1) + ack(tuple_=1)
    + packet(CLIENT, ACK, (ISN, 3), (ISN, 3), 2, where=ADMITTED),
    "reloaded": setup(FULL) + syn() + handshake(2) + step(POLICY) + policy(0, 4) + syn_ack() + ack() + handshake(4)
    + step(POLICY) + policy(0, 0, 0) + wait(20000),
}


def main():
    folder = Path(__file__).parent / "corpus" / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in SEEDS.items():
        (folder / name).write_bytes(seed)


if __name__ == "__main__":
    main()
