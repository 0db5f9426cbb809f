#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Thousands of short connections a second, with every kind of end, while many look at the figures.

No figure may ever step back, and in the end they are exact. Another process looks at who holds the
connections, and so some of them close in its context.
"""

import concurrent.futures
import glob
import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from traffic import *

need_root_and_bpf()

PORT = 19901
SECONDS = 8
THREADS = 4
READERS = 3


def growing(stats):
    """The figures that only grow."""
    return [role[name] for role in (stats, stats["client"])
            for name in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "connections_total")]


def read_on(daemon, ended):
    """Asks again and again, each time by a process of its own; returns how often."""
    last, readings = growing(daemon.stats(PORT)), 1
    while not ended.is_set():
        now = growing(daemon.stats(PORT))
        true(all(a <= b for a, b in zip(last, now)), f"{now} is nowhere less than {last}")
        last, readings = now, readings + 1
    return readings


def look_at_descriptors(ended):
    """As lsof does. What is looked at is held for a moment, perhaps longer than by its owner."""
    while not ended.is_set():
        for link in glob.iglob("/proc/[0-9]*/task/*/fd/*"):
            try:
                os.readlink(link)
            except OSError:
                pass  # it has gone


def churn(place):
    options = [f"--seconds={SECONDS}", f"--threads={THREADS}"]
    ended = threading.Event()
    with Daemon(PORT) as daemon, concurrent.futures.ThreadPoolExecutor(READERS + 1) as pool:
        looker = pool.submit(look_at_descriptors, ended)
        readers = [pool.submit(read_on, daemon, ended) for _ in range(READERS)]
        try:
            truth = due(play("churn", PORT, place, options=options), place)
        finally:
            ended.set()
        looker.result()
        readings = sum(reader.result() for reader in readers)
        print(f"# {truth['server']['connections']} connections in {SECONDS} seconds, "
              f"{readings} readings")
        check_counted(daemon, PORT, truth)


@test
def over_loopback():
    """Connections over loopback count in the role of the server"""
    with_truth(churn, loopback("v4"))


@test
def between_namespaces():
    """Connections between namespaces count in both roles"""
    with Namespaces() as pair:
        pair.reuse_ports()
        with_truth(churn, between(pair, "v6"))


run()
