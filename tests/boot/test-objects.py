#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The objects on the system bus and on the socket: what they are, what they tell, and how calls fail."""

from container import *
import interface

XML = "/usr/share/dbus-1/interfaces/org.portmon.Monitor1.xml"
WATCHED, FREE, NEVER = 19511, 19512, 19513  # NEVER has no history
MANY = range(21000, 23000)

configure(f"ports: [{{port: {WATCHED}, description: Web}}]")
systemctl("start", SERVICE)


def on_both(function):
    """Makes a test for the system bus and one for the socket."""
    for name, where in TRANSPORTS.items():
        def on_one(where=where):
            with Connection(*where) as connection:
                function(connection)
        on_one.__name__ = f"{function.__name__}_{name}"
        on_one.__doc__ = f"{function.__doc__} ({name})"
        test(on_one)


# ---- what they are ----


@on_both
def introspection(connection):
    """The objects are what the interface file says, member by member"""
    interface.check(connection, XML, WATCHED)


@on_both
def managed_objects(connection):
    """GetManagedObjects has the ports and their properties, the keys of GetStats"""
    objects = connection.call("GetManagedObjects", interface=interface.MANAGER)
    equal(list(objects), [port_path(WATCHED)], "objects")
    properties = objects[port_path(WATCHED)][PORT]
    equal(properties, connection.get_all(PORT, port_path(WATCHED)), "properties of the port")
    equal(properties, connection.call("GetStats", "q", WATCHED), "GetStats")
    equal((properties["Port"], properties["Description"]), (WATCHED, "Web"), "port and description")


@on_both
def no_such_object(connection):
    """A watched port has one path, and others have none"""
    for name in 0, f"0{WATCHED}", 99999, 65536, f"{WATCHED}/x", f"{WATCHED}_", f"_{WATCHED}", FREE, "x":
        path = f"{PATH}/port/{name}"
        equal(outcome(connection, "GetAll", "s", PORT, interface=PROPERTIES, path=path), "UnknownObject", path)
    for path in f"{PATH}/port", "/org/portmon", "/":
        interfaces = {i.get("name") for i in connection.introspect(path).findall("interface")}
        equal(interfaces - interface.STANDARD, set(), f"the interfaces of {path}")


@test
def busctl_finds_its_way():
    """busctl lists, introspects and monitors them, on the bus and on the socket"""
    tree = {"/", "/org", "/org/freedesktop", "/org/freedesktop/LogControl1", "/org/portmon", PATH,
            f"{PATH}/port", port_path(WATCHED)}
    for where in [], [f"--address=unix:path={SOCKET}"]:
        equal(set(sh("busctl", *where, "--list", "tree", NAME).split()), tree, "busctl tree")
        for path, name in (PATH, ".AddPort"), (port_path(WATCHED), ".TodayRxBytes"):
            listed = [line.split()[0] for line in sh("busctl", *where, "introspect", NAME, path).splitlines()]
            true(name in listed, f"busctl introspect {path} shows {name}")
    with subprocess.Popen(["busctl", "monitor", NAME], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as monitor:
        for line in monitor.stdout:
            if "Monitoring" in line:
                sh("busctl", "call", NAME, PATH, NAME, "ListPorts")
            if "Member=ListPorts" in line:
                break
        monitor.terminate()
        true("Member=ListPorts" in line, "busctl monitor shows a call")


# ---- what they tell ----


def changed(path, name, **properties):
    return path, f"{PROPERTIES}.PropertiesChanged", (name, properties, [])


def settings(retention_days):
    return f"ports: [{{port: {WATCHED}, description: Web}}]\nretention_days: {retention_days}"


@test
def signals():
    """Every user on the bus and on the socket is told what changes, once, and nothing else"""
    path = port_path(FREE)

    def added(port, description):
        properties = caller.get_all(PORT, path)
        equal((properties["Port"], properties["Description"]), (port, description), "the new port")
        return [(PATH, f"{interface.MANAGER}.InterfacesAdded", (path, {
                    PORT: properties, **{name: {} for name in interface.STANDARD}})),
                (PATH, f"{NAME}.PortAdded", (port, path)),
                changed(PATH, NAME, Ports=[WATCHED, port])]

    def follow(wanted, what):
        for transport, listener in listeners.items():
            equal(listener.take_signals(), wanted, f"what the {transport} is told of {what}")

    with bus() as caller, connection_of("ordinary", "bus") as on_bus, \
            connection_of("ordinary", "socket") as on_socket:
        listeners = {"bus": on_bus, "socket": on_socket}
        on_bus.subscribe()

        caller.call("AddPort", "qs", FREE, "One")
        follow(added(FREE, "One"), "a new port")

        caller.call("SetDescription", "qs", FREE, "Two")
        follow([changed(path, PORT, Description="Two")], "a description")

        caller.call("SetDescription", "qs", FREE, "Two")
        caller.call("Flush")
        for call in ("AddPort", "qs", FREE, "x"), ("AddPort", "qs", 0, "x"), ("RemovePort", "q", 99):
            true(outcome(caller, *call), f"{call} fails")
        follow([], "what changes nothing")

        configure(settings(retention_days=90))
        systemctl("reload", SERVICE)
        eventually(lambda: caller.get("RetentionDays") == 90, "the new setting is there")
        follow([changed(PATH, NAME, RetentionDays=90)], "a setting")

        caller.call("RemovePort", "q", FREE)
        [(where, member, (gone, interfaces)), *others] = on_bus.take_signals()
        equal((where, member, gone), (PATH, f"{interface.MANAGER}.InterfacesRemoved", path), "the first signal")
        true(PORT in interfaces, "the interface is gone")
        equal(others, [(PATH, f"{NAME}.PortRemoved", (FREE, path)), changed(PATH, NAME, Ports=[WATCHED])],
              "what the bus is told of a port that goes")
        equal(on_socket.take_signals(), [(where, member, (gone, interfaces)), *others], "and the socket")


@test
def thousands_at_once():
    """Of thousands of ports that one reload brings and takes, everybody who listens is told each"""
    def reload(*ports):
        configure(json.dumps({"ports": [{"port": WATCHED, "description": "Web"}, *ports]}))
        systemctl("reload", SERVICE)
        with bus() as caller:
            eventually(lambda: len(caller.call("ListPorts")) == len(ports) + 1, "these ports are watched")

    with connection_of("ordinary", "bus") as on_bus, connection_of("ordinary", "socket") as on_socket:
        on_bus.subscribe()
        for ports, signal in (MANY, "PortAdded"), ([], "PortRemoved"):
            # It still introduces itself, so that all must wait for it.
            with Connection(sockets_of("ordinary", SOCKET)[0], authenticate=False) as beginner:
                reload(*ports)
                beginner.authenticate()
                for listener in on_bus, on_socket, beginner:
                    told = [what[0] for _, member, what in listener.take_signals() if member == f"{NAME}.{signal}"]
                    equal(told, list(MANY), f"the ports of {signal}")


# ---- how calls fail ----

HOUR = 3_600_000_000
TOO_LONG = "x" * 257
FAILING = [
    (["AddPort", "qs", 0, ""], "InvalidPort"),
    (["AddPort", "qs", WATCHED, "Other"], "PortExists"),
    (["AddPort", "qs", FREE, TOO_LONG], "InvalidArgs"),
    (["AddPort", "qs", FREE, "two\nlines"], "InvalidArgs"),
    (["AddPort", "q", FREE], "InvalidArgs"),
    (["AddPort", "us", FREE, ""], "InvalidArgs"),
    (["AddPort", "sq", "", FREE], "InvalidArgs"),
    (["RemovePort", "q", 0], "InvalidPort"),
    (["RemovePort", "q", FREE], "NoSuchPort"),
    (["RemovePort", "i", WATCHED], "InvalidArgs"),
    (["SetDescription", "qs", 0, ""], "InvalidPort"),
    (["SetDescription", "qs", FREE, ""], "NoSuchPort"),
    (["SetDescription", "qs", WATCHED, TOO_LONG], "InvalidArgs"),
    (["SetDescription", "qs", WATCHED, "\x1b[2J"], "InvalidArgs"),
    (["GetStats", "q", 0], "InvalidPort"),
    (["GetStats", "q", FREE], "NoSuchPort"),
    (["GetRange", "qstt", 0, "server", 0, HOUR], "InvalidPort"),
    (["GetRange", "qstt", NEVER, "server", 0, HOUR], "NoSuchPort"),
    (["GetRange", "qstt", WATCHED, "both", 0, HOUR], "InvalidArgs"),
    (["GetRange", "qstt", WATCHED, "server", HOUR, HOUR], "InvalidRange"),
    (["GetRange", "qstt", WATCHED, "client", HOUR, 0], "InvalidRange"),
    (["GetHistory", "qstts", 0, "server", 0, HOUR, "day"], "InvalidPort"),
    (["GetHistory", "qstts", NEVER, "server", 0, HOUR, "day"], "NoSuchPort"),
    (["GetHistory", "qstts", WATCHED, "Server", 0, HOUR, "day"], "InvalidArgs"),
    (["GetHistory", "qstts", WATCHED, "server", 0, HOUR, "week"], "InvalidArgs"),
    (["GetHistory", "qstts", WATCHED, "server", HOUR, 0, "hour"], "InvalidRange"),
    (["GetHistory", "qstt", WATCHED, "server", 0, HOUR], "InvalidArgs"),
    (["ListConnections", "q", 0], "InvalidPort"),
    (["ListConnections", "q", FREE], "NoSuchPort"),
    (["ListPorts", "s", "x"], "InvalidArgs"),
    (["Flush", "b", True], "InvalidArgs"),
    (["Nonsense"], "UnknownMethod"),
]


@on_both
def errors(connection):
    """A call that fails says why by name and in words, and changes nothing"""
    before = connection.call("ListPorts")
    for call, wanted in FAILING:
        try:
            connection.call(*call)
        except Error as error:
            equal(error.name, wanted, f"the error of {call}")
            true(error.text, f"{call} says what is wrong")
        else:
            raise Failure(f"{call} did not fail")
    for call, wanted in (["Get", "ss", NAME, "Nonsense"], "UnknownProperty"), \
            (["Set", "ssv", NAME, "RetentionDays", GLib.Variant("u", 1)], "PropertyReadOnly"), \
            (["GetAll", "s", "org.portmon.Nonsense"], "UnknownInterface"):
        equal(outcome(connection, *call, interface=PROPERTIES), wanted, f"the error of {call}")
    equal(connection.call("ListPorts"), before, "the ports")


@test
def extremes():
    """What is just right is taken: the highest port, the longest description, any range of time"""
    with bus() as caller:
        caller.call("AddPort", "qs", 65535, "é" * 128)
        equal(caller.call("ListPorts")[-1], (65535, "é" * 128), "the new port")
        caller.call("RemovePort", "q", 65535)
        for until in 1, 2**63, 2**64 - 1:
            equal(caller.call("GetRange", "qstt", WATCHED, "server", 0, until)[0], 0, "the start of a record")
            equal(caller.call("GetHistory", "qstts", WATCHED, "client", 0, until, "month"), [], "history")


@test
def ledger_error():
    """With a full disk no port is added or described, and the error says so"""
    systemctl("stop", SERVICE)
    sh("mount", "-t", "tmpfs", "-o", "size=1M,mode=0700,uid=portmon,gid=portmon", "tmpfs", DATA)
    try:
        systemctl("start", SERVICE)
        with contextlib.suppress(OSError), open(DATA / "ballast", "wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        with bus() as caller:
            # The database may have some room left in its files.
            eventually(lambda: outcome(caller, "SetDescription", "qs", WATCHED, os.urandom(99).hex()) == "Ledger",
                       "the ledger is full")
            before = caller.call("ListPorts")
            for call in ["AddPort", "qs", FREE, "x" * 256], ["SetDescription", "qs", WATCHED, "x" * 256]:
                equal(outcome(caller, *call), "Ledger", f"the error of {call[0]}")
            equal(caller.call("ListPorts"), before, "the ports")
    finally:
        systemctl("stop", SERVICE)
        sh("umount", DATA)
        systemctl("start", SERVICE)


run()
