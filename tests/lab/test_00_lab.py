# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself, with no gate: what the other tests find stopped does arrive here, so they can fail."""

import pytest

from services import Downloads, Echo, Nginx, connect, talk
from topology import eventually
from wire import raw_client, raw_server, witness


def test_junk_reaches_a_server_without_gate(lab, family):
    seen = witness(lab)
    flow = raw_client(lab, family).flow(lab.server_address[family], 80)
    for flags in ("F", "", "FPU", "A", "FA", "SA", "PA", "R"):
        flow.send(flags, ack=1)
    assert eventually(lambda: len(seen.segments()) == 8), seen.flags()


def test_an_honest_client_gets_its_file(lab, family):
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("file", 100_000)
    downloads = Downloads(lab.client, lab.directory, lab.server_address[family], nginx, "file", count=5)
    assert downloads.finish() == ("", 5)


def test_a_scripted_client_and_an_echo_service(lab, family):
    lab.closing(Echo(lab.server, 7))
    flow = raw_client(lab, family).flow(lab.server_address[family], 7)
    assert flow.connect()
    flow.send("PA", b"hello")
    assert flow.expect("A").ack == flow.seq + 5
    assert bytes(flow.expect("PA").payload) == b"hello"
    client = connect(lab.client, lab.server_address[family], 7)
    assert talk(client)
    client.close()


@pytest.mark.parametrize("kind", ["forwarded"])
def test_both_ends_scripted(lab, family):
    server = raw_server(lab, family)
    client = raw_client(lab, family).flow(server.address, 80)
    service = server.flow(None, None, port=80)
    client.syn()
    assert service.await_syn().seq == client.seq
    service.send("SA")
    assert client.expect("SA").seq == service.seq
