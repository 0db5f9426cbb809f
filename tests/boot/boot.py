#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Boots containers with the real systemd, D-Bus and polkit, with portmon installed, and runs tests in them.

usage: boot.py FILE… [--bare FILE…]

Each file runs in a boot of its own, on a disk of its own. Those after --bare share one, boot after
boot, on which portmon is not installed: there are the source and the build that would install it.
What all of them report comes out as one report in TAP, and with a failure the journal of its boot.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "lib"))
import harness  # noqa: E402
from harness import PATIENCE_SEC, need_root_and_bpf, sh, skip  # noqa: E402
from nspawn import Layer, boot, make_root, mounted, own_cgroup  # noqa: E402
from report import Report  # noqa: E402

BUILD = harness.BUILD.resolve()

# A boot takes a second, the longest file ten.
TIMEOUT_SEC = 4 * PATIENCE_SEC

# Where things are in the container.
SUITE = "suite"
REPORT = f"{SUITE}/report"

UNIT = """
[Unit]
Description=Tests of portmon
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment=PYTHONUNBUFFERED=1 PORTMON_PATIENCE={patience} PORTMON_TOP={top} PORTMON_BUILD={build}
# What `meson install` runs where it installs into the running system.
ExecStartPre=sh -c 'if [ -x /suite/after-install ]; then exec /suite/after-install; fi'
ExecStartPre=systemd-sysusers /suite/tests/boot/users.conf
ExecStart=/usr/bin/python3 /suite/tests/boot/{file}
StandardOutput=append:/{report}
StandardError=journal
ExecStopPost=systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
"""

# A sanitizer looks for leaks by ptrace when the process ends, and waits forever if it is stopped for
# that just when systemd sends the SIGCONT that follows its SIGTERM. So here it is not systemd who does.
SANITIZER = """
[Service]
Environment=ASAN_OPTIONS=abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
SystemCallFilter=ptrace
ExecStop=sh -c 'kill "$MAINPID" && while kill -0 "$MAINPID" 2>/dev/null; do sleep 0.05; done'
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# ---- the container ----


def furnish(root):
    """What all containers have."""
    (root / SUITE).mkdir()
    shutil.copytree(HERE.parent, root / SUITE / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for program in "portmond", "portmon":
        copy_libraries(BUILD / "src" / program, root)


def install(root):
    sh("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root)
    shutil.copy(TOP / "units" / "after-install", root / SUITE)


def copy_libraries(program, root):
    """Copies what the root has no package of: the libraries of a sanitizer."""
    for path in re.findall(r"=> (/\S+)", sh("ldd", program)):
        inside = root / path.lstrip("/")
        if not inside.exists():
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, inside)
            write(root / "etc/systemd/system/portmond.service.d/sanitizer.conf", SANITIZER)


def boot_file(root, file, console, cgroup, contained):
    """
    Boots, waits for the end, and returns whether it came in time. In one that is not contained the
    service finds the cgroup that holds all others, as on a machine of its own.
    """
    unit = "etc/systemd/system/suite.service"
    write(root / unit, UNIT.format(file=file, report=REPORT, patience=os.environ.get("PORTMON_PATIENCE", "1"),
                                   top=TOP, build=BUILD))
    wanted = root / "etc/systemd/system/multi-user.target.wants/suite.service"
    wanted.parent.mkdir(exist_ok=True)
    wanted.unlink(missing_ok=True)
    wanted.symlink_to(f"/{unit}")
    (root / REPORT).unlink(missing_ok=True)
    try:
        boot(root, console, cgroup, TIMEOUT_SEC, SYSTEMD_NSPAWN_USE_CGNS="1" if contained else "0",
             SYSTEMD_NSPAWN_TMPFS_TMP="0")  # the source may be in /tmp
        return True
    except subprocess.TimeoutExpired:
        return False


# ---- what it reports ----


def print_journal(root, console):
    """What the last boot had to say of us; if it did not come that far, what is on the console."""
    units = [f"--unit={unit}" for unit in ("suite", "portmond.service", "portmond.socket", "dbus", "polkit")]
    done = subprocess.run(["journalctl", f"--directory={root}/var/log/journal", "--no-pager", "--boot",
                           "--output=short-monotonic", *units],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in (done.stdout or console.read_text(errors="replace")).splitlines():
        print(f"# {line}")


# ---- beginning and end ----


def run_file(file, root, cgroup, console, report, contained):
    with open(console, "wb") as output:
        ended = boot_file(root, file, output, cgroup, contained)
    text = (root / REPORT).read_text(errors="replace") if (root / REPORT).exists() else ""
    if not ended:
        print(f"# {file} did not end within {TIMEOUT_SEC} seconds")
    if not report.relay(file, text) or not ended:
        print_journal(root, console)


def run_files(files, bare_files, lower, memory, cgroup):
    report, console = Report(), memory / "console"
    furnished = Layer(memory, "furnished", lower)
    with furnished.mounted() as root:
        furnish(root)
    installed = Layer(memory, "installed", furnished.upper, lower)
    with installed.mounted() as root:
        install(root)
    for file in files:
        with Layer(memory, file, installed.upper, furnished.upper, lower).mounted() as root:
            run_file(file, root, cgroup, console, report, contained=False)
    with Layer(memory, "bare", furnished.upper, lower).mounted() as root, contextlib.ExitStack() as stack:
        for path in sources():
            stack.enter_context(mounted(root / str(path).lstrip("/"), path, "--bind"))
        for file in bare_files:
            run_file(file, root, cgroup, console, report, contained=True)
    print(f"1..{report.points}")
    return 1 if report.failed else 0


def sources():
    """The directories of the source and, if it is not in there, of the build."""
    return [TOP] if TOP in BUILD.parents else [TOP, BUILD]


def main(files, bare_files):
    # Meson ends what takes too long by this; as an exception it unwinds the stack.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    lower = make_root()
    with tempfile.TemporaryDirectory(prefix="portmon-boot-") as directory, contextlib.ExitStack() as stack:
        here = pathlib.Path(directory)
        memory = stack.enter_context(mounted(here / "memory", "tmpfs", "-t", "tmpfs"))
        unified = stack.enter_context(mounted(here / "cgroup", "cgroup2", "-t", "cgroup2"))
        cgroup = stack.enter_context(own_cgroup(unified))
        # Installing leaves a log of what to uninstall: not in the real build.
        for number, path in enumerate(sources()):
            stack.enter_context(Layer(memory, f"source-{number}", path).mounted(path))
        return run_files(files, bare_files, lower, memory, cgroup)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--bare", nargs="+", default=[])
    return parser.parse_args()


if arguments().inside:
    sys.exit(main(arguments().files, arguments().bare))
need_root_and_bpf()
if not shutil.which("systemd-nspawn"):
    skip("systemd-nspawn is not installed")
os.execvp("unshare", ["unshare", "--mount", "--propagation=private", sys.executable, __file__, *sys.argv[1:],
                      "--inside"])
