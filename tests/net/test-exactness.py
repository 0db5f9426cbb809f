#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What portmon counts is exactly what went over each connection.

Every case of the program `traffic` in every place, then the orderly ones over bad networks. Many run
at the same time, so that connections open and close while portmon looks.
"""

import contextlib
import itertools
import json
import pathlib
import re
import sys
from typing import Callable, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from traffic import *

need_root_and_bpf()

# Cases that come to the same end on any network.
ORDERLY = {
    "nothing", "one-octet", "one-octet-back", "odd-sizes", "megabytes", "small-pieces", "sendfile",
    "half-closed", "half-closed-at-once", "closed-at-once-with-data", "closed-before-sent",
    "killed-before-sent", "simultaneous-open", "mptcp",
}


# ---- networks: how to set up a namespace of a pair, and whether it had its effect there ----

# A server forgets about a handshake when its own host drops the answer for the second time, while
# the client waits for ever. That is no case that comes to an end, so hosts do not drop those.


def filtered(hook, condition=""):
    nft(f"add table inet bad\n"
        f"add chain inet bad segments {{ type filter hook {hook} priority 0; }}\n"
        f"add rule inet bad segments {condition} numgen random mod 100 < 3 counter drop\n")


def has_filtered():
    return int(re.search(r"packets (\d+)", sh("nft", "list", "table", "inet", "bad")).group(1)) > 0


def queued(*discipline):
    try:
        sh("tc", "qdisc", "add", "dev", "veth0", "root", *discipline)
    except Failure as failure:
        raise Unavailable(f"this kernel has no qdisc {discipline[0]}") from failure


def queue_has_dropped():
    return json.loads(sh("tc", "-s", "-j", "qdisc", "show", "dev", "veth0"))[0]["drops"] > 0


def tuned(**settings):
    for name, value in settings.items():
        set_sysctl(f"ipv4/{name}", value)


def has_counted(name):
    """Whether a counter of the kernel's TCP or IP has moved."""
    lines = pathlib.Path("/proc/thread-self/net/netstat").read_text().splitlines()
    return any(int(dict(zip(names.split(), values.split())).get(name, 0))
               for names, values in zip(lines[::2], lines[1::2]) if name in names)


def linked(*settings):
    sh("ip", "link", "set", "veth0", *settings)


def add_address(*address):
    sh("ip", "address", "add", "dev", "veth0", *address)


class Network(NamedTuple):
    name: str
    set_up: Callable  # in a namespace
    had_effect: Callable = None  # in any of them
    ends: str = "ab"


NETWORKS = [
    Network("syncookies", lambda: tuned(tcp_syncookies="2"), lambda: has_counted("SyncookiesRecv")),
    Network("loss on arrival", lambda: filtered("input"), has_filtered),
    Network("loss on departure", lambda: filtered("output", "tcp flags & syn == 0"), has_filtered),
    Network("short queue",
            lambda: queued("tbf", "rate", "400mbit", "burst", "70k", "limit", "100k"),
            queue_has_dropped, ends="b"),
    Network("disorder",
            lambda: queued("netem", "delay", "3ms", "2ms", "loss", "1%", "duplicate", "2%",
                           "reorder", "10%"),
            queue_has_dropped),
    Network("ECN", lambda: tuned(tcp_ecn="1"), lambda: has_counted("InECT0Pkts")),
    Network("single segments", lambda: linked("gso_max_segs", "1")),
    Network("small segments", lambda: linked("mtu", "1280")),
    Network("small buffers",
            lambda: tuned(tcp_rmem="4096 8192 16384", tcp_wmem="4096 8192 16384")),
    Network("bare TCP", lambda: tuned(tcp_sack="0", tcp_timestamps="0", tcp_window_scaling="0")),
]


def define_network(suite, stack, network, cases):
    namespaces = stack.enter_context(Namespaces())
    reason = None

    def in_each(action):
        results = []
        for end in network.ends:
            with namespaces.inside(end):
                results.append(action())
        return results

    def prove():
        if reason:
            raise Unavailable(reason)
        true(any(in_each(network.had_effect)), f"{network.name} had its effect")

    try:
        in_each(network.set_up)
    except Unavailable as unavailable:
        reason = unavailable
    for family in "v4", "v6":
        suite.define(cases, between(namespaces, family, network.name), reason)
    if network.had_effect and SHARE == 1:  # a few cases may come through
        prove.__name__ = prove.__doc__ = f"{network.name} had its effect"
        test(prove)


with contextlib.ExitStack() as stack:
    suite = Suite()
    pair = stack.enter_context(Namespaces())
    prepare(pair)
    plain = list(cases([], without=["staged", "repeated", "prepared", "huge"]))
    prepared = list(cases(["prepared"], without=["staged"]))
    orderly = [case for case in plain if case.name in ORDERLY]
    assert len(orderly) == len(ORDERLY)

    suite.define(cases(["huge"]), loopback("v4"))
    for family in FAMILIES:
        suite.define(plain, loopback(family))
        suite.define(prepared, loopback_inside(pair, family))
        suite.define([*plain, *prepared], between(pair, family))
    with pair.inside("a"):
        add_address("10.99.0.3/24")
        add_address("fd99::3/64", "nodad")
    for family, server in itertools.product(("v4", "v6"), (1, 3)):
        suite.define(orderly, at_home(pair, family, server))
    for network in NETWORKS:
        define_network(suite, stack, network, orderly)
    suite.define_last(between(pair, "v4"))
    suite.daemon = stack.enter_context(Daemon(*suite.ports))
    run()
