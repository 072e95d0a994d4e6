# SPDX-License-Identifier: GPL-2.0-or-later
"""What systemd does for a service that leaves its sockets with it (FileDescriptorStoreMax): they are kept while it is down, and
handed to its next process by LISTEN_FDS."""

import array
import contextlib
import os
import socket
import sys
import threading

from gate import programs
from topology import eventually

# Puts the descriptors named in its first word to 3 and up, and becomes the program that follows.
HAND_OVER = """
import fcntl, os, sys
given = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 200) for fd in sys.argv[1].split(",") if fd]
for number, fd in enumerate(given):
    os.dup2(fd, 3 + number)
    os.close(fd)
if given:
    os.environ.update(LISTEN_FDS=str(len(given)), LISTEN_FDNAMES=sys.argv[2], LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[3], sys.argv[3:])
"""


class FdStore:
    """Starts and ends one Gate's daemon, and keeps its sockets in between."""

    def __init__(self, gate):
        self.gate = gate
        self.kept = []  # (name, descriptor)
        self._ready = threading.Event()
        self._path = os.path.join(gate.directory, "store.sock")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._path)
        os.chmod(self._path, 0o666)
        self._ended = False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while not self._ended:
            with contextlib.suppress(OSError):
                said, control, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(64 * 4))
                given = array.array("i")
                for level, kind, data in control:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                        given.frombytes(data[:len(data) - len(data) % given.itemsize])
                self._take(dict(line.split("=", 1) for line in said.decode().splitlines() if "=" in line), given)

    def _take(self, said, given):
        name = said.get("FDNAME", "stored")
        if "FDSTORE" in said:
            for fd in given:
                # As systemd does: a socket that is there already is not taken twice.
                if any(os.path.sameopenfile(fd, one) for _, one in self.kept):
                    os.close(fd)
                else:
                    self.kept.append((name, fd))
        elif "FDSTOREREMOVE" in said:
            for kept in [one for one in self.kept if one[0] == name]:
                os.close(kept[1])
                self.kept.remove(kept)
        if "READY" in said:
            self._ready.set()

    def start(self):
        """Returns once the daemon is ready."""
        self._ready.clear()
        given = list(self.kept)
        with open(self.gate.log_file, "ab") as log:
            self.gate.process = self.gate.namespace.popen(
                sys.executable, "-c", HAND_OVER, ",".join(str(fd) for _, fd in given), ":".join(name for name, _ in given),
                os.path.join(programs(), "ackgated"), "-c", self.gate.file, stdout=log, stderr=log,
                pass_fds=[fd for _, fd in given], env={**os.environ, "NOTIFY_SOCKET": self._path})
        assert eventually(lambda: self._ready.is_set() or self.gate.process.poll() is not None, 20)
        assert self.gate.process.poll() is None, self.gate.log()

    def restart(self, pause=0.3):
        """SIGTERM, a moment in which there is no daemon, and the next one."""
        self.gate.stop(30)
        threading.Event().wait(pause)
        self.start()

    def close(self):
        self._ended = True
        self._socket.close()
        for _, fd in self.kept:
            os.close(fd)
