#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Ranges, resolutions, cycles, percentiles and estimates, of a past that is computed here by itself."""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *
from past import *

need_root_and_bpf()

PORT, OTHER, THIRD = 17101, 17102, 17103
PORTS = PORT, OTHER, THIRD
DETAIL_DAYS = 180

# Half an hour, a midnight that does not exist, a change of half an hour, none at all.
ZONES = "Europe/Berlin", "America/St_Johns", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"

# Back to the last 29th of February, and a cycle more.
DAYS = next(n for n in range(40, 4000)
            if (datetime.date.today() - n * DAY).timetuple()[1:3] == (2, 29)) + 70


class Portmond(Daemon):
    """A daemon in a zone, with a past, asked by a client in another one."""

    def __init__(self, past, client_zone="Pacific/Auckland", config=None, retention=DETAIL_DAYS + 30):
        self.past = past
        super().__init__(*(() if config else PORTS), options=["--retention-days", str(retention)],
                         environment={"TZ": past.zone.name}, **({"config": config} if config else {}))
        self.client_environment = {**os.environ, "TZ": client_zone}
        super().start()
        super().stop()
        past.write(self.data / "portmon.db")

    def try_portmon(self, *arguments, **environment):
        return subprocess.run([PORTMON, "--socket", self.socket, *map(str, arguments)], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**self.client_environment, **environment})


def with_past(zone="Europe/Berlin", **options):
    """Gives a test a daemon with a past of its own."""
    def decorate(function):
        def wrapped():
            past = Past(Zone(zone), PORTS, DETAIL_DAYS, DAYS)
            with Portmond(past, **options) as daemon:
                function(daemon, past)
        wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
        return test(wrapped)
    return decorate


def ranges(today):
    """Each way to name a range, with its first and last day."""
    month = today.replace(day=1)
    end = (month + 32 * DAY).replace(day=1) - DAY
    yield ["--today"], today, today
    yield ["--this-month"], month, end
    yield ["--last-7-days"], today - 6 * DAY, today
    yield ["--last-30-days"], today - 29 * DAY, today
    for first, last in ((today - 40 * DAY, today - 3 * DAY), (today - 10 * DAY, today - 10 * DAY),
                        (today - 100 * DAY, today + 5 * DAY), (today + DAY, today + 2 * DAY)):
        yield ["--from", first, "--to", last], first, last
    yield ["--cycle-day", "17"], *cycle(today, 17, 0)
    yield ["--cycle-day", "31", "--cycle", "-1"], *cycle(today, 31, -1)


def check_rows(zone, rows, wanted, utc=False):
    """Rows of JSON: when they begin, written as they must be, and what is in them."""
    equal([datetime.datetime.fromisoformat(row["start"]).timestamp() for row in rows], list(wanted), "beginnings")
    for row, (start, traffic) in zip(rows, wanted.items()):
        local = zone.at(start).isoformat()
        equal(row["start"], datetime.datetime.fromtimestamp(start, UTC).strftime("%FT%TZ") if utc else local, "start")
        equal({name: row[name] for name in traffic}, traffic, f"record of {local}")


# ---- ranges and resolutions ----


def every_range_and_resolution(daemon, past):
    zone = past.zone

    def look(today):
        for options, first, last in ranges(today):
            for role in ROLES:
                for resolution in "5min", "hour", "day", "month":
                    found = daemon.json("history", "-p", PORT, *options, "--by", resolution, "--role", role)
                    equal((found["port"], found["role"], found["resolution"]), (PORT, role, resolution), "head")
                    check_rows(zone, found["rows"], past.rows(PORT, role, first, last, resolution))
                found = daemon.json("stats", "-p", PORT, *options, "--role", role)
                check_stats(found, past, PORT, role, first, last)

    stable(zone, look)


def check_stats(found, past, port, role, first, last):
    what = f"of {port} as {role} from {first} to {last}"
    total = past.total(port, role, first, last)
    equal((found["port"], found["role"]), (port, role), "head")
    equal((found["start_date"], found["end_date"]), (str(first), str(last)), f"days {what}")
    equal([found[name] for name in ("total_rx", "total_tx", "total_bytes", "total_connections")],
          [total["rx_bytes"], total["tx_bytes"], total["rx_bytes"] + total["tx_bytes"], total["connections"]],
          f"sums {what}")
    equal([found[name] for name in PEAKS], [total[name] for name in PEAKS], f"peaks {what}")
    days = past.days[port, role]
    equal(found["daily_stats"], [{"date": str(date), **days[date]} for date in sorted(days) if first <= date <= last],
          f"days {what}")


for name in ZONES:
    def in_zone(daemon, past):
        every_range_and_resolution(daemon, past)
    in_zone.__name__ = f"ranges_{name}"
    in_zone.__doc__ = f"Every range by 5 minutes, hours, days and months, in {name}"
    with_past(name)(in_zone)


@with_past("Europe/Berlin")
def all_ports(daemon, past):
    """Without a port each range has all ports, each as by itself"""
    def look(today):
        for options, first, last in ranges(today):
            found = daemon.json("stats", *options)["ports"]
            equal([port["port"] for port in found], list(PORTS), "ports")
            for port in found:
                check_stats(port, past, port["port"], "server", first, last)
            for resolution in "hour", "day", "month":
                found = daemon.json("history", *options, "--by", resolution)["ports"]
                equal([port["port"] for port in found], list(PORTS), "ports")
                for port in found:
                    check_rows(past.zone, port["rows"], past.rows(port["port"], "server", first, last, resolution))

    stable(past.zone, look)


@with_past("America/St_Johns")
def usual_ranges(daemon, past):
    """Without a range, history takes what is usual for its resolution"""
    def look(today):
        months = [today.replace(day=1)]
        while len(months) < 12:
            months.append((months[-1] - DAY).replace(day=1))
        for options, first in (([], today - 29 * DAY), (["--by", "day"], today - 29 * DAY), (["--by", "5min"], today),
                               (["--by", "hour"], today - DAY), (["--by", "month"], months[-1])):
            resolution = options[-1] if options else "day"
            found = daemon.json("history", "-p", PORT, *options)
            check_rows(past.zone, found["rows"], past.rows(PORT, "server", first, today, resolution))

    stable(past.zone, look)


@with_past("Asia/Kathmandu")
def times_in_utc(daemon, past):
    """--utc shows moments in UTC; days stay those of the daemon"""
    def look(today):
        for options, first, last in ranges(today):
            for resolution in "5min", "hour", "day", "month":
                found = daemon.json("history", "-p", PORT, *options, "--by", resolution, "--utc")
                check_rows(past.zone, found["rows"], past.rows(PORT, "server", first, last, resolution), utc=True)
            check_stats(daemon.json("stats", "-p", PORT, *options, "--utc"), past, PORT, "server", first, last)
        shown = daemon.portmon("history", "-p", PORT, "--today", "--by", "5min", "--utc")
        starts = [datetime.datetime.fromtimestamp(start, UTC).strftime("%F %H:%M")
                  for start in past.rows(PORT, "server", today, today, "5min")]
        equal([line[:16] for line in shown.splitlines()[3:] if line[:2] == "20"], starts, "times in the text")

    stable(past.zone, look)


@with_past("Europe/Berlin", client_zone="America/Los_Angeles")
def client_elsewhere(daemon, past):
    """A client in another zone, in none and in a broken one shows the daemon's days"""
    def look(today):
        for zone in "America/Los_Angeles", "Pacific/Kiritimati", "", "Nowhere/Atall", ":UTC", "XYZ-3:07":
            daemon.client_environment["TZ"] = zone
            for options, first, last in ranges(today):
                check_stats(daemon.json("stats", "-p", PORT, *options), past, PORT, "server", first, last)
            found = daemon.json("history", "-p", PORT, "--last-7-days", "--by", "hour")
            check_rows(past.zone, found["rows"], past.rows(PORT, "server", today - 6 * DAY, today, "hour"))
        del daemon.client_environment["TZ"]
        check_stats(daemon.json("stats", "-p", PORT, "--today"), past, PORT, "server", today, today)

    stable(past.zone, look)


# ---- rows ----


@with_past("Europe/Berlin")
def limit_and_top(daemon, past):
    """--limit keeps the last rows, --top the heaviest"""
    def heaviest(rows):
        return sorted(rows, key=lambda start: -(rows[start]["rx_bytes"] + rows[start]["tx_bytes"]))

    def look(today):
        for resolution in "5min", "hour", "day", "month":
            rows = past.rows(PORT, "server", today - 29 * DAY, today, resolution)
            base = ["history", "-p", PORT, "--last-30-days", "--by", resolution]
            for limit in 1, 2, len(rows) - 1, len(rows), len(rows) + 1, 10 ** 18, 2 ** 64 - 1:
                if limit < 1:
                    continue
                last = {start: rows[start] for start in list(rows)[-limit:]}
                check_rows(past.zone, daemon.json(*base, "--limit", limit)["rows"], last)
                top = {start: rows[start] for start in heaviest(rows)[:limit]}
                check_rows(past.zone, daemon.json(*base, "--limit", limit, "--top")["rows"], top)
            check_rows(past.zone, daemon.json(*base, "--top")["rows"], {s: rows[s] for s in heaviest(rows)[:10]})
        found = daemon.json("history", "--last-30-days", "--top", "--limit", 3)["ports"]
        equal([len(port["rows"]) for port in found], [3] * len(PORTS), "rows of each port")

    stable(past.zone, look)


@with_past("Europe/Berlin")
def csv(daemon, past):
    """CSV has a line of titles and plain figures, for one port and for all"""
    titles = ["port", "role", "start", *AMOUNTS, *PEAKS]

    def look(today):
        for ports, role, options in (((PORT,), "client", ["-p", PORT, "--role", "client"]), (PORTS, "server", [])):
            for resolution in "5min", "hour", "day", "month":
                text = daemon.portmon("history", *options, "--last-30-days", "--by", resolution, "--csv")
                wanted = [titles]
                for port in ports:
                    for start, traffic in past.rows(port, role, today - 29 * DAY, today, resolution).items():
                        wanted.append([str(port), role, past.zone.at(start).isoformat(), *map(str, traffic.values())])
                equal(len(text.splitlines()), len(wanted), "number of lines")
                for line, values in zip(text.splitlines(), wanted):
                    equal(line.split(","), values, "line")
        text = daemon.portmon("history", "-p", PORT, "--by", "hour", "--from", "2001-01-01", "--to", "2001-01-02", "--csv")
        equal(text, ",".join(titles) + "\n", "without rows")

    stable(past.zone, look)


# ---- cycles ----


@with_past("Europe/Berlin")
def cycles(daemon, past):
    """Billing cycles of every day, over ends of years, leap years and changes of the clock"""
    def leap(first, last):
        return any(date.timetuple()[1:3] == (2, 29) for date in (first, last + DAY, last))

    def look(today):
        for day in range(1, 32):
            for offset in range(0, -DAYS // 30 + 1, -1):
                first, last = cycle(today, day, offset)
                # The last year, and every February.
                if offset < -13 and not (first.month in (1, 2) or leap(first, last)):
                    continue
                found = daemon.json("stats", "-p", PORT, "--cycle-day", day, "--cycle", offset)
                check_stats(found, past, PORT, "server", first, last)

    stable(past.zone, look)


for name in "America/Santiago", "Australia/Lord_Howe":
    def cycles_elsewhere(daemon, past):
        def look(today):
            for day in 1, 5, 6, 15, 28, 29, 30, 31:
                for offset in range(0, -14, -1):
                    first, last = cycle(today, day, offset)
                    found = daemon.json("stats", "-p", PORT, "--cycle-day", day, "--cycle", offset)
                    check_stats(found, past, PORT, "server", first, last)
                    if first >= past.detail_from:
                        rows = daemon.json("history", "-p", PORT, "--by", "hour", "--cycle-day", day, "--cycle", offset)
                        check_rows(past.zone, rows["rows"], past.rows(PORT, "server", first, last, "hour"))

        stable(past.zone, look)

    cycles_elsewhere.__name__ = f"cycles_{name}"
    cycles_elsewhere.__doc__ = f"Billing cycles over a year, in {name}"
    with_past(name)(cycles_elsewhere)


@test
def cycle_of_the_port():
    """--cycle takes the port's own day; of all ports, those without one are left out; without any it says so"""
    past = Past(Zone("Europe/Berlin"), PORTS, DETAIL_DAYS, 400)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        def configure(*days):
            file.seek(0), file.truncate()
            file.write(json.dumps({"ports": [{"port": port, **({"cycle_day": day} if day else {})}
                                             for port, day in zip(PORTS, days)]}))
            file.flush()

        configure(31, 0, 15)
        with Portmond(past, config=file.name) as daemon:
            def look(today):
                for offset in 0, -1, -5:
                    for port, day in (PORT, 31), (THIRD, 15):
                        found = daemon.json("stats", "-p", port, "--cycle", offset)
                        check_stats(found, past, port, "server", *cycle(today, day, offset))
                        equal(daemon.stats(port)["cycle_day"], day, "day in the live figures")
                    found = daemon.json("stats", "--cycle", offset)["ports"]
                    equal([port["port"] for port in found], [PORT, THIRD], "ports that have one")
                    shown = daemon.portmon("history", "--cycle", offset)
                    equal([line.split()[1] for line in shown.splitlines() if line.startswith("Port")],
                          [str(PORT), str(THIRD)], "ports of the text")
                    true("\n\n\n" not in shown, "no empty blocks")
                # What is given wins.
                check_stats(daemon.json("stats", "-p", PORT, "--cycle-day", 3, "--cycle", -2), past, PORT, "server",
                            *cycle(today, 3, -2))
                done = daemon.try_portmon("stats", "-p", OTHER, "--cycle", "0")
                equal(done.returncode, 1, "exit status")
                true("cycle" in done.stderr and str(OTHER) in done.stderr, f"{done.stderr!r} tells")
                true("cycle_day" not in daemon.stats(OTHER), "no day in the live figures of a port without")

            stable(past.zone, look)
            configure(0, 0, 0)
            daemon.process.send_signal(signal.SIGHUP)
            eventually(lambda: daemon.try_portmon("stats", "--cycle", "0").returncode == 1, "no port has a cycle")
            done = daemon.try_portmon("stats", "--cycle", "0", "--json")
            equal((done.returncode, done.stdout), (1, ""), "exit status and output")
            true("cycle_day" in done.stderr and len(done.stderr.splitlines()) == 1, f"{done.stderr!r} tells")


# ---- percentiles, estimates, what is unfinished ----


def check_percentile(daemon, past, options, first, last, role):
    zone, start, until = past.zone, past.zone.day_start(first), past.zone.day_start(last + DAY)

    def over(now):
        return max(0, (min(int(now), until) - start) // BUCKET_SEC)

    before = time.time()
    found = daemon.json("stats", "-p", PORT, *options, "--role", role)["percentile_95"]
    after = time.time()
    if first < zone.today() - DETAIL_DAYS * DAY or not over(after):
        equal(found, None, f"percentile of {options}")
        return
    n = found["intervals"]
    true(over(before) <= n <= over(after), f"{n} intervals of {options}, from {over(before)} to {over(after)}")
    for direction in "rx", "tx":
        equal(found[f"{direction}_rate"], past.percentile(PORT, role, first, n, f"{direction}_bytes"),
              f"percentile of {direction} of {options}")


for zone, density in (("Europe/Berlin", 0.02), ("America/St_Johns", 0.06), ("Australia/Lord_Howe", 0.9)):
    def percentiles(zone=zone, density=density):
        past = Past(Zone(zone), PORTS, DETAIL_DAYS, DETAIL_DAYS + 60, density=density, seed=7)
        with Portmond(past, retention=DETAIL_DAYS) as daemon:
            def look(today):
                for options, first, last in [*ranges(today), (["--cycle-day", 1, "--cycle", -7], *cycle(today, 1, -7))]:
                    for role in ROLES:
                        check_percentile(daemon, past, options, first, last, role)

            stable(past.zone, look)

    percentiles.__name__ = f"percentiles_{zone}"
    percentiles.__doc__ = f"The 95th percentile is that of all intervals, with traffic in {density:.0%}, in {zone}"
    test(percentiles)


@with_past("Europe/Berlin")
def estimates(daemon, past):
    """A range that is not over is marked, and estimated from how much of it is"""
    def look(today):
        for options, first, last in ranges(today):
            start, until = past.zone.day_start(first), past.zone.day_start(last + DAY)
            before = time.time()
            found = daemon.json("stats", "-p", PORT, *options)
            text = daemon.portmon("stats", "-p", PORT, *options)
            after = time.time()
            unfinished = start <= before < until
            equal(found["unfinished"], unfinished, f"whether {options} is unfinished")
            if not unfinished:
                equal(found["estimate"], None, f"estimate of {options}")
                true("*" not in text and "pace" not in text, f"no marks in {text}")
                continue
            true("total*" in text and "not over yet" in text, f"marks in {text}")
            true(f"\n{today}*" in text, f"today is marked in {text}")
            for direction in "rx", "tx":
                total = found[f"total_{direction}"]
                lowest, highest = (total * (until - start) / (now - start) for now in (after, before))
                value = found["estimate"][f"total_{direction}"]
                true(lowest - 1 <= value <= highest + 1, f"{lowest} <= {value} <= {highest} ({options})")

    stable(past.zone, look)


@with_past("Europe/Berlin")
def unfinished_rows(daemon, past):
    """Of history's rows the one that is not over is marked, and no other"""
    def look(today):
        for resolution in "5min", "hour", "day", "month":
            # More than one month, whatever day it is: on the 30th, --last-30-days is not.
            text = daemon.portmon("history", "-p", PORT, "--by", resolution, "--from", today - 40 * DAY, "--to", today)
            rows = [line for line in text.splitlines() if line[:2] == "20"]
            true(len(rows) > 1, "rows")
            marked = [line for line in rows if "*" in line]
            # The clock may have come to the next interval meanwhile.
            true(marked in ([], rows[-1:]), f"marks of {marked}")
            equal(bool(marked), "\n* not over yet" in text, "the explanation")

    stable(past.zone, look)


# ---- gaps ----


@test
def gaps():
    """Gaps are shown where they touch a range, with their reason, and nowhere else"""
    past = Past(Zone("Europe/Berlin"), PORTS, 10, 100)
    zone, today = past.zone, past.zone.today()
    start = zone.day_start(today - 5 * DAY)
    past.gaps = [(start - 60, start, "stopped"), (start, start + 1, "crashed"),
                 (start + 3600, start + 7200, "rebooted"), (start + 80000, start + 100000, "unsampled"),
                 (zone.day_start(today - 4 * DAY) + 10, zone.day_start(today - 3 * DAY) + 10, "clock"),
                 (zone.day_start(today - 30 * DAY), zone.day_start(today - 29 * DAY), "damaged"),
                 (start + 7200, start + 7201, "skipped"), (start + 1, start + 2, "of a newer portmon")]
    known = [gap for gap in past.gaps if "newer" not in gap[2]]
    with Portmond(past) as daemon:
        def look(today):
            for first, last in ((5, 5), (6, 6), (4, 4), (3, 3), (6, 3), (40, 20), (28, 8)):
                first, last = today - first * DAY, today - last * DAY
                low, high = zone.day_start(first), zone.day_start(last + DAY)
                wanted = sorted((a, b, reason) for a, b, reason in known if a < high and b > low)
                for verb in "stats", "history":
                    options = [verb, "-p", PORT, "--from", first, "--to", last]
                    for utc in [], ["--utc"]:
                        found = daemon.json(*options, *utc)["gaps"]
                        times = [tuple(datetime.datetime.fromisoformat(gap[end]).timestamp() for end in ("from", "until"))
                                 for gap in found]
                        equal([(*time, gap["reason"]) for time, gap in zip(times, found)], wanted, f"gaps of {options}")
                        text = daemon.portmon(*options, *utc)
                        for gap in found:
                            span = f"from {gap['from']} to {gap['until']}" if gap["from"] != gap["until"] else f"at {gap['from']}"
                            true(f"  {span}: {gap['text']}\n" in text, f"{gap} is in {text}")
                        equal("Gaps:" in text, bool(wanted), f"whether {text} has gaps")
            # One more is the daemon's own: it was stopped while the past was written.
            equal(len(daemon.json("status")["gaps"]), len(known) + 1, "gaps of status")
            true(f"Gaps: {len(known) + 1}, the last " in daemon.portmon("status"), "number of gaps in the text")

        stable(zone, look)


# ---- extremes ----


@with_past("UTC")
def far_away(daemon, past):
    """Ranges at the ends of time are empty or whole, and not slow"""
    first, last = min(past.days[PORT, "server"]), max(past.days[PORT, "server"])
    for options, whole in (("0001-01-01 9999-12-31", True), ("1970-01-01 9999-12-31", True), ("9999-12-31 9999-12-31", False),
                           ("0001-01-01 0001-01-01", False), ("1969-12-31 1970-01-01", False), ("2000-02-29 2000-02-29", False)):
        start, end = options.split()
        found = daemon.json("stats", "-p", PORT, "--from", start, "--to", end)
        equal((found["start_date"], found["end_date"]), (start, end), "days")
        total = past.total(PORT, "server", first, last) if whole else Traffic()
        equal((found["total_rx"], found["total_tx"]), (total["rx_bytes"], total["tx_bytes"]), f"sums of {options}")
        for resolution in "5min", "hour", "day", "month":
            rows = daemon.json("history", "-p", PORT, "--from", start, "--to", end, "--by", resolution)["rows"]
            equal(len(rows), len(past.rows(PORT, "server", first, last, resolution)) if whole else 0,
                  f"rows of {options} by {resolution}")
    found = daemon.json("stats", "-p", PORT, "--cycle-day", 31, "--cycle", "-1200")
    equal(found["total_bytes"], 0, "a century ago")
    text = daemon.portmon("history", "-p", PORT, "--from", "2000-01-01", "--to", "2000-01-02")
    true("No traffic" in text, f"{text} tells that there is none")


@test
def huge_figures():
    """Figures near the end of 63 bits come out exactly in JSON and CSV, and readable in text"""
    past = Past(Zone("UTC"), [PORT], 2, 3, density=0)
    for key in past.days:
        past.days[key].clear(), past.buckets[key].clear()
    huge = Traffic({**dict.fromkeys(AMOUNTS, 2 ** 61 + 1), **dict.fromkeys(PEAKS, 2 ** 62 - 1)})
    now = int(time.time()) // BUCKET_SEC * BUCKET_SEC
    past.add((PORT, "server"), now - 86400, huge)
    with Portmond(past) as daemon:
        options = ["-p", PORT, "--last-7-days"]
        found = daemon.json("stats", *options)
        equal((found["total_rx"], found["total_bytes"], found["peak_tx_rate"]), (2 ** 61 + 1, 2 ** 62 + 2, 2 ** 62 - 1),
              "figures")
        equal(daemon.json("history", *options)["rows"][0]["rx_packets"], 2 ** 61 + 1, "packets")
        true(f",{2 ** 61 + 1},{2 ** 61 + 1}," in daemon.portmon("history", *options, "--csv"), "figures of CSV")
        text = daemon.portmon("stats", *options)
        true("2.00 EiB" in text and "4.00 EiB/s" in text, f"units of {text}")
        live = daemon.stats(PORT)
        equal(live["rx_bytes"], 2 ** 61 + 1, "since it was watched")


run()
