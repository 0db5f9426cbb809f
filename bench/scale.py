# SPDX-License-Identifier: MIT
"""What many ports and many connections cost."""

from measure import *

PORT = 19901
IDLE_SEC = 4


def idle_cost(daemon):
    """Processor time of the daemon alone, in ms of each second."""
    before = cpu_sec(daemon.process.pid)
    time.sleep(IDLE_SEC)
    return (cpu_sec(daemon.process.pid) - before) / IDLE_SEC * 1000


def private_mib(daemon):
    of = memory_kib(daemon.process.pid)
    return (of["Private_Clean"] + of["Private_Dirty"]) / 1024


@contextlib.contextmanager
def watching(n):
    """A daemon that watches n ports, PORT among them, and how long it took to answer."""
    ports = range(1, n + 1) if n > PORT else range(PORT, PORT + n)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write("ports:\n" + "".join(f"  - {port}\n" for port in ports))
        config.flush()
        start = time.monotonic()
        with Daemon(config=config.name) as daemon:
            yield daemon, time.monotonic() - start


def ports(report):
    """Watch lists of all sizes."""
    report.section("How many ports are watched", """
        Processor time is that of portmond when nobody asks, with all that it does every second. *A connection* is the
        time in its BPF programs for one on a watched port, both ends, over loopback.""")
    rows, count = [], 10000
    with bpf_statistics():
        for n in 1, 1000, 65535:
            with watching(n) as (daemon, started), Server(PORT) as server:
                ids = programs_of(daemon.process.pid)
                idle = idle_cost(daemon)
                before = Programs(ids)
                play(server, "churn", f"x{count}")
                life = sum(nsec for name, (_, nsec) in Programs(ids).since(before).items() if name != "walk") / count
                rows.append([
                    f"{n:,}", f"{started:.2f}", f"{idle:.2f}", f"{life:.0f}",
                    Spread(ask(daemon, "stats", 20, PORT)).text(scale=1000, digits=2),
                    Spread(ask(daemon, "all-stats", 5)).text(scale=1000, digits=1),
                    f"{private_mib(daemon):.1f}", f"{maps_memory(daemon.process.pid) / 2**20:.1f}",
                ])
    report.table(["Ports", "Start, s", "ms of processor a second", "A connection, ns", "One port's figures, ms",
                  "All ports' figures, ms", "Private MiB", "BPF maps, MiB"], rows)


def open_connections(report):
    """As many open connections as a busy server has."""
    report.section("How many connections are open", """
        On one watched port, each end a socket of this machine. *Found* is how long adding the port takes when they are
        open already.""")
    rows, other = [], 19903
    for count in 10, 10000, 100000:
        with Daemon(PORT) as daemon, Server(PORT) as server, Load(server, "hold", f"x{count}"):
            eventually(lambda: daemon.stats(PORT)["connections"] == count, "all are open")
            idle = idle_cost(daemon)
            answers = Spread(ask(daemon, "stats", 10, PORT))
            memory = private_mib(daemon)
            with Server(other, "127.1.0.1") as second, Load(second, "hold", f"x{count}"):
                start = time.monotonic()
                daemon.portmon("add-port", other)
                found = time.monotonic() - start
                equal(daemon.stats(other)["connections"], count, "the number of connections that were found")
        rows.append([f"{count:,}", answers.text(scale=1000, digits=2), f"{idle:.2f}", f"{found * 1000:.0f}",
                     f"{memory:.1f}"])
    report.table(["Connections", "The port's figures, ms", "ms of processor a second", "Found, ms", "Private MiB"], rows)


def short_connections(report):
    """100,000 short ones, one after the other."""
    count = 100000
    report.section("100,000 short connections", """
        One after the other over loopback, with figures asked for all the while. What was counted, compared with what was
        sent.""")
    with Daemon(PORT) as daemon, Server(PORT) as server:
        ended, readings = threading.Event(), []

        def look():
            while not ended.is_set():
                readings.append(daemon.stats(PORT))

        looker = threading.Thread(target=look)
        looker.start()
        truth = play(server, "churn", f"x{count}")
        ended.set()
        looker.join()
        stats = daemon.settled(PORT)
        losses = sum(n for name, n in daemon.json("status")["losses"].items() if name != "skipped_events")
    report.table(["Figure", "True", "Counted"], [
        ["connections", truth["connections"], stats["connections_total"]],
        ["octets received", truth["tx"], stats["rx_bytes"]],
        ["octets sent", truth["rx"], stats["tx_bytes"]],
        ["losses that portmond knows of", 0, losses],
        ["connections a second", f"{truth['rate']:.0f}", f"asked {len(readings)} times"],
    ])


BENCHMARKS = ports, open_connections, short_connections
