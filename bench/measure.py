# SPDX-License-Identifier: MIT
"""How to measure on a machine that others use too.

What is compared is measured in many short pairs, A and B in turn and in changing order, and the
figure is the median of the pairs' ratios: what disturbs the machine for longer than a pair disturbs
both of it. What needs no clock, such as how often a program ran, is counted.
"""

import contextlib
import json
import pathlib
import platform
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "lib"))
from harness import *  # noqa: E402,F403

LOAD = BUILD / "bench" / "load"
ASK = BUILD / "bench" / "ask"
PEERS = "vnstat", "nethogs", "iftop", "pmacct", "nftables"


# ---- figures with their spread ----


class Spread:
    """Of several values the median, and where the middle half of them is."""

    def __init__(self, values):
        self.values = sorted(values)
        self.median = statistics.median(self.values)
        low, _, high = statistics.quantiles(self.values, n=4) if len(self.values) > 1 else self.values * 3
        self.low, self.high = low, high

    def percentile(self, percent):
        return self.values[min(len(self.values) * percent // 100, len(self.values) - 1)]

    def text(self, unit="", scale=1, digits=3):
        low, median, high = (f"{value / scale:.{digits}f}" for value in (self.low, self.median, self.high))
        return f"{median}{unit} ({low} – {high})"


def pairs(n, *functions):
    """Calls functions in turn, in changing order, n times; returns what each returned, in pairs."""
    found = []
    for turn in range(n):
        order = list(enumerate(functions))
        if turn % 2:
            order.reverse()
        results = {which: function() for which, function in order}
        found.append([results[which] for which in range(len(functions))])
    return found


def ratio(pairs, key):
    """Of B to A."""
    return Spread(key(b) / key(a) for a, b in pairs)


# ---- what processes take ----


def cpu_sec(*pids):
    """Processor time of processes until now, all of their threads that there are, to the nanosecond."""
    return sum(int(thread.read_text().split()[0]) for pid in pids
               for thread in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def memory_kib(pid):
    """What smaps_rollup says of a process, and the highest resident size it ever had."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {name: int(kib) for name, kib in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {**found, "Peak": int(re.search(r"VmHWM:\s+(\d+)", status)[1])}


def system_calls(*command):
    """How many system calls a command makes."""
    with tempfile.NamedTemporaryFile("r") as trace:
        sh("strace", "-f", "-o", trace.name, *command)
        return sum(1 for line in trace if re.match(r"\d+ +\w+\(", line))


# ---- BPF ----


def programs_of(pid):
    """The ids of the BPF programs that a process holds or has attached."""
    found = set()
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found |= set(map(int, re.findall(r"^prog_id:\s+(\d+)", info.read_text(), re.M)))
    return found


class Programs(dict):
    """How often each BPF program of a process has run, and for how many ns, by name."""

    def __init__(self, ids):
        super().__init__()
        for program in json.loads(sh("bpftool", "-j", "prog", "show")):
            if program["id"] in ids:
                self[program["name"], program["id"]] = (program.get("run_cnt", 0), program.get("run_time_ns", 0))

    def since(self, before):
        """The same since then, of those that ran: (name, runs, ns), by name; twins together, and all that walk."""
        total = {}
        for key, (runs, nsec) in self.items():
            name = key[0].removeprefix("portmon_").rstrip("_12")
            if name.startswith("walk_"):
                name = "walk"
            old = total.get(name, (0, 0))
            total[name] = old[0] + runs - before[key][0], old[1] + nsec - before[key][1]
        return {name: of for name, of in sorted(total.items()) if of[0]}


class Attached:
    """The programs of an object of ours, attached. Use it with `with`."""

    def __init__(self, name):
        self.command = [BUILD / "bench" / "attach", BUILD / "bench" / f"{name}.bpf.o"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        equal(self.process.stdout.readline(), "attached\n", "what is said by what attaches programs")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def bpf_statistics():
    """Makes the kernel measure BPF programs meanwhile. Every run takes a few ns longer by it."""
    switch = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    try:
        yield
    finally:
        switch.write_text(before)


def maps_memory(pid):
    """Bytes that the BPF maps of a process take in the kernel."""
    found = {}
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        text = info.read_text()
        if "map_id" in text and "memlock" in text:
            found[re.search(r"map_id:\s+(\d+)", text)[1]] = int(re.search(r"memlock:\s+(\d+)", text)[1])
    return sum(found.values())


# ---- traffic ----

# Both ends on one processor take turns without waking up another one, which would be the largest
# and least steady cost of a short message. The others are for what watches. What else the machine does
# comes after them.
PINNED = "nice", "-n", "-20", "taskset", "-c", "0"


class Server:
    """The other end of loads. Use it with `with`; `enter` is the command that leads to its namespace."""

    def __init__(self, port, address="127.0.0.1", enter=()):
        self.port, self.address, self.enter = port, address, enter
        self.command = [*enter, *PINNED, LOAD, "serve", address, str(port)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        equal(self.process.stdout.readline(), "listening\n", "what the server says")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        # Where it had thousands of connections its children end after it.
        eventually(lambda: not sh(*self.enter, "ss", "-Hltn", f"sport = :{self.port}"), f"nobody listens on {self.port}")


class Load:
    """A client that is told when to go on. Use it with `with`."""

    def __init__(self, server, kind, amount, enter=()):
        self.command = [*enter, *PINNED, LOAD, kind, server.address, str(server.port), amount, "wait"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def _expect(self):
        self.line = self.process.stdout.readline()
        true(self.line, "the load goes on")

    def go_on(self):
        """Until it has come to the next stage, or to its end: then what it did is returned."""
        print(file=self.process.stdin, flush=True)
        self._expect()
        return json.loads(self.line) if self.line.startswith("{") else None


def play(server, kind, amount, enter=()):
    """Runs a load to its end. `rate` is in octets, messages or connections per second; `cost` in seconds
    of processor time, of both ends, for one of these."""
    before = cpu_sec(server.process.pid)
    done = json.loads(sh(*enter, *PINNED, LOAD, kind, server.address, str(server.port), amount))
    amount = done[{"bulk": "tx", "ping": "messages", "churn": "connections"}[kind]]
    done["rate"] = amount / done["sec"]
    done["cost"] = (done["cpu_sec"] + cpu_sec(server.process.pid) - before) / amount
    return done


def ask(daemon, question, times, *arguments):
    """What portmond takes to answer, in microseconds, each time."""
    return [int(line) for line in sh(ASK, daemon.socket, question, *map(str, (times, *arguments))).split()]


# ---- the report ----


class Report:
    """Sections of Markdown by title, shown as they come and kept. A benchmark is a function that gets one."""

    def __init__(self):
        self.sections = {}

    def add(self, *lines):
        self.sections[next(reversed(self.sections))].extend(lines)
        print(*lines, sep="\n", flush=True)

    def section(self, title, *paragraphs):
        self.sections[title] = []
        self.add(f"## {title}", "", *(line for text in paragraphs for line in (inspect.cleandoc(text), "")))

    def table(self, header, rows):
        self.add("| " + " | ".join(header) + " |", "|" + " --- |" * len(header))
        for row in rows:
            self.add("| " + " | ".join(str(cell) for cell in row) + " |")
        self.add("")

    def write(self, path, introduction):
        """Puts the sections into a file, in place of those of the same titles; what else it has stays."""
        sections = {}
        if path.exists():
            for text in re.split(r"^(?=## )", path.read_text(), flags=re.M)[1:]:
                sections[text.partition("\n")[0].removeprefix("## ")] = text
        sections |= {title: "\n".join(lines) for title, lines in self.sections.items()}
        path.write_text("\n\n".join(text.strip() for text in (introduction, *sections.values())) + "\n")


def machine():
    """Where this is measured, and of what."""
    cpu = re.search(r"model name\s+: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = sh("dpkg-query", "-W", "-f", "${Package} ${Version}, ", "libbpf1", "libsqlite3-0", "libsystemd0", *PEERS)
    return (f"{os.cpu_count()} × {cpu[1].strip() if cpu else platform.machine()}, {memory:.0f} GiB, "
            f"Linux {platform.release()}, {platform.freedesktop_os_release()['PRETTY_NAME']}. "
            f"{sh(PORTMON, '--version').splitlines()[0]}, {packages.rstrip(', ')}.")
