# SPDX-License-Identifier: GPL-2.0-or-later
"""
While all is calm, handshakes with splice mode's listeners pass the gate without a verdict: the kernel only tells of them. Each
is followed and explained all the same, and whatever calls for a verdict gets one.
"""

import json
import socket
import time

import pytest

import floods
from floods import Dial, Flood, cookies, dial, learn
from services import Nginx, connect
from splicing import SERVICE_PORT, Service, at, hear, rule
from topology import CLIENT, FAMILIES, GATE, SERVER, eventually
from wire import raw_client

PORT = 7000
TCP_REPAIR = 19

pytestmark = pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"])


def sections(family, listen=None, daemon=None, **keys):
    return {
        "daemon": daemon or {},
        "rule web": rule(listen or at(GATE, family, PORT), **keys),
        "backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "off"},
    }


@pytest.fixture
def nginx(proxy):
    floods.route(proxy.lab)
    made = proxy.lab.closing(Nginx(proxy.lab.server, proxy.lab.directory, ports=(SERVICE_PORT,), backlog=4096))
    made.publish("index.html", floods.PAGE_SIZE)
    return made


@pytest.fixture
def service(proxy, family):
    return proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))


def queued(gate):
    return gate.status()["queue"]["packets"]


def table(gate):
    return gate.namespace.run("nft", "list", "table", "inet", "ackgate_unqueued", check=False).stdout


def passes(gate):
    return "goto listener" in table(gate)


def calm(gate):
    assert eventually(lambda: passes(gate), timeout=10), table(gate)


def handshakes(gate):
    of = gate.status()["handshakes"]
    return of["started"], of["completed"], sum(gate.failed().values())


@pytest.mark.smoke
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("everywhere", [False, True], ids=["address", "any-address"])
def test_nothing_is_queued_and_all_is_known(proxy, nginx, family, workers, everywhere):
    gate = proxy.gate
    proxy.start(sections(family, {4: f"0.0.0.0:{PORT}", 6: f"[::]:{PORT}"}[family] if everywhere else None,
                         {"workers": workers}))
    calm(gate)
    before = queued(gate)
    done = dial(proxy.lab, family, 300, port=PORT, to=GATE[family], rate=300)
    assert (done["connections"], done["errors"]) == (300, {})
    assert eventually(lambda: handshakes(gate) == (300, 300, 0)), handshakes(gate)
    assert (gate.rule("web")["matched"], gate.rule("web")["admitted"]) == (300, 300)
    assert gate.status()["cookies"]["log_lost"] == 0
    assert gate.drops() == {}
    # The gate takes its own rules for nobody else's.
    assert gate.status()["notes"] == []
    # nginx's clients end with a FIN; nothing of theirs needs a verdict.
    assert queued(gate) == before
    # What stands is marked as admitted.
    with connect(proxy.lab.client, GATE[family], PORT):
        marks = proxy.lab.gate.run("conntrack", "-L", "-p", "tcp", "--dport", str(PORT), "--state", "ESTABLISHED",
                                   "-f", f"ipv{family}").stdout
        assert "mark=0 " not in marks and "mark=" in marks, marks


def test_thousands_of_descriptors(proxy, family, service):
    """libnftables can't be had in a process with more than 1,024; both a reload and what is told go by it."""
    gate = proxy.gate
    proxy.start(sections(family))
    held = []
    for _ in range(600):
        held += [proxy.dial(family, PORT), service.accept()]
    assert proxy.open() == 600
    gate.reload(sections(family, idle_timeout="10m"))
    calm(gate)
    before = queued(gate)
    held += [proxy.dial(family, PORT), service.accept()]
    assert queued(gate) == before
    for one in held:
        one.close()


def dial_from(lab, family, source):
    with lab.client.entered():
        client = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    client.settimeout(5)
    client.bind(source)
    client.connect((GATE[family], PORT))
    return client


def link_local(lab, family):
    """The client's address that leads no farther than its link, as bind() takes it."""
    if family == 4:
        lab.client.ip("address", "add", "169.254.7.1/16", "dev", "eth0")
        lab.gate.ip("route", "add", "169.254.0.0/16", "dev", "client0")
        return "169.254.7.1", 0
    shown = json.loads(lab.client.run("ip", "-6", "-j", "address", "show", "dev", "eth0", "scope", "link").stdout)
    address = next(info["local"] for link in shown for info in link.get("addr_info", []) if info)
    with lab.client.entered():
        return address, 0, 0, socket.if_nametoindex("eth0")


@pytest.mark.parametrize("workers", [1, 3])
def test_clients_of_the_link(proxy, service, family, workers):
    """They get no cookies, for want of a way back; their handshakes are told of as any others."""
    gate = proxy.gate
    source = link_local(proxy.lab, family)
    proxy.start(sections(family, daemon={"workers": workers}))
    calm(gate)
    before = queued(gate)
    for _ in range(12):
        began = time.monotonic()
        with dial_from(proxy.lab, family, source) as client, service.accept() as server:
            client.sendall(b"hello")
            assert hear(server, 5) == b"hello"
        assert time.monotonic() - began < 0.15, "something had to be sent again"
    assert queued(gate) == before
    assert eventually(lambda: handshakes(gate) == (12, 12, 0)), handshakes(gate)


def test_what_fails_is_explained(proxy, service, family):
    gate = proxy.gate
    proxy.start({**sections(family), "timeouts": {"syn_received": "2s"}})
    calm(gate)
    before = queued(gate)
    silent = raw_client(proxy.lab, family).flow(GATE[family], PORT)
    silent.syn()
    assert silent.expect("SA")
    assert eventually(lambda: gate.status()["flows"]["syn_received"] == 1)
    rude = raw_client(proxy.lab, family).flow(GATE[family], PORT)
    rude.syn()
    assert rude.expect("SA")
    rude.send("R", seq=rude.seq + 1)
    assert gate.await_failed({"client_reset": 1, "no_ack": 1}, timeout=6) == {"client_reset": 1, "no_ack": 1}
    assert handshakes(gate) == (2, 0, 2)
    assert queued(gate) == before
    # The listener's place for it is the kernel's affair: an ACK that comes late is taken.
    late = raw_client(proxy.lab, family).flow(GATE[family], PORT)
    late.syn()
    answer = late.expect("SA")
    assert gate.await_failed({"client_reset": 1, "no_ack": 2}, timeout=6) == {"client_reset": 1, "no_ack": 2}
    late.seq, late.ack = late.seq + 1, answer.seq + 1
    late.send("A")
    with service.accept() as server:
        late.send("PA", b"hello")
        assert hear(server, 5) == b"hello"
        late.send("R", seq=late.seq + 5)


def test_a_wrong_ack_opens_nothing(proxy, service, family):
    """The listener's own host sees to it; the gate says so."""
    proxy.start(sections(family))
    calm(proxy.gate)
    flow = raw_client(proxy.lab, family).flow(GATE[family], PORT)
    flow.syn()
    answer = flow.expect("SA")
    flow.send("A", seq=flow.seq + 1, ack=answer.seq)
    assert service.nobody()
    assert proxy.gate.status()["splice"]["total"] == 0
    flow.seq, flow.ack = flow.seq + 1, answer.seq + 1
    flow.send("A")
    with service.accept():
        flow.send("R")


def vanish(client):
    """Closes a socket without a word to its peer."""
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    client.close()


def leave_a_connection(proxy, service, family):
    """One that the listener still has, and its client does not."""
    client = proxy.dial(family, PORT)
    port = client.getsockname()[1]
    proxy.lab.closing(service.accept())
    vanish(client)
    # Its next initial sequence number is by that much higher (RFC 6528), beyond the old connection's window.
    time.sleep(0.5)
    return port


@pytest.mark.parametrize("workers", [1, 3])
def test_a_client_that_comes_back_on_a_standing_connection(proxy, service, family, workers):
    """It has to prove itself with a cookie, and hears nothing of what the listener answers to the gate."""
    gate = proxy.gate
    proxy.start(sections(family, daemon={"workers": workers}))
    calm(gate)
    learn(proxy.lab, gate, family, port=PORT, server=GATE[family])
    while not service.nobody():
        pass
    accepted = cookies(gate)["accepted"]
    for n in range(1, 5):
        port = leave_a_connection(proxy, service, family)
        began = time.monotonic()
        with dial_from(proxy.lab, family, (CLIENT[family], port)) as again, service.accept() as server:
            again.sendall(b"hello")
            assert hear(server, 5) == b"hello"
            server.sendall(b"world")
            assert hear(again, 5) == b"world"
        assert time.monotonic() - began < 0.9, "something had to be sent again"
        assert cookies(gate)["accepted"] == accepted + n
    # Who hears two SYN-ACKs answers the second.
    assert gate.drops() == {}
    assert gate.failed() == {}


def test_a_flood_is_asked_about(proxy, nginx, family, figures):
    """And honest clients come through, while it begins, lasts, and when it is over."""
    gate = proxy.gate
    proxy.start({**sections(family, half_open=1000), "timeouts": {"syn_sent": "2s", "syn_received": "2s"}})
    learn(proxy.lab, gate, family, port=PORT, server=GATE[family])
    calm(gate)
    honest = Dial(proxy.lab, family, 400, port=PORT, to=GATE[family], rate=100)
    time.sleep(1)
    flood = Flood(proxy.lab, family, port=PORT, to=GATE[family], rate=20_000)
    assert eventually(lambda: gate.rule("web")["cookies_active"], timeout=5)
    assert eventually(lambda: not passes(gate), timeout=2), table(gate)
    done = honest.finish()
    figures(f"{done}, {flood.stop()}")
    assert (done["connections"], done["errors"]) == (400, {})
    assert cookies(gate)["accepted"] > 0
    assert eventually(lambda: not gate.rule("web")["cookies_active"], timeout=20)
    assert eventually(lambda: passes(gate), timeout=10)
    before = queued(gate)
    assert dial(proxy.lab, family, 50, port=PORT, to=GATE[family])["failed"] == 0
    assert queued(gate) == before


def test_a_flood_of_acks_is_no_handshake(proxy, service, family):
    """When the calm ends, ACKs of handshakes that no worker follows go on, and not many more."""
    gate = proxy.gate
    proxy.start(sections(family, daemon={"workers": 2}))
    calm(gate)
    floods.route(proxy.lab)
    # What conntrack calls INVALID is asked about.
    flood = Flood(proxy.lab, family, kind="fin", port=PORT, to=GATE[family], rate=5000)
    time.sleep(0.5)
    gate.reload(sections(family, daemon={"workers": 2}, syn_rate="10000/s burst 10000"))
    assert not passes(gate)
    time.sleep(2)
    flood.stop()
    started, completed, _ = handshakes(gate)
    assert completed <= started + 256
    assert gate.drops()["no_flow"] > 1000


def test_handshakes_go_on_over_a_reload(proxy, nginx, family):
    """From told to asked and back, whichever worker knows of them."""
    gate = proxy.gate
    with_limit = {"syn_rate": "10000/s burst 10000"}
    proxy.start(sections(family, daemon={"workers": 3}))
    calm(gate)
    clients = Dial(proxy.lab, family, 1200, port=PORT, to=GATE[family], rate=200)
    for i in range(8):
        time.sleep(0.6)
        gate.reload(sections(family, daemon={"workers": 3}, **(with_limit if i % 2 == 0 else {})))
        assert eventually(lambda wanted=bool(i % 2): passes(gate) == wanted, timeout=2)
    done = clients.finish()
    assert (done["connections"], done["errors"]) == (1200, {})
    # None had to be sent again.
    assert done["connect_ms"]["max"] < 900, done


def test_a_flush_cuts_nobody(proxy, nginx, family):
    gate = proxy.gate
    proxy.start(sections(family, daemon={"workers": 3}))
    calm(gate)
    clients = Dial(proxy.lab, family, 1000, port=PORT, to=GATE[family], rate=200)
    for _ in range(2):
        time.sleep(1)
        proxy.lab.gate.run("nft", "flush", "ruleset")
        assert eventually(lambda: passes(gate), timeout=15)
    done = clients.finish()
    assert (done["connections"], done["errors"]) == (1000, {})
    before = queued(gate)
    assert dial(proxy.lab, family, 50, port=PORT, to=GATE[family])["failed"] == 0
    assert queued(gate) == before


def test_limits_hold_from_the_reload_on(proxy, service, family):
    gate = proxy.gate
    proxy.start(sections(family))
    calm(gate)
    with proxy.dial(family, PORT), service.accept():
        pass
    gate.reload(sections(family, syn_rate="1/s burst 1", over_limit="reject"))
    with proxy.dial(family, PORT), service.accept():
        pass
    with pytest.raises(ConnectionRefusedError):
        proxy.dial(family, PORT, timeout=2)
    assert gate.drops()["source_rate"] >= 1
    time.sleep(0.5)
    assert not passes(gate)


def test_without_a_server_it_is_refused(proxy, family):
    gate = proxy.gate
    proxy.start({
        "rule web": rule(at(GATE, family, PORT), over_limit="reject"),
        "backend service": {"servers": at(SERVER, family, SERVICE_PORT), "check": "tcp", "check_interval": "200ms", "fall": 1},
    })
    assert eventually(lambda: gate.ctl("backends").stdout.count("down") > 0, timeout=5)

    def refused():
        try:
            with proxy.dial(family, PORT, timeout=2) as client:
                client.recv(1)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        return False

    assert eventually(refused, timeout=5)
    assert eventually(lambda: gate.drops().get("backend_down", 0) > 0)
    assert not passes(gate)


def test_nothing_passes_for_long_without_a_daemon(proxy, family):
    proxy.start({**sections(family), "netfilter": {"on_failure": "closed"}})
    calm(proxy.gate)
    proxy.gate.kill()
    assert passes(proxy.gate)
    assert eventually(lambda: not passes(proxy.gate), timeout=14)
    with pytest.raises(TimeoutError), proxy.lab.client.entered():
        socket.create_connection((GATE[family], PORT), 1)
    # The next one takes up what is there.
    proxy.gate.start(sections(family))
    calm(proxy.gate)
