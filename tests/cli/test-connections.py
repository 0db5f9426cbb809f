#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`portmon connections` against what the sockets themselves say."""

import contextlib
import ctypes
import datetime
import os
import pathlib
import re
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *

need_root_and_bpf()

PORT, OTHER = 17161, 17162

# As the kernel numbers them, and RFC 9293 names them.
STATES = {1: "ESTABLISHED", 2: "SYN-SENT", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 8: "CLOSE-WAIT", 9: "LAST-ACK", 11: "CLOSING"}


class Truth:
    """What the kernel says of a socket."""

    def __init__(self, connection):
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        self.state = STATES[info[0]]
        self.rtt_usec, = struct.unpack_from("I", info, 68)
        self.retransmissions, = struct.unpack_from("I", info, 100)
        self.local, self.remote = connection.getsockname()[:2], connection.getpeername()[:2]


@contextlib.contextmanager
def connected(namespaces, server="a", client="b", family=4, port=PORT, accept=True):
    """A connection between the namespaces: the server's end and the client's."""
    kind, name = (socket.AF_INET, "10.99.0.1") if family == 4 else (socket.AF_INET6, "fd99::1")
    with contextlib.ExitStack() as stack:
        with namespaces.inside(server):
            if family == "mapped":
                listener = stack.enter_context(socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True))
                name = "10.99.0.1"
            else:
                listener = stack.enter_context(socket.create_server((name, port), family=kind))
        with namespaces.inside(client):
            theirs = stack.enter_context(socket.create_connection((name, port)))
        ours = stack.enter_context(listener.accept()[0]) if accept else listener
        yield ours, theirs


def find(daemon, port, **wanted):
    """The connections of a port that have these values."""
    found = daemon.json("connections", "-p", port)
    equal(found["count"], len(found["connections"]), "count")
    return [c for c in found["connections"] if all(c[key] == value for key, value in wanted.items())]


def plain(address):
    return address.removeprefix("::ffff:")


@test
def both_ends():
    """Both ends are there with addresses, ports, roles, bytes, round trip time and process"""
    with Namespaces() as namespaces, Daemon(PORT) as daemon:
        for family in 4, 6, "mapped":
            with connected(namespaces, family=family) as (ours, theirs):
                move(theirs, ours, 123457)
                move(ours, theirs, 7654321)
                before = time.time()
                server, = find(daemon, PORT, role="server")
                client, = find(daemon, PORT, role="client")
                after = time.time()
                for found, end, rx, tx in (server, ours, 123457, 7654321), (client, theirs, 7654321, 123457):
                    truth = Truth(end)
                    equal((found["local_addr"], found["local_port"]), (plain(truth.local[0]), truth.local[1]), "local end")
                    equal((found["remote_addr"], found["remote_port"]), (plain(truth.remote[0]), truth.remote[1]), "remote end")
                    equal((found["rx_bytes"], found["tx_bytes"]), (rx, tx), "bytes")
                    equal(found["state"], truth.state, "state")
                    equal((found["pid"], found["process"]), (os.getpid(), pathlib.Path("/proc/self/comm").read_text().strip()), "process")
                    true(found["rtt_usec"] > 0, "round trip time")
                    equal(found["retransmissions"], truth.retransmissions, "retransmissions")
                    equal(found["adopted"], False, "adopted")
                    begun = datetime.datetime.fromisoformat(found["started_at"]).timestamp()
                    # It is written in whole seconds.
                    true(before - 1 <= begun + found["duration"] / 1e6 <= after, "begin and duration make now")
            eventually(lambda: not find(daemon, PORT), "closed connections are gone")


@test
def round_trip_time():
    """The round trip time is the kernel's own"""
    with Namespaces() as namespaces, Daemon(PORT) as daemon, connected(namespaces) as (ours, theirs):
        for _ in range(10):
            move(theirs, ours, 1000)
            move(ours, theirs, 1000)
        for role, end in ("server", ours), ("client", theirs):
            # It may change with an acknowledgement that is late.
            eventually(lambda: find(daemon, PORT, role=role)[0]["rtt_usec"] == Truth(end).rtt_usec, f"that of the {role}")


@test
def half_closed():
    """Half-closed connections are in the states that both ends are in"""
    with Namespaces() as namespaces, Daemon(PORT) as daemon:
        for closes in "server", "client":
            with connected(namespaces) as (ours, theirs):
                first, second = (ours, theirs) if closes == "server" else (theirs, ours)
                other = "client" if closes == "server" else "server"
                first.shutdown(socket.SHUT_WR)
                eventually(lambda: Truth(first).state == "FIN-WAIT-2", "the end has arrived")
                move(second, first, 54321)
                equal([c["state"] for c in find(daemon, PORT, role=closes)], ["FIN-WAIT-2"], f"the {closes}, which closed")
                equal([c["state"] for c in find(daemon, PORT, role=other)], ["CLOSE-WAIT"], f"the {other}")
                equal([c["rx_bytes"] for c in find(daemon, PORT, role=closes)], [54321], "bytes after it was closed")
                equal([c["tx_bytes"] for c in find(daemon, PORT, role=closes)], [0], "no FIN counts")
            eventually(lambda: not find(daemon, PORT), "closed connections are gone")


@test
def not_accepted():
    """A connection that nobody has accepted yet is there, without a process"""
    with Namespaces() as namespaces, Daemon(PORT) as daemon, connected(namespaces, accept=False):
        found, = find(daemon, PORT, role="server")
        equal((found["state"], found["pid"], found["process"]), ("ESTABLISHED", 0, ""), "state and process")
        line = next(line for line in daemon.portmon("connections", "-p", PORT).splitlines() if line.startswith("server"))
        true(line.endswith("  -"), f"{line!r} says that there is none")


@test
def loopback():
    """Over loopback only the server's end is there"""
    with Daemon(PORT) as daemon, socket.create_server(("::1", PORT), family=socket.AF_INET6) as listener, \
            socket.create_connection(("::1", PORT)) as theirs, listener.accept()[0]:
        found, = find(daemon, PORT)
        equal((found["role"], found["remote_port"]), ("server", theirs.getsockname()[1]), "role and other end")
        text = daemon.portmon("connections", "-p", PORT)
        true(f"  [::1]:{PORT}  " in text and f"  [::1]:{theirs.getsockname()[1]}  " in text, f"IPv6 is in brackets in {text}")


@test
def open_before():
    """One that was open before its port was added is marked, and counts from then on"""
    with Daemon(OTHER) as daemon, Namespaces() as namespaces, connected(namespaces) as (ours, theirs):
        move(theirs, ours, 5000)
        daemon.portmon("add-port", PORT)
        equal([(c["adopted"], c["rx_bytes"]) for c in find(daemon, PORT)], [(True, 0)] * 2, "marks and bytes")
        move(theirs, ours, 777)
        equal([c["rx_bytes"] for c in find(daemon, PORT, role="server")], [777], "bytes since then")
        lines = daemon.portmon("connections", "-p", PORT).splitlines()[3:]
        true(len(lines) == 2 and all(re.search(r" >\d+s ", line) for line in lines), f"ages of {lines} are marked")


@test
def busiest_first():
    """The busiest come first: by rate, then by bytes"""
    with Namespaces() as namespaces, Daemon(PORT) as daemon, contextlib.ExitStack() as stack:
        with namespaces.inside("a"):
            listener = stack.enter_context(socket.create_server(("10.99.0.1", PORT)))
        amounts = [3000, 100, 500000, 0, 70000, 100]
        for amount in amounts:
            with namespaces.inside("b"):
                theirs = stack.enter_context(socket.create_connection(("10.99.0.1", PORT)))
            move(theirs, stack.enter_context(listener.accept()[0]), amount)
        eventually(lambda: not any(c["rx_rate"] for c in find(daemon, PORT)), "all are idle")
        equal([c["rx_bytes"] for c in find(daemon, PORT, role="server")], sorted(amounts, reverse=True), "order of idle ones")

        def order():
            # The second of the smaller ones moves on, slowly, in this very second.
            theirs.sendall(b"x")
            found = find(daemon, PORT)
            rates = [c["rx_rate"] + c["tx_rate"] for c in found]
            return rates[0] > 0 and rates == sorted(rates, reverse=True) and found[0]["rx_bytes"] + found[0]["tx_bytes"] < 500000

        eventually(order, "one that moves is before idle ones")


@test
def processes():
    """Names of processes are shown whatever they are, and never command the terminal"""
    libc = ctypes.CDLL(None)

    with Daemon(PORT) as daemon, socket.create_server(("127.0.0.1", PORT)) as listener, \
            socket.create_connection(("127.0.0.1", PORT)), listener.accept()[0]:
        before = pathlib.Path("/proc/self/comm").read_text().strip()
        try:
            for name in "plain", "with space", "日本語", "x" * 15, "(sd-pam)", "a/b", "\x1b[31mred", "a\nb", "\t", "\x9bm", "":
                libc.prctl(15, name.encode(), 0, 0, 0)
                found, = find(daemon, PORT)
                equal((found["pid"], found["process"]), (os.getpid(), name), "process")
                text = daemon.portmon("connections", "-p", PORT)
                shown = re.sub(r"[\x00-\x1f\x7f]", "?", name).replace("\x9b", "??")
                true(text.endswith(f"  {shown}/{os.getpid()}\n"), f"{shown!r} is in {text!r}")
        finally:
            libc.prctl(15, before.encode(), 0, 0, 0)


@test
def which_process():
    """Of several processes each connection has its own"""
    script = ("import socket, sys\n"
              "c = socket.create_connection(('10.99.0.1', {}))\n"
              "print(c.getsockname()[1], flush=True)\n"
              "sys.stdin.read()\n").format(PORT)
    with Namespaces() as namespaces, Daemon(PORT) as daemon, contextlib.ExitStack() as stack:
        with namespaces.inside("a"):
            listener = stack.enter_context(socket.create_server(("10.99.0.1", PORT)))
        children = {}
        for _ in range(5):
            with namespaces.inside("b"):
                child = stack.enter_context(subprocess.Popen([sys.executable, "-c", script], text=True,
                                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            children[int(child.stdout.readline())] = child
            stack.enter_context(listener.accept()[0])
        found = {c["local_port"]: c["pid"] for c in find(daemon, PORT, role="client")}
        equal(found, {port: child.pid for port, child in children.items()}, "processes by port")
        equal({c["pid"] for c in find(daemon, PORT, role="server")}, {os.getpid()}, "process of the other ends")
        for child in children.values():
            child.stdin.close()
        eventually(lambda: not find(daemon, PORT, role="client", state="ESTABLISHED"), "their connections end with them")


@test
def many():
    """Hundreds of connections are listed, each once"""
    with Daemon(PORT) as daemon, socket.create_server(("127.0.0.1", PORT), backlog=1024) as listener, \
            contextlib.ExitStack() as stack:
        ports = set()
        for _ in range(400):
            theirs = stack.enter_context(socket.create_connection(("127.0.0.1", PORT)))
            ports.add(theirs.getsockname()[1])
            stack.enter_context(listener.accept()[0])
        found = find(daemon, PORT)
        equal(len(found), 400, "number")
        equal({c["remote_port"] for c in found}, ports, "other ends")
        text = daemon.portmon("connections")
        true(f"Port {PORT}, 400 open" in text and len(text.splitlines()) == 403, "lines of the text")


@test
def all_ports():
    """Without a port all that have connections are listed, one after the other"""
    with Daemon(PORT, OTHER) as daemon, socket.create_server(("127.0.0.1", OTHER)) as listener, \
            socket.create_connection(("127.0.0.1", OTHER)), listener.accept()[0]:
        equal([(p["port"], p["count"]) for p in daemon.json("connections")["ports"]], [(PORT, 0), (OTHER, 1)], "ports")
        text = daemon.portmon("connections")
        true(text.startswith(f"Port {OTHER}, 1 open\n\nROLE") and text.count("\n") == 4, f"the one that has some in {text}")
        with socket.create_server(("127.0.0.1", PORT)) as other, \
                socket.create_connection(("127.0.0.1", PORT)), other.accept()[0]:
            blocks = daemon.portmon("connections").split("\n\n")
            equal([block.split("\n")[0] for block in blocks[::2]], [f"Port {PORT}, 1 open", f"Port {OTHER}, 1 open"], "blocks")
    with Daemon(PORT) as daemon:
        equal(daemon.portmon("connections"), "No connection is open.\n", "the text of none")


run()
