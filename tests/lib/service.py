# SPDX-License-Identifier: MIT
"""A stand-in for the service manager: it keeps descriptors for a portmond that is killed.

It speaks the protocol of sd_notify(3) and sd_listen_fds(3) as systemd 252 does with portmond.service:
descriptors stay from one process to the next, whatever ended it, until stop() or the daemon itself
lets them go.
"""

import fcntl
import os
import signal
import socket
import subprocess
import threading

from harness import *

# FileDescriptorStoreMax= of the unit
MAX_KEPT = 64

FIRST_FD = 3  # SD_LISTEN_FDS_START


class Service(Daemon):
    """A Daemon that has its listening socket, and a store of descriptors, from us."""

    def __init__(self, *ports, **options):
        super().__init__(*ports, **options)
        self.program = PORTMOND  # that the next start runs
        self.store = []  # (name, descriptor)
        self._kept = threading.Semaphore(0)  # how often a descriptor came
        self._ready = threading.Event()
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._name = f"portmon-test-{os.getpid()}-{id(self)}"
        self._notices.bind(f"\0{self._name}")
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._notices.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._notices.close()
        self._listener.close()
        self.forget()

    # ---- notices ----

    def _receive(self):
        while True:
            message, fds, _, _ = socket.recv_fds(self._notices, 4096, MAX_KEPT, socket.MSG_CMSG_CLOEXEC)
            if not message:
                return
            notice = dict(line.partition("=")[::2] for line in message.decode().splitlines())
            if "FDSTORE" in notice:
                self._keep(notice, fds)
            elif "FDSTOREREMOVE" in notice:
                self.forget(notice["FDNAME"])
            elif notice.get("READY") == "1":
                self._ready.set()

    def _keep(self, notice, fds):
        for fd in fds:
            # What it can't poll it drops, unless it is told not to; so it does when it is full.
            if notice.get("FDPOLL") == "0" and len(self.store) < MAX_KEPT:
                self.store.append((notice["FDNAME"], fd))
            else:
                os.close(fd)
        self._kept.release()

    def forget(self, name=None):
        """Lets the descriptors of this name go, or all."""
        for kept in [kept for kept in self.store if name in (None, kept[0])]:
            self.store.remove(kept)
            os.close(kept[1])

    def maps(self):
        """The maps in the store: the same ones as long as nobody began anew."""
        return [kept for kept in self.store if "-map-" in kept[0]]

    # ---- the process ----

    def start(self, wait=True):
        if not self._thread.is_alive():
            self._listener.bind(str(self.socket))
            self._listener.listen()
            self._thread.start()
        self._ready.clear()
        names, fds = zip(("portmond.socket", self._listener.fileno()), *self.store)
        numbers = range(FIRST_FD, FIRST_FD + len(fds))

        def put_in_place():  # in the child, before it runs the program
            spare = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, numbers.stop) for fd in fds]
            for number, fd in zip(numbers, spare):
                os.dup2(fd, number)

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", self.program, *self.command()[1:]],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=False, preexec_fn=put_in_place,
                env={**os.environ, **(self.environment or {}), "NOTIFY_SOCKET": f"@{self._name}",
                     "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(names)},
            )
        if wait:
            self.wait_until_ready()

    def kill_when_kept(self, number):
        """Starts the daemon and kills it when so many more descriptors were kept. Returns whether it
        came to that before it was ready."""
        self._kept = threading.Semaphore(0)
        self.start(wait=False)
        while number and not self._ready.is_set():
            number -= self._kept.acquire(timeout=0.05)
        while number and self._kept.acquire(blocking=False):  # what came before it was ready
            number -= 1
        self.stop(signal.SIGKILL)
        return number == 0

    def wait_until_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise Failure(f"portmond ended with {self.process.returncode}: {self.log_text()}")
            return self._ready.wait(0.05)
        eventually(ready, "portmond is ready")
