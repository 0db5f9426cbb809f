#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""portmond --doctor and portmon doctor: what they find where nothing is wrong, and where something is."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *

need_root_and_bpf()

PORT = 17151
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NOWHERE = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}
LINE = re.compile(r"(ok  |note|bad )  (\w+) +(\S.*)")

daemon = Daemon(PORT)


def examine(command, environment=None, first=(), errors=""):
    """Runs a doctor; returns its exit status and {check: (verdict, text)}."""
    done = subprocess.run([*first, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, **NOWHERE, **(environment or {})}, timeout=4 * PATIENCE_SEC)
    true(re.fullmatch(errors, done.stderr), f"{done.stderr!r} is {errors!r}")
    lines = [LINE.fullmatch(line) for line in done.stdout.splitlines()]
    true(lines and all(lines), f"each line of {done.stdout!r} is a finding")
    found = {line.group(2): (line.group(1).strip(), line.group(3)) for line in lines}
    equal(len(found), len(lines), "checks by different names")
    equal(done.returncode, int("bad" in {verdict for verdict, _ in found.values()}), f"status of {found}")
    return found


def portmond(*options, **other):
    return examine([PORTMOND, "--doctor", "--config=/dev/null", *options], **other)


def portmon(*options, path=None, **other):
    return examine([PORTMON, "--socket", path or daemon.socket, "doctor", *options], **other)


def has(found, check, verdict, *words):
    true(check in found, f"{check} is in {found}")
    equal(found[check][0], verdict, f"verdict on {check} ({found[check][1]})")
    for word in words:
        true(word in found[check][1], f"{word!r} is in {found[check][1]!r}")


@contextlib.contextmanager
def directory():
    with tempfile.TemporaryDirectory(prefix="portmon-test-") as path:
        pathlib.Path(path).chmod(0o755)
        yield pathlib.Path(path)


@contextlib.contextmanager
def mounted(*options):
    """A disk of its own."""
    with directory() as path:
        sh("mount", "-t", "tmpfs", "tmpfs", path, *options)
        try:
            yield path
        finally:
            sh("umount", "--lazy", path)


# ---- the daemon's ----


@test
def all_is_well():
    """portmond --doctor finds nothing bad here, counts known bytes, and leaves nothing behind"""
    with directory() as path:
        found = portmond("--data-dir", path / "data", "--socket", path / "socket")
        for check in "config", "kernel", "BTF", "privileges", "collector":
            has(found, check, "ok")
        has(found, "disk", "ok", str(path / "data"), "portmond makes it")
        has(found, "bus", "note", "/nowhere", str(path / "socket"))
        has(found, "counting", "ok", "100003 bytes sent and 7001 answered", "all counted")
        equal(list(path.iterdir()), [], "what is left")


@test
def others_are_not_disturbed():
    """A portmond that runs on the same data directory and socket goes on, and counts every byte"""
    before = daemon.settled(PORT)["rx_bytes"]
    process = daemon.process.pid
    with socket.create_server(("127.0.0.1", PORT)) as listener, \
            socket.create_connection(("127.0.0.1", PORT)) as client, listener.accept()[0] as server:
        move(client, server, 1000)
        found = portmond("--data-dir", daemon.data, "--socket", daemon.socket)
        has(found, "counting", "ok")
        has(found, "disk", "ok", "can be written")
        move(client, server, 234567)
    equal(daemon.settled(PORT)["rx_bytes"] - before, 235567, "bytes that were counted")
    equal((daemon.process.poll(), daemon.process.pid), (None, process), "the process")
    equal(daemon.json("status")["gaps"], [], "gaps")


@test
def no_privileges():
    """Without root it says so, and is not well"""
    found = portmond("--data-dir=/nowhere/data", first=NOBODY)
    has(found, "privileges", "bad", "CAP_BPF", "root")
    has(found, "disk", "bad", "/nowhere/data")


@test
def less_privileges():
    """Without CAP_NET_ADMIN it says what that costs, and still counts known bytes"""
    found = portmond(first=["setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"])
    has(found, "privileges", "note", "CAP_NET_ADMIN", "sock_ops")
    has(found, "collector", "ok", "tracepoint")
    has(found, "counting", "ok", "all counted")


@test
def inexact():
    """Where counting is not exact both doctors note it, and known bytes are not measured by it"""
    found = portmond("--collector=diag")
    has(found, "collector", "note", "diag", "not exact")
    true("counting" not in found, f"nothing is compared in {found}")
    with Daemon(PORT + 1, options=["--collector=diag"]) as other:
        has(portmon(path=other.socket), "collector", "note", "diag", "not exact", "portmond --doctor")


@test
def data_directories():
    """A data directory that is read-only, somebody else's, full, or none"""
    with mounted("-o", "ro") as path:
        has(portmond("--data-dir", path), "disk", "bad", "Read-only", str(path), "remount")
    with mounted("-o", "size=1m") as path:
        has(portmond("--data-dir", path), "disk", "bad", "Only ", " left in ", str(path), "make room")
    with directory() as path:
        has(portmond("--data-dir", path, first=NOBODY), "disk", "bad", "Permission denied", "run this as root")
        has(portmond("--data-dir", path / "data", first=NOBODY), "disk", "bad", "can't be made")
        (path / "file").touch()
        has(portmond("--data-dir", path / "file" / "data"), "disk", "bad", "Not a directory")


@test
def configurations():
    """Of a configuration that is not valid it says where, and looks at the rest; it takes what is valid from it"""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("ports: [0]\n")
        file.flush()
        place = re.escape(file.name) + ":1:9: .*\n"
        found = portmond("--config", file.name, errors=place)
        has(found, "config", "bad", "not valid")
        has(found, "counting", "ok")
        with directory() as path:
            file.truncate(0)
            file.seek(0)
            file.write(f"data_dir: {path}/of-the-file\n")
            file.flush()
            has(portmond("--config", file.name), "disk", "ok", f"{path}/of-the-file")
            has(portmond("--config", file.name, "--data-dir", path), "disk", "ok", f"{path} can be written")


@test
def output_fails():
    """What can't be written is a failure"""
    with open("/dev/full", "w") as full:
        for command in [PORTMOND, "--doctor", "--config=/dev/null"], [PORTMON, "--socket", daemon.socket, "doctor"]:
            equal(subprocess.run(command, stdout=full, stderr=subprocess.DEVNULL).returncode, 1, f"status of {command}")


# ---- the client's ----


@test
def client_is_well():
    """portmon doctor finds nothing bad, as root and as another user, on a socket that it is told"""
    daemon.directory.chmod(0o755)
    for first in (), NOBODY:
        found = portmon(first=first)
        true(not {"bus", "unit"} & set(found), f"neither bus nor unit matter in {found}")
        has(found, "service", "ok", "socket")
        has(found, "version", "ok")
        has(found, "collector", "ok", daemon.json("status")["collector"])
        has(found, "ports", "ok", "1 port is watched")
        has(found, "losses", "ok")
        has(found, "gaps", "ok")
        has(found, "ledger", "ok", str(daemon.data))


@test
def client_in_json():
    """--json has the same findings, in the same order"""
    found = {check: finding for check, finding in portmon().items() if check not in ("service", "clock")}
    told = daemon.json("doctor")
    equal(told["well"], True, "whether all is well")
    equal([(c["name"], (c["verdict"], c["text"])) for c in told["checks"] if c["name"] not in ("service", "clock")],
          list(found.items()), "findings")


@test
def nobody_answers():
    """Where nobody answers, on a socket or without a bus, it says what to do"""
    with directory() as path:
        found = portmon(path=path / "socket")
        has(found, "service", "bad", str(path / "socket"), "start portmond")
        equal(list(found), ["service", "clock", "locale"], "what can be told")
        done = subprocess.run([PORTMON, "--socket", path / "socket", "doctor", "--json"], stdout=subprocess.PIPE, text=True)
        equal((done.returncode, json.loads(done.stdout)["well"]), (1, False), "status and JSON")
    if not os.path.exists("/run/portmon/portmon.sock"):
        found = examine([PORTMON, "doctor"])
        has(found, "bus", "note", "no system bus")
        has(found, "service", "bad", "systemctl start portmond")


@test
def gaps_of_late():
    """After a time without portmond there is a gap, and with no ports a hint"""
    with Daemon() as other:
        has(portmon(path=other.socket), "ports", "note", "portmon add-port")
    with Daemon(PORT + 1) as other:
        has(portmon(path=other.socket), "gaps", "ok", "7 days")
        other.restart()
        has(portmon(path=other.socket), "gaps", "note", "1 gap in 7 days", "portmond was not running")


@test
def ledger_fails():
    """A ledger that can't be written is bad, status tells why, and it ends when there is room again"""
    with mounted("-o", "size=4m") as path, Daemon(PORT + 1, directory=path) as other:
        transfer(PORT + 1)
        filler = path / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        true(other.try_portmon("flush").returncode == 1, "nothing can be written")
        has(portmon(path=other.socket), "ledger", "bad", str(other.data), "full")
        why = other.json("status")["ledger_failure"]
        true("full" in why and f"can't be written: {why}\n" in other.portmon("status"), f"{why!r} is told")
        filler.unlink()
        other.portmon("flush")
        has(portmon(path=other.socket), "ledger", "ok")
        equal(other.json("status")["ledger_failure"], "", "what fails")


@test
def locales():
    """A locale that has not all of Unicode is told"""
    has(portmon(environment={"LC_ALL": "C"}), "locale", "note", "ANSI_X3.4-1968", "C.UTF-8")
    has(portmon(environment={"LC_ALL": "C.UTF-8"}), "locale", "ok")


try:
    daemon.start()
    run()
finally:
    daemon.__exit__()
