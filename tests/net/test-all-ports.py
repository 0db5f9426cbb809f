#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""All ports can be watched at once, and each counts what is its own."""

import contextlib
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from traffic import *

need_root_and_bpf()

PORTS = range(1, 65536)

# The first and the last, and neighbours, which share memory.
USED = 1, 2, 19903, 19904, 19905, 65534, 65535
UNUSED = 3, 19902, 19906, 65533


def write_configuration(directory):
    path = pathlib.Path(directory, "portmon.yaml")
    path.write_text("ports:\n" + "".join(f"  - {port}\n" for port in PORTS))
    return path


@test
def all_are_listed():
    """All 65,535 ports are on the list"""
    equal([p["port"] for p in daemon.json("list-ports")["ports"]], list(PORTS), "ports")


@test
def each_counts_its_own():
    """Connections on a few of them are exact, and count for no other"""
    place = loopback("v4")
    wanted = {port: due(play("odd-sizes", port, place, actor), place)
              for port, actor in zip(USED, itertools.cycle(("client", "server")))}
    wanted |= {port: {"server": NOTHING, "client": NOTHING} for port in UNUSED}
    equal({port: settled(daemon, port) for port in wanted}, wanted, "what was counted")


@test
def nothing_was_lost():
    """portmon admits no losses"""
    no_losses(daemon)


with contextlib.ExitStack() as stack:
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="portmon-test-"))
    daemon = stack.enter_context(Daemon(config=write_configuration(directory)))
    run()
