# SPDX-License-Identifier: GPL-2.0-or-later
"""Local ports towards a backend: how many connections one source address lasts for, and what is said when it does not."""

import select
import time

import pytest

import floods
from services import Nginx
from splicing import LONG, MODES, SERVICE_PORT, Service, at, dump, ending, rule
from topology import FAMILIES, GATE, SERVER, eventually

PORT = 7000
# As many ports as there can be, all but used up; or fewer than connections.
RANGE = (1025, 65000) if LONG else (32768, 33767)
COUNT = 60_000 if LONG else 1_500
SOURCES = {4: ["10.0.2.1", "10.0.2.5"], 6: ["fd00:2::1", "fd00:2::5"]}

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def sections(family, mode, sources):
    return {
        "daemon": {"log_level": "info"},
        "rule web": rule(at(GATE, family, PORT), mode=mode, source=", ".join(SOURCES[family][:sources])),
        "backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "off", "fall": 100},
    }


def dialled(proxy, family):
    """Connections whose clients close first, so that every one leaves its port to the backend in TIME_WAIT."""
    return floods.dial(proxy.lab, family, COUNT, port=PORT, to=GATE[family], in_flight=100, least=100,
                       more=["--close-first", "--request", "GET / HTTP/1.1\r\nHost: lab\r\n\r\n"])


@pytest.mark.long
def test_time_wait_takes_all_ports_of_one_address_and_not_of_two(proxy, mode, family, figures):
    lab = proxy.lab
    floods.route(lab)
    lab.closing(Nginx(lab.server, lab.directory, ports=(SERVICE_PORT,), backlog=4096)).publish("index.html", 1000)
    lab.gate.sysctl("net.ipv4.ip_local_port_range", f"{RANGE[0]} {RANGE[1]}")
    lab.gate.ip("address", "add", SOURCES[family][1] + ("/24" if family == 4 else "/64"), "dev", "server0")
    proxy.start(sections(family, mode, 1))
    ports = RANGE[1] - RANGE[0] + 1
    one = dialled(proxy, family)
    figures(f"{COUNT} connections, one source address: {one}")
    # What fails fails at once and by name: nobody waits for a port, no client is left alone.
    assert one["connections"] >= min(ports, COUNT) * 0.95
    assert set(one["errors"]) <= {"reset"}, one
    if one["failed"]:
        assert eventually(lambda: "no local port is left towards the server" in proxy.gate.log())
    other = [line for line in proxy.gate.log().splitlines() if "spliced" in line and "by gate" in line and "no local port" not in line]
    assert not other, other[:5]

    proxy.gate.reload(sections(family, mode, 2))
    two = dialled(proxy, family)
    figures(f"as many again, two source addresses: {two}")
    # The first address has none left; the second has all of its own.
    assert two["connections"] >= min(ports, COUNT) * 0.95
    assert set(two["errors"]) <= {"reset"}, two
    if two["failed"]:
        assert "no local port is left towards the server" in proxy.gate.log()


def test_two_addresses_have_twice_as_many(proxy, mode, family):
    lab = proxy.lab
    floods.route(lab)
    lab.closing(Nginx(lab.server, lab.directory, ports=(SERVICE_PORT,), backlog=4096)).publish("index.html", 1000)
    lab.gate.sysctl("net.ipv4.ip_local_port_range", "32768 33767")
    lab.gate.ip("address", "add", SOURCES[family][1] + ("/24" if family == 4 else "/64"), "dev", "server0")
    proxy.start(sections(family, mode, 2))
    done = floods.dial(lab, family, 1900, port=PORT, to=GATE[family], in_flight=50, least=100,
                       more=["--close-first", "--request", "GET / HTTP/1.1\r\nHost: lab\r\n\r\n"])
    assert done["failed"] == 0, done


def test_sources_are_taken_in_turn(proxy, mode, family):
    lab = proxy.lab
    lab.gate.ip("address", "add", SOURCES[family][1] + ("/24" if family == 4 else "/64"), "dev", "server0")
    service = lab.closing(Service(lab.server, SERVER[family]))
    proxy.start(sections(family, mode, 2))
    seen = set()
    for _ in range(4):
        with proxy.dial(family, PORT), service.accept() as server:
            seen.add(server.getpeername()[0])
    assert seen == set(SOURCES[family])


def test_a_full_range_is_not_searched_for_each_connection(proxy, mode, family):
    """For 100 ms after a search in vain nobody looks again: not even a port that has become free is found."""
    lab = proxy.lab
    lab.gate.sysctl("net.ipv4.ip_local_port_range", "32768 32775")
    service = lab.closing(Service(lab.server, SERVER[family]))
    proxy.start(sections(family, mode, 1))

    def come():
        """Both ends of a new connection, or None if it is turned away."""
        try:
            client = proxy.dial(family, PORT)
        except ConnectionResetError:
            return None
        if service.listener in select.select([client, service.listener], [], [], 5)[0]:
            return client, service.accept()
        with client:
            assert ending(client) == "RST"
        return None

    def leave(client, server):
        dump(server)
        assert ending(client) == "RST"
        client.close()

    held = [come() for _ in range(8)]
    # What took longer on a busy machine says nothing.
    for _ in range(20):
        began = time.monotonic()
        assert come() is None
        leave(*held.pop())
        outcome = come()
        if time.monotonic() - began < 0.09:
            break
        time.sleep(0.1)
        held.append(outcome or come())
    assert outcome is None
    assert "no local port is left towards the server" in proxy.gate.log()
    time.sleep(0.1)
    held.append(come())
    for pair in held:
        leave(*pair)
