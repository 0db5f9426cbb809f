# SPDX-License-Identifier: MIT
"""What a screen costs that somebody leaves open."""

import fcntl
import pty
import struct
import termios

from measure import *

PORT = 19905
SECONDS = 10


class Screen:
    """A terminal of 120 by 40 that runs a command. What it writes is counted and thrown away."""

    def __init__(self, *command):
        self.octets = 0
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(list(map(str, command)), stdin=theirs, stdout=theirs, stderr=theirs,
                                        start_new_session=True, env={**os.environ, "TERM": "xterm-256color"})
        os.close(theirs)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError):
            while found := os.read(self.terminal, 65536):
                self.octets += len(found)

    def end(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


def screens(report):
    """All of them at once, looking at the same traffic."""
    report.section("A screen that stays open", f"""
        `portmon tui`, `vnstat -l` and `nethogs`, each in a terminal of its own, at once and on the same traffic from one
        network namespace to another: {SECONDS} s of each kind. Processor time is that of the processes, to the nanosecond;
        what the kernel takes to hand packets to nethogs is in the traffic's own.""")
    rows = []
    with Namespaces() as namespaces, Daemon(PORT) as daemon:
        there, here = (("ip", "netns", "exec", name) for name in namespaces.names)
        namespaces.reuse_ports()
        found = {
            "portmon tui": Screen(PORTMON, "--socket", daemon.socket, "tui", "-p", PORT),
            "vnstat -l": Screen(*there, "vnstat", "-l", "-i", "veth0"),
            "nethogs": Screen(*there, "nethogs", "veth0"),
        }
        pids = {name: [screen.process.pid] for name, screen in found.items()}
        pids["portmond"] = [daemon.process.pid]
        try:
            with Server(PORT, "10.99.0.1", there) as server:
                time.sleep(2)
                for kind, what in (None, "none"), ("bulk", "as much as goes"), ("ping", "1-octet messages"), \
                        ("churn", "short connections"):
                    before = {name: cpu_sec(*of) for name, of in pids.items()}
                    written = {name: screen.octets for name, screen in found.items()}
                    if kind:
                        play(server, kind, str(SECONDS), here)
                    else:
                        time.sleep(SECONDS)
                    taken = {name: 1000 * (cpu_sec(*of) - before[name]) / SECONDS for name, of in pids.items()}
                    rows.append([what, f"{taken['portmon tui']:.2f} + {taken['portmond']:.2f}",
                                 f"{taken['vnstat -l']:.2f}", f"{taken['nethogs']:.2f}",
                                 *((screen.octets - written[name]) // SECONDS for name, screen in found.items())])
        finally:
            for screen in found.values():
                screen.end()
    report.table(["Traffic", "portmon tui + portmond, ms a second", "vnstat -l, ms a second", "nethogs, ms a second",
                  "portmon tui writes, octets a second", "vnstat -l", "nethogs"], rows)


BENCHMARKS = (screens,)
