#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Clients that hang do not keep portmond from ending in order, with everything written."""

import pathlib
import sqlite3
import struct
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / part) for part in ("lib", "bus")]
from harness import *
from wire import Connection

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


run()
