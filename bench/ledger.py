# SPDX-License-Identifier: MIT
"""Ledgers that have grown old."""

import sqlite3

from measure import *

DAY_SEC, BUCKET_SEC = 86400, 300
PORT = 15000
TRAFFIC = BUILD / "tests" / "net" / "traffic"

# Traffic that looks like some: seven figures of a few digits to ten.
AMOUNTS = """abs(random()) % 1000000000, abs(random()) % 10000000000, abs(random()) % 1000000,
    abs(random()) % 1000000, abs(random()) % 1000, abs(random()) % 10000000, abs(random()) % 100000000"""
COLUMNS = "rx_bytes, tx_bytes, rx_packets, tx_packets, connections, peak_rx_rate, peak_tx_rate"


def midnight(days_ago):
    return int(time.time()) // DAY_SEC * DAY_SEC - days_ago * DAY_SEC


def fill(path, n_ports, detail_days, days, step_sec):
    """Writes a past of the role of the server: a bucket every `step_sec` of the last days, and all days."""
    db = sqlite3.connect(path)
    db.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;")
    with db:
        db.execute(f"""
            INSERT INTO bucket (port, protocol, role, start, date, {COLUMNS})
            WITH RECURSIVE ports(p) AS (SELECT {PORT} UNION ALL SELECT p + 1 FROM ports LIMIT {n_ports}),
                days(d) AS (SELECT {midnight(detail_days)} UNION ALL SELECT d + {DAY_SEC} FROM days LIMIT {detail_days}),
                dates(d, date) AS MATERIALIZED (SELECT d, CAST(strftime('%Y%m%d', d, 'unixepoch') AS INTEGER) FROM days),
                slots(s) AS (SELECT 0 UNION ALL SELECT s + {step_sec} FROM slots LIMIT {DAY_SEC // step_sec})
            SELECT p, 6, 0, d + s, date, {AMOUNTS} FROM ports CROSS JOIN dates CROSS JOIN slots""")
        db.execute(f"""
            INSERT INTO day (port, protocol, role, date, {COLUMNS})
            WITH RECURSIVE ports(p) AS (SELECT {PORT} UNION ALL SELECT p + 1 FROM ports LIMIT {n_ports}),
                days(d) AS (SELECT {midnight(days)} UNION ALL SELECT d + {DAY_SEC} FROM days LIMIT {days})
            SELECT p, 6, 0, strftime('%Y%m%d', d, 'unixepoch'), {AMOUNTS} FROM ports CROSS JOIN days""")
    n = db.execute("SELECT count(*) FROM bucket").fetchone()[0]
    db.close()
    return n


def examine(n_ports, detail_days, days, step_sec):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config, \
            tempfile.TemporaryDirectory(prefix="portmon-bench-", dir="/var/tmp") as directory:
        config.write("retention_days: 365\nports:\n" + "".join(f"  - {PORT + n}\n" for n in range(n_ports)))
        config.flush()
        daemon = Daemon(config=config.name, directory=directory, environment={"TZ": "UTC"})
        with daemon:
            pass
        path = daemon.data / "portmon.db"
        n_buckets = fill(path, n_ports, detail_days, days, step_sec)
        size = path.stat().st_size
        start = time.monotonic()
        with daemon:
            started = time.monotonic() - start

            def answer(question, *range_days):
                span = [midnight(days_ago) for days_ago in range_days]
                return Spread(ask(daemon, question, 10, PORT, *span)).text(scale=1000, digits=2)

            flushes = []
            for _ in range(5):
                sh(TRAFFIC, "each-port", str(PORT), f"--ports={n_ports}")
                ask(daemon, "stats", 1, PORT)  # what has come is pending now
                flushes += ask(daemon, "flush", 1)
            found = {
                "Rows of 5 minutes": f"{n_buckets:,}",
                "File, MiB": f"{size / 2**20:.1f}",
                "Octets a row": f"{size / n_buckets:.0f}",
                "Start, s": f"{started:.2f}",
                "A flush of all ports, ms": Spread(flushes).text(scale=1000, digits=1),
                "A year in one sum, ms": answer("range", 364, -1),
                "A year's rows of 5 minutes summed by hours, ms": answer("hour", 364, -1),
                "A year by 5 minutes, ms": answer("5min", 364, -1),
                "A year by days, ms": answer("day", 364, -1),
                "All years by days, ms": answer("day", days, -1),
                "A month by 5 minutes, ms": answer("5min", 30, -1),
                "GetStats, ms": answer("stats"),
            }
            of = memory_kib(daemon.process.pid)
            found["Private MiB after that"] = f"{(of['Private_Clean'] + of['Private_Dirty']) / 1024:.1f}"
        return found


def ledgers(report):
    """Flushes and queries, file and memory."""
    report.section("Old ledgers", """
        One port that had traffic in every 5 minutes, whose days go back 10 years and whose 5 minutes go back one year, as
        far as `retention_days` goes; and 1,000 ports of one year with traffic in one 5 minutes of each hour. Times are
        round trips over the socket.""")
    found = [examine(1, 364, 3650, BUCKET_SEC), examine(1000, 364, 365, 3600)]
    report.table(["Figure", "1 port, 10 years", "1,000 ports, 1 year"],
                 [[name, *(one[name] for one in found)] for name in found[0]])


BENCHMARKS = (ledgers,)
