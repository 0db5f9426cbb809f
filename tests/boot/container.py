# SPDX-License-Identifier: MIT
"""What the tests inside the container share: the service, its journal, and other users."""

import contextlib
import json
import os
import pathlib
import pickle
import pwd
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *  # noqa: E402,F403
from wire import *  # noqa: E402,F403

if not pathlib.Path("/run/host/container-manager").exists():
    sys.exit("This changes the machine's own portmon: run boot.py, which does it in a container")

SERVICE = "portmond.service"
SOCKET = "/run/portmon/portmon.sock"
CONFIG = pathlib.Path("/etc/portmon/portmon.yaml")
DATA = pathlib.Path("/var/lib/portmon")

# Where the service is asked: the path of the socket, and whether a bus is behind it.
TRANSPORTS = {"bus": (BUS_SOCKET, True), "socket": (SOCKET, False)}


def bus():
    return Connection(*TRANSPORTS["bus"])


def peer():
    return Connection(*TRANSPORTS["socket"])


# ---- the service ----

# Whether it was built with a sanitizer: then its memory is not its own.
SANITIZED = pathlib.Path(f"/etc/systemd/system/{SERVICE}.d/sanitizer.conf").exists()


def systemctl(*arguments, **options):
    return sh("systemctl", *arguments, **options)


def show(name, unit=SERVICE):
    """A property of a unit, as systemd names it."""
    return systemctl("show", "--value", "--property", name, unit).strip()


def pid(unit=SERVICE):
    return int(show("MainPID", unit))


def is_active(unit=SERVICE):
    """What systemctl calls the unit's state."""
    return systemctl("is-active", unit, check=False).strip()


def configure(text):
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(text)


@contextlib.contextmanager
def drop_in(text):
    """The service with other settings; it is restarted with them and, at the end, without them."""
    path = pathlib.Path(f"/run/systemd/system/{SERVICE}.d/test.conf")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_text(text)
        systemctl("daemon-reload")
        systemctl("restart", SERVICE)
        yield
    finally:
        path.unlink()
        systemctl("daemon-reload")
        systemctl("restart", SERVICE)


@contextlib.contextmanager
def same_process():
    """What is done in it must not end the service."""
    before = pid()
    true(before, "the service runs")
    yield before
    equal(pid(), before, "the process of the service")
    equal(is_active(), "active", "its state")


def memory_kib(process, what="VmRSS"):
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0])


def open_files(process):
    return len(os.listdir(f"/proc/{process}/fd"))


def cursor():
    """Where the journal ends now."""
    return sh("journalctl", "--show-cursor", "--lines=0", "--quiet").split("cursor: ")[1].strip()


def journal(after, **wanted):
    """The entries of the journal since a cursor() that have these fields, oldest first."""
    sh("journalctl", "--sync")
    # Not by a match: --after-cursor with a match leaves out one entry too many (systemd 252).
    entries = map(json.loads, sh("journalctl", "--output=json", "--after-cursor", after).splitlines())
    return [e for e in entries if all(e.get(field) == value for field, value in wanted.items())]


def said(after):
    """What the service itself has said since."""
    return [entry["MESSAGE"] for entry in journal(after, _SYSTEMD_UNIT=SERVICE)]


# ---- polkit ----

POLKIT = "polkit.service"


@contextlib.contextmanager
def stopped_polkit():
    """polkitd runs but does not answer."""
    systemctl("start", POLKIT)
    process = pid(POLKIT)
    os.kill(process, signal.SIGSTOP)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


# ---- others ----


def as_user(name, function, *arguments, cgroup=None):
    """Calls a function in a process of that user; returns what it returns, raises what it raises."""
    user = pwd.getpwnam(name)
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            if cgroup:
                (cgroup / "cgroup.procs").write_text("0")
            os.initgroups(name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            result = None, function(*arguments)
        except BaseException as error:
            error.add_note("".join(traceback.format_exception(error)))
            result = error, None
        with open(write_end, "wb") as output:
            pickle.dump(result, output)
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as input:
        error, value = pickle.load(input)
    os.waitpid(child, 0)
    if error:
        raise error
    return value


def sockets_of(name, path, n=1):
    """Sockets that a process of that user has connected."""
    def send():
        for _ in range(n):
            with connect(path) as connected:
                socket.send_fds(theirs, [b"."], [connected.fileno()])

    ours, theirs = socket.socketpair()
    with ours, theirs:
        receiver = threading.Thread(target=as_user, args=[name, send])
        receiver.start()
        sockets = [socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0]) for _ in range(n)]
        receiver.join()
    return sockets


def connection_of(name, transport):
    """A connection of that user. As its process has ended, polkit would not know it."""
    path, is_bus = TRANSPORTS[transport]
    return Connection(sockets_of(name, path)[0], is_bus)


def portmon_as(name, *arguments):
    """Runs the client as a user."""
    return sh("setpriv", "--reuid", name, "--regid", name, "--init-groups", "portmon", *map(str, arguments))
