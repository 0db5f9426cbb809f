#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What portmon prints: tables that align, colours and bars on terminals only, JSON as the contract has it."""

import contextlib
import datetime
import fcntl
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *
from past import *

need_root_and_bpf()

PORT, WIDE, EMPTY = 17121, 17122, 17123
DESCRIPTION = "Wéb 日本語 e\u0301 🚀 — „x“"
SIZES = 123457, 765433  # what transfer() moves

past = Past(Zone("Europe/Berlin"), [PORT, WIDE], 40, 400)
past.gaps = [(time.time() - 86400, time.time() - 86000, "crashed")]
daemon = Daemon(PORT, WIDE, EMPTY, environment={"TZ": past.zone.name})
held = []


def start():
    """The daemon of all tests here, with a past and open connections."""
    daemon.start()
    daemon.portmon("describe-port", WIDE, DESCRIPTION)
    daemon.stop()
    past.write(daemon.data / "portmon.db")
    daemon.start()
    transfer(PORT)
    for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
        listener = socket.create_server((address, PORT), family=family)
        client = socket.create_connection((address, PORT))
        held.extend([listener, client, listener.accept()[0]])
    eventually(lambda: daemon.stats(PORT)["connections"] == 2, "two are open")


def ask(*arguments, environment=None, **options):
    """Runs the client; what it printed, as bytes."""
    return subprocess.run([PORTMON, "--socket", daemon.socket, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
                          env={**os.environ, **(environment or {})})


def on_terminal(*arguments, columns=200, environment=None, program=PORTMON):
    """Runs the client on a terminal of that width; what the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {"TERM": "xterm", "LC_ALL": "C.UTF-8", **(environment or {})}
    process = subprocess.Popen([program, "--socket", daemon.socket, *map(str, arguments)], stdin=theirs, stdout=theirs,
                               stderr=theirs, env={"PATH": os.environ["PATH"], **environment})
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError), open(ours, "rb", buffering=0) as terminal:
        while more := terminal.read(1 << 16):
            output += more
    equal(process.wait(), 0, "exit status")
    return output.decode().replace("\r\n", "\n")


# What a locale like that of a German is made of, where the sources of locales are.
@contextlib.contextmanager
def german():
    with tempfile.TemporaryDirectory(prefix="portmon-test-") as directory:
        done = shutil.which("localedef") and subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "UTF-8", f"{directory}/de_DE.UTF-8"], stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL)
        if not done or done.returncode != 0:
            raise Unavailable("the sources of the German locale are not installed")
        yield {"LC_ALL": "de_DE.UTF-8", "LOCPATH": directory}


# All that prints a table.
TABLES = (["stats"], ["stats", "-p", PORT], ["stats", "-p", WIDE], ["stats", "-p", PORT, "--role", "client"],
          ["stats", "-p", PORT, "--last-30-days"], ["stats", "--this-month"], ["stats", "--si"],
          ["stats", "--role", "client"], ["stats", "-p", WIDE, "--cycle-day", 31, "--role", "client"],
          ["history"], ["history", "-p", PORT, "--by", "5min"], ["history", "-p", PORT, "--by", "hour", "--si"],
          ["history", "-p", WIDE, "--by", "month"], ["history", "--top", "--limit", 3], ["connections"],
          ["connections", "-p", PORT, "--si"], ["list-ports"])


# ---- alignment ----


def width(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cells(line):
    """The cells of a line of a table: text, first column and the one behind the last."""
    found = []
    for match in re.finditer(r"\S+(?: \S+)*", line):
        first = width(line[:match.start()])
        found.append((match.group(), first, first + width(match.group())))
    return found


def tables(text):
    """The tables of a text: a line of titles in capitals, and lines up to an empty one."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        titles = re.findall(r"\S+(?: \S+)*", line)
        if titles and all(re.fullmatch(r"[A-Z][A-Z ]*", title) for title in titles):
            rows = []
            for row in lines[number + 1:]:
                if not row:
                    break
                rows.append(row)
            yield line, rows


def check_alignment(text, what):
    found = list(tables(text))
    true(found, f"{what} has a table: {text}")
    for title_line, rows in found:
        titles = cells(title_line)
        for row in rows:
            column = -1
            for cell, first, end in cells(row):
                # Under its title: it begins or ends with it, and cells do not change places.
                places = [number for number, (_, begin, until) in enumerate(titles)
                          if number > column and (first == begin or end == until)]
                if first == 0 and column == -1 and not places:
                    continue  # the names of lines have no title
                true(places, f"{cell!r} of {row!r} is under one of {title_line!r}")
                column = places[0]


def check_text(text, what):
    check_alignment(text, what)
    true("\x1b" not in text, f"no escapes in {what}")
    for line in text.splitlines():
        equal(line, line.rstrip(), f"line of {what} without blanks at its end")


for locale in "C", "C.UTF-8", "POSIX", "Nowhere":
    def tables_align(locale=locale):
        for arguments in TABLES:
            done = ask(*arguments, environment={"LC_ALL": locale})
            equal((done.returncode, done.stderr), (0, b""), f"status of {arguments}")
            check_text(done.stdout.decode(), f"{arguments} in {locale}")
    tables_align.__name__, tables_align.__doc__ = f"tables_{locale}", f"Tables align, without escapes, in {locale}"
    test(tables_align)


@test
def tables_german():
    """Tables align in a German locale, decimals have commas, and JSON and CSV do not"""
    with german() as environment:
        for arguments in TABLES:
            check_text(ask(*arguments, environment=environment).stdout.decode(), f"{arguments} in German")
        text = ask("stats", "-p", PORT, "--last-30-days", environment=environment).stdout.decode()
        true(re.search(r"\d,\d\d GiB", text) and not re.search(r"\d\.\d\d", text), f"commas in {text}")
        for arguments in ["stats", "-p", PORT, "--last-30-days", "--json"], ["history", "-p", PORT, "--csv"]:
            german_text, plain = (ask(*arguments, environment=e).stdout for e in (environment, {"LC_ALL": "C"}))
            # The estimate goes with the time.
            german_text, plain = (re.sub(rb'"estimate":\{[^}]*', b"", re.sub(rb"\s", b"", t)) for t in (german_text, plain))
            equal(german_text, plain, f"output of {arguments}")


@test
def descriptions_come_out_whole():
    """Descriptions come out as they went in, whatever the locale"""
    for locale in "C", "C.UTF-8":
        for arguments in ["stats"], ["stats", "-p", WIDE], ["list-ports"]:
            text = ask(*arguments, environment={"LC_ALL": locale}).stdout.decode()
            true(DESCRIPTION in text, f"{DESCRIPTION} is in {text}")
    equal(daemon.json("list-ports")["ports"][1]["description"], DESCRIPTION, "description in JSON")


# ---- figures of the text ----


@test
def text_has_the_figures():
    """A range's text has the figures of its JSON, in units of 1024 or, with --si, 1000"""
    for port in PORT, WIDE:
        for si in False, True:
            options = ["stats", "-p", port, "--from", past.zone.today() - 35 * DAY, "--to", past.zone.today() - DAY]
            found = daemon.json(*options)
            text = daemon.portmon(*options, *(["--si"] if si else []))

            def line(name, t):
                rates = [bytes_text(t[peak], si, "/s") for peak in PEAKS]
                rx, tx = t["rx_bytes"], t["tx_bytes"]
                return [name, *(bytes_text(amount, si) for amount in (rx, tx, rx + tx)), *rates, str(t["connections"])]

            wanted = [line(day["date"], day) for day in found["daily_stats"]]
            wanted.append(line("total", {"rx_bytes": found["total_rx"], "tx_bytes": found["total_tx"],
                                         "connections": found["total_connections"],
                                         **{peak: found[peak] for peak in PEAKS}}))
            (_, rows), = tables(text)
            equal([[cell for cell, _, _ in cells(row)] for row in rows], wanted, "lines")
            p = found["percentile_95"]
            true(f"95th percentile: {bytes_text(p['rx_rate'], si, '/s')} received, {bytes_text(p['tx_rate'], si, '/s')} "
                 f"sent (of {p['intervals']} intervals of 5 minutes)" in text, f"percentile {p} is in {text}")


@test
def live_text():
    """The live figures of a port and the table of all show what JSON does"""
    live = daemon.stats(PORT)
    text = daemon.portmon("stats", "-p", PORT)
    for rx, tx in (live["today_rx_bytes"], live["today_tx_bytes"]), (live["rx_bytes"], live["tx_bytes"]):
        for amount in rx, tx, rx + tx:
            true(bytes_text(amount) in text, f"{bytes_text(amount)} is in {text}")
    true(f"Connections: 2 open, {live['connections_total']} in all" in text, f"connections are in {text}")
    (_, rows), = tables(daemon.portmon("stats"))
    for row, port in zip(rows, daemon.json("stats")["ports"]):
        shown = [cell for cell, _, _ in cells(row)]
        amounts = [port["today_rx_bytes"], port["today_tx_bytes"], port["rx_bytes"], port["tx_bytes"]]
        equal(shown[0], str(port["port"]), "port")
        equal(shown[3:7], list(map(bytes_text, amounts)), "amounts")
        equal(shown[7], str(port["connections"]), "open")


@test
def asked_role_is_shown():
    """With --role client the live figures are the client's alone"""
    text = daemon.portmon("stats", "-p", PORT, "--role", "client")
    true(all(line.startswith("as client") for line in list(tables(text))[0][1]), f"lines of {text}")
    true("Connections as client: 0 open" in text, f"connections of {text}")


# ---- terminals ----


@test
def colours():
    """Colours come on a terminal only, and not with NO_COLOR or a dumb terminal"""
    for arguments in TABLES:
        true("\x1b[4m" in on_terminal(*arguments), f"titles of {arguments} are underlined")
        for environment in {"NO_COLOR": "1"}, {"NO_COLOR": "0"}, {"TERM": "dumb"}:
            true("\x1b" not in on_terminal(*arguments, environment=environment), f"no colours of {arguments} {environment}")
    true("\x1b[4m" in on_terminal("stats", environment={"NO_COLOR": ""}), "an empty NO_COLOR says nothing")
    for arguments in ["stats", "--json"], ["history", "--csv"], ["list-ports", "--json"], ["status", "--json"]:
        true("\x1b" not in on_terminal(*arguments), f"no colours of {arguments}")


def bars(text):
    """The bars of a history, and its lines without them."""
    (_, rows), = tables(re.sub("\x1b\\[\\d*m", "", text))
    return [re.search(r"[#▏▎▍▌▋▊▉█]*$", row).group() for row in rows]


@test
def bars_are_to_scale():
    """Bars are as long as the amounts are large, in eighths of a column or in whole ones of ASCII"""
    options = ["history", "-p", PORT, "--from", past.zone.today() - 30 * DAY, "--to", past.zone.today() - DAY]
    amounts = [row["rx_bytes"] + row["tx_bytes"] for row in daemon.json(*options)["rows"]]
    found = bars(on_terminal(*options))
    eighths = [sum("▏▎▍▌▋▊▉█".index(c) + 1 for c in bar) for bar in found]
    equal(eighths, [amount * 320 // max(amounts) for amount in amounts], "eighths")
    found = bars(on_terminal(*options, environment={"LC_ALL": "C"}))
    equal([len(bar) for bar in found], [amount * 320 // max(amounts) // 8 for amount in amounts], "whole ones")
    true(set("".join(found)) == {"#"}, "ASCII")


@test
def bars_fit():
    """Bars take what the terminal has left, and go away where that is little; pipes have none"""
    options = ["history", "-p", PORT, "--from", past.zone.today() - 30 * DAY, "--to", past.zone.today() - DAY]
    plain = daemon.portmon(*options)
    table = max(len(row) for title, rows in tables(plain) for row in (title, *rows))
    others = max(map(len, plain.splitlines()))  # gaps are not cut
    for columns in 1, 20, 40, 60, table, table + 9, table + 10, table + 20, table + 41, table + 42, 80, 120, 300, 65535:
        text = on_terminal(*options, columns=columns, environment={"NO_COLOR": "1"})
        left = columns - table - 2
        longest = max(map(len, bars(text)))
        equal(longest, 0 if left < 8 else min(left, 40), f"longest bar in {columns} columns")
        # COLUMNS wins over the terminal; what is no number does not.
        for other, value in ((columns, str(columns)), (300, "x"), (300, "0"), (300, "-5"), (300, "99999999999")):
            text = on_terminal(*options, columns=300, environment={"NO_COLOR": "1", "COLUMNS": value})
            wanted = 0 if other - table - 2 < 8 else min(other - table - 2, 40)
            equal(max(map(len, bars(text))), wanted, f"longest bar with COLUMNS={value}")
            if other >= table:
                equal(re.sub(r" *[▏▎▍▌▋▊▉█]*$", "", text, flags=re.MULTILINE), plain, "the rest of the text")


# What stays in a table, however narrow the terminal is; the rates where nothing else is told.
ESSENTIAL = {"PORT", "DESCRIPTION", "DAY", "FROM", "RECEIVED", "SENT", "REMOTE", "PROCESS"}
RATES = {"RX RATE", "TX RATE"}


@test
def tables_fit():
    """On a narrow terminal the columns that matter least are left out, and the last text is cut"""
    for arguments in TABLES:
        plain = {title for line, _ in tables(daemon.portmon(*arguments)) for title, _, _ in cells(line)}
        before = plain
        essential = ESSENTIAL if "RECEIVED" in plain else ESSENTIAL | RATES
        for columns in 300, 120, 100, 80, 60, 50, 40, 20:
            text = on_terminal(*arguments, columns=columns, environment={"NO_COLOR": "1"})
            text = re.sub(" *[▏▎▍▌▋▊▉█]*$", "", text, flags=re.MULTILINE)
            check_alignment(text, f"{arguments} in {columns} columns")
            for title, rows in tables(text):
                titles = {title for title, _, _ in cells(title)}
                true(titles <= before and essential & plain <= titles, f"{titles} of {before} in {columns} columns")
                fits = all(width(line) <= columns for line in (title, *rows))
                true(fits or titles <= essential or arguments[:2] == ["stats", "-p"], f"{arguments} fit {columns}: {text}")
            before = titles


@test
def texts_are_cut():
    """What is cut of a description is marked, and only on a terminal"""
    for columns, left in (40, DESCRIPTION), (22, "Wéb 日本語 e\u0301 .."), (21, "Wéb 日本語 e\u0301.."), (20, "Wéb 日本語 .."), (1, "Wéb 日本語.."):
        (_, rows), = tables(on_terminal("list-ports", columns=columns, environment={"NO_COLOR": "1"}))
        equal(rows[1].split(maxsplit=1)[1], left, f"the description in {columns} columns")
    true(DESCRIPTION in daemon.portmon("list-ports"), "all of it in a pipe")


@test
def forgotten_detail():
    """Where a range begins before the time that detail is kept for, that is told, but not to machines"""
    kept = past.zone.today() - 180 * DAY
    for first, by, wanted in ((kept, "hour", False), (kept - DAY, "hour", True), (kept - DAY, "5min", True), (kept - DAY, "day", False)):
        options = ["history", "-p", EMPTY, "--by", by, "--from", first, "--to", past.zone.today()]
        text = daemon.portmon(*options)
        equal(f"for 180 days, since {kept}; before, try --by day\n" in text, wanted, f"whether it is told by {by} since {first}")
        true("kept" not in daemon.portmon(*options, "--csv") + daemon.portmon(*options, "--json"), "machines are not told")


# ---- JSON ----


def date(value):
    return datetime.date.fromisoformat(value)


def moment(value):
    """RFC 3339 with an offset."""
    true(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", value), f"{value} is RFC 3339")


def number(value):
    true(type(value) is int and 0 <= value < 2 ** 64, f"{value!r} is a number")


def text(value):
    true(type(value) is str, f"{value!r} is text")


def truth(value):
    true(type(value) is bool, f"{value!r} is true or false")


def one_of(*values):
    def check(value):
        true(value in values, f"{value!r} is one of {values}")
    return check


def nothing_or(schema):
    def check(value):
        if value is not None:
            conforms(value, schema)
    return check


# The contract's keys; after "+" those that were added since.
FIGURES = {"rx_bytes": number, "tx_bytes": number, "rx_packets": number, "tx_packets": number, "connections": number,
           "connections_total": number, "rx_rate": number, "tx_rate": number, "today_rx_bytes": number,
           "today_tx_bytes": number}
RECORD = {"rx_bytes": number, "tx_bytes": number, "rx_packets": number, "tx_packets": number, "connections": number,
          "peak_rx_rate": number, "peak_tx_rate": number}
GAPS = [{"from": moment, "until": moment, "text": text,
         "reason": one_of("stopped", "crashed", "rebooted", "unsampled", "clock", "damaged", "skipped")}]
ROLE = one_of("server", "client")
NAMED = {"port": number, "description": text}
LIVE = {**NAMED, **FIGURES, "client": FIGURES, "+exact": truth}
RANGE = {"port": number, "start_date": date, "end_date": date, "total_rx": number, "total_tx": number,
         "total_bytes": number, "peak_rx_rate": number, "peak_tx_rate": number,
         "daily_stats": [{"date": date, **RECORD}],
         "+role": ROLE, "+total_connections": number, "+gaps": GAPS, "+unfinished": truth,
         "+estimate": nothing_or({"total_rx": number, "total_tx": number}),
         "+percentile_95": nothing_or({"rx_rate": number, "tx_rate": number, "intervals": number})}
HISTORY = {"port": number, "role": ROLE, "resolution": one_of("5min", "hour", "day", "month"),
           "rows": [{"start": moment, **RECORD}], "+gaps": GAPS}
CONNECTIONS = {"port": number, "count": number, "connections": [{
    "local_addr": text, "local_port": number, "remote_addr": text, "remote_port": number, "role": ROLE, "state": text,
    "rx_bytes": number, "tx_bytes": number, "started_at": moment, "duration": number, "rtt_usec": number,
    "+rx_rate": number, "+tx_rate": number, "+adopted": truth, "+retransmissions": number, "+pid": number,
    "+process": text}]}
STATUS = {"running": one_of(True), "uptime": number, "start_time": moment, "monitored_ports": number,
          "port_infos": [NAMED], "data_dir": text, "retention_days": number, "socket_path": text, "version": text,
          "collector": text, "+exact": truth, "+time_zone": text, "+ledger_failure": text, "+gaps": GAPS,
          "+losses": {name: number for name in ("storage_failures", "lost_closes", "unsettled", "skipped_events")}}

SCHEMAS = {
    ("stats",): {"ports": [LIVE]},
    ("stats", "-p", PORT): LIVE,
    ("stats", "-p", PORT, "--role", "client"): LIVE,
    ("stats", "--this-month"): {"ports": [RANGE]},
    ("stats", "-p", PORT, "--today"): RANGE,
    ("stats", "-p", PORT, "--cycle-day", 1, "--cycle", -1): RANGE,
    ("stats", "-p", PORT, "--cycle-day", 1, "--cycle", -9): RANGE,
    ("stats", "-p", EMPTY, "--last-7-days"): RANGE,
    ("history",): {"ports": [HISTORY]},
    ("history", "-p", PORT, "--by", "5min"): HISTORY,
    ("history", "-p", PORT, "--by", "hour", "--utc"): HISTORY,
    ("history", "-p", EMPTY): HISTORY,
    ("connections",): {"ports": [CONNECTIONS]},
    ("connections", "-p", PORT): CONNECTIONS,
    ("connections", "-p", EMPTY): CONNECTIONS,
    ("status",): STATUS,
    ("list-ports",): {"ports": [NAMED]},
}


def conforms(value, schema):
    if isinstance(schema, dict):
        true(isinstance(value, dict), f"{value!r} is an object")
        schema = {key.lstrip("+"): inner for key, inner in schema.items()}
        equal(set(value), set(schema), "keys")
        for key, inner in schema.items():
            conforms(value[key], inner)
    elif isinstance(schema, list):
        true(isinstance(value, list), f"{value!r} is an array")
        for element in value:
            conforms(element, schema[0])
    else:
        schema(value)


@test
def json_is_as_agreed():
    """Every verb's JSON has the keys and types of the contract"""
    for arguments, schema in SCHEMAS.items():
        try:
            conforms(daemon.json(*arguments), schema)
        except (Failure, ValueError) as failure:
            raise Failure(f"{arguments}: {failure}")


@test
def json_is_ascii_or_utf8():
    """JSON is one object in valid UTF-8, with nothing before or after it"""
    for arguments in SCHEMAS:
        for locale in "C", "C.UTF-8":
            done = ask(*arguments, "--json", environment={"LC_ALL": locale})
            equal(done.stderr, b"", "standard error")
            json.loads(done.stdout.decode())
            true(done.stdout.startswith(b"{") and done.stdout.endswith(b"}\n"), "an object")


# ---- where output goes ----


ALL = [*TABLES, *([*arguments, "--json"] for arguments in SCHEMAS), ["history", "--csv"], ["status"], ["--help"],
       ["stats", "--help"], ["--version"]]


def check_failure(done, reason, arguments):
    """If it failed before the end, the reason is not known any more."""
    equal(done.returncode, 1, f"status of {arguments}")
    said = done.stderr.decode()
    true(said in ("portmon: Cannot write the output\n", f"portmon: Cannot write the output: {reason}\n"),
         f"{said!r} of {arguments} tells")


@test
def full_disk():
    """Output that can't be written is a failure: one line that says so, exit status 1"""
    for arguments in [*ALL, ["watch"], ["watch", "--json"]]:
        with open("/dev/full", "wb") as full:
            done = ask(*arguments, stdout=full)
        check_failure(done, "No space left on device", arguments)
    for option in "--help", "--version":
        with open("/dev/full", "wb") as full:
            equal(subprocess.run([PORTMOND, option], stdout=full).returncode, 1, f"status of portmond {option}")


def without(*numbers):
    def close():
        for number in numbers:
            os.close(number)
    return close


@test
def closed_output():
    """A closed standard output is a failure, and nothing goes to the daemon in its place"""
    for arguments in ALL:
        done = ask(*arguments, stdout=None, preexec_fn=without(1))
        check_failure(done, "Bad file descriptor", arguments)
    for closed in (0,), (0, 1), (0, 2), (1, 2), (0, 1, 2):
        done = ask("list-ports", stdout=None if 1 in closed else subprocess.PIPE,
                   stderr=None if 2 in closed else subprocess.PIPE, preexec_fn=without(*closed))
        equal(done.returncode, 1 if 1 in closed else 0, f"status without {closed}")
    daemon.json("list-ports")


@test
def broken_pipe():
    """A reader that goes away ends it quietly; where that signal is ignored, with a message"""
    def ignore():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    for arguments in ["stats"], ["history", "-p", PORT, "--by", "5min", "--csv"], ["watch"], ["stats", "--json"]:
        for prepare, wanted in ((None, (-signal.SIGPIPE, b"")),
                                (ignore, (1, b"portmon: Cannot write the output: Broken pipe\n"))):
            read_end, write_end = os.pipe()
            os.close(read_end)
            done = ask(*arguments, stdout=write_end, preexec_fn=prepare, restore_signals=prepare is None)
            os.close(write_end)
            equal((done.returncode, done.stderr), wanted, f"status of {arguments}")


@test
def nothing_is_watched():
    """Where no port is watched it says how to watch one, not in the way of who reads the output"""
    with Daemon() as empty:
        for arguments in ["stats"], ["list-ports"], ["history"], ["connections"], ["stats", "--today"]:
            done = empty.try_portmon(*arguments)
            equal((done.returncode, done.stderr), (0, "No port is watched; add one: portmon add-port PORT\n"),
                  f"{arguments}")
            done = empty.try_portmon(*arguments, "--json")
            equal((done.returncode, done.stderr, json.loads(done.stdout)), (0, "", {"ports": []}), f"JSON of {arguments}")
        done = empty.try_portmon("history", "--csv")
        equal((done.stderr, len(done.stdout.splitlines())), ("", 1), "CSV")


try:
    start()
    run()
finally:
    daemon.__exit__()
