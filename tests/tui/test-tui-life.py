#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The life of the dashboard: sizes, signals, kinds of terminals, and a portmond that is not there."""

import itertools
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "lib"), str(pathlib.Path(__file__).parent)]
from bus import *
from harness import *
from terminal import *

need_tmux()

PORT, SECOND = 19411, 19412

SECONDS_OF_AN_HOUR = 3600
PARTS = 8

# What a part may add to memory: what malloc rounds to, no more.
MAX_GROWTH_KIB = 16

# malloc keeps nothing that is free, so that memory tells what is in use.
GIVING_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "4096"}

# Figures, connections, range, history and gaps are asked for; the next second is waited for.
SLEEPS_OF_AN_UPDATE = 6


def same_but_for_time(lines):
    """Lines without what changes by itself."""
    text = "\n".join(lines)
    text = re.sub(r"up \w+( \w+)?", "up", text)
    text = re.sub(r"of \d+ ", "of N ", text)
    return re.sub(r"\d\d:\d\d:\d\d|[-─┬]|min|\d+ ?B/s", "", text).split()


# ---- sizes ----


@test
def sizes():
    """At each size all that has room is there, and no line is longer than the terminal"""
    panels = {"ports": "PORT", "graph": f"{PORT} ", "summary": "RECEIVED", "days": "days",
              "connections": "connection"}
    with Daemon(PORT, SECOND) as daemon, Traffic(PORT):
        for columns, rows, wanted in ((80, 24, panels), (200, 60, panels), (300, 100, panels),
                                      (100, 30, panels), (60, 24, panels),
                                      (40, 10, ["ports", "graph"]), (200, 10, ["ports", "graph"]),
                                      (40, 100, panels)):
            with Dashboard(daemon, columns=columns, rows=rows) as screen:
                screen.shows("q quit", *(panels[name] for name in wanted))
                lines = screen.lines()
                equal(len(lines), rows, f"lines at {columns}x{rows}")
                true(max(map(columns_of, lines)) <= columns, f"width at {columns}x{rows}")
                true(lines[-1].lstrip().startswith("q quit"), f"keys in the last line at {columns}x{rows}")


@test
def too_small():
    """Below 40x10 one line says so, and it comes back when there is room"""
    with Daemon(PORT) as daemon, Dashboard(daemon) as screen:
        for columns, rows in (39, 9), (39, 50), (200, 9), (27, 1), (5, 2):
            screen.resize(columns, rows)
            wanted = "Too small: 40x10 is needed"
            if columns < len(wanted):
                wanted = wanted[:columns - 1] + "…"
            screen.wait(lambda: screen.text().strip() == wanted, f"{wanted!r} at {columns}x{rows}")
        screen.resize(100, 30)
        screen.shows("PORT", "this month", "q quit")


@test
def resizes():
    """Whatever sizes it went through, the screen is that of a dashboard that began at the size"""
    with Daemon(PORT, SECOND) as daemon, Dashboard(daemon) as screen:
        for columns, rows in (80, 24), (40, 10), (300, 100), (39, 9), (200, 60), (41, 50), (120, 11):
            screen.resize(columns, rows)
            with Dashboard(daemon, columns=columns, rows=rows, wait=False) as fresh:
                fresh.wait(lambda: same_but_for_time(fresh.lines()) == same_but_for_time(screen.lines()),
                           f"the same screen at {columns}x{rows} as\n{screen.text()}\n")


@test
def resizes_in_a_prompt():
    """A prompt and the help live through a resize"""
    with Daemon(PORT) as daemon, Dashboard(daemon) as screen:
        screen.keys("a")
        screen.type("123")
        screen.resize(50, 12)
        screen.shows("Port to add: 123")
        screen.resize(39, 9)
        screen.shows("Too small")
        screen.resize(90, 20)
        screen.shows("Port to add: 123")
        screen.keys("Escape", "d")
        screen.shows("billing cycle")
        screen.resize(40, 10)
        screen.shows("billing cycle")


# ---- signals ----


@test
def ends_by_signals():
    """SIGTERM, SIGHUP and SIGINT end it as they end others, with the terminal as it was"""
    with Daemon(PORT) as daemon:
        for number in signal.SIGTERM, signal.SIGHUP, signal.SIGINT:
            with Dashboard(daemon) as screen:
                screen.signal(number)
                screen.ends(128 + number)


@test
def control_c():
    """Ctrl-C ends it"""
    with Daemon(PORT) as daemon:
        # A shell that reads its own commands does not end with them.
        with Terminal(["bash", "--norc", "--noprofile", "-i"]) as screen:
            screen.type(f"{PORTMON} --socket {daemon.socket} tui; echo \"status $?\"\n")
            screen.shows("q quit")
            screen.keys("C-c")
            screen.lacks("q quit")
            screen.type("echo 'still'' here'\n")
            screen.shows("still here")


@test
def closed_terminal():
    """When its terminal is closed, it ends"""
    with Daemon(PORT) as daemon, Dashboard(daemon) as screen:
        pid = screen.pid()
        true(pathlib.Path(f"/proc/{pid}").exists(), "it runs")
        screen.tmux("kill-pane", check=False)
        eventually(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "it ends")
        screen.tmux = lambda *arguments, check=True: ""


@test
def closed_terminal_that_is_ignored():
    """It ends even if it does not hear of SIGHUP"""
    with Daemon(PORT) as daemon:
        with Terminal(["sh", "-c", f'trap "" HUP; exec {PORTMON} --socket {daemon.socket} tui']) as screen:
            screen.shows("q quit")
            pid = screen.pid()
            screen.tmux("kill-pane", check=False)
            eventually(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "it ends")
            screen.tmux = lambda *arguments, check=True: ""


@test
def stops_and_goes_on():
    """Ctrl-Z gives the terminal back to the shell, fg takes it again; as does a stop by others"""
    with Daemon(PORT) as daemon, Terminal(["bash", "--norc", "--noprofile", "-i"]) as screen:
        screen.type("before=$(stty -g)\n")
        screen.type(f"{PORTMON} --socket {daemon.socket} tui\n")
        screen.shows("q quit", "PORT")
        for _ in range(3):
            screen.keys("C-z")
            screen.shows("Stopped")
            screen.lacks("q quit")
            screen.type('clear; [ "$before" = "$(stty -g)" ] && echo sa""ne\n')
            screen.shows("sane")
            screen.resize(90, 25)
            screen.type("fg\n")
            screen.shows("q quit", "PORT", "this month")
            screen.resize(100, 30)
            screen.wait(lambda: screen.lines()[29].lstrip().startswith("q quit"), "the new size")
        pid = int(sh("pgrep", "-f", f"{daemon.socket} tui"))
        os.kill(pid, signal.SIGSTOP)
        screen.shows("Stopped")
        os.kill(pid, signal.SIGCONT)
        screen.type("fg\n")
        screen.shows("q quit", "PORT", "this month")
        screen.keys("q")
        screen.lacks("q quit")
        screen.type('clear; [ "$before" = "$(stty -g)" ] && echo sa""ne\n')
        screen.shows("sane")


@test
def paints_anew():
    """Ctrl-L repairs a screen that others wrote to"""
    with Daemon(PORT) as daemon, Dashboard(daemon, "-n", 60) as screen:
        screen.shows("this month")
        tty = screen.tmux("display", "-p", "#{pane_tty}").strip()
        pathlib.Path(tty).write_text("\033[10;1Hrubbish from others")
        screen.shows("rubbish")
        screen.keys("C-l")
        screen.lacks("rubbish")
        screen.shows("this month", "q quit")


# ---- terminals ----


@test
def no_terminal():
    """Without a terminal, or with one that can't, it says so in one line: exit status 1"""
    with Daemon(PORT) as daemon:
        command = [PORTMON, "--socket", daemon.socket, "tui"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE_SEC)
        equal((done.returncode, done.stdout), (1, ""), "status and output")
        equal(len(done.stderr.strip().splitlines()), 1, f"lines of {done.stderr!r}")
        true("terminal" in done.stderr, f"{done.stderr!r} tells")
        for kind in "dumb", "no-such-terminal", "":
            with Terminal(command, environment={"TERM": kind}) as screen:
                screen.ends(1)
                screen.shows("portmon: ", "terminal")


@test
def wrong_usage():
    """What makes no sense: exit status 2"""
    with Daemon(PORT) as daemon:
        for arguments in (["-p", "0"], ["-p", "80abc"], ["-n", "61"], ["-n", "0"], ["extra"],
                          ["--today"], ["--json"]):
            with Terminal([PORTMON, "--socket", daemon.socket, "tui", *arguments]) as screen:
                screen.ends(2)


@test
def nobody_there():
    """Without a portmond it says so before it takes the terminal: exit status 1"""
    with Terminal([PORTMON, "--socket", "/tmp/portmon-never", "tui"]) as screen:
        screen.ends(1)
        screen.shows("Cannot reach portmond on /tmp/portmon-never")


COLORS = re.compile(r"\033\[[\d;]*\b(3[0-7]|38;|9[0-7]|4[0-7]|48;)")


@test
def colors():
    """Colours are there, and never a background; NO_COLOR and monochrome terminals do without"""
    with Daemon(PORT) as daemon, Traffic(PORT) as traffic, traffic.steadily(1000, 1000):
        for environment, colored in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "vt100"}, False),
                                     ({"TERM": "xterm-mono"}, False), ({"TERM": "linux"}, True)):
            with Dashboard(daemon, environment=environment) as screen:
                screen.wait(lambda: "KiB/s" in screen.port(PORT), "traffic")
                painted = "\n".join(screen.lines("-e"))
                equal(bool(COLORS.search(painted)), colored, f"colours with {environment}")
                true(not re.search(r"\033\[[\d;]*\b(4[0-7]|48;)", painted), "no background")
                true("\033[7m" in painted or "\033[0;7m" in painted, "the selected row is reverse")


@slow_test
def plain_locale():
    """Without UTF-8 all is ASCII, and what can't be shown is a question mark"""
    port = own_port()
    with Daemon(port) as daemon, Traffic(port) as traffic, traffic.steadily(20_000, 20_000):
        daemon.portmon("describe-port", port, "Bücher 日本")
        with Dashboard(daemon, environment={"LANG": "C"}) as one, \
                Dashboard(daemon, environment={"LC_ALL": "POSIX"}) as another:
            for screen in one, another:
                screen.wait(lambda: "B?cher ??" in screen.port(port), "the description")
                screen.wait(lambda: re.search(r"[.:|]{2}", screen.port(port)), "the minute")
                screen.wait(lambda: sum("|||" in line for line in screen.lines()) > 1, "the graph")
                screen.shows("#", "-- ", "PORT^")
                true(screen.text().isascii(), "all is ASCII")


@slow_test
def writes_what_changes():
    """Once it is there, the screen is never cleared, and little is written while nothing happens"""
    port = own_port()
    with Daemon(port) as daemon, Dashboard(daemon) as screen:
        screen.shows("this month", "None is open", "RECEIVED")
        log = screen.directory / "written"
        screen.tmux("pipe-pane", f"cat >{log}")
        clock = [screen.lines()[0]]

        def ticks():
            if screen.lines()[0] != clock[-1]:
                clock.append(screen.lines()[0])
            return len(clock) > 6
        screen.wait(ticks, "the clock goes")
        written = log.read_bytes()
        true(b"\033[2J" not in written and b"\033[J" not in written, "nothing clears the screen")
        true(0 < len(written) < 150 * len(clock), f"{len(written)} bytes in {len(clock)} seconds")


# ---- portmond goes and comes ----


@slow_test
def daemon_killed():
    """A portmond that is killed is said to be lost; when it comes back, so do the figures"""
    port, second = own_port(), own_port()
    with Daemon(port, second) as daemon, Traffic(port, 2) as traffic, Dashboard(daemon) as screen:
        traffic.carry(1000, 1000)
        screen.wait(lambda: screen.port(port).split()[-1] == "2", "figures")
        for number in signal.SIGKILL, signal.SIGTERM:
            screen.keys("n")
            screen.selects(second)
            daemon.stop(number)
            screen.shows("lost", "trying again")
            screen.keys("N")  # the keys work meanwhile
            screen.selects(port)
            screen.keys("x", "y")
            screen.shows("portmond is away")
            daemon.start()
            screen.finds_portmond()
            screen.wait(lambda: amount(sum(daemon.stats(port)[f"today_{d}_bytes"] for d in ("rx", "tx")))
                        in screen.port(port), "the figures")
            screen.shows("up ", "RECEIVED")
        screen.keys("q")
        screen.ends(0)


@slow_test
def daemon_hangs():
    """While portmond does not answer, all keys work, and q ends it at once"""
    port, second = own_port(), own_port()
    with Daemon(port, second) as daemon, Dashboard(daemon) as screen:
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            screen.shows("no answer for")
            screen.keys("n")
            screen.selects(second)
            screen.keys("d", "7")
            screen.shows("last 7 days")
            screen.keys("?")
            screen.shows("Refresh now")
            screen.keys("?", "/")
            screen.type(str(port))
            screen.shows(f"Only ports with: {port}")
            screen.keys("Escape", "r", "q")
            screen.ends(0)
        finally:
            daemon.process.send_signal(signal.SIGCONT)


@slow_test
def daemon_hangs_and_goes_on():
    """When portmond answers again, so does the dashboard"""
    port = own_port()
    with Daemon(port) as daemon, Traffic(port) as traffic, Dashboard(daemon) as screen:
        daemon.process.send_signal(signal.SIGSTOP)
        screen.shows("no answer for")
        daemon.process.send_signal(signal.SIGCONT)
        screen.lacks("no answer for")
        traffic.carry(1000, 99)
        screen.wait(lambda: "1.07 KiB" in screen.port(port), "new figures")


@contextlib.contextmanager
def bus_with_portmond(directory, *ports):
    """A bus of our own with a portmond on it, and a bus that would start it if it were asked to."""
    services = directory / "services"
    services.mkdir()
    started = directory / "started"
    helper = directory / "helper"
    helper.write_text(f"#!/bin/sh\ntouch {started}\nexit 1\n")
    helper.chmod(0o755)
    (services / "org.portmon.Monitor1.service").write_text(
        f"[D-BUS Service]\nName=org.portmon.Monitor1\nExec={helper}\n")
    with private_bus(directory), Daemon(*ports, directory=directory, environment=environment(directory)) as daemon:
        daemon.address = environment(directory)
        daemon.was_started_by_bus = started.exists
        yield daemon


def on_the_bus(function):
    """Gives a test a portmond on a bus of its own, and a directory."""
    def wrapped():
        with tempfile.TemporaryDirectory(prefix="portmon-test-") as name:
            directory = pathlib.Path(name)
            directory.chmod(0o755)
            with bus_with_portmond(directory, own_port(), own_port()) as daemon:
                function(daemon, directory)
    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    return slow_test(wrapped)


@on_the_bus
def over_the_bus(daemon, directory):
    """Over the bus it works as over the socket, and does not start what was stopped"""
    with Dashboard(daemon, target=[], environment=daemon.address) as screen:
        screen.shows(" bus ", "this month", "RECEIVED")
        daemon.stop()
        # By then it has tried to get it back.
        screen.wait(lambda: re.search(r" lost ([4-9]|\d\d)s ago", screen.lines()[0]), "lost for long")
        true(not daemon.was_started_by_bus(), "nobody asked the bus to start it")
        daemon.start()
        screen.finds_portmond()
        screen.shows(" bus ")


SSH = """#!/bin/sh
# Stands in for ssh: what it was told and may ask goes to a file, the rest to our own bus.
echo "$$ $SSH_ASKPASS_REQUIRE $*" >>{directory}/ssh
echo "a word of ssh's on standard error" >&2
exec systemd-stdio-bridge --bus-path=unix:path={directory}/bus
"""


@on_the_bus
def over_ssh(daemon, directory):
    """A link that hangs or breaks never holds up the keys, and is made again without asking"""
    if not shutil.which("systemd-stdio-bridge"):
        raise Unavailable("needs systemd-stdio-bridge")
    (directory / "bin").mkdir()
    (directory / "bin/ssh").write_text(SSH.format(directory=directory))
    (directory / "bin/ssh").chmod(0o755)
    path = {"PATH": f"{directory}/bin:{os.environ['PATH']}"}

    def links():
        return [line.split() for line in (directory / "ssh").read_text().splitlines()]
    with Dashboard(daemon, target=["-H", "me@far"], environment=path) as screen:
        lines = screen.shows("me@far", " ssh ", "this month", "RECEIVED")
        os.kill(int(links()[-1][0]), signal.SIGSTOP)
        screen.shows("no answer for")
        screen.keys("n")
        screen.selects(daemon.ports[1])
        os.kill(int(links()[-1][0]), signal.SIGCONT)
        screen.lacks("no answer for")
        screen.shows(f"{daemon.ports[1]}, this month", "RECEIVED")
        os.kill(int(links()[-1][0]), signal.SIGKILL)
        screen.shows(" lost ")
        screen.finds_portmond()
        equal(len(links()), 2, "times that ssh was called")
        equal(links()[1][1], "force", "where ssh may ask")
        true("standard error" not in "\n".join(screen.lines()), "ssh does not write to the screen")
        screen.keys("q")
        screen.ends(0)


# ---- long ----


class Feed:
    """The thread of a dashboard that fetches, and what the process holds."""

    def __init__(self, pid):
        self.pid = pid
        thread = max(map(int, os.listdir(f"/proc/{pid}/task")))
        self.status = pathlib.Path(f"/proc/{pid}/task/{thread}/status")

    def sleeps(self):
        """How often it has slept, which it does once in each call and once after the last one."""
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", self.status.read_text(), re.MULTILINE)[1])

    def held(self):
        """Resident memory of the process in KiB, and the number of descriptors."""
        return int(re.search(r"VmRSS:\s+(\d+)", self.status.read_text())[1]), len(os.listdir(f"/proc/{self.pid}/fd"))

    def is_sanitized(self):
        """Whether a sanitizer keeps what was freed; it finds leaks itself."""
        return "/libasan" in pathlib.Path(f"/proc/{self.pid}/maps").read_text()


@slow_test
def an_hour():
    """An hour's updates, resizes, ports that come and go, and changes of range cost no memory"""
    port, second, third = own_port(), own_port(), own_port()
    with Daemon(port, second) as daemon, Traffic(port, 5) as traffic, \
            Dashboard(daemon, environment=GIVING_BACK) as screen, screen.fast_keys() as press:
        feed = Feed(screen.pid())

        def part():
            end = feed.sleeps() + SECONDS_OF_AN_HOUR // PARTS * SLEEPS_OF_AN_UPDATE
            for number in itertools.count():
                press("r")
                time.sleep(0.001)
                if number % 10 == 0:
                    press("n", "d", "7", "N", "d", "t", "s", "Tab", "?", "?")
                    screen.resize(60 + number * 37 % 200, 10 + number * 13 % 80)
                    traffic.carry(1000, 1000)
                if number % 100 == 0:
                    daemon.portmon("add-port", third, "x" * (number % 200))
                    daemon.portmon("remove-port", third)
                    if feed.sleeps() > end:
                        break
            # What was made for a large screen goes, and then what was made in its shadow.
            for columns, rows in (40, 10), (100, 30):
                screen.resize(columns, rows)
                screen.wait(lambda: screen.lines()[-1].lstrip().startswith("q quit"), "the keys are in the last line")
                press("r")
                time.sleep(0.1)
            return feed.held()
        memory, descriptors = zip(*(part() for _ in range(PARTS)))
        equal(set(descriptors), {descriptors[0]}, "descriptors")
        # What stays is made at some time, once; what leaks does so in every part.
        growth = statistics.median(after - before for before, after in zip(memory, memory[1:]))
        true(growth <= MAX_GROWTH_KIB or feed.is_sanitized(), f"no growth ({memory} KiB)")
        screen.wait(lambda: amount(sum(daemon.stats(port)[f"today_{d}_bytes"] for d in ("rx", "tx")))
                    in screen.port(port), "the figures are right")
        screen.keys("q")
        screen.ends(0)


run()
