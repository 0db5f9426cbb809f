# SPDX-License-Identifier: MIT
"""A container that boots the real systemd: its root, what is written over it, its cgroup, and nspawn.

The root is made by make-root, once, and only read. All else is in a mount namespace of the caller's own,
a process namespace and a cgroup: several builds can be tested at the same time, and however we end,
nothing stays mounted or running.
"""

import contextlib
import os
import pathlib
import subprocess

from harness import eventually, sh, skip

MAKE_ROOT = pathlib.Path(__file__).resolve().parents[1] / "boot" / "make-root"


def make_root():
    done = subprocess.run([MAKE_ROOT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        skip("no root to boot: " + " / ".join(done.stderr.splitlines()[-2:]))
    return done.stdout.strip()


@contextlib.contextmanager
def mounted(path, source, *options):
    path.mkdir(parents=True, exist_ok=True)
    sh("mount", *options, source, path)
    try:
        yield path
    finally:
        sh("umount", "--lazy", path)


class Layer:
    """What is written over other directories, which are only read; it is kept in memory."""

    def __init__(self, memory, name, *below):
        self.upper, self.work, self.root = (memory / f"{name}-{part}" for part in ("upper", "work", "root"))
        self.upper.mkdir(), self.work.mkdir()
        self.lower = ":".join(map(str, below))

    def mounted(self, path=None):
        options = f"lowerdir={self.lower},upperdir={self.upper},workdir={self.work}"
        return mounted(path or self.root, "overlay", "-t", "overlay", "-o", options)


@contextlib.contextmanager
def own_cgroup(unified):
    """A cgroup beside ours: nspawn puts the container below the one that itself is in."""
    home = pathlib.Path("/proc/self/cgroup").read_text().split("0::")[1].split("\n")[0]
    cgroup = unified / home.lstrip("/") / unified.parent.name
    cgroup.mkdir()
    try:
        yield cgroup
    finally:
        eventually(lambda: "populated 0" in (cgroup / "cgroup.events").read_text(), "the container is gone")
        for path, _, _ in os.walk(cgroup, topdown=False):
            os.rmdir(path)


def boot(root, console, cgroup, timeout_sec, **environment):
    """Boots, and waits for the end; raises subprocess.TimeoutExpired if it does not come."""
    subprocess.run(
        # With unshare everything in the container ends, and unshare with us.
        ["setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
         "systemd-nspawn", "--quiet", f"--directory={root}", f"--machine=portmon-{os.getpid()}",
         "--register=no", "--keep-unit", "--boot", "--private-network",
         "--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN,CAP_SYS_ADMIN",
         "--system-call-filter=bpf perf_event_open"],
        env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",
             **environment},
        preexec_fn=lambda: (cgroup / "cgroup.procs").write_text("0"),
        stdin=subprocess.DEVNULL, stdout=console, stderr=console, timeout=timeout_sec)
