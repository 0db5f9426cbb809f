#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Whoever hangs, clients or the bus, keeps portmond neither from serving others nor from ending in order."""

import contextlib
import pathlib
import socket
import sqlite3
import struct
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from bus import *
from harness import *
from wire import NAME, Connection, Error

need_root_and_bpf()

PORT = 19965


def says_nothing(path):
    return Connection(path, authenticate=False)


def does_not_end_its_greeting(path):
    connection = Connection(path, authenticate=False)
    connection.socket.sendall(b"\0AUTH EXTERNAL")
    return connection


def does_not_end_its_message(path):
    connection = Connection(path)
    connection.socket.sendall(b"l\1\0\1" + struct.pack("<III", 1 << 20, 1, 100))
    return connection


def does_not_read(path):
    connection = Connection(path)
    for _ in range(50):
        connection.send("Introspect", interface="org.freedesktop.DBus.Introspectable")
    return connection


@test
def ends_in_spite_of_them():
    """portmond ends, and has written what it counted, whatever its clients do not do"""
    for hang in says_nothing, does_not_end_its_greeting, does_not_end_its_message, does_not_read:
        with Daemon(PORT) as daemon:
            with hang(daemon.socket):
                transfer(PORT)
                daemon.settled(PORT)
                daemon.stop()
                with sqlite3.connect(f"file:{daemon.data}/portmon.db?mode=ro", uri=True) as db:
                    equal(db.execute("SELECT rx_bytes FROM total WHERE role = 0").fetchone(), (123457,),
                          f"what is written when a client {hang.__name__}")


def is_on(bus):
    """Whether portmond has its name on the bus."""
    with contextlib.suppress(Error, ConnectionError), Connection(bus, bus=True) as connection:
        return connection.bus_call("NameHasOwner", "s", NAME)


def is_open(connected):
    """Whether the other end holds a connection open, after all it has sent."""
    connected.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while connected.recv(4096):
            pass
        return False
    return True


@test
def bus_hangs():
    """While a bus that is restarted hangs, portmond serves on its socket; then it is on the bus again"""
    with tempfile.TemporaryDirectory(prefix="portmon-test-") as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        with private_bus(directory) as path:
            daemon = stack.enter_context(Daemon(PORT, directory=directory, environment=environment(directory)))
            true(is_on(path), "it is on the bus")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(PATIENCE_SEC)
            hanging, _ = listener.accept()
            with hanging:
                with Connection(daemon.socket) as connection:
                    equal(connection.call("ListPorts"), [(PORT, "")], "ports")
                true(is_open(hanging), "it still waits for the bus")
        path.unlink()
        with private_bus(directory):
            eventually(lambda: is_on(path), "it is on the bus again")
            eventually(lambda: "On the system bus again" in daemon.log_text(), "that is logged")


run()
