# SPDX-License-Identifier: MIT
"""A past that never was: written into a ledger, and computed anew, without any of portmon's code.

Days, hours and cycles are found here by looking at the zone's clock step by step, which is slow and
plain, so that it can be told to be right.
"""

import dataclasses
import datetime
import functools
import math
import pathlib
import random
import sqlite3
import sys
import time
import zoneinfo

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import equal, true  # noqa: E402

BUCKET_SEC = 300
DAY = datetime.timedelta(days=1)
UTC = datetime.timezone.utc
ROLES = "server", "client"
AMOUNTS = "rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "connections"
PEAKS = "peak_rx_rate", "peak_tx_rate"


class Traffic(dict):
    """A record: amounts and peaks by their names in JSON."""

    def __init__(self, values=None):
        super().__init__(values or dict.fromkeys(AMOUNTS + PEAKS, 0))

    def __add__(self, other):
        return Traffic({**{n: self[n] + other[n] for n in AMOUNTS}, **{n: max(self[n], other[n]) for n in PEAKS}})

    @classmethod
    def random(cls, source):
        scale = 10 ** source.uniform(0, 12)
        return cls({n: source.randrange(1, int(scale) + 2) for n in AMOUNTS + PEAKS})


class Zone:
    """The clock of a time zone. Moments are whole seconds."""

    def __init__(self, name):
        self.name = name
        self.info = zoneinfo.ZoneInfo(name)
        self.hour_start = functools.cache(self.hour_start)
        self.day_start = functools.cache(self.day_start)

    def at(self, sec):
        return datetime.datetime.fromtimestamp(sec, self.info)

    def date(self, sec):
        return self.at(sec).date()

    def today(self):
        return self.date(time.time())

    def offset(self, sec):
        return self.at(sec).utcoffset().total_seconds()

    def hour_start(self, sec):
        """Where the clock was a full hour, or was changed by a part of one."""
        while self.at(sec).minute != 0 and (self.offset(sec) - self.offset(sec - BUCKET_SEC)) % 3600 == 0:
            sec -= BUCKET_SEC
        return sec

    def day_start(self, date):
        """The first moment at which the clock shows that date or a later one."""
        sec = int(datetime.datetime.combine(date, datetime.time(), UTC).timestamp()) - 26 * 3600
        while self.date(sec) < date:
            sec += BUCKET_SEC
        return sec

    def start(self, resolution, sec):
        if resolution == "5min":
            return sec - sec % BUCKET_SEC
        if resolution == "hour":
            return self.hour_start(sec - sec % BUCKET_SEC)
        date = self.date(sec)
        return self.day_start(date if resolution == "day" else date.replace(day=1))


class Past:
    """What some ports have transferred, in one zone: detail of the last days, and days for years."""

    def __init__(self, zone, ports, detail_days, days, density=0.02, seed=1):
        source = random.Random(seed)
        self.zone = zone
        self.detail_from = zone.today() - detail_days * DAY
        self.buckets = {(port, role): {} for port in ports for role in ROLES}
        self.days = {(port, role): {} for port in ports for role in ROLES}
        now = int(time.time()) // BUCKET_SEC * BUCKET_SEC
        for key in self.buckets:
            first = zone.day_start(self.detail_from)
            starts = {sec for sec in range(first, now + 1, BUCKET_SEC) if source.random() < density}
            # Both sides of midnight, and now.
            for days_ago in range(min(detail_days, 40)):
                midnight = zone.day_start(zone.today() - days_ago * DAY)
                starts |= {sec for sec in (midnight - BUCKET_SEC, midnight) if first <= sec <= now}
            for sec in sorted(starts | {now}):
                self.add(key, sec, Traffic.random(source))
            for days_ago in range(detail_days + 1, days):
                self.days[key][zone.today() - days_ago * DAY] = Traffic.random(source)
        self.gaps = []

    def add(self, key, sec, traffic):
        self.buckets[key][sec] = traffic
        date = self.zone.date(sec)
        self.days[key][date] = self.days[key].get(date, Traffic()) + traffic

    # ---- into the ledger ----

    def write(self, path):
        """Adds it to the ledger of a daemon that is stopped."""
        db = sqlite3.connect(path)

        def insert(table, rows):
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            db.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(columns))})",
                           [[row[column] for column in columns] for row in rows])

        with db:
            for (port, role), found in self.buckets.items():
                account = {"port": port, "protocol": 6, "role": ROLES.index(role)}
                insert("bucket", [{**account, "start": sec, "date": number(self.zone.date(sec)), **traffic}
                                  for sec, traffic in found.items()])
                days = self.days[port, role]
                insert("day", [{**account, "date": number(date), **days[date]} for date in days])
                insert("total", [{**account, **sum_of(days.values())}])
            db.executemany("INSERT INTO gap (from_usec, until_usec, reason) VALUES (?, ?, ?)",
                           [(int(a * 1e6), int(b * 1e6), reason) for a, b, reason in self.gaps])
        db.close()

    # ---- what it must come to ----

    def rows(self, port, role, first, last, resolution):
        """The records of a range of days, by the beginning of their intervals."""
        found = {}
        if resolution in ("5min", "hour"):
            traffic = {sec: t for sec, t in self.buckets[port, role].items() if first <= self.zone.date(sec) <= last}
        else:
            traffic = {self.zone.day_start(date): t for date, t in self.days[port, role].items()
                       if first <= date <= last}
        for sec in sorted(traffic):
            start = self.zone.start(resolution, sec)
            found[start] = found.get(start, Traffic()) + traffic[sec]
        return found

    def total(self, port, role, first, last):
        return sum_of(t for date, t in self.days[port, role].items() if first <= date <= last)

    def percentile(self, port, role, first, n, direction):
        """Of the first n intervals of 5 minutes of a range: sort them all, take the one of that rank."""
        start = self.zone.day_start(first)
        found = self.buckets[port, role]
        values = sorted(found.get(sec, Traffic())[direction] for sec in range(start, start + n * BUCKET_SEC, BUCKET_SEC))
        return values[math.ceil(n * 95 / 100) - 1] // BUCKET_SEC


def number(date):
    return date.year * 10000 + date.month * 100 + date.day


def sum_of(records):
    total = Traffic()
    for record in records:
        total = total + record
    return total


# ---- cycles ----


def has_day(year, month, day):
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def cycle(today, day, offset):
    """First and last day of a billing cycle: goes through all days that begin one."""
    begins = [date for date in (today + n * DAY for n in range(-5000, 80))
              if date.day == day or ((date + DAY).day == 1 and not has_day(date.year, date.month, day))]
    current = max(i for i, date in enumerate(begins) if date <= today)
    return begins[current + offset], begins[current + offset + 1] - DAY


# ---- what people read ----


def bytes_text(amount, si=False, suffix=""):
    """As the contract has it: units of 1024, two decimals, never 1024.00 of one."""
    base, names = (1000, "B kB MB GB TB PB EB") if si else (1024, "B KiB MiB GiB TiB PiB EiB")
    names = names.split()
    if amount < base:
        return f"{amount} B{suffix}"
    power = 1
    while power < 6 and float(f"{amount / base ** power:.2f}") >= base:
        power += 1
    return f"{amount / base ** power:.2f} {names[power]}{suffix}"


def stable(zone, function):
    """Calls function(today) until no midnight came while it ran."""
    while True:
        today = zone.today()
        result = function(today)
        if zone.today() == today:
            return result
