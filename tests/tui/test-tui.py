#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The dashboard in a real terminal: what it shows is what portmond says, and what each key does."""

import contextlib
import datetime
import os
import pathlib
import re
import signal
import socket
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "lib"), str(pathlib.Path(__file__).parent)]
from harness import *
from terminal import *

need_tmux()

# In the order of their numbers. The descriptions are as wide as descriptions get.
WEB, MAIL, WIDE = 19401, 19402, 19403
DESCRIPTIONS = {WEB: "Web", MAIL: "mail für alle", WIDE: "日本語のサーバー e\u0301"}
OTHER = 19409

NOBODY = 65534


def described(*ports, **options):
    """A daemon whose ports have descriptions, once it runs."""
    daemon = Daemon(*(ports or DESCRIPTIONS), **options)
    daemon.directory.chmod(0o755)
    start = daemon.start

    def start_and_describe(*arguments, **more):
        start(*arguments, **more)
        for port in daemon.ports:
            daemon.portmon("describe-port", port, DESCRIPTIONS.get(port, ""))
    daemon.start = start_and_describe
    return daemon


def today(daemon, port):
    stats = daemon.stats(port)
    return amount(stats["today_rx_bytes"] + stats["today_tx_bytes"])


# ---- what is on it ----


@test
def everything_is_there():
    """Header, ports, graph, summary, days, connections and keys are on the first screen"""
    with described() as daemon, Dashboard(daemon, environment={"TZ": "Asia/Tokyo"}) as screen:
        lines = screen.shows("this month", "days", "None is open")
        status = daemon.json("status")
        for text in socket.gethostname(), "up ", f"portmond {status['version']}", "socket":
            true(text in lines[0], f"{text!r} in {lines[0]!r}")
        true(re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", lines[0].rstrip()), f"a clock in {lines[0]!r}")
        for title in "PORT", "DESCRIPTION", "RX RATE", "TX RATE", "MINUTE", "TODAY", "OPEN":
            true(title in lines[1], f"{title} in {lines[1]!r}")
        screen.lists(WEB, MAIL, WIDE)
        for port, description in DESCRIPTIONS.items():
            true(description in screen.port(port), f"{description} in the line of its port")
        screen.shows(f"{WEB} Web ──", f"{WEB}, this month", "0 connections", "q quit", "every 1 s")


@test
def totals_are_those_of_portmond():
    """Today's totals and open connections are exactly what portmond says"""
    with described() as daemon, Traffic(WEB, 3) as web, Traffic(WIDE) as wide:
        web.carry(123457, 7654321)
        wide.carry(999, 1)
        with Dashboard(daemon) as screen:
            for port in DESCRIPTIONS:
                wanted = [*today(daemon, port).split(), str(daemon.stats(port)["connections"])]
                screen.wait(lambda: screen.port(port).split()[-3:] == wanted, f"{port} ends in {wanted}")
            web.carry(1, 1 << 20)
            screen.wait(lambda: today(daemon, WEB) in screen.port(WEB), "the total grows")


@slow_test
def rates_come_and_go():
    """Live rates, the minute and the graph follow traffic in both directions, and fall silent with it"""
    port, other = own_port(), own_port()
    with described(port, other) as daemon, Traffic(port) as traffic, Dashboard(daemon) as screen:
        quiet = screen.text()
        true(not re.search("[⠁-⣿▁-█]", quiet), "nothing is drawn before")
        with traffic.steadily(20_000, 200_000):
            screen.wait(lambda: re.search(r"KiB/s .*MiB/s", screen.port(port)), "both rates")
            screen.wait(lambda: re.search("[▁-█]", screen.port(port)), "the minute")
            screen.wait(lambda: len(re.findall("[⠁-⣿]", screen.text())) > 9, "the graph")
            scales = re.findall(r"^ *([125]0?0? [KM]iB/s) ", screen.text(), re.MULTILINE)
            equal(len(scales), 2, f"round scales ({scales})")
            true("0 B/s" in screen.port(other), "no rate where there is no traffic")
        screen.wait(lambda: screen.port(port).count(" 0 B/s") == 2, "silence")


@slow_test
def rates_are_means():
    """A longer sample shows the mean rate of its time, not all of it in one second"""
    port, received, sent = own_port(), 500_000, 5_000_000
    with described(port) as daemon, Traffic(port) as traffic:
        with Dashboard(daemon, "--interval", 5) as screen:
            screen.shows("every 5 s")

            def a_rate_shows():
                # The first sample may be shorter, and what comes just then be in a second that is not
                # known: the clock gives the beat.
                traffic.carry(1, 1)
                return re.search(r" [1-9]\d* B/s", screen.port(port))

            screen.wait(a_rate_shows, "the first sample")
            traffic.carry(received, sent)
            rates = screen.wait(lambda: re.findall(r"([\d.]+) ([KM]iB/s)", screen.port(port)), "rates")
            shown = [float(x) * {"KiB/s": 1024, "MiB/s": 1 << 20}[unit] for x, unit in rates]
            true(all(0 < rate < whole for rate, whole in zip(shown, (received, sent))), f"means ({shown})")


@test
def summary_is_that_of_stats():
    """The summary shows what stats --this-month does: total, estimate, peak, percentile, connections"""
    with described(WEB) as daemon, Traffic(WEB, 2) as web:
        web.carry(1234567, 87654321)
        with Dashboard(daemon) as screen:
            def agrees():
                stats = daemon.json("stats", "--port", WEB, "--this-month")
                rx, tx = stats["total_rx"], stats["total_tx"]
                rows = {line.split()[0]: line[:50] for line in screen.lines() if line.strip()}
                total = f"total {amount(rx)} {amount(tx)} {amount(rx + tx)}"
                peak = f"peak {amount(stats['peak_rx_rate'], '/s')} {amount(stats['peak_tx_rate'], '/s')}"
                percentile = stats["percentile_95"]  # of no intervals, when the month has just begun, there is none
                return (" ".join(rows.get("total", "").split()) == total and
                        " ".join(rows.get("peak", "").split()) == peak and
                        (not percentile or f"of {percentile['intervals']}" in rows.get("95th", "")) and
                        "estimate" in rows and "2 connections" in rows.get("opened", ""))
            screen.wait(agrees, "the summary is that of stats")


@test
def gaps_are_shown():
    """A gap is shown with its times and its reason"""
    with described(WEB) as daemon:
        daemon.restart()
        gaps = daemon.json("stats", "--port", WEB, "--this-month")["gaps"]
        with Dashboard(daemon) as screen:
            start = gaps[-1]["from"]
            wanted = f"gaps 1: {start[5:10]} {start[11:19]} to "
            screen.wait(lambda: wanted in screen.summary(), wanted)
            true("portmond was not running; traffic" in screen.summary(), "the reason")


@test
def days_have_bars():
    """The bar of today, unfinished, has its sum; days without traffic have none"""
    with described(WEB) as daemon, Traffic(WEB) as web:
        web.carry(1_000_000, 3_000_000)
        with Dashboard(daemon) as screen:
            screen.keys("d", "7")
            screen.shows("last 7 days")
            day = datetime.datetime.now(datetime.timezone.utc).date()
            for age in range(7):
                date = (day - datetime.timedelta(age)).isoformat()
                line = screen.wait(lambda: next((x[50:] for x in screen.lines()[1:] if date in x[50:]), None), date)
                if age == 0:
                    true(f"{date}*" in line and "█" in line, f"today in {line!r}")
                    true(line.rstrip().endswith(today(daemon, WEB)), f"the sum in {line!r}")
                else:
                    true("█" not in line and line.rstrip().endswith(" 0 B"), f"nothing in {line!r}")


@test
def connections_are_those_of_portmond():
    """The connections are those that portmond lists, with their addresses; IPv6 in brackets"""
    with described(WEB, MAIL) as daemon, Traffic(WEB, 3) as web, Traffic(MAIL, family=socket.AF_INET6):
        with Dashboard(daemon, columns=160) as screen:
            listed = daemon.json("connections", "--port", WEB)["connections"]
            equal(len(listed), 3, "connections")
            screen.shows("3 connections", *(f"127.0.0.1:{c['remote_port']}" for c in listed))
            screen.keys("n")
            six = daemon.json("connections", "--port", MAIL)["connections"][0]["remote_port"]
            screen.shows("1 connection ─", f"[::1]:{six}", f"python3/{os.getpid()}")
        with Dashboard(daemon, "--port", WEB) as screen:
            screen.shows("3 connections")
            with socket.create_connection(("127.0.0.1", WEB)), web.listener.accept()[0]:
                screen.shows("4 connections ─")
            screen.shows("3 connections ─")


@test
def descriptions_align():
    """Columns stand under each other whatever the descriptions are written in"""
    with described() as daemon, Dashboard(daemon) as screen:
        screen.lists(*DESCRIPTIONS)
        ends = set()
        for port in DESCRIPTIONS:
            line = screen.port(port)
            ends.add((columns_of(line[:line.index("B/s")]), columns_of(line.rstrip())))
        equal(len(ends), 1, f"places of the rates ({ends})")


@test
def as_client():
    """v shows the client's role: its figures and its connections, never mixed with the server's"""
    with described(WEB) as daemon, Namespaces() as namespaces, contextlib.ExitStack() as stack:
        with namespaces.inside("a"):
            listener = stack.enter_context(socket.create_server(("10.99.0.1", WEB)))
        with namespaces.inside("b"):
            client = stack.enter_context(socket.create_connection(("10.99.0.1", WEB)))
        server = stack.enter_context(listener.accept()[0])
        move(client, server, 12345)
        move(server, client, 678)
        equal({c["role"] for c in daemon.json("connections", "--port", WEB)["connections"]},
              {"server", "client"}, "roles of the connections")
        with Dashboard(daemon) as screen:
            def shows_role(figures, peer):
                wanted = [*amount(figures["today_rx_bytes"] + figures["today_tx_bytes"]).split(), "1"]
                screen.wait(lambda: screen.port(WEB).split()[-3:] == wanted, f"figures {wanted}")
                screen.shows("1 connection ─", f" 10.99.0.{peer} ")
                received, sent = (amount(figures[f"today_{d}_bytes"]) for d in ("rx", "tx"))
                screen.wait(lambda: f"total {received} {sent} " in screen.summary(), "the summary")
            stats = daemon.stats(WEB)
            for _ in range(2):
                screen.lacks("as client")
                shows_role(stats, f"2:{client.getsockname()[1]}")
                screen.keys("v")
                screen.shows("as client")
                shows_role(stats["client"], f"1:{WEB}")
                screen.keys("v")


# ---- keys ----


@test
def quits():
    """q ends it with status 0 and leaves the terminal as it was"""
    with described() as daemon, Dashboard(daemon) as screen:
        screen.keys("q")
        screen.ends(0)


@test
def next_and_previous():
    """n, N and the arrows select ports, and stop at the ends"""
    with described() as daemon, Dashboard(daemon) as screen:
        screen.selects(WEB)
        for key, port in (("n", MAIL), ("N", WEB), ("N", WEB), ("Down", MAIL), ("Right", WIDE),
                          ("Down", WIDE), ("Up", MAIL), ("Left", WEB), ("End", WIDE), ("Home", WEB),
                          ("PPage", WEB), ("NPage", WIDE)):
            screen.keys(key)
            screen.selects(port)
            screen.shows(f"{port}, this month")


@test
def starts_at_a_port():
    """--port selects at the start; one that is not watched is said to be"""
    with described() as daemon:
        with Dashboard(daemon, "--port", MAIL) as screen:
            screen.selects(MAIL)
        with Dashboard(daemon, "-p", OTHER, wait=False) as screen:
            screen.shows(f"Port {OTHER} is not watched")
            screen.selects(WEB)


@test
def help_is_there():
    """? shows the keys and goes with any; it scrolls where it has no room"""
    with described() as daemon, Dashboard(daemon) as screen:
        for key in "?", "x", "Escape":
            screen.keys("?")
            screen.shows("Quit", "Refresh now", "Sort by", "Remove the selected port")
            screen.keys(key)
            screen.shows("this month")
        screen.resize(60, 10)
        screen.keys("?")
        screen.shows("1–7 of")
        screen.lacks("Mouse")
        for _ in range(3):
            screen.keys("NPage")
        screen.shows("Mouse")
        screen.keys("q")
        screen.ends(0)


@test
def panels():
    """Tab goes to each panel, which has its place then; Shift-Tab goes back; Enter to the summary"""
    with described() as daemon, Dashboard(daemon, columns=40, rows=10) as screen:
        marks = ["PORT", f"{WEB} Web", "RECEIVED", "days ─", "connections ─"]
        for i in range(1, len(marks) + 1):
            screen.keys("Tab")
            screen.shows(marks[i % len(marks)])
        screen.lacks("RECEIVED")
        screen.keys("BTab")
        screen.shows("connections ─")
        screen.keys("BTab")
        screen.shows("days ─")
        screen.keys("Enter")
        screen.shows("PORT")
        screen.keys("Enter")
        screen.shows("RECEIVED")
        screen.keys("c")
        screen.shows("connections ─")
        screen.keys("c")
        screen.lacks("connections ─")


@test
def ranges():
    """d chooses each range, by its letter or with the arrows"""
    with described() as daemon, Dashboard(daemon) as screen:
        day = datetime.datetime.now(datetime.timezone.utc).date()
        for keys, name, first in (
                (["t"], "today", day), (["m"], "this month", day.replace(day=1)),
                (["7"], "last 7 days", day - datetime.timedelta(6)),
                (["3"], "last 30 days", day - datetime.timedelta(29)),
                (["Up", "Up", "Up", "Enter"], "today", day)):
            screen.keys("d")
            screen.shows("billing cycle...")
            screen.keys(*keys)
            screen.lacks("billing cycle...")
            screen.shows(f"{WEB}, {name}", first.isoformat())
        screen.shows("hours")
        screen.keys("d")
        screen.shows("billing cycle...")
        screen.keys("Escape")
        screen.lacks("billing cycle...")
        screen.shows(f"{WEB}, today")


@test
def billing_cycle():
    """A billing cycle has a day, which is checked"""
    with described() as daemon, Dashboard(daemon) as screen:
        screen.keys("d", "b")
        screen.shows("Day the cycle begins on")
        for wrong in "0", "32", "x":
            screen.type(wrong)
            screen.keys("Enter")
            screen.shows("not a day of the month")
            screen.keys("C-u")
            screen.lacks("not a day of the month")
        screen.type("15")
        screen.keys("Enter")
        range_ = daemon.json("stats", "--port", WEB, "--cycle-day", 15)
        screen.shows("cycle from day 15", f"{range_['start_date'][5:]} – {range_['end_date'][5:]}")


@test
def dates_of_ones_own():
    """Dates of one's own are checked; Esc gives up"""
    with described() as daemon, Dashboard(daemon) as screen:
        screen.keys("d", "c", "C-u")
        screen.type("2026-02-30")
        screen.keys("Enter")
        screen.shows("not a day that exists")
        screen.keys("C-u")
        screen.type("2026-03-01")
        screen.keys("Enter")
        screen.shows("Up to and including")
        screen.keys("C-u")
        screen.type("2026-02-28")
        screen.keys("Enter")
        screen.shows("before the first day")
        screen.keys("BSpace", "BSpace", "BSpace", "BSpace", "BSpace")
        screen.type("03-05")
        screen.keys("Enter")
        screen.shows("2026-03-01 – 2026-03-05", "Thu 2026-03-05")
        screen.keys("d", "c")
        screen.shows("From, YYYY-MM-DD: 2026-03-01")
        screen.keys("Escape")
        screen.shows("2026-03-01 – 2026-03-05", "q quit")


@test
def questions_on_a_narrow_screen():
    """Where a question has no room for its answer, that has a row to itself; so have complaints"""
    with described() as daemon, Dashboard(daemon, columns=40, rows=10) as screen:
        screen.keys("d", "c", "Enter")
        screen.type("-2")
        screen.keys("Enter")
        screen.wait(lambda: [line.strip() for line in screen.lines()[-3:]] == [
            "not a day that exists", "Up to and including, YYYY-MM-DD",
            datetime.datetime.now(datetime.timezone.utc).date().isoformat() + "-2"], "three rows")
        screen.keys("Escape", "x")
        screen.shows(f"Remove port {WEB}? History stays. y/N")


@test
def refreshes():
    """r fetches at once what would have come a minute later"""
    with described() as daemon, Traffic(WEB) as web, Dashboard(daemon, "-n", 60) as screen:
        screen.shows("every 60 s")
        web.carry(5000, 5000)
        screen.keys("r")
        screen.wait(lambda: today(daemon, WEB) in screen.port(WEB), "the new total")


@test
def filters():
    """/ lists ports by number or description while one types; Enter keeps that, Esc shows all"""
    with described() as daemon, Dashboard(daemon) as screen:
        screen.keys("/")
        screen.type("WE")
        screen.lists(WEB)
        screen.shows("Only ports with: WE")
        screen.keys("C-u")
        screen.lists(*DESCRIPTIONS)
        screen.type("für")
        screen.lists(MAIL)
        screen.selects(MAIL)
        screen.keys("Enter")
        screen.shows("/für: 1 of 3", "q quit")
        screen.keys("Escape")
        screen.lists(*DESCRIPTIONS)
        screen.selects(MAIL)
        screen.keys("/")
        screen.type(str(WIDE))
        screen.lists(WIDE)
        screen.type("0")
        screen.shows("No port matches")
        screen.keys("Escape")
        screen.lists(*DESCRIPTIONS)


@test
def sorts():
    """s sorts by each column, S the other way round; the selected port stays"""
    with described() as daemon, Traffic(WIDE, 2) as wide, Traffic(MAIL, 1) as mail:
        wide.carry(10, 10)
        mail.carry(1000, 1000)
        with Dashboard(daemon) as screen:
            screen.wait(lambda: screen.port(MAIL).split()[-1] == "1", "figures")
            screen.shows("PORT▴")
            screen.keys("s")
            screen.shows("DESCRIPTION▴")
            screen.lists(MAIL, WEB, WIDE)
            screen.keys("S")
            screen.shows("DESCRIPTION▾")
            screen.lists(WIDE, WEB, MAIL)
            for title in "RX RATE▾", "TX RATE▾", "MINUTE▾":
                screen.keys("s")
                screen.shows(title)
            screen.keys("s")
            screen.shows("TODAY▾")
            screen.lists(MAIL, WIDE, WEB)
            screen.keys("s")
            screen.shows("OPEN▾")
            screen.lists(WIDE, MAIL, WEB)
            screen.keys("S")
            screen.shows("OPEN▴")
            screen.lists(WEB, MAIL, WIDE)
            screen.keys("s")
            screen.shows("PORT▴")
            screen.selects(WEB)


@test
def interval():
    """+ and - change the interval, within 1 and 60 seconds"""
    with described() as daemon, Dashboard(daemon, "-n", 59) as screen:
        for key, text in (("+", "every 60 s"), ("+", "every 60 s"), ("-", "every 59 s")):
            screen.keys(key, "Escape")
            screen.shows(text)
    with described() as daemon, Dashboard(daemon) as screen:
        screen.keys("-", "Escape")
        screen.shows("every 1 s")


@test
def adds_a_port():
    """a asks for a port and a description, and adds it; what is wrong is said"""
    with described() as daemon, Dashboard(daemon) as screen:
        screen.keys("a")
        screen.type("80abc")
        screen.keys("Enter")
        screen.shows("not a port")
        screen.keys("C-u")
        screen.type(str(OTHER))
        screen.keys("Enter")
        screen.shows(f"Description of port {OTHER}")
        screen.type("Grüße 日本")
        screen.keys("Enter")
        screen.shows(f"Port {OTHER} is watched from now on")
        screen.selects(OTHER)
        true("Grüße 日本" in screen.port(OTHER), "the description")
        equal([p["description"] for p in daemon.json("list-ports")["ports"] if p["port"] == OTHER],
              ["Grüße 日本"], "what portmond has")
        screen.keys("a")
        screen.type(str(OTHER))
        screen.keys("Enter", "Enter")
        screen.shows(f"Cannot add port {OTHER}", "watched already")


@test
def removes_a_port():
    """x asks first; y removes the port, anything else does not"""
    with described() as daemon, Dashboard(daemon) as screen:
        screen.keys("n")
        screen.selects(MAIL)
        for no in "n", "Enter", "Escape", "q":
            screen.keys("x")
            screen.shows(f"Remove port {MAIL}?", "y/N")
            screen.keys(no)
            screen.lacks("y/N")
        equal(len(daemon.json("list-ports")["ports"]), 3, "ports that are left")
        screen.keys("x")
        screen.shows(f"Remove port {MAIL}?")
        screen.keys("y")
        screen.shows(f"Port {MAIL} is no longer watched", "history stays")
        screen.lists(WEB, WIDE)
        screen.selects(WIDE)
        equal([p["port"] for p in daemon.json("list-ports")["ports"]], [WEB, WIDE], "what portmond has")


@test
def refusals_are_shown():
    """Who may only look sees why ports can't be changed and connections can't be listed"""
    with described() as daemon, Dashboard(daemon, user=NOBODY) as screen:
        screen.shows("Cannot list the connections of port", "inspect-connections")
        screen.keys("x")
        screen.shows("y/N")
        screen.keys("y")
        screen.shows(f"Cannot remove port {WEB}", "manage-ports")
        screen.keys("a")
        screen.type(str(OTHER))
        screen.keys("Enter", "Enter")
        screen.shows(f"Cannot add port {OTHER}", "manage-ports")
        equal(len(daemon.json("list-ports")["ports"]), 3, "ports")
        screen.wait(lambda: "0 B" in screen.port(WEB), "figures are there")


@test
def ports_come_and_go():
    """Ports that others add, remove and describe appear and go; the selected one stays"""
    with described() as daemon, Dashboard(daemon, "-p", WIDE) as screen:
        screen.selects(WIDE)
        daemon.portmon("add-port", OTHER, "new")
        daemon.portmon("remove-port", WEB)
        daemon.portmon("describe-port", MAIL, "renamed")
        screen.lists(MAIL, WIDE, OTHER)
        screen.shows("renamed", "new")
        screen.selects(WIDE)
        daemon.portmon("remove-port", WIDE)
        screen.selects(OTHER)
        daemon.portmon("remove-port", OTHER)
        daemon.portmon("remove-port", MAIL)
        screen.shows("No port is watched; press a to add one")
        daemon.portmon("add-port", WEB)
        screen.selects(WEB)


@test
def mouse():
    """A click selects a port, sorts by a column or focuses a panel; the wheel scrolls"""
    with described() as daemon, Dashboard(daemon, environment={"TERM": "xterm-256color"}) as screen:
        def press(button, text, offset=0):
            lines = screen.lines()
            row = next(i for i, line in enumerate(lines) if text in line)
            column = columns_of(lines[row][:lines[row].index(text)]) + offset
            place = f"\033[<{button};{column + 1};{row + 1}"
            screen.type(place + "M" + (place + "m" if button == 0 else ""))
        screen.lists(*DESCRIPTIONS)
        press(0, str(WIDE))
        screen.selects(WIDE)
        press(0, "TODAY")
        screen.shows("TODAY▾")
        press(0, "PORT")
        screen.shows("PORT▴")
        screen.keys("d", "3")
        screen.shows("last 30 days", "1–", " of 30")
        press(65, "─ days")
        screen.lacks(" 1–")
        press(64, str(WEB))
        screen.selects(WEB)


@test
def many_ports():
    """A long list scrolls with the selection"""
    ports = list(range(19500, 19540))
    with Daemon(*ports) as daemon, Dashboard(daemon) as screen:
        for port in ports[1:30]:
            screen.keys("n")
        screen.selects(ports[29])
        true(ports[0] not in screen.listed(), "the first is out of sight")
        screen.keys("End")
        screen.selects(ports[-1])
        screen.keys("Home")
        screen.selects(ports[0])
        screen.keys("/")
        screen.type("1953")
        screen.wait(lambda: screen.listed()[:2] == [19530, 19531], "the filter")
        screen.shows("10 of 40")


run()
