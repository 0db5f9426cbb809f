#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The command line: what is taken, what is refused and how, and what messages say."""

import os
import pathlib
import random
import re
import socketserver
import subprocess
import sys
import tempfile
import threading
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *
from shells import SHELLS

need_root_and_bpf()

PORT, OTHER, THIRD = 17141, 17142, 17143
NOBODY = 65534

daemon = Daemon(PORT, OTHER)


def ask(*arguments, socket_path=None, unprivileged=False, environment=None, first=()):
    """Runs the client; arguments may be bytes."""
    command = [PORTMON, *first, "--socket", socket_path or daemon.socket,
               *(a if isinstance(a, bytes) else str(a) for a in arguments)]
    if unprivileged:
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", env={**os.environ, **(environment or {})},
                          timeout=4 * PATIENCE_SEC)


def fails(*arguments, status=1, says=(), **options):
    """It must end with that status, one line on standard error that has these words, and no output."""
    done = ask(*arguments, **options)
    equal((done.returncode, done.stdout), (status, ""), f"status and output of {arguments} ({done.stderr})")
    equal(len(done.stderr.splitlines()), 1, f"lines of {done.stderr!r}")
    true(not any(unicodedata.category(c) == "Cc" for c in done.stderr.rstrip("\n")), f"{done.stderr!r} has no controls")
    for words in [says] if isinstance(says, str) else says:
        true(words in done.stderr, f"{words!r} is in {done.stderr!r}")
    return done.stderr


def works(*arguments, **options):
    done = ask(*arguments, **options)
    equal((done.returncode, done.stderr), (0, ""), f"status of {arguments}")
    return done.stdout


def verbs():
    text = works("--help").split("Verbs:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in text.splitlines()]


# ---- what is taken ----


@test
def prefixes_of_verbs():
    """Each unambiguous beginning of a verb is enough, and an ambiguous one names what it may be"""
    names = verbs()
    true(len(names) >= 10, f"{names} are all verbs")
    for verb in names:
        for length in range(1, len(verb) + 1):
            prefix = verb[:length]
            meant = [name for name in names if name.startswith(prefix)]
            if prefix in names or len(meant) == 1:
                equal(works(prefix, "--help"), works(verb, "--help"), f"help of {prefix}")
            else:
                message = fails(prefix, "--help", status=2, says=f"'{prefix}' may be")
                true(all(name in message for name in meant[:2]), f"{meant} are in {message!r}")
    for word in "", "x", "statsx", "Stats", "-", "stats ", "state\n":
        fails(word, status=2)


@test
def prefixes_of_options():
    """Each unambiguous beginning of a long option is enough, and an ambiguous one is refused"""
    options = re.findall(r"^  .. --([\w-]+)(=?)", works("--help"), re.MULTILINE)
    names = [name for name, _ in options]
    true(len(names) > 15, f"{names} are all options")
    for name, value in options:
        for length in range(1, len(name) + 1):
            prefix = name[:length]
            if prefix in names or sum(other.startswith(prefix) for other in names) == 1:
                # It is known: what is wrong, if anything, is something else.
                done = ask("flush", f"--{prefix}=x" if value else f"--{prefix}")
                true("is not an option" not in done.stderr and "may be" not in done.stderr, f"{prefix}: {done.stderr}")
            else:
                meant = [name for name in names if name.startswith(prefix)][:2]
                fails("stats", f"--{prefix}", status=2, says=f"'--{prefix}' may be --{meant[0]} or --{meant[1]}")
    equal(json.loads(works("stats", "--p", PORT, "--js"))["port"], PORT, "port")


@test
def order_is_free():
    """Options may stand before and after the verb, joined to their values or not"""
    plain = json.loads(works("history", "-p", PORT, "--by", "hour", "--json"))
    for arguments in (["-p", PORT, "history", "--json", "--by=hour"], ["--json", "--by", "hour", f"--port={PORT}", "history"],
                      [f"-p{PORT}", "history", "--by=hour", "--json"], ["history", "--json", "--json", "-p", PORT, "-p", PORT,
                                                                        "--by", "day", "--by", "hour"]):
        equal(json.loads(works(*arguments)), plain, f"output of {arguments}")
    works("describe-port", "--", PORT, "-dash")
    equal(json.loads(works("stats", "-p", PORT, "--json"))["description"], "-dash", "description")
    works("describe-port", PORT, "")
    equal(json.loads(works("stats", "-p", PORT, "--json"))["description"], "", "no description")


@test
def help_and_version():
    """Help and version go to standard output, exit status 0, without a daemon"""
    for arguments in ["--help"], ["-h"], ["stats", "--help"], ["-h", "history"], ["add-port", "-h"], ["--version"]:
        done = ask(*arguments, socket_path="/nowhere")
        equal((done.returncode, done.stderr), (0, ""), f"status of {arguments}")
        true(done.stdout, "output")
    true(re.fullmatch(r"portmon \d+\.\d+\.\d+\n", works("--version")), "version")


# ---- what is refused ----


NO_PORTS = ["", "0", "65536", "-1", "+80", "80abc", " 80", "80 ", "8 0", "0x50", "8e1", "80.0", "１", "99999999999999999999",
            str(2 ** 64 + 80), str(2 ** 16 + 80), "http"]
NO_DATES = ["", "2026", "2026-1-1", "2026-02-29", "2025-02-30", "2026-13-01", "2026-00-10", "2026-01-00", "2026-11-31",
            "26-01-01", "2026/01/01", "2026-01-01T00:00:00", "today", " 2026-01-01", "2026-01-01 ", "0000-01-01", "10000-01-01",
            "-026-01-01", "2026-01-1a"]


@test
def numbers_and_dates():
    """Numbers and dates are taken whole or not at all: exit status 2"""
    for text in NO_PORTS:
        for arguments in ["stats", "-p", text], ["history", f"--port={text}"], ["add-port", "--", text], ["remove-port", "--", text], \
                ["describe-port", "--", text, "x"]:
            fails(*arguments, status=2, says=f"'{text}' is not a port")
    for text in NO_DATES:
        fails("stats", "--from", text, "--to", "2026-12-01", status=2, says=f"'{text}' is not a date")
        fails("history", "--from", "2020-01-01", f"--to={text}", status=2, says=f"'{text}' is not a date")
    for option, texts in (("--cycle-day", ["", "0", "32", "-1", "1.5", "x", "999999999999999999999"]),
                          ("--cycle", ["", "1", "-1201", "--1", "-", "x", "-1x", "-99999999999999999999"]),
                          ("--limit", ["", "0", "-1", "x", "1k", "18446744073709551616"]),
                          ("--interval", ["", "0", "-1", "3601", "0.5", "x", "18446744073709551617"]),
                          ("--role", ["", "both", "Server", "serve", "server "]),
                          ("--by", ["", "5", "minute", "days", "Day", "year"])):
        verb = "watch" if option == "--interval" else "history"
        for text in texts:
            fails(verb, f"{option}={text}", status=2, says=f"'{text}' is not a")


@test
def combinations():
    """Options that exclude each other, or are not the verb's, are refused: exit status 2"""
    ranges = [["--today"], ["--this-month"], ["--last-7-days"], ["--last-30-days"], ["--cycle-day", "3"], ["--cycle", "-1"],
              ["--from", "2026-01-01", "--to", "2026-01-02"]]
    for number, one in enumerate(ranges):
        for other in ranges[number + 1:]:
            if {one[0], other[0]} == {"--cycle-day", "--cycle"}:
                continue
            for verb in "stats", "history":
                fails(verb, *one, *other, status=2, says="two ranges")
                fails(verb, *other, *one, status=2, says="two ranges")
    fails("stats", "--from", "2026-01-01", status=2, says="--from needs --to")
    fails("stats", "--to", "2026-01-01", status=2, says="--to needs --from")
    fails("stats", "--from", "2026-01-02", "--to", "2026-01-01", status=2, says="ends before it begins")
    fails("history", "--json", "--csv", status=2, says="exclude each other")
    fails("stats", "-p", PORT, "-p", OTHER, status=2, says="two ports")
    fails("status", first=["-H", "host"], status=2, says="exclude each other")
    fails("--host=", "status", status=2)
    fails("--socket=", "status", status=2)
    listed = set(re.findall(r" --([\w-]+)", works("--help"))) - {"help", "version", "host", "socket"}
    values = {"port": "80", "role": "server", "cycle-day": "1", "cycle": "0", "from": "2026-01-01", "to": "2026-01-02",
              "by": "day", "limit": "1", "interval": "1"}
    for verb in verbs():
        own = set(re.findall(r" --([\w-]+)", works(verb, "--help")))
        for option in listed - own:
            fails(verb, f"--{option}={values[option]}" if option in values else f"--{option}", status=2,
                  says=f"{verb} has no option --{option}")


@test
def parameters():
    """Too few and too many parameters, and options without their value: exit status 2"""
    fails(status=2, says="say what to do")
    for verb in verbs():
        text = works(verb, "--help").splitlines()[0]
        wanted = re.findall(r"\[?[A-Z]+\]?", text.split("[OPTIONS]")[-1].replace("portmon", ""))
        least = len([word for word in wanted if word[0] != "["])
        for count in range(least):
            fails(verb, *["80"] * count, status=2, says=f"{verb} needs")
        fails(verb, *["80"] * len(wanted), "toomuch", status=2, says="'toomuch' is too much")
        for option in re.findall(r" --([\w-]+)=", works(verb, "--help")):
            fails(verb, f"--{option}", status=2, says=f"--{option} needs a value")
        for option in re.findall(r" --([\w-]+) ", works(verb, "--help")):
            fails(verb, f"--{option}=x", status=2, says=f"--{option} takes no value")
    for arguments, words in ((["stats", "--nonsense"], "'--nonsense' is not an option"), (["stats", "-x"], "'-x' is not an option"),
                             (["--nonsense=3"], "'--nonsense=3' is not an option"), (["stats", "-p"], "-p needs a value"),
                             (["stats", "-jx"], "'-j' is not an option"), (["stats", "-hx"], "'-x' is not an option"),
                             (["stats", "--="], "'--=' is not an option"), (["stats", "-"], "'-' is too much"),
                             (["--", "--help"], "'--help' is not a verb"), (["stats", "--c=1"], "may be --cycle-day or --cycle")):
        fails(*arguments, status=2, says=words)


@test
def refused_before_anything():
    """What is wrong with the command line is said before portmond is asked"""
    for arguments in ["nonsense"], ["stats", "--today", "--this-month"], ["flush", "--json"], ["add-port", "0"], []:
        fails(*arguments, status=2, socket_path="/nowhere")


@test
def odd_bytes():
    """Arguments of odd bytes and great length are refused in one printable line, and nothing is changed"""
    source = random.Random(5)
    before = works("list-ports", "--json")
    odd = [b"\xff\xfe", b"\x1b[31m", b"a\nb", b"\xc2\x9b31m", b"%s%n%x", b"9" * 100000, b"x" * 100000, "ä".encode("latin1"),
           "\u202e".encode(), b"\x7f", *(source.randbytes(20).replace(b"\0", b"") for _ in range(20))]
    for word in odd:
        for arguments in ([word], [b"stats", b"-p" + word], [b"stats", b"--from", word, b"--to", word], [b"history", b"--by=" + word],
                          [b"add-port", b"--", word], [b"stats", b"--role", word], [b"stats", word], [b"stats", b"--" + word]):
            fails(*arguments, status=2)
    for word in b"\xff\xfe", b"a\nb", b"\x1b[31m", b"x" * 257, "ä".encode() * 129, b"\x7f", b"\t":
        fails("add-port", THIRD, word, says=f"Cannot add port {THIRD}")
        fails("describe-port", PORT, word, says=f"Cannot describe port {PORT}")
    equal(works("list-ports", "--json"), before, "ports")


@test
def descriptions():
    """Descriptions of any script, and of the greatest length, come back as they were given"""
    for text in "x" * 256, "ä" * 128, "日本語", "a'b\"c\\d", "%s%d", "  spaces  ", "🚀", "e\u0301", "שלום", "-x", "--json":
        works("describe-port", "--", PORT, text)
        equal(json.loads(works("stats", "-p", PORT, "--json"))["description"], text, "description")
        true(text in works("list-ports"), f"{text!r} is in the list")
    works("describe-port", PORT, "")


# ---- what fails ----


@test
def nearest_port():
    """A port that is not watched: the nearest that is, if there is one"""
    for port, nearest in ((PORT - 1, PORT), (1, PORT), (65535, OTHER), (OTHER + 1, OTHER)):
        for arguments in (["stats", "-p", port], ["stats", "-p", port, "--today"], ["history", "-p", port],
                          ["connections", "-p", port], ["remove-port", port], ["describe-port", port, "x"], ["watch", "-p", port]):
            fails(*arguments, says=[f"port {port}", "not watched", f"the nearest that is watched is {nearest}"])
    with Daemon() as empty:
        message = fails("stats", "-p", PORT, socket_path=empty.socket, says="not watched")
        true("nearest" not in message, f"no nearest one in {message!r}")
    fails("add-port", PORT, says=[f"Cannot add port {PORT}", "already"])


@test
def not_authorised():
    """Others than root read figures; what they may not do names the action, and changes nothing"""
    daemon.directory.chmod(0o755)
    before = works("list-ports", "--json")
    for arguments in (["stats"], ["stats", "-p", PORT], ["stats", "--today"], ["history"], ["status"], ["list-ports"]):
        equal(ask(*arguments, unprivileged=True).returncode, 0, f"status of {arguments}")
    for action, *arguments in (("manage-ports", "add-port", THIRD), ("manage-ports", "remove-port", PORT),
                               ("manage-ports", "describe-port", PORT, "theirs"), ("flush", "flush"),
                               ("inspect-connections", "connections", "-p", PORT), ("inspect-connections", "connections")):
        fails(*arguments, unprivileged=True, says=["Cannot ", f"org.portmon.monitor1.{action}", "sudo"])
    equal(works("list-ports", "--json"), before, "ports")


@test
def nobody_there():
    """Without a daemon: what was tried, why it failed, and how to start one"""
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "file"
        file.touch()
        for path, why in (("/nowhere/socket", "No such file"), (file, "Connection refused"), (directory, "Connection refused"),
                          ("x" * 107, "No such file"), ("x" * 300, "too long"), (f"{file}/x", "Not a directory")):
            fails("status", socket_path=path, says=[f"Cannot reach portmond on {path}", why, "start portmond"])
    # On no bus, and with nobody on the default socket.
    if not os.path.exists("/run/portmon/portmon.sock"):
        done = subprocess.run([PORTMON, "status"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
        equal((done.returncode, len(done.stderr.splitlines())), (1, 1), "status and lines")
        for words in "no system bus", "/run/portmon/portmon.sock", "systemctl start portmond", "--socket":
            true(words in done.stderr, f"{words!r} is in {done.stderr!r}")


@test
def strange_servers():
    """A server that hangs up or talks nonsense is reported, in one line"""
    answers = [b"", b"REJECTED\r\n", b"nonsense\r\n" * 100, b"\0" * 4096, b"OK 0123456789abcdef0123456789abcdef\r\n",
               b"OK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n" + b"\xff" * 1000]

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1 << 16)
            self.request.sendall(self.server.answer)

    for answer in answers:
        with tempfile.TemporaryDirectory() as directory, \
                socketserver.ThreadingUnixStreamServer(f"{directory}/socket", Handler) as server:
            server.answer = answer
            threading.Thread(target=server.serve_forever, daemon=True).start()
            fails("stats", "-p", PORT, socket_path=f"{directory}/socket", says="Cannot ")
            server.shutdown()


@test
def removed_port_tells():
    """remove-port says that a port of the configuration comes back, and it does; history stays"""
    transfer(PORT)
    daemon.settled(PORT)
    text = works("remove-port", PORT)
    for words in str(PORT), "history stays", "next start or reload":
        true(words in text, f"{words!r} is in {text!r}")
    true("comes back with the next start or reload" in daemon.log_text(), "the log tells, too")
    equal(json.loads(works("stats", "-p", PORT, "--today", "--json"))["total_rx"], 123457, "history")
    daemon.restart()
    equal([port["port"] for port in json.loads(works("list-ports", "--json"))["ports"]], [PORT, OTHER], "ports")


@test
def changes_are_quiet():
    """add-port, describe-port and flush say nothing when all is well"""
    equal(works("add-port", THIRD, "Third"), "", "output")
    equal(works("describe-port", THIRD, "3rd"), "", "output")
    equal(works("flush"), "", "output")
    equal(json.loads(works("list-ports", "--json"))["ports"][2], {"port": THIRD, "description": "3rd"}, "the port")
    works("remove-port", THIRD)


@test
def completion_asks():
    """bash, zsh and fish complete the ports of the portmond that --socket names"""
    path = f"{PORTMON.absolute().parent}:{os.environ['PATH']}"
    for name in SHELLS:
        with SHELLS[name](PATH=path) as shell:
            equal(shell.complete(f"portmon --socket {daemon.socket} stats -p "), {str(PORT), str(OTHER)}, f"ports in {name}")


try:
    daemon.start()
    run()
finally:
    daemon.__exit__()
