#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes fuzz_engine's seeds into corpus/engine, in the encoding that fuzz_engine.c describes."""

from pathlib import Path

FIN, SYN, RST, ACK = 1, 2, 4, 16
CLIENT, SERVER = 0, 1
CLOCK, COOKIES, EXPIRE, POLICY, END, RECONCILE, UNREACHABLE = 8, 9, 11, 12, 13, 14, 15
ISN, OTHER, NEXT, COOKIE = 0, 1, 2, 3
DONT_ENFORCE, FULL, PASS_FASTOPEN, CLAMP = 1, 2, 4, 8
DROP, REJECT = 0x30, 0x70
WSCALE7, FASTOPEN_COOKIE = 0x73, 0x0C
HINT, ADMITTED, PROOFS, DNAT, SACK, STAMPED = 2, 4, 8, 16, 32, 64
ADOPT, SHARED = 16, 32
ADAPTIVE, ALWAYS, BLOCKS = 1 << 6, 2 << 6, 3 << 6
UNTRANSLATED, CANNOT, ROUTE, FORGET, HAND_OVER, TOO_BIG = 0, 1 | 8, 2, 3, 4, 5
IN_FLIGHT_4 = 3 << 6


def setup(rule=0, limits=0, everything=3, half_open=7 | IN_FLIGHT_4, flows=7):
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


def learns(tuple_=0):
    """A handshake that shows what the tuple's server does."""
    return (syn(tuple_, options=WSCALE7, where=SACK | STAMPED) + syn_ack(tuple_, options=WSCALE7, where=SACK | STAMPED)
            + rst(tuple_=tuple_))


def asks(tuple_=0, base=ISN, where=0, **more):
    return syn(tuple_, base, options=WSCALE7, where=SACK | STAMPED | where, **more)


def proves(tuple_=0, off=0, base=ISN, ack_off=1, flags=0, **more):
    return packet(CLIENT, ACK | flags, (base, 1 + off), (COOKIE, ack_off), tuple_, where=PROOFS | STAMPED, **more)


def answers(tuple_=0, of=ISN, **more):
    return syn_ack(tuple_, of=of, options=WSCALE7, where=SACK | STAMPED, **more)


def begins(tuple_=0):
    return asks(tuple_) + proves(tuple_) + answers(tuple_)


def cookies(how, tuple_=0, side=0):
    return step(COOKIES, tuple_, side) + bytes([how])


def clock(tens):
    return step(CLOCK) + bytes([tens & 255])


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
    "cookies": setup(limits=ALWAYS) + learns() + learns(1) + b"".join(begins(n) for n in range(8)),
    "cookies_full": setup(FULL, ALWAYS) + learns() + begins()
    + packet(CLIENT, ACK, (ISN, 1), (COOKIE, 1), data=90) + packet(SERVER, ACK, (ISN, 1), (NEXT, 0), data=90)
    + packet(CLIENT, ACK | FIN, (NEXT, 0), (COOKIE, 31)) + packet(SERVER, ACK | FIN, (NEXT, 0), (NEXT, 0)) + wait(20000),
    "cookies_held": setup(limits=ALWAYS) + learns() + asks() + proves() + proves() + proves(off=-1) + proves(data=20)
    + proves(flags=FIN) + asks() + answers() + proves(),
    "cookies_wrong": setup(limits=ALWAYS) + learns() + asks() + proves(ack_off=2) + proves(off=1) + proves(ack_off=3)
    + proves(off=-1) + packet(CLIENT, RST, (ISN, 1), (ISN, 0)) + proves(),
    "cookies_anew": setup(limits=ALWAYS) + learns() + asks() + proves() + asks(base=OTHER) + proves(base=OTHER)
    + answers() + answers(of=OTHER) + asks(where=HINT) + proves() + answers(),
    "cookies_refused": setup(limits=ALWAYS) + learns() + asks() + proves() + packet(SERVER, RST | ACK, (NEXT, 0), (ISN, 1))
    + asks() + proves() + packet(SERVER, ACK, (OTHER, 5), (OTHER, 9)) + wait(1000) + wait(20000),
    "cookies_broken": setup(limits=ALWAYS) + learns() + asks() + proves() + syn_ack(options=WSCALE7) + begins(),
    "cookies_late": setup(limits=ALWAYS) + learns() + asks() + clock(5) + proves() + asks(2) + clock(20) + proves(2)
    + clock(-20) + proves(2) + wait(25000),
    "cookies_unreachable": setup(limits=ALWAYS) + learns() + asks() + proves() + step(UNREACHABLE) + number(ISN) + answers(),
    "cookies_untranslated": setup(limits=ALWAYS) + learns() + begins() + cookies(UNTRANSLATED) + begins(2)
    + asks(2, OTHER) + proves(2, base=OTHER) + cookies(UNTRANSLATED),
    "cookies_dnat": setup(limits=ALWAYS) + learns() + asks(where=DNAT) + rst() + cookies(ROUTE | 5 << 3)
    + asks(2, where=DNAT | HINT) + proves(2) + answers(2),
    "cookies_adaptive": setup(limits=ADAPTIVE | 3) + learns() + b"".join(asks(n) for n in range(0, 8, 2)) + proves(6)
    + wait(100) + wait(2000) + wait(2000) + asks(6),
    "cookies_counted": setup(limits=ALWAYS | 1 << 2) + learns() + asks() + proves() + asks(2) + proves(2) + answers()
    + asks(base=OTHER) + proves(base=OTHER) + answers(of=OTHER) + step(END),
    "cookies_block": setup(limits=BLOCKS | 32 | 2 << 2) + learns() + b"".join(begins(n) for n in range(0, 8, 2)),
    "cookies_bounds": setup(FULL, ALWAYS, half_open=0, flows=0) + learns() + b"".join(asks(n) + proves(n) for n in (0, 2, 4))
    + answers(),
    "cookies_left": setup(limits=ALWAYS) + learns() + asks() + proves() + step(POLICY) + policy(0, 0, 0)
    + cookies(HAND_OVER) + wait(1000) + cookies(CANNOT),
    "cookies_restarted": setup(limits=ALWAYS, everything=3 | SHARED) + learns() + asks() + cookies(FORGET) + proves() + answers()
    + cookies(TOO_BIG) + number(ISN) + packet(SERVER, RST, (NEXT, 0), (NEXT, 0), where=ADMITTED),
    "cookies_drained": setup(limits=ALWAYS) + learns() + asks() + step(RECONCILE) + bytes([2 | 1 << 2]) + proves() + proves(2)
    + answers(),
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
