# SPDX-License-Identifier: MIT
"""Plays the cases of the program `traffic` in places, and compares figures with what it says.

A case is a way to open, use and close a connection; a place is where the connection's two ends are.
"""

import contextlib
import errno
import functools
import json
import os
import pathlib
import socket
import subprocess
from typing import NamedTuple

from harness import *

TRAFFIC = BUILD / "tests" / "net" / "traffic"

FAMILIES = "v4", "v6", "mapped-server", "mapped-client"
NOTHING = {"rx": 0, "tx": 0, "connections": 0}

# One case in so many is played, of a suite that has hundreds. For a sanitizer, to which cases that
# differ in the kernel only are the same.
SHARE = int(os.environ.get("PORTMON_SHARE", 1))


class Case(NamedTuple):
    name: str
    flags: frozenset
    intent: str

    def actors(self):
        """Which end may do what the case is about."""
        return ("client", "server") if "either-end" in self.flags else ("client",)


def cases(flags, without=()):
    """The cases that have all of these flags and none of the others."""
    for line in sh(TRAFFIC, "--list").splitlines():
        name, own, intent = line.split("\t")
        case = Case(name, frozenset(own.split()), intent)
        if case.flags.issuperset(flags) and case.flags.isdisjoint(without):
            yield case


class Place(NamedTuple):
    name: str
    options: list  # for traffic
    apart: bool = False  # in two namespaces: then the client's end counts in its role


def _address(family, number):
    return f"fd99::{number}" if family == "v6" else f"10.99.0.{number}"


def _ends(namespaces, server, client):
    return [f"--server-netns={namespaces.path(server)}", f"--client-netns={namespaces.path(client)}"]


def loopback(family):
    """The loopback interface where we and portmond are."""
    return Place(f"loopback {family}", [f"--family={family}"])


def loopback_inside(namespaces, family):
    return Place(f"loopback inside {family}",
                 [f"--family={family}", *_ends(namespaces, "a", "a")])


def at_home(namespaces, family, server=1):
    """One host that uses its outer addresses: .1 and, where the server is, perhaps another."""
    return Place(f"at home {family}" if server == 1 else f"at home with two addresses {family}",
                 [f"--family={family}", *_ends(namespaces, "a", "a"),
                  f"--server-address={_address(family, server)}",
                  f"--client-address={_address(family, 1)}"])


def between(namespaces, family, name="between"):
    return Place(f"{name} {family}",
                 [f"--family={family}", *_ends(namespaces, "a", "b"),
                  f"--server-address={_address(family, 1)}",
                  f"--client-address={_address(family, 2)}"], apart=True)


# The cases that are `prepared` need namespaces with these settings. A socket's mark decides about
# what it sends: 1 drops everything, 2 a tenth.
PREPARATION = """
table inet portmon {
    chain output {
        type filter hook output priority 0
        meta mark 1 drop
        meta mark 2 numgen random mod 10 == 0 drop
    }
}
"""
FAST_OPEN = "0x607"  # both roles, without asking for a cookie first


def prepare(namespaces):
    for end in "ab":
        with namespaces.inside(end):
            set_sysctl("ipv4/tcp_fastopen", FAST_OPEN)
            nft(PREPARATION)


def set_sysctl(name, value):
    """Sets one of net.* in the namespace where we are."""
    pathlib.Path("/proc/sys/net", name).write_text(value)


def nft(rules):
    sh("nft", "-f", "-", input=rules)


def play(case, port, place, actor="client", options=(), stages=None):
    """Plays a case to its end and returns the truth about it.

    When it stops at a stage, stages[name]() is called before it goes on.
    """
    command = [TRAFFIC, case, str(port), f"--by={actor}", *place.options, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        last = ""
        try:
            for last in process.stdout:
                if last.startswith('{"stage"'):
                    stages[json.loads(last)["stage"]]()
                    with contextlib.suppress(BrokenPipeError):  # it says why it has ended
                        os.write(process.stdin.fileno(), b"\n")
        except BaseException:
            process.kill()
            raise
        complaint = process.stderr.read().strip()
    if process.returncode == 77:
        raise Unavailable(last.strip())
    if process.returncode != 0:
        kind = Broken if os.strerror(errno.ECONNRESET) in complaint else Failure
        raise kind(f"traffic ended with {process.returncode}: {complaint}")
    return json.loads(last)


class Broken(Failure):
    """Somebody reset a connection of the traffic, so nobody knows what was sent.

    It happens to one connection of some millions, without portmond too. A likely cause: one that ends
    with a reset leaves no TIME_WAIT, its port is used again at once, and a late segment of the old
    one may be answered with a reset that falls on the new one's next sequence number.
    """


def with_truth(function, *arguments, attempts=3):
    """Calls a function that plays millions of connections, again if the network broke one of them."""
    for attempt in range(attempts):
        try:
            return function(*arguments)
        except Broken as broken:
            print(f"# no truth in attempt {attempt + 1}: {broken}")
            if attempt + 1 == attempts:
                raise


# ---- figures ----


def due(truth, place):
    """What portmon has to count."""
    return {"server": truth["server"], "client": truth["client"] if place.apart else NOTHING}


def _of_role(stats):
    return {"rx": stats["rx_bytes"], "tx": stats["tx_bytes"], "connections": stats["connections_total"]}


def counted(stats):
    """What portmon says that it counted."""
    return {"server": _of_role(stats), "client": _of_role(stats["client"])}


def settled(daemon, port):
    """What it says once no connection is open. Asked again then: the last connection may have been
    closing, no longer open and not yet counted to its end, when the first answer was made."""
    daemon.settled(port)
    return counted(daemon.stats(port))


class Suite:
    """Tests that play cases in places, each on a port of its own."""

    # Ranges of ports below the ephemeral ones. A run takes one that no other run has, and hardly
    # the one before it: its last connections may linger.
    RANGES = 4
    RANGE = 3000

    def __init__(self):
        self.daemon = None  # to be set before the tests run
        self.first_port = 20000 + self._reserve_range() * self.RANGE
        self.ports = range(self.first_port, self.first_port)  # of all cases that were defined
        self._due = {}  # what each port has to say from when its case has ended

    def _reserve_range(self):
        for number in range(os.getpid(), os.getpid() + self.RANGES):
            self._reservation = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(OSError):
                self._reservation.bind(f"\0portmon-test-ports-{number % self.RANGES}")
                return number % self.RANGES
        skip("other runs of this test use all ports")

    def define(self, cases, place, reason=None):
        """Defines tests, which are skipped if there is a reason why they can't run."""
        for case in cases:
            for actor in case.actors():
                if self.ports.stop % SHARE == 0:
                    title = f"{place.name}: {case.name} by the {actor}: {case.intent}"
                    self._define(title, self._compare, case, actor, place, self.ports.stop, reason)
                self.ports = range(self.first_port, self.ports.stop + 1)
        assert len(self.ports) <= self.RANGE, "too many cases"

    def define_last(self, place):
        """Defines tests about all cases together. Where they make connections themselves: place."""
        for title, check in (
            ("All figures still are what they were when each case had ended", self._compare_all),
            ("All figures grow by one more connection", functools.partial(self._grow, place)),
            ("No port has an open connection", self._nothing_is_open),
            ("portmon admits no losses", lambda: no_losses(self.daemon)),
        ):
            self._define(title, check)

    @staticmethod
    def _define(title, check, *arguments):
        function = functools.partial(check, *arguments)
        function.__name__ = function.__doc__ = title
        test(function, together=bool(arguments))

    def _compare(self, case, actor, place, port, reason):
        if reason:
            raise Unavailable(reason)
        truth = due(play(case.name, port, place, actor, stages={
            "add": lambda: self.daemon.portmon("add-port", port),
            "remove": lambda: self.daemon.portmon("remove-port", port),
        }), place)
        equal(settled(self.daemon, port), truth, "what was counted")
        self._due[port] = truth

    def _compare_all(self):
        stats = {s["port"]: counted(s) for s in self.daemon.json("stats")["ports"]}
        wrong = {port: (stats[port], due) for port, due in self._due.items() if stats[port] != due}
        equal(wrong, {}, "what was counted wrong, by port")

    def _grow(self, place):
        # A figure never steps back. So where the kernel's count has become too low, only the next
        # connection shows it.
        more = due(play("each-port", self.first_port, place, options=[f"--ports={len(self.ports)}"]), place)
        self._due = {
            port: {role: {name: n + more[role][name] for name, n in figures.items()}
                   for role, figures in due.items()}
            for port, due in self._due.items()
        }
        eventually(lambda: not self._open_ports(), "all connections are closed")
        self._compare_all()

    def _open_ports(self):
        return [s["port"] for s in self.daemon.json("stats")["ports"]
                if s["connections"] or s["client"]["connections"]]

    def _nothing_is_open(self):
        equal(self._open_ports(), [], "ports with open connections")


def no_losses(daemon):
    """portmon does not admit to have missed anything. An event that one of its programs was not told
    of is no loss: another one was."""
    losses = daemon.json("status")["losses"]
    losses.pop("skipped_events")
    equal(losses, dict.fromkeys(["storage_failures", "lost_closes", "unsettled"], 0), "losses")


def check_counted(daemon, port, truth):
    """In the end it has counted what is true. What losses it admits is told first: they say what to look for."""
    found = settled(daemon, port)
    print(f"# {daemon.json('status')['losses']}")
    equal(found, truth, "what was counted")
    no_losses(daemon)
