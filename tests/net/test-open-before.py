#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A connection that was open before its port was added counts from that moment on, exactly.

In whatever state it is, however it was opened and however it ends; and so does one that stays open
while its port is removed and added again.
"""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from traffic import *

need_root_and_bpf()

with contextlib.ExitStack() as stack:
    suite = Suite()
    pair = stack.enter_context(Namespaces())
    prepare(pair)
    plain = list(cases(["staged"], without=["prepared", "unowned"]))
    prepared = list(cases(["staged", "prepared"]))
    unowned = list(cases(["unowned"]))

    for family in FAMILIES:
        suite.define([*plain, *unowned], loopback(family))
        suite.define(prepared, loopback_inside(pair, family))
        suite.define([*plain, *prepared], between(pair, family))
    suite.define_last(between(pair, "v4"))
    suite.daemon = stack.enter_context(Daemon())
    run()
