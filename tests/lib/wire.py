# SPDX-License-Identifier: MIT
"""A D-Bus connection over a socket of our own, to a bus or to a peer.

It reads when it is told to, can send what is no message, and has no threads: a test that forks to
become somebody else can use it. GLib only puts messages together and takes them apart.
"""

import socket
import time
import xml.etree.ElementTree as xml

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

from harness import PATIENCE_SEC, equal  # noqa: E402

NAME = "org.portmon.Monitor1"
PATH = "/org/portmon/Monitor1"
PORT = "org.portmon.Port1"
PROPERTIES = "org.freedesktop.DBus.Properties"

BUS_NAME, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
BUS_SOCKET = "/run/dbus/system_bus_socket"


def port_path(port):
    return f"{PATH}/port/{port}"


class Error(Exception):
    """An error that a call was answered with. Its name comes without the well-known beginnings."""

    def __init__(self, message):
        name = message.get_error_name()
        for known in f"{NAME}.Error.", "org.freedesktop.DBus.Error.":
            name = name.removeprefix(known)
        super().__init__(name, message.get_body().unpack()[0] if message.get_body() else "")
        self.name, self.text = self.args


def marshal(serial, member, types="", *arguments, interface=NAME, path=PATH, destination=None,
            interactive=False, no_reply=False):
    """The bytes of a method call."""
    message = Gio.DBusMessage.new_method_call(destination, path, interface, member)
    if types:
        message.set_body(GLib.Variant(f"({types})", arguments))
    flags = Gio.DBusMessageFlags.NONE
    if interactive:
        flags |= Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION
    if no_reply:
        flags |= Gio.DBusMessageFlags.NO_REPLY_EXPECTED
    message.set_flags(flags)
    message.set_serial(serial)
    return message.to_blob(Gio.DBusCapabilityFlags.NONE)


def connect(path):
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(str(path))
    return connected


class Connection:
    def __init__(self, path, bus=False, authenticate=True):
        """`path` is a socket, or the path of one, behind which is a bus or portmond itself."""
        self.destination = NAME if bus else None
        self.signals = []  # that came while something else was waited for
        self._serial = 0
        self._input = bytearray()
        self._answers = {}
        self.socket = path if isinstance(path, socket.socket) else connect(path)
        self.socket.settimeout(PATIENCE_SEC)
        if authenticate:
            self.authenticate()
        if bus:
            self.name = self.bus_call("Hello")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def authenticate(self):
        # With no name given we are who the socket says.
        self.socket.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\n")
        while self._input.count(b"\r\n") < 2:
            self._receive()
        equal([line.split(b" ")[0] for line in self._input.split(b"\r\n")], [b"DATA", b"OK", b""], "handshake")
        self._input.clear()
        self.socket.sendall(b"BEGIN\r\n")

    # ---- bytes ----

    def _receive(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionResetError("the connection was closed")
        self._input += data

    def receive(self):
        """The next message."""
        while len(self._input) < 16:
            self._receive()
        size = Gio.DBusMessage.bytes_needed(bytes(self._input[:16]))
        while len(self._input) < size:
            self._receive()
        message = Gio.DBusMessage.new_from_blob(bytes(self._input[:size]), Gio.DBusCapabilityFlags.NONE)
        del self._input[:size]
        return message

    # ---- calls ----

    def send(self, *call, **options):
        """Sends a call; answer() waits for what is returned here."""
        self._serial += 1
        self.socket.sendall(marshal(self._serial, *call, **{"destination": self.destination, **options}))
        return self._serial

    def _sort(self, message):
        if message.get_message_type() == Gio.DBusMessageType.SIGNAL:
            self.signals.append(message)
        else:
            self._answers[message.get_reply_serial()] = message

    def has_answer(self, serial):
        """Whether an answer came while another one was waited for."""
        return serial in self._answers

    def answer(self, serial):
        """What the call returns: nothing, one value or a tuple. Raises Error."""
        while serial not in self._answers:
            self._sort(self.receive())
        message = self._answers.pop(serial)
        if message.get_message_type() == Gio.DBusMessageType.ERROR:
            raise Error(message)
        values = message.get_body().unpack() if message.get_body() else ()
        return values[0] if len(values) == 1 else values or None

    def call(self, *call, **options):
        return self.answer(self.send(*call, **options))

    def bus_call(self, member, types="", *arguments):
        return self.call(member, types, *arguments, interface=BUS_NAME, path=BUS_PATH, destination=BUS_NAME)

    def get(self, name, interface=NAME, path=PATH):
        return self.call("Get", "ss", interface, name, interface=PROPERTIES, path=path)

    def get_all(self, interface=NAME, path=PATH):
        return self.call("GetAll", "s", interface, interface=PROPERTIES, path=path)

    def introspect(self, path=PATH):
        text = self.call("Introspect", interface="org.freedesktop.DBus.Introspectable", path=path)
        return xml.fromstring(text)

    # ---- signals ----

    def subscribe(self, rule=f"sender='{NAME}'"):
        """On a bus one is sent what one asks for; a peer is sent everything."""
        if self.destination:
            self.bus_call("AddMatch", "s", f"type='signal',{rule}")

    def take_signals(self):
        """All signals of portmond so far, each as (path, interface.member, arguments)."""
        self.call("Ping", interface="org.freedesktop.DBus.Peer")  # it is answered after them
        taken, self.signals = self.signals, []
        return [(s.get_path(), f"{s.get_interface()}.{s.get_member()}",
                 s.get_body().unpack() if s.get_body() else ())
                for s in taken if s.get_sender() != BUS_NAME]


def outcome(connection, *call, **options):
    """The name of the error that a call fails with, or None."""
    try:
        connection.call(*call, **options)
    except Error as error:
        return error.name
