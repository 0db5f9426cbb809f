#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""portmond is killed again and again while traffic flows without pause. Every byte counts, and once.

How often: the environment variable PORTMON_KILLS, or 500 times. PORTMON_SEED makes a run like an
earlier one, as far as time allows.
"""

import collections
import os
import pathlib
import random
import signal
import sqlite3
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / part) for part in ("lib", "net")]
from service import *
from traffic import *
from wire import Connection

need_root_and_bpf()

PORT = 19971
NEXT = BUILD / "tests" / "fault" / "portmond-next"
KILLS = int(os.environ.get("PORTMON_KILLS", 500))
SEED = int(os.environ.get("PORTMON_SEED", time.time_ns() % 1000000))

BUCKET_USEC = 300 * 1000000


class Killer:
    def __init__(self, service, programs, times):
        self.service, self.programs, self.times = service, programs, times
        self.random = random.Random(SEED)
        self.kills = collections.Counter()
        self.start_sec = self.flush_sec = 0  # how long it took the last time

    def nap_and_kill(self, up_to_sec):
        time.sleep(self.random.uniform(0, up_to_sec))
        self.service.stop(signal.SIGKILL)

    def while_it_starts(self):
        self.service.program = self.random.choice(self.programs)
        self.service.start(wait=False)
        self.nap_and_kill(1.2 * self.start_sec)

    def start(self):
        began = time.monotonic()
        self.service.program = self.random.choice(self.programs)
        self.service.start()
        self.start_sec = time.monotonic() - began

    def while_it_counts(self):
        self.start()
        self.nap_and_kill(2 * self.start_sec)

    def while_it_flushes(self):
        self.start()
        with Connection(self.service.socket) as connection:
            connection.call("ListPorts")
            began = time.monotonic()
            connection.call("Flush")
            self.flush_sec = time.monotonic() - began
            connection.send("Flush")
            self.nap_and_kill(1.2 * self.flush_sec)

    def run(self):
        self.service.stop(signal.SIGKILL)
        self.while_it_counts()
        for _ in range(self.times):
            kill = self.random.choice([self.while_it_starts, self.while_it_counts, self.while_it_flushes])
            kill()
            self.kills[kill.__name__] += 1
        self.service.start()


def sums(service):
    """What the tables of the database say, by table and role."""
    with sqlite3.connect(f"file:{service.data}/portmon.db?mode=ro", uri=True) as db:
        return {(table, role): db.execute(f"SELECT sum(rx_bytes), sum(tx_bytes), sum(connections) FROM {table}"
                                          " WHERE port = ? AND role = ?", [PORT, number]).fetchone()
                for table in ("bucket", "day", "total") for number, role in enumerate(("server", "client"))}


def check_gaps(service):
    """Nobody was away while nothing counted. What has come when nobody looked has the wrong date only
    where 5 minutes ended meanwhile."""
    with sqlite3.connect(f"file:{service.data}/portmon.db?mode=ro", uri=True) as db:
        for begin, end, reason in db.execute("SELECT from_usec, until_usec, reason FROM gap"):
            equal(reason, "unsampled", "the reason of a gap")
            true(begin // BUCKET_USEC < end // BUCKET_USEC, f"5 minutes end between {begin} and {end}")


def kill(programs, times):
    with Namespaces() as pair, Service(PORT) as service:
        pair.reuse_ports()
        place, killer, maps = between(pair, "v6"), Killer(service, programs, times), service.maps()
        truth = due(play("steady", PORT, place, options=["--threads=4", "--seconds=3000"],
                         stages={"flowing": killer.run}), place)
        print(f"# seed {SEED}: {times} kills {dict(killer.kills)}, {truth}")
        check_counted(service, PORT, truth)
        equal(service.maps(), maps, "the maps that are kept")
        service.portmon("flush")
        equal(sums(service), {(table, role): tuple(truth[role].values())
                              for table in ("bucket", "day", "total") for role in ("server", "client")},
              "what is in the database")
        check_gaps(service)


@test
def killed_at_any_moment():
    """Killed while it starts, counts and flushes: in the end the figures are exact, without a gap"""
    with_truth(kill, [PORTMOND], KILLS)


@test
def killed_at_any_moment_of_upgrades():
    """Killed while two versions of the programs take turns: the same"""
    with_truth(kill, [PORTMOND, NEXT], KILLS // 10)


run()
