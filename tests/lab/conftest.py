# SPDX-License-Identifier: GPL-2.0-or-later
"""What every test of the lab gets. Needs root and the tools of `build-aux/deps test`; nothing is skipped without them."""

import os
import shutil
import zlib

import pytest

import floods
import gate as gate_module
import netns
import splicing
from services import Nginx
from topology import Lab

TOOLS = ("ip", "iptables", "ip6tables", "nft", "nginx", "curl", "nmap", "ss", "conntrack", "iperf3", "wrk", "hping3",
         "ssh", "ssh-keygen", "sshd", "redis-server", "redis-cli", "redis-benchmark")


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the lab makes network namespaces: run it as root", returncode=2)
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.exit(f"the lab misses {', '.join(missing)}: run build-aux/deps test", returncode=2)
    for program in ("ackgated", "ackgatectl", "tests/lab/flood", "tests/lab/dial"):
        if not os.path.exists(os.path.join(gate_module.programs(), program)):
            pytest.exit(f"no {program} in {gate_module.programs()}: run ./run --build", returncode=2)
    netns.delete_stale()
    splicing.raise_descriptors()


# Of the four pictures, forwarded and local by IPv4 and IPv6, these two show all that is in any; so do these of splice mode's,
# splicing and copying by IPv4 and IPv6. Those of the gate itself, and smoke tests, are in both; the others in one of them, some in
# the first and some in the second.
KINDS = [("forwarded", 4), ("local", 6)]
MODES = [("splice", 4), ("copy", 6)]


def is_left_out(item):
    params = getattr(item, "callspec", None) and item.callspec.params or {}
    pair = params.get("kind", params.get("mode")), params.get("family")
    if "crossing" in item.fixturenames or None in pair:
        return False
    shown = KINDS if "kind" in params else MODES
    if item.path.name < "test_20" or item.get_closest_marker("smoke"):
        return pair not in shown
    return pair != shown[zlib.crc32(item.originalname.encode()) % 2]


def pytest_collection_modifyitems(config, items):
    """All tests are in all four pictures in ./check pictures, and in one or two of them otherwise, but for those that cost next to
    nothing."""
    if floods.LONG:
        return
    left = [item for item in items if is_left_out(item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in set(left)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for gate in getattr(item, "gates", []):
            report.sections.append((f"log of {gate.directory}", gate.log()[-6000:]))
            if gate.process is not None and gate.process.poll() is None:
                report.sections.append(("ackgatectl status", gate.ctl("status").stdout))
                rules = gate.namespace.run("iptables-save", "-c", "-t", "security", check=False).stdout
                report.sections.append(("rules of the security table that were hit", "\n".join(
                    line for line in rules.splitlines() if line.startswith("[") and not line.startswith("[0:0]"))))
                report.sections.append(("ackgatectl rules", gate.ctl("rules").stdout))
                report.sections.append(("lasting rules", gate.namespace.run(
                    "nft", "list", "table", "inet", "ackgate_lasting", check=False).stdout))
                report.sections.append(("conntrack", gate.namespace.run(
                    "conntrack", "-L", "-p", "tcp", check=False).stdout[-3000:]))


@pytest.fixture(params=["forwarded", "local"])
def kind(request):
    """Where the gate stands; a test for one place alone says @pytest.mark.parametrize("kind", ["forwarded"])."""
    return request.param


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request):
    return request.param


@pytest.fixture
def lab(kind):
    made = Lab(kind)
    yield made
    made.close()


@pytest.fixture
def new_gate(request, lab):
    """Makes a daemon, not started yet, for the lab's gate or another namespace; it must end well when the test is over."""
    request.node.gates = []

    def make(namespace=lab.gate):
        directory = lab.path(f"gate-{len(request.node.gates)}")
        os.makedirs(directory)
        os.chmod(directory, 0o755)
        gate = gate_module.Gate(namespace, directory)
        request.node.gates.append(gate)
        return gate

    yield make
    for gate in reversed(request.node.gates):
        gate.stop()


@pytest.fixture
def gate(new_gate):
    return new_gate()


@pytest.fixture
def web(lab):
    """A web server with one small page, and the networks that floods and many honest clients come from."""
    floods.route(lab)
    nginx = lab.closing(Nginx(lab.server, lab.directory, ports=(80, 81), backlog=4096))
    nginx.publish("index.html", floods.PAGE_SIZE)
    return nginx


@pytest.fixture
def figures(request):
    """Keeps what was measured: figures(text) shows with a failure, and goes to the file $ACKGATE_LAB_FIGURES."""
    def keep(text):
        print(text)
        path = os.environ.get("ACKGATE_LAB_FIGURES")
        if path:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{request.node.name}: {text}\n")
    return keep


@pytest.fixture(scope="module")
def crossing_of_module():
    made = splicing.Crossing()
    yield made
    made.lab.close()


@pytest.fixture
def crossing(request, crossing_of_module):
    """The daemon of many short tests of splice mode; nothing of a test's connections must be left in it."""
    request.node.gates = [crossing_of_module.gate]
    yield crossing_of_module
    crossing_of_module.await_settled()
    left = [family for family, service in crossing_of_module.services.items() if not service.nobody(0.001)]
    assert not left, "a connection has come that the test did not wait for"


@pytest.fixture
def splice_lab():
    made = Lab("forwarded")
    yield made
    made.close()


@pytest.fixture
def proxy(request, splice_lab):
    """A daemon of splice mode, not started yet. Nothing of its connections must be left when the test is over."""
    directory = splice_lab.path("gate")
    os.makedirs(directory)
    os.chmod(directory, 0o755)
    made = splicing.Proxy(splice_lab, gate_module.Gate(splice_lab.gate, directory))
    request.node.gates = [made.gate]
    yield made
    if made.gate.process is not None:
        made.await_settled()
    made.gate.stop()
