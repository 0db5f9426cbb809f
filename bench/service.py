# SPDX-License-Identifier: MIT
"""A portmond that is kept as systemd keeps a service: descriptors that it hands over outlive it."""

import array
import fcntl

from measure import *

FIRST_FD = 3


class Service(Daemon):
    """As Daemon. Use it with `with`."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.store = {}
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self.directory / "notify"))
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self):
        """Takes what is to be stored and gives up what is not any more."""
        while True:
            text, controls, *_ = self._notify.recvmsg(4096, socket.CMSG_SPACE(4))
            fields = dict(line.split("=", 1) for line in text.decode().splitlines())
            if "FDSTOREREMOVE" in fields:
                os.close(self.store.pop(fields["FDNAME"]))
            for *_, data in controls:
                self.store[fields["FDNAME"]] = array.array("i", data)[0]

    def forget(self):
        """Gives up what is stored, as `systemctl stop` does."""
        while self.store:
            os.close(self.store.popitem()[1])

    def start(self, wait=True):
        names, kept = list(self.store), [os.dup(fd) for fd in self.store.values()]

        def hand_over():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, FIRST_FD + len(kept)) for fd in kept]
            for number, fd in enumerate(high, FIRST_FD):
                os.dup2(fd, number)

        environment = {**os.environ, "NOTIFY_SOCKET": str(self.directory / "notify")}
        if names:
            environment |= {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *map(str, self.command())], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=environment, close_fds=False, preexec_fn=hand_over)
        for fd in kept:
            os.close(fd)
        if wait:
            eventually(self._answers, "the daemon answers")
