# SPDX-License-Identifier: MIT
"""What the tests of an installation share, which begins in one boot and ends in another."""

from container import *

TOP = pathlib.Path(os.environ["PORTMON_TOP"])
STATE = pathlib.Path("/suite/state.json")

PORT, OTHER, THIRD = 19541, 19542, 19543
SIZES = 123457, 765433  # what transfer() moves

# What comes and goes on any system, and what the tests bring along.
CHANGING = ["/suite", "/var/cache", "/var/log", "/var/tmp", "/tmp", "/root/.cache"]


def quickstart(*arguments):
    """Runs tools/quickstart with all that is to be built there: here is no compiler."""
    tools = pathlib.Path("/suite/tools")
    tools.mkdir(exist_ok=True)
    for name, text in {"dpkg-query": "echo installed", "ninja": ""}.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    return subprocess.run([TOP / "tools/quickstart", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})


def install(*ports):
    done = quickstart(*(f"--port={port}" for port in (PORT, *ports)))
    equal(done.returncode, 0, f"the exit status of quickstart, which says {done.stderr!r}")
    return done.stdout


def tree():
    """All files, with what is in those that tell of users."""
    leave_out = [word for path in CHANGING for word in ("-path", path, "-prune", "-o")]
    files = sh("find", "/", "-xdev", *leave_out, "-print").splitlines()
    users = {name: sorted(pathlib.Path("/etc", name).read_text().splitlines()) for name in ("passwd", "group")}
    return {"files": sorted(files), "users": users}


def stats(port):
    return json.loads(portmon_as("ordinary", "stats", "--port", port, "--json"))


def settled(port):
    """The figures of a port that outlive portmond, once none of its connections is open."""
    found = eventually(lambda: (found := stats(port))["connections"] == 0 and found, "all connections are closed")
    return [found[key] for key in ("rx_bytes", "tx_bytes", "connections_total")]


def list_ports():
    return {port["port"]: port["description"]
            for port in json.loads(portmon_as("ordinary", "list-ports", "--json"))["ports"]}
