#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What runs in a virtual machine instead of an init: mounts what one needs, and runs test files.

The second serial port gets a line when the kernel is up, then what each file reports, and after it a line
with its exit status.
"""

import ctypes
import json
import os
import pathlib
import subprocess

PORT = "/dev/ttyS1"
POWER_OFF = 0x4321FEDC  # as in reboot(2)

MOUNTS = {
    "/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs", "/sys/fs/cgroup": "cgroup2",
    "/sys/fs/bpf": "bpf", "/tmp": "tmpfs", "/run": "tmpfs",
}


def main():
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    for path, kind in MOUNTS.items():
        pathlib.Path(path).mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", kind, kind, path], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    orders = json.loads(pathlib.Path("/orders").read_text())
    with open(PORT, "w") as report:
        print(f"# up: Linux {os.uname().release}", file=report, flush=True)
        for arguments in orders["runs"]:
            done = subprocess.run(["/usr/bin/python3", *arguments], stdout=report, stderr=report,
                                  stdin=subprocess.DEVNULL, env={**os.environ, **orders["environment"]})
            print(f"exit {done.returncode}", file=report, flush=True)


try:
    main()
finally:
    ctypes.CDLL(None).reboot(POWER_OFF)
