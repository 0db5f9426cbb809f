# SPDX-License-Identifier: MIT
"""A message bus of a test's own."""

import contextlib
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import Unavailable, eventually  # noqa: E402

CONFIGURATION = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={socket}</listen><servicedir>{services}</servicedir>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="false"/><allow own="*"/>
<allow user="*"/></policy></busconfig>
"""


def environment(directory):
    """With this in its environment a program takes the directory's bus for the system's."""
    return {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={directory}/bus"}


@contextlib.contextmanager
def private_bus(directory):
    """Runs a bus: its socket is `bus` in the directory, and what it may start is in `services` there."""
    if not shutil.which("dbus-daemon"):
        raise Unavailable("needs dbus-daemon")
    path = directory / "bus"
    (directory / "bus.conf").write_text(CONFIGURATION.format(socket=path, services=directory / "services"))
    process = subprocess.Popen(["dbus-daemon", f"--config-file={directory}/bus.conf", "--nofork", "--nopidfile"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(path.exists, "the bus is there")
        yield path
    finally:
        process.terminate()
        process.wait()
        path.unlink(missing_ok=True)
