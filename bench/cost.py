# SPDX-License-Identifier: MIT
"""What it costs to be watched."""

from measure import *

WATCHED, UNWATCHED = 19901, 19903
PAIRS = 20
WINDOW = "0.25"  # seconds
KINDS = {"bulk": "octets", "ping": "1-octet messages", "churn": "connections"}


def throughput(report):
    """The same traffic with portmond and without it, and twice without it."""
    report.section("Traffic through a watched port", f"""
        With portmond running as a ratio to without it: the median of {PAIRS} pairs of {WINDOW} s each, and where
        their middle half is. Over loopback, both ends on one processor. *Nothing* compares without and without: that
        much is noise. Processor time is that of both ends of the traffic, kernel included. Connections carry one octet
        each way, which is the least a connection can do.""")

    def without():
        found = {what: play(watched, kind, WINDOW) for kind, what in KINDS.items()}
        found["connections, port not watched"] = play(unwatched, "churn", WINDOW)
        return found

    def with_portmond():
        with Daemon(WATCHED):
            return without()

    rows = []
    with Server(WATCHED) as watched, Server(UNWATCHED) as unwatched:
        for name, function in ("nothing", without), ("portmond", with_portmond):
            found = pairs(PAIRS, without, function)
            for what in found[0][0]:
                rows.append([name, what, ratio(found, lambda of: of[what]["rate"]).text(),
                             ratio(found, lambda of: of[what]["cost"]).text(),
                             f"{Spread(a[what]['cost'] for a, _ in found).median * 1e9:,.2f}"])
    report.table(["Running", "Traffic", "Ratio of throughput", "Ratio of processor time each",
                  "ns each without"], rows)


def runs(report):
    """BPF programs while messages pass."""
    messages, attempts = 1000000, 3
    report.section("BPF programs and messages", f"""
        How often portmond's programs run while {messages:,} messages of one octet pass through an open connection, and
        while the same connection is idle for as long. Runs are counted by the kernel; the fewest of {attempts} attempts,
        since other connections of the machine may open and close meanwhile. *walk* looks at each open connection once a
        second, and where maps can't be walked, at each task.""")

    def count(function):
        before, start = Programs(ids), time.monotonic()
        function()
        elapsed = time.monotonic() - start
        after = Programs(ids).since(before)
        walks, _ = after.pop("walk", (0, 0))
        return sum(runs for runs, _ in after.values()), walks, elapsed

    busy, idle = [], []
    with bpf_statistics(), Daemon(WATCHED) as daemon, Server(WATCHED) as server:
        ids = programs_of(daemon.process.pid)
        for _ in range(attempts):
            with Load(server, "ping", f"x{messages}") as load:
                busy.append(count(load.go_on))
                idle.append(count(lambda: time.sleep(busy[-1][2])))
    report.table(["Messages", "Runs of programs for events", "Runs of walk", "Seconds"],
                 [[what, events, walks, f"{elapsed:.1f}"]
                  for what, (events, walks, elapsed) in ((f"{messages:,}", min(busy)), ("none", min(idle)))])


def connections(report):
    """What portmond's programs take for a connection's life."""
    count = 20000
    report.section("Opening and closing a connection", f"""
        Time in portmond's BPF programs for the whole life of a connection, both ends of it, over loopback: measured by
        the kernel (`kernel.bpf_stats_enabled`) over {count:,} connections, 5 times. The kernel's own part of it, for the
        calls and for reading its clock, is what a program takes that does nothing.""")
    rows = []
    with bpf_statistics(), Daemon(WATCHED) as daemon, Attached("empty") as empty:
        ids = programs_of(daemon.process.pid)
        idle_ids = programs_of(empty.process.pid)
        for what, port in ("watched", WATCHED), ("not watched", UNWATCHED):
            times, alls, floors, events = [], [], [], {}
            with Server(port) as server:
                for _ in range(5):
                    before, idle_before = Programs(ids), Programs(idle_ids)
                    alls.append(play(server, "churn", f"x{count}")["cost"] * 1e9)
                    events = Programs(ids).since(before)
                    events.pop("walk", None)
                    runs, nsec = Programs(idle_ids).since(idle_before)["empty"]
                    times.append(sum(nsec for _, nsec in events.values()) / count)
                    floors.append(nsec / runs * sum(runs for runs, _ in events.values()) / count)
            rows.append([what, Spread(times).text(digits=0), Spread(floors).text(digits=0), Spread(alls).text(digits=0),
                         ", ".join(f"{name} {runs / count:.1f} × {nsec / runs:.0f} ns"
                                   for name, (runs, nsec) in events.items())])
    report.table(["Connection", "ns in programs", "of that the kernel's", "ns of everything, both ends",
                  "Runs of each program (the last time)"], rows)


def live_read(report):
    """Fresh figures of a port with many open connections."""
    count, times = 10000, 40
    report.section("Fresh figures of a port with 10,000 open connections", f"""
        GetStats walks all watched connections before it answers. Round trip over the socket, {times} times; the
        time of the walk is the kernel's.""")
    with bpf_statistics(), Daemon(WATCHED) as daemon, Server(WATCHED) as server, \
            Load(server, "hold", f"x{count}"):
        eventually(lambda: daemon.stats(WATCHED)["connections"] == count, "all are open")
        ids = programs_of(daemon.process.pid)
        before = Programs(ids)
        answers = Spread(ask(daemon, "stats", times, WATCHED))
        _, nsec = Programs(ids).since(before)["walk"]
        listed = Spread(ask(daemon, "connections", 5, WATCHED))
    report.table(["Figure", "Value"], [
        ["GetStats, ms", answers.text(scale=1000, digits=2)],
        ["GetStats, 99th percentile, ms", f"{answers.percentile(99) / 1000:.2f}"],
        ["ns of BPF for a connection", f"{nsec / (count * times):.0f}"],
        ["ListConnections, ms", listed.text(scale=1000, digits=1)],
    ])


def memory(report):
    """The daemon's own, after a busy while."""
    ports = range(20000, 20100)
    report.section("Memory with 100 watched ports", """
        Resident memory of portmond after traffic and connections on all of them, and queries of all kinds. *Private*
        is what nobody else has; the rest is files: the program and its libraries, which others use too.""")
    with Daemon(*ports) as daemon:
        rows = [["at the beginning", *memory_row(daemon)]]
        for _ in range(5):
            for port in ports:
                transfer(port)
            for question in "stats", "range", "5min", "day", "connections":
                for port in ports:
                    ask(daemon, question, 1, port, 0, int(time.time()) + 3600)
            daemon.portmon("flush")
        rows.append(["after a busy while", *memory_row(daemon)])
    report.table(["When", "Resident MiB", "Private MiB", "Peak MiB", "BPF maps in the kernel, MiB"], rows)


def memory_row(daemon):
    of = memory_kib(daemon.process.pid)
    private = of["Private_Clean"] + of["Private_Dirty"]
    return *(f"{kib / 1024:.1f}" for kib in (of["Rss"], private, of["Peak"])), \
        f"{maps_memory(daemon.process.pid) / 2**20:.2f}"


BENCHMARKS = throughput, runs, connections, live_read, memory
