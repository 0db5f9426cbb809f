#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every way to count, forced: those that are exact count exactly, alone, and the other says that it is not.

How far diag is from the truth is reported, for the documentation to tell.
"""

import concurrent.futures
import itertools
import pathlib
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from service import Service
from traffic import *
from wire import Connection

need_root_and_bpf()

FIRST_PORT = 19920
SECONDS = 5
UNWALKABLE = " where maps can't be walked"
EXACT = *(name + kernel for name in ("sock_ops+tracepoint", "tracepoint", "sock_ops") for kernel in ("", UNWALKABLE)), \
    "fallback"

# Every way of ending, and what is special about opening.
CASES = [
    "nothing", "odd-sizes", "megabytes", "half-closed", "closed-at-once-with-data", "closed-before-sent",
    "killed-before-sent", "simultaneous-open", "fast-open-reset-early",
]


def chosen():
    known = {case.name: case for case in cases([])}
    return [(known[name], actor) for name in CASES for actor in known[name].actors()]


@contextlib.contextmanager
def forced(collector, ports, kind=Daemon):
    environment = preloaded("tests/net/refuse-walk.so") if collector.endswith(UNWALKABLE) else None
    collector = collector.removesuffix(UNWALKABLE)
    with contextlib.ExitStack() as stack:
        try:
            daemon = stack.enter_context(kind(*ports, options=["--collector", collector], environment=environment))
        except Failure as failure:
            if collector != "diag" and "Cannot" in str(failure):
                raise Unavailable(str(failure).splitlines()[0]) from failure
            raise
        yield daemon


@contextlib.contextmanager
def plays(collector, place, without=()):
    """Plays cases under a collector; yields the daemon, and each case's port and truth."""
    played = [(case, actor) for case, actor in chosen() if case.name not in without]
    ports = range(FIRST_PORT, FIRST_PORT + len(played))
    with forced(collector, ports) as daemon:
        equal(daemon.json("status")["collector"], collector.removesuffix(UNWALKABLE), "collector")
        yield daemon, [(case.name, actor, port, due(play(case.name, port, place, actor), place))
                       for (case, actor), port in zip(played, ports)]


def for_each(collectors, title):
    """As test(), once for each: a kernel may refuse one of them."""
    def register(function):
        for collector in collectors:
            case = functools.partial(function, collector)
            case.__name__ = case.__doc__ = title.format(collector)
            test(case)
    return register


@for_each(EXACT, "{} alone is exact")
def count_exactly(collector):
    with Namespaces() as pair:
        prepare(pair)
        count_exactly_between(pair, collector)


def count_exactly_between(pair, collector):
    with plays(collector, between(pair, "v4")) as (daemon, played):
        for name, actor, port, truth in played:
            equal(settled(daemon, port), truth, f"what was counted of {name} by the {actor}")
            equal(daemon.stats(port)["exact"], True, "exactness")
        equal(daemon.json("status")["gaps"], [], "gaps")
        no_losses(daemon)


def count_to_its_end(daemon, place, port, case, actor="client"):
    """Plays a case that adds its port itself."""
    truth = play(case.name, port, place, actor, stages={
        "add": lambda: daemon.portmon("add-port", port), "remove": lambda: daemon.portmon("remove-port", port)})
    equal(settled(daemon, port), due(truth, place), f"what was counted of {case.name} by the {actor}")


@for_each(EXACT, "{} counts from then on what was open before its port was added")
def adopted(collector):
    case = next(case for case in cases(["staged"], without=["prepared", "unowned"]))
    with forced(collector, [FIRST_PORT]) as daemon:
        count_to_its_end(daemon, loopback("v4"), FIRST_PORT + 1, case)


@for_each(EXACT, "{} lists every open connection once, also what nobody has accepted, in every namespace")
def listed(collector):
    many = 700  # more than the kernel hands over at once
    with Namespaces() as pair, contextlib.ExitStack() as stack:
        with pair.inside("a"):
            stack.enter_context(socket.create_server(("10.99.0.1", FIRST_PORT), backlog=many))
        with forced(collector, [FIRST_PORT]) as daemon, pair.inside("b"):
            clients = [stack.enter_context(socket.create_connection(("10.99.0.1", FIRST_PORT))) for _ in range(many)]
            ports = sorted(client.getsockname()[1] for client in clients)
            rows = daemon.json("connections", "--port", FIRST_PORT)["connections"]
            for role, end in ("server", "remote_port"), ("client", "local_port"):
                equal(sorted(row[end] for row in rows if row["role"] == role), ports, f"the {role}s' connections")
            stats = daemon.stats(FIRST_PORT)
            equal((stats["connections"], stats["client"]["connections"]), (many, many), "open connections")


@test
def closed_unseen():
    """Where no program is told that a connection closed, it is counted to its end when its socket is destroyed"""
    # As sock_ops is not of what was open before in another namespace.
    staged = list(cases(["staged"], without=["prepared", "unowned"]))
    ports = itertools.count(FIRST_PORT)
    with Namespaces() as pair, forced("sock_ops", []) as daemon, concurrent.futures.ThreadPoolExecutor(8) as pool:
        def count_all(end):
            played = [(case, actor) for case in staged if case.name.endswith(end) for actor in case.actors()]
            true(played, f"there are cases of {end}")
            list(pool.map(lambda case: count_to_its_end(daemon, between(pair, "v4"), next(ports), *case), played))

        count_all("-then-completed")
        no_losses(daemon)
        # An end that resets has no counters any more when it is destroyed: that it may be wrong is admitted.
        count_all("-then-orphaned")
        count_all("-then-destroyed")
        losses = daemon.json("status")["losses"]
        equal((losses["unsettled"] > 0, losses["lost_closes"]), (True, 0), "what is admitted")


def scan_on(daemon, ended):
    """Adds a port again and again, so that connections that are open are looked for; returns how often."""
    scans = 0
    with Connection(daemon.socket) as connection:
        while not ended.is_set():
            connection.call("AddPort", "qs", FIRST_PORT + 1, "some time")
            connection.call("RemovePort", "q", FIRST_PORT + 1)
            scans += 1
    return scans


def scan(collector, place):
    ended = threading.Event()
    with forced(collector, [FIRST_PORT]) as daemon, concurrent.futures.ThreadPoolExecutor(1) as pool:
        scanner = pool.submit(scan_on, daemon, ended)
        try:
            truth = due(play("churn", FIRST_PORT, place, options=[f"--seconds={SECONDS}", "--threads=4"]), place)
        finally:
            ended.set()
        print(f"# {scanner.result()} scans beside {truth['server']['connections']} connections")
        check_counted(daemon, FIRST_PORT, truth)


# Where fallback looks for connections there are none of these.
@for_each(EXACT[:-1], "{} takes no new connection for an old one, nor one that closes")
def scan_between(collector):
    with Namespaces() as pair:
        pair.reuse_ports()
        with_truth(scan, collector, between(pair, "v4"))


@for_each(EXACT, "{} counts a port that comes back in a later portmond from then on, not once more what it had counted")
def comes_back(collector):
    port = FIRST_PORT + 50  # other counters than those of the first one
    with forced(collector, [FIRST_PORT], Service) as daemon:
        for number in range(1, 4):
            daemon.portmon("add-port", port)
            transfer(port)
            equal(daemon.settled(port)["connections_total"], number, "connections")
            daemon.portmon("remove-port", port)
            transfer(port)
            daemon.restart(signal.SIGKILL)
        daemon.portmon("add-port", port)
        equal(daemon.stats(port)["rx_bytes"], 3 * 123457, "octets")


def sees(daemon, port, want):
    """Whether as many connections are known. The kernel tells of their ends a little later."""
    return counted(daemon.stats(port))["server"]["connections"] == want["connections"]


@test
def diag_is_near():
    """diag counts every connection, says that it is not exact, and its error is told"""
    # It does not know who opened a connection where nobody listened.
    with plays("diag", loopback("v4"), without=["simultaneous-open", "fast-open-reset-early"]) as (daemon, played):
        for name, actor, port, truth in played:
            want = truth["server"]
            eventually(functools.partial(sees, daemon, port, want), f"diag sees {name} by the {actor}")
            got = settled(daemon, port)["server"]
            print(f"# {name} by the {actor}: rx {got['rx'] - want['rx']:+d} of {want['rx']}, "
                  f"tx {got['tx'] - want['tx']:+d} of {want['tx']}")
        status, stats = daemon.json("status"), daemon.stats(FIRST_PORT)
        equal((status["exact"], stats["exact"]), (False, False), "exactness")
        eventually(lambda: [g["reason"] for g in daemon.json("stats", "--port", FIRST_PORT, "--today")["gaps"]]
                   == ["inexact"], "figures of today have the gap")
        true("not exact" in daemon.portmon("status"), "status says so")
        true("Not exact" in daemon.portmon("stats", "--port", FIRST_PORT), "figures of a port say so")
        true("(not exact)" in daemon.portmon("stats"), "figures of all ports say so")


@test
def diag_sees_open_connections():
    """diag lists what is open, and counts from then on what was open before its port was added"""
    port = FIRST_PORT
    with forced("diag", []) as daemon, socket.create_server(("127.0.0.1", port)) as listener, \
            socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
        move(client, server, 100000)
        daemon.portmon("add-port", port)
        move(client, server, 12345)
        move(server, client, 54321)
        row, = daemon.json("connections", "--port", port)["connections"]
        equal((row["role"], row["rx_bytes"], row["tx_bytes"], row["state"], row["adopted"]),
              ("server", 12345, 54321, "ESTABLISHED", True), "the connection")
        equal(daemon.stats(port)["connections"], 1, "open connections")


def churn_under_diag(place):
    with forced("diag", [FIRST_PORT]) as daemon:
        truth = play("churn", FIRST_PORT, place, options=["--seconds=3", "--threads=2"])["server"]
        seen = []

        def no_more_come():
            seen.append(counted(daemon.stats(FIRST_PORT)))
            time.sleep(1)
            return seen[-1]["server"]["connections"] and seen[-2:-1] == seen[-1:]

        eventually(no_more_come, "diag has seen what it sees")
        got = settled(daemon, FIRST_PORT)["server"]
        losses = daemon.json("status")["losses"]
        print(f"# {got['connections']} of {truth['connections']} connections, rx {got['rx'] - truth['rx']:+d} of "
              f"{truth['rx']}, tx {got['tx'] - truth['tx']:+d} of {truth['tx']}, unsettled {losses['unsettled']}")


@test
def short_connections_under_diag():
    """diag tells how much it sees of thousands of short connections"""
    with_truth(churn_under_diag, loopback("v4"))


@test
def unknown():
    """A collector that does not exist is wrong usage"""
    done = subprocess.run([PORTMOND, "--collector", "magic"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    equal(done.returncode, 2, "exit status")
    true("magic" in done.stderr and "diag" in done.stderr, f"{done.stderr!r} tells")


run()
