#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What counts outlives the daemon that made it, wherever that one is killed."""

import pathlib
import signal
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / part) for part in ("lib", "net")]
from service import *

need_root_and_bpf()

PORT = 19961


def kept(service):
    return sorted(name for name, _ in service.store)


@test
def killed_while_it_hands_over():
    """Killed after any number of descriptors was handed over: the next start makes up for the rest"""
    with Service(PORT) as service:
        whole = kept(service)
        for number in range(1, len(whole)):
            before = service.settled(PORT)["rx_bytes"]
            service.stop(signal.SIGKILL)
            service.forget()
            true(service.kill_when_kept(number), f"{number} descriptors came")
            service.start()
            equal(kept(service), whole, f"what is kept after {number} had been")
            transfer(PORT)
            service.stop(signal.SIGKILL)
            transfer(PORT)  # counted while nobody is there
            service.start()
            equal(service.settled(PORT)["rx_bytes"] - before, 2 * 123457, f"what was counted after {number} had been")
            equal(kept(service), whole, f"what is kept in the end after {number} had been")


run()
