#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The package, in a container that booted without it: installed, upgraded, removed and purged."""

import json
import os
import pathlib
import pwd
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *  # noqa: E402,F403

PORT, OTHER = 19601, 19602
UNITS = "portmond.service", "portmond.socket"
CONFIG = pathlib.Path("/etc/portmon/portmon.yaml")
DATA = pathlib.Path("/var/lib/portmon")
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
ENDS = 4  # who make connections, one after the other


def dpkg(*arguments):
    """Nobody is there to answer questions: one that is asked ends it."""
    return sh("dpkg", *arguments, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})


def portmon(*arguments, first=()):
    return sh(*first, "portmon", *map(str, arguments))


def ask(*arguments, **options):
    return json.loads(portmon(*arguments, "--json", **options))


def state(*units):
    return [(sh("systemctl", "is-active", unit, check=False).strip(), sh("systemctl", "is-enabled", unit, check=False).strip())
            for unit in units]


def pid():
    return int(sh("systemctl", "show", "--value", "--property=MainPID", "portmond"))


def named():
    """All files of the system that are named after us."""
    places = ["-path", "/suite", "-o", "-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/var/log"]
    return set(sh("find", "/", "(", *places, ")", "-prune", "-o", "-name", "*portmon*", "-print").split())


def settled(port):
    return eventually(lambda: (found := ask("stats", "-p", port))["connections"] == 0 and found, "all connections are closed")


def figures(port):
    found = settled(port)
    return found["rx_bytes"], found["tx_bytes"], found["connections_total"]


# ---- traffic ----


class Traffic:
    """Connections that come and go without a break, and one that stays; what they move is added up."""

    SIZE, ANSWER = 50021, 10007

    def __init__(self, port):
        self.port = port
        self.end = threading.Event()
        self.first = threading.Barrier(ENDS + 1)
        self.lock = threading.Lock()
        self.rounds = self.connections = 0

    def converse(self, listener, stay):
        """One connection, of one round or until the end."""
        rounds = 0
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
            while rounds == 0 or (stay and not self.end.is_set()):
                move(client, server, self.SIZE)
                move(server, client, self.ANSWER)
                rounds += 1
        with self.lock:
            self.rounds += rounds
            self.connections += 1

    def go_on(self, number):
        with socket.create_server((f"127.0.0.{number + 1}", self.port)) as listener:
            self.converse(listener, False)
            self.first.wait()
            while not self.end.is_set():
                self.converse(listener, number == 0)

    def __enter__(self):
        self.threads = [threading.Thread(target=self.go_on, args=[number]) for number in range(ENDS)]
        for thread in self.threads:
            thread.start()
        self.first.wait()
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join()

    def figures(self):
        return self.rounds * self.SIZE, self.rounds * self.ANSWER, self.connections


traffic = Traffic(PORT)


# ---- from installation to purge ----


@test
def installs():
    """After installation it is enabled and runs, nobody was asked, and everybody can read"""
    equal(named(), set(), "what is there before")
    dpkg("--install", "/suite/older.deb")
    equal(state(*UNITS), [("active", "enabled")] * 2, "service and socket")
    equal(sh("systemctl", "--failed", "--no-legend"), "", "what has failed")
    for options in [], ["--socket", "/run/portmon/portmon.sock"]:
        equal(ask(*options, "list-ports", first=NOBODY), {"ports": []}, f"ports {options}")
    user = pwd.getpwnam("portmon")
    equal((user.pw_shell, user.pw_dir), ("/usr/sbin/nologin", str(DATA)), "the user")
    true(sh("passwd", "--status", "portmon").split()[1] == "L", "nobody can log in as it")
    equal(sh("journalctl", "--quiet", "--priority=warning", "_SYSTEMD_UNIT=portmond.service"), "", "warnings")


@test
def doctors_agree():
    """Both doctors find nothing bad"""
    findings = {check["name"]: check for check in ask("doctor", first=NOBODY)["checks"]}
    for name in "bus", "unit", "service", "version", "ledger":
        equal(findings[name]["verdict"], "ok", f"{name} ({findings[name]['text']})")
    true("active and enabled" in findings["unit"]["text"], findings["unit"]["text"])
    process = pid()
    text = sh("portmond", "--doctor")
    for line in "ok    config ", "ok    bus ", "ok    polkit ", "ok    disk ", "ok    counting ":
        true(line in text, f"{line!r} is in {text}")
    equal(pid(), process, "the process")


@test
def doctor_starts_nothing():
    """portmon doctor says that the service was stopped, and leaves it so"""
    sh("systemctl", "stop", "portmond.service")
    done = subprocess.run(["portmon", "doctor", "--json"], stdout=subprocess.PIPE, text=True)
    findings = {check["name"]: (check["verdict"], check["text"]) for check in json.loads(done.stdout)["checks"]}
    equal(findings["unit"], ("bad", "portmond.service is inactive: systemctl start portmond"), "the unit")
    equal((done.returncode, findings["service"][0]), (1, "bad"), "status and service")
    equal(state(*UNITS), [("inactive", "enabled"), ("active", "enabled")], "service and socket")
    sh("systemctl", "start", "portmond.service")


@test
def upgrades():
    """An upgrade to other BPF programs while traffic flows: not a byte and no connection is lost or doubled"""
    CONFIG.write_text(f"ports: [{PORT}]\n")
    sh("systemctl", "reload", "portmond")
    portmon("add-port", OTHER, "Added")
    eventually(lambda: len(ask("list-ports")["ports"]) == 2, "both ports are watched")
    before, process = ask("status"), pid()
    with traffic:
        dpkg("--install", "/suite/newer.deb")
        after = ask("status")
        rounds = traffic.rounds
        eventually(lambda: traffic.rounds > rounds + 20, "traffic goes on")
    equal(figures(PORT), traffic.figures(), "figures")
    true(pid() != process, "it is another process")
    equal(state(*UNITS), [("active", "enabled")] * 2, "service and socket")
    equal(after["port_infos"], before["port_infos"], "ports")
    lost = {gap["reason"] for gap in after["gaps"][len(before["gaps"]):]} - {"unsampled"}
    equal(lost, set(), "gaps that lose something")
    equal(CONFIG.read_text(), f"ports: [{PORT}]\n", "the configuration")
    equal(ask("stats", "-p", PORT, "--today")["total_rx"], traffic.figures()[0], "what is in the ledger")


@test
def autopkgtest():
    """debian/tests/service passes"""
    sh("/suite/service")


@test
def stays_disabled():
    """Who has disabled and stopped it is not overruled by an upgrade"""
    sh("systemctl", "disable", "--now", *UNITS)
    dpkg("--install", "/suite/newer.deb")
    equal(state(*UNITS), [("inactive", "disabled")] * 2, "service and socket")
    sh("systemctl", "enable", "--now", "portmond.service")
    equal(state(*UNITS), [("active", "enabled")] * 2, "service and socket")


@test
def late_policy():
    """Where the bus learns late that portmond may have its name, portmond takes it then"""
    policy, aside = pathlib.Path("/usr/share/dbus-1/system.d/org.portmon.Monitor1.conf"), pathlib.Path("/policy")
    policy.rename(aside)
    sh("systemctl", "reload", "dbus")
    sh("systemctl", "restart", "portmond")
    has_name = lambda: "org.portmon.Monitor1" in sh("busctl", "list", "--acquired", "--no-legend")
    true(not has_name(), "it has no name")
    equal(len(ask("--socket", "/run/portmon/portmon.sock", "list-ports")["ports"]), 2, "ports on the socket")
    aside.rename(policy)
    sh("systemctl", "reload", "dbus")
    eventually(has_name, "it has its name")
    equal(len(ask("list-ports", first=NOBODY)["ports"]), 2, "ports on the bus")


@test
def removes():
    """Removed, it ends and leaves configuration and history; installed again, it has them"""
    dpkg("--remove", "portmon")
    equal([active for active, _ in state(*UNITS)], ["inactive"] * 2, "service and socket")
    true("portmond" not in processes(), "no process")
    true(CONFIG.exists() and DATA.is_dir() and not pathlib.Path("/run/portmon").exists(), "what is left")
    dpkg("--install", "/suite/newer.deb")
    equal(state(*UNITS), [("active", "enabled")] * 2, "service and socket")
    equal(figures(PORT), traffic.figures(), "figures")


@test
def purges():
    """Purged, it asks nothing and leaves nothing but its user, which is locked"""
    dpkg("--purge", "portmon")
    equal(named(), set(), "what is left")
    true(sh("passwd", "--status", "portmon").split()[1] == "L", "nobody can log in as the user")
    equal(sh("systemctl", "--failed", "--no-legend"), "", "what has failed")
    equal(sh("systemctl", "list-unit-files", "--no-legend", "portmon*", check=False), "", "units")
    dpkg("--install", "/suite/newer.deb")
    equal(state(*UNITS), [("active", "enabled")] * 2, "service and socket, installed once more")
    equal(ask("list-ports"), {"ports": []}, "ports")
    dpkg("--purge", "portmon")


run()
