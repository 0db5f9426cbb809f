#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An hour's worth of faults in two minutes, while traffic flows: figures stay exact, nothing grows.

For how long: the environment variable PORTMON_SOAK_SECONDS. PORTMON_SEED makes a run like an earlier
one, as far as time allows. In the second half the process stays the same, and is measured.
"""

import contextlib
import ctypes
import mmap
import os
import pathlib
import random
import signal
import sqlite3
import struct
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / part) for part in ("lib", "net")]
import harness
from service import *
from traffic import *
from wire import Connection, Error, outcome

need_root_and_bpf()

PORT, OTHERS = 19991, range(19992, 19996)
SIZES = 123457, 765433  # what transfer() moves
NEXT = BUILD / "tests" / "fault" / "portmond-next"
SECONDS = int(os.environ.get("PORTMON_SOAK_SECONDS", 100))
SEED = int(os.environ.get("PORTMON_SEED", time.time_ns() % 1000000))

# What a process may take more after some dozen faults than after each of them once: pages that malloc
# keeps for what was needed at the same time. A leak of one connection in each step is more.
MAX_GROWTH_KIB = 512

DISK_BYTES = 16 << 20
CLONE_NEWNS, MS_PRIVATE, MS_REC = 0x20000, 1 << 18, 1 << 14


def have_own_mounts():
    """What we mount is ours alone, and goes with us."""
    libc = harness._libc
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_PRIVATE | MS_REC), None):
        skip(f"needs to mount: {os.strerror(ctypes.get_errno())}")


class Faults:
    """What preload.c does to the daemon."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(16))
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 16)

    def set(self, clock_sec=0, read_only=False):
        self._memory[:] = struct.pack("qQ", clock_sec, read_only)


class Soak:
    def __init__(self, service, config, faults):
        self.service, self.config, self.faults = service, config, faults
        self.random = random.Random(SEED)
        self.added = dict.fromkeys(OTHERS, 0)  # how often something was transferred on each
        self.held = contextlib.ExitStack()  # what others hold, and let go with a later step
        self.failed_flushes = self.n_steps = 0

    def call(self, *arguments):
        with Connection(self.service.socket) as connection:
            return connection.call(*arguments)

    def flush_in_vain(self, sec=0.5):
        """While something is wrong a flush may fail; figures are there all the same."""
        end = time.monotonic() + sec
        while time.monotonic() < end:
            with Connection(self.service.socket) as connection:
                self.failed_flushes += outcome(connection, "Flush") is not None
                connection.call("GetStats", "q", PORT)
            time.sleep(0.1)

    def flush(self):
        self.call("Flush")

    # ---- the process is replaced ----

    def kill(self):
        self.service.restart(signal.SIGKILL)

    def stop(self):
        self.service.restart(signal.SIGTERM)

    def upgrade(self):
        self.service.program = NEXT if self.service.program == PORTMOND else PORTMOND
        self.service.restart(self.random.choice([signal.SIGKILL, signal.SIGTERM]))

    def start_on_a_read_only_disk(self):
        self.let_go()
        self.service.stop(signal.SIGKILL)
        sh("mount", "-o", "remount,ro", self.service.data)
        self.service.start(wait=False)
        equal(self.service.process.wait(PATIENCE_SEC), 1, "the exit status on a disk that is read only")
        sh("mount", "-o", "remount,rw", self.service.data)
        self.service.start()

    # ---- it stays ----

    def write_config(self, ports, days=180):
        self.config.write_text(f"ports: {[PORT, *ports]}\nretention_days: {days}\n")

    def reload(self):
        ports = self.random.sample(OTHERS, self.random.randrange(len(OTHERS)))
        for some, days in (ports, 180), ([], self.random.randrange(1, 365)):
            self.write_config(some, days)
            self.service.process.send_signal(signal.SIGHUP)
            eventually(lambda: [p for p, _ in self.call("ListPorts")] == [PORT, *sorted(some)], "ports are reloaded")

    def reload_nonsense(self):
        self.config.write_text("ports: [")
        self.service.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        equal([port for port, _ in self.call("ListPorts")], [PORT], "ports")
        self.write_config([])

    def add_and_remove(self):
        for port in self.random.sample(OTHERS, 2):
            self.call("AddPort", "qs", port, "some time")
            for _ in range(3):
                transfer(port)
                self.added[port] += 1
            self.service.settled(port)
            self.call("SetDescription", "qs", port, "described")
            self.call("RemovePort", "q", port)

    def fill_the_disk(self):
        full = self.service.data / "full"
        with open(full, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        self.flush_in_vain()
        full.unlink()
        self.flush()

    def make_files_read_only(self):
        self.faults.set(read_only=True)
        self.flush_in_vain()
        self.faults.set()
        self.flush()

    @contextlib.contextmanager
    def database(self):
        connection = sqlite3.connect(self.service.data / "portmon.db", isolation_level=None)
        with contextlib.closing(connection) as database:
            yield database

    def lock_the_database(self):
        with self.database() as database:
            database.execute("BEGIN IMMEDIATE")
            self.flush_in_vain()
        self.flush()

    def read_the_database(self):
        database = self.held.enter_context(self.database())
        database.execute("BEGIN")
        database.execute("SELECT * FROM bucket").fetchone()

    def set_the_clock(self):
        for hours in self.random.choice([[1, 0], [-2, 0], [3, -3, 0], [0.01, 0.02, 0]]):
            self.faults.set(clock_sec=int(hours * 3600))
            time.sleep(1.2)  # it looks every second

    def hang(self):
        """Clients that do not end their greeting, or their message, or do not read what they asked for."""
        for number in range(12):
            connection = self.held.enter_context(Connection(self.service.socket, authenticate=number % 3 != 0))
            if number % 3 == 0:
                connection.socket.sendall(b"\0AUTH")
            elif number % 3 == 1:
                connection.socket.sendall(b"l\1\0\1" + struct.pack("<III", 1 << 20, 1, 100))
            else:
                for _ in range(50):
                    connection.send("GetHistory", "qstts", PORT, "server", 0, 1 << 60, "5min")

    def let_go(self):
        self.held.close()

    # ---- all of it ----

    REPLACING = kill, stop, upgrade, start_on_a_read_only_disk
    STAYING = (reload, reload_nonsense, add_and_remove, fill_the_disk, make_files_read_only, lock_the_database,
               read_the_database, set_the_clock, hang, let_go)

    def play_round(self, steps):
        for step in self.random.sample(steps, len(steps)):
            step(self)
            self.n_steps += 1
        self.let_go()
        self.flush()

    def measure(self):
        """Memory, in KiB, and descriptors, when nobody else is there."""
        proc = pathlib.Path(f"/proc/{self.service.process.pid}")
        fds = []

        def settled():
            fds.append(len(os.listdir(proc / "fd")))
            return len(fds) > 5 and len(set(fds[-5:])) == 1
        eventually(settled, "its connections are closed")
        status = (proc / "status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]), fds[-1]

    def run(self):
        began = time.monotonic()
        store = sorted(name for name, _ in self.service.store)
        while time.monotonic() < began + SECONDS / 2:
            self.play_round(self.REPLACING + self.STAYING)
        self.service.program = PORTMOND
        self.kill()
        equal(sorted(name for name, _ in self.service.store), store, "the descriptors that are kept")
        self.play_round(self.STAYING)
        process, (before, fds) = self.service.process.pid, self.measure()
        while time.monotonic() < began + SECONDS:
            self.play_round(self.STAYING)
        after, fds_after = self.measure()
        print(f"# seed {SEED}: {self.n_steps} faults, {self.failed_flushes} flushes failed; {before} KiB and "
              f"{fds} descriptors became {after} KiB and {fds_after}")
        equal(self.service.process.pid, process, "the process")
        equal(fds_after, fds, "descriptors")
        if b"__asan_init" not in PORTMOND.read_bytes():  # which keeps what is freed
            true(after - before <= MAX_GROWTH_KIB, f"{after} KiB are at the most {MAX_GROWTH_KIB} more than {before}")


def check_database(service, truth, added):
    with sqlite3.connect(f"file:{service.data}/portmon.db?mode=ro", uri=True) as db:
        for table in "bucket", "day", "total":
            for number, role in enumerate(("server", "client")):
                found = dict((port, figures) for port, *figures in db.execute(
                    f"SELECT port, sum(rx_bytes), sum(tx_bytes), sum(connections) FROM {table} WHERE role = ?"
                    " GROUP BY port", [number]))
                wanted = {PORT: list(truth[role].values())}
                if role == "server":
                    wanted.update({p: [n * SIZES[0], n * SIZES[1], n] for p, n in added.items() if n})
                equal({port: figures for port, figures in found.items() if any(figures)}, wanted, f"{role} in {table}")
        equal(db.execute("SELECT count(*) FROM bucket WHERE start > unixepoch()").fetchone(), (0,),
              "intervals in the future")
        reasons = {reason for reason, in db.execute("SELECT reason FROM gap")}
        true(reasons <= {"unsampled", "clock"}, f"{reasons} are the reasons of gaps that there were")


@contextlib.contextmanager
def small_disk(path):
    path.mkdir()
    sh("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", path)
    try:
        yield
    finally:
        sh("umount", "--lazy", path)


def soak():
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portmon-test-")))
        stack.enter_context(small_disk(directory / "data"))
        config, faults = directory / "portmon.yaml", Faults(directory / "faults")
        config.write_text(f"ports: [{PORT}]\n")
        environment = {**preloaded("tests/fault/preload.so"), "PORTMON_TEST_FAULTS": str(faults.path)}
        service = stack.enter_context(Service(config=config, directory=directory, environment=environment))
        pair = stack.enter_context(Namespaces())
        pair.reuse_ports()
        place, faulty = between(pair, "v4"), Soak(service, config, faults)
        truth = due(play("steady", PORT, place, options=["--threads=4", "--seconds=3000"],
                         stages={"flowing": faulty.run}), place)
        print(f"# {truth}")
        check_counted(service, PORT, truth)
        faulty.flush()
        check_database(service, truth, faulty.added)


@test
def an_hour_of_faults():
    """Whatever happens, in the end the figures are exact, and it takes no more than before"""
    with_truth(soak)


have_own_mounts()
run()
