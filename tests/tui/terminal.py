# SPDX-License-Identifier: MIT
"""A terminal that a dashboard runs in: tmux, with a server of its own.

One looks at the screen as a user does, and waits until it shows what it should; nothing here knows
how long that takes.
"""

import contextlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unicodedata

from harness import (PORTMON, PATIENCE_SEC, Failure, equal, eventually, move, need_root_and_bpf,
                     sh, skip, test, true)

_numbers = itertools.count(1)
_ports = itertools.count(19420)


def need_tmux():
    need_root_and_bpf()
    if not shutil.which("tmux"):
        skip("needs tmux")
    os.environ["TZ"] = "UTC"  # of portmond too: its days are those that are shown


def slow_test(function):
    """A test that mostly waits: neighbours run together, so each takes ports of its own."""
    return test(function, together=True)


def own_port():
    """A port that no other test uses."""
    return next(_ports)


def columns_of(text):
    """Terminal columns that a text takes."""
    return sum(0 if unicodedata.combining(c) or c == "\u200b" else
               2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def amount(number, suffix=""):
    """A figure as portmon writes it for people."""
    value, unit = float(number), 0
    while value >= 1024 - (0.005 if unit else 0) and unit < 6:
        value /= 1024
        unit += 1
    return f"{value:.{2 if unit else 0}f} {['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'][unit]}{suffix}"


class Terminal:
    """A terminal that runs a command. Use it with `with`."""

    def __init__(self, command, columns=100, rows=30, environment=None):
        self.name = f"portmon-test-{os.getpid()}-{next(_numbers)}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="portmon-tui-"))
        self.directory.chmod(0o777)
        self.status_file = self.directory / "status"
        self.size = columns, rows
        # Here the sanitizers can tell what they found, which they can't on the screen.
        asan = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {
            "TERM": "tmux-256color", "LANG": "C.UTF-8", "LC_ALL": "", "NO_COLOR": "", "TZ": "UTC",
            "ASAN_OPTIONS": f"{asan}:log_path={self.directory}/sanitizer:quarantine_size_mb=1",
            "UBSAN_OPTIONS": f"log_path={self.directory}/sanitizer:print_stacktrace=1",
            "LSAN_OPTIONS": "use_tls=1", **(environment or {})}
        self.command = [str(word) for word in command]

    def tmux(self, *arguments, check=True):
        return sh("tmux", "-L", self.name, "-u", "-f", "/dev/null", *map(str, arguments), check=check)

    def __enter__(self):
        columns, rows = self.size
        words = " ".join(f"'{word}'" for word in self.command)
        script = (f"stty -g >{self.directory}/before; {words}; echo $? >{self.status_file}.new; "
                  f"stty -g >{self.directory}/after; mv {self.status_file}.new {self.status_file}; "
                  f"exec sleep 1000")
        settings = [f"{key}={value}" for key, value in self.environment.items()]
        self.tmux("new-session", "-d", "-x", columns, "-y", rows, "env", *settings, "sh", "-c", script)
        self.shell = int(self.tmux("display", "-p", "#{pane_pid}"))
        return self

    def __exit__(self, kind, *_):
        self.tmux("kill-server", check=False)
        reports = "\n".join(p.read_text(errors="replace") for p in self.directory.glob("sanitizer*"))
        shutil.rmtree(self.directory, ignore_errors=True)
        if reports:
            raise Failure(reports)

    # ---- looking ----

    def lines(self, *options):
        return self.tmux("capture-pane", "-p", *options).split("\n")[:self.size[1]]

    def text(self):
        return "\n".join(self.lines())

    def shows(self, *texts):
        """Waits until the screen shows all of these; returns its lines."""
        def there():
            lines = self.lines()
            return lines if all(text in "\n".join(lines) for text in texts) else None
        return self.wait(there, f"the screen shows {texts}")

    def lacks(self, *texts):
        """Waits until the screen shows none of these."""
        self.wait(lambda: not any(text in self.text() for text in texts), f"the screen lacks {texts}")

    def wait(self, condition, what):
        try:
            return eventually(condition, what)
        except Failure as failure:
            raise Failure("\n# ".join([str(failure), *self.lines()])) from None

    def line(self, beginning):
        """The line that begins so, but for blanks and the pointer; waits for it."""
        def there():
            return next((line for line in self.lines() if line.lstrip(" ▸>").startswith(beginning)), None)
        return self.wait(there, f"a line begins with {beginning!r}")

    # ---- doing ----

    def keys(self, *keys):
        self.tmux("send-keys", "--", *keys)

    @contextlib.contextmanager
    def fast_keys(self):
        """A function that presses keys, with a tmux that stays instead of one for each of them."""
        client = subprocess.Popen(["tmux", "-L", self.name, "-C", "attach", "-f", "ignore-size,no-output"],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

        def press(*keys):
            print("send-keys --", *keys, file=client.stdin, flush=True)
        try:
            yield press
        finally:
            client.stdin.close()
            client.wait(PATIENCE_SEC)

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def resize(self, columns, rows):
        self.size = columns, rows
        self.tmux("resize-window", "-x", columns, "-y", rows)

    # ---- the process ----

    def pid(self):
        """The process of the command, or of what it became."""
        def child():
            children = pathlib.Path(f"/proc/{self.shell}/task/{self.shell}/children").read_text().split()
            return int(children[0]) if children else None
        return self.wait(child, "the command runs")

    def signal(self, number):
        os.kill(self.pid(), number)

    def ends(self, status):
        """Waits for the end of the command, which must leave the terminal as it found it."""
        self.wait(self.status_file.exists, "the command ends")
        equal(int(self.status_file.read_text()), status, "exit status")
        equal((self.directory / "after").read_text(), (self.directory / "before").read_text(),
              "the terminal's modes")
        equal(self.tmux("display", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}").split(),
              ["0", "1", "0"], "alternate screen, cursor and mouse")


class Dashboard(Terminal):
    """portmon tui on a daemon, from the first frame that has figures on."""

    def __init__(self, daemon, *arguments, user=None, wait=True, target=None, **options):
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        where = ["--socket", daemon.socket] if target is None else target
        super().__init__([*become, PORTMON, *where, "tui", *arguments], **options)
        self.daemon = daemon
        self.waits = wait

    def __enter__(self):
        super().__enter__()
        if self.waits:
            self.shows("quit")
            self.lacks("Asking portmond")
        return self

    def port(self, port):
        """The line of a port in the list."""
        return self.line(str(port))

    def selected(self):
        """The number of the port that the list points to."""
        return next((int(match[1]) for match in (re.match(r"[▸>] *(\d+)", line) for line in self.lines())
                     if match), None)

    def selects(self, port):
        self.wait(lambda: self.selected() == port, f"port {port} is selected")

    def summary(self):
        """What stands at the left of the days, as one line: the places of words are of no account."""
        lines = self.lines()
        first = next((i for i, line in enumerate(lines) if "RECEIVED" in line and "TOTAL" in line), len(lines))
        last = next((i for i, line in enumerate(lines[first:], first) if line.startswith("──")), len(lines))
        return " ".join(word for line in lines[first:last] for word in line[:50].split())

    def finds_portmond(self):
        """Waits until the header does not say that portmond is lost."""
        self.wait(lambda: " lost " not in self.lines()[0], "portmond is found again")

    def listed(self):
        """The numbers of the ports in the list, from top to bottom."""
        numbers = []
        for line in self.lines()[2:]:
            match = re.match(r"[▸> ] *(\d+)( |$)", line)
            if not match:
                break
            numbers.append(int(match[1]))
        return numbers

    def lists(self, *ports):
        self.wait(lambda: self.listed() == list(ports), f"the list is {ports}")


class Traffic:
    """Connections to a port of this host that stay open and carry what they are told to."""

    def __init__(self, port, connections=1, family=socket.AF_INET):
        self.port, self.number, self.family = port, connections, family

    def __enter__(self):
        host = "127.0.0.1" if self.family == socket.AF_INET else "::1"
        self.listener = socket.create_server((host, self.port), family=self.family)
        self.clients, self.servers = [], []
        for _ in range(self.number):
            self.clients.append(socket.create_connection((host, self.port)))
            self.servers.append(self.listener.accept()[0])
        return self

    def __exit__(self, *_):
        for connection in [*self.clients, *self.servers, self.listener]:
            connection.close()

    def carry(self, up, down):
        """Moves bytes to the server and back on the first connection."""
        move(self.clients[0], self.servers[0], up)
        move(self.servers[0], self.clients[0], down)

    def steadily(self, up, down):
        """Carries that ten times a second until the block ends."""
        return Steadily(self, up, down)


class Steadily:
    def __init__(self, traffic, up, down):
        self.traffic, self.amounts, self.end = traffic, (up, down), threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.end.wait(0.1):
            self.traffic.carry(*self.amounts)

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
