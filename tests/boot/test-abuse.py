#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Users who misbehave: others are served, memory, descriptors and journal stay bounded, nothing dies."""

import random
import resource
import select
import struct

from container import *
import interface

PORT, FREE = 19531, 19532
MANY = range(21000, 23000)  # of so many ports GetManagedObjects tells 3 MB

# What the daemon may use at a time: its own limit, and a message that came on top.
MAX_MEMORY_KIB = 192 * 1024
# What may stay when all is over.
GROWTH_KIB = 8 * 1024
MAX_FILES = 512
MAX_PEERS_PER_USER = 32
MAX_PENDING_PER_USER = 8
# Nothing of this is worth more in the journal, beside ports that come and go.
MAX_LINES = 3
# More than fit the largest buffers that a socket may have.
MANY_SIGNALS = 50_000

resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
configure(f"ports: [{PORT}]")
systemctl("start", SERVICE)


def served(users=("bystander", "root")):
    """All these get answers, and root can change something."""
    for user in users:
        for transport in TRANSPORTS:
            with connection_of(user, transport) as connection:
                equal(connection.call("GetStats", "q", PORT)["Port"], PORT, f"what {user} reads on the {transport}")
    with peer() as root:
        root.call("SetDescription", "qs", PORT, "Served")
        root.call("SetDescription", "qs", PORT, "")


def abuse(function):
    """Makes a test of something that must not harm."""
    def wrapped():
        served()
        with same_process() as process:
            memory, files, after = memory_kib(process), open_files(process), cursor()
            pathlib.Path(f"/proc/{process}/clear_refs").write_text("5")  # begins VmHWM anew
            function()
            served(("ordinary", "bystander", "root"))
            eventually(lambda: open_files(process) <= files, "all descriptors are closed")
            lines = [e["MESSAGE"] for e in journal(after, _SYSTEMD_UNIT=SERVICE) if "MESSAGE_ID" not in e]
            true(len(lines) <= MAX_LINES, f"few lines in the journal: {lines[:9]}")
            if not SANITIZED:
                highest, now = memory_kib(process, "VmHWM"), memory_kib(process)
                true(highest < MAX_MEMORY_KIB, f"{highest} KiB at a time")
                true(now < memory + GROWTH_KIB, f"{now} KiB at the end, {memory} KiB at the beginning")
    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    return test(wrapped)


def send_until_cut_off(connection, data):
    try:
        while True:
            connection.socket.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        connection.close()


def send_all(connected, data):
    """Sends what the other end takes of it, and waits until that closes the connection."""
    connected.settimeout(PATIENCE_SEC)
    with connected, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connected.sendall(data)
        connected.shutdown(socket.SHUT_WR)
        while connected.recv(1 << 16):
            pass


# ---- peers who do not read ----

INTROSPECT = marshal(1, "Introspect", interface="org.freedesktop.DBus.Introspectable")  # some KB


@abuse
def flood_without_reading():
    """Forty times a peer floods with calls and never reads an answer: it is cut off"""
    for _ in range(40):
        send_until_cut_off(connection_of("ordinary", "socket"), INTROSPECT)


def watch_many(*ports):
    configure(json.dumps({"ports": [PORT, *ports]}))
    systemctl("reload", SERVICE)
    with peer() as connection:
        eventually(lambda: len(connection.call("ListPorts")) == len(ports) + 1, "these ports are watched")


@abuse
def large_answers_without_reading():
    """A peer asks for megabytes again and again and never reads them"""
    watch_many(*MANY)
    call = marshal(1, "GetManagedObjects", interface=interface.MANAGER)
    send_until_cut_off(connection_of("ordinary", "socket"), call)
    watch_many()


@abuse
def signals_without_reading():
    """A peer that never reads is cut off by and by, while another follows all signals"""
    hung_up = select.poll()
    with connection_of("ordinary", "socket") as deaf, connection_of("bystander", "socket") as listener, \
            peer() as root:
        hung_up.register(deaf.socket, select.POLLHUP)
        for number in range(MANY_SIGNALS):
            root.call("SetDescription", "qs", PORT, f"{number:0256}")
            [(_, _, (_, properties, _))] = listener.take_signals()
            equal(properties, {"Description": f"{number:0256}"}, "what the other is told")
            if hung_up.poll(0):
                return
        raise Failure("it was not cut off")


@abuse
def bus_without_reading():
    """Thousands of calls on the bus whose answers nobody reads"""
    with connection_of("ordinary", "bus") as connection:
        connection.socket.sendall(marshal(1, "GetStats", "q", PORT, destination=NAME) * 5000)
        served()


# ---- too much of everything ----


@abuse
def thousand_peers():
    """A thousand peers of one user: a few of them are served, and all others"""
    peers = sockets_of("ordinary", SOCKET, 1000)
    served()
    true(open_files(pid()) < MAX_FILES, f"{open_files(pid())} files are open")
    kept = 0
    for connected in peers:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            Connection(connected)
            kept += 1
    true(0 < kept <= MAX_PEERS_PER_USER, f"{kept} of them are served")
    for connected in peers:
        connected.close()


@abuse
def thousand_peers_of_root():
    """A thousand peers of root: not even root takes all descriptors"""
    peers = sockets_of("root", SOCKET, 1000)
    with connection_of("bystander", "bus") as other:
        other.call("ListPorts")
    true(open_files(pid()) < MAX_FILES, f"{open_files(pid())} files are open")
    for connected in peers:
        connected.close()


@abuse
def flood_of_calls():
    """Peers and clients of the bus who call without pause: others have their turn"""
    def flood(connection):
        with connection:
            for _ in range(200):
                connection.call("GetStats", "q", PORT)

    floods = [threading.Thread(target=flood, args=[connection_of("ordinary", transport)])
              for transport in TRANSPORTS for _ in range(4)]
    for thread in floods:
        thread.start()
    served()
    for thread in floods:
        thread.join()


@abuse
def flood_behind_the_handshake():
    """A peer who does not stop, from the first moment on: others have their turn"""
    def flood():
        with contextlib.suppress(BrokenPipeError):
            flooding.socket.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
            while True:
                flooding.socket.sendall(data * 100)

    flooding = Connection(sockets_of("ordinary", SOCKET)[0], authenticate=False)
    data = marshal(1, "Ping", interface="org.freedesktop.DBus.Peer", no_reply=True)
    thread = threading.Thread(target=flood)
    thread.start()
    for _ in range(3):
        served()
    flooding.socket.shutdown(socket.SHUT_RDWR)
    thread.join()
    flooding.close()


@abuse
def pending_authorizations():
    """A user with a hundred requests that wait for polkit gets an error; others may still ask"""
    def ask(caller, times):
        """Sends so many requests; returns those that were refused."""
        serials = [caller.send("AddPort", "qs", FREE, "", interactive=True) for _ in range(times)]
        caller.call("ListPorts")  # it is answered after those that are refused
        return [serial for serial in serials if caller.has_answer(serial)]

    with contextlib.ExitStack() as stack:
        stack.enter_context(stopped_polkit())
        callers = [stack.enter_context(connection_of("ordinary", "bus")) for _ in range(10)]
        refused = [(caller, serial) for caller in callers for serial in ask(caller, 10)]
        true(100 - len(refused) <= MAX_PENDING_PER_USER, f"{len(refused)} of 100 are refused")
        for caller, serial in refused:
            try:
                caller.answer(serial)
            except Error as error:
                equal(error.name, "LimitsExceeded", "the error")
        other = stack.enter_context(connection_of("bystander", "bus"))
        equal(ask(other, 1), [], "what another user is refused")


# ---- what is no message ----

CALL = marshal(1, "GetRange", "qstt", PORT, "server", 0, 1)


def header(body_size=0, fields_size=16, serial=1, start=b"l\1\0\1"):
    """The beginning of a message."""
    return start + struct.pack("<III", body_size, serial, fields_size)


NO_MESSAGES = [
    bytes(4096),
    random.Random(1).randbytes(4096),
    CALL[:-1],
    header(fields_size=0),
    header(fields_size=0xffffffff),
    header(body_size=0xffffffff),
    header(serial=0) + bytes(16),
    header(start=b"l\0\0\1") + bytes(16),
    header(start=b"l\1\0\2") + bytes(16),
    header(start=b"X\1\0\1") + bytes(16),
    header(start=b"B\1\0\1") + bytes(16),
    CALL.replace(b"/org/portmon", b"/org/p\xffrtmon"),
    CALL.replace(b"/org/portmon", b"//////////// "[:12]),
    CALL.replace(b"qstt\0", b"qs(t\0"),
    CALL.replace(b"qstt\0", b"aaaa\0"),
    CALL.replace(b"server", b"se\0ver"),
]

NO_HANDSHAKES = [
    b"",
    b"\0",
    b"AUTH EXTERNAL\r\n",
    b"\0BEGIN\r\n" + CALL,
    b"\0AUTH ANONYMOUS\r\nBEGIN\r\n" + CALL,
    b"\0AUTH EXTERNAL zz\r\nBEGIN\r\n" + CALL,
    b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + CALL,
    b"\0" + b"A" * (1 << 20),
    b"\0" + b"\r\n" * 10000,
    b"\0" + b"AUTH\r\n" * 10000,
    b"\0AUTH EXTERNAL\r\nDATA\r\n" + b"NEGOTIATE_UNIX_FD\r\n" * 10000,
]


@abuse
def garbage():
    """What is no message ends the connection, and that is all"""
    for connected, data in zip(sockets_of("ordinary", SOCKET, len(NO_MESSAGES)), NO_MESSAGES):
        send_all(Connection(connected).socket, data)
    for connected, data in zip(sockets_of("ordinary", SOCKET, len(NO_HANDSHAKES)), NO_HANDSHAKES):
        send_all(connected, data)


@abuse
def wrong_bytes():
    """A message of which any one byte is wrong harms nobody"""
    for bits in 0x01, 0xff:
        wrong = [CALL[:i] + bytes([CALL[i] ^ bits]) + CALL[i + 1:] for i in range(len(CALL))]
        while wrong:
            for connected in sockets_of("ordinary", SOCKET, min(len(wrong), MAX_PEERS_PER_USER)):
                send_all(Connection(connected).socket, wrong.pop())


@test
def nobody_is_root_by_saying_so():
    """Who says that he is root when he connects does not become it"""
    [connected] = sockets_of("ordinary", SOCKET)
    with connected:
        connected.sendall(b"\0AUTH EXTERNAL 30\r\n")
        true(connected.recv(100).startswith(b"REJECTED"), "it is rejected")


@abuse
def descriptors():
    """Descriptors that are sent along are not taken"""
    for _ in range(8):
        [connected] = sockets_of("ordinary", SOCKET)
        with connected, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connected.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\n")
            connected.sendall(b"NEGOTIATE_UNIX_FD\r\nBEGIN\r\n" + header(body_size=1 << 20))
            for _ in range(4):
                socket.send_fds(connected, [b"."], [0] * 200)
    with connection_of("ordinary", "bus") as caller:
        caller.call("ListPorts")


@abuse
def huge_messages():
    """Messages of a hundred megabytes, and many of some megabytes that do not end"""
    if SANITIZED:
        raise Unavailable("with a sanitizer it can't tell how much memory it uses")
    for n, claimed, sent in (4, 100 << 20, 50 << 20), (MAX_PEERS_PER_USER, 8 << 20, 7 << 20):
        peers = [Connection(connected) for connected in sockets_of("ordinary", SOCKET, n)]
        for connection in peers:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.socket.sendall(header(body_size=claimed) + bytes(sent))
        served()
        for connection in peers:
            connection.close()


run()
