# SPDX-License-Identifier: GPL-2.0-or-later
"""Services of every day through cookies: who speaks first, who speaks last, who is silent for long."""

import json
import re
import subprocess
import time

import pytest

from floods import cookies, learn, learned
from ssh import PORT as SSH_PORT
from ssh import Sshd
from topology import eventually, literal

REDIS_PORT = 6379
IPERF_PORT = 5201


def start(gate, port, **timeouts):
    gate.start({"rule service": {"port": port, "syncookies": "always"}, "timeouts": timeouts})


def listens(namespace, port):
    return eventually(lambda: f":{port} " in namespace.run("ss", "-Hltn").stdout)


def ended(process):
    process.kill()
    process.wait()


@pytest.fixture
def service(lab):
    """service(port, program, ...): runs it in the server's namespace until the test is over."""
    running = []

    def make(port, *argv):
        running.append(lab.server.popen(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=lab.directory))
        assert listens(lab.server, port), f"{argv[0]} does not listen"

    yield make
    for process in running:
        ended(process)


def test_nginx_with_connections_kept_and_closed(lab, gate, web, family):
    start(gate, 80)
    before = learn(lab, gate, family)
    url = f"http://{literal(lab.server_address[family])}/"
    for header in ("Connection: keep-alive", "Connection: close"):
        said = lab.client.run("wrk", "-t", "1", "-c", "20", "-d", "1s", "-H", header, url).stdout
        assert "Socket errors" not in said and "Non-2xx" not in said, said
        assert int(re.search(r"(\d+) requests in", said)[1]) > 100, said
    assert cookies(gate)["accepted"] - before > 100
    assert gate.failed() == {}


@pytest.mark.smoke
def test_an_idle_ssh_session(lab, gate, family):
    """Idle past every timer of a handshake."""
    sshd = lab.closing(Sshd(lab.server, lab.directory))
    start(gate, SSH_PORT, syn_sent="1s", syn_received="1s")
    before = learn(lab, gate, family, port=SSH_PORT)
    session = sshd.session(lab.client, lab.server_address[family])
    try:
        for pause in (0, 4):
            time.sleep(pause)
            session.stdin.write("still there?\n")
            session.stdin.flush()
            assert session.stdout.readline() == "still there?\n", sshd.log()
        session.stdin.close()
        assert session.wait(10) == 0
    finally:
        ended(session)
    assert cookies(gate)["accepted"] == before + 1
    assert gate.failed() == {}


@pytest.mark.parametrize("reverse", [False, True], ids=["up", "down"])
def test_iperf3(lab, gate, service, family, reverse):
    service(IPERF_PORT, "iperf3", "-s", "-p", str(IPERF_PORT))
    start(gate, IPERF_PORT)
    # iperf3's server takes a connection that says nothing for a client: the learning is left to a first run of its own.
    command = ["iperf3", "-c", lab.server_address[family], "-p", str(IPERF_PORT), "-J", *(["-R"] if reverse else [])]
    lab.client.run(*command, "-n", "1M")
    assert learned(gate, lab.server_address[family], IPERF_PORT)["timestamps"] is True
    before = cookies(gate)["accepted"]
    answer = json.loads(lab.client.run(*command, "-t", "2").stdout)
    assert answer["end"]["sum_received"]["bytes"] > 50_000_000, answer["end"]
    assert cookies(gate)["accepted"] == before + 2
    assert gate.failed() == {} and gate.drops() == {}


def test_redis(lab, gate, service, family):
    service(REDIS_PORT, "redis-server", "--port", str(REDIS_PORT), "--bind", "*", "-::*", "--protected-mode", "no",
            "--save", "", "--appendonly", "no")
    start(gate, REDIS_PORT)
    before = learn(lab, gate, family, port=REDIS_PORT)
    where = ["-h", lab.server_address[family], "-p", str(REDIS_PORT)]
    assert lab.client.run("redis-cli", *where, "set", "key", "value").stdout.strip() == "OK"
    assert lab.client.run("redis-cli", *where, "get", "key").stdout.strip() == "value"
    said = lab.client.run("redis-benchmark", *where, "-n", "5000", "-c", "20", "-t", "set,get", "-q").stdout
    assert said.count("requests per second") == 2 and "rror" not in said.replace("WARNING", ""), said
    assert cookies(gate)["accepted"] - before >= 42
    assert gate.failed() == {}
