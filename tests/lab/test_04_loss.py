# SPDX-License-Identifier: GPL-2.0-or-later
"""Point 4: with a fifth of all packets lost, transfers still finish and no retransmit is taken for an attack."""

import pytest

from services import Downloads, Nginx, keep_pace, lose

LOSS = 0.2
CONNECTIONS = 20
SIZE = 30_000


def lose_before_the_gate(lab):
    """The gate never sees what is lost: a retransmit is its first sight of a step, or the step is missing."""
    lose(lab.gate, LOSS, "client0")
    if lab.kind == "forwarded":
        lose(lab.gate, LOSS, "server0")
    else:
        lose(lab.client, LOSS)


def lose_behind_the_gate(lab):
    """The gate has seen it, its receiver has not: every step comes again."""
    lose(lab.client, LOSS)
    if lab.kind == "forwarded":
        lose(lab.server, LOSS)
    else:
        lab.server.run("nft", "-f", "-", text=f"""
            table inet lab {{
                chain loss {{
                    type filter hook input priority 200
                    meta l4proto tcp numgen random mod 1000 < {int(LOSS * 1000)} drop
                }}
            }}""")


@pytest.mark.parametrize("inspect", ["handshake", "full"])
@pytest.mark.parametrize("where", [lose_before_the_gate, lose_behind_the_gate], ids=["before", "behind"])
def test_transfers_finish(lab, gate, family, where, inspect):
    for namespace in lab.namespaces:
        keep_pace(namespace)
    nginx = lab.closing(Nginx(lab.server, lab.directory))
    nginx.publish("file", SIZE)
    gate.start({"rule web": {"port": 80, "inspect": inspect}})
    where(lab)
    downloads = Downloads(lab.client, lab.directory, lab.server_address[family], nginx, "file",
                          count=CONNECTIONS, max_time=110)
    said, intact = downloads.finish(timeout=120)
    assert gate.drops() == {}
    assert (said, intact) == ("", CONNECTIONS)
    assert gate.failed() == {}
    assert gate.status()["handshakes"]["completed"] == CONNECTIONS
