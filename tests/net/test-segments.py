#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Segments count as the network sees them, pure acknowledgements included."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from traffic import *

need_root_and_bpf()

PORT = 19907

COUNTERS = """
table inet segments {
    chain arrived { type filter hook input priority 0; tcp %(here)s %(port)d counter; }
    chain departed { type filter hook output priority 0; tcp %(there)s %(port)d counter; }
}
"""


def seen(direction):
    """How many segments the network layer of this namespace has seen."""
    chain = sh("nft", "list", "chain", "inet", "segments", direction)
    return int(re.search(r"packets (\d+)", chain).group(1))


def compare(family, actor):
    with Namespaces() as pair, Daemon(PORT) as daemon:
        for end, here, there in ("a", "dport", "sport"), ("b", "sport", "dport"):
            with pair.inside(end):
                sh("ip", "link", "set", "veth0", "gso_max_segs", "1")
                nft(COUNTERS % {"here": here, "there": there, "port": PORT})
        play("half-closed", PORT, between(pair, family), actor)
        settled(daemon, PORT)
        stats = daemon.stats(PORT)
        # The server has no socket of its own yet when it answers the SYN.
        for end, role, without_socket in ("a", stats, 1), ("b", stats["client"], 0):
            with pair.inside(end):
                wanted = {"rx": seen("arrived"), "tx": seen("departed") - without_socket}
            equal({"rx": role["rx_packets"], "tx": role["tx_packets"]}, wanted, f"segments of end {end}")


@test
def of_ipv4():
    """Segments over IPv4, when the client closes first"""
    compare("v4", "client")


@test
def of_ipv6():
    """Segments over IPv6, when the server closes first"""
    compare("v6", "server")


run()
