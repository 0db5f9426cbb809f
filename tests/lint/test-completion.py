#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What bash, zsh and fish complete is what portmon and portmond take: no more, no less."""

import contextlib
import os
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
from harness import *
from shells import SHELLS

# Stands in for portmon where a completion asks it which ports are watched.
STANDIN = """#!/bin/sh
[ "$*" = list-ports ] && echo "PORT  DESCRIPTION" && echo "  22  SSH: for us" && echo 8080
[ "$*" = "--socket $HOME/other list-ports" ] && echo "PORT  DESCRIPTION" && echo " 999  Other"
[ "$*" = "--socket=$HOME/other list-ports" ] && echo "PORT  DESCRIPTION" && echo " 999  Other"
true
"""


@contextlib.contextmanager
def shell(name):
    with tempfile.TemporaryDirectory(prefix="portmon-test-") as directory:
        home = pathlib.Path(directory)
        for program, text in ("portmon", STANDIN), ("ss", "#!/bin/sh\necho LISTEN 0 5 '[::]:5000' '*:*'\n"):
            (home / program).write_text(text.replace("$HOME", directory))
            (home / program).chmod(0o755)
        for file in "one.yaml", "two.sock":
            (home / file).touch()
        (home / "sub").mkdir()
        with SHELLS[name](PATH=f"{home}:{os.environ['PATH']}") as found:
            yield found, home


def options(*command):
    """The options that a program's help lists, as they are typed."""
    return set(re.findall(r"(?<=\s)--?[a-zA-Z0-9][\w-]*", "".join(
        line[:33] + "\n" for line in sh(*command, "--help").splitlines() if re.match(r"  .*--", line))))


def verbs():
    text = sh(PORTMON, "--help").split("Verbs:\n")[1].split("\n\n")[0]
    return {line.split()[0] for line in text.splitlines()}


def with_values(command):
    """The long options of a program that take a value."""
    return set(re.findall(r"(--[\w-]+)=", sh(*command, "--help")))


def same(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: offered but not taken {sorted(got - wanted)}, "
                      f"taken but not offered {sorted(wanted - got)}")


def verbs_complete(name):
    """{} completes the verbs and the options of each, as --help lists them"""
    with shell(name) as (it, _):
        offered = it.complete("portmon ")
        # The dashboard is where curses are.
        same(offered - {"tui"}, verbs() - {"tui"}, "verbs")
        true(verbs() <= offered, f"all verbs are in {offered}")
        equal(it.complete("portmon st"), {"stats", "status"}, "verbs that begin with st")
        common = options(PORTMON, "flush")
        same(it.complete("portmon -"), common, "options without a verb")
        for verb in verbs():
            same(it.complete(f"portmon {verb} -"), options(PORTMON, verb), f"options of {verb}")
        equal(it.complete("portmon history --l"), {"--last-7-days", "--last-30-days", "--limit"}, "options of --l")
        equal(it.complete("portmon --socket /s flush --js"), set(), "an option that flush does not have")


def values_complete(name):
    """{} completes the values of options, behind a blank and behind ="""
    today = {sh("date", "+%F").strip()}
    values = {"--role": {"server", "client"}, "--by": {"5min", "hour", "day", "month"},
              "--cycle-day": {str(day) for day in range(1, 32)}, "--cycle": {"0", *(f"-{n}" for n in range(1, 13))},
              "--from": today, "--to": today, "--limit": set(), "--interval": set()}
    with shell(name) as (it, home):
        for verb in verbs():
            for option in with_values([PORTMON, verb]) - {"--host", "--socket", "--port"}:
                for line in f"portmon {verb} {option} ", f"portmon --socket /s {verb} {option}=":
                    equal(it.complete(line), values[option], f"values of {line!r}")
        for line in "portmon stats --role c", "portmon stats --role=c", "portmon stats --json --role=c":
            equal(it.complete(line), {"client"}, f"what {line!r} becomes")
        files = {pathlib.Path(word).name for word in it.complete(f"portmon --socket {home}/")}
        true({"one.yaml", "two.sock"} <= files, f"files for --socket are in {files}")


def ports_complete(name):
    """{} completes the ports that are watched, by the portmond that is asked, and those to be watched"""
    with shell(name) as (it, home):
        for line in ("stats -p ", "stats --port ", "stats --port=", "history -p ", "connections -p ", "watch -p ",
                     "remove-port ", "describe-port "):
            equal(it.complete(f"portmon {line}"), {"22", "8080"}, f"ports of {line!r}")
        equal(it.complete("portmon stats -p 8"), {"8080"}, "ports that begin with 8")
        for socket in f"--socket {home}/other", f"--socket={home}/other":
            equal(it.complete(f"portmon {socket} stats --port "), {"999"}, f"ports of {socket}")
            equal(it.complete(f"portmon {socket} remove-port "), {"999"}, f"ports to remove of {socket}")
        equal(it.complete("portmon add-port "), {"5000"}, "ports that somebody listens on")
        for line in "add-port 80 ", "remove-port 22 ", "describe-port 22 ", "flush ", "status ":
            offered = {word for word in it.complete(f"portmon {line}") if not word.startswith("-")}
            equal(offered, set(), f"what may follow {line!r}")


def portmond_completes(name):
    """{} completes portmond's options, levels, files and directories"""
    with shell(name) as (it, home):
        same(it.complete("portmond -"), options(PORTMOND), "options")
        for line in "portmond --log-level ", "portmond --log-level=", "portmond -p 80 --log-level ":
            equal(it.complete(line), {"debug", "info", "warn", "error"}, f"values of {line!r}")
        equal(it.complete("portmond --log-level=w"), {"warn"}, "levels that begin with w")
        for option in "-c ", "--config ", "--socket ":
            offered = {pathlib.Path(word).name for word in it.complete(f"portmond {option}{home}/")}
            true({"one.yaml", "two.sock"} <= offered, f"files for {option}: {offered}")
        offered = {pathlib.Path(word).name for word in it.complete(f"portmond --data-dir {home}/")}
        equal(offered, {"sub"}, "directories for --data-dir")
        for option in "-p ", "--retention-days ":
            equal(it.complete(f"portmond {option}"), set(), f"values of {option}")


for name in SHELLS:
    for function in verbs_complete, values_complete, ports_complete, portmond_completes:
        def case(function=function, name=name):
            function(name)
        case.__name__, case.__doc__ = f"{function.__name__}_{name}", function.__doc__.format(name)
        test(case)

run()
