#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The boot after test-install.py: what was watched is watched, and can be removed without a trace."""

from life import *

state = json.loads(STATE.read_text())
ports = {int(port): description for port, description in state["ports"].items()}
figures = {int(port): values for port, values in state["figures"].items()}
active = [is_active(unit) for unit in (SERVICE, "portmond.socket")]


def uninstall(*options):
    sh(TOP / "tools/uninstall", *options)
    equal(subprocess.run(["systemctl", "cat", SERVICE], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL).returncode, 1, "systemd knows no such service")
    for path in [SOCKET, "/usr/bin/portmon", "/usr/sbin/portmond"]:
        true(not os.path.exists(path), f"{path} is gone")
    with bus() as connection:
        equal(outcome(connection, "ListPorts"), "ServiceUnknown", "who calls it on the bus gets")
    true("portmond" not in processes(), "no portmond runs")


@test
def starts_by_itself():
    """After a reboot it runs by itself, and ports, descriptions and figures are there"""
    equal(active, ["active", "active"], "service and socket when the system had booted")
    equal(list_ports(), ports, "ports")
    equal({port: settled(port) for port in ports}, figures, "figures")


@test
def counts_on():
    """After a reboot it counts on"""
    transfer(PORT)
    figures[PORT] = [value + more for value, more in zip(figures[PORT], [*SIZES, 1])]
    equal(settled(PORT), figures[PORT], "figures")


@test
def uninstalls():
    """tools/uninstall takes the program away and leaves the history, which another installation finds"""
    uninstall()
    true((DATA / "portmon.db").exists(), "the ledger is there")
    install()
    equal({port: settled(port) for port in ports}, figures, "figures")
    equal(list_ports(), ports, "ports")


@test
def purges():
    """tools/uninstall --purge leaves nothing behind"""
    uninstall("--purge")
    after = tree()
    for what, were in state["before"].items():
        equal(after[what], were, what)


run()
