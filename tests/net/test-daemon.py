#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Starting, stopping and asking portmond: what holds, and what it says when something is wrong."""

import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *
from traffic import no_losses

need_root_and_bpf()

PORT, OTHER = 19101, 19102


UNPRIVILEGED = "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"


class UnprivilegedDaemon(Daemon):
    def command(self):
        return [*UNPRIVILEGED, *super().command()]


def fails(*arguments, status=1, says, unprivileged=False, environment=None):
    """Starts portmond, which must end with this status and say this in one line."""
    command = [PORTMOND, *map(str, arguments)]
    if unprivileged:
        command = [*UNPRIVILEGED, *command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=PATIENCE_SEC,
                          env={**os.environ, **(environment or {})})
    equal(done.returncode, status, f"exit status of {arguments} ({done.stderr})")
    equal(len(done.stderr.strip().splitlines()), 1, f"number of lines of {done.stderr!r}")
    for words in says if isinstance(says, list) else [says]:
        true(words in done.stderr, f"{words!r} in {done.stderr!r}")


def in_directory(function):
    """Gives a test a directory of its own."""
    def wrapped():
        with tempfile.TemporaryDirectory(prefix="portmon-test-") as directory:
            function(pathlib.Path(directory))
    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    return test(wrapped)


def places(directory):
    return ["--data-dir", directory / "data", "--socket", directory / "socket"]


# ---- what holds ----


@test
def survives_a_restart():
    """Figures, ports that were added and their descriptions survive a restart"""
    with Daemon(PORT) as daemon:
        daemon.portmon("add-port", OTHER, "Dïe zweite")
        transfer(PORT)
        transfer(OTHER, 1000, 1)
        daemon.settled(PORT), daemon.settled(OTHER)
        for number in signal.SIGTERM, signal.SIGINT:
            equal(daemon.stop(number), 0, "exit status")
            daemon.start()
            stats = daemon.stats(PORT)
            equal((stats["rx_bytes"], stats["tx_bytes"]), (123457, 765433), "figures")
            equal(stats["connections_total"], 1, "connections")
            stats = daemon.stats(OTHER)
            equal((stats["rx_bytes"], stats["tx_bytes"]), (1000, 1), "figures of the other port")
            equal(stats["description"], "Dïe zweite", "description")


@test
def flush_writes():
    """Flush writes everything to the database before it answers"""
    with Daemon(PORT) as daemon:
        transfer(PORT)
        daemon.settled(PORT)
        daemon.portmon("flush")
        with sqlite3.connect(f"file:{daemon.data}/portmon.db?mode=ro", uri=True) as db:
            for table in "bucket", "day", "total":
                rows = db.execute(f"SELECT sum(rx_bytes), sum(tx_bytes) FROM {table} WHERE port = ?", [PORT])
                equal(rows.fetchone(), (123457, 765433), f"sum of {table}")


@test
def removal_keeps_history():
    """A removed port keeps its history; one of the command line comes back with the next start"""
    with Daemon(PORT) as daemon:
        daemon.portmon("add-port", OTHER)
        for port in PORT, OTHER:
            transfer(port)
            daemon.settled(port)
            daemon.portmon("remove-port", port)
            transfer(port)
        equal(daemon.json("list-ports")["ports"], [], "ports")
        for port in PORT, OTHER:
            true(daemon.try_portmon("stats", "--port", port).returncode == 1, "no live figures")
            equal(daemon.json("stats", "--port", port, "--today")["total_rx"], 123457, "history")
        daemon.restart()
        equal([p["port"] for p in daemon.json("list-ports")["ports"]], [PORT], "ports")
        equal(daemon.stats(PORT)["rx_bytes"], 123457, "figures without what came meanwhile")


@test
def takes_no_capability_with_it():
    """Once it counts, the daemon holds no capability that could harm"""
    with Daemon(PORT) as daemon:
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
        capabilities = {line.split(":")[0]: int(line.split()[1], 16)
                        for line in status.splitlines() if line.startswith("Cap")}
        dac_override = 1 << 1  # root by hand; a service user has none
        equal(capabilities["CapEff"] & ~dac_override, 0, "effective capabilities")
        equal(capabilities["CapPrm"] & ~dac_override, 0, "permitted capabilities")
        transfer(PORT)
        equal(daemon.settled(PORT)["rx_bytes"], 123457, "what it counts without them")


@test
def status_tells():
    """status shows what it runs with, and no losses"""
    with Daemon(PORT, OTHER, options=["--retention-days", "7"]) as daemon:
        status = daemon.json("status")
        wanted = {"running": True, "monitored_ports": 2, "data_dir": str(daemon.data),
                  "retention_days": 7, "socket_path": str(daemon.socket),
                  "port_infos": [{"port": p, "description": ""} for p in (PORT, OTHER)]}
        equal({key: status[key] for key in wanted}, wanted, "status")
        no_losses(daemon)


@test
def same_port_twice():
    """The same port twice is one port, and a warning"""
    with Daemon(PORT, PORT) as daemon:
        equal(len(daemon.json("list-ports")["ports"]), 1, "ports")
        true("more than once" in daemon.log_text(), "the log tells")


# ---- what is wrong ----


@test
def wrong_usage():
    """Ports, days, levels and options that are not valid: exit status 2"""
    for port in "0", "65536", "80abc", "-1", "", " 80", "8 0", "+80", "0x50", "99999999999999999999":
        fails("--port", port, status=2, says="is not a port")
    for days in "0", "366", "x", "-1", "1.5":
        fails("--retention-days", days, status=2, says="days")
    fails("--log-level", "loud", status=2, says="log level")
    fails("--data-dir", "", status=2, says="data directory")
    fails("--socket", "", status=2, says="socket")
    fails("word", status=2, says="word")


@in_directory
def data_directory(directory):
    """A data directory that can't be made, opened or is none"""
    data = directory / "data"
    fails("--data-dir", directory / "a/b", "--socket", directory / "s", says=["a/b", "No such file"])
    data.write_text("no directory")
    fails(*places(directory), says=["/data", "Not a directory"])
    data.unlink()
    data.mkdir(0o700)
    directory.chmod(0o755)
    fails("--data-dir", data, "--socket", f"/tmp/portmon-test-{os.getpid()}", unprivileged=True,
          says=["/data", "Permission denied"])


@in_directory
def second_instance(directory):
    """A second daemon on one data directory is refused, whatever its socket"""
    with Daemon(PORT, directory=directory) as daemon:
        fails("--data-dir", daemon.data, "--socket", directory / "other", says=["another portmond", "/data"])
        equal(len(daemon.json("list-ports")["ports"]), 1, "the first goes on")


@in_directory
def socket_in_use(directory):
    """A socket that a live daemon listens on is refused; one that a dead one left is taken over"""
    with Daemon(PORT, directory=directory) as daemon:
        fails("--data-dir", directory / "other", "--socket", daemon.socket, says=["Another daemon", "/socket"])
        daemon.json("list-ports")
        daemon.stop(signal.SIGKILL)
        true(daemon.socket.is_socket(), "the socket was left behind")
        daemon.start()
        daemon.json("list-ports")
        daemon.stop()
        true(not daemon.socket.exists(), "a clean stop removes the socket")
        daemon.socket.write_text("precious")
        fails(*places(directory), says="not a socket")
        equal(daemon.socket.read_text(), "precious", "the file")
    fails("--data-dir", directory / "data", "--socket", "/tmp/" + "x" * 200, says="longer than")


@in_directory
def foreign_database(directory):
    """A database that is not ours, newer than ours or no database is refused and left alone"""
    data = directory / "data"
    data.mkdir()
    path = data / "portmon.db"

    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cookbook (recipe)")
    db.close()
    before = path.read_bytes()
    fails(*places(directory), says=["not one of portmon's", "portmon.db"])
    equal(path.read_bytes(), before, "the foreign database")

    path.unlink()
    with Daemon(directory=directory) as daemon:
        pass
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    before = path.read_bytes()
    fails(*places(directory), says=["newer portmon", "999"])
    equal(path.read_bytes(), before, "the newer database")


@in_directory
def no_capabilities(directory):
    """Without the capabilities: a message that names them, and figures that are not exact"""
    data = directory / "data"
    directory.chmod(0o755)
    data.mkdir()
    os.chown(data, 65534, 65534)
    fails("--collector=tracepoint", "--data-dir", data, "--socket", "/tmp/portmon-never", unprivileged=True,
          says=["CAP_BPF", "CAP_PERFMON"])
    os.chown(directory, 65534, 65534)
    with UnprivilegedDaemon(directory=directory) as daemon:
        equal(daemon.json("status")["collector"], "diag", "collector")
        for words in "CAP_BPF", "not exact":
            true(words in daemon.log_text(), f"the log says {words}")


@test
def unwatched_port():
    """What is asked of a port that is not watched fails with its name"""
    with Daemon(PORT) as daemon:
        for arguments in (["stats", "-p", OTHER], ["remove-port", OTHER], ["describe-port", OTHER, "x"],
                          ["stats", "-p", OTHER, "--today"]):
            done = daemon.try_portmon(*arguments)
            equal(done.returncode, 1, f"exit status of {arguments}")
            true(str(OTHER) in done.stderr and "not watched" in done.stderr, f"{done.stderr!r} tells")
            equal(len(done.stderr.strip().splitlines()), 1, "lines")
        done = daemon.try_portmon("add-port", PORT)
        true(done.returncode == 1 and "watched already" in done.stderr, f"{done.stderr!r} tells")


@test
def client_usage():
    """What the client can't make sense of: exit status 2, before it asks anybody"""
    with Daemon(PORT) as daemon:
        for arguments in ([], ["nonsense"], ["st"], ["stats", "-p", "80abc"], ["stats", "-p", "0"],
                          ["stats", "-p", "65536"], ["stats", "-p", "-1"], ["add-port"],
                          ["add-port", "80abc"], ["add-port", "80", "x", "y"], ["remove-port", "x"],
                          ["stats", "--today", "--this-month"], ["stats", "--from", "2026-01-01"],
                          ["stats", "--to", "2026-01-01"],
                          ["stats", "--from", "2026-02-30", "--to", "2026-03-01"],
                          ["stats", "--from", "2026-03-02", "--to", "2026-03-01"],
                          ["stats", "--cycle-day", "32"], ["stats", "--role", "both"],
                          ["flush", "--json"], ["--host", "h", "status"], ["stats", "x"]):
            done = daemon.try_portmon(*arguments)
            equal(done.returncode, 2, f"exit status of {arguments} ({done.stderr})")
            true(done.stderr.startswith(("portmon: ", str(PORTMON))), f"{done.stderr!r} tells")


@test
def nobody_there():
    """A client without a daemon says how to start one"""
    done = subprocess.run([PORTMON, "--socket", "/tmp/portmon-never", "status"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    equal(done.returncode, 1, "exit status")
    true("/tmp/portmon-never" in done.stderr, f"{done.stderr!r} names the socket")


run()
