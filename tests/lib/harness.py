# SPDX-License-Identifier: MIT
"""What the tests in Python share: TAP, a daemon of their own, and its figures as users see them.

A test is a function with the decorator @test. Its name in the report is its docstring's first line,
or its own. run() runs all of a file's and ends the process. A test fails by raising; equal() and
friends say what was and what should have been. A test that can't run here raises Unavailable. skip()
ends a whole file with a reason, exit status 77: meson and CI see it.

Where the build is: the environment variable PORTMON_BUILD, set by meson.
"""

import concurrent.futures
import contextlib
import ctypes
import inspect
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BUILD = pathlib.Path(os.environ.get("PORTMON_BUILD", "build"))
PORTMOND = BUILD / "src" / "portmond"
PORTMON = BUILD / "src" / "portmon"

# Under a sanitizer or an emulated CPU everything takes longer. No test measures time; this only
# bounds how long one waits for what must come.
PATIENCE_SEC = 30 * int(os.environ.get("PORTMON_PATIENCE", "1"))

# Tests that may run at the same time mostly wait.
WORKERS = 8 * (os.cpu_count() or 1)

_tests = []


def test(function, together=False):
    """Neighbours that may run `together` do; all others run alone."""
    _tests.append((together, function))
    return function


def skip(reason):
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(77)


class Failure(Exception):
    pass


class Unavailable(Exception):
    pass


def equal(got, wanted, what="value"):
    if got != wanted:
        raise Failure(f"{what} is {got!r}, not {wanted!r}")


def true(condition, what):
    if not condition:
        raise Failure(f"not so: {what}")


def eventually(condition, what, timeout=None):
    """Waits until condition() is true, and returns what it returned."""
    end = time.monotonic() + (timeout or PATIENCE_SEC)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"never happened: {what}")
        time.sleep(0.005)


def print_sockets(port):
    """What the kernel has of a port, in every namespace, to tell a close that was missed from one that was not."""
    spaces = [["-N", space.name] for space in pathlib.Path("/run/netns").glob("*")]
    for space in [[], *spaces]:
        found = subprocess.run(["ss", *space, "-Htanoe", f"( sport = :{port} or dport = :{port} )"],
                               capture_output=True, text=True, check=False)
        for line in (found.stdout + found.stderr).splitlines():
            print("#", *space, line)


def processes():
    """The names of all processes, but of those that end meanwhile."""
    names = []
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            names.append(comm.read_text().strip())
    return names


def _attempt(function):
    """Runs a test; returns its result, a directive, and lines that explain them."""
    try:
        function()
        return "ok", "", []
    except Unavailable as reason:
        return "ok", f" # SKIP {reason}", []
    except Failure as failure:
        return "not ok", "", [failure]
    except Exception:
        return "not ok", "", traceback.format_exc().splitlines()


def run():
    """Runs the tests whose names contain one of the arguments, or all, and exits."""
    wanted = sys.argv[1:]
    chosen = [t for t in _tests if not wanted or any(w in t[1].__name__ for w in wanted)]
    numbers = itertools.count(1)
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for together, neighbours in itertools.groupby(chosen, key=lambda t: t[0]):
            functions = [function for _, function in neighbours]
            attempts = (pool.map if together else map)(_attempt, functions)
            for function, (result, directive, lines) in zip(functions, attempts):
                title = (inspect.getdoc(function) or function.__name__).splitlines()[0]
                for line in lines:
                    print(f"# {line}")
                failed += result != "ok"
                print(f"{result} {next(numbers)} - {title}{directive}", flush=True)
    sys.exit(1 if failed else 0)


# ---- where we are ----


def need_root_and_bpf():
    """Skips the file unless portmond can count here."""
    if os.geteuid() != 0:
        skip("needs root")
    if not os.access("/sys/kernel/btf/vmlinux", os.R_OK):
        skip("this kernel has no BTF")


_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def _enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespaces:
    """Two network namespaces joined by a veth pair: `a` has .1 and ::1, `b` has .2 and ::2."""

    _numbers = itertools.count(1)

    def __init__(self):
        number = next(self._numbers)
        self.names = [f"portmon-{os.getpid()}-{number}{end}" for end in "ab"]

    def __enter__(self):
        a, b = self.names
        for name in self.names:
            sh("ip", "netns", "add", name)
        sh("ip", "link", "add", "veth0", "netns", a, "type", "veth", "peer", "name", "veth0", "netns", b)
        for number, name in enumerate(self.names, 1):
            ip = ["ip", "-n", name]
            sh(*ip, "address", "add", f"10.99.0.{number}/24", "dev", "veth0")
            sh(*ip, "address", "add", f"fd99::{number}/64", "dev", "veth0", "nodad")
            sh(*ip, "link", "set", "lo", "up")
            sh(*ip, "link", "set", "veth0", "up")
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False)

    def path(self, end):
        return f"/run/netns/{self.names['ab'.index(end)]}"

    @contextlib.contextmanager
    def inside(self, end):
        """Runs a block, and what it starts, in namespace `a` or `b`."""
        with open("/proc/thread-self/ns/net") as home, open(self.path(end)) as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def reuse_ports(self):
        """Lets `b` open thousands of connections to one port of `a`: or it would run out of ports."""
        with self.inside("b"):
            pathlib.Path("/proc/sys/net/ipv4/tcp_tw_reuse").write_text("1")


def sh(*command, check=True, **options):
    """Runs a command; its standard output comes back as text."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))} failed: {done.stderr.strip()}")
    return done.stdout


def preloaded(library):
    """The environment in which a program has a library of the build before its own."""
    return {"LD_PRELOAD": str((BUILD / library).resolve()),
            "ASAN_OPTIONS": f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"}


# ---- traffic ----


def move(sender, receiver, amount):
    """Moves so many bytes from one socket to another."""
    thread = threading.Thread(target=sender.sendall, args=[bytes(amount)])
    thread.start()
    while amount:
        amount -= len(receiver.recv(min(amount, 1 << 16)))
    thread.join()


def transfer(port, size=123457, answer=765433):
    """One connection over loopback that carries `size` bytes to its server and `answer` back."""
    with socket.create_server(("127.0.0.1", port)) as listener, \
            socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
        move(client, server, size)
        move(server, client, answer)


# ---- the daemon and its client ----


class Daemon:
    """A portmond with a data directory and a socket of its own. Use it with `with`."""

    def __init__(self, *ports, options=(), config="/dev/null", directory=None, environment=None):
        self.ports = ports
        self.options = ["--config", config, *options]
        self.environment = environment
        self._made = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="portmon-test-"))
        self.data = self.directory / "data"
        self.socket = self.directory / "socket"
        self.log = self.directory / "log"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.stop()
        if self._made:
            shutil.rmtree(self.directory, ignore_errors=True)

    def command(self):
        ports = [word for port in self.ports for word in ("--port", str(port))]
        return [PORTMOND, *ports, "--data-dir", self.data, "--socket", self.socket, *self.options]

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(self.environment or {})},
            )
        if wait:
            eventually(self._answers, "the daemon answers")

    def _answers(self):
        if self.process.poll() is not None:
            raise Failure(f"portmond ended with {self.process.returncode}: {self.log_text()}")
        return self.try_portmon("list-ports").returncode == 0

    def log_text(self):
        return self.log.read_text(errors="replace")

    def stop(self, number=signal.SIGTERM):
        """Ends the daemon by a signal; returns its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE_SEC)
        if number == signal.SIGTERM and status != 0:
            raise Failure(f"portmond ended with {status}: {self.log_text()}")
        return status

    def restart(self, number=signal.SIGTERM):
        self.stop(number)
        self.start()

    def try_portmon(self, *arguments):
        return subprocess.run(
            [PORTMON, "--socket", self.socket, *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def portmon(self, *arguments):
        """Runs the client; returns what it printed."""
        done = self.try_portmon(*arguments)
        if done.returncode != 0:
            raise Failure(f"portmon {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.portmon(*arguments, "--json"))

    def stats(self, port):
        return self.json("stats", "--port", port)

    def settled(self, port):
        """The figures of a port once none of its connections is open."""
        def closed():
            stats = self.stats(port)
            return stats if stats["connections"] == 0 and stats["client"]["connections"] == 0 else None
        try:
            return eventually(closed, f"all connections of port {port} are closed")
        except Failure:
            print_sockets(port)
            raise
