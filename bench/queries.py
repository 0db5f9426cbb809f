# SPDX-License-Identifier: MIT
"""How long one waits for an answer, beside vnStat, which knows interfaces but not ports."""

import datetime
import sqlite3

import ledger
from measure import *
from bus import environment, private_bus

PORT = ledger.PORT
DAYS = 364
TIMES = 40
INTERFACE = "bench0"


def fill_vnstat(directory):
    """A database that has kept as much as vnStat keeps unless told otherwise, and all days."""
    configuration = pathlib.Path(directory, "vnstat.conf")
    configuration.write_text(f'DatabaseDir "{directory}"\nInterface "{INTERFACE}"\n')
    sh("vnstatd", "--config", configuration, "--initdb")
    db = sqlite3.connect(pathlib.Path(directory, "vnstat.db"))
    now = datetime.datetime.now().replace(second=0, microsecond=0)
    now -= datetime.timedelta(minutes=now.minute % 5)
    with db:
        db.execute("INSERT INTO interface (name, active, created, updated, rxcounter, txcounter, rxtotal, txtotal)"
                   " VALUES (?, 1, datetime('now'), datetime('now'), 0, 0, 1e12, 1e12)", [INTERFACE])
        for table, n, step in (("fiveminute", 576, datetime.timedelta(minutes=5)), ("hour", 96, datetime.timedelta(hours=1)),
                               ("day", DAYS, datetime.timedelta(days=1)), ("month", 12, datetime.timedelta(days=30)),
                               ("top", 20, datetime.timedelta(days=1)), ("year", 1, datetime.timedelta(days=365))):
            db.executemany(f"INSERT INTO {table} (interface, date, rx, tx) VALUES (1, ?, ?, ?)",
                           [(str(now - i * step), 10**9 + i, 10**10 + i) for i in range(n)])
    db.close()
    return configuration


def run_timed(*command):
    before, start = os.times(), time.monotonic()
    subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return {"wall": time.monotonic() - start,
            "cpu": after.children_user + after.children_system - before.children_user - before.children_system}


def queries(report):
    """Whole processes, and round trips."""
    report.section("Answers, beside vnStat", f"""
        Whole processes from start to end, writing to /dev/null: {TIMES} pairs, portmon's time as a ratio to vnStat's.
        Both have {DAYS} days of traffic. vnStat reads its database itself; portmon asks portmond.""")
    with tempfile.TemporaryDirectory(prefix="portmon-bench-") as name:
        directory = pathlib.Path(name)
        configuration = fill_vnstat(directory)
        vnstat = "vnstat", "--config", configuration, "-i", INTERFACE, "--json"
        with private_bus(directory):
            daemon = Daemon(PORT, directory=directory, environment={"TZ": "UTC", **environment(directory)})
            with daemon:
                pass
            ledger.fill(daemon.data / "portmon.db", 1, DAYS, DAYS, ledger.BUCKET_SEC)
            with daemon:
                portmon = PORTMON, "--socket", daemon.socket
                of_port = "--port", str(PORT), "--json"
                year = [option for pair in (("--from", DAYS), ("--to", 0))
                        for option in (pair[0], f"{datetime.date.today() - datetime.timedelta(pair[1])}")]
                rows = []
                for what, theirs, ours in (
                    ("all there is, JSON", vnstat, (*portmon, "stats", *of_port)),
                    ("a year by days, JSON", (*vnstat, "d", str(DAYS)), (*portmon, "stats", *of_port, *year)),
                    ("a year by days, rows", (*vnstat, "d", str(DAYS)),
                     (*portmon, "history", *of_port, "--by", "day", *year)),
                ):
                    found = pairs(TIMES, lambda: run_timed(*theirs), lambda: run_timed(*ours))
                    rows.append([what, ratio(found, lambda of: of["wall"]).text(digits=2),
                                 Spread(b["wall"] for _, b in found).text(scale=1e-3, digits=1),
                                 Spread(a["wall"] for a, _ in found).text(scale=1e-3, digits=1),
                                 system_calls(*ours), system_calls(*theirs)])
                report.table(["Question", "Ratio of time", "portmon, ms", "vnStat, ms", "portmon's system calls",
                              "vnStat's"], rows)
                report.add("GetStats again and again over one connection, in µs:", "")
                answers = {"the socket": ask(daemon, "stats", 2000, PORT)}
                os.environ.update(environment(directory))
                answers["a bus"] = [int(line) for line in sh(ASK, "-", "stats", "2000", str(PORT)).split()]
                report.table(["Over", "50th percentile", "99th percentile"],
                             [[over, Spread(of).percentile(50), Spread(of).percentile(99)] for over, of in answers.items()])


BENCHMARKS = (queries,)
