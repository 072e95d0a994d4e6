# SPDX-License-Identifier: GPL-2.0-or-later
"""Services of every day through splice mode, and what an administrator sees of it: the log, the status, timeouts by name."""

import contextlib
import json
import re
import socket
import subprocess
import time

import pytest

from services import Downloads, Nginx
from splicing import (MODES, SERVICE_PORT, Journal, Service, Task, at, await_ending, drain, dump, ending, hear, pour, rule)
from ssh import PORT as SSH_PORT
from ssh import Sshd
from topology import CLIENT, FAMILIES, GATE, SERVER, eventually

PORT = 7000

pytestmark = [pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"]), pytest.mark.parametrize("mode", MODES)]


def sections(family, mode, server_port=SERVICE_PORT, **keys):
    return {
        "rule web": rule(at(GATE, family, PORT), mode=mode, **keys),
        "backend service": {"servers": at(SERVER, family, server_port), "check": "off"},
    }


def run_there(lab, port, *argv):
    """A service in the server's namespace until the lab ends."""
    class Running:
        process = lab.server.popen(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=lab.directory)

        def close(self):
            self.process.kill()
            self.process.wait()

    lab.closing(Running())
    assert eventually(lambda: f":{port} " in lab.server.run("ss", "-Hltn").stdout), f"{argv[0]} does not listen"


def test_redis(proxy, mode, family):
    lab = proxy.lab
    run_there(lab, 6379, "redis-server", "--port", "6379", "--bind", "*", "-::*", "--protected-mode", "no",
              "--save", "", "--appendonly", "no")
    proxy.start(sections(family, mode, 6379))
    where = ["-h", GATE[family], "-p", str(PORT)]
    assert lab.client.run("redis-cli", *where, "set", "key", "value").stdout.strip() == "OK"
    assert lab.client.run("redis-cli", *where, "get", "key").stdout.strip() == "value"
    for more in ((), ("-P", "32", "-d", "2000"), ("-k", "0")):
        said = lab.client.run("redis-benchmark", *where, "-n", "5000", "-c", "20", "-t", "set,get", "-q", *more).stdout
        assert said.count("requests per second") == 2 and "rror" not in said.replace("WARNING", ""), said
    assert eventually(lambda: proxy.open() == 0)


def test_iperf3_both_ways(proxy, mode, family):
    run_there(proxy.lab, 5201, "iperf3", "-s", "-p", "5201")
    proxy.start(sections(family, mode, 5201))
    for more in (["-P", "4"], ["-R"]):
        answer = json.loads(proxy.lab.client.run("iperf3", "-c", GATE[family], "-p", str(PORT), "-J", "-t", "1", *more).stdout)
        assert answer["end"]["sum_received"]["bytes"] > 50_000_000, answer["end"]


def test_downloads(proxy, mode, family):
    nginx = proxy.lab.closing(Nginx(proxy.lab.server, proxy.lab.directory, ports=(SERVICE_PORT,)))
    nginx.publish("file", 3_000_000)
    proxy.start(sections(family, mode))
    downloads = Downloads(proxy.lab.client, proxy.lab.directory, GATE[family], nginx, "file", count=30, port=PORT)
    assert downloads.finish() == ("", 30)


def test_an_ssh_session(proxy, mode, family):
    sshd = proxy.lab.closing(Sshd(proxy.lab.server, proxy.lab.directory))
    proxy.start(sections(family, mode, SSH_PORT))
    session = proxy.lab.client.popen(
        "ssh", "-F", "none", "-T", "-p", str(PORT), "-i", f"{sshd.directory}/client", "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        f"root@{GATE[family]}", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        session.stdin.write("still there?\n")
        session.stdin.flush()
        assert session.stdout.readline() == "still there?\n", sshd.log()
        time.sleep(0.2)
    session.stdin.close()
    assert session.wait(10) == 0
    session.stdout.close()


# How a connection ends, by whom (of two FINs the first counts), and in which phase: what the log must say.
ENDINGS = [
    ("c5 s7 cF sF", "closed", "client", "half-closed"),
    ("c5 s7 sF cF", "closed", "server", "half-closed"),
    ("c5 cR", "reset", "client", "open"),
    ("s7 sR", "reset", "server", "open"),
    ("c5 cF sR", "reset", "server", "half-closed"),
    ("s7 sF cR", "reset", "client", "half-closed"),
    ("c5 idle", "idle_timeout", "gate", "open"),
    ("c5 cF idle", "half_closed_timeout", "gate", "half-closed"),
]


def play(script, ends):
    """Plays the steps; "idle" waits until the gate has ended it."""
    for step in script.split():
        if step == "idle":
            assert ending(ends["c"], 5) in ("RST", "FIN")
            continue
        mine, other = ends[step[0]], ends["s" if step[0] == "c" else "c"]
        if step[1:] == "F":
            mine.shutdown(socket.SHUT_WR)
            assert ending(other) == "FIN"
        elif step[1:] == "R":
            dump(mine)
        else:
            mine.sendall(b"x" * int(step[1:]))
            assert hear(other, int(step[1:])) == b"x" * int(step[1:])


@pytest.mark.smoke
def test_the_line_at_the_end(proxy, mode, family):
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode, idle_timeout="2s", half_closed_timeout="1s"))
    for number, (script, how, by, phase) in enumerate(ENDINGS):
        client = proxy.dial(family, PORT)
        name = client.getsockname()
        ends = {"c": client, "s": service.accept()}
        play(script, ends)
        told = await_ending(proxy.gate, number)
        assert told["client"] == (f"[{name[0]}]:{name[1]}" if family == 6 else f"{name[0]}:{name[1]}")
        assert told["rule"] == "web"
        assert told["server"] == f"service/{at(SERVER, family, SERVICE_PORT)}"
        assert (told["how"], told["by"], told["phase"]) == (how, by, phase), script
        assert (told["bytes_in"], told["bytes_out"]) == ("5" if "c5" in script else "0", "7" if "s7" in script else "0")
        for time_ in ("handshake", "connect", "total"):
            assert re.fullmatch(r"\d+\.\d+ (ms|s)", told[time_]), told
        for one in ends.values():
            one.close()


def test_the_journal_has_the_end_in_fields(proxy, mode, family):
    lab = proxy.lab
    service = lab.closing(Service(lab.server, SERVER[family]))
    journal = lab.closing(Journal(proxy.gate))
    servers = [at(SERVER, family, port) for port in (SERVICE_PORT + 1, SERVICE_PORT)]
    proxy.start({"daemon": {"log": "journal", "log_level": "info"}, "rule web": rule(at(GATE, family, PORT), mode=mode),
                 "backend service": {"servers": ", ".join(servers), "check": "off", "retries": 1}})
    with proxy.dial(family, PORT) as client, service.accept() as server:
        name = client.getsockname()
        play("c5 s7", {"c": client, "s": server})
        time.sleep(0.3)
        play("sF cF", {"c": client, "s": server})
    entry = journal.await_entry("ACKGATE_END")
    times = {key: int(entry.pop(key)) for key in ("ACKGATE_HANDSHAKE_US", "ACKGATE_CONNECT_US", "ACKGATE_TOTAL_US")}
    assert 0 < times["ACKGATE_HANDSHAKE_US"] < 5_000_000 and 0 < times["ACKGATE_CONNECT_US"] < times["ACKGATE_TOTAL_US"]
    assert 300_000 <= times["ACKGATE_TOTAL_US"] < 5_000_000
    where = f"[{name[0]}]:{name[1]}" if family == 6 else f"{name[0]}:{name[1]}"
    assert entry.pop("MESSAGE").startswith(f"spliced {where}, rule web, server service/{servers[1]}: closed by server, half-closed")
    assert entry == {
        "PRIORITY": "6", "SYSLOG_IDENTIFIER": "ackgated", "ACKGATE_CLIENT": where, "ACKGATE_RULE": "web",
        "ACKGATE_BACKEND": "service", "ACKGATE_SERVER": servers[1], "ACKGATE_END": "closed", "ACKGATE_BY": "server",
        "ACKGATE_PHASE": "half-closed", "ACKGATE_BYTES_IN": "5", "ACKGATE_BYTES_OUT": "7", "ACKGATE_RETRIES": "1"}


def test_total_timeout(proxy, mode, family):
    """However busy it is."""
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode, total_timeout="1s"))
    client, server = proxy.dial(family, PORT), service.accept()
    began = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() - began < 5:
            client.sendall(b"x")
            if not server.recv(1):
                break
            server.sendall(b"y")
            if not client.recv(1):
                break
            time.sleep(0.05)
    assert 0.8 < time.monotonic() - began < 2
    assert await_ending(proxy.gate)["how"] == "total_timeout"
    client.close()
    server.close()


def test_a_busy_connection_is_not_idle(proxy, mode, family):
    """A byte in either direction counts."""
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode, idle_timeout="1s"))
    client, server = proxy.dial(family, PORT), service.accept()
    for one, other in ((client, server), (server, client)):
        for _ in range(3):
            time.sleep(0.6)
            one.sendall(b"x")
            assert hear(other, 1) == b"x"
    assert ending(client, 3) in ("RST", "FIN")
    client.close()
    server.close()


def test_a_transfer_to_a_slow_reader_is_not_idle_and_one_to_a_dead_one_is(proxy, mode, family):
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode, idle_timeout="1s"))
    client, server = proxy.dial(family, PORT), service.accept()
    sender = Task(pour, server, 100_000_000)
    assert drain(client, most=20_000_000, each=lambda got: time.sleep(0.01)) == 20_000_000
    time.sleep(2.5)
    with pytest.raises(OSError):
        sender.result()
    assert await_ending(proxy.gate)["how"] == "idle_timeout"
    client.close()
    server.close()


def test_status_counts(proxy, mode, family):
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode))
    assert proxy.gate.status()["splice"] == {"open": 0, "total": 0, "bytes_in": 0, "bytes_out": 0}
    for number in range(1, 4):
        with proxy.dial(family, PORT) as client, service.accept() as server:
            client.sendall(b"question")
            assert hear(server, 8) == b"question"
            server.sendall(b"an answer that is longer")
            assert hear(client, 24) == b"an answer that is longer"
            assert eventually(lambda: proxy.gate.status()["splice"]["open"] == 1)
        assert eventually(lambda: proxy.gate.status()["splice"] == {
            "open": 0, "total": number, "bytes_in": 8 * number, "bytes_out": 24 * number}), proxy.gate.status()["splice"]
    page = proxy.gate.ctl("status").stdout
    assert re.search(r"[Ss]plice", page), page
    rule_ = proxy.gate.rule("web")
    assert rule_["mode"] == "splice" and rule_["admitted"] == 3


def test_the_backlog_is_reported(proxy, mode, family):
    """Its size, and connections that it had no room for."""
    proxy.lab.gate.sysctl("net.core.somaxconn", 8)
    service = proxy.lab.closing(Service(proxy.lab.server, SERVER[family]))
    proxy.start(sections(family, mode, max_connections=1))
    first = proxy.dial(family, PORT)
    server = service.accept()
    held = [Task(proxy.dial, family, PORT, timeout=2) for _ in range(30)]
    outcomes = []
    for task in held:
        try:
            outcomes.append(task.result())
        except OSError:
            outcomes.append(None)
    listener = proxy.gate.ask("backends")["listeners"][0]
    assert (listener["rule"], listener["address"], listener["backlog_max"]) == ("web", at(GATE, family, PORT), 8)
    assert listener["backlog"] > 0 and listener["overflows"] > 0, listener
    page = proxy.gate.ctl("backends").stdout
    assert at(GATE, family, PORT) in page, page
    for one in outcomes:
        if one:
            dump(one)
    first.close()
    server.close()
    while not service.nobody(0.5):
        pass
