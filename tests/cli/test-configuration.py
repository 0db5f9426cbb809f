#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The configuration file: what is refused and where, what a reload changes, and round trips."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *

need_root_and_bpf()

PORT, OTHER, THIRD = 17191, 17192, 17193


def check(text, *options):
    """What portmond --check says of a file: exit status, and lines without the file's name."""
    with tempfile.TemporaryDirectory(prefix="portmon-test-") as directory:
        path = pathlib.Path(directory) / "portmon.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        done = subprocess.run([PORTMOND, "--check", "--config", path, *options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_SEC)
        equal(done.stdout, b"", "standard output")
        lines = done.stderr.decode().splitlines()
        for line in lines:
            true(line.startswith(f"{path}:"), f"{line!r} begins with the file's name")
        return done.returncode, [line.removeprefix(f"{path}:") for line in lines]


@test
def all_errors_at_once():
    """Every error of a file is reported at once, with line, column and key"""
    status, lines = check("""\
ports:
  - 0
  - port: "80"
    descripton: x
  - port: 81
    cycle_day: 32
    description: [a]
  - {description: none}
  - "80"
  - 90
  - 90
  - - 5
  - port: 65536
    port: 5
    description: "a\\tb"
data_dir: relative
socket: 5
retention_days: 366
log_level: loud
retention_days: 4
unknown: {}
""")
    equal(status, 1, "exit status")
    wanted = [("2:5", "port"), ("3:11", "port"), ("4:5", "descripton"), ("6:16", "cycle_day"), ("7:18", "description"),
              ("8:5", "'port'"), ("9:5", "port"), ("11:5", "90"), ("12:5", "port"), ("13:11", "port"), ("14:5", "'port' is there twice"),
              ("15:18", "description"), ("16:11", "data_dir"), ("17:9", "socket"), ("18:17", "retention_days"),
              ("19:12", "log_level"), ("20:1", "'retention_days' is there twice"), ("21:1", "unknown")]
    equal([line.split(": ")[0] for line in lines], [place for place, _ in wanted], "places")
    for line, (_, key) in zip(lines, wanted):
        true(key in line.split(": ", 1)[1], f"{key!r} is in {line!r}")


@test
def each_error():
    """Wrong syntax, types and ranges: one line, at the place where it is"""
    for text, place, words in (
            ("a", "1:1", "mapping"), ("- 1", "1:1", "a list"), ("ports: {}", "1:8", "'ports' must be a list"),
            ("ports:", "1:7", "nothing"), ("ports: 80", "1:8", "text"), ("a: b: c", "1:5", "not allowed"), ("\tx: 1", "1:1", "Not valid"),
            ("ports: [*a]", "1:9", "alias"), ("ports: &a [*a]", "1:8", "port"), ("? [a]\n: 1", "1:3", "a list"),
            ("---\nports: []\n---\nports: []", "3:1", "second document"), ("ports: [1, 2", "2:1", "Not valid"),
            ("ports: ['80]", "1:13", "Not valid"), (b"ports: [\xff]", "1:9", "UTF-8"), ("x: ä\nä: \0", "2:4", "control"),
            (b"\xef\xbb\xbfportss: []", "1:1", "portss"), ("!!x ports: []\nx: 1", "2:1", "'x'"),
            *((f"ports: [{port}]", "1:9", "port must be a number") for port in (
                "0", "65536", "-1", "+80", "80abc", "1.0", "1e3", "0x50", "80_0", "true", "~", "null", "''", '"80"', "99999999999999999999",
                "[80]", "8 0", "!!str x")),
            *((f"retention_days: {days}", "1:17", "retention_days must be a number") for days in (
                "0", "366", "-1", "1.5", "'7'", "x", "[7]", "{}", "~", "18446744073709551617")),
            *((f"log_level: {level}", "1:12", "log_level") for level in ("loud", "emerg", "crit", "0", "[info]", "Info", "''", "{}")),
            *((f"data_dir: {path}", "1:11", "data_dir must be an absolute path") for path in ("x", "./x", "''", "5", "[/x]", "~")),
            *((f"socket: {path}", "1:9", "socket must be an absolute path") for path in ("x", "''", "{}", "null")),
            *((f"ports: [{{port: 80, cycle_day: {day}}}]", "1:31", "cycle_day must be a number") for day in ("0", "32", "x", "1.5", "-1"))):
        status, lines = check(text)
        equal((status, len(lines)), (1, 1), f"status and lines of {text!r} ({lines})")
        true(lines[0].startswith(f"{place}: ") and words in lines[0], f"{lines[0]!r} of {text!r} is at {place}, with {words!r}")


@test
def what_is_valid():
    """What is valid is so without a word, with exit status 0; a duplicate is worth a warning"""
    for text in ("", "\n", "# nothing\n", "---\n", "{}", "null", "ports: []", "{ports: [80, {port: 81}], retention_days: 1}",
                 "ports:\n- 80\n- port: 81\n  description: ''\n", "ports: [!!int 80]", "%YAML 1.1\n---\nports: [1, 65535]\n...\n",
                 "ports: [{port: &p 80}, {port: 81, description: &d x}, {port: 82, description: *d}]",
                 "socket: /x\ndata_dir: '/a b'\nlog_level: warn", "retention_days: 365", "log_level: error", "log_level: debug",
                 json.dumps({"ports": [{"port": 80, "description": "JSON is YAML", "cycle_day": 31}]}),
                 "ports: [" + ", ".join(map(str, range(1, 65536))) + "]", "ports:\r\n  - 80\r\n",
                 "ports: [{port: 80, description: " + "x" * 256 + "}]"):
        equal(check(text), (0, []), f"what is said of {text[:60]!r}")
    for text, place in ("ports: [80, 81, 80]", "1:17"), ("ports:\n - 80\n - port: 80\n   description: x\n", "3:4"):
        status, lines = check(text)
        equal((status, len(lines)), (0, 1), f"status and lines of {text!r}")
        true(lines[0].startswith(f"{place}: ") and "80" in lines[0], f"{lines[0]!r} is a warning at {place}")


@test
def what_is_quoted():
    """What a message quotes from the file never breaks the line nor commands the terminal"""
    for key in '"\\e[31m"', '"a\\nb"', '"a\\0b"', '"\\x07"', '"' + "x" * 900 + '"', '"%s%n"':
        status, lines = check(f"{key}: 1\nports: [{key}]\nlog_level: {key}\n")
        equal((status, len(lines)), (1, 3), f"status and lines of {key} ({lines})")
        true(all(line.isprintable() for line in lines), f"{lines} are printable")


@test
def deep_and_large():
    """Deep, large and repetitive files are read or refused, not suffered from"""
    status, lines = check("ports: " + "[" * 2000)
    equal((status, len(lines)), (1, 1), "a deep list")
    status, lines = check("ports: " + "{a: " * 1000)
    equal((status, len(lines)), (1, 1), "a deep mapping")
    bomb = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10) if n else '80'}]\n" for n in range(9))
    status, lines = check(bomb + "ports: *x8\n")
    equal(status, 1, "a list of lists of lists")
    status, lines = check("ports:\n" + "- 0\n" * 20000)
    equal((status, len(lines)), (1, 20000), "errors of a long list")
    status, lines = check("#" * (33 << 20))
    equal((status, len(lines)), (1, 1), "a file that is too large")
    true("larger" in lines[0], f"{lines} tells")


@test
def files():
    """A default file may be missing; a named one that is missing, or no file, is an error"""
    for path, words in ("/nowhere/x.yaml", "No such file"), ("/", "Is a directory"), ("/proc/self/mem", "Cannot read"):
        for options in ["--check"], ["--port", PORT]:
            done = subprocess.run([PORTMOND, "--config", path, *map(str, options)], stderr=subprocess.PIPE, text=True)
            equal((done.returncode, len(done.stderr.splitlines())), (1, 1), f"status and lines of {path}")
            true(f"{path}: " in done.stderr and words in done.stderr, f"{done.stderr!r} tells")
    if not os.path.exists("/etc/portmon/portmon.yaml"):
        equal(subprocess.run([PORTMOND, "--check"]).returncode, 0, "without a file")


@test
def broken_file_does_not_start():
    """With a file that is wrong in two places portmond does not start, and logs both"""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file, tempfile.TemporaryDirectory() as directory:
        file.write("ports: [0]\nlog_level: loud\n")
        file.flush()
        done = subprocess.run([PORTMOND, "--config", file.name, "--data-dir", f"{directory}/d", "--socket", f"{directory}/s"],
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE_SEC)
        equal(done.returncode, 1, "exit status")
        equal([line.split("err: ")[1].split(": ")[0] for line in done.stderr.splitlines()],
              [f"{file.name}:1:9", f"{file.name}:2:12"], "places")
        equal(os.listdir(directory), [], "what it made")


# ---- reload ----


class Configured(Daemon):
    """A daemon with a configuration file."""

    def __init__(self, settings, *options):
        super().__init__(options=options)
        self.config = self.directory / "portmon.yaml"
        self.write(settings)

    def command(self):
        return [PORTMOND, "--config", self.config, *self.options[2:]]

    def write(self, settings):
        """Writes the file: as it is, or a mapping, to which its own places are added."""
        if isinstance(settings, dict):
            settings = json.dumps({"data_dir": str(self.data), "socket": str(self.socket), **settings})
        self.config.write_text(settings)

    def reload(self, settings):
        """Reads another configuration; returns what the log says of it."""
        before = len(self.log_text())
        self.write(settings)
        self.process.send_signal(signal.SIGHUP)
        return eventually(lambda: (said := self.log_text()[before:]) and
                          ("was read again" in said or "running one stays" in said) and said, "it is read again")

    def described(self):
        return {port["port"]: port["description"] for port in self.json("list-ports")["ports"]}


@test
def reload_logs_what_changed():
    """A reload changes ports, descriptions, cycles, retention and level, and logs each"""
    with Configured({"ports": [PORT, {"port": OTHER, "description": "Other", "cycle_day": 3}]}) as daemon:
        daemon.portmon("add-port", THIRD, "By hand")
        said = daemon.reload({"ports": [{"port": PORT, "description": "First", "cycle_day": 31}], "retention_days": 7,
                              "log_level": "debug"})
        for words in f"No longer watching port {OTHER}", "retention_days is 7", "log_level is debug":
            true(words in said, f"{words!r} is in {said!r}")
        equal(daemon.described(), {PORT: "First", THIRD: "By hand"}, "ports")
        equal(daemon.stats(PORT)["cycle_day"], 31, "cycle day")
        equal(daemon.json("status")["retention_days"], 7, "retention")
        said = daemon.reload({"ports": [OTHER, PORT], "data_dir": "/elsewhere", "socket": "/else/where"})
        for words in (f"Watching port {OTHER}", "retention_days is 180", "log_level is info", "data_dir changes", "socket changes",
                      "/elsewhere", "/else/where", "next restart"):
            true(words in said, f"{words!r} is in {said!r}")
        # A description that the file has no more stays, a cycle does not.
        equal(daemon.described(), {PORT: "First", OTHER: "Other", THIRD: "By hand"}, "ports")
        true("cycle_day" not in daemon.stats(PORT), "no cycle any more")
        status = daemon.json("status")
        equal((status["data_dir"], status["socket_path"]), (str(daemon.data), str(daemon.socket)), "places stay")


@test
def reload_of_a_broken_file():
    """A broken file is reported, all of it, and changes nothing"""
    with Configured({"ports": [{"port": PORT, "description": "First", "cycle_day": 5}], "retention_days": 9}) as daemon:
        before = daemon.json("status"), daemon.described(), daemon.stats(PORT)["cycle_day"]
        for text, places in (("ports: [\n", ["2:1"]), ("ports: [0]\nretention_days: 1\nlog_level: x\n", ["1:9", "3:12"]),
                             ("port: 1\n", ["1:1"]), (f"ports: [{OTHER}, 0]\n", ["1:16"])):
            said = daemon.reload(text)
            true("the running one stays" in said, f"{said!r} says so")
            for place in places:
                true(f"{daemon.config}:{place}: " in said, f"{place} is in {said!r}")
            after = daemon.json("status"), daemon.described(), daemon.stats(PORT)["cycle_day"]
            equal([{**part, "uptime": 0} if "uptime" in part else part for part in map(dict, after[:2])],
                  [{**part, "uptime": 0} if "uptime" in part else part for part in map(dict, before[:2])], f"state after {text!r}")
            equal(after[2], before[2], "cycle day")
        daemon.config.unlink()
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: "No such file" in daemon.log_text(), "the file's absence is reported")
        equal(daemon.described(), before[1], "ports")


@test
def options_win():
    """Options win over the file, also after a reload"""
    others = {"data_dir": "/nowhere", "socket": "/nowhere/socket", "log_level": "error"}
    daemon = Configured({"ports": [OTHER], "retention_days": 9, **others})
    daemon.options += ["--port", str(PORT), "--retention-days", "11", "--log-level", "info", "--data-dir", str(daemon.data),
                       "--socket", str(daemon.socket)]
    with daemon:
        for settings in None, {"ports": [THIRD], "retention_days": 12, **others}:
            if settings:
                daemon.reload(settings)
            equal(list(daemon.described()), [PORT], "ports")
            equal(daemon.json("status")["retention_days"], 11, "retention")


# ---- round trips ----


def spelled(source, text):
    """A text as YAML may have it: plain where it can be, in quotes of both kinds, or with escapes."""
    ways = ["'" + text.replace("'", "''") + "'", json.dumps(text, ensure_ascii=False)]
    if all(ord(c) < 0x10000 for c in text):  # for YAML two halves of a character are none
        ways.append(json.dumps(text))
    with contextlib.suppress(yaml.YAMLError):
        if [yaml.safe_load(where.format(text)) for where in ("k: {}", "[{{k: {}}}]")] == [{"k": text}, [{"k": text}]]:
            ways.append(text)
    return source.choice(ways)


def configuration(source):
    """A random configuration that is valid: what it means, and a text of it."""
    ports = source.sample(range(1, 65536), source.randrange(0, 12))
    alphabet = ["a", "Z", "0", " ", ":", "#", "-", "'", '"', "\\", "ä", "日", "🚀", "%", "{", "[", ",", "&", "*", "!", "|", "~", "é"]
    wanted = {}
    for port in ports:
        description = "".join(source.choices(alphabet, k=source.randrange(0, 30))).strip()
        wanted[port] = (description if source.random() < 0.7 else "", source.choice([0, 0, 1, 15, 28, 31]))
    settings = {"retention_days": source.randrange(1, 366), "log_level": source.choice(["debug", "info"])}

    def entry(port):
        description, cycle_day = wanted[port]
        keys = [f"port: {port}"]
        if description or source.random() < 0.2:
            keys.append(f"description: {spelled(source, description)}")
        if cycle_day:
            keys.append(f"cycle_day: {cycle_day}")
        source.shuffle(keys)
        return [str(port)] if len(keys) == 1 and source.random() < 0.7 else keys

    def block(keys):
        if len(keys) == 1 and ":" not in keys[0]:
            return f"  - {keys[0]}"
        if source.random() < 0.3:
            return "  - {" + ", ".join(keys) + "}"
        return "  - " + "\n    ".join(keys)

    entries = [entry(port) for port in ports]
    settings = {key: value for key, value in settings.items() if source.random() < 0.7}
    parts = [f"{key}: {value}" for key, value in settings.items()]
    style = source.randrange(4)
    if style == 0:  # JSON
        text = json.dumps({"ports": [{"port": port, "description": d, **({"cycle_day": c} if c else {})} for port, (d, c) in wanted.items()],
                           **settings}, indent=source.choice([None, 2]), ensure_ascii=False)
        return wanted, settings, text
    if not entries:
        parts.append("ports: []")
    elif style == 1:
        parts.append("ports: [" + ", ".join(keys[0] if len(keys) == 1 and ":" not in keys[0] else "{" + ", ".join(keys) + "}"
                                            for keys in entries) + "]")
    else:
        parts.append("ports:\n" + "\n".join(map(block, entries)))
    source.shuffle(parts)
    if source.random() < 0.5:
        parts = [part for one in parts for part in (source.choice(["# a comment", "", "   # another: one"]), one)]
    head = source.choice(["", "---\n", "%YAML 1.1\n---\n", "\n\n# portmon\n"])
    return wanted, settings, head + "\n".join(parts) + source.choice(["\n", "", "\n\n...\n"])


@test
def round_trips():
    """Random valid configurations in several styles are valid, and come out of the daemon as they went in"""
    seed = int(os.environ.get("PORTMON_SEED", "0")) or random.randrange(1, 10 ** 9)
    source = random.Random(seed)
    with Configured({}) as daemon:
        try:
            for number in range(60):
                wanted, settings, text = configuration(source)
                equal(yaml.safe_load(text) is not None, True, "another reader takes it")
                equal(check(text), (0, []), f"what --check says of {text!r}")
                # Descriptions that are not given stay what they were: the past must not shine through.
                for port, (description, _) in wanted.items():
                    if not description and daemon.described().get(port):
                        daemon.portmon("describe-port", port, "")
                true("was read again" in daemon.reload(text), f"{text!r} is taken")
                described = {port: description for port, (description, _) in wanted.items()}
                equal({p: d for p, d in daemon.described().items() if described.get(p)},
                      {p: d for p, d in described.items() if d}, f"descriptions of {text!r}")
                equal(sorted(daemon.described()), sorted(wanted), f"ports of {text!r}")
                for port, (_, cycle_day) in wanted.items():
                    equal(daemon.stats(port).get("cycle_day", 0), cycle_day, f"cycle day of {port} of {text!r}")
                equal(daemon.json("status")["retention_days"], settings.get("retention_days", 180), f"retention of {text!r}")
        except Failure as failure:
            raise Failure(f"{failure} (again with PORTMON_SEED={seed})")


run()
