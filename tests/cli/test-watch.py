#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`portmon watch`: a line an interval, and what it came to when it is interrupted."""

import contextlib
import datetime
import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *

need_root_and_bpf()

PORT, OTHER = 17181, 17182
SUMMARY = re.compile(r"Port (\d+), (\d+)s: (.*) received \((.*)/s, peak (.*)/s\), (.*) sent \((.*)/s, peak (.*)/s\), (\d+) connections")


class Watch:
    """A client that watches, line by line."""

    def __init__(self, daemon, *arguments, environment=None):
        self.process = subprocess.Popen([PORTMON, "--socket", daemon.socket, "watch", *map(str, arguments)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self):
        return self.process.stdout.readline()

    def listens(self):
        """Waits until it takes either signal as an interruption."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status")
        both = sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM))

        def caught():
            return int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16)
        eventually(lambda: caught() & both == both, "it listens")

    def interrupt(self, number=signal.SIGINT):
        """Ends it; returns exit status, and the rest of the output and errors."""
        self.process.send_signal(number)
        rest, errors = self.process.communicate(timeout=PATIENCE_SEC)
        return self.process.returncode, rest, errors


@test
def lines_and_summary():
    """A line of titles, a line each interval, and at the end a sum that is exact"""
    with Daemon(PORT) as daemon:
        transfer(PORT, 1000, 1000)  # before it watches
        daemon.settled(PORT)
        for number in signal.SIGINT, signal.SIGTERM:
            with Watch(daemon, "-p", PORT) as watch:
                equal(watch.line().split(), "TIME PORT RX RATE TX RATE TODAY RX TODAY TX OPEN".split(), "titles")
                first = watch.line()
                true(re.fullmatch(rf"\d\d:\d\d:\d\d +{PORT} .*B/s .*B/s .*B .*B +0\n", first), f"line {first!r}")
                transfer(PORT, 100 * 1024, 300 * 1024)
                daemon.settled(PORT)
                watch.line(), watch.line()
                status, rest, errors = watch.interrupt(number)
            equal((status, errors), (0, ""), "exit status and errors")
            port, seconds, rx, _, rx_peak, tx, _, tx_peak, connections = SUMMARY.search(rest).groups()
            equal((int(port), rx, tx, connections), (PORT, "100.00 KiB", "300.00 KiB", "1"), "sum")
            true(int(seconds) >= 3, "seconds")
            true("0 B" not in (rx_peak, tx_peak), "peaks")
            true("\n\nPort " in "\n" + rest, "an empty line before the sum")


@test
def json_lines():
    """With --json each line is an object, and nothing else is printed"""
    keys = {"time", "port", "role", "rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "connections", "connections_total",
            "rx_rate", "tx_rate", "today_rx_bytes", "today_tx_bytes"}
    with Daemon(PORT, OTHER) as daemon:
        for utc in [], ["--utc"]:
            with Watch(daemon, "--json", *utc, environment={"TZ": "Asia/Kathmandu"}) as watch:
                lines = [watch.line(), watch.line()]
                transfer(PORT, 123457, 765433)
                daemon.settled(PORT)
                lines += [watch.line(), watch.line()]
                status, rest, errors = watch.interrupt()
            found = [json.loads(line) for line in [*lines, *rest.splitlines()]]
            equal((status, errors), (0, ""), "exit status and errors")
            equal([line["port"] for line in found[:4]], [PORT, OTHER] * 2, "ports")
            for line in found:
                equal((set(line), line["role"]), (keys, "server"), "keys and role")
                moment = datetime.datetime.fromisoformat(line["time"])
                equal(moment.utcoffset().total_seconds(), 0 if utc else 20700, "offset")
                equal(line["time"].endswith("Z"), bool(utc), "mark of UTC")
        last = daemon.stats(PORT)
        equal((last["rx_bytes"], last["tx_bytes"]), (2 * 123457, 2 * 765433), "what it came to")


@test
def role_of_the_client():
    """--role client shows that role"""
    with Namespaces() as namespaces, Daemon(PORT) as daemon:
        with namespaces.inside("a"):
            listener = socket.create_server(("10.99.0.1", PORT))
        with listener, Watch(daemon, "-p", PORT, "--role", "client") as watch:
            watch.line(), watch.line()
            with namespaces.inside("b"):
                theirs = socket.create_connection(("10.99.0.1", PORT))
            with theirs, listener.accept()[0] as ours:
                move(theirs, ours, 2048)
                move(ours, theirs, 1024)
                true(watch.line().endswith(" 1\n") or watch.line().endswith(" 1\n"), "one is open")
            daemon.settled(PORT)
            watch.line()
            status, rest, _ = watch.interrupt()
        equal(status, 0, "exit status")
        equal(SUMMARY.search(rest).group(3, 6), ("1.00 KiB", "2.00 KiB"), "sum")


@test
def rates_make_the_amount():
    """Rates times intervals make the amount that was transferred"""
    with Daemon(PORT) as daemon, Watch(daemon, "-p", PORT, "--json") as watch:
        before = json.loads(watch.line())
        transfer(PORT, 10_000_000, 5_000_000)
        daemon.settled(PORT)
        amount, lines = 0, 0
        while amount < 10_000_000:
            line = json.loads(watch.line())
            equal(line["rx_rate"] > 0, line["rx_bytes"] > before["rx_bytes"] + amount, "a rate where there is traffic")
            amount = line["rx_bytes"] - before["rx_bytes"]
            lines += 1
            true(lines < PATIENCE_SEC, "it comes to an end")
        equal((amount, line["tx_bytes"] - before["tx_bytes"]), (10_000_000, 5_000_000), "amounts")
        equal(watch.interrupt()[0], 0, "exit status")


@test
def interval():
    """-n says how many seconds are between lines; an interrupt does not wait for the next"""
    with Daemon(PORT) as daemon:
        with Watch(daemon, "-p", PORT, "-n", 2, "--json") as watch:
            times = [datetime.datetime.fromisoformat(json.loads(watch.line())["time"]) for _ in range(2)]
            true((times[1] - times[0]).total_seconds() >= 1, f"{times} are apart")
            equal(watch.interrupt()[0], 0, "exit status")
        for number in signal.SIGINT, signal.SIGTERM:
            with Watch(daemon, "-p", PORT, "-n", 3600) as watch:
                watch.listens()
                status, rest, errors = watch.interrupt(number)
                equal((status, errors), (0, ""), "exit status and errors")


@test
def signals_at_any_moment():
    """However early or late it is interrupted, it ends well"""
    with Daemon(PORT) as daemon:
        for delay in [n / 1000 for n in range(0, 60, 3)]:
            with Watch(daemon, "-n", 3600) as watch:
                watch.listens()
                time.sleep(delay)
                status, rest, errors = watch.interrupt()
                equal((status, errors), (0, ""), f"exit status and errors after {delay}")


@test
def removed_meanwhile():
    """A port that is removed ends the watch of it with a message; of all ports the others go on"""
    with Daemon(PORT, OTHER) as daemon:
        with Watch(daemon, "-p", PORT) as one, Watch(daemon, "--json") as all_ports:
            one.line(), one.line()
            equal({json.loads(all_ports.line())["port"] for _ in range(2)}, {PORT, OTHER}, "ports")
            daemon.portmon("remove-port", PORT)
            rest, errors = one.process.communicate(timeout=PATIENCE_SEC)
            equal((one.process.returncode, len(errors.splitlines())), (1, 1), "status and lines")
            true(f"port {PORT}" in errors and "not watched" in errors, f"{errors!r} tells")
            true(SUMMARY.search(rest), "the sum is there")
            while json.loads(all_ports.line())["port"] == PORT:
                pass
            equal([json.loads(all_ports.line())["port"] for _ in range(2)], [OTHER] * 2, "ports that are left")
            equal(all_ports.interrupt()[0], 0, "exit status")


@test
def daemon_ends():
    """When portmond goes away it says so, after the sum: exit status 1"""
    for number in signal.SIGTERM, signal.SIGKILL:
        with Daemon(PORT) as daemon, Watch(daemon, "-p", PORT) as watch:
            watch.line(), watch.line()
            daemon.stop(number)
            rest, errors = watch.process.communicate(timeout=PATIENCE_SEC)
            equal(watch.process.returncode, 1, "exit status")
            true("Cannot read the figures" in errors and len(errors.splitlines()) == 1, f"{errors!r} tells")
            true(SUMMARY.search(rest), "the sum is there")


@test
def units_and_clock():
    """--si and --utc change units and times"""
    with Daemon(PORT) as daemon:
        with socket.create_server(("127.0.0.1", PORT)) as listener, socket.create_connection(("127.0.0.1", PORT)) as theirs, \
                listener.accept()[0] as ours:
            move(theirs, ours, 2048)
            for options, today in ([], "2.00 KiB"), (["--si"], "2.05 kB"):
                with Watch(daemon, "-p", PORT, *options) as watch:
                    watch.line()
                    true(f" {today} " in watch.line(), f"today's {today}")
        for options, zone in ([], "Asia/Kathmandu"), (["--utc"], "UTC"):
            def now():
                return sh("date", "+%T", env={**os.environ, "TZ": zone}).strip()

            before = now()
            with Watch(daemon, "-p", PORT, *options, environment={"TZ": "Asia/Kathmandu"}) as watch:
                watch.line()
                shown, after = watch.line().split()[0], now()
            # Unless midnight came.
            true(before <= shown <= after or after < before, f"{before} <= {shown} <= {after} in {zone}")


run()
