#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Who may do what: asked of the real polkitd, with people who type passwords, and without polkitd."""

import pty
import termios
import threading

from container import *

RULE = "/usr/share/doc/portmon/examples/50-portmon.rules"
WATCHED, DOOMED, FREE = 19521, 19522, 19523

# How much the daemon may grow by 200 callers. Each question that were kept would cost some 3 KiB.
GROWTH_KIB = 256

sh("cp", RULE, "/etc/polkit-1/rules.d/")
sh("usermod", "--append", "--groups", "portmon", "member")
sh("chpasswd", input="root:right\n")
# Without the seconds it takes to be told that a password is wrong.
sh("sed", "-i", "s/pam_unix.so/& nodelay/", "/etc/pam.d/common-auth")
systemctl("restart", POLKIT)
systemctl("start", SERVICE)


class Agent:
    """polkit's agent for terminals, on a terminal of its own, for this process. It may have no answer."""

    def __init__(self, password):
        ready, registered = os.pipe()
        os.set_inheritable(registered, True)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvp("pkttyagent", ["pkttyagent", "--process", str(os.getppid()), "--notify-fd", str(registered)])
        os.close(registered)
        os.read(ready, 1)  # it closes its end once it is known to polkit
        self.password = password
        self.text = b""
        self.asked = threading.Event()
        threading.Thread(target=self._talk, daemon=True).start()

    def _talk(self):
        with contextlib.suppress(OSError):
            while data := os.read(self.terminal, 4096):
                self.text += data
                if self.text.endswith(b"Password: "):
                    self.asked.set()
                    self._answer()

    def _answer(self):
        if self.password:
            # It drops what was typed before it turned the echo off.
            eventually(lambda: not termios.tcgetattr(self.terminal)[3] & termios.ECHO, "no echo")
            os.write(self.terminal, f"{self.password}\n".encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


# ---- who may do what ----

ALLOWED = None
DENIED = "AccessDenied"
ASK = "InteractiveAuthorizationRequired"

# Who calls, as which user, what password an agent of theirs knows; and what comes of it on the bus,
# on the bus if it may be interactive, and on the socket.
CALLERS = [
    ("root", "root", None, ALLOWED, ALLOWED, ALLOWED),
    ("the daemon's own user", "portmon", None, ALLOWED, ALLOWED, ALLOWED),
    ("a member of the group portmon", "member", None, ALLOWED, ALLOWED, DENIED),
    ("another user", "ordinary", None, ASK, ASK, DENIED),
    ("another user who knows the password", "ordinary", "right", ASK, ALLOWED, DENIED),
    ("another user who guesses the password", "ordinary", "wrong", ASK, DENIED, DENIED),
]

GUARDED = {
    "AddPort": ["qs", FREE, "New"],
    "SetDescription": ["qs", WATCHED, "Changed"],
    "RemovePort": ["q", DOOMED],
    "ListConnections": ["q", WATCHED],
    "Flush": [],
}

OPEN = {
    "ListPorts": [],
    "GetStats": ["q", WATCHED],
    "GetRange": ["qstt", WATCHED, "server", 0, 1],
    "GetHistory": ["qstts", WATCHED, "client", 0, 1, "day"],
}

BEFORE = [(WATCHED, "Web"), (DOOMED, "")]
AFTER = [(WATCHED, "Changed"), (FREE, "New")]


def reset():
    with peer() as connection:
        outcome(connection, "RemovePort", "q", FREE)
        outcome(connection, "AddPort", "qs", WATCHED, "")
        outcome(connection, "AddPort", "qs", DOOMED, "")
        connection.call("SetDescription", "qs", WATCHED, "Web")
        equal(connection.call("ListPorts"), BEFORE, "the ports")


def ports():
    with peer() as connection:
        return connection.call("ListPorts")


def check(user, password, transport, interactive, wanted):
    def call():
        with Agent(password) if password else contextlib.nullcontext(), \
                Connection(*TRANSPORTS[transport]) as connection:
            return {method: outcome(connection, method, *arguments, interactive=interactive)
                    for method, arguments in {**GUARDED, **OPEN}.items()}

    reset()
    equal(as_user(user, call), {**dict.fromkeys(GUARDED, wanted), **dict.fromkeys(OPEN, ALLOWED)}, "what comes of it")
    equal(ports(), AFTER if wanted is ALLOWED else BEFORE, "the ports after it")


def make_table():
    for who, user, password, on_bus, if_interactive, on_socket in CALLERS:
        for transport, interactive, wanted in (("bus", False, on_bus), ("bus", True, if_interactive),
                                               ("socket", False, on_socket), ("socket", True, on_socket)):
            def row(user=user, password=password, transport=transport, interactive=interactive, wanted=wanted):
                check(user, password, transport, interactive, wanted)
            row.__doc__ = f"{who} on the {transport}{', interactive' * interactive}: {wanted or 'allowed'}"
            test(row)


make_table()


@contextlib.contextmanager
def session(user, seat):
    """Somebody logs in, at a seat or from afar; gives the cgroup of what they run."""
    with subprocess.Popen(["runuser", "--login", "--shell=/bin/sh", user, "--command",
                           "echo $XDG_SESSION_ID; read end"],
                          env={**os.environ, "XDG_SEAT": seat}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as login:
        scope = f"session-{login.stdout.readline().strip()}.scope"
        yield pathlib.Path("/sys/fs/cgroup" + show("ControlGroup", scope))


def make_sessions():
    for where, seat, wanted in ("at the machine", "seat0", ALLOWED), ("from afar", "", ASK):
        def row(seat=seat, wanted=wanted):
            def call():
                with bus() as connection:
                    return {method: outcome(connection, method, *arguments) for method, arguments in GUARDED.items()}

            reset()
            with session("ordinary", seat) as cgroup:
                equal(as_user("ordinary", call, cgroup=cgroup),
                      {**dict.fromkeys(GUARDED, ASK), "ListConnections": wanted, "Flush": wanted}, "what comes of it")
        row.__doc__ = f"another user, logged in {where}, may flush and see connections: {wanted or 'allowed'}"
        test(row)


make_sessions()


# ---- when polkit does not answer ----


@test
def no_polkit():
    """Where polkit can't run only root may write, and others are told why"""
    def call():
        with bus() as connection:
            try:
                connection.call("AddPort", "qs", FREE, "", interactive=True)
            except Error as error:
                return error.args

    reset()
    systemctl("mask", "--runtime", "--now", POLKIT)
    try:
        for user in "ordinary", "member":
            equal(as_user(user, call), (DENIED, "polkit is not running, so only root may do this"), f"error of {user}")
        equal(ports(), BEFORE, "the ports")
        for user in "root", "portmon":
            equal(as_user(user, call), None, f"error of {user}")
            reset()
    finally:
        systemctl("unmask", "--runtime", POLKIT)
    equal(as_user("member", call), None, "error of a member, now that polkit can start again")


@test
def polkit_hangs():
    """While polkit does not answer its callers wait, and all others are served"""
    reset()
    with bus() as root, peer() as neighbour:
        with stopped_polkit(), connection_of("ordinary", "bus") as waiting:
            serial = waiting.send("AddPort", "qs", FREE, "")
            equal(waiting.call("ListPorts"), BEFORE, "what is read meanwhile by the same caller")
            true(not waiting.has_answer(serial), "the first call still waits")
            for other in root, neighbour:
                other.call("SetDescription", "qs", WATCHED, "Meanwhile")
                other.call("SetDescription", "qs", WATCHED, "Web")
        equal(ports(), BEFORE, "the ports")


@test
def polkit_dies():
    """If polkit dies while it is asked, the caller gets an error and nothing changes"""
    reset()
    with connection_of("ordinary", "bus") as caller, stopped_polkit() as process:
        serial = caller.send("AddPort", "qs", FREE, "")
        caller.call("ListPorts")  # so the first call is with polkit now
        os.kill(process, signal.SIGKILL)
        try:
            caller.answer(serial)
        except Error as error:
            true(error.name in ("Timeout", DENIED), f"a fitting error: {error}")
        else:
            raise Failure("the call did not fail")
    eventually(lambda: is_active(POLKIT) == "failed", "systemd knows")
    equal(ports(), BEFORE, "the ports")


@test
def bus_restarts():
    """If the bus is restarted while polkit is asked, the question is dropped, and the next caller's is asked"""
    def call():
        with bus() as connection:
            return outcome(connection, "AddPort", "qs", FREE, "")

    reset()
    with same_process():
        with connection_of("ordinary", "bus") as caller, stopped_polkit():
            caller.send("AddPort", "qs", FREE, "")
            caller.call("ListPorts")
            systemctl("restart", "dbus.service")
        equal(ports(), BEFORE, "the ports")
        equal(as_user("member", call), ALLOWED, "what comes of the next call")


# ---- callers who leave ----


def watch_polkit():
    """A connection that sees what polkit and its agents are asked."""
    monitor = bus()
    rules = [f"interface='org.freedesktop.PolicyKit1.{name}'" for name in ("Authority", "AuthenticationAgent")]
    monitor.call("BecomeMonitor", "asu", rules, 0, interface="org.freedesktop.DBus.Monitoring", path=BUS_PATH,
                 destination=BUS_NAME)
    return monitor


def next_call(monitor, member):
    while (message := monitor.receive()).get_member() != member:
        pass
    return message.get_body().unpack()


@test
def questions_are_cancelled():
    """Callers who leave before polkit has answered: their questions are cancelled, and cost nothing"""
    def come_and_go():
        with connection_of("ordinary", "bus") as caller:
            caller.send("AddPort", "qs", FREE, "", interactive=True)
            *_, asked = next_call(monitor, "CheckAuthorization")
        equal(next_call(monitor, "CancelCheckAuthorization"), (asked,), "what is cancelled")

    def forty_come_and_go():
        # The bus lets 128 questions of a service wait; polkit will have answered these to nobody.
        with stopped_polkit():
            for _ in range(40):
                come_and_go()
        with connection_of("ordinary", "bus") as caller:
            outcome(caller, "AddPort", "qs", FREE, "")
            next_call(monitor, "CheckAuthorization")

    reset()
    with same_process() as process, watch_polkit() as monitor:
        forty_come_and_go()
        memory, files = memory_kib(process), open_files(process)
        for _ in range(5):
            forty_come_and_go()
        equal(open_files(process), files, "open files")
        true(SANITIZED or memory_kib(process) < memory + GROWTH_KIB, f"{memory_kib(process)} KiB is about {memory} KiB")


@test
def dialogues_end():
    """A caller who leaves while a password is asked for: polkit takes the question back"""
    def call():
        with Agent(None) as agent:
            with bus() as caller:
                caller.send("AddPort", "qs", FREE, "", interactive=True)
                true(agent.asked.wait(PATIENCE_SEC), "a password is asked for")
            next_call(monitor, "CancelAuthentication")

    reset()
    with watch_polkit() as monitor:
        as_user("ordinary", call)


run()
