# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon as an administrator and systemd meet it: options, exits, faults, signals, privileges, the log."""

import os
import re
import signal
import stat

import pytest

from gate import programs
from netns import run
from services import Echo, connect, talk
from topology import CLIENT, eventually

PORT = 7
CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW = 10, 12, 13
KEPT = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW

# What is asked here does not depend on where the gate stands.
pytestmark = pytest.mark.parametrize("kind", ["local"])

FAULTY = """\
[daemon]
log_level = loud
[rule web]
prot = 80
[rule web]
port = 99999
"""


def daemon(gate, *argv):
    return gate.namespace.run(os.path.join(programs(), "ackgated"), *argv, check=False)


def process_status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def test_a_good_file_is_said_to_be_good(gate):
    gate.write({"rule web": {"port": 80}})
    assert daemon(gate, "-t", "-c", gate.file).returncode == 0


@pytest.mark.smoke
def test_every_fault_is_said_at_once(gate):
    gate.write_text(FAULTY)
    for arguments in (["-t"], []):
        done = daemon(gate, "-c", gate.file, *arguments)
        assert done.returncode == 1
        for line in (2, 4, 5, 6):
            assert f"{gate.file}:{line}: " in done.stdout, done.stdout


def test_wrong_usage(gate):
    assert daemon(gate, "--no-such-option").returncode == 2
    assert daemon(gate, "-c").returncode == 2
    assert daemon(gate, "extra").returncode == 2


def test_version_and_help(gate):
    version = daemon(gate, "-V")
    assert version.returncode == 0 and re.search(r"\d+\.\d+", version.stdout)
    text = daemon(gate, "-h")
    assert text.returncode == 0
    assert all(option in text.stdout for option in ("-c", "-t", "-n", "--purge", "-d", "-V"))


def test_rules_are_printed_and_not_installed(gate):
    gate.write({"rule web": {"port": 8642}})
    done = daemon(gate, "-n", "-c", gate.file)
    assert done.returncode == 0 and "8642" in done.stdout
    assert "8642" not in gate.namespace.run("nft", "list", "ruleset").stdout


def test_a_missing_file(gate):
    done = daemon(gate, "-c", "/nonexistent/ackgate.ini")
    assert done.returncode == 1 and "/nonexistent/ackgate.ini" in done.stdout


def test_an_unknown_user(gate):
    gate.write({"daemon": {"user": "no-such-user"}})
    done = daemon(gate, "-c", gate.file)
    assert done.returncode in (1, 3) and "no-such-user" in done.stdout


@pytest.mark.smoke
def test_privileges_are_dropped(gate):
    gate.start({"rule echo": {"port": PORT}})
    status = process_status(gate.process.pid)
    assert status["Uid"].split()[0] != "0"
    assert int(status["CapEff"], 16) == KEPT
    assert int(status["CapBnd"], 16) & ~KEPT == 0
    assert status["NoNewPrivs"] == "1"


def test_the_control_socket_is_not_everybodys(gate):
    gate.start({"rule echo": {"port": PORT}})
    assert stat.S_IMODE(os.stat(gate.control).st_mode) & 0o007 == 0


def spawn_without_override(gate):
    """As under systemd: root who may not write to what is another user's."""
    with open(gate.log_file, "ab") as log:
        return gate.namespace.popen("setpriv", "--bounding-set=-dac_override",
                                    os.path.join(programs(), "ackgated"), "-c", gate.file,
                                    stdout=log, stderr=log)


def test_a_stale_control_socket_is_replaced(lab, gate, new_gate):
    gate.start({"rule web": {"port": 80}})
    other = new_gate(lab.client)
    other.write({"daemon": {"control": gate.control}, "rule web": {"port": 80}})
    assert spawn_without_override(other).wait(20) == 3
    assert "in use" in other.log()
    gate.kill()
    gate.process = spawn_without_override(gate)
    assert eventually(lambda: gate.ctl("status").returncode == 0), gate.log()


def test_ctl_exits(gate):
    assert gate.ctl("status").returncode == 3
    gate.start({"rule echo": {"port": PORT}})
    assert gate.ctl("status").returncode == 0
    assert gate.ctl("no-such-command").returncode == 2
    assert gate.ctl("flows", "colour", "blue").returncode in (1, 2)
    for argv in (["block"], ["block", "nobody"], ["block", "192.0.2.7", "10"], ["block", "192.0.2.7", "1m", "x"],
                 ["unblock"], ["unblock", "192.0.2.7", "1m"], ["sources", "all"]):
        assert gate.ctl(*argv).returncode == 2, argv
    assert run(os.path.join(programs(), "ackgatectl"), check=False).returncode == 2


def test_status_has_what_scripts_rely_on(gate):
    gate.start({"rule echo": {"port": PORT}})
    status = gate.status()
    wanted = {
        "config": {"file", "loaded_at", "generation", "last_error"},
        "queue": {"packets", "kernel_dropped", "user_dropped", "overruns"},
        "flows": {"syn_sent", "syn_received", "established", "closing", "offloaded"},
        "handshakes": {"started", "completed", "failed"},
        "cookies": {"sent", "accepted", "refused", "active"},
        "sources": {"tracked", "blocked"},
        "splice": {"open", "total", "bytes_in", "bytes_out"},
    }
    assert {"version", "uptime_s", "enforce", "workers", "drops", "rules"} <= status.keys()
    for name, fields in wanted.items():
        assert fields <= status[name].keys(), name
    assert {"name", "mode", "matched", "admitted", "dropped", "half_open", "cookies_active"} <= status["rules"][0].keys()
    assert status["config"]["file"] == gate.file


def test_usr1_writes_the_status_into_the_log(gate):
    gate.start({"rule echo": {"port": PORT}})
    before = len(gate.log())
    gate.signal(signal.SIGUSR1)
    assert eventually(lambda: "handshakes" in gate.log()[before:]), gate.log()[before:]


def test_a_refused_handshake_is_one_line(lab, gate, family):
    gate.start({"daemon": {"log_level": "info"}, "rule nothing": {"port": PORT}})
    with pytest.raises(ConnectionRefusedError):
        connect(lab.client, lab.server_address[family], PORT)
    assert eventually(lambda: "refused" in gate.log())
    lines = [line for line in gate.log().splitlines() if "refused" in line]
    assert len(lines) == 1
    assert CLIENT[family] in lines[0] and "nothing" in lines[0]


def test_sigint_ends_it_well(gate):
    gate.start({"rule echo": {"port": PORT}})
    process, gate.process = gate.process, None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert not os.path.exists(gate.control), "a folder of root's, and the daemon is not root"
    assert "ackgate" not in gate.namespace.run("iptables-save").stdout.lower()


def test_the_configuration_in_force_reads_back(lab, gate, new_gate):
    gate.start({"rule echo": {"port": PORT, "syn_rate": "50/s burst 100"}})
    text = gate.ctl("config").stdout
    other = new_gate()
    other.write_text(text)
    done = daemon(other, "-t", "-c", other.file)
    assert done.returncode == 0, done.stdout


def test_workers_share_the_load(lab, gate, family):
    """Several queues: whichever takes a flow, both of its directions go there."""
    lab.closing(Echo(lab.server, PORT))
    gate.start({"daemon": {"workers": 4}, "rule echo": {"port": PORT}})
    assert gate.status()["workers"] == 4
    for _ in range(20):
        client = connect(lab.client, lab.server_address[family], PORT)
        assert talk(client)
        client.close()
    assert gate.status()["handshakes"]["completed"] == 20
    assert gate.drops() == {}
