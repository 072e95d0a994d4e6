# SPDX-License-Identifier: GPL-2.0-or-later
"""An SSH server and a session with it, all of whose files are in the lab's folder."""

import os
import subprocess

from netns import run
from topology import eventually

PORT = 2222
SSHD = "/usr/sbin/sshd"
# Where sshd shuts itself in; not there before the service has been started once.
EMPTY = "/run/sshd"

CONFIG = """\
Port {port}
HostKey {dir}/host
AuthorizedKeysFile {dir}/client.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
UseDNS no
"""


class Sshd:
    def __init__(self, namespace, directory):
        self.directory = os.path.join(directory, "ssh")
        os.makedirs(self.directory)
        self._made = not os.path.isdir(EMPTY)
        os.makedirs(EMPTY, mode=0o755, exist_ok=True)
        for name in ("host", "client"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.directory, name))
        config = os.path.join(self.directory, "sshd_config")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=PORT, dir=self.directory))
        with open(os.path.join(self.directory, "log"), "wb") as log:
            self.process = namespace.popen(SSHD, "-D", "-e", "-f", config, stdout=log, stderr=log)
        if not eventually(lambda: f":{PORT} " in namespace.run("ss", "-Hltn").stdout):
            raise RuntimeError(f"sshd does not listen:\n{self.log()}")

    def log(self):
        with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def session(self, namespace, address):
        """`cat` at the server: what is written to .stdin comes back from .stdout."""
        return namespace.popen(
            "ssh", "-F", "none", "-T", "-p", str(PORT), "-i", os.path.join(self.directory, "client"),
            "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", f"root@{address}", "cat",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self.process.kill()
        self.process.wait()
