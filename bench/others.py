# SPDX-License-Identifier: MIT
"""What people use today, and the classical BPF design, on the same traffic."""

from measure import *
from service import Service

PORT = 19905
PAIRS = 4
WINDOW = "0.25"  # seconds
AMOUNTS = {"bulk": "x100000000", "ping": "x100000", "churn": "x5000"}
SETTLE_SEC = 2.2  # until all of them show what has come


class Monitor:
    """Something that watches PORT in namespace `a` while it is started."""

    title = what = None
    is_compared = True  # in speed
    processes = ()

    def __init__(self, enter):
        self.enter = enter
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="portmon-bench-"))

    def run(self, *command):
        """Starts it in the background, with its output in a file by the name of `output`."""
        self.output = self.directory / "output"
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen([*self.enter, *map(str, command)], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        true(self.process.poll() is None, f"{self.title} runs")
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.processes = [pid, *map(int, children)]

    def last(self, pattern):
        return (re.findall(pattern, self.output.read_text(errors="replace"), re.M) or [None])[-1]

    def start(self):
        """Begins to count."""

    def end(self, how=signal.SIGTERM):
        for pid in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        if self.processes:
            self.process.wait()
        self.processes = ()

    def counted(self):
        """Octets until now, both ways."""
        return None


class Nothing(Monitor):
    title = "nothing"


class Portmond(Monitor):
    title, what = "portmond by hand", "stream"
    kind = Daemon

    def __init__(self, enter):
        super().__init__(enter)
        self.daemon = self.kind(PORT, directory=self.directory)

    def start(self):
        self.daemon.start()
        self.process, self.processes = self.daemon.process, [self.daemon.process.pid]

    def counted(self):
        stats = self.daemon.stats(PORT)
        return stats["rx_bytes"] + stats["tx_bytes"]


class PortmondService(Portmond):
    title, kind = "portmond as a service", Service
    is_compared = False  # it is the same; what is kept for its next start would go on beside *nothing*

    def end(self, how=signal.SIGTERM):
        super().end(how)
        if how == signal.SIGTERM:
            self.daemon.forget()


class Nftables(Monitor):
    title, what = "nft counters", "packets"
    RULES = f"""table inet bench {{
        chain input {{ type filter hook input priority 0; tcp dport {PORT} counter; }}
        chain output {{ type filter hook output priority 0; tcp sport {PORT} counter; }}
    }}"""

    def start(self):
        if "bench" not in sh(*self.enter, "nft", "list", "tables"):
            sh(*self.enter, "nft", "-f", "-", input=self.RULES)

    def end(self, how=signal.SIGTERM):
        if how == signal.SIGTERM:  # there is no process to be killed
            sh(*self.enter, "nft", "delete", "table", "inet", "bench", check=False)

    def counted(self):
        return sum(map(int, re.findall(r"bytes (\d+)", sh(*self.enter, "nft", "list", "table", "inet", "bench"))))


class Nethogs(Monitor):
    title, what = "nethogs", "packets"

    def start(self):
        self.run("nethogs", "-t", "-v", "2", "-d", "1", "veth0")

    def counted(self):
        sent, received = self.last(r"load/\d+/\d+\t(\S+)\t(\S+)") or (0, 0)
        return float(sent) + float(received)


class Iftop(Monitor):
    title = "iftop"  # its text comes when it likes, so nobody can ask for its figures

    def start(self):
        self.run("stdbuf", "-oL", "iftop", "-t", "-n", "-N", "-B", "-i", "veth0", "-f", f"tcp port {PORT}")


class Pmacct(Monitor):
    title, what = "pmacct (memory)", "packets"

    def start(self):
        self.pipe = self.directory / "pipe"
        configuration = self.directory / "configuration"
        configuration.write_text(f"daemonize: false\npcap_interface: veth0\nplugins: memory\nimt_path: {self.pipe}\n"
                                 f"aggregate: src_port,dst_port\npcap_filter: tcp port {PORT}\n")
        self.run("pmacctd", "-f", configuration)

    def counted(self):
        found = sh("pmacct", "-s", "-p", self.pipe, "-O", "json").splitlines()
        return sum(json.loads(line)["bytes"] for line in found if line.startswith("{"))


class PerMessage(Monitor):
    title, what = "BPF per message", "stream"

    def start(self):
        self.run(BUILD / "bench" / "attach", BUILD / "bench" / "message.bpf.o")
        maps = [m for m in json.loads(sh("bpftool", "-j", "map", "show")) if m.get("name") == "messages"]
        self.map = str(max(m["id"] for m in maps))

    def counted(self):
        key = [str(byte) for byte in PORT.to_bytes(4, sys.byteorder)]
        found = json.loads(sh("bpftool", "-j", "map", "lookup", "id", self.map, "key", *key))
        return found["formatted"]["value"]["rx_bytes"] + found["formatted"]["value"]["tx_bytes"]


MONITORS = Nothing, Portmond, PortmondService, Nftables, PerMessage, Nethogs, Iftop, Pmacct


def compare_speed(monitor, traffic):
    """Ratios of throughput by kind, and the monitor's own processor time, of each second."""
    taken, elapsed = 0, 0

    def watched():
        nonlocal taken, elapsed
        monitor.start()
        before, start = cpu_sec(*monitor.processes), time.monotonic()
        found = {kind: traffic(kind, WINDOW) for kind in AMOUNTS}
        taken += cpu_sec(*monitor.processes) - before
        elapsed += time.monotonic() - start
        monitor.end()
        return found

    found = pairs(PAIRS, lambda: {kind: traffic(kind, WINDOW) for kind in AMOUNTS}, watched)
    return [ratio(found, lambda of: of[kind]["rate"]).text(digits=2) for kind in AMOUNTS] + \
        [f"{100 * taken / elapsed:.1f} %" if taken else "–"]


def compare_figures(monitor, traffic):
    """By how much what it counted is wrong, and what of it is there after kill -9 and a new start."""
    monitor.start()
    errors = []
    for kind, amount in AMOUNTS.items():
        before = monitor.counted()
        done = traffic(kind, amount)
        time.sleep(SETTLE_SEC)
        true_octets, counted = done["tx"] + done["rx"], monitor.counted() - before
        errors.append("0" if counted == true_octets else f"{100 * (counted / true_octets - 1):+.3g} %")
    before = monitor.counted()
    monitor.end(signal.SIGKILL)
    monitor.start()
    kept = monitor.counted() / before
    monitor.end()
    return [monitor.what, *errors, f"{100 * (1 - kept):.0f} %"]


@contextlib.contextmanager
def monitors():
    """Yields what makes traffic from one namespace to another, and the monitors where the server is."""
    with Namespaces() as namespaces:
        there, here = (("ip", "netns", "exec", name) for name in namespaces.names)
        namespaces.reuse_ports()
        found = [kind(there) for kind in MONITORS]
        try:
            with Server(PORT, "10.99.0.1", there) as server:
                yield lambda kind, amount: play(server, kind, amount, here), found
        finally:
            for monitor in found:
                monitor.end()
                shutil.rmtree(monitor.directory)


def speed(report):
    """What each of them costs."""
    report.section("Cost, beside what else there is", f"""
        From one network namespace to another; each monitor watches where the server is, and portmond and the BPF
        programs the whole machine. Throughput is the ratio to no monitor, the median of {PAIRS} pairs of {WINDOW} s.
        *Processor* is the part of one processor that the monitor's own processes take meanwhile, other than the
        traffic's; what counts in the kernel is in the ratios. The classical design, a program for each message, is on
        tracepoints that are cheaper than the kprobes it usually has.""")
    with monitors() as (traffic, found):
        report.table(["Monitor", "Octets", "1-octet messages", "Connections", "Processor"],
                     [[monitor.title, *compare_speed(monitor, traffic)] for monitor in found if monitor.is_compared])


def accuracy(report):
    """What each of them counts, and what it forgets."""
    amounts = ", ".join(f"{kind} {amount}" for kind, amount in AMOUNTS.items())
    report.section("Figures, beside what else there is", f"""
        What they count of traffic whose octets are known ({amounts}), as the difference from the truth, and how much of
        it is gone after `kill -9` and a new start. Who counts packets counts headers too, so can't agree; who captures
        them loses some when many come at once.

        portmond by hand was killed within seconds: what came since the last flush, every 10 s, is lost. As a service it
        has its counters in the keeping of systemd, which is played here by the benchmark. nft rules have no process;
        they are gone with the next boot.""")
    with monitors() as (traffic, found):
        report.table(["Monitor", "Counts", "Bulk", "1-octet messages", "Connections", "Forgotten"],
                     [[monitor.title, *compare_figures(monitor, traffic)] for monitor in found if monitor.what])


BENCHMARKS = speed, accuracy
