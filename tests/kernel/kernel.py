#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Boots another kernel in QEMU and runs there, with what was built here, the tests of exactness.

usage: kernel.py SERIES

The programs are built once and load on each kernel. A machine's disk is an initramfs with the Python,
the tools and the libraries of this machine. Its processor is emulated, which works anywhere and takes
its time. So not all tests are run, unless the environment variable PORTMON_KERNEL_TESTS is "all".
"""

import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from harness import BUILD, PATIENCE_SEC, sh, skip  # noqa: E402
from report import Report  # noqa: E402

# Series, as get-kernel knows them, and the processor. QEMU 7.2 fails at an instruction that 6.12 uses
# if it is there, and 7.3 needs it.
KERNELS = {"5.10": "max", "6.1": "max", "6.12": "max,cx16=off", "7": "max"}
FALLBACK = "5.10"

# Files, and parts of the names of the tests that are run.
COMMON = ["All figures still", "No port", "admits"]
RUNS = [
    ["test-exactness.py", "at home v4:", "between v6:", *COMMON],
    ["test-open-before.py", "between v4:", *COMMON],
    ["test-segments.py"],
    ["test-churn.py"],
]
# On this one, connections that were open before are found in one's own network namespace only.
RUNS_OF_FALLBACK = [*RUNS[:1], ["test-open-before.py", "loopback v4:", *COMMON], *RUNS[2:]]

PATIENCE = 8  # how much longer things may take than on a processor of silicon
TIMEOUT_SEC = 30 * PATIENCE_SEC
BOOTS = 5  # how often a kernel may fail before it is up

PROGRAMS = ["ip", "modprobe", "mount", "nft", "python3", "tc"]
# Of Python's library, what is large and not used.
USELESS = shutil.ignore_patterns("test", "idlelib", "lib2to3", "ensurepip", "config-*", "pydoc_data",
                                 "*-packages", "*.a")


# ---- the disk ----


def copy(path, root):
    inside = root / str(path).lstrip("/")
    if not inside.exists():
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, inside)


def copy_libraries(program, root):
    """Copies the libraries of a program, or of a library."""
    done = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for path in re.findall(r"(/\S+) \(0x", done.stdout):
        copy(path, root)


def make_disk(root):
    """What is the same on every kernel."""
    for name in "bin", "sbin", "lib", "lib64":
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in PROGRAMS:
        path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if not path:
            skip(f"{name} is not installed")
        copy(path, root)
        copy_libraries(path, root)
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, root / str(library).lstrip("/"), ignore=USELESS)
    for path in library.glob("lib-dynload/*.so"):
        copy_libraries(path, root)

    suite = root / "suite"
    shutil.copytree(HERE.parent, suite / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in "src/portmond", "src/portmon", "tests/net/traffic":
        target = suite / "build" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BUILD / name, target)
        copy_libraries(BUILD / name, root)
    (root / "init").symlink_to("suite/tests/kernel/guest.py")


def give_orders(root, runs):
    """Tells the machine what to run."""
    everything = os.environ.get("PORTMON_KERNEL_TESTS") == "all"
    (root / "orders").write_text(json.dumps({
        "runs": [[f"/suite/tests/net/{file}", *([] if everything else names)] for file, *names in runs],
        "environment": {"PORTMON_BUILD": "/suite/build", "PORTMON_PATIENCE": str(PATIENCE),
                        "PYTHONUNBUFFERED": "1"},
    }))


def pack(directory, archive):
    """Appends a directory to an initramfs."""
    names = sh("find", ".", cwd=directory)
    with open(archive, "ab") as output:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=directory, input=names.encode(),
                       stdout=output, check=True)


# ---- the machine ----


def boot(kernel, processor, disk, console, report):
    """Runs a kernel to its end; returns whether it came in time."""
    command = [
        "setpriv", "--pdeathsig=KILL", "qemu-system-x86_64", "-accel", "tcg,thread=multi",
        "-cpu", processor, "-smp", "2", "-m", "2G", "-display", "none", "-nic", "none", "-no-reboot",
        "-kernel", kernel / "vmlinuz", "-initrd", disk,
        "-append", "console=ttyS0 panic=-1 quiet",
        "-serial", f"file:{console}", "-serial", f"file:{report}",
    ]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, timeout=TIMEOUT_SEC).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def get_kernel(series):
    done = subprocess.run([HERE / "get-kernel", series], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        skip(f"no kernel {series}: " + " / ".join(done.stderr.splitlines()[-2:]))
    return pathlib.Path(done.stdout.strip())


def relay(report, series, runs, text):
    """Passes on what the files reported that ran on a kernel; returns whether all is well."""
    texts = re.split(r"^exit \d+$", text, flags=re.MULTILINE)
    return all([report.relay(f"Linux {series}: {file}", text.strip(), f"Linux {series}: ")
                for (file, *_), text in itertools.zip_longest(runs, texts[:len(runs)], fillvalue="")])


def oops(console):
    """What a kernel said first of what ended it."""
    said = re.search(r"^.*(Oops|BUG|panic).*$", console.read_text(errors="replace"), flags=re.MULTILINE)
    return said[0] if said else "it says nothing"


def run(report, series, kernel, here):
    root, disk, console, output = (here / name for name in ("root", "disk", "console", "report"))
    make_disk(root)
    runs = RUNS_OF_FALLBACK if series == FALLBACK else RUNS
    give_orders(root, runs)
    pack(root, disk)
    pack(kernel, disk)
    for _ in range(BOOTS):
        started = time.monotonic()
        ended = boot(kernel, KERNELS[series], disk, console, output)
        print(f"# Linux {series} ran for {time.monotonic() - started:.0f} seconds")
        if not ended:
            print(f"# and did not end within {TIMEOUT_SEC} seconds")
        text = output.read_text(errors="replace") if output.exists() else ""
        # The emulator now and then shows one processor the breakpoint of another that changes the kernel's
        # code; at boot much is changed. A kernel that was not up has run nothing of ours.
        if text or not ended:
            break
        print(f"# Linux {series} was not up: {oops(console)}")
    if not relay(report, series, runs, text):
        for line in console.read_text(errors="replace").splitlines():
            print(f"# {line}")


def main(series):
    # Meson ends what takes too long by this; as an exception it unwinds the stack.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    if not shutil.which("qemu-system-x86_64"):
        skip("QEMU is not installed")
    kernel = get_kernel(series)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="portmon-kernel-") as directory:
        run(report, series, kernel, pathlib.Path(directory))
    print(f"1..{report.points}")
    return 1 if report.failed else 0


if sys.argv[1:] not in [[series] for series in KERNELS]:
    sys.exit(f"usage: {sys.argv[0]} {'|'.join(KERNELS)}")
sys.exit(main(sys.argv[1]))
