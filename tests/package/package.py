#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Builds Debian packages of this source and of one before it, and tests them in a container.

usage: package.py [OLDER.deb NEWER.deb]

The one before has a lower version and other BPF programs, as an older portmon would. The container has
the real systemd, D-Bus and polkit; test-package.py runs in it. It is thrown away at the end.
"""

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
from harness import PATIENCE_SEC, need_root_and_bpf, sh, skip  # noqa: E402
from nspawn import Layer, boot, make_root, mounted, own_cgroup  # noqa: E402

TIMEOUT_SEC = 10 * PATIENCE_SEC
BUILD_TIMEOUT_SEC = 20 * PATIENCE_SEC

UNIT = """
[Unit]
Description=Tests of the package
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment=PYTHONUNBUFFERED=1 PORTMON_PATIENCE={patience}
ExecStart=/usr/bin/python3 /suite/tests/package/test-package.py
StandardOutput=append:/suite/report
StandardError=journal
ExecStopPost=systemctl --no-block poweroff
"""


# ---- the packages ----


def copy_source(path):
    """What git tracks, as it is now."""
    for name in sh("git", "-C", TOP, "ls-files", "-z").split("\0"):
        if name and (TOP / name).exists():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, path / name)


def make_older(path):
    changelog, program = path / "debian" / "changelog", path / "bpf" / "portmon.bpf.c"
    version = re.search(r"\((.*?)\)", changelog.read_text()).group(1)
    changelog.write_text(changelog.read_text().replace(f"({version})", f"({version}~older)", 1))
    # Lines are part of the programs' type information, so that these are others.
    program.write_text("\n" + program.read_text())


def build(path):
    """Builds the package of a source; returns its file."""
    log = path.parent / "log"
    with open(log, "w") as output:
        done = subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=path, stdout=output, stderr=output,
                              env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck noautodbgsym"}, timeout=BUILD_TIMEOUT_SEC)
    if done.returncode:
        sys.exit(f"dpkg-buildpackage failed:\n{log.read_text()[-4000:]}")
    return next(path.parent.glob("portmon_*.deb"))


def make_packages(directory):
    older, newer = directory / "older" / "portmon", directory / "newer" / "portmon"
    copy_source(older)
    copy_source(newer)
    make_older(older)
    return build(older), build(newer)


# ---- the container ----


def furnish(root, packages):
    (root / "suite").mkdir()
    for package, name in zip(packages, ("older.deb", "newer.deb")):
        shutil.copy(package, root / "suite" / name)
    for name in "lib", "package":
        shutil.copytree(HERE.parent / name, root / "suite" / "tests" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / "debian" / "tests" / "service", root / "suite")
    unit = root / "etc/systemd/system/suite.service"
    unit.write_text(UNIT.format(patience=os.environ.get("PORTMON_PATIENCE", "1")))
    wanted = root / "etc/systemd/system/multi-user.target.wants/suite.service"
    wanted.parent.mkdir(exist_ok=True)
    wanted.symlink_to("/etc/systemd/system/suite.service")


def check_policy(package):
    """Whether lintian has nothing to say; prints a point of the report."""
    done = subprocess.run(["lintian", "--allow-root", "--info", "--display-info", "--pedantic",
                           "--fail-on=error,warning,info,pedantic", package],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in done.stdout.splitlines() if done.returncode else []:
        print(f"# {line}")
    print(f"{'not ok' if done.returncode else 'ok'} 1 - lintian has nothing to say of the package")
    return done.returncode == 0


def tell(root, console, good):
    """Passes the report on, and if it is not a good one, what was said; returns an exit status."""
    report = root / "suite" / "report"
    plan, _, text = (report.read_text(errors="replace") if report.exists() else "").partition("\n")
    planned = int(plan.removeprefix("1..") or 1)
    print(re.sub(r"^((?:not )?ok )(\d+)", lambda point: f"{point[1]}{int(point[2]) + 1}", text, flags=re.MULTILINE), end="")
    print(f"1..{planned + 1}")
    if len(re.findall("^ok ", text, re.MULTILINE)) == planned:
        return 0 if good else 1
    journal = subprocess.run(["journalctl", f"--directory={root}/var/log/journal", "--no-pager", "--output=short-monotonic"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for line in (journal or console.read_text(errors="replace")).splitlines()[-200:]:
        print(f"# {line}")
    return 1


def main(packages):
    # Meson ends what takes too long by this; as an exception it unwinds the stack.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    lower = make_root()
    with tempfile.TemporaryDirectory(prefix="portmon-package-") as directory:
        here = pathlib.Path(directory)
        packages = packages or make_packages(here)
        good = check_policy(packages[1])
        with mounted(here / "memory", "tmpfs", "-t", "tmpfs") as memory, \
                Layer(memory, "disk", lower).mounted() as root, \
                mounted(here / "cgroup", "cgroup2", "-t", "cgroup2") as unified, own_cgroup(unified) as cgroup, \
                open(memory / "console", "wb") as console:
            furnish(root, packages)
            boot(root, console, cgroup, TIMEOUT_SEC)
            return tell(root, memory / "console", good)


if sys.argv[1:2] == ["--inside"]:
    sys.exit(main(sys.argv[2:]))
need_root_and_bpf()
for program in "systemd-nspawn", "dpkg-buildpackage", "dh", "lintian", "git":
    if not shutil.which(program):
        skip(f"{program} is not installed")
if subprocess.run(["git", "-C", TOP, "ls-files"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
    skip("not a git checkout")
os.execvp("unshare", ["unshare", "--mount", "--propagation=private", sys.executable, __file__, "--inside",
                      *sys.argv[1:]])
