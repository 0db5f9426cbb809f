#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The quickstart on a system that has never seen portmon. What it leaves there, test-reboot.py finds."""

from life import *

before = tree()


@test
def quickstart_installs():
    """The quickstart installs, enables and starts the service, and says what there is to know"""
    said = install()
    for words in "Collector:", str(PORT), "systemctl status portmond", "systemctl disable", "tools/uninstall":
        true(words in said, f"{words!r} in {said}")
    for unit in SERVICE, "portmond.socket":
        equal((is_active(unit), show("UnitFileState", unit)), ("active", "enabled"), unit)
    equal(list_ports(), {PORT: ""}, "the ports")


@test
def it_counts():
    """What is installed counts, and takes ports from the bus"""
    transfer(PORT)
    equal(settled(PORT), [*SIZES, 1], "the figures")
    sh("busctl", "call", NAME, PATH, NAME, "AddPort", "qs", str(OTHER), "API")
    transfer(OTHER)
    equal(settled(OTHER), [*SIZES, 1], "the figures of a port from the bus")


@test
def quickstart_again():
    """Another quickstart updates: ports stay, new ones are added, and not even what passes meanwhile is lost"""
    with socket.create_server(("127.0.0.1", PORT)) as listener, \
            socket.create_connection(("127.0.0.1", PORT)) as client, listener.accept()[0] as server:
        process = pid()
        install(THIRD)
        true(pid() != process, "it was started anew")
        move(client, server, SIZES[0])
        move(server, client, SIZES[1])
    equal(settled(PORT), [*(2 * size for size in SIZES), 2], "the figures")
    equal(list_ports(), {PORT: "", OTHER: "API", THIRD: ""}, "the ports")


@test
def quickstart_refuses():
    """What is no port, or is not for a service, is refused with status 2 before anything is done"""
    with same_process():
        for arguments in [], ["--port", "0"], ["--port", "80abc"], ["--port"], ["5000"], ["--retention-days", "7"]:
            done = quickstart(*arguments)
            equal((done.returncode, done.stdout), (2, ""), f"the outcome of {arguments}")
            true(done.stderr, "it says why")


@test
def leave_it():
    """All is left as it is, without a flush, for the next boot"""
    STATE.write_text(json.dumps({"before": before, "ports": list_ports(),
                                 "figures": {port: settled(port) for port in list_ports()}}))


run()
