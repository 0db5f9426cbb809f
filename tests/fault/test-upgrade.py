#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Another version of the programs takes over from the one that runs, while traffic flows."""

import pathlib
import re
import signal
import sqlite3
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / part) for part in ("lib", "net")]
from service import *
from traffic import *

need_root_and_bpf()

PORT = 19981
NEXT = BUILD / "tests" / "fault" / "portmond-next"
UPGRADES = 20
SIZES = 123457, 765433  # what transfer() moves

VERSION = re.compile("^portmon-([0-9a-f]{16})-")


def versions(service):
    """The versions of the programs that are kept."""
    return {found[1] for name, _ in service.store if (found := VERSION.match(name))}


def gaps(service):
    service.portmon("flush")
    with sqlite3.connect(f"file:{service.data}/portmon.db?mode=ro", uri=True) as db:
        return [reason for reason, in db.execute("SELECT reason FROM gap WHERE reason != 'unsampled'")]


def to_and_fro():
    def change():
        for number in range(UPGRADES):
            before = versions(service)
            service.program = PORTMOND if number % 2 else NEXT
            service.restart(signal.SIGKILL if number % 3 else signal.SIGTERM)
            equal(service.maps(), kept, "the maps that are kept")
            equal((len(service.store), len(versions(service))), (size, 1), "descriptors and versions that are kept")
            true(versions(service) != before, "it is another version")

    with Namespaces() as pair, Service(PORT) as service:
        pair.reuse_ports()
        kept, size, place = service.maps(), len(service.store), between(pair, "v4")
        truth = due(play("steady", PORT, place, options=["--threads=4", "--seconds=300"],
                         stages={"flowing": change}), place)
        print(f"# {UPGRADES} upgrades, {truth}")
        check_counted(service, PORT, truth)
        equal(gaps(service), [], "gaps")


@test
def to_and_fro_while_traffic_flows():
    """The maps stay, the programs change, and no byte is lost or counted twice while both are attached"""
    with_truth(to_and_fro)


@test
def killed_while_it_takes_over():
    """Killed after any part of the new version was handed over: the old one counts until the next start"""
    with Service(PORT) as service:
        size, program, number = len(service.store), {PORTMOND: NEXT, NEXT: PORTMOND}, 0
        while True:
            number += 1
            before = service.settled(PORT)["rx_bytes"]
            service.stop(signal.SIGKILL)
            service.program = program[service.program]
            if not service.kill_when_kept(number):
                break
            transfer(PORT)
            service.start()
            equal((len(service.store), len(versions(service))), (size, 1), f"what is kept after {number} had been")
            service.stop(signal.SIGKILL)
            transfer(PORT)
            service.start()
            equal(service.settled(PORT)["rx_bytes"] - before, 2 * SIZES[0], f"what was counted after {number}")
        equal(number - 1, size - len(service.maps()), "descriptors that a version hands over")
        service.start()
        equal(gaps(service), [], "gaps")


def leave_another_abi(service):
    """Makes what is kept that of a daemon whose maps have another layout."""
    service.store = [(re.sub(r"^portmon-\d+-map-", "portmon-0-map-", name), fd) for name, fd in service.store]


@test
def another_layout():
    """Maps of another layout are let go: what was flushed stays, and the time between is a gap"""
    with Service(PORT) as service:
        names = sorted(name for name, _ in service.store)
        for number, reason in (signal.SIGTERM, "stopped"), (signal.SIGKILL, "crashed"):
            before = service.settled(PORT)
            transfer(PORT)
            service.settled(PORT)
            service.portmon("flush")
            with socket.create_server(("127.0.0.1", PORT)) as listener, \
                    socket.create_connection(("127.0.0.1", PORT)) as client, listener.accept()[0] as server:
                move(client, server, 1000)
                if number == signal.SIGKILL:
                    service.portmon("flush")  # as a clean stop does
                service.stop(number)
                leave_another_abi(service)
                move(client, server, 10)  # to nobody's account
                service.start()
                move(client, server, 100)
            stats = service.settled(PORT)
            equal(stats["rx_bytes"] - before["rx_bytes"], SIZES[0] + 1000 + 100, "octets received")
            equal(stats["tx_bytes"] - before["tx_bytes"], SIZES[1], "octets sent")
            equal(stats["connections_total"] - before["connections_total"], 2, "connections")
            equal(gaps(service)[-1:], [reason], "the last gap")
            equal(sorted(name for name, _ in service.store), names, "what is kept")
        equal(len(gaps(service)), 2, "gaps")


run()
