# SPDX-License-Identifier: GPL-2.0-or-later
"""The PROXY protocol, sent and received, against HAProxy's and nginx's own implementations at either end."""

import time

import pytest

import floods
from proxies import sending, telling
from services import connect
from splicing import MODES, SERVICE_PORT, Task, at, await_ending, drain, ending, hear, pour, rule
from topology import CLIENT, FAMILIES, GATE, SERVER

PORT = 7000
SENDER_PORT = 8000
GET = b"GET / HTTP/1.0\r\n\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def sections(family, mode, **keys):
    return {
        "rule web": rule(at(GATE, family, PORT), mode=mode, **keys),
        "backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "off"},
    }


def tell(client):
    """What a telling server answers: client's address and port, and those it asked for."""
    client.sendall(GET)
    heard = b""
    client.settimeout(5)
    while more := client.recv(65536):
        heard += more
    assert heard.startswith(b"HTTP/1.") and b" 200 " in heard.split(b"\r\n")[0], heard
    return heard.split(b"\r\n\r\n", 1)[1].decode().split()


def names(client):
    """What it must say of this client."""
    return [str(word) for end in (client.getsockname(), client.getpeername()) for word in end[:2]]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("server", ["haproxy", "nginx"])
def test_others_understand_what_is_sent(proxy, mode, family, server, version):
    lab = proxy.lab
    lab.closing(telling(server, lab.server, lab.directory, at(SERVER, family, SERVICE_PORT), SERVICE_PORT))
    proxy.start(sections(family, mode, send_proxy=version))
    with proxy.dial(family, PORT) as client:
        wanted = names(client)
        assert tell(client) == wanted


@pytest.mark.smoke
@pytest.mark.parametrize("sender, version", [("haproxy", "v1"), ("haproxy", "v2"), ("nginx", "v1")])
@pytest.mark.parametrize("onward", ["v1", "v2"])
def test_what_others_send_is_understood_and_passed_on(proxy, mode, family, sender, version, onward):
    """client -> HAProxy or nginx -> gate -> nginx: the last one hears who the first one was."""
    lab = proxy.lab
    floods.route(lab)
    lab.closing(telling("nginx", lab.server, lab.directory, at(SERVER, family, SERVICE_PORT), SERVICE_PORT))
    proxy.start(sections(family, mode, accept_proxy="any", trusted_proxies=CLIENT[family], send_proxy=onward))
    lab.closing(sending(sender, lab.client, lab.directory, at(CLIENT, family, SENDER_PORT), SENDER_PORT,
                        at(GATE, family, PORT), version))
    with connect(lab.client, CLIENT[family], SENDER_PORT, source=floods.HONEST[family]) as client:
        wanted = names(client)
        assert wanted[0] == floods.HONEST[family]
        assert tell(client) == wanted
    told = await_ending(proxy.gate)
    assert told["client"] == (f"[{wanted[0]}]:{wanted[1]}" if family == 6 else f"{wanted[0]}:{wanted[1]}")


def header(version, family):
    """One as its specification has it, of 192.0.2.7 or 2001:db8::7."""
    if version == "v1":
        return (b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\n" if family == 4
                else b"PROXY TCP6 2001:db8::7 2001:db8::8 1234 80\r\n")
    v4 = bytes([192, 0, 2, 7, 192, 0, 2, 8])
    v6 = bytes.fromhex("20010db8000000000000000000000007" "20010db8000000000000000000000008")
    addresses = (v4 if family == 4 else v6) + (1234).to_bytes(2, "big") + (80).to_bytes(2, "big")
    return V2 + bytes([0x21, 0x11 if family == 4 else 0x21]) + len(addresses).to_bytes(2, "big") + addresses


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_header_may_come_in_pieces_or_with_what_follows(crossing, mode, family, version):
    service = crossing.services[family]
    whole = header(version, family)
    with crossing.client(mode, family, "proxied") as client:
        client.sendall(whole + b"at once")
        with service.accept() as server:
            assert hear(server, 7) == b"at once"
    with crossing.client(mode, family, "proxied") as client:
        client.setsockopt(6, 1, 1)
        for byte in whole:
            client.sendall(bytes([byte]))
            time.sleep(0.002)
        with service.accept() as server:
            client.sendall(b"later")
            assert hear(server, 5) == b"later"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_much_comes_with_the_header(crossing, mode, family, version):
    with crossing.client(mode, family, "proxied") as client:
        client.sendall(header(version, family))
        sender = Task(pour, client, 2_000_000)
        with crossing.services[family].accept() as server:
            assert drain(server, most=2_000_000) == 2_000_000
            sender.result()


# What the server must get all the same, and what ends the connection.
@pytest.mark.parametrize("words", [b"PROXY UNKNOWN\r\n", V2 + b"\x20\0\0\0"], ids=["v1-unknown", "v2-local"])
def test_a_header_that_names_nobody(crossing, mode, family, words):
    with crossing.client(mode, family, "proxied") as client:
        client.sendall(words + b"hello")
        with crossing.services[family].accept() as server:
            assert hear(server, 5) == b"hello"


MALFORMED = [
    b"GET / HTTP/1.0\r\n\r\n",
    b"PROXY TCP4 192.0.2.7  192.0.2.8 1234 80\r\n",
    b"PROXY TCP4 192.0.2.300 192.0.2.8 1234 80\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 65536\r\n",
    b"PROXY TCP9 192.0.2.7 192.0.2.8 1234 80\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\n\n",
    b"PROXY UNKNOWN " + b"x" * 200,
    V2 + b"\x31\x11\0\x0c" + b"\0" * 12,
    V2 + b"\x21\x11\0\x04" + b"\0" * 4,
    V2 + b"\x21\x11\xff\xff" + b"\0" * 200,
    b"\r\n\r\n\0\r\nQUIX\n",
]


@pytest.mark.parametrize("words", MALFORMED)
def test_a_malformed_header_is_refused(crossing, mode, family, words):
    with crossing.client(mode, family, "proxied") as client:
        client.sendall(words)
        assert ending(client) in ("RST", "FIN")
    assert crossing.services[family].nobody(0.1)


def test_who_is_not_trusted_is_refused(proxy, mode, family):
    """However well the header is written."""
    proxy.start(sections(family, mode, accept_proxy="any", trusted_proxies="192.0.2.1, 2001:db8::1"))
    assert proxy.turned_away(family, PORT, header("v1", family)) in ("RST", "FIN")
    assert await_ending(proxy.gate)["how"] == "not one of trusted_proxies"


@pytest.mark.parametrize("accepted", ["v1", "v2"])
def test_a_version_that_is_not_accepted(proxy, mode, family, accepted):
    proxy.start(sections(family, mode, accept_proxy=accepted, trusted_proxies=CLIENT[family]))
    assert proxy.turned_away(family, PORT, header("v2" if accepted == "v1" else "v1", family)) in ("RST", "FIN")
    assert await_ending(proxy.gate)["how"].startswith("a malformed PROXY header")


def test_a_header_that_does_not_come(proxy, mode, family):
    """Half of one and then nothing: it is not waited for for ever."""
    proxy.start(sections(family, mode, accept_proxy="any", trusted_proxies=CLIENT[family], connect_timeout="500ms"))
    with proxy.dial(family, PORT) as client:
        client.sendall(b"PROXY TCP4 192")
        assert ending(client, 15) in ("RST", "FIN")
    assert await_ending(proxy.gate)["how"] == "no PROXY header in time"
